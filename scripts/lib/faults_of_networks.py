"""What happens between workers and servers, and to the clocks of both."""

import datetime
import json
import subprocess
import time
import urllib.request

from faults_of_queue import flow_and
from line import Failed
from relay import Relay
from scenario import scenario
from servers import ROOT

FAULTS = ("torn", "cut", "deaf", "slow", "trickle")


@scenario("network-to-redis", "11", "commands whose answers are lost, late or torn are done again, and stored once")
def network_to_redis(line, _):
    relay = Relay(line.redis.port)
    line.variables = {"REDIS_URL": f"redis://127.0.0.1:{relay.port}"}
    return through(line, relay)


@scenario("network-to-postgres", "11", "a commit whose answer is lost is found out about, and stored once")
def network_to_postgres(line, _):
    relay = Relay(line.postgres.port)
    line.variables = {"DB_PORT": str(relay.port)}
    return through(line, relay)


def through(line, relay):
    """Each fault for a while, as rows flow."""
    line.collector()
    for fault in FAULTS:

        def disturb(fault=fault):
            relay.become(fault)
            # Not a synchronisation: how long the network is like that is what is done to it.
            time.sleep(line.size(20, 4))
            relay.become("pass")
            return time.monotonic()

        flow_and(line, disturb)
    line.verify()
    relay.close()
    return ", ".join(FAULTS)


@scenario("clocks", "19", "clocks that are wrong, or jump by an hour, change neither names nor what is stored")
def clocks(line, _):
    """The streamer's is a year ahead and jumps back, the collector's jumps forth and back, under load."""
    library = line.folder / "clock.so"
    source = ROOT / "scripts/lib/clock.c"
    if subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"]).returncode != 0:
        raise Failed("the library that moves clocks cannot be compiled")
    files = {kind: line.folder / f"clock-of-{kind}" for kind in ("streamer", "collector")}

    def turn(kind, seconds):
        files[kind].write_text(str(seconds))

    def preloaded(kind):
        return {"LD_PRELOAD": library, "CLOCK_OFFSET": files[kind]}

    turn("streamer", 365 * 86_400)
    turn("collector", 0)
    collector = line.collector(**preloaded("collector"))

    def jump():
        for forth in (3600, -3600):
            turn("collector", forth)
            turn("streamer", -forth)
            line.when("another clock", lambda forth=forth: abs(ahead(collector) - forth) < 60)
            before = line.stored()
            line.when("rows with other clocks", lambda before=before: line.stored() > before or line.is_drained())
        return time.monotonic()

    flow_and(line, jump, **preloaded("streamer"))
    line.verify()
    return "a year, an hour forth and back"


def ahead(worker):
    """Seconds that its wall clock is ahead of the machine's."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/health", timeout=5) as answer:
            told = json.load(answer)["timestamp"]
    except OSError:
        return 0.0
    return datetime.datetime.fromisoformat(told.replace("Z", "+00:00")).timestamp() - time.time()
