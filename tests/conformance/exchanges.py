"""Tables of exact exchanges, for dialects of bytes: what a released server answered, and where dhrt
means to differ. One file per dialect, NAME.rows:

    == a case; it begins on empty storages and a new connection
    > SET memory 0 k v\\n        bytes that are sent, with escapes
    < +OK\\n                     the reply, recorded from the released server
    ! why dhrt differs          in front of a line with what it answers instead:
    = +ERR\\n\\n                  alone: what it answers to something that was not recorded
    ? HAS memory k\\n            as '>', but asked again until the reply is the expected one
    ~                           the client sends no more
    |                           the server closes the connection

Each case is played three times: request by request, byte by byte, and all at once.
"""

import pathlib
import select
import socket
import time

from wire import SECONDS, escape, unescape


class Row:
    def __init__(self, kind, sent, line):
        self.kind, self.sent, self.line = kind, sent, line
        self.recorded = self.dhrt = self.reason = None
        self.closes = False

    def expected(self):
        return (self.recorded if self.dhrt is None else self.dhrt) or b""


def read_cases(name):
    """(title, rows) of every case."""
    cases = []
    path = pathlib.Path(__file__).with_name(name + ".rows")
    for number, line in enumerate(path.read_text().splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if not line or mark == "#":
            continue
        rows = cases[-1][1] if cases else []
        if mark == "==":
            cases.append((rest, []))
        elif mark in (">", "?", "~"):
            rows.append(Row(mark, unescape(rest), number))
        elif mark == "<":
            rows[-1].recorded = unescape(rest)
        elif mark == "!":
            rows[-1].reason = rest
        elif mark == "=":
            assert rows[-1].reason or rows[-1].recorded is None, \
                f"line {number}: say why in a line that begins with '!'"
            rows[-1].dhrt = unescape(rest)
        elif mark == "|":
            rows[-1].closes = True
        else:
            raise ValueError(f"line {number}: '{line}'")
    return cases


class Client:
    """Sends bytes in pieces, and takes exactly as many as are expected."""

    def __init__(self, address, bytewise=False):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(SECONDS)
        self.socket.connect(address)
        self.bytewise = bytewise
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        step = 1 if self.bytewise else max(len(data), 1)
        for at in range(0, len(data), step):
            self.socket.sendall(data[at:at + step])

    def receive(self, count):
        got = bytearray()
        while len(got) < count:
            try:
                piece = self.socket.recv(count - len(got))
            except TimeoutError:
                break
            if not piece:
                break
            got += piece
        return bytes(got)

    def ask(self, data, count):
        self.send(data)
        return self.receive(count)

    def end_sending(self):
        self.socket.shutdown(socket.SHUT_WR)

    def rest(self):
        """All that comes until the server closes."""
        got = bytearray()
        while piece := self.socket.recv(65536):
            got += piece
        return bytes(got)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def ask_until(client, row, same):
    deadline = time.monotonic() + SECONDS
    while True:
        client.send(row.sent)
        # The reply before it comes true may have another length.
        got = client.socket.recv(65536)
        if same(got, row.expected()) or time.monotonic() > deadline:
            return got
        select.select([client.socket], [], [], 0.02)  # Nothing comes unasked.


def play(address, rows, bytewise=False, same=lambda got, expected: got == expected):
    """(row, reply) of every row, and what came behind all of them."""
    replies = []
    with Client(address, bytewise) as client:
        for row in rows:
            if row.kind == "~":
                client.end_sending()
                replies.append((row, client.receive(len(row.expected()))))
            elif row.kind == "?":
                replies.append((row, ask_until(client, row, same)))
            else:
                replies.append((row, client.ask(row.sent, len(row.expected()))))
        if not any(row.closes or row.kind == "~" for row in rows):
            client.end_sending()
        return replies, client.rest()


def play_at_once(address, rows):
    """All replies as one, to all requests in one packet; None if that makes no sense."""
    if any(row.kind == "?" for row in rows):
        return None
    with Client(address) as client:
        client.send(b"".join(row.sent for row in rows))
        client.end_sending()
        return client.rest()


def same_form(reply):
    return reply


def in_form(rows, form):
    for row in rows:
        row.recorded = row.recorded and form(row.recorded)
        row.dhrt = row.dhrt and form(row.dhrt)
    return rows


def check_cases(test, name, address, begin, shown=lambda data: data, form=same_form):
    """Plays all cases in every way. `begin` empties the storages, `shown` hides what varies, `form`
    makes of a reply in the table what the server was told to answer instead."""
    checked = 0

    def same(got, expected):
        return shown(got) == shown(expected)

    for title, rows in read_cases(name):
        in_form(rows, form)
        for bytewise in (False, True):
            begin()
            replies, rest = play(address, rows, bytewise, same)
            for row, reply in replies:
                with test.subTest(case=title, line=row.line, bytewise=bytewise, sent=row.sent):
                    test.assertEqual(escape(shown(reply)), escape(shown(row.expected())))
                checked += 1
            with test.subTest(case=title, bytewise=bytewise):
                test.assertEqual(escape(rest), "")
        begin()
        whole = play_at_once(address, rows)
        if whole is not None:
            with test.subTest(case=title, at_once=True):
                expected = b"".join(row.expected() for row in rows)
                test.assertEqual(escape(shown(whole)), escape(shown(expected)))
    return checked


def differences_without_sense(name):
    """Rows that are said to differ although dhrt answers what was recorded."""
    return [row.line for _, rows in read_cases(name) for row in rows
            if row.dhrt is not None and row.dhrt == row.recorded]
