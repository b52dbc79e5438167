"""Clients that are many, slow or silent: what a node keeps for them, and when it ends them.

The frame is that of test_bad_input.py: beside all this a client that behaves works on.
"""

import contextlib
import json
import re
import resource
import select
import ssl
import subprocess
import tempfile
import unittest

from bad_input import HANDSHAKE_SECONDS, MEGABYTE, BadInputTest
from client import Client, ServerError, connect, exchange, line, read_to_end
from harness import PATIENCE, Cluster, Stopwatch, main, report, wait_until


def rpc_call(version):
    member = '"jsonrpc":"2.0",' if version == 2 else ""
    body = f'{{{member}"method":"Storage.Has","params":[{{"type":"memory","key":"k"}}],"id":1}}'
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body),
                                                                           body.encode())


# What a client says first, to which listener, and how the answer to it begins.
FIRST_WORDS = {
    "silent": ("dhrt", b"", b""),
    "text": ("dhrt", b"ping\n", b"+PONG\r\n"),
    "RESP2": ("dhrt", b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    "RESP3": ("dhrt", b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", b"%7\r\n"),
    "HTTP": ("dhrt", b"GET /k HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 404 "),
    "HTTP write": ("dhrt", b"PUT /witness/idle HTTP/1.1\r\nHost: localhost\r\n"
                   b"Content-Length: 1\r\n\r\nv", b"HTTP/1.1 20"),
    "JSON-RPC": ("rpc", rpc_call(1), b"HTTP/1.1 200 "),
    "Hati": ("hati", b"HAS memory k\n", b"+ERR\n"),
    "Hermod": ("hermod", b"auth: any\n", b"Hermod "),
    "nkvd": ("dhrt", b"GET /is?k=k HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 "),
}
LISTENERS = ["--listen", "rpc://127.0.0.1:0,hati://127.0.0.1:0,hermod://127.0.0.1:0"]


def addresses(node):
    """{service: where the node listens for it}."""
    found = re.findall(r"also on\s+(\w+)://([0-9.]+):(\d+)",
                       node.log_path.read_text(errors="replace"))
    return {"dhrt": node.address, **{service: (host, int(port)) for service, host, port in found}}


def greet(where, dialect, source=None):
    """A connection that has said and heard its first words, and then is silent."""
    service, words, begins = FIRST_WORDS[dialect]
    connection = connect(where[service], source=source)
    if words:
        connection.sendall(words)
        answer = connection.recv(4096)
        if not answer.startswith(begins):
            connection.close()
            raise AssertionError(f"{dialect}: the answer begins with {answer[:80]}")
    return connection


class ManyConnections(BadInputTest):
    connection_count = 10_000
    # Memory of the process; what the system keeps for a socket is not in it.
    bytes_per_connection_max = 4096
    cluster_flags = [*BadInputTest.cluster_flags, *LISTENERS]

    @classmethod
    def setUpClass(cls):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = cls.connection_count + 1000
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise AssertionError(f"{wanted} open files are needed, the system allows {hard}; "
                                 "raise `ulimit -Hn`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        super().setUpClass()

    def settle(self, before, count, what):
        """Waits until that many more connections take as little as they may, and says how little."""
        def each():
            return (self.victim.memory_bytes() - before) / count

        limit = self.bytes_per_connection_max * (1 if PATIENCE <= 2 else 4)
        # What a reply took is given back when its client has been silent for a second.
        wait_until(lambda: each() <= limit, 30, f"{count} {what} connections to take {limit} bytes "
                   f"each at most, after {each():.0f}")
        report(f"{count} {what} connections take {each():.0f} bytes each")

    def test_ten_thousand_idle_connections_disturb_nobody(self):
        where = addresses(self.victim)
        idle = []
        first = [greet(where, dialect) for dialect in FIRST_WORDS]  # What all share is there then.
        try:
            begin = self.victim.memory_bytes()
            for dialect in FIRST_WORDS:
                before = self.victim.memory_bytes()
                count = self.connection_count // len(FIRST_WORDS)
                for _ in range(count):
                    # Several addresses, so that the ports of one do not run out.
                    source = (f"127.0.0.{2 + len(idle) // 2500}", 0)
                    idle.append(greet(where, dialect, source))
                self.settle(before, count, dialect)
            wait_until(lambda: self.victim.stats()["connections"] > self.connection_count, 30,
                       "all connections to be accepted")
            self.settle(begin, len(idle), "idle")
            # Each of them may still speak.
            for connection in idle[:len(idle) // len(FIRST_WORDS) * 3:100]:
                connection.sendall(b"ping\n")
                self.assertEqual(connection.recv(100), b"+PONG\r\n")
        finally:
            for connection in first + idle:
                connection.close()
        wait_until(lambda: self.victim.stats()["connections"] < 100, 30, "the node to notice")

    def test_what_is_encrypted_takes_a_few_times_more(self):
        with tempfile.TemporaryDirectory(prefix="dhrt-idle-") as folder:
            certificate, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                            "-days", "2", "-keyout", key, "-out", certificate], check=True,
                           capture_output=True)
            with Cluster(1, ["--memory", "--tls-cert", certificate, "--tls-key", key]) as cluster:
                self.idle_with_tls(cluster[0], ssl.create_default_context(cafile=certificate))

    def idle_with_tls(self, node, context):
        count = 500
        idle = []

        def greet_all(connections):
            for _ in range(connections):
                idle.append(context.wrap_socket(connect(node.address), server_hostname="localhost"))
                idle[-1].sendall(b"ping\n")
                self.assertEqual(idle[-1].recv(100), b"+PONG\r\n")

        greet_all(20)
        before = node.memory_bytes()
        greet_all(count)
        # OpenSSL's own objects are most of it; with buffers kept it would be twice as much.
        limit = 24_000 * (1 if PATIENCE <= 2 else 4)
        wait_until(lambda: (node.memory_bytes() - before) / count <= limit, 30,
                   f"{count} encrypted connections to take {limit} bytes each at most")
        report(f"{count} encrypted connections take {(node.memory_bytes() - before) / count:.0f} "
               "bytes each")
        for connection in idle:
            connection.close()


class SlowHeads(BadInputTest):
    """Many that send the head of a request as slowly as they can."""

    connection_count = 500
    cluster_flags = [*BadInputTest.cluster_flags, *LISTENERS]

    def test_each_is_told_and_ended_in_time_and_others_go_on(self):
        where = addresses(self.victim)
        pending = {}
        for number in range(self.connection_count):
            connection = connect(where["rpc" if number % 4 == 0 else "dhrt"])
            self.addCleanup(connection.close)
            connection.sendall(b"GET /k HTTP/1.1\r\nHost: localhost\r\nX: ")
            pending[connection] = b""
        watch = Stopwatch()
        answers = []
        while pending:
            self.assertLess(watch.seconds(), 60 * PATIENCE, f"{len(pending)} are still there")
            readable, _, _ = select.select(list(pending), [], [], 0.05)
            for connection in readable:
                try:
                    piece = connection.recv(4096)
                except ConnectionResetError:  # By a byte of ours that came when it was over.
                    piece = b""
                pending[connection] += piece
                if not piece:
                    answers.append(pending.pop(connection))
            for connection in pending:
                with contextlib.suppress(OSError):
                    connection.send(b"x")
        self.assertGreater(watch.seconds(), HANDSHAKE_SECONDS * 0.5)
        self.assertEqual({answer[:13] for answer in answers if answer}, {b"HTTP/1.1 408 "})
        # A reset may have overtaken some of them.
        self.assertGreater(sum(map(bool, answers)), len(answers) / 2)
        report(f"{len(answers)} slow heads were ended after {watch.seconds():.1f} s")


class NeverReading(BadInputTest):
    request_count = 300
    memory_growth_max = 100 * MEGABYTE

    def test_a_client_that_asks_for_much_and_reads_nothing_is_held_back(self):
        value = b"v" * MEGABYTE
        self.victim.call("set", "witness", b"large", value)
        before = self.victim.resident_bytes()
        with Client(self.victim.address) as greedy:
            greedy.socket.sendall(line("get", "witness", b"large") * self.request_count)
            self.witness_goes_on(300)
            growth = self.victim.resident_bytes() - before
            report(f"{self.request_count} MiB asked for and not read: the node grew by "
                   f"{growth / MEGABYTE:.1f} MiB")
            self.assertLess(growth, self.memory_growth_max * (1 if PATIENCE == 1 else 4))
            # Held back or cut off; what does come must be whole.
            whole = 0
            try:
                for _ in range(self.request_count):
                    self.assertEqual(greedy.receive(), value)
                    whole += 1
            except ConnectionError:
                self.assertGreater(self.victim.stats()["slow_clients_disconnected"], 0)
            report(f"then it read {whole} whole values")
        self.victim.call("del", "witness", b"large")

    def test_a_client_that_sends_much_and_reads_nothing_is_held_back(self):
        before = self.victim.resident_bytes()
        with connect(self.victim.address, 2) as flood:
            sent = 0
            try:
                while sent < 200 * MEGABYTE:
                    sent += flood.send(b"help\n" * 20_000)
            except TimeoutError:
                pass  # It is not listened to any more.
            except (ConnectionResetError, BrokenPipeError):
                self.assertGreater(self.victim.stats()["slow_clients_disconnected"], 0)
            growth = self.victim.resident_bytes() - before
            report(f"after {sent} bytes of requests nothing more was taken; the node grew by "
                   f"{growth / MEGABYTE:.1f} MiB")
            self.assertLess(sent, 200 * MEGABYTE)
            self.assertLess(growth, self.memory_growth_max * (1 if PATIENCE == 1 else 4))


class Limits(unittest.TestCase):
    """Limits that a flag moves are kept where it put them."""

    def test_connections_over_the_limit_are_told_so(self):
        with Cluster(1, ["--max-clients", "20"]) as cluster:
            node = cluster[0]
            clients = [self.enterContext(node.client())]
            wait_until(lambda: json.loads(clients[0].call("stats"))["connections"] == 1, 30,
                       "earlier clients to be gone")
            clients += [self.enterContext(node.client()) for _ in range(19)]
            self.assertEqual([client.call("ping") for client in clients], ["PONG"] * 20)
            refused = exchange(node.address, b"ping\n")
            self.assertTrue(refused.startswith(b"-"), refused)
            self.assertIn(b"--max-clients", refused)
            refused = exchange(node.address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertTrue(refused.startswith(b"HTTP/1.1 503"), refused)
            clients.pop().close()
            wait_until(node.answers, 30, "a place to be free again")
            for client in clients:
                self.assertEqual(client.call("ping"), "PONG")

    def test_a_smaller_value_limit_holds_in_every_dialect(self):
        with Cluster(1, ["--max-value-bytes", "1kb"]) as cluster:
            node = cluster[0]
            self.assertEqual(node.call("set", b"key", b"v" * 1024), "OK")
            with self.assertRaisesRegex(ServerError, "1025.*--max-value-bytes"):
                node.call("set", b"key", b"w" * 1025)
            answer = exchange(node.address, b"PUT /key HTTP/1.1\r\nHost: localhost\r\n"
                                            b"Content-Length: 1025\r\n\r\n" + b"w" * 1025)
            self.assertTrue(answer.startswith(b"HTTP/1.1 413"), answer)
            self.assertIn(b"--max-value-bytes", answer)
            self.assertEqual(node.call("get", b"key"), b"v" * 1024)

    def test_clients_that_fall_silent_are_ended_where_a_timeout_is_set(self):
        """In every dialect, with half a request or none; one that listens is not silent."""
        with Cluster(1, ["--timeout", "1s", *LISTENERS]) as cluster:
            where = addresses(cluster[0])
            listener = self.enterContext(connect(cluster[0].address))
            listener.sendall(b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n")
            self.assertTrue(listener.recv(100).startswith(b"*3\r\n"))
            watch = Stopwatch()
            silent = {dialect: greet(where, dialect) for dialect in FIRST_WORDS}
            for dialect in ("text", "RESP2", "Hati"):
                silent[f"half a request of {dialect}"] = greet(where, dialect)
                silent[f"half a request of {dialect}"].sendall(FIRST_WORDS[dialect][1][:-1])
            for what, connection in silent.items():
                with self.subTest(what), connection:
                    connection.settimeout(20 * PATIENCE)
                    read_to_end(connection)
            self.assertGreater(watch.seconds(), 0.9)
            self.assertEqual(cluster[0].stats()["connections"], 2)
            self.assertEqual(select.select([listener], [], [], 0)[0], [])

    def test_a_client_that_asks_on_and_reads_nothing_is_ended_where_the_limits_say_so(self):
        flags = ["--timeout", "1s", "--output-buffer-max", "1mb", "--handshake-timeout", "1s",
                 "--memory"]
        with Cluster(1, flags) as cluster:
            node = cluster[0]
            node.call("set", "large", b"v" * 4 * MEGABYTE)
            with connect(node.address) as greedy:
                greedy.sendall(line("get", "large") * 20)
                wait_until(lambda: node.stats()["slow_clients_disconnected"] == 1, 30,
                           "the client to be cut off")
                self.assertEqual(node.stats()["connections"], 1)


del BadInputTest  # Its subclasses are the tests.

if __name__ == "__main__":
    main()
