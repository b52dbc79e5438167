"""dhrt answers Hermod's clients byte for byte as Hermod did, or as a reason says.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_hermod.py RecordedRows
"""

import json
import pathlib
import random
import re
import tempfile
import unittest

from exchanges import Client, check_cases, differences_without_sense, same_form
from wire import Dhrt

FLAGS = ("--memory", "--hermod", "--hermod-port", "0")
GREETING = b"Hermod - Connection established (v1.0.0, v0.3.0, %s)"


def without_time(reply):
    return re.sub(rb"\{(?=[ 0-9]{12} )[ ]*[0-9]+ (\d{3})\}", rb"{TIME \1}", reply)


def as_the_manual_says(reply):
    return re.sub(rb"(?<![})])\x04\{", b"{", reply)


def ends_with(byte):
    return lambda reply: re.sub(rb"(\{[ 0-9]{12} \d{3}\})\x04", rb"\1" + byte, reply)


def empty(dhrt):
    """Begins a case as a new server would."""
    with dhrt.connect() as text:
        for line in (b"set basedb k v\n", b"flush basedb\n", b"drop users\n"):
            text.send(line)
            text.reply()


class Token:
    """A configuration file with one, for as long as a `with` statement lasts."""

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.directory.name) / "config.json"
        path.write_text(json.dumps({"token": "secret"}))
        return str(path)

    def __exit__(self, *_):
        self.directory.cleanup()


class RecordedRows(unittest.TestCase):
    def check(self, form, *flags):
        with Token() as config, Dhrt(*FLAGS, "--hermod-config", config, *flags) as dhrt:
            checked = check_cases(self, "hermod", dhrt.listener("hermod"), lambda: empty(dhrt),
                                  without_time, form)
            self.assertGreater(checked, 100)

    def test_as_the_released_servers_ended_their_replies(self):
        self.check(same_form, "--hermod-terminator", "4")

    def test_as_the_manual_says(self):
        self.check(as_the_manual_says, "--cpu-num", "3")

    def test_as_connect_hermod_reads_them(self):
        self.check(ends_with(b"\x11"), "--hermod-terminator", "17")
        self.check(ends_with(b"\x17"), "--hermod-terminator", "23")

    def test_a_difference_that_is_none_has_no_reason(self):
        self.assertEqual(differences_without_sense("hermod"), [])


class Session:
    """A client that was let in, and its replies as (data, code)."""

    def __init__(self, dhrt, greeting=b"auth: secret\n", expected=b"Auth"):
        self.client = Client(dhrt.listener("hermod"))
        wanted = GREETING % expected
        assert self.client.ask(greeting, len(wanted)) == wanted

    def __del__(self):
        self.client.__exit__()

    def ask(self, message):
        self.client.send(message + b"\x04")
        got = b""
        while not (found := re.search(rb"\{[ 0-9]{12} (\d{3})\}\x04$", got)):
            piece = self.client.socket.recv(65536)
            if not piece:
                raise EOFError(got)
            got += piece
        return got[:found.start()], int(found.group(1))


class Tokens(unittest.TestCase):
    def test_without_a_token_everybody_may_do_everything(self):
        with Dhrt(*FLAGS) as dhrt:
            session = Session(dhrt, b"\n", b"Auth")
            self.assertEqual(session.ask(b"sup create t"), (b"", 200))
            self.assertEqual(session.ask(b"set k in t to v"), (b"", 201))
            self.assertEqual(session.ask(b"set k in t to w"), (b"", 200))
            self.assertEqual(session.ask(b"del k from t"), (b"", 200))

    def test_a_start_says_where_it_waits(self):
        with Dhrt(*FLAGS) as dhrt:
            port = dhrt.listener("hermod")[1]
            self.assertIn(f"Waiting on port {port}...\n", dhrt.log.read_text())


class Limits(unittest.TestCase):
    def test_what_is_above_a_limit_is_refused_and_the_connection_stays(self):
        with Dhrt(*FLAGS, "--max-value-bytes", "1kb") as dhrt:
            session = Session(dhrt)
            self.assertEqual(session.ask(b"set k in _basedb to " + b"v" * 1024), (b"", 201))
            for size in (1025, 10_000_000):
                said, code = session.ask(b"set k in _basedb to " + b"w" * size)
                self.assertEqual(code, 400)
                self.assertIn(b"--max-value-bytes", said)
            self.assertEqual(session.ask(b"get k from _basedb"), (b"v" * 1024, 200))
            self.assertEqual(session.ask(b"set " + b"k" * 511 + b" in _basedb to v"), (b"", 201))
            said, code = session.ask(b"set " + b"k" * 512 + b" in _basedb to v")
            self.assertEqual((said[:16], code), (b"the key has 512 ", 400))
            self.assertEqual(session.ask(b"sup getlen _basedb"), (b"2", 200))

    def test_a_value_that_would_end_its_reply_is_not_told(self):
        with Dhrt(*FLAGS) as dhrt, dhrt.connect() as text:
            text.send(b'set basedb k "a\\x04b"\n')
            self.assertEqual(text.reply(), b"+OK\r\n")
            said, code = Session(dhrt).ask(b"get k from _basedb")
            self.assertEqual(code, 500)
            self.assertIn(b"byte 4", said)

    def test_no_input_ends_the_process_or_stalls_others(self):
        chance = random.Random(1)
        words = [b"get", b"set", b"del", b"sup", b"gettab", b"getlen", b"create", b"delete", b"from",
                 b"in", b"to", b"k", b"_basedb", b"t", b"", b"\n", b"\xff\x00", b"auth:", b"\x04",
                 b"x" * 600]
        with Dhrt(*FLAGS) as dhrt:
            other = Session(dhrt)
            for _ in range(200):
                messages = [b" ".join(chance.choices(words, k=chance.randrange(7)))
                            for _ in range(20)]
                with Client(dhrt.listener("hermod")) as client:
                    client.send(b"\x04".join(messages) + b"\x04")
                    client.end_sending()
                    client.rest()
                self.assertEqual(other.ask(b"get none from _basedb"), (b"", 404))


class Data(unittest.TestCase):
    def test_what_one_node_was_told_the_other_answers(self):
        with Dhrt(*FLAGS) as first, Dhrt(*FLAGS, joins=first) as second:
            here, there = Session(first), Session(second)
            while there.ask(b"get none from _basedb")[1] == 500:
                pass
            for number in range(50):
                key = b"k%d" % number
                self.assertEqual(here.ask(b"set %s in _basedb to v" % key), (b"", 201))
                self.assertEqual(there.ask(b"get %s from _basedb" % key), (b"v", 200))

    def test_what_was_answered_is_there_after_a_kill(self):
        flags = [flag for flag in FLAGS if flag != "--memory"]
        with Dhrt(*flags) as dhrt:
            session = Session(dhrt)
            self.assertEqual(session.ask(b"sup create users"), (b"", 200))
            self.assertEqual(session.ask(b"set k in users to v"), (b"", 201))
            self.assertEqual(session.ask(b"set k in _basedb to v"), (b"", 201))
            self.assertEqual(session.ask(b"del k from _basedb"), (b"", 200))
            dhrt.process.kill()
            dhrt.process.wait()
            dhrt.launch(dhrt.process.args, dhrt.find_address)
            session = Session(dhrt)
            self.assertEqual(session.ask(b"get k from users"), (b"v", 200))
            self.assertEqual(session.ask(b"get k from _basedb"), (b"", 404))


if __name__ == "__main__":
    unittest.main()
