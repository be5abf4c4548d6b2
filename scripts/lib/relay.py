"""A network that does not behave, between a worker and a server: a relay on loopback whose way of failing is
changed while connections go through it."""

import os
import selectors
import socket
import struct
import threading
import time

from servers import free_port

PART = 64 * 1024
RESET = struct.pack("ii", 1, 0)  # closing sends RST
DELAY = 0.5  # seconds


class Relay:
    """Its faults, as the worker sees them:

    - `pass`: none
    - `cut`: every connection is reset, new ones as well
    - `deaf`: requests arrive, answers are lost; afterwards the connections are reset
    - `slow`: each part of an answer comes half a second late
    - `trickle`: answers come byte by byte, some hundred a second
    - `torn`: the next answer is reset in its middle
    """

    def __init__(self, target):
        self.target, self.port = target, free_port()
        self.fault, self.connections, self.lock = "pass", set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.is_closed = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def become(self, fault):
        """From now on, also for the connections that there are."""
        before, self.fault = self.fault, fault
        if fault == "cut" or before == "deaf":
            self.reset_all()

    def reset_all(self):
        with self.lock:
            connections = list(self.connections)
        for pair in connections:
            reset(*pair)

    def close(self):
        self.become("cut")
        self.listener.close()

    def relay(self, client):
        try:
            if self.fault == "cut":
                return reset(client)
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            return reset(client)
        pair = (client, server)
        with self.lock:
            self.connections.add(pair)
        try:
            self.pump(client, server)
        except OSError:
            pass
        finally:
            with self.lock:
                self.connections.discard(pair)
            reset(client, server)

    def pump(self, client, server):
        """Both directions in one thread, so that a part is passed on whole or not at all."""
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ)
            ready.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    part = key.fileobj.recv(PART)
                    if not part:
                        return
                    if key.fileobj is client:
                        server.sendall(part)
                    else:
                        self.answer(client, part)

    def answer(self, client, part):
        fault = self.fault
        if fault == "deaf":
            return
        if fault == "slow":
            time.sleep(DELAY)
        elif fault == "torn":
            self.fault = "pass"
            client.sendall(part[: len(part) // 2])
            raise ConnectionResetError(os.strerror(104))
        while fault == "trickle" and self.fault == "trickle" and part:
            client.sendall(part[:1])
            part = part[1:]
            time.sleep(0.005)
        client.sendall(part)


def reset(*sockets):
    """As when a router forgets a connection and says so."""
    for one in sockets:
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        one.close()
