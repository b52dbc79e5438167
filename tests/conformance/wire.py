"""What the conformance tests need: bytes of commands, bytes of replies, a dhrt and a redis-server.

The dhrt under test comes from the environment variable DHRT_BINARY; DHRT_PATIENCE (default 1)
multiplies deadlines. Servers live in temporary directories and are ended by their process id.
"""

import http.client
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BINARY = os.environ.get("DHRT_BINARY", "")
PATIENCE = float(os.environ.get("DHRT_PATIENCE", "1"))
SECONDS = 20 * PATIENCE

ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", '"': b'"', "\\": b"\\"}


def array(words):
    """A command as Redis clients send it."""
    out = b"*%d\r\n" % len(words)
    for word in words:
        out += b"$%d\r\n%s\r\n" % (len(word), word)
    return out


def unescape(text):
    r"""Bytes of a text with \n \r \t \" \\ and \xHH."""
    parts = re.split(r"\\(x[0-9a-fA-F]{2}|.)", text)
    out = parts[0].encode()
    for escape, plain in zip(parts[1::2], parts[2::2]):
        out += bytes([int(escape[1:], 16)]) if len(escape) == 3 else ESCAPES[escape]
        out += plain.encode()
    return out


def escape(data):
    named = {value: "\\" + name for name, value in ESCAPES.items()}
    one = (bytes([byte]) for byte in data)
    return "".join(named[byte] if byte in named else byte.decode() if b" " <= byte <= b"~"
                   else f"\\x{byte[0]:02x}" for byte in one)


def words_of(line):
    """Words between blanks; "quoted" ones may hold anything, escaped."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line)
    return [unescape(quoted) if not bare else bare.encode() for quoted, bare in found]


class Connection:
    """A socket that gives replies as the bytes they are."""

    def __init__(self, address, seconds=SECONDS):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(seconds)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        line = self.file.readline()
        if not line:
            raise EOFError("the server closed the connection")
        kind, rest = line[:1], line[1:].strip()
        if kind in b"$=" and rest != b"-1":
            return line + self.file.read(int(rest) + 2)
        if kind in b"*~>" and rest != b"-1":
            return line + b"".join(self.reply() for _ in range(int(rest)))
        if kind == b"%":
            return line + b"".join(self.reply() for _ in range(2 * int(rest)))
        return line

    def ask(self, *words):
        self.send(array([word if isinstance(word, bytes) else word.encode() for word in words]))
        return self.reply()

    def has_more(self):
        return bool(self.file.peek(1)) if select.select([self.socket], [], [], 0)[0] else False

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask_http(dhrt, method, target, headers=(), body=None):
    """Status, body and headers. `headers` are pairs: a name may stand there twice."""
    connection = http.client.HTTPConnection(*dhrt.address, timeout=SECONDS)
    try:
        connection.putrequest(method, target)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


class Server:
    """A process with a directory; use it in a `with` statement."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dhrt-conformance-"))
        self.log = self.directory / "log"
        self.process = None
        self.address = None

    def launch(self, arguments, is_up):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)
        deadline = time.monotonic() + SECONDS
        while not is_up():
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
            raise AssertionError(f"{arguments[0]} does not start:\n{self.log.read_text()}")

    def connect(self):
        return Connection(self.address)

    def stop(self):
        code = self.process.poll()
        if code is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        log = self.log.read_text(errors="replace")
        shutil.rmtree(self.directory, ignore_errors=True)
        assert code == 0, f"the server ended with code {code}:\n{log[-4000:]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Dhrt(Server):
    def __init__(self, *flags, joins=None):
        super().__init__()
        role = ["start"] if joins is None else ["join", f"127.0.0.1:{joins.port}"]
        self.launch([BINARY, *role, "--bind", "127.0.0.1:0", "--data-dir",
                     str(self.directory / "data"), *flags], self.find_address)

    def find_address(self):
        found = re.search(r"listening on\s+\S*:(\d+)", self.log.read_text(errors="replace"))
        if found:
            self.address = ("127.0.0.1", int(found.group(1)))
        return bool(found)

    def listener(self, service):
        """The address of the listener for a dialect of its own."""
        found = re.search(rf"also on\s+{service}(\+unix|\+tls)?://(\S+)", self.log.read_text())
        if found.group(1) == "+unix":
            return found.group(2)
        host, _, port = found.group(2).rpartition(":")
        return (host, int(port))

    @property
    def port(self):
        return self.address[1]


class Redis(Server):
    """The real one, on a socket of its own, which keeps nothing."""

    def __init__(self):
        super().__init__()
        self.address = str(self.directory / "socket")
        self.launch(["redis-server", "--port", "0", "--unixsocket", self.address, "--save", "",
                     "--enable-debug-command", "yes", "--dir", str(self.directory)], self.answers)

    def answers(self):
        try:
            with self.connect() as connection:
                return connection.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False
