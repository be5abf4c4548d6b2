"""What clients, kills and servers that are away do to the gateway: nothing of it reaches the data."""

import http.client
import json
import socket
import time

from faults_of_queue import backlog
from faults_of_workers import resident
from line import Failed
from scenario import scenario

ANSWER = 5.0  # seconds that an answer about the worker itself may take, whatever else happens


@scenario("gateway", "3, 23", "clients that are slow, many or wrong cost the gateway bounded memory, and others an answer")
def gateway(line, _):
    backlog(line, line.size(200_000, 10_000))
    line.collector()
    line.drained()
    worker = line.worker("api-gateway", "api-gateway-0", {"CLUSTER_ID": "centre"})
    line.when("the gateway", worker.is_ready)
    before = resident(worker)
    with SlowClients(worker.port, line.size(1000, 300)) as slow:
        is_answered(worker, slow)
        refuses(worker)
        most = resident(worker)
    if most > before + 100:
        raise Failed(f"{most} MiB of memory with {slow.count} slow clients, {before} before")
    line.postgres.freeze()
    tells_what_is_away(line, worker)
    line.postgres.thaw()
    line.when("an answer again", lambda: ask(worker, "/api/v1/gpus")[0] == 200)
    worker.kill()
    worker.start()
    since = time.monotonic()
    line.when("the gateway again", worker.is_ready)
    if (took := time.monotonic() - since) > 5:
        raise Failed(f"the gateway is ready again {took:.1f} s after its kill")
    line.verify()
    return f"{slow.count} slow clients: {before} MiB of memory, then {most}"


def ask(worker, path, method="GET"):
    """Status and JSON of the answer; the time that it may take is bounded."""
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        text = answer.read()
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.status, json.loads(text) if is_json else text
    except (OSError, http.client.HTTPException):
        return None, None
    finally:
        connection.close()


class SlowClients:
    """Connections that send a request and never its end."""

    def __init__(self, port, count):
        self.port, self.count = port, count

    def __enter__(self):
        self.sockets = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(self.count)]
        for number, client in enumerate(self.sockets):
            parts = (b"GET /api/v1/stats HT", b"GET /api/v1/telemetry/latest?limit=100 HTTP/1.1\r\nHost: a\r\nX-A: ")
            client.sendall(parts[number % 2])
        return self

    def __exit__(self, *_):
        for client in self.sockets:
            client.close()


def is_answered(worker, slow):
    for path in ("/livez", "/readyz", "/api/v1/gpus"):
        begun = time.monotonic()
        status, _ = ask(worker, path)
        took = time.monotonic() - begun
        if status != 200 or took > ANSWER:
            raise Failed(f"{path} answers {status} after {took:.1f} s beside {slow.count} slow clients")


def refuses(worker):
    """What is asked in a wrong way is refused in the form that the document promises."""
    long_ago = "start_time=0001-01-01T00:00:00Z&end_time=9999-01-01T00:00:00Z"
    wrong = {
        "/api/v1/telemetry/latest?cursor=none": 400,
        "/api/v1/gpus/none/telemetry?cursor=%FF%FE": 400,
        "/api/v1/gpus/none/telemetry?limit=1000000000": 400,
        "/api/v1/gpus/none/telemetry?start_time=soon": 400,
        f"/api/v1/gpus/none/aggregate?metric=A&bucket=1s&{long_ago}": 400,
        "/api/v1/nothing": 404,
    }
    for path, expected in wrong.items():
        status, problem = ask(worker, path)
        if status != expected or not isinstance(problem, dict) or problem.get("status") != expected:
            raise Failed(f"{path} answers {status}: {problem}")


def tells_what_is_away(line, worker):
    """Alive, not ready, and a problem in place of data, each in bounded time."""
    line.when("not being ready", lambda: ask(worker, "/readyz")[0] == 503)
    for path, expected in (("/livez", 200), ("/api/v1/gpus", 503), ("/api/v1/stats", 503)):
        status, problem = ask(worker, path)
        if status != expected:
            raise Failed(f"{path} answers {status} while PostgreSQL is frozen: {problem}")
