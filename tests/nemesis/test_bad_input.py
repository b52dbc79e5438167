"""What clients may send to a node.

Each class has two nodes. While it does its worst to the first one, a client that behaves works
on and has its latency measured; at the end the node must live, answer, and hold exactly what was
stored on purpose.
"""

import http.client
import json
import socket
import struct
import urllib.parse

from bad_input import ERROR, HANDSHAKE_SECONDS, MEGABYTE, BadInputTest
from client import Client, connect, line, read_to_end
from harness import PATIENCE, Stopwatch, main, report, seeded, wait_until

PEER_PREFACE = b"\0dhrt\1"
CONTROL, BULK = b"\0", b"\1"
VALUE_BYTES_MAX = 16 * MEGABYTE
ALL_BYTES = bytes(range(256))


class TextLines(BadInputTest):
    def test_bad_lines_get_an_error_and_the_connection_goes_on(self):
        for request, *words in (
                (b"nonsense\n", b"unknown command 'nonsense'", b"help"),
                (b"set\n",), (b"set onlykey\n",), (b"set a b c d e\n",), (b"get\n",),
                (b"get a b c\n",), (b"del\n",), (b"drop\n",), (b"scan\n",),
                (b'set "a b\n', b"unbalanced quotes"),
                (b'set a "b\n', b"unbalanced quotes"),
                (b'set a "b"c\n', b"closing quote"),
                (b'set a "\\q"\n', b"escape"), (b'set a "\\x4"\n', b"escape"),
                (b"set a b --ttl soon\n", b"--ttl"), (b"set a b --ttl -1s\n", b"--ttl"),
                (b"set a b --tll 1s\n", b"--tll"), (b"get a --read everything\n", b"--read"),
                (b"scan default --limit -1\n", b"--limit"),
                (b"set _system a b\n", b"collection"), (b"get no/such a\n", b"collection"),
                (b"set " + b"c" * 65 + b" a b\n", b"collection"), (b'get ""\n', b"empty"),
                (b"\xff\xfe\xfd\n",), (b"\0\0\0\n",), (b"GET /x HTTP/1\n",),
                (b"create made --memory --disk\n",),
                (b"set " + b"x " * 2000 + b"\n",)):
            with self.subTest(request=request[:60]):
                self.refuses(request, *words)

    def test_keys_and_values_over_the_limit_name_limit_and_flag(self):
        self.refuses(line("set", b"k" * 512, b"v"), b"512", b"511")
        self.refuses(line("get", b"k" * 512), b"512", b"511")
        self.refuses(line("set", b"big", b"v" * (VALUE_BYTES_MAX + 1)), b"16777217",
                     b"--max-value-bytes")
        # Longer than any line may be: an error, and the end, for nobody knows where it ends.
        answer = self.ask(b"set big " + b"v" * (VALUE_BYTES_MAX + 2 * 65536))
        self.assertTrue(answer.startswith(ERROR), answer[:200])
        self.assertIn(b"--max-value-bytes", answer)
        self.store(b"k" * 511, b"the longest key")

    def test_a_value_of_16_mib_is_stored_and_read_on_another_node(self):
        value = bytes(range(33, 127)) * (VALUE_BYTES_MAX // 94 + 1)
        value = value[:VALUE_BYTES_MAX].replace(b'"', b"_").replace(b"\\", b"_")
        self.victim.call("set", "witness", b"large", value)
        wait_until(lambda: self.other.call("get", "witness", b"large") == value, 20,
                   "16 MiB on the other node")
        self.victim.call("del", "witness", b"large")

    def test_blank_and_unfinished_lines_do_nothing(self):
        self.assertEqual(self.ask(b"\n\r\n  \n\nping\r\n\n"), b"+PONG\r\n")
        for request in (b"set half 1", b"set half", b'set "half', b'set half "1"', b"\r\n\r"):
            self.assertEqual(self.ask(request), b"", request)
            connect(self.victim.address).close()

    def test_one_byte_at_a_time(self):
        for request, answer in ((b'set "slow" "one \\x01 two"\n', b"+OK\r\n"),
                                (b"\r\nget slow\r\n", b"$9\r\none \x01 two\r\n")):
            with Client(self.victim.address) as client:
                for byte in request:
                    client.socket.sendall(bytes([byte]))
                self.assertEqual(client.replies.read(len(answer)), answer)
        self.stored[b"slow"] = b"one \x01 two"

    def test_an_array_of_redis_may_stand_between_lines(self):
        answer = self.ask(b"ping\n*1\r\n$4\r\nPING\r\nping\n")
        self.assertEqual(answer, b"+PONG\r\n" * 3)


class EveryByte(BadInputTest):
    """Keys and values of any bytes are the same through every dialect and on every node."""

    def http(self, node, method, path, body=None):
        connection = http.client.HTTPConnection(*node.address, timeout=20)
        self.addCleanup(connection.close)
        connection.request(method, path, body, {"Accept": "application/octet-stream"})
        response = connection.getresponse()
        return response.status, response.read()

    @staticmethod
    def path(key):
        return "/default/" + urllib.parse.quote_from_bytes(key, safe="")

    def test_written_as_text_and_read_over_http(self):
        keys = [bytes([byte]) for byte in range(256)] + [ALL_BYTES, ALL_BYTES[::-1]]
        for key in keys:
            self.store(key, ALL_BYTES + key)
        self.cluster.wait_same(seconds=30, expected=self.stored)
        for key in keys:
            self.assertEqual(self.http(self.other, "GET", self.path(key)), (200, ALL_BYTES + key))

    def test_written_over_http_and_read_as_text(self):
        for byte in range(256):
            key = b"http-%c-%c" % (byte, 255 - byte)
            status, _ = self.http(self.victim, "PUT", self.path(key), key + ALL_BYTES)
            self.assertIn(status, (200, 201, 204))
            self.stored[key] = key + ALL_BYTES
        with self.other.client() as client:
            for key in [key for key in self.stored if key.startswith(b"http-")]:
                wait_until(lambda k=key: client.call("get", k) == self.stored[k], 30, f"{key}")

    def test_every_byte_bare_in_a_line_is_kept_or_refused(self):
        """Without quotes, too, all bytes but the blank and line ends are data."""
        for byte in range(256):
            if byte in b"\n\r \"":
                continue
            key = b"bare%c" % byte
            self.assertEqual(self.ask(b"set " + key + b" " + key + b"\n"), b"+OK\r\n", key)
            self.stored[key] = key


class Http(BadInputTest):
    host = b"Host: localhost\r\n"

    def test_malformed_requests_get_their_status(self):
        host = self.host
        for status, request in (
                (400, b"GET / HTTP/1.1\r\n\r\n"),
                (400, b"GET / HTTP/1.1\r\nno colon\r\n" + host + b"\r\n"),
                (400, b"GET / HTTP/1.1\r\n" + host + host + b"\r\n"),
                (400, b"PUT /k HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n"),
                (400, b"PUT /k HTTP/1.1\r\n" + host + b"Content-Length: 1\r\n"
                      b"Content-Length: 2\r\n\r\nab"),
                (400, b"PUT /k HTTP/1.1\r\n" + host + b"Content-Length: 3\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                (400, b"PUT /k HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
                (400, b"PUT /k HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n"
                      b"3\r\nabcdef\r\n0\r\n\r\n"),
                (400, b"GET /%zz HTTP/1.1\r\n" + host + b"\r\n"),
                (505, b"GET / HTTP/3.0\r\n" + host + b"\r\n"),
                (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                (414, b"GET /" + b"a" * 70_000),
                (431, b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 70_000 + b"\r\n\r\n"),
                (431, b"GET / HTTP/1.1\r\n" + host + b"X: y\r\n" * 20_000 + b"\r\n"),
                (400, b"PUT /default/" + b"k" * 512 + b" HTTP/1.1\r\n" + host +
                      b"Content-Length: 1\r\n\r\nv"),
                (413, b"PUT /big HTTP/1.1\r\n" + host + b"Content-Length: 16777217\r\n\r\n")):
            with self.subTest(request=request[:70]):
                self.assertEqual(self.status(request), status)

    def test_a_value_of_exactly_the_limit_is_taken(self):
        head = b"PUT /witness/large HTTP/1.1\r\n" + self.host + b"Connection: close\r\n"
        body = b"\0" * VALUE_BYTES_MAX
        self.assertIn(self.status(head + b"Content-Length: %d\r\n\r\n" % len(body) + body),
                      (200, 201, 204))
        wait_until(lambda: self.other.call("get", "witness", b"large") == body, 20,
                   "16 MiB on the other node")
        chunked = b"".join(b"%x\r\n%s\r\n" % (MEGABYTE, b"x" * MEGABYTE) for _ in range(17))
        self.assertEqual(self.status(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked +
                                     b"0\r\n\r\n"), 413)
        self.assertEqual(self.victim.call("get", "witness", b"large"), body)
        self.victim.call("del", "witness", b"large")

    def test_the_largest_reply_reaches_a_client_that_reads(self):
        """In JSON a zero byte takes six, so this reply is larger than the output buffer."""
        body = b"\0" * VALUE_BYTES_MAX
        connection = http.client.HTTPConnection(*self.victim.address, timeout=60)
        self.addCleanup(connection.close)
        connection.request("PUT", "/witness/large", body)
        response = connection.getresponse()
        self.assertEqual(response.status, 201)
        self.assertNotIn("Value", json.loads(response.read()))
        connection.request("GET", "/witness/large")
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertEqual(json.loads(response.read())["Value"].encode(), body)
        self.victim.call("del", "witness", b"large")
        self.assertEqual(self.victim.stats()["slow_clients_disconnected"], 0)

    def test_requests_that_end_half_way_store_nothing(self):
        whole = (b"PUT /half HTTP/1.1\r\n" + self.host + b"Content-Length: 4\r\n\r\nhal",
                 b"PUT /half HTTP/1.1\r\n" + self.host + b"Transfer-Encoding: chunked\r\n\r\n"
                 b"4\r\nhalf\r\n",
                 b"POST /half/done HTTP/1.1\r\n" + self.host)
        for request in whole:
            for half_close in (True, False):
                for length in (len(request), len(request) // 2):
                    with connect(self.victim.address) as connection:
                        connection.sendall(request[:length])
                        if half_close:
                            connection.shutdown(socket.SHUT_WR)
                            read_to_end(connection)

    def test_one_byte_at_a_time_and_pipelined(self):
        body = b"slowly"
        request = (b"PUT /slow HTTP/1.1\r\n" + self.host + b"Content-Length: 6\r\n\r\n" + body +
                   b"GET /slow HTTP/1.1\r\n" + self.host +
                   b"Accept: application/octet-stream\r\nConnection: close\r\n\r\n")
        with connect(self.victim.address) as connection:
            for byte in request:
                connection.sendall(bytes([byte]))
            answer = read_to_end(connection)
        self.assertEqual(answer.count(b"HTTP/1.1 2"), 2, answer)
        self.assertTrue(answer.endswith(b"\r\n\r\n" + body), answer)
        self.stored[b"slow"] = body

    def test_tls_is_refused_with_an_alert(self):
        hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"
        self.assertEqual(self.ask(hello)[:1], b"\x15")


class Peers(BadInputTest):
    def test_garbage_behind_a_preface_ends_the_connection(self):
        random = seeded(self.id())
        for link in (CONTROL, BULK):
            for size in (1, 20, 4096, 100_000):
                answer = self.ask(PEER_PREFACE + link + random.randbytes(size), seconds=10)
                self.assertNotIn(ERROR, answer)
            # A frame of 4 GiB is announced: refused at once, not waited for.
            with connect(self.victim.address, 10 * PATIENCE) as connection:
                connection.sendall(PEER_PREFACE + link + b"\xff" * 64)
                read_to_end(connection)
        for number in range(2, 256, 50):
            self.ask(b"\0dhrt" + bytes([number, 0]) + random.randbytes(100), seconds=10)
        self.assertEqual(set(self.victim.states().values()), {"healthy"})

    def test_a_peer_that_says_nothing_is_cut_off_in_time(self):
        for request in (PEER_PREFACE + CONTROL, PEER_PREFACE + BULK, PEER_PREFACE, b"\0dh", b"GE"):
            watch = Stopwatch()
            with connect(self.victim.address, 10 * PATIENCE) as connection:
                connection.sendall(request)
                read_to_end(connection)
            self.assertLess(watch.seconds(), (HANDSHAKE_SECONDS + 30) * PATIENCE, request)
            self.assertGreater(watch.seconds(), HANDSHAKE_SECONDS * 0.5, request)


class Garbage(BadInputTest):
    connection_count = 1000

    def test_a_thousand_connections_send_random_bytes(self):
        random = seeded(self.id())
        begins = [b"", b"*", b"GET /", b"PUT /k HTTP/1.1\r\nHost: a\r\n", b"\x16\x03", PEER_PREFACE,
                  PEER_PREFACE + CONTROL, b'set --no-such-flag "', b"\0", b"\r\n"]
        refused = 0
        for number in range(self.connection_count):
            size = random.choice((1, 10, 100, 1000, 10_000))
            request = random.choice(begins) + random.randbytes(size)
            if random.random() < 0.3:
                # Lines, so that each one is read as a command.
                request = request.replace(b"\0", b"\n")
            if random.random() < 0.2:
                with connect(self.victim.address) as connection:
                    connection.sendall(request)
                    # A reset instead of an end.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
                continue
            answer = self.ask(request, seconds=10 * PATIENCE)
            refused += answer.startswith((ERROR, b"HTTP/1.1 4", b"HTTP/1.1 5"))
        report(f"{self.connection_count} connections of garbage, {refused} were told an error")


del BadInputTest  # Its subclasses are the tests.

if __name__ == "__main__":
    main()
