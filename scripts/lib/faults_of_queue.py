"""What happens to Redis and to what is in it."""

import time

from kills import waits_for_lock
from line import GROUP, STREAMS, Failed
from scenario import scenario
from servers import Redis


def backlog(line, rows, **settings):
    """A file that is published whole while nobody collects; answers how many entries it is."""
    made = line.file(rows)
    size = settings.setdefault("BATCH_SIZE", 500)
    line.streamer(made, **settings)
    batches = -(-(made.count + made.bad.total()) // size) + 1
    line.when("the whole file in the queue", lambda: line.depth()[0] >= batches)
    return batches


def empty(line):
    line.queue.call("FLUSHALL")
    return time.monotonic()


@scenario("flushall-idle", "7", "what Redis forgets while a backlog waits is published again from the spool")
def flushall_idle(line, _):
    """Nobody has read anything yet; and once more while it is being read."""
    entries = backlog(line, line.size(1_000_000, 20_000), BATCH_SIZE=line.size(5000, 500))
    empty(line)
    line.collector()
    line.when("rows in the store", lambda: line.stored() > 0)
    since = empty(line)
    line.drained(since)
    line.verify()
    return f"{line.sources[0].count} rows, {entries} entries"


@scenario("flushall-held", "7", "nor is lost what a collector had read when Redis forgot it")
def flushall_held(line, _):
    """The first collector is frozen after it read, and goes on; the second one is killed instead."""
    for goes_on in (True, False):
        backlog(line, line.size(1_000_000, 20_000), BATCH_SIZE=line.size(5000, 500))
        frozen = frozen_with_entries(line)
        since = empty(line)
        if goes_on:
            frozen.thaw()
        else:
            frozen.kill()
            frozen.start()
        line.drained(since)
        line.verify()
        line.stop_workers()
    return f"{sum(made.count for made in line.sources)} rows"


def frozen_with_entries(line):
    """A collector that is stopped with entries in its hands and none of them committed: a lock keeps
    its transaction from beginning, and goes once it is frozen and its session has ended."""
    prepare(line)
    with line.store.session() as lock:
        lock.rows("BEGIN; LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        collector = line.collector()
        line.when("entries that somebody has", lambda: line.depth()[1] > 0)
        line.when("a transaction that waits", lambda: waits_for_lock(line))
        collector.freeze()
        end_sessions(line)
    if line.depth()[1] == 0:
        raise Failed("nobody holds entries")
    return collector


def end_sessions(line):
    """Those of the workers; what they had begun is undone."""
    sessions = "FROM pg_stat_activity WHERE application_name LIKE 'telectl%'"
    line.store.rows(f"SELECT pg_terminate_backend(pid) {sessions}")
    line.when("no session", lambda: line.store.one(f"SELECT count(*) {sessions}") == ["0"])


def prepare(line):
    """The tables, made by a collector that is stopped again before it finds anything to do."""
    if line.store.one("SELECT to_regclass('ledger')")[0] is None:
        elsewhere = line.collector("collector-preparing", PIPELINE="nothing-in-it")
        line.when("the tables", lambda: line.store.rows("SELECT FROM signed_off") == [])
        line.end(elsewhere)
        del line.workers[elsewhere.name]


def wait_in(line, table):
    """From now on whoever enters a row waits there while somebody has the advisory lock 7."""
    line.store.rows(
        "CREATE FUNCTION wait_there() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$"
    )
    line.store.rows(f"CREATE TRIGGER wait AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION wait_there()")


@scenario("redis-restarts", "7", "a Redis that is restarted, with whatever of its log, loses nothing for good")
def redis_restarts(line, _):
    """Killed and stopped, with its log written always, each second or never, and with its disk lost."""
    line.collector()
    for fsync in ("always", "everysec", "none"):
        for end in (line.redis.kill, line.redis.stop):
            flow_and(line, lambda: restart(line, fsync, end))
    flow_and(line, lambda: restart(line, "everysec", line.redis.kill, is_lost=True))
    line.verify()
    return "always, everysec, none: killed and stopped each; disk lost"


def restart(line, fsync, end, is_lost=False):
    end()
    line.redis.writes(fsync)
    if is_lost:
        line.redis.forget()
    since = time.monotonic()
    line.redis.begin()
    return since


def flow_and(line, disturb, **settings):
    """A file that flows slowly enough to be disturbed; waits until it is through."""
    before = line.stored()
    line.streamer(line.file(line.size(60_000, 6_000)), **{"BATCH_SIZE": 100, "STREAM_INTERVAL": "5ms", **settings})
    line.when("rows in the store", lambda: line.stored() > before)
    since = disturb()
    line.drained(since)
    line.stop_workers("streamer")


@scenario("group-deleted", "7", "a group or a stream that somebody deletes comes back, from its first entry on")
def group_deleted(line, _):
    line.collector()
    for command in (["XGROUP", "DESTROY"], ["DEL"]):

        def delete(command=command):
            # A destroyed group is destroyed with a backlog, too: nobody has read what is in the streams.
            for stream in STREAMS:
                line.queue.call(*command, stream, *([GROUP] if command[0] == "XGROUP" else []))
            return time.monotonic()

        flow_and(line, delete)
    line.verify()


@scenario("redis-memory", "8", "at its memory limit Redis is emptied all the same, and what it evicts comes again")
def redis_memory(line, _):
    """Refuses every write while nobody collects; is drained at its limit; then evicts what it likes."""
    prepare(line)
    made = line.file(line.size(200_000, 20_000))
    # Room for the connections of everybody, which count, too.
    line.queue.call("CONFIG", "SET", "maxmemory", int(info(line, "used_memory")) + 1_000_000)
    line.streamer(made, BATCH_SIZE=20)
    line.when("a write that is refused", lambda: "errorstat_OOM" in line.queue.call("INFO", "errorstats").decode())
    line.collector()
    line.drained(time.monotonic())
    line.queue.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    def evict():
        line.queue.call("CONFIG", "SET", "maxmemory", int(info(line, "used_memory")) - 20_000)
        line.when("an eviction", lambda: int(info(line, "evicted_keys")) > 0)
        line.queue.calls(("CONFIG", "SET", "maxmemory-policy", "noeviction"), ("CONFIG", "SET", "maxmemory", "0"))
        return time.monotonic()

    line.stop_workers()
    backlog(line, line.size(100_000, 10_000))
    since = evict()
    line.collector()
    line.drained(since)
    line.verify()


def info(line, name):
    lines = line.queue.call("INFO", "all").decode().splitlines()
    return next(one.partition(":")[2] for one in lines if one.startswith(f"{name}:"))


@scenario("redis-replaced", "9", "a Redis that becomes the replica of an empty one, and a master again, loses nothing")
def redis_replaced(line, _):
    """Read-only for a while (READONLY, LOADING), and then with nothing of what was in it."""
    (line.folder / "other").mkdir(exist_ok=True)
    other = Redis(line.folder / "other")
    line.collector()

    def replace():
        line.queue.call("REPLICAOF", "127.0.0.1", other.port)
        line.when("a replica of nothing", lambda: info(line, "master_link_status") == "up")
        line.when("a refused write", lambda: "errorstat_READONLY" in line.queue.call("INFO", "errorstats").decode())
        line.queue.call("REPLICAOF", "NO", "ONE")
        return time.monotonic()

    flow_and(line, replace)
    line.verify()
    other.kill()


@scenario("redis-silent", "11, 12", "a Redis that accepts and does not answer is waited for, with bounded time limits")
def redis_silent(line, _):
    """Frozen for longer than any read of ours waits; every connection stays open."""
    line.collector()

    def silence():
        line.redis.freeze()
        # Not a synchronisation: how long it is silent is what is done to it.
        time.sleep(line.size(20, 9))
        line.redis.thaw()
        return time.monotonic()

    flow_and(line, silence)
    line.verify()


@scenario("poison", "15", "entries that are no messages are set aside with their bytes, and the flow goes on")
def poison(line, _):
    """Cut off, damaged, of another version, of a size that no message has, and without our fields."""
    prepare(line)
    backlog(line, line.size(50_000, 5_000))
    sound = line.entries(STREAMS[0])[0][1][b"d"]
    damaged = bytearray(sound)
    damaged[len(sound) // 2] ^= 0x20
    payloads = [sound[: len(sound) // 2], bytes(damaged), sound[:4] + b"\x63" + sound[5:], b""]
    payloads.append(sound[:8] + b"\xff\xff\xff\x7f" + sound[12:20] + bytes(64 * 1024 * 1024))
    for number, payload in enumerate(payloads):
        line.queue.call("XADD", STREAMS[number % 2], "*", "v", "1", "i", "by-hand", "q", number, "d", payload)
    line.queue.call("XADD", STREAMS[0], "*", "v", "9", "i", "by-hand", "q", "0", "d", sound)
    line.queue.call("XADD", STREAMS[1], "*", "greeting", "hello")
    line.collector()
    line.dead = len(payloads)
    flow_and(line, time.monotonic, name="streamer-1")
    line.when("dead letters", lambda: line.store.one("SELECT count(*) FROM dead_letter") == [str(line.dead)])
    line.verify()
    kept = sum(line.queue.calls(*(("LLEN", f"{stream}:dead") for stream in STREAMS)))
    if kept != len(payloads) + 2:
        raise Failed(f"{kept} entries in the lists of dead ones, {len(payloads) + 2} expected")
    stored = line.store.rows("SELECT encode(payload, 'hex') FROM dead_letter")
    if {row[0] for row in stored} != {payload.hex() for payload in map(bytes, payloads)}:
        raise Failed("the bytes of dead letters are not those that came")
    return f"{len(payloads) + 2} entries"


@scenario("duplicates", "14", "what is delivered three times, out of order and to several, is stored once")
def duplicates(line, _):
    """By hand: copies of every entry in the reverse order, before and after they are collected."""
    entries = backlog(line, line.size(100_000, 10_000))
    kept = {stream: line.entries(stream) for stream in STREAMS}
    copy(line, kept)
    copy(line, kept)
    line.collector("collector-0")
    line.collector("collector-1")
    line.drained()
    line.verify()
    copy(line, kept)
    line.drained()
    line.verify()
    return f"{entries} entries, four times each"


def copy(line, kept):
    for stream, entries in kept.items():
        fields = [[part for pair in entry.items() for part in pair] for _, entry in reversed(entries)]
        line.queue.calls(*(("XADD", stream, "*", *parts) for parts in fields))
