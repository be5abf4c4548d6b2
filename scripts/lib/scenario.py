"""What the scenarios are, by name."""

SCENARIOS = {}


class Scenario:
    def __init__(self, name, classes, invariant, run):
        self.name, self.classes, self.invariant, self.run = name, classes, invariant, run


def scenario(name, classes, invariant):
    """A scenario under a name; the classes of faults are those that docs/chaos.md numbers."""

    def note(run):
        SCENARIOS[name] = Scenario(name, classes, invariant, run)
        return run

    return note
