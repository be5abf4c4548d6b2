"""What happens to streamers and collectors: frozen, scaled, told to end, without a disk."""

import os
import pathlib
import shutil
import subprocess
import time

from faults_of_queue import backlog, flow_and, frozen_with_entries, prepare, wait_in
from line import Failed
from scenario import scenario

CLAIM = 15  # seconds that a streamer's claim lives


@scenario("two-batch-sizes", "6", "two streamers of one file that cut it differently store every row once")
def two_batch_sizes(line, _):
    """One is frozen for longer than its claims live, and goes on when the other has done it all."""
    made = line.file(line.size(200_000, 8_000))
    line.collector()
    first = line.streamer(made, "streamer-0", BATCH_SIZE=71, STREAM_INTERVAL="40ms")
    line.when("rows in the store", lambda: line.stored() > 0)
    second = line.streamer(made, "streamer-1", BATCH_SIZE=113, STREAM_INTERVAL="1ms")
    line.when("batches of both", lambda: line.store.one("SELECT count(DISTINCT streamer) FROM ledger") == ["2"])
    first.freeze()
    # Not a synchronisation: it is frozen for longer than its claims live.
    time.sleep(line.size(60, CLAIM + 2))
    line.when("the whole file in the store", lambda: line.stored() == made.count)
    first.thaw()
    second.freeze()
    # How far it is, it says itself; whether that is true is looked at afterwards.
    line.when("the end of the first", lambda: '"finished"' in first.status())
    line.drained()
    second.thaw()
    line.when("the end of the second", lambda: '"finished"' in second.status())
    line.drained()
    line.verify()
    parts = line.store.one("SELECT count(*) FROM ledger WHERE checksum IS NULL")[0]
    if parts == "0":
        raise Failed("no batch overlapped another one")
    return f"{parts} batches that others had a part of"


@scenario("zombie", "6", "what a frozen collector holds is taken over, and is stored once when it goes on")
def zombie(line, _):
    """Frozen with entries in its hands for longer than they are left alone."""
    backlog(line, line.size(100_000, 10_000))
    taken_over(line, frozen_with_entries(line))


def taken_over(line, frozen):
    """Another collector stores what the frozen one has, and both go on together."""
    since = time.monotonic()
    line.collector("collector-1")
    line.drained(since, is_small=True)
    frozen.thaw()
    line.drained()
    flow_and(line, time.monotonic, name="streamer-1")
    line.verify()


@scenario("zombie-in-transaction", "6", "a collector that is frozen in its transaction keeps nobody from storing")
def zombie_in_transaction(line, _):
    """Its session is open, its ledger rows are entered, and its node may be gone: nothing is sent."""
    prepare(line)
    wait_in(line, "ledger")
    backlog(line, line.size(100_000, 10_000))
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO ledger%' AND "
    with line.store.session() as lock:
        lock.rows("SELECT pg_advisory_lock(7)")
        frozen = line.collector()
        line.when("a transaction that waits", lambda: line.store.one(open_ones + "wait_event = 'advisory'") != ["0"])
        frozen.freeze()
    line.when("an open one", lambda: line.store.one(open_ones + "state = 'idle in transaction'") != ["0"])
    taken_over(line, frozen)


@scenario("terminated", "22", "SIGTERM under load ends a worker without an error and in its grace; the rest follows")
def terminated(line, _):
    """Streamer and collector, with much time and with little."""
    for grace in ("30s", "1s"):
        for kind in ("streamer", "collector"):
            made = line.file(line.size(60_000, 6_000))
            line.collector(SHUTDOWN_GRACE=grace)
            before = line.stored()
            line.streamer(made, BATCH_SIZE=100, STREAM_INTERVAL="5ms", SHUTDOWN_GRACE=grace)
            line.when("rows in the store", lambda before=before: line.stored() > before)
            worker = next(worker for worker in line.workers.values() if worker.kind == kind)
            since = time.monotonic()
            line.end(worker)
            took = time.monotonic() - since
            if took > float(grace[:-1]) + 1:
                raise Failed(f"{worker.name} took {took:.1f} s to end, {grace} are its grace")
            worker.start()
            line.drained(since)
            line.stop_workers()
    line.verify()
    return "grace of 30 s and of 1 s"


@scenario("scaled-away", "5, 7", "the spool of a streamer that is scaled away is published when it comes back")
def scaled_away(line, _):
    """Its spool is full while Redis is away; it is ended, Redis comes back empty, then the streamer."""
    prepare(line)
    made = line.file(line.size(200_000, 20_000))
    line.redis.kill()
    streamer = line.streamer(made, SPOOL_LIMIT=50_000)
    line.when("a full spool", lambda: line.spooled() >= 50_000)
    line.end(streamer)
    left = line.spooled()
    line.redis.forget()
    line.redis.begin()
    line.collector()
    streamer.start()
    line.drained(time.monotonic())
    line.verify()
    return f"{left} bytes of spool"


@scenario("disk-full", "18", "a full disk stops reading and nothing else; nothing that was kept is lost")
def disk_full(line, _):
    """A disk of 200 KB for the spool, while nobody collects; somebody has filled half of it."""
    prepare(line)
    small = line.spool("streamer-0")
    small.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", small], capture_output=True)
    if mounted.returncode != 0 or shutil.disk_usage(small).total > 1_000_000:
        return "SKIPPED: a small disk needs root"
    made = line.file(line.size(100_000, 20_000))
    (small / "somebody's").write_bytes(bytes(60_000))
    streamer = line.streamer(made, BATCH_SIZE=50)
    line.when("a full disk", lambda: shutil.disk_usage(small).free < 8192)
    line.when("a word about it", lambda: "no room" in streamer.said())
    line.collector()
    line.drained(time.monotonic())
    line.verify()
    line.stop_workers()
    subprocess.run(["umount", small], check=True)
    return f"{made.count} rows through a disk of 200 KB"


@scenario("power-cut", "18", "what is published is on the disk: a power cut takes nothing of it")
def power_cut(line, _):
    """A cut takes what no fsync has brought to the disk. A library that is loaded into the streamer notes
    how much that is; after its kill the rest is cut away, and Redis forgets everything, too."""
    compiled = line.folder / "power.so"
    source = pathlib.Path(__file__).parent / "power.c"
    if subprocess.run(["cc", "-shared", "-fPIC", "-o", compiled, source, "-ldl"]).returncode != 0:
        raise Failed("the library that notes what is on the disk cannot be compiled")
    backlog(line, line.size(100_000, 10_000), LD_PRELOAD=compiled)
    streamer = line.workers["streamer-0"]
    streamer.kill()
    lost = kept = 0
    for segment in line.spool().glob("*.log"):
        note = segment.with_name(segment.name + ".synced")
        safe = int(note.read_text()) if note.exists() else 0
        lost += segment.stat().st_size - safe
        kept += safe
        os.truncate(segment, safe)
    if lost > 0:
        raise Failed(f"{lost} bytes were published and are gone, {kept} are left")
    line.queue.call("FLUSHALL")
    since = time.monotonic()
    streamer.start()
    line.collector()
    line.drained(since)
    line.verify()
    return f"{kept} bytes of spool on the disk"


@scenario("spool-damaged", "18", "a spool whose disk has lied costs work and no row: what it lacks is read again")
def spool_damaged(line, _):
    """Nothing of it is published yet when bits change, a segment ends too early, and one is gone."""
    prepare(line)
    for damage in (flip_bit, cut_off, delete):
        line.redis.kill()
        streamer = line.streamer(line.file(line.size(100_000, 10_000)), BATCH_SIZE=100)
        line.when("batches in the spool", lambda: line.spooled() > 10_000)
        streamer.kill()
        segments = sorted(line.spool().glob("*.log"))
        damage(line, line.chance.choice(segments))
        line.redis.begin()
        line.collector()
        streamer.start()
        line.drained(time.monotonic())
        line.stop_workers()
    line.verify()
    return "a bit, an end, a segment"


def flip_bit(line, segment):
    content = bytearray(segment.read_bytes())
    content[line.chance.randrange(len(content))] ^= 1 << line.chance.randrange(8)
    segment.write_bytes(content)


def cut_off(line, segment):
    os.truncate(segment, line.chance.randrange(segment.stat().st_size))


def delete(_, segment):
    segment.unlink()


@scenario("slow-collector", "13", "behind a slow collector everybody's memory and disk stay bounded")
def slow_collector(line, _):
    """It commits ten times a second at most, and small groups."""
    made = line.file(line.size(1_000_000, 20_000))
    line.collector(COMMIT_INTERVAL="100ms", BATCH_SIZE=2000)
    streamer = line.streamer(made, SPOOL_LIMIT=100_000)
    highest = 0
    most = {"streamer": 0, "collector": 0}

    def look():
        nonlocal highest
        highest = max(highest, line.spooled())
        for worker in line.workers.values():
            most[worker.kind] = max(most[worker.kind], resident(worker))
        return line.is_drained()

    line.when("everything stored", look)
    line.verify()
    # A batch more than the limit, and a segment that is freed as a whole.
    if highest > 200_000 or most["streamer"] > 200 or most["collector"] > 200:
        raise Failed(f"{highest} bytes of spool, MiB of memory {most}")
    line.end(streamer)
    return f"at most {highest} bytes of spool, MiB of memory {most}"


def resident(worker):
    """MiB of a process."""
    with open(f"/proc/{worker.pid}/status") as status:
        lines = dict(one.split(":", 1) for one in status)
    return int(lines["VmRSS"].split()[0]) // 1024
