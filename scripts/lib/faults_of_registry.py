"""What happens to etcd: the data path must not notice, and the registrations come back."""

import time

from line import Failed
from scenario import scenario
from servers import Etcd

BACK = 10  # seconds after which registrations are back


@scenario("etcd", "20", "without etcd data flows as before, and registrations are back 10 s after it is")
def etcd(line, _):
    """Away for a while, emptied, its keys deleted by hand, frozen for longer than a lease lives."""
    server = Etcd(line.folder)
    line.variables = {"ETCD_ENDPOINTS": server.url, "LEASE_TTL": "5s"}
    line.collector()
    seconds = line.size(20, 6)
    made = line.file(line.size(800_000, 20_000))
    line.streamer(made, BATCH_SIZE=100, STREAM_INTERVAL=f"{line.size(10, 150)}ms")
    back = []
    line.when("registrations", lambda: len(server.services() or []) == 2)
    line.when("rows in the store", lambda: line.stored() > 0)
    for fault in (lambda: away(line, server, seconds), lambda: emptied(line, server, seconds),
                  server.forget_services, lambda: frozen(line, server, seconds)):
        fault()
        since = time.monotonic()
        line.when("the registrations", lambda: len(server.services() or []) == 2)
        back.append(time.monotonic() - since)
        if back[-1] > BACK:
            raise Failed(f"registrations are back after {back[-1]:.1f} s, {BACK} are allowed")
    line.drained()
    line.verify()
    line.stop_workers()
    if left := server.services():
        raise Failed(f"still registered after its end: {left}")
    server.kill()
    return f"registrations back after {', '.join(f'{took:.1f}' for took in back)} s"


def flows_for(line, seconds):
    """Rows arrive all the time, as long as there are any."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and line.stored() < line.sources[0].count:
        before = line.stored()
        line.when("rows while etcd is away", lambda: line.stored() > before or line.is_drained(), limit=5)
        time.sleep(0.1)


def away(line, server, seconds):
    server.kill()
    flows_for(line, seconds)
    server.begin()


def emptied(line, server, seconds):
    server.kill()
    server.forget()
    flows_for(line, seconds / 2)
    server.begin()


def frozen(line, server, seconds):
    server.freeze()
    flows_for(line, seconds + 2)
    # Its leases are over in any case.
    time.sleep(max(0, 7 - seconds))
    server.thaw()
