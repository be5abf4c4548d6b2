"""The pipeline that is disturbed, and what has to hold of it afterwards: looked up in Redis, in
PostgreSQL and on the disk, and held against an own parse of the files. What workers report counts for
nothing."""

import csv
import os
import random
import shutil
import statistics
import subprocess
import sys
import time

import source
from clients import PostgresClient, RedisClient, Unavailable
from servers import LIMIT, Failed, Postgres, Process, Redis, Worker, eventually, towards

DATABASE = "chaos"
SHARDS = 2
STREAMS = tuple(f"tele:{{telemetry-system.{shard}}}" for shard in range(SHARDS))
GROUP = "collectors"
# The most seconds that the flow may take to come back after a fault.
RECOVERY = float(os.environ.get("RECOVERY", "15"))


class Line:
    """Servers, workers and files of one scenario."""

    def __init__(self, telectl, folder, seed, is_long):
        self.telectl, self.folder, self.chance = telectl, folder, random.Random(seed)
        self.is_long = is_long
        self.postgres = Postgres(folder, "max_connections=40", "checkpoint_timeout=30s")
        self.redis = Redis(folder)
        self.queue = RedisClient(self.redis.port)
        self.store = PostgresClient(self.postgres.port, DATABASE)
        self.workers, self.sources, self.recoveries, self.drains = {}, [], [], []
        self.variables, self.files = {}, 0
        self.dead = 0  # entries that have to be set aside by the end
        self.postgres.fresh_database(DATABASE)

    def size(self, long, short):
        """Rows of a file in the long form and in the one of the tests."""
        return long if self.is_long else short

    # Workers and files

    def file(self, rows, cluster=None):
        self.files += 1
        cluster = cluster or f"edge-{self.files}"
        path = self.folder / f"metrics-{self.files}.csv"
        made = source.make(path, cluster, rows, self.chance)
        self.sources.append(made)
        return made

    def worker(self, kind, name, variables, telectl=None):
        log = self.folder / f"logs-{len(os.listdir(self.folder))}"
        log.mkdir(exist_ok=True)
        common = {**towards(self.postgres, self.redis, DATABASE), "SHUTDOWN_GRACE": "10s"}
        merged = {key: str(value) for key, value in (common | self.variables | variables).items()}
        worker = Worker(telectl or self.telectl, kind, name, log, merged)
        worker.start()
        self.workers[name] = worker
        return worker

    def collector(self, name="collector-0", **variables):
        return self.worker("collector", name, {"CLUSTER_ID": "centre", **variables})

    def streamer(self, made, name="streamer-0", **variables):
        spool = self.spool(name)
        given = {"CLUSTER_ID": made.cluster, "CSV_FILE": made.path, "SPOOL_DIR": spool}
        return self.worker("streamer", name, {"BATCH_SIZE": 500, **given, **variables})

    def spool(self, name="streamer-0"):
        return self.folder / "spools" / name

    def stop_workers(self, kind=None):
        for name, worker in list(self.workers.items()):
            if kind in (None, worker.kind):
                self.end(worker)
                del self.workers[name]

    def end(self, worker):
        """As a pod ends: by a signal, in its grace, without an error."""
        if worker.is_running:
            worker.thaw()
            worker.verify_alive()
            code = worker.stop()
            if code != 0:
                raise Failed(f"{worker.name} ended with {code}:\n{worker.said()[-2000:]}")

    def alive(self):
        for worker in self.workers.values():
            worker.verify_alive()

    # Looking

    def when(self, what, look, limit=None, pause=0.02):
        """Waits until it is so; while a server is away nothing is. A worker that ends by itself ends
        the waiting, too."""

        def careful():
            self.alive()
            try:
                return look()
            except Unavailable:
                return None

        return eventually(what, careful, limit, pause)

    def depth(self):
        """Entries of the streams, and how many of them somebody has."""
        entries = sum(self.queue.calls(*(("XLEN", stream) for stream in STREAMS)))
        pending = 0
        for stream in STREAMS:
            try:
                pending += self.queue.call("XPENDING", stream, GROUP)[0]
            except Unavailable as error:
                if "NOGROUP" not in str(error):
                    raise
        return entries, pending

    def entries(self, stream):
        """Names and fields of all entries of a stream."""
        listed = self.queue.call("XRANGE", stream, "-", "+")
        return [(name, dict(zip(fields[::2], fields[1::2]))) for name, fields in listed]

    def stored(self):
        """Rows that the ledger has, of all files."""
        try:
            return int(self.store.one("SELECT coalesce(sum(rows), 0) FROM ledger")[0])
        except Unavailable as error:
            if "does not exist" in str(error):
                return 0
            raise

    def spooled(self):
        """Bytes in the segments of all spools; those whose records are all done are deleted."""
        segments = (self.folder / "spools").glob("*/*.log")
        return sum(size_of(segment) for segment in segments)

    def is_drained(self):
        if self.spooled() > 0 or self.depth() != (0, 0):
            return False
        signed = int(self.store.one("SELECT count(*) FROM signed_off")[0])
        expected = sum(made.count for made in self.sources)
        return signed >= len(self.sources) and self.stored() >= expected

    def drained(self, since=None, is_small=False, allowed=RECOVERY):
        """Waits for the end. `since` is when the last fault began: the flow has to be back in time, and
        where there is little to store also its end."""
        if since is not None:
            self.recovers(since, allowed)
        begun = time.monotonic() if since is None else since
        try:
            self.when("everything stored, acknowledged and freed", self.is_drained)
        except Failed as failed:
            expected = sum(made.count for made in self.sources)
            state = f"{self.stored()} of {expected} rows, entries and pending {self.depth()}"
            raise Failed(f"{failed}: {state}, {self.spooled()} bytes spooled") from failed
        self.drains.append(time.monotonic() - begun)
        if is_small and self.drains[-1] > allowed:
            raise Failed(f"the last rows came {self.drains[-1]:.1f} s after a fault, {allowed:.0f} s are allowed")

    def recovers(self, since, allowed):
        """Notes how long it takes until rows arrive that are not there yet, or until nothing is left to
        arrive. A fault after the last row counts for nothing."""
        before, is_over = self.when("the servers", lambda: (self.stored(), self.is_drained()))
        if is_over:
            return

        def flows():
            return self.stored() > before or self.is_drained()

        self.when("data after a fault", flows)
        took = time.monotonic() - since
        self.recoveries.append(took)
        if took > allowed:
            raise Failed(f"data flows again {took:.1f} s after a fault, {allowed:.0f} s are allowed")

    # Judging

    def verify(self):
        """All that has to hold once everything is drained."""
        self.alive()
        for made in self.sources:
            self.verify_rows(made)
            self.verify_ledger(made)
        samples = int(self.store.one("SELECT count(*) FROM sample")[0])
        if samples != (expected := sum(made.count for made in self.sources)):
            raise Failed(f"{samples} samples in the store, {expected} in the files")
        self.verify_dead()
        if (depth := self.depth()) != (0, 0):
            raise Failed(f"{depth[0]} entries in the queue, {depth[1]} of them pending")
        if left := self.spooled():
            raise Failed(f"{left} bytes in the spools")
        self.verify_by_telectl(0)

    def series(self, cluster):
        columns = "metric, gpu_id, device, uuid, model, host, container, pod, namespace, labels_raw"
        query = f"SELECT series_id, {columns} FROM series WHERE cluster = '{cluster}'"
        return {row[0]: tuple(row[1:]) for row in self.store.rows(query)}

    def verify_rows(self, made):
        """The rows of a file in the store are those of the file, each once."""
        series = self.series(made.cluster)
        missing = made.rows.copy()
        query = "SELECT series_id, (extract(epoch FROM ts) * 1000000)::bigint, value FROM sample "
        query += f"JOIN series USING (series_id) WHERE cluster = '{made.cluster}'"
        client = [*self.postgres.client(DATABASE), "-c", f"COPY ({query}) TO STDOUT (FORMAT csv)"]
        with subprocess.Popen(client, stdout=subprocess.PIPE, text=True) as copying:
            for series_id, micros, value in csv.reader(copying.stdout):
                number = float(value) if value else None
                missing[source.identity(series[series_id], int(micros), number)] -= 1
        lost = sum(count for count in missing.values() if count > 0)
        surplus = -sum(count for count in missing.values() if count < 0)
        if copying.returncode != 0 or lost or surplus:
            raise Failed(f"{made.name}: {lost} of {made.count} rows lost, {surplus} doubled or strange")

    def verify_ledger(self, made):
        """Its ranges tile the file, and what could not be read is set aside, line by line."""
        of_it = f"source.digest = '{made.digest}' AND source.cluster = '{made.cluster}'"
        join = "JOIN source ON source.id = source_id WHERE " + of_it
        rows = self.store.rows(
            f"SELECT lower(range), upper(range), rows, quarantined FROM ledger {join} ORDER BY range"
        )
        at = 0
        for start, end, _, _ in rows:
            if int(start) != at:
                raise Failed(f"{made.name}: the ledger goes on at byte {start} in place of {at}")
            at = int(end)
        bad = made.bad.total()
        counted = (at, sum(int(row[2]) for row in rows), sum(int(row[3]) for row in rows))
        if counted != (made.size, made.count, bad):
            raise Failed(f"{made.name}: bytes, rows, quarantined are {counted} in the ledger")
        signed = self.store.rows(f"SELECT size, rows, quarantined FROM signed_off {join}")
        if signed != [[str(made.size), str(made.count), str(bad)]]:
            raise Failed(f"{made.name}: signed off with {signed}")
        lines = self.store.rows(f"SELECT line, count(*) FROM quarantine {join} GROUP BY line")
        if {int(line): int(count) for line, count in lines} != dict(made.bad):
            raise Failed(f"{made.name}: quarantined are the lines {sorted(lines)}")

    def verify_dead(self):
        kept = int(self.store.one("SELECT count(*) FROM dead_letter")[0])
        if kept != self.dead:
            raise Failed(f"{kept} dead letters in the store, {self.dead} expected")

    def verify_by_telectl(self, expected):
        """What telectl itself says of its data; not asked before the rest was judged."""
        told = self.asked_of_telectl()
        if told.returncode != expected:
            said = told.stdout[-3000:] + told.stderr
            raise Failed(f"telectl verify data ends with {told.returncode}: {said}")

    def judged_by_telectl(self):
        """After something did not hold: its exit code, or why there is none."""
        try:
            return self.asked_of_telectl().returncode
        except subprocess.TimeoutExpired:
            return "a server that does not answer"

    def asked_of_telectl(self):
        command = [str(self.telectl), "verify", "data", "--complete", "--timeout", f"{LIMIT}s"]
        for made in self.sources[-3:]:
            command += ["--file", str(made.path)]
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        variables |= towards(self.postgres, self.redis, DATABASE)
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=LIMIT)

    def reset(self):
        """For the next scenario: the same servers, nothing in them."""
        self.stop_workers()
        self.clean_servers()
        shutil.rmtree(self.folder / "spools", ignore_errors=True)
        for made in self.sources:
            made.path.unlink(missing_ok=True)
        self.sources, self.recoveries, self.drains, self.variables, self.dead = [], [], [], {}, 0

    def clean_servers(self):
        self.queue.calls(("CONFIG", "SET", "maxmemory", "0"), ("FLUSHALL",))
        self.postgres.fresh_database(DATABASE)

    def say(self, text):
        """That it goes on, and how far it is."""
        print(f"   … {text}", file=sys.stderr, flush=True)

    def told(self):
        return told(self.recoveries, self.drains)


def told(recoveries, drains):
    """How long it took until data flowed again, and until everything was through."""
    return {"flow": summary(recoveries), "drained": summary(drains)}


def summary(seconds):
    if not seconds:
        return None
    median, most = statistics.median(seconds), max(seconds)
    return {"faults": len(seconds), "median": round(median, 2), "max": round(most, 2)}


def size_of(file):
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


__all__ = ["DATABASE", "GROUP", "RECOVERY", "STREAMS", "Failed", "Line", "Process", "Unavailable", "told"]
