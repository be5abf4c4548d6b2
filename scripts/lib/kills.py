"""Rounds of kill -9: anything at any moment, and at the moments between two steps that belong
together. The moments are made by freezing servers and holding locks: the product has nothing in it for
tests."""

import contextlib
import time

from line import STREAMS, Failed, told
from scenario import scenario

VICTIMS = ("streamer", "collector", "Redis", "PostgreSQL")


@scenario("kill-rounds", "1, 2, 3, 7, 10, 25", "every row once, whatever is killed whenever; flow back in time")
def kill_rounds(line, rounds):
    kills = dict.fromkeys(VICTIMS, 0)
    recoveries, drains = [], []
    for number in range(rounds):
        try:
            kill_round(line, kills)
            if (number + 1) % 25 == 0 or number + 1 == rounds:
                line.verify()
                recoveries, drains = recoveries + line.recoveries, drains + line.drains
                # A database that grows for ever would take the time of all that follow.
                line.reset()
        except Failed as failed:
            raise Failed(f"round {number + 1} of {rounds} ({kills}): {failed}") from failed
        if (number + 1) % 25 == 0:
            line.say(f"round {number + 1} of {rounds}: {kills}, {told(recoveries, drains)}")
    line.recoveries, line.drains = recoveries, drains
    return f"{rounds} rounds, kills: {kills}"


def kill_round(line, kills):
    """One file from its first row to the last, with kills while it flows."""
    chance = line.chance
    made = line.file(chance.randrange(1_000, line.size(20_000, 8_000)))
    for number in range(chance.choice((1, 2)) - len(running(line, "collector"))):
        line.collector(f"collector-{number}" if number else "collector-0")
    streamers = chance.choice((1, 1, 2))
    settings = {"BATCH_SIZE": chance.choice((50, 200, 1000)), "STREAMER_REPLICAS": streamers}
    if chance.random() < 0.7:
        settings["STREAM_INTERVAL"] = f"{chance.randrange(1, 20)}ms"
    for number in range(streamers):
        line.streamer(made, f"streamer-{number}", **settings)
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        # Not the time that something takes, but which moment of all is the one.
        time.sleep(chance.random() ** 2 * 1.5)
        victim = chance.choice(VICTIMS)
        since = kill(line, victim)
        done.append((victim, round(time.monotonic() - since, 2)))
        kills[victim] += 1
    line.drained(since)
    if line.drains[-1] > 8:
        line.say(f"slow: {line.drains[-1]:.1f} s after {done} (started again after s), {streamers} streamers")
    line.verify_rows(made)
    line.verify_ledger(made)
    line.stop_workers("streamer")


def running(line, kind):
    return [worker for worker in line.workers.values() if worker.kind == kind]


def kill(line, victim):
    """Kills and starts again; answers when it was killed."""
    line.alive()
    pause = line.chance.choice((0, 0, line.chance.random() / 2))
    since = time.monotonic()
    if victim in ("Redis", "PostgreSQL"):
        server = line.redis if victim == "Redis" else line.postgres
        server.kill()
        time.sleep(pause)
        server.begin()
        return since
    worker = line.chance.choice(running(line, victim))
    worker.kill()
    time.sleep(pause)
    worker.start()
    return since


@scenario("killed-before-commit", "2", "nothing is acknowledged before the commit: what was under way is stored")
def killed_before_commit(line, _):
    """A lock on the ledger holds the transaction open until its collector is dead."""
    with a_transaction_that_waits(line) as collector:
        collector.kill()
        if line.queue.call("XLEN", STREAMS[0]) == 0:
            raise Failed("acknowledged before the commit: the stream is empty")
    collector.start()
    line.drained(time.monotonic())
    line.verify()


@contextlib.contextmanager
def a_transaction_that_waits(line):
    """A collector with a full transaction, which cannot enter its rows as long as this is held."""
    made = line.file(line.size(50_000, 5_000))
    collector = line.collector()
    line.when("the tables", lambda: line.store.rows("SELECT FROM ledger") == [])
    with line.store.session() as lock:
        lock.rows("BEGIN; LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE")
        line.streamer(made)
        line.when("a transaction that waits", lambda: waits_for_lock(line))
        yield collector


def waits_for_lock(line):
    """A transaction that stores; others only look at the ledger."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
    waiting += "AND query LIKE 'INSERT INTO ledger%'"
    return int(line.store.one(waiting)[0]) > 0


@scenario("killed-after-commit", "4", "what was committed and not acknowledged is not stored again")
def killed_after_commit(line, _):
    """Redis is frozen while the commit happens, so that no acknowledgement reaches it."""
    with a_transaction_that_waits(line) as collector:
        line.redis.freeze()
    line.when("rows in the store", lambda: line.stored() > 0)
    collector.kill()
    line.redis.thaw()
    collector.start()
    line.drained(time.monotonic())
    line.verify()


@scenario("killed-before-publish", "5", "what is in the spool is published by the next life of its streamer")
def killed_before_publish(line, _):
    """Redis is frozen: the spool grows and nothing leaves it, but what is in the sockets: Redis reads
    that when its sender is dead already, and the next life sends it again."""
    made = line.file(line.size(50_000, 5_000))
    line.collector()
    line.when("the tables", lambda: line.store.rows("SELECT FROM ledger") == [])
    line.redis.freeze()
    streamer = line.streamer(made)
    line.when("a spool that waits", lambda: line.spooled() > 1000)
    streamer.kill()
    line.redis.thaw()
    streamer.start()
    line.drained(time.monotonic())
    line.verify()


@scenario("killed-before-answer", "5", "what was published and not answered is published again, and stored once")
def killed_before_answer(line, _):
    """Redis is frozen when entries flow already: it has commands in its sockets whose sender dies."""
    made = line.file(line.size(100_000, 10_000))
    streamer = line.streamer(made, BATCH_SIZE=50)
    line.when("entries", lambda: line.depth()[0] >= 5)
    line.redis.freeze()
    streamer.kill()
    line.redis.thaw()
    streamer.start()
    since = time.monotonic()
    line.collector()
    line.drained(since)
    line.verify()
