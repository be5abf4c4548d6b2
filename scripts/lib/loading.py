"""A file through telectl into PostgreSQL, timed and counted: what benches have in common."""

import shutil
import subprocess
import time

from measure import cpu, peak_memory
from servers import Failed, eventually


class Loading:
    """One file, as often as it is asked for, each time into a fresh database."""

    def __init__(self, servers, file, total, rows):
        self.servers, self.file, self.total, self.rows = servers, file, total, rows

    def verify(self, what, table):
        """The rows in the store are those of the file: all of them, each once."""
        found = self.servers.psql(f"SELECT count(*), sum(value) FROM {table}")
        rows, total = found.split("|")
        if int(rows) != self.rows or abs(float(total) - self.total) > abs(self.total) * 1e-9:
            raise Failed(f"{what} is void: {found} in place of {self.rows}|{self.total}")

    def telectl(self, more=None):
        """The collector is there, as in a cluster (`more` are variables of it); the clock runs from the
        streamer's start until the last row is committed."""
        servers = self.servers
        servers.fresh_database()
        servers.redis.cli("FLUSHALL")
        spool = servers.folder / "spool"
        shutil.rmtree(spool, ignore_errors=True)
        collector = servers.worker("collector", "collector-0", more or {})
        eventually("the collector", collector.is_ready)
        servers.psql("CHECKPOINT")
        pids = {"collector": collector.pid, "Redis": servers.redis.pid}
        pids["PostgreSQL"] = servers.postgres.pid
        before = {name: cpu(pid) for name, pid in pids.items()}
        written = int(self.redis_info("total_net_input_bytes"))
        begun = time.monotonic()
        variables = {"CSV_FILE": str(self.file), "SPOOL_DIR": str(spool)}
        streamer = servers.worker("streamer", "streamer-0", variables)
        self.until_committed()
        seconds = time.monotonic() - begun
        spent = {name: cpu(pid) - before[name] for name, pid in pids.items()}
        spent["streamer"] = cpu(streamer.pid)
        workers = {"streamer": streamer, "collector": collector}
        memory = {name: peak_memory(worker.pid) for name, worker in workers.items()}
        queued = (int(self.redis_info("total_net_input_bytes")) - written) / self.rows
        streamer.stop()
        collector.stop()
        self.verify("telectl's leg", "sample")
        self.verify_ledger()
        told = {"seconds": seconds, "cpu": spent, "memory": memory}
        return {**told, "bytes_per_row_into_redis": queued}

    def redis_info(self, name):
        lines = self.servers.redis.cli("INFO", "all").splitlines()
        return next(line.partition(":")[2] for line in lines if line.startswith(f"{name}:"))

    def until_committed(self):
        """One connection that asks until the file is signed off and all its rows are there."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        asking = subprocess.Popen(self.servers.client(), **pipes)
        stored = "coalesce((SELECT sum(rows) FROM ledger), 0)"

        def look():
            asking.stdin.write(f"SELECT {stored}, (SELECT count(*) FROM signed_off);\n")
            asking.stdin.flush()
            return asking.stdout.readline().strip() == f"{self.rows}|1"

        eventually("the last row in the store", look)
        asking.stdin.close()
        asking.wait()

    def verify_ledger(self):
        """Its ranges tile the file from the first byte to the last."""
        tiles = "min(lower(range)), max(upper(range)), sum(upper(range) - lower(range))"
        size = self.file.stat().st_size
        if self.servers.psql(f"SELECT {tiles} FROM ledger") != f"0|{size}|{size}":
            raise Failed("the ledger does not tile the file")
