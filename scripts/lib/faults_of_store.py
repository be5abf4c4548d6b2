"""What happens to PostgreSQL."""

import signal
import time

from faults_of_queue import backlog, flow_and, prepare, wait_in
from line import DATABASE, RECOVERY
from scenario import scenario


@scenario("postgres-restarts", "10", "transactions that PostgreSQL's end cuts off are done again, whole")
def postgres_restarts(line, _):
    """Stopped fast, stopped at once, killed; while rows flow."""
    line.collector()
    ends = (
        lambda: line.postgres.stop(signal.SIGINT),
        lambda: line.postgres.stop(signal.SIGQUIT),
        line.postgres.kill,
    )
    for end in ends:

        def restart(end=end):
            end()
            since = time.monotonic()
            line.postgres.begin()
            return since

        flow_and(line, restart)
    line.verify()
    return "fast, immediate, killed"


@scenario("backend-killed", "10", "a session that ends in the middle of its COPY leaves no part of it behind")
def backend_killed(line, _):
    """A trigger stops the COPY in its middle until the session is terminated there."""
    prepare(line)
    backlog(line, line.size(50_000, 5_000))
    line.collector()
    line.when("rows in the store", lambda: line.stored() > 0)
    line.drained()
    wait_in(line, "sample")
    killed = 0
    for number in range(line.size(10, 3)):
        with line.store.session() as lock:
            lock.rows("SELECT pg_advisory_lock(7)")
            made = line.file(2_000)
            line.streamer(made, f"streamer-{number + 1}")
            copying = "FROM pg_stat_activity WHERE query LIKE 'COPY sample%' AND wait_event = 'advisory'"
            line.when("a COPY that waits", lambda: line.store.one(f"SELECT count(*) {copying}") != ["0"])
            killed += len(line.store.rows(f"SELECT pg_terminate_backend(pid) {copying}"))
        line.drained(time.monotonic())
    line.verify()
    return f"{killed} sessions"


@scenario("connection-limit", "10", "while the database takes no more connections nothing is lost, and nobody ends")
def connection_limit(line, _):
    """Every session of the workers is ended, and none is let in until they have been refused."""
    for command in ("DROP ROLE IF EXISTS pipeline", "CREATE ROLE pipeline LOGIN"):
        line.postgres.psql("postgres", command)
    line.postgres.psql(DATABASE, "CREATE EXTENSION btree_gist")
    line.postgres.psql(DATABASE, "ALTER SCHEMA public OWNER TO pipeline")
    line.variables = {"DB_USER": "pipeline"}
    collector = line.collector()

    def shut():
        line.postgres.psql("postgres", "ALTER ROLE pipeline CONNECTION LIMIT 0")
        line.store.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pipeline'")
        line.when("a refused connection", lambda: "too many connections" in collector.said())
        line.postgres.psql("postgres", "ALTER ROLE pipeline CONNECTION LIMIT -1")
        return time.monotonic()

    flow_and(line, shut)
    line.verify()


@scenario("partition-dropped", "10", "a day's partition that is not there any more is made again")
def partition_dropped(line, _):
    """Together with its rows, of a file that was stored whole: what comes later is stored all the same."""
    backlog(line, line.size(50_000, 5_000))
    line.collector()
    line.drained()
    partitions = "SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'sample'::regclass"
    for (partition,) in line.store.rows(partitions):
        line.store.rows(f"DROP TABLE {partition}")
    line.sources[0].rows.clear()  # Rows that somebody deletes stay deleted.
    made = line.file(line.size(50_000, 5_000))
    line.streamer(made, "streamer-1")
    line.drained(time.monotonic())
    line.verify_rows(line.sources[0])
    line.verify_rows(made)
    line.verify_ledger(made)


@scenario("database-lost", "10", "a database that is lost is filled again from the sources, with nobody told")
def database_lost(line, _):
    """All claims are completed, into the life that is gone."""
    backlog(line, line.size(100_000, 10_000))
    line.collector()
    line.drained()
    line.verify()
    line.postgres.fresh_database(DATABASE)
    # Who looks every 5 s tells who asks every 3 s, and then the file is read from its start.
    line.drained(time.monotonic(), allowed=2 * RECOVERY)
    line.verify()


@scenario("postgres-silent", "10, 11", "a database that accepts and does not answer is waited for")
def postgres_silent(line, _):
    """Frozen, with every connection open."""
    line.collector()

    def silence():
        line.postgres.freeze()
        # Not a synchronisation: how long it is silent is what is done to it.
        time.sleep(line.size(25, 9))
        line.postgres.thaw()
        return time.monotonic()

    flow_and(line, silence)
    line.verify()
