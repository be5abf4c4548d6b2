"""Clients of Redis and PostgreSQL, as small as they can be: nothing of telectl's own is asked what it
did. Both connect with every question, so that a server that was killed meanwhile is no special case.
"""

import socket
import struct

ANSWER_LIMIT = 5.0  # seconds; a frozen server answers nothing


class Unavailable(Exception):
    """The server does not answer, or refuses."""


def connected(port):
    stream = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_LIMIT)
    return stream, stream.makefile("rb")


class RedisClient:
    def __init__(self, port):
        self.port = port

    def call(self, *command):
        """The answer: bytes, numbers, lists; what Redis refuses is an exception."""
        return self.calls(command)[0]

    def calls(self, *commands):
        """Several commands on one connection."""
        try:
            stream, answers = connected(self.port)
            with stream, answers:
                stream.sendall(b"".join(map(packed, commands)))
                return [read_value(answers) for _ in commands]
        except (OSError, EOFError) as error:
            raise Unavailable(str(error)) from error


def packed(command):
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    lengths = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%s" % (len(parts), lengths)


def read_value(answers):
    line = answers.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("Redis hung up")
    kind, text = line[:1], line[1:-2]
    if kind == b"-":
        raise Unavailable(text.decode())
    if kind == b"+":
        return text
    number = int(text)
    if kind == b":" or number < 0:
        return number if kind == b":" else None
    if kind == b"$":
        return answers.read(number + 2)[:-2]
    return [read_value(answers) for _ in range(number)]


class PostgresClient:
    """The simple query protocol, without a password, as the servers of these scripts have it."""

    def __init__(self, port, database):
        self.port, self.database = port, database

    def session(self):
        return Session(self.port, self.database)

    def rows(self, query):
        """All rows as lists of texts."""
        with self.session() as session:
            return session.rows(query)

    def one(self, query):
        return self.rows(query)[0]


class Session:
    """A connection, for what holds as long as it: a transaction, a lock."""

    def __init__(self, port, database):
        try:
            self.stream, self.answers = connected(port)
            pairs = ["user", "telemetry", "database", database, "application_name", "chaos"]
            body = struct.pack("!i", 196608) + "\0".join([*pairs, "", ""]).encode()
            self.stream.sendall(struct.pack("!i", len(body) + 4) + body)
            self.read()
        except OSError as error:
            raise Unavailable(str(error)) from error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.answers.close()
        self.stream.close()

    def rows(self, query):
        try:
            body = query.encode() + b"\0"
            self.stream.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
            return self.read()
        except OSError as error:
            raise Unavailable(str(error)) from error

    def read(self):
        """Everything up to the server's being ready for more."""
        rows, refusal = [], None
        while True:
            head = self.answers.read(5)
            if len(head) < 5:
                raise Unavailable(refusal or "PostgreSQL hung up")
            body = self.answers.read(struct.unpack("!i", head[1:])[0] - 4)
            kind = head[:1]
            if kind == b"D":
                rows.append(row(body))
            elif kind == b"E":
                refusal = body.replace(b"\0", b" ").decode(errors="replace")
            elif kind == b"Z":
                if refusal:
                    raise Unavailable(refusal)
                return rows


def row(body):
    (count,) = struct.unpack_from("!h", body)
    at, values = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if length < 0 else body[at : at + length].decode())
        at += max(length, 0)
    return values
