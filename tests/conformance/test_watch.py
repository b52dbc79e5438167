"""Who watches a collection: by lines, by Server-Sent Events with curl, and on the command line.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_watch.py Lines
"""

import base64
import json
import signal
import socket
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True

from test_access import Guarded  # noqa: E402
from watches import Watch  # noqa: E402
from wire import BINARY, SECONDS, Connection, Dhrt, array  # noqa: E402

GARBAGE = ("1", "-", "AQ", "A" * 40, "A" * 49153, "now", "%00", "....", "AQ=" * 9)


def ask(dhrt, *lines):
    with dhrt.connect() as connection:
        connection.send("".join(line + "\n" for line in lines).encode())
        return [connection.reply() for _ in lines]


class Lines(unittest.TestCase):
    FLAGS = ("--memory",)

    def setUp(self):
        self.dhrt = Dhrt(*self.FLAGS)
        self.addCleanup(self.dhrt.stop)

    def test_from_now_on_what_changes_is_told(self):
        ask(self.dhrt, "set c old 1")
        with Watch(self.dhrt.address, "watch c") as watch:
            self.assertEqual(watch.begun(), [])
            ask(self.dhrt, "set c new 2", "del c old", 'set c "a b" "\\xff\\n"')
            # What comes at once is told in the order of who wrote it, which may be several loops.
            self.assertEqual(sorted(watch.take(3)), sorted([
                (b"set", b"new", b"2"), (b"del", b"old", b""), (b"set", b"a b", b"\xff\n")]))

    def test_a_token_goes_on_behind_what_was_told(self):
        with Watch(self.dhrt.address, "watch c") as watch:
            watch.begun()
            first = watch.token
            ask(self.dhrt, "set c a 1")
            self.assertEqual(watch.take(), (b"set", b"a", b"1"))
            second = watch.token
        ask(self.dhrt, "set c a 2", "set c b 1", "del c a")
        with Watch(self.dhrt.address, "watch c", since=second) as watch:
            self.assertEqual(sorted(watch.take(2)), [(b"del", b"a", b""), (b"set", b"b", b"1")])
        # There was no such collection then: who saw nothing is not told what is gone.
        with Watch(self.dhrt.address, "watch c", since=first) as watch:
            self.assertEqual(watch.take(), (b"set", b"b", b"1"))
            ask(self.dhrt, "set c z 1")
            self.assertEqual(watch.take(), (b"set", b"z", b"1"))
            third = watch.token
        with Watch(self.dhrt.address, "watch c", since=third) as watch:
            ask(self.dhrt, "set c y 1")
            # Nothing but what was not told then, though it is of before.
            while (told := watch.take()) != (b"set", b"y", b"1"):
                self.assertEqual(told, (b"del", b"a", b""))

    def test_0_begins_with_everything_and_a_prefix_leaves_the_rest_out(self):
        ask(self.dhrt, "set c a1 1", "set c a2 2", "set c b1 3", "set c a3 4", "del c a3")
        with Watch(self.dhrt.address, "watch c a --since 0") as watch:
            self.assertEqual(sorted(watch.take(2)), [(b"set", b"a1", b"1"), (b"set", b"a2", b"2")])
            ask(self.dhrt, "set c b2 5", "set c a4 6")
            self.assertEqual(watch.take(), (b"set", b"a4", b"6"))

    def test_a_deadline_that_passes_is_told(self):
        with Watch(self.dhrt.address, "watch c") as watch:
            watch.begun()
            ask(self.dhrt, "set c b 1")
            self.assertEqual(watch.take(), (b"set", b"b", b"1"))
            ask(self.dhrt, "set c a 1 --ttl 300ms")
            while watch.take() != (b"expire", b"a", b""):
                pass

    def test_a_deadline_that_passed_meanwhile_is_told_to_who_comes_back(self):
        with Watch(self.dhrt.address, "watch c") as other:
            other.begun()
            with Watch(self.dhrt.address, "watch c") as watch:
                watch.begun()
                ask(self.dhrt, "set c a 1 --ttl 3s")
                self.assertEqual(watch.take(), (b"set", b"a", b"1"))
                token = watch.token
            while other.take() != (b"expire", b"a", b""):
                pass
        with Watch(self.dhrt.address, "watch c", since=token) as watch:
            self.assertEqual(watch.take(), (b"del", b"a", b""))

    def test_a_flush_and_a_drop_are_a_reset(self):
        with Watch(self.dhrt.address, "watch c") as watch:
            watch.begun()
            ask(self.dhrt, "set c a 1")
            watch.take()
            token = watch.token
            ask(self.dhrt, "flush c", "set c b 1")
            self.assertEqual(watch.take(2), [(b"reset", b"", b""), (b"set", b"b", b"1")])
            with Watch(self.dhrt.address, "watch c", since=token) as late:
                self.assertEqual(late.begun(), [(b"reset", b"", b""), (b"set", b"b", b"1")])
            ask(self.dhrt, "drop c")
            self.assertEqual(watch.take(), (b"reset", b"", b""))
            ask(self.dhrt, "set c d 1")
            self.assertEqual(watch.take(), (b"set", b"d", b"1"))
            with Watch(self.dhrt.address, "watch c", since=token) as late:
                self.assertEqual(late.begun(), [(b"reset", b"", b""), (b"set", b"d", b"1")])

    def test_nothing_but_quit_is_taken(self):
        with Watch(self.dhrt.address, "watch c") as watch:
            watch.begun()
            watch.connection.send(b"get c a\n\nset c a 1\n")
            for _ in range(2):
                self.assertIn(b"takes nothing but quit", watch.push())
            watch.connection.send(b"quit\n")
            self.assertEqual(watch.push(), b"+OK\r\n")
            with self.assertRaises(EOFError):
                watch.push()
        self.assertEqual(ask(self.dhrt, "get c a"), [b"$-1\r\n"])

    def test_what_is_wrong_is_told_and_the_connection_stays_usable(self):
        for line, says in [*((f"watch c --since {token}", b"watch token") for token in GARBAGE),
                           ("watch _sys", b"not a collection name"),
                           ("watch c " + "p" * 512, b"the limit is 511"),
                           ("watch", b"usage"), ("watch a b c", b"usage")]:
            with self.subTest(line=line[:60]), self.dhrt.connect() as connection:
                connection.send(f"{line}\nping\n".encode())
                reply = connection.reply()
                self.assertEqual(reply[:5], b"-ERR ")
                self.assertIn(says, reply)
                self.assertEqual(connection.reply(), b"+PONG\r\n")

    def test_a_token_is_for_its_collection_and_prefix(self):
        with Watch(self.dhrt.address, "watch c") as watch:
            watch.begun()
            for line in ("watch d", "watch c a"):
                with Watch(self.dhrt.address, f"{line} --since {watch.token}") as other:
                    self.assertIn(b"another collection or prefix", other.push())

    def test_requests_before_it_in_one_piece_are_answered_first(self):
        with Watch(self.dhrt.address, "set c a 1\nget c a\nwatch c --since 0\nquit") as watch:
            self.assertEqual(watch.push(), b"+OK\r\n")
            self.assertEqual(watch.connection.file.read(7), b"$1\r\n1\r\n")

    def test_many_watch_while_many_write(self):
        address = self.dhrt.address
        with Watch(address, "watch c") as first, Watch(address, "watch c k1") as second:
            first.begun()
            second.begun()
            data = b"".join(b"set c k%d %d\n" % (i % 2000, i) for i in range(100000))
            with self.dhrt.connect() as writer:
                writer.send(data)
                for watch, wanted in ((first, range(2000)),
                                      (second, [i for i in range(2000) if str(i)[0] == "1"])):
                    last = {b"k%d" % i: b"%d" % (98000 + i) for i in wanted}
                    held = {}
                    while held != last:
                        event, key, value = watch.take()
                        self.assertEqual(event, b"set")
                        held[key] = value


class LinesOfThreeLoopsOnDisk(Lines):
    FLAGS = ("--cpu-num", "3")


class LoopsThatDoNotSync(unittest.TestCase):
    """What one loop wrote may count as lasting later than what another tells."""

    def test_who_comes_back_ends_with_what_is_there(self):
        dhrt = Dhrt("--cpu-num", "3", "--durability", "none")
        self.addCleanup(dhrt.stop)
        with Watch(dhrt.address, "watch c") as watch:
            watch.begun()
            ask(dhrt, "set c a 1")
            self.assertEqual(watch.take(), (b"set", b"a", b"1"))
        ask(dhrt, "set c a 2", "set c b 1", "del c a")
        held = {b"a": b"1"}
        with Watch(dhrt.address, "watch c", since=watch.token) as watch:
            while held != {b"b": b"1"}:
                event, key, value = watch.take()
                if event == b"set":
                    held[key] = value
                elif event == b"reset":
                    held = {}
                else:
                    held.pop(key, None)


class Stream:
    """curl at /_/watch; `take` gives (event, data) and keeps the last id."""

    def __init__(self, dhrt, target, *arguments):
        self.id = None
        self.comments = 0
        self.curl = subprocess.Popen(
            ["curl", "-sN", *arguments, f"http://127.0.0.1:{dhrt.port}/_/watch/{target}"],
            stdout=subprocess.PIPE)

    def block(self):
        fields = {}
        for line in self.curl.stdout:
            line = line.rstrip(b"\n")
            if not line:
                break
            if line.startswith(b":"):
                self.comments += 1
                continue
            name, _, value = line.partition(b": ")
            fields[name.decode()] = value.decode()
        else:
            raise EOFError("the stream has ended")
        self.id = fields.get("id", self.id)
        return fields

    def begun(self):
        before = []
        while "event" in (block := self.block()):
            before.append((block["event"], json.loads(block["data"])))
        return before

    def take(self):
        while "event" not in (block := self.block()):
            pass
        return block["event"], json.loads(block["data"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.curl.kill()
        self.curl.wait()
        self.curl.stdout.close()


def curl(dhrt, target, *arguments):
    """Status and body."""
    done = subprocess.run(["curl", "-s", "-w", "%{http_code}", "-m", str(SECONDS), *arguments,
                           f"http://127.0.0.1:{dhrt.port}/_/watch/{target}"],
                          capture_output=True, check=False)
    return int(done.stdout[-3:]), done.stdout[:-3]


class ServerSentEvents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dhrt = Dhrt("--memory")

    @classmethod
    def tearDownClass(cls):
        cls.dhrt.stop()

    def test_events_have_what_get_shows(self):
        with Stream(self.dhrt, "shown") as stream:
            self.assertEqual(stream.begun(), [])
            ask(self.dhrt, "set shown a 1")
            event, data = stream.take()
            self.assertEqual((event, data["Key"], data["Value"]), ("set", "a", "1"))
            shown = subprocess.run(["curl", "-s", f"http://127.0.0.1:{self.dhrt.port}/shown/a"],
                                   capture_output=True, check=True).stdout
            self.assertEqual(data, json.loads(shown))
            ask(self.dhrt, 'set shown b "\\xff\\x00"')
            data = stream.take()[1]
            self.assertEqual((data["Encoding"], base64.b64decode(data["Value"])),
                             ("base64", b"\xff\x00"))
            ask(self.dhrt, "set shown c 1 --ttl 1h")
            data = stream.take()[1]
            self.assertAlmostEqual(data["Expires"] - data["Updated"], 3600 * 10**9, delta=10**9)
            ask(self.dhrt, "del shown a")
            self.assertEqual(stream.take(), ("del", {"Key": "a"}))
            ask(self.dhrt, "flush shown")
            self.assertEqual(stream.take(), ("reset", {}))

    def test_last_event_id_and_since_go_on(self):
        with Stream(self.dhrt, "resumed") as stream:
            stream.begun()
            ask(self.dhrt, "set resumed a 1")
            stream.take()
            token = stream.id
        ask(self.dhrt, "set resumed b 2")
        for how in ((f"resumed?since={token}",), ("resumed", "-H", f"Last-Event-ID: {token}"),
                    ("resumed?since=0", "-H", f"Last-Event-ID: {token}")):
            with self.subTest(how=how), Stream(self.dhrt, *how) as stream:
                self.assertEqual([data["Key"] for _, data in stream.begun()], ["b"])
        with Stream(self.dhrt, "resumed?since=0") as stream:
            self.assertEqual(sorted(data["Key"] for _, data in stream.begun()), ["a", "b"])
        with Stream(self.dhrt, "resumed?since=0&prefix=b") as stream:
            self.assertEqual([data["Key"] for _, data in stream.begun()], ["b"])

    def test_what_is_wrong_is_told(self):
        for token in GARBAGE:
            with self.subTest(token=token[:20]):
                status, body = curl(self.dhrt, f"c?since={token}")
                self.assertEqual(status, 400)
                self.assertIn("watch token", json.loads(body)["error"])
        self.assertEqual(curl(self.dhrt, "_sys")[0], 400)
        self.assertEqual(curl(self.dhrt, "c?prefix=" + "p" * 512)[0], 400)
        self.assertEqual(curl(self.dhrt, "c", "-X", "POST")[0], 405)

    def test_the_head_says_what_comes_and_head_gets_no_more(self):
        status, head = curl(self.dhrt, "c", "-I")
        self.assertEqual(status, 200)
        for line in (b"Content-Type: text/event-stream", b"Cache-Control: no-store",
                     b"Transfer-Encoding: chunked"):
            self.assertIn(line, head)

    def test_old_clients_and_those_who_close_are_served(self):
        for flags in (("-0",), ("-H", "Connection: close")):
            with self.subTest(flags=flags), Stream(self.dhrt, "old", *flags) as stream:
                stream.begun()
                ask(self.dhrt, "set old a 1")
                self.assertEqual(stream.take()[0], "set")

    def test_silence_is_broken(self):
        with Stream(self.dhrt, "silent") as stream:
            stream.begun()
            begun = stream.comments
            stream.block()
            self.assertGreater(stream.comments, begun)


class Tokens(unittest.TestCase):
    """`shop` of Guarded may use the collection orders, `reader` reads everything."""

    def test_who_may_read_the_collection_may_watch_it(self):
        with Guarded() as dhrt:
            for token, collection, says in (
                    ("t-read", "any", b"*5"), ("t-orders", "orders", b"*5"),
                    ("t-orders", "other", b"-NOPERM"), (None, "any", b"-NOAUTH")):
                with self.subTest(token=token), dhrt.connect() as connection:
                    if token:
                        connection.send(f"auth {token}\n".encode())
                        self.assertEqual(connection.reply(), b"+OK\r\n")
                    connection.send(f"watch {collection}\n".encode())
                    self.assertEqual(connection.reply()[:len(says)], says)
            for token, collection, status in (("t-orders", "other", 403), ("t-wrong", "any", 401)):
                self.assertEqual(
                    curl(dhrt, collection, "-H", f"Authorization: Bearer {token}")[0], status)
            with Stream(dhrt, "orders", "-H", "Authorization: Bearer t-orders") as stream:
                self.assertEqual(stream.begun(), [])


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dhrt = Dhrt("--memory")

    @classmethod
    def tearDownClass(cls):
        cls.dhrt.stop()

    def begin(self, *arguments, **options):
        host = () if "--host" in arguments else ("--host", f"127.0.0.1:{self.dhrt.port}")
        process = subprocess.Popen([BINARY, *arguments, *host], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, errors="replace", **options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_lines_for_people(self):
        ask(self.dhrt, "set people a 1")
        process = self.begin("watch", "people", "--since", "0")
        self.assertEqual(process.stdout.readline(), "set\ta\t1\n")
        ask(self.dhrt, "del people a")
        self.assertEqual(process.stdout.readline(), "del\ta\n")
        ask(self.dhrt, "flush people")
        self.assertEqual(process.stdout.readline(), "reset\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(SECONDS), 130)

    def test_json_for_programs_and_a_token_to_go_on(self):
        process = self.begin("watch", "programs", "--json")
        first = json.loads(process.stdout.readline())
        self.assertEqual((first["event"], first["collection"]), ("token", "programs"))
        ask(self.dhrt, "set programs a 1", 'set programs b "\\xff"')
        told = [json.loads(process.stdout.readline()) for _ in range(2)]
        self.assertEqual((told[0]["event"], told[0]["key"], told[0]["value"]), ("set", "a", "1"))
        self.assertEqual((told[1]["encoding"], base64.b64decode(told[1]["value"])),
                         ("base64", b"\xff"))
        again = self.begin("watch", "programs", "--since", first["token"])
        self.assertEqual(again.stdout.readline(), "set\ta\t1\n")

    def test_what_is_wrong_is_told(self):
        for arguments, code, says in ((("watch", "c", "--since", "x"), 5, "watch token"),
                                      (("watch",), 2, "too few words"),
                                      (("watch", "c", "--sinc", "x"), 2, "--since")):
            process = self.begin(*arguments)
            self.assertEqual(process.wait(SECONDS), code)
            self.assertIn(says, process.stderr.read())

    def answer_in_turn(self, answers):
        """What a node is taken for that gives each connection the next of `answers`, and ends it.

        The result is its port, and what each of them asked.
        """
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        asked = []

        def serve():
            for answer in answers:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection, connection.makefile("rb") as file:
                    asked.append(file.readline())
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1], asked

    def test_a_node_that_is_busy_after_a_cut_is_asked_again(self):
        told, busy = array([b"set", b"c", b"a", b"1", b"T1"]), b"-BUSY too many of them\r\n"
        last = array([b"set", b"c", b"b", b"2", b"T2"])
        port, asked = self.answer_in_turn([told, busy, b"", busy, last, b"-ERR enough\r\n"])
        process = self.begin("watch", "c", "--host", f"127.0.0.1:{port}", "--timeout",
                             f"{int(SECONDS)}s")
        self.assertEqual(process.stdout.read(), "set\ta\t1\nset\tb\t2\n")
        self.assertNotEqual(process.wait(SECONDS), 0)
        self.assertIn("enough", process.stderr.read())
        self.assertEqual([b"T1" in line for line in asked],
                         [False, True, True, True, True, False])

    def test_a_node_that_is_busy_at_first_is_not_asked_again(self):
        port, asked = self.answer_in_turn([b"-BUSY too many of them\r\n"] * 2)
        process = self.begin("watch", "c", "--host", f"127.0.0.1:{port}")
        self.assertNotEqual(process.wait(SECONDS), 0)
        self.assertEqual(len(asked), 1)

    def test_a_node_that_ends_every_connection_is_asked_a_few_times_only(self):
        port, asked = self.answer_in_turn([b""] * 10000)
        process = self.begin("watch", "c", "--host", f"127.0.0.1:{port}", "--timeout", "3s")
        self.assertNotEqual(process.wait(SECONDS), 0)
        # After 0.4, 0.8 and 1.6 s; the fourth pause would be over too late.
        self.assertLess(len(asked), 6)

    def test_the_prompt_watches_until_it_is_interrupted(self):
        process = self.begin("repl", stdin=subprocess.PIPE)
        self.addCleanup(process.stdin.close)
        ask(self.dhrt, "set prompt a 1")
        process.stdin.write("watch prompt --since 0\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "set\ta\t1\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(SECONDS), 130)


if __name__ == "__main__":
    unittest.main()
