"""What benches measure with: servers of their own, CPU and memory of processes, a file of any size, and
where medians lie."""

import os
import pathlib
import random
import signal
import statistics

from servers import ROOT, SAMPLE, Postgres, Redis, Worker, towards

TELECTL = os.environ.get("TELECTL", str(ROOT / "target/release/telectl"))
TICKS = os.sysconf("SC_CLK_TCK")


def cpu(process):
    """CPU seconds of a process, of its children that ended and of those that live."""
    total = 0
    children = pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split()
    for pid, fields in [(process, (13, 14, 15, 16))] + [(child, (13, 14)) for child in children]:
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            continue  # it ended, and is in its parent's account from now on
        values = stat[stat.rindex(")") + 2 :].split()
        total += sum(int(values[field - 2]) for field in fields)
    return total / TICKS


def peak_memory(process):
    """The most memory that a process had, in MiB."""
    for line in pathlib.Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Servers:
    """A PostgreSQL and a Redis of our own."""

    def __init__(self, folder):
        self.folder = folder
        self.postgres, self.redis = Postgres(folder), Redis(folder)

    def client(self):
        return self.postgres.client("bench")

    def psql(self, command):
        return self.postgres.psql("bench", command)

    def fresh_database(self):
        self.postgres.fresh_database("bench")

    def worker(self, kind, name, variables):
        common = {"CLUSTER_ID": "bench", **towards(self.postgres, self.redis, "bench")}
        worker = Worker(TELECTL, kind, name, self.folder, common | variables)
        worker.start()
        return worker

    def stop(self):
        # PostgreSQL's own way to stop while somebody is connected, as after a round that failed.
        self.postgres.stop(signal.SIGINT)
        self.redis.stop()


def prepare(folder, count):
    """The sample's rows again and again, each time a second later, and what they add up to."""
    header, *records = SAMPLE.read_text().splitlines(keepends=True)
    stamp = "2025-07-18T20:42:"
    assert all(record.startswith(f'"{stamp}') for record in records), "the sample file changed"
    file, total, rows = folder / "rows.csv", 0.0, 0
    values = [float(record.split('","')[10]) for record in records]
    with file.open("w") as out:
        out.write(header)
        for repetition in range(-(-count // len(records))):
            hour, second = divmod(repetition, 3600)
            time_of = f'"2025-07-18T{hour:02}:{second // 60:02}:{second % 60:02}Z"'
            part = records[: count - rows]
            out.writelines(time_of + record[record.index('",') + 1 :] for record in part)
            total += sum(values[: len(part)])
            rows += len(part)
    return file, total


def interval(values):
    """Median, and where 90 % of the medians of resamplings lie (seeded)."""
    chance = random.Random(1)
    resampled = (chance.choices(values, k=len(values)) for _ in range(2000))
    medians = sorted(statistics.median(sample) for sample in resampled)
    return statistics.median(values), medians[100], medians[1899]


def percentile(values, share):
    """The smallest of them that at least `share` percent do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
