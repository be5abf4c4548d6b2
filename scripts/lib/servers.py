"""Real servers and real workers as processes of a script: started on free ports of loopback, killed,
frozen and started again by their process ids. Whatever ends the script, none of them outlives it.
"""

import base64
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "tests/data/dcgm_metrics_20250718_134233.csv"
NOBODY = 65534  # PostgreSQL refuses to run as root
LIMIT = int(os.environ.get("LIMIT", "300"))  # seconds that anything may take
DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL", "--"]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Failed(Exception):
    """Something is not as it must be; the text says what."""


def free_port():
    """A port from which the kernel lets nobody connect (it takes those from 32768 on): a worker that
    tries to reach a killed server can otherwise reach itself, and then has the server's port.
    """
    for _ in range(1000):
        port = random.SystemRandom().randrange(15000, 32000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port from 15000 to 32000")


def eventually(what, look, limit=None, pause=0.01):
    """What `look` finds, as soon as it finds something."""
    limit = LIMIT if limit is None else limit
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(pause)
    raise Failed(f"{what} did not come about within {limit} s")


def children(pid):
    try:
        tasks = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except FileNotFoundError:
        return []
    return [int(child) for child in tasks.split()]


def stands_still(pid):
    """Whether none of its threads runs; one that is gone does not."""
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            if stat.read_text().rpartition(")")[2].split()[0] not in "TZ":
                return False
        except (FileNotFoundError, ProcessLookupError):
            pass
    return True


class Process:
    """A process that is started again and again with the same command."""

    running = []

    def __init__(self, name, command, log, **options):
        self.name, self.command, self.log, self.options = name, command, log, options
        self.process = None

    def start(self):
        with open(self.log, "a") as log:
            out = {"stdout": log, "stderr": log}
            command = [*DIES_WITH_US, *map(str, self.command)]
            self.process = subprocess.Popen(command, **out, **self.options)
        Process.running.append(self.process)

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process is not None

    def family(self):
        """It and its children, as a container that is killed with all that is in it."""
        return [self.pid, *children(self.pid)]

    def send(self, number):
        for pid in self.family():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # a child that ended meanwhile

    def kill(self):
        self.send(signal.SIGKILL)
        self.ended()

    def freeze(self):
        """Until all its threads stand still: the signal alone does not wait for them."""
        self.send(signal.SIGSTOP)
        eventually(f"{self.name} standing still", lambda: all(map(stands_still, self.family())), pause=0.001)

    def thaw(self):
        self.send(signal.SIGCONT)

    def stop(self, number=signal.SIGTERM, limit=60):
        """Its own way to end; answers its exit code."""
        self.process.send_signal(number)
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} did not end within {limit} s of {number!r}") from None
        return self.ended()

    def ended(self):
        code = self.process.wait()
        Process.running.remove(self.process)
        self.process = None
        return code

    def said(self):
        return pathlib.Path(self.log).read_text(errors="replace")

    @classmethod
    def end_all(cls):
        """Those of a run that failed: also frozen ones."""
        for process in list(cls.running):
            for pid in [*children(process.pid), process.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait()
        cls.running.clear()


class Postgres(Process):
    """A PostgreSQL of our own, with the settings that it has after installation."""

    def __init__(self, folder, *settings):
        data = folder / "postgres"
        data.mkdir()
        self.port, self.data = free_port(), data
        found = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
        if found is None:
            raise Failed("PostgreSQL's server is not installed")
        as_nobody = {"cwd": data}
        if os.geteuid() == 0:
            os.chown(data, NOBODY, NOBODY)
            as_nobody |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        initdb = [found, "-D", data / "data", "-U", "telemetry", "-A", "trust", "-N"]
        subprocess.run([*initdb, "-E", "UTF8", "--locale=C"], check=True, **QUIET, **as_nobody)
        server = [found.parent / "postgres", "-D", data / "data", "-p", self.port, "-k", data]
        server += ["-c", "listen_addresses=127.0.0.1"]
        for setting in settings:
            server += ["-c", setting]
        super().__init__("PostgreSQL", server, folder / "postgres.log", **as_nobody)
        self.begin()

    def begin(self):
        """After a kill, the memory of the one before may be in use for a moment."""

        def answers():
            if self.is_running and self.process.poll() is not None:
                self.ended()
            if not self.is_running:
                self.start()
            return self.psql("postgres", "SELECT 1", check=False) == "1"

        eventually("PostgreSQL", answers, pause=0.05)

    def client(self, database):
        arguments = ["psql", "-XqAtw", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]
        return [*arguments, "-U", "telemetry", "-p", str(self.port), "-d", database]

    def psql(self, database, command, check=True):
        arguments = [*self.client(database), "-c", command]
        done = subprocess.run(arguments, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise Failed(f"{command.split()[0]}: {done.stderr}")
        return done.stdout.strip()

    def fresh_database(self, name):
        self.psql("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.psql("postgres", f"CREATE DATABASE {name}")


class Redis(Process):
    """A Redis of our own; it writes its log as the shared profile has it."""

    def __init__(self, folder, fsync="everysec"):
        self.port, self.data = free_port(), folder / "redis"
        self.data.mkdir()
        super().__init__("Redis", [], folder / "redis.log")
        self.writes(fsync)
        self.begin()

    def writes(self, fsync):
        """From the next start on: `always`, `everysec`, or `none` for no log at all."""
        settings = f"--appendonly {'no' if fsync == 'none' else 'yes'} --maxmemory-policy noeviction"
        if fsync != "none":
            settings += f" --appendfsync {fsync}"
        server = ["redis-server", "--port", self.port, "--dir", self.data, "--bind", "127.0.0.1"]
        self.command = [*server, "--save", "", *settings.split()]

    def begin(self):
        self.start()
        eventually("Redis", lambda: self.cli("PING", check=False) == "PONG")

    def forget(self):
        """What is on its disk, while it does not run."""
        shutil.rmtree(self.data)
        self.data.mkdir()

    def cli(self, *command, check=True):
        arguments = ["redis-cli", "-p", str(self.port), *command]
        done = subprocess.run(arguments, capture_output=True, text=True, check=check)
        return done.stdout.strip()


class Etcd(Process):
    """An etcd of our own, asked by its JSON API."""

    def __init__(self, folder):
        self.data = folder / "etcd"
        self.port = free_port()
        self.url, peer = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{free_port()}"
        server = ["etcd", "--data-dir", self.data, "--name", "chaos", "--log-level", "warn"]
        server += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url]
        server += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        server += ["--initial-cluster", f"chaos={peer}"]
        super().__init__("etcd", server, folder / "etcd.log")
        self.begin()

    def begin(self):
        self.start()
        eventually("etcd", lambda: self.services() is not None)

    def services(self):
        """Keys of the registrations; `None` if it does not answer."""
        told = self.ask("range", keys_only=True)
        if told is None:
            return None
        return sorted(base64.b64decode(one["key"]).decode() for one in told.get("kvs", []))

    def forget_services(self):
        self.ask("deleterange")

    def forget(self):
        """What is on its disk, while it does not run."""
        shutil.rmtree(self.data)

    def ask(self, what, **more):
        keys = {"key": "/services/", "range_end": "/services0"}
        question = {name: base64.b64encode(key.encode()).decode() for name, key in keys.items()} | more
        request = urllib.request.Request(f"{self.url}/v3/kv/{what}", json.dumps(question).encode())
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return json.load(answer)
        except OSError:
            return None


class Worker(Process):
    """A worker of telectl as its own process."""

    def __init__(self, telectl, kind, name, folder, variables):
        self.kind, self.port = kind, free_port()
        self.variables = {
            "PATH": os.environ["PATH"],
            "POD_NAME": name,
            "POD_IP": "127.0.0.1",
            "LISTEN_PORT": str(self.port),
            "LOG_LEVEL": "warn",
            **variables,
        }
        command = [telectl, "worker", kind]
        super().__init__(name, command, folder / f"{name}.log", env=self.variables)

    def is_ready(self):
        self.verify_alive()
        try:
            url = f"http://127.0.0.1:{self.port}/readyz"
            with urllib.request.urlopen(url, timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def status(self):
        """Its status page; empty if it does not answer."""
        try:
            url = f"http://127.0.0.1:{self.port}/api/v1/status"
            with urllib.request.urlopen(url, timeout=1) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def verify_alive(self):
        """Nobody but us ends a worker."""
        if self.is_running and self.process.poll() is not None:
            code = self.ended()
            raise Failed(f"{self.name} ended by itself ({code}):\n{self.said()[-2000:]}")


def towards(postgres, redis, database):
    """The variables that lead workers to these servers."""
    return {
        "REDIS_URL": f"redis://127.0.0.1:{redis.port}",
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(postgres.port),
        "DB_NAME": database,
        "DB_USER": "telemetry",
        "DB_SSL_MODE": "disable",
    }
