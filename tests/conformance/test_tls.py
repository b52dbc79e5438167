"""Clients that speak TLS, in every dialect.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_tls.py Dialects
"""

import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings

sys.dont_write_bytecode = True

from wire import BINARY, SECONDS, Dhrt, array  # noqa: E402

SWITCHES = ("--tcp", "--tcp-port", "0", "--rpc", "--rpc-port", "0", "--hermod", "--hermod-port",
            "0", "--resp", "--resp-port", "0", "--http", "--http-port", "0")
VALUE = b"x" * (5 << 20)


class Authority:
    """Certificates in a directory: its own, which nobody trusts by himself, and those it signs."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dhrt-tls-"))
        self.certificate = self.path("ca.pem")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-subj", "/CN=dhrt test", "-days", "2", "-keyout",
                     self.path("ca.key"), "-out", self.certificate)

    def openssl(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=SECONDS)

    def path(self, name):
        return str(self.directory / name)

    def sign(self, name, serial, names="DNS:localhost,IP:127.0.0.1"):
        """Paths of a certificate and its key."""
        key, request, certificate = (self.path(f"{name}.{kind}") for kind in ("key", "csr", "pem"))
        extensions = self.path(name + ".ext")
        pathlib.Path(extensions).write_text(f"subjectAltName={names}\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey",
                     self.path("ca.key"), "-set_serial", str(serial), "-days", "2", "-extfile",
                     extensions, "-out", certificate)
        return certificate, key

    def context(self, client=None):
        context = ssl.create_default_context(cafile=self.certificate)
        if client:
            context.load_cert_chain(*client)
        return context

    def remove(self):
        shutil.rmtree(self.directory)


def dial(address):
    """A connection to (host, port), or to the path of a unix socket."""
    if isinstance(address, tuple):
        plain = socket.create_connection(address, timeout=SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(SECONDS)
    plain.connect(address)
    return plain


def connect(address, context):
    plain = dial(address)
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise


def receive(connection, count):
    got = bytearray()
    while len(got) < count:
        piece = connection.recv(min(count - len(got), 1 << 20))
        if not piece:
            break
        got += piece
    return bytes(got)


def asked(address, request, reply_bytes, context=None):
    """The reply, over TLS if there is a context."""
    with connect(address, context) if context else dial(address) as connection:
        connection.sendall(request)
        return receive(connection, reply_bytes)


class WithAuthority(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.authority = Authority()
        cls.addClassCleanup(cls.authority.remove)
        cls.certificate, cls.key = cls.authority.sign("node", 1)
        cls.flags = ("--memory", "--tls-cert", cls.certificate, "--tls-key", cls.key)


class Dialects(WithAuthority):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dhrt = Dhrt(*cls.flags, "--cpu-num", "2", *SWITCHES)
        cls.addClassCleanup(cls.dhrt.stop)
        own = cls.dhrt.address
        body = b'{"method":"Storage.Set","params":[{"type":"memory","key":"r","value":"v"}],"id":1}'
        post = (b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body)) + body
        cls.exchanges = [
            (own, b"set k v\n", b"+OK\r\n"),
            (own, array([b"PING"]), b"+PONG\r\n"),
            (own, b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
            (cls.dhrt.listener("hati"), b"SET memory 0 k v\n", b"+OK\n"),
            (cls.dhrt.listener("hermod"), b"get k from _basedb\x04", b"Hermod - Connection established"),
            (cls.dhrt.listener("resp"), array([b"PING"]), b"+PONG\r\n"),
            (cls.dhrt.listener("rpc"), post, b"HTTP/1.1 200 OK\r\n"),
            (cls.dhrt.listener("http"), b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
             b"HTTP/1.1 200 OK\r\n")]

    def test_each_speaks_it_and_goes_on_without_it(self):
        context = self.authority.context()
        for address, request, expected in self.exchanges:
            for _ in range(3):  # Each loop gets some.
                self.assertEqual(asked(address, request, len(expected), context), expected, request)
            self.assertEqual(asked(address, request, len(expected)), expected, request)

    def test_versions(self):
        for version, works in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True),
                               (ssl.TLSVersion.TLSv1_1, False)):
            context = self.authority.context()
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            with warnings.catch_warnings():  # Version 1.1 is deprecated, and is to be refused.
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = context.maximum_version = version
            if works:
                self.assertEqual(asked(self.dhrt.address, b"ping\n", 7, context), b"+PONG\r\n")
            else:
                self.assertRaises(ssl.SSLError, connect, self.dhrt.address, context)

    def test_the_protocol_that_browsers_ask_for(self):
        for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["h2"], None)):
            context = self.authority.context()
            context.set_alpn_protocols(offered)
            with connect(self.dhrt.address, context) as connection:
                self.assertEqual(connection.selected_alpn_protocol(), chosen)
                connection.sendall(b"ping\n")
                self.assertEqual(receive(connection, 7), b"+PONG\r\n")

    def test_byte_by_byte(self):
        arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.authority.context().wrap_bio(arriving, leaving, server_hostname="localhost")
        with socket.create_connection(self.dhrt.address, timeout=SECONDS) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def until_done(action):
                while True:
                    try:
                        done = action()
                    except ssl.SSLWantReadError:
                        done = None
                    for byte in leaving.read():
                        plain.sendall(bytes([byte]))
                    if done is not None:
                        return done
                    arriving.write(plain.recv(1))

            until_done(lambda: tls.do_handshake() or True)
            until_done(lambda: tls.write(b"ping\n"))
            got = b""
            while len(got) < 7:
                got += until_done(lambda: tls.read(1))
            self.assertEqual(got, b"+PONG\r\n")

    def test_large_values_and_pipelines(self):
        with connect(self.dhrt.address, self.authority.context()) as connection:
            connection.sendall(array([b"SET", b"large", VALUE]) + array([b"GET", b"large"]) * 3)
            head = b"$%d\r\n" % len(VALUE)
            expected = b"+OK\r\n" + (head + VALUE + b"\r\n") * 3
            self.assertTrue(receive(connection, len(expected)) == expected, "5 MiB, three times")
            connection.sendall(array([b"PING"]) * 5000)
            self.assertTrue(receive(connection, 7 * 5000) == b"+PONG\r\n" * 5000)

    def test_the_end_is_said(self):
        with connect(self.dhrt.address, self.authority.context()) as connection:
            connection.sendall(array([b"QUIT"]))
            self.assertEqual(receive(connection, 5), b"+OK\r\n")
            self.assertEqual(connection.recv(1), b"", "a close_notify, no cut")

    def test_who_ends_first_is_told_the_end(self):
        # An end without a word of TLS would be an error here.
        with connect(self.dhrt.address, self.authority.context()) as connection:
            connection.sendall(b"ping\n")
            self.assertEqual(receive(connection, 7), b"+PONG\r\n")
            with connection.unwrap() as plain:
                self.assertEqual(plain.recv(1), b"")

    def test_keys_are_renewed_on_the_way(self):
        # openssl's own client asks for it at a line "K".
        command = ["openssl", "s_client", "-connect", f"localhost:{self.dhrt.port}", "-CAfile",
                   self.authority.certificate, "-tls1_3"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as client:
            guard = threading.Timer(SECONDS, client.kill)
            guard.start()
            for line, awaited in ((b"K\n", b"KEYUPDATE"), (b"ping\n", b"+PONG")) * 3:
                client.stdin.write(line)
                client.stdin.flush()
                said = b" "
                while awaited not in said:
                    self.assertNotEqual(said, b"", f"no {awaited} came")
                    said = client.stdout.readline()
            client.stdin.close()
            client.stdout.read()
            guard.cancel()

    def test_peers_are_refused(self):
        with connect(self.dhrt.address, self.authority.context()) as connection:
            connection.sendall(b"\0dhrt\1\0")
            # One frame says why (protocol/peer_handshake.h), and nothing follows.
            got = receive(connection, 1000)
            self.assertEqual((got[:4], got[22:23], len(got)), (b"\x7a\xd4\1\xf3", b"\5", 39))
        self.assertEqual(asked(self.dhrt.address, b"ping\n", 7), b"+PONG\r\n")

    def test_what_is_no_tls_behind_its_first_bytes(self):
        for junk in (b"\x16\x03" + b"\xff" * 300, b"\x16", b"\x16\x03\x01\x00\x05hello", b"\x16" * 9):
            with socket.create_connection(self.dhrt.address, timeout=SECONDS) as plain:
                plain.sendall(junk)
                plain.shutdown(socket.SHUT_WR)
                got = receive(plain, 7)
                self.assertIn(got[:1], (b"", b"\x15"), "nothing, or an alert")
        self.assertEqual(asked(self.dhrt.address, b"ping\n", 7), b"+PONG\r\n")

    def test_garbage_in_an_open_connection(self):
        plain = socket.create_connection(self.dhrt.address, timeout=SECONDS)
        connection = self.authority.context().wrap_socket(plain, server_hostname="localhost")
        descriptor = connection.detach()
        with socket.socket(fileno=descriptor) as cut:
            cut.settimeout(SECONDS)
            cut.sendall(b"\x17\x03\x03\x00\x20" + b"?" * 32)
            while cut.recv(4096):
                pass  # Tickets and an alert; then it is closed.
        self.assertEqual(asked(self.dhrt.address, b"ping\n", 7), b"+PONG\r\n")

    def test_real_clients(self):
        ca = self.authority.certificate
        port = str(self.dhrt.port)

        def run(*words):
            return subprocess.run(words, capture_output=True, timeout=SECONDS, check=True).stdout

        self.assertEqual(run("redis-cli", "--tls", "--cacert", ca, "-p", port, "set", "c", "1"),
                         b"OK\n")
        self.assertEqual(run("curl", "-sS", "--cacert", ca, f"https://localhost:{port}/healthcheck"),
                         run("curl", "-sS", f"http://localhost:{port}/healthcheck"))
        host = f"localhost:{port}"
        self.assertEqual(run(BINARY, "get", "c", "--host", host, "--tls-ca", ca), b"1\n")

    def test_the_command_line_trusts_nobody_by_itself(self):
        for words in (("--tls",), ("--tls-ca", self.certificate), ("--tls-ca", "/none"),
                      ("--tls-ca", "")):
            done = subprocess.run([BINARY, "get", "c", "--host", f"localhost:{self.dhrt.port}",
                                   *words], capture_output=True, timeout=SECONDS, check=False)
            self.assertIn(done.returncode, (2, 3), words)
            self.assertIn(b"tls-ca", done.stderr)


class Doors(WithAuthority):
    def test_one_that_wants_it_serves_nobody_without(self):
        flags = ("--listen", "resp+tls://127.0.0.1:0", "--tcp", "--tcp-port", "0", "--tcp-tls")
        with Dhrt(*self.flags, *flags) as dhrt:
            for address, request, reply in (
                    (dhrt.listener("resp"), array([b"PING"]), b"+PONG\r\n"),
                    (dhrt.listener("hati"), b"SET memory 0 k v\n", b"+OK\n")):
                self.assertEqual(asked(address, request, 100), b"")
                self.assertIn("only TLS is served here", dhrt.log.read_text())
                self.assertEqual(asked(address, request, len(reply), self.authority.context()),
                                 reply)

    def test_all_of_a_node_may_want_it_and_a_unix_socket_too(self):
        path = self.authority.path("resp.sock")
        with Dhrt(*self.flags, "--tls-only", "--http", "--http-port", "0", "--listen",
                  f"resp+tls+unix://{path}") as dhrt:
            for address in (dhrt.address, dhrt.listener("http"), path):
                request, reply = array([b"PING"]), b"+PONG\r\n"
                if address == dhrt.listener("http"):
                    request, reply = b"GET /_/health/live HTTP/1.0\r\n\r\n", b"HTTP/1."
                self.assertEqual(asked(address, request, 100), b"", address)
                self.assertEqual(asked(address, request, len(reply), self.authority.context()),
                                 reply, address)

    def test_clients_show_a_certificate_where_that_is_asked_for(self):
        client = self.authority.sign("client", 2)
        with Dhrt(*self.flags, "--tls-client-ca", self.authority.certificate) as dhrt:
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                # With TLS 1.3 the refusal comes behind the handshake.
                if asked(dhrt.address, b"ping\n", 7, self.authority.context()) == b"":
                    raise ConnectionError
            self.assertEqual(asked(dhrt.address, b"ping\n", 7, self.authority.context(client)),
                             b"+PONG\r\n")

    def test_half_a_handshake_has_its_time(self):
        with Dhrt(*self.flags, "--handshake-timeout", "500ms") as dhrt:
            with socket.create_connection(dhrt.address, timeout=SECONDS) as plain:
                plain.sendall(b"\x16\x03\x01\x02\x00\x01")
                self.assertEqual(plain.recv(1), b"")


class Renewal(WithAuthority):
    def serial(self, dhrt):
        with connect(dhrt.address, self.authority.context()) as connection:
            connection.sendall(b"ping\n")
            self.assertEqual(receive(connection, 7), b"+PONG\r\n")
            return int(connection.getpeercert()["serialNumber"], 16)

    def wait_for(self, what, condition):
        deadline = time.monotonic() + SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)

    def test_a_new_certificate_needs_no_restart(self):
        with Dhrt(*self.flags) as dhrt:
            old = connect(dhrt.address, self.authority.context())
            self.assertEqual(self.serial(dhrt), 1)
            certificate, key = self.authority.sign("next", 77)
            # One that does not fit is not taken, and nobody is turned away meanwhile.
            os.replace(certificate, self.certificate)
            self.wait_for("a word of the key",
                          lambda: self.serial(dhrt) == 1
                          and "the earlier one holds" in dhrt.log.read_text())
            os.replace(key, self.key)
            self.wait_for("the new certificate", lambda: self.serial(dhrt) == 77)
            old.sendall(b"ping\n")
            self.assertEqual(receive(old, 7), b"+PONG\r\n", "who was there stays")
            old.close()


class SelfSigned(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="dhrt-self-signed-")
        self.addCleanup(self.directory.cleanup)
        self.data = pathlib.Path(self.directory.name) / "data"

    def start(self, *flags):
        return Dhrt("--data-dir", str(self.data), "--tls-self-signed", *flags)

    def test_what_the_banner_says_works(self):
        with self.start("--memory") as dhrt:
            banner = dhrt.log.read_text()
            digest = subprocess.run(["openssl", "x509", "-in", str(self.data / "tls.pem"), "-noout",
                                     "-fingerprint", "-sha256"], check=True, capture_output=True,
                                    timeout=SECONDS).stdout.decode().strip().partition("=")[2]
            self.assertIn(f" {digest}\n", banner)
            subprocess.run([BINARY, "set", "hello", "world", "--host", f"localhost:{dhrt.port}",
                            "--tls-ca", str(self.data / "tls.pem")], check=True, timeout=SECONDS,
                           capture_output=True)
            for command, expected in (("dhrt get", b"world\n"), ("curl", b'"Value":"world"')):
                words = re.search(rf"^ +({command} .*)$", banner, re.M).group(1).split()
                words[0] = BINARY if words[0] == "dhrt" else words[0]
                done = subprocess.run(words, capture_output=True, timeout=SECONDS, check=True)
                self.assertIn(expected, done.stdout, words)
            strict = ssl.create_default_context(cafile=str(self.data / "tls.pem"))
            strict.verify_flags |= ssl.VERIFY_X509_STRICT
            self.assertEqual(asked(dhrt.address, b"ping\n", 7, strict), b"+PONG\r\n")
            # Who does not trust it is not served by it.
            self.assertRaises(ssl.SSLError, connect, dhrt.address, ssl.create_default_context())

    def test_it_stays_and_its_key_is_the_owners(self):
        certificates = []
        for _ in range(2):
            with self.start():
                certificates.append((self.data / "tls.pem").read_bytes())
                self.assertEqual((self.data / "tls.key").stat().st_mode & 0o777, 0o600)
        self.assertEqual(*certificates)
        self.assertNotIn(b"PRIVATE", certificates[0])

    def test_it_makes_doors_of_tls_possible(self):
        with self.start("--memory", "--listen", "resp+tls://127.0.0.1:0") as dhrt:
            context = ssl.create_default_context(cafile=str(self.data / "tls.pem"))
            self.assertEqual(asked(dhrt.listener("resp"), array([b"PING"]), 7, context),
                             b"+PONG\r\n")

    def test_not_beside_a_certificate_that_is_named(self):
        for flags in (("--tls-cert", "x.pem", "--tls-key", "x.key"), ("--tls-key", "x.key")):
            done = subprocess.run([BINARY, "start", "--tls-self-signed", *flags],
                                  capture_output=True, timeout=SECONDS, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn(b"--tls-self-signed", done.stderr)


class Settings(WithAuthority):
    def test_files_that_are_no_certificate(self):
        locked = self.authority.path("locked.key")
        self.authority.openssl("pkey", "-in", self.key, "-aes256", "-passout", "pass:secret",
                               "-out", locked)
        for flags, told in ((("--tls-cert", "/none", "--tls-key", self.key), b"--tls-cert /none"),
                            (("--tls-cert", self.key, "--tls-key", self.key), b"--tls-cert"),
                            (("--tls-cert", self.certificate, "--tls-key",
                              self.authority.path("ca.key")), b"--tls-key"),
                            (("--tls-cert", self.certificate, "--tls-key", locked), b"--tls-key"),
                            (("--tls-cert", self.certificate, "--tls-key", self.key,
                              "--tls-client-ca", "/none"), b"--tls-client-ca /none")):
            done = subprocess.run([BINARY, "start", "--memory", "--bind", "127.0.0.1:0", *flags],
                                  capture_output=True, timeout=SECONDS, check=False,
                                  cwd=self.authority.directory)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(told, done.stderr)
            if b"/none" in told:
                self.assertIn(b"No such file or directory", done.stderr)


if __name__ == "__main__":
    unittest.main()
