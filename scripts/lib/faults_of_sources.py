"""What files do to a streamer: content that is no CSV, or only looks like it."""

from hostile import Hostile
from line import Failed
from measure import peak_memory
from scenario import scenario

# The most that each may have, in MiB, whatever it reads.
MEMORY = {"streamer": 64, "collector": 128}


@scenario("hostile-file", "16", "a file of a gigabyte, full of damage, costs bounded memory and its bad records only")
def hostile_file(line, _):
    """Every good record is stored, and every bad one set aside with its line."""
    size = line.size(1 << 30, 8 << 20)
    made = Hostile(line.folder / "hostile.csv", "edge-hostile", size, line.chance)
    line.sources.append(made)
    workers = [line.collector(), line.streamer(made, BATCH_SIZE=5000)]
    line.drained()
    most = {worker.kind: peak_memory(worker.pid) for worker in workers}
    line.verify()
    for kind, memory in most.items():
        # A build for tests has more of its own in memory than this file costs.
        if line.is_long and memory > MEMORY[kind]:
            raise Failed(f"the {kind} had {memory:.0f} MiB, {MEMORY[kind]} are allowed")
    told = ", ".join(f"{kind} {memory:.0f} MiB" for kind, memory in most.items())
    return f"{made.count} rows and {made.bad.total()} bad records in {made.size >> 20} MiB; {told}"
