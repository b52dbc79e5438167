"""The table of exact exchanges: what redis-server answers, and where dhrt means to differ.

    == a case; it begins on an empty database and a new connection
    > SET k "a b" EX 10         a command, sent as an array of these words
    < +OK\\r\\n                   the reply, recorded from redis-server
    ! why dhrt differs          only in front of a line with what it answers instead:
    = -ERR ...

`rows.py --record` writes the lines that begin with `<` anew from the installed redis-server.
"""

import pathlib
import sys

sys.dont_write_bytecode = True

from wire import Redis, array, escape, unescape, words_of  # noqa: E402

PATH = pathlib.Path(__file__).with_name("redis.rows")


class Row:
    def __init__(self, words, line):
        self.words, self.line = words, line
        self.redis = self.dhrt = self.reason = None

    def expected(self):
        return self.redis if self.dhrt is None else self.dhrt


def read_cases(path=PATH):
    """(title, rows) of every case."""
    cases = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        mark, _, rest = line.partition(" ")
        if not line or mark == "#":
            continue
        if mark == "==":
            cases.append((rest, []))
        elif mark == ">":
            cases[-1][1].append(Row(words_of(rest), number))
        elif mark == "<":
            cases[-1][1][-1].redis = unescape(rest)
        elif mark == "!":
            cases[-1][1][-1].reason = rest
        elif mark == "=":
            row = cases[-1][1][-1]
            assert row.reason, f"line {number}: say why in a line that begins with '!'"
            row.dhrt = unescape(rest)
        else:
            raise ValueError(f"line {number}: '{line}'")
    return cases


def play(server, rows):
    """The replies to all rows, of a new connection to an empty server."""
    with server.connect() as connection:
        connection.ask("FLUSHALL")
        replies = []
        for row in rows:
            connection.send(array(row.words))
            replies.append(connection.reply())
        return replies


def record(path=PATH):
    with Redis() as redis:
        replies = [reply for _, rows in read_cases(path) for reply in play(redis, rows)]
    lines = []
    for line in path.read_text().splitlines():
        if line.startswith("< "):
            continue
        lines.append(line)
        if line.startswith("> "):
            lines.append("< " + escape(replies.pop(0)))
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--record"]:
        sys.exit(__doc__)
    record()
