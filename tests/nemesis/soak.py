#!/usr/bin/env python3
"""Connections in all dialects that send valid, cut and mutated requests, as many at a time as are
asked for, until the time is over; at --pace E no more than E of them do something in a millisecond.

usage: soak.py --seed N --seconds S [--connections C] [--pace E] DIALECT=HOST:PORT...
       soak.py --seed N --show NUMBER       what connection NUMBER of a run sends, piece by piece

Requests come from the tables of tests/conformance and from what stands below. What a connection
does depends on the seed and its number alone (but for the random bytes that a TLS library begins
with); in which order the node gets it does not.
Prints a line of JSON at the end: how much of what was done.
"""

import argparse
import collections
import errno
import json
import pathlib
import random
import select
import socket
import ssl
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))

import exchanges  # noqa: E402
import rows  # noqa: E402
from wire import array  # noqa: E402

CONNECTIONS = 1000
# Of one connection; a reply that nobody reads is the node's to bound.
REQUEST_BYTES_MAX = 1 << 18
READ_BYTES = 1 << 16
# A connection that gets and sends nothing for so long has had its time.
SILENT_SECONDS_MAX = 2
POLL_SECONDS = 0.05
# Words that end a node, its clients or the test's own data: all else may be said.
FORBIDDEN = (b"shutdown", b"leave", b"kill", b"config", b"pause", b"flush", b"drop", b"failover",
             b"debug", b"witness", b"backup", b"save", b"acl", b"swapdb", b"restore", b"swap")
PEER_PREFACE = b"\0dhrt\1"
HEAD = b"Host: localhost\r\n"


def http(method, target, body=b"", more=b""):
    return (b"%s %s HTTP/1.1\r\n%s%sContent-Length: %d\r\n\r\n%s"
            % (method, target, HEAD, more, len(body), body))


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def redis_requests():
    commands = [array(row.words) for _, case in rows.read_cases() for row in case]
    commands += [array([b"SUBSCRIBE", b"news"]), array([b"PSUBSCRIBE", b"n*"]),
                 array([b"PUBLISH", b"news", b"word"]), array([b"MONITOR"]),
                 array([b"HELLO", b"3"]), array([b"MULTI"]), array([b"EXEC"]),
                 b"*1000000000\r\n", b"*-1\r\n", b"$9\r\n", b"*2\r\n$3\r\nGET\r\n$-5\r\nk\r\n"]
    return commands


def text_requests():
    return [b"ping\n", b"help\n", b"stats\n", b"nodes\n", b"collections\n", b"\n", b"keys\n",
            b'set k "a b"\n', b"get k\n", b"has k\n", b"del k\n", b"count\n", b"scan default\n",
            b"scan default --limit 3\n", b"set c k v --ttl 1s\n", b"get c k\n", b"keys c\n",
            b"set big " + b"v" * 5000 + b"\n", b"get big\n" * 20, b"get missing --read all\n"]


def http_requests():
    json_body = b'{"jsonrpc":"2.0","method":"Storage.Count","params":{"type":"memory"},"id":1}'
    found = [http(b"GET", row.sent.split()[-1]) for _, case in exchanges.read_cases("nkvd")
             for row in case if row.sent.startswith(b"GET /")]
    return found + [
        http(b"GET", b"/"), http(b"GET", b"/_/stats"), http(b"GET", b"/_/metrics"),
        http(b"GET", b"/openapi.json"), http(b"PUT", b"/c/k", b"value"), http(b"GET", b"/c/k"),
        http(b"PUT", b"/c/k", b"{}", b"If-None-Match: *\r\n"), http(b"DELETE", b"/c/k"),
        http(b"GET", b"/c?limit=3"), http(b"HEAD", b"/c/k"), http(b"POST", b"/rpc", json_body),
        http(b"PUT", b"/c/big", b"v" * 20_000), http(b"GET", b"/c/big") * 5,
        http(b"OPTIONS", b"/c/k", b"", b"Origin: http://a\r\n"
             b"Access-Control-Request-Method: PUT\r\n"),
        b"PUT /c/k HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"PUT /c/k HTTP/1.1\r\n" + HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /c/k HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"y" * 3000 + b"\r\n\r\n"]


def table(name, wrap=lambda sent: sent):
    return [wrap(row.sent) for _, case in exchanges.read_cases(name) for row in case if row.sent]


def peer_requests():
    return [PEER_PREFACE + kind + bytes(range(length))
            for kind in (b"\0", b"\1") for length in (0, 8, 64, 200)]


def harmless(requests):
    return [one for one in requests if not any(word in one.lower() for word in FORBIDDEN)]


def all_requests():
    """{dialect: its requests}. The first word says which listener it is for."""
    return {
        "dhrt text": harmless(text_requests()),
        "dhrt redis": harmless(redis_requests()),
        "dhrt http": harmless(http_requests()),
        "dhrt peer": peer_requests(),
        "dhrt tls": [client_hello()],
        "rpc": harmless(table("rpc", lambda body: http(b"POST", b"/", body))),
        "hati": harmless(table("hati")),
        "hermod": harmless(table("hermod")),
    }


def mutate(request, source):
    data = bytearray(request)
    for _ in range(source.choice((1, 1, 2, 5, 20))):
        at = source.randrange(len(data) + 1)
        kind = source.randrange(5)
        if kind == 0 and at < len(data):
            data[at] = source.randrange(256)
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << source.randrange(8)
        elif kind == 2:
            data[at:at] = source.choice((b"\r\n", b"\n", b"\0", b" ", b"\"", b"0", b"9" * 20, b"*",
                                         b"$", b"-", b"\xff", b"\x04", b"\x16\x03\x01"))
        elif kind == 3:
            del data[at:at + source.randrange(1, 9)]
        else:
            data[at:at] = data[at:at + source.randrange(1, 65)]
    return bytes(data)


class Script:
    """What one connection does: its dialect, its bytes, how it sends them, and how it ends."""

    def __init__(self, seed, number, requests):
        source = random.Random(f"{seed} {number}")
        self.dialect = source.choice(sorted(requests))
        sent = b""
        for _ in range(source.choice((1, 1, 2, 3, 10, 50))):
            request = source.choice(requests[self.dialect])
            shape = source.randrange(10)
            if shape < 4:
                sent += request
            elif shape < 6:
                sent += request[:source.randrange(len(request) + 1)]
            elif shape < 9:
                sent += self.mutated(request, source)
            else:
                sent += source.randbytes(source.choice((1, 10, 100, 1000)))
            if len(sent) > REQUEST_BYTES_MAX:
                break
        self.pieces = self.cut(sent, source)
        self.reads = source.random() < 0.9
        # A reset, an end of ours that reads on, a plain end, or nothing any more.
        self.end = source.choice(3 * ("reset", "half", "close") + ("silent",))

    @staticmethod
    def mutated(request, source):
        for _ in range(10):
            mutated = mutate(request, source)
            # Made of harmless ones, what ends a node would have to be hit by chance.
            if harmless([mutated]):
                return mutated
        return b""

    @staticmethod
    def cut(sent, source):
        if source.random() < 0.5:
            return [sent]
        step = source.choice((1, 7, 100, 1000))
        if step == 1:
            sent = sent[:500]
        return [sent[at:at + step] for at in range(0, len(sent), step)] or [b""]


class Connection:
    def __init__(self, script, address, epoll):
        self.script, self.epoll = script, epoll
        self.sent = 0
        self.pieces = collections.deque(script.pieces)
        self.received_bytes = 0
        self.first = b""
        self.done = False
        self.active = time.monotonic()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = self.socket.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, f"connect to {address}")
        self.number = self.socket.fileno()
        epoll.register(self.number, self.mask())

    def mask(self):
        return ((select.EPOLLIN if self.script.reads else 0) |
                (select.EPOLLOUT if self.pieces else 0) | select.EPOLLRDHUP)

    def handle(self, events):
        """Moves bytes; False: the connection is over."""
        self.active = time.monotonic()
        try:
            if events & select.EPOLLIN and not self.read():
                return False
            if events & (select.EPOLLERR | select.EPOLLHUP):
                return False
            if events & select.EPOLLRDHUP and not events & select.EPOLLIN:
                return False
            if events & select.EPOLLOUT and self.pieces:
                return self.write()
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def read(self):
        got = self.socket.recv(READ_BYTES)
        self.received_bytes += len(got)
        if not self.first:
            self.first = got[:12]
        return bool(got)

    def write(self):
        piece = self.pieces[0]
        sent = self.socket.send(piece) if piece else 0
        self.sent += sent
        if sent < len(piece):
            self.pieces[0] = piece[sent:]
            return True
        self.pieces.popleft()
        if self.pieces:
            return True
        return self.finish()

    def finish(self):
        self.done = True
        if self.script.end == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if self.script.end == "close":
            return False
        if self.script.end == "half":
            self.socket.shutdown(socket.SHUT_WR)
        self.epoll.modify(self.number, self.mask())
        return True

    def close(self):
        self.epoll.unregister(self.number)
        self.socket.close()


class Soak:
    def __init__(self, seed, addresses, connection_count, pace):
        self.seed, self.addresses, self.connection_count = seed, addresses, connection_count
        # Events handled, and connections begun, in a millisecond; None: as many as there are.
        self.pace = pace
        self.never = threading.Event()
        self.requests = {dialect: requests for dialect, requests in all_requests().items()
                         if dialect.split()[0] in addresses}
        self.epoll = select.epoll()
        self.open = {}
        self.figures = collections.Counter()
        self.by_dialect = collections.Counter()

    def run(self, seconds):
        """For so long, and until there were as many connections again as there are at a time."""
        over = time.monotonic() + seconds
        looked = time.monotonic()
        while (time.monotonic() < over or
               self.figures["connections"] < 2 * self.connection_count):
            missing = self.connection_count - len(self.open)
            for _ in range(missing if self.pace is None else min(missing, self.pace)):
                self.begin()
            if self.pace is not None:
                self.never.wait(0.001)
            for number, events in self.epoll.poll(POLL_SECONDS, self.pace or -1):
                if number in self.open and not self.open[number].handle(events):
                    self.end(number)
            if time.monotonic() - looked > POLL_SECONDS:
                looked = time.monotonic()
                for number in [number for number, one in self.open.items()
                               if looked - one.active > SILENT_SECONDS_MAX]:
                    self.figures["silent"] += 1
                    self.end(number)
        for number in list(self.open):
            self.end(number)

    def begin(self):
        script = Script(self.seed, self.figures["connections"], self.requests)
        self.figures["connections"] += 1
        self.by_dialect[script.dialect] += 1
        one = Connection(script, self.addresses[script.dialect.split()[0]], self.epoll)
        self.open[one.number] = one

    def end(self, number):
        one = self.open.pop(number)
        self.figures["bytes_sent"] += one.sent
        self.figures["bytes_received"] += one.received_bytes
        self.figures["answered"] += one.received_bytes > 0
        self.figures["whole"] += one.done
        one.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--pace", type=int)
    parser.add_argument("--show", type=int)
    parser.add_argument("addresses", nargs="*")
    options = parser.parse_args()
    if options.show is not None:
        script = Script(options.seed, options.show, all_requests())
        print(script.dialect, "reads" if script.reads else "reads nothing", script.end)
        for piece in script.pieces:
            print(piece)
        return
    addresses = {}
    for word in options.addresses:
        dialect, _, address = word.partition("=")
        host, _, port = address.rpartition(":")
        addresses[dialect] = (host, int(port))
    soak = Soak(options.seed, addresses, options.connections, options.pace)
    soak.run(options.seconds)
    print(json.dumps({**soak.figures, "by_dialect": soak.by_dialect}))


if __name__ == "__main__":
    main()
