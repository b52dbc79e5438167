"""Clients of a node: native text lines, and raw bytes for those who do not behave.

A word of a command is `str` (sent as it is) or `bytes` (data: quoted, so that any byte may be in
it). Replies are RESP2: +x is str, :n int, $ bytes or None, * list; -x raises ServerError.
"""

import errno
import socket

CONNECT_SECONDS_MAX = 10
REPLY_SECONDS_MAX = 20


class ServerError(Exception):
    """What a node answered behind the minus sign."""


class ProtocolError(Exception):
    """The node answered something that is no RESP2."""


def _escape(byte):
    if byte in b'"\\':
        return b"\\" + bytes([byte])
    if byte < 0x20 or byte == 0x7F:
        return b"\\x%02x" % byte
    return bytes([byte])


_ESCAPES = [_escape(byte) for byte in range(256)]
_PLAIN = bytes(byte for byte in range(256) if len(_ESCAPES[byte]) == 1)


def quote(data):
    if not data.translate(None, _PLAIN):
        return b'"' + data + b'"'
    return b'"' + b"".join(_ESCAPES[byte] for byte in data) + b'"'


def line(*words):
    return b" ".join(quote(w) if isinstance(w, bytes) else str(w).encode() for w in words) + b"\n"


def connect(address, seconds=REPLY_SECONDS_MAX, source=None):
    """A plain socket. `address` is (host, port)."""
    connection = socket.create_connection(address, timeout=CONNECT_SECONDS_MAX,
                                          source_address=source)
    connection.settimeout(seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_to_end(connection):
    """All bytes until the node closes; a reset is an end, too."""
    pieces = []
    try:
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def exchange(address, request, seconds=REPLY_SECONDS_MAX, half_close=True):
    """Sends bytes, says that no more will come, and gives everything that is answered."""
    with connect(address, seconds) as connection:
        try:
            connection.sendall(request)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Refused before all was sent; the answer may still be there.
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # Closed already.
                raise
        return read_to_end(connection)


class Client:
    def __init__(self, address, seconds=REPLY_SECONDS_MAX):
        self.socket = connect(address, seconds)
        self.replies = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.replies.close()
        self.socket.close()

    def send(self, *words):
        self.socket.sendall(line(*words))

    def receive(self):
        head = self.replies.readline()
        if not head.endswith(b"\r\n"):
            raise ConnectionError(f"the node closed the connection; its last bytes: {head!r}")
        kind, rest = head[:1], head[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ServerError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        raise ProtocolError(f"a reply begins with {head[:80]!r}")

    def _bulk(self, size):
        if size < 0:
            return None
        data = self.replies.read(size + 2)
        if len(data) < size + 2:
            raise ConnectionError("the node closed the connection within a value")
        return data[:-2]

    def call(self, *words):
        self.send(*words)
        return self.receive()

    def pipeline(self, commands, window=4000):
        """Sends `window` commands at a time; gives the replies in order, refusals included."""
        replies = []
        commands = list(commands)
        for begin in range(0, len(commands), window):
            part = commands[begin:begin + window]
            self.send_all(part)
            replies += [self.outcome() for _ in part]
        return replies

    def send_all(self, commands):
        self.socket.sendall(b"".join(line(*command) for command in commands))

    def outcome(self):
        """The next reply, refusals included."""
        try:
            return self.receive()
        except ServerError as error:
            return error

    def write_all(self, commands, window=4000):
        """As pipeline(), but every command must have been done."""
        for reply in self.pipeline(commands, window):
            if isinstance(reply, Exception):
                raise reply

    def contents(self, collection="default"):
        """Everything in a collection, in pages."""
        found, start = {}, b""
        while True:
            following, entries = self.call("scan", collection, "--from", start, "--limit", "10000")
            found.update(zip(entries[::2], entries[1::2]))
            if not following:
                return found
            start = following
