"""Files to stream, and what is in them by an own parse: Python's csv module reads the file as it
stands on the disk, and nothing of what a worker says about it is believed."""

import collections
import csv
import datetime
import hashlib
import re

from servers import SAMPLE

COLUMNS = ("metric_name", "gpu_id", "device", "uuid", "modelName", "Hostname")
COLUMNS += ("container", "pod", "namespace", "labels_raw")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class Source:
    """A file, and the multiset of its rows."""

    def __init__(self, path, cluster):
        self.path, self.cluster, self.size = path, cluster, path.stat().st_size
        self.rows, self.bad = parsed(path)
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.count = self.rows.total()

    @property
    def name(self):
        return self.path.name


def make(path, cluster, rows, chance):
    """The sample's series again and again, each time a second later, with values of their own; one
    record of some five hundred is damaged."""
    header, *records = SAMPLE.read_text().splitlines(keepends=True)
    parts = [re.fullmatch(r'"[^"]*"(,.*",")[^"]*(","DCGM.*\n)', record).groups() for record in records]
    damages = (damaged_value, damaged_time, damaged_end)
    start = datetime.datetime(2025, 7, 18, tzinfo=datetime.timezone.utc)
    with path.open("w") as out:
        out.write(header)
        for number in range(rows):
            time = start + datetime.timedelta(seconds=number // len(parts))
            before, behind = parts[number % len(parts)]
            cells = [f'"{time:%Y-%m-%dT%H:%M:%SZ}"', before, f"{chance.random() * 1000:.3f}", behind]
            if chance.randrange(500) == 0:
                cells = chance.choice(damages)(cells)
            out.write("".join(cells))
    return Source(path, cluster)


def damaged_value(cells):
    return [*cells[:2], "much", cells[3]]


def damaged_time(cells):
    return ['"soon"', *cells[1:]]


def damaged_end(cells):
    return [*cells[:2], '1"\n']


def identity(labels, micros, value):
    """What makes a row this one: its labels, its time and its value."""
    return hash((labels, micros, value))


def parsed(path):
    """The rows of a file by what they are, and the lines of the damaged ones."""
    rows, bad = collections.Counter(), collections.Counter()
    times = {}
    with path.open(newline="") as file:
        reader = csv.reader(file)
        places = {name: place for place, name in enumerate(next(reader))}
        label_places = [places[name] for name in COLUMNS]
        for record in reader:
            cells = dict(zip(("timestamp", "value"), (record[0], record[10] if len(record) > 10 else "")))
            value = number(cells["value"])
            if len(record) != len(places) or value is None or not TIME.fullmatch(cells["timestamp"]):
                bad[reader.line_num] += 1
                continue
            text = cells["timestamp"]
            micros = times.get(text)
            if micros is None:
                micros = times[text] = microseconds(text)
            labels = tuple([record[place] for place in label_places])
            rows[identity(labels, micros, value)] += 1
    return rows, bad


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def microseconds(text):
    time = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    return int((time.replace(tzinfo=datetime.timezone.utc) - EPOCH).total_seconds()) * 1_000_000
