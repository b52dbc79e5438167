"""What a node is watched with: MONITOR, SLOWLOG, LATENCY, the figures of INFO, keyspace events.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_watching.py
"""

import contextlib
import re
import time
import unittest

from test_admin import await_true, clients, is_cut_off, text_of
from wire import Dhrt, Redis, array, escape, words_of

WHO = re.compile(rb"^\+\d+\.\d{6} \[(\S+) \S+\]")


def play(connection, lines):
    for line in lines:
        connection.send(array(words_of(line)))
        connection.reply()


def shown_lines(monitor, count):
    return [WHO.sub(rb"[\1]", monitor.reply()) for _ in range(count)]


class Monitor(unittest.TestCase):
    COMMANDS = [
        "SET k v", "GET k", 'SET "a\\x00\\n\\"\\\\b" "\\xff\\t\\r\\x07\\x08"', "SELECT 2", "get k",
        "MULTI", "INCR n", "PING", "EXEC", "CONFIG GET save", "AUTH secret", "AUTH user secret",
        "HELLO 2 AUTH default secret", "HELLO 2 SETNAME auth AUTH default secret",
        "CLIENT SETNAME x", "CLIENT LIST", "NOSUCH a", "GET",
        "SELECT 0", "DEL k", "LASTSAVE", "SLOWLOG LEN", "ECHO end"]

    def seen(self, server):
        with server.connect() as monitor, server.connect() as connection:
            monitor.ask("MONITOR")
            play(connection, self.COMMANDS)
            lines = []
            while not lines or b"end" not in lines[-1]:
                lines += shown_lines(monitor, 1)
            return [escape(line) for line in lines]

    def test_it_shows_what_redis_shows(self):
        with Redis() as redis, Dhrt("--memory", "--cpu-num", "2") as dhrt:
            self.assertEqual(self.seen(dhrt), self.seen(redis))

    def test_clients_of_every_loop_are_shown_also_of_native_text(self):
        with Dhrt("--memory", "--cpu-num", "3") as dhrt, dhrt.connect() as monitor, \
                contextlib.ExitStack() as stack:
            self.assertEqual(monitor.ask("MONITOR"), b"+OK\r\n")
            for number in range(9):
                connection = stack.enter_context(dhrt.connect())
                connection.send(array([b"GET", b"k%d" % number]) + b"get t%d\n" % number)
                connection.reply()
                connection.reply()
            lines = set(shown_lines(monitor, 18))
            self.assertEqual(lines, {b'[0] "GET" "k%d"\r\n' % n for n in range(9)} |
                             {b'[0] "get" "t%d"\r\n' % n for n in range(9)})
            monitor.ask("RESET")
            connection.ask("GET", "k")
            self.assertEqual(monitor.ask("ECHO", "x"), b"$1\r\nx\r\n")

    def test_one_that_does_not_read_is_cut_off_and_nobody_else_notices(self):
        with Dhrt("--memory", "--output-buffer-max", "2mb") as dhrt, dhrt.connect() as deaf, \
                dhrt.connect() as connection:
            deaf.ask("MONITOR")
            value = b"v" * 100_000
            for _ in range(300):
                connection.send(array([b"SET", b"k", value]))
                self.assertEqual(connection.reply(), b"+OK\r\n")
            def count():
                lines = text_of(connection.ask("CLIENT", "LIST")).splitlines()
                return len(lines)
            await_true(lambda: count() == 1, "the monitor is still there")


class SlowLog(unittest.TestCase):
    def entries(self, server):
        with server.connect() as connection:
            connection.ask("CONFIG", "SET", "slowlog-log-slower-than", "0")
            connection.ask("SLOWLOG", "RESET")
            play(connection, ["SET k v", "GET k", f"MSET {' '.join(['k v'] * 40)}",
                              f"SET k {'v' * 300}", "AUTH secret", "MULTI", "INCR n", "EXEC",
                              "CLIENT SETNAME me", "PING"])
            connection.ask("CONFIG", "SET", "slowlog-log-slower-than", "-1")
            connection.send(array([b"SLOWLOG", b"GET", b"-1"]))
            reply = connection.reply()
            size = connection.ask("SLOWLOG", "LEN")
            limited = connection.ask("CONFIG", "SET", "slowlog-max-len", "3")
            return reply, size, limited

    def words(self, reply):
        """The commands and the names of all entries."""
        lines = reply.split(b"\r\n")
        return [line for line in lines if not re.match(rb"^[:*$]\d+$|^.*:\d+$", line)]

    def test_it_has_the_commands_that_redis_has_in_the_same_form(self):
        with Redis() as redis, Dhrt("--memory") as dhrt:
            expected, size, _ = self.entries(redis)
            found, our_size, _ = self.entries(dhrt)
            self.assertEqual(our_size, size)
            shape = re.compile(rb"^:\d+$", re.M)
            address = re.compile(rb"\$\d+\r\n[^\r\n]*:\d+\r\n")
            def plain(reply):
                return address.sub(b"ADDRESS\r\n", re.sub(rb":\d+\r\n", b":N\r\n", shape.sub(b":N", reply)))
            self.assertEqual(self.words(found), [w for w in self.words(expected) if b"/" not in w])
            self.assertEqual(plain(found).count(b"*6"), plain(expected).count(b"*6"))

    def test_only_what_is_slow_is_kept_and_no_more_than_was_asked_for(self):
        with Dhrt("--memory", "--cpu-num", "2") as dhrt, dhrt.connect() as connection:
            connection.ask("CONFIG", "SET", "slowlog-log-slower-than", "50000")
            connection.ask("CONFIG", "SET", "slowlog-max-len", "2")
            for _ in range(3):
                self.assertEqual(connection.ask("DEBUG", "SLEEP", "0.06"), b"+OK\r\n")
            self.assertEqual(connection.ask("SLOWLOG", "LEN"), b":2\r\n")
            newest = connection.ask("SLOWLOG", "GET", "1").split(b"\r\n")
            self.assertGreaterEqual(int(newest[4][1:]), 60000)
            self.assertEqual([newest[i] for i in (7, 9, 11)], [b"DEBUG", b"SLEEP", b"0.06"])
            self.assertEqual(connection.ask("SLOWLOG", "RESET"), b"+OK\r\n")
            self.assertEqual(connection.ask("SLOWLOG", "GET"), b"*0\r\n")


class Sleep(unittest.TestCase):
    def test_only_the_own_connection_sleeps_and_keeps_its_order(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as sleeper, dhrt.connect() as other:
            began = time.monotonic()
            sleeper.send(array([b"DEBUG", b"SLEEP", b"0.5"]) + array([b"PING"]))
            answered = 0
            while not sleeper.has_more():
                self.assertEqual(other.ask("PING"), b"+PONG\r\n")
                answered += 1
            self.assertGreaterEqual(time.monotonic() - began, 0.49)
            self.assertGreater(answered, 10)
            self.assertEqual(sleeper.reply(), b"+OK\r\n")
            self.assertEqual(sleeper.reply(), b"+PONG\r\n")
            # One who leaves is not waited for, also with more than a line behind it.
            for behind in (b"", array([b"PING"]) * 10000):
                with dhrt.connect() as gone:
                    gone.send(array([b"DEBUG", b"SLEEP", b"3000"]) + behind)
                    await_true(lambda: len(clients(other)) == 3, "it did not come")
                await_true(lambda: len(clients(other)) == 2, "it is still there")


class Figures(unittest.TestCase):
    def figures(self, connection, section):
        text = text_of(connection.ask("INFO", section))
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def test_commands_are_counted_on_every_loop_fast_or_not(self):
        with Dhrt("--memory", "--cpu-num", "3") as dhrt, contextlib.ExitStack() as stack:
            for _ in range(6):
                connection = stack.enter_context(dhrt.connect())
                connection.send(array([b"SET", b"k", b"v"]) * 50 + array([b"GET", b"k"]) * 50 +
                                array([b"STRLEN", b"k"]) * 10 + array([b"INCR", b"k"]) * 5 +
                                array([b"GET"]) * 2)
                for _ in range(117):
                    connection.reply()
            counts = self.figures(connection, "commandstats")
            self.assertIn("calls=300,", counts["cmdstat_set"])
            self.assertRegex(counts["cmdstat_get"], "calls=300,.*rejected_calls=12,failed_calls=0")
            self.assertIn("calls=60,", counts["cmdstat_strlen"])
            self.assertRegex(counts["cmdstat_incr"], "calls=30,.*rejected_calls=0,failed_calls=30")
            self.assertEqual(self.figures(connection, "errorstats")["errorstat_ERR"], "count=42")
            histogram = connection.ask("LATENCY", "HISTOGRAM", "get", "SET").split(b"\r\n")
            self.assertEqual(histogram[0], b"*4")
            self.assertIn(b":300", histogram)
            self.assertIn("latency_percentiles_usec_get", self.figures(connection, "latencystats"))
            self.assertEqual(connection.ask("CONFIG", "RESETSTAT"), b"+OK\r\n")
            self.assertNotIn("cmdstat_get", self.figures(connection, "commandstats"))
            self.assertEqual(self.figures(connection, "errorstats"), {})
            self.assertLess(int(self.figures(connection, "stats")["total_commands_processed"]), 5)

    def test_slow_commands_are_sampled(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            self.assertIn(b"latency-monitor-threshold", connection.ask("LATENCY", "DOCTOR"))
            connection.ask("CONFIG", "SET", "latency-monitor-threshold", "40")
            connection.ask("DEBUG", "SLEEP", "0.05")
            connection.ask("DEBUG", "SLEEP", "0.08")
            latest = connection.ask("LATENCY", "LATEST").split(b"\r\n")
            self.assertEqual((latest[0], latest[1], latest[3]), (b"*1", b"*4", b"command"))
            self.assertGreaterEqual(int(latest[6][1:]), 80)
            self.assertIn(b"command: ", connection.ask("LATENCY", "DOCTOR"))
            self.assertRegex(connection.ask("LATENCY", "HISTORY", "command"), rb"^\*[12]\r\n\*2\r\n:\d+")
            self.assertEqual(connection.ask("LATENCY", "RESET"), b":1\r\n")
            self.assertEqual(connection.ask("LATENCY", "LATEST"), b"*0\r\n")


class KeyspaceEvents(unittest.TestCase):
    COMMANDS = [
        "SET k v", "SET k v EX 100", "SETEX k 100 v", "PSETEX k 100000 v", "SET k v NX", "GETSET k w",
        "APPEND k x", "SETRANGE k 1 y", "SETBIT b 3 1", "BITFIELD b SET u8 0 1", "BITFIELD b GET u8 0",
        "INCR n", "DECRBY n 3", "INCRBYFLOAT n 1.5", "MSET a 1 c 2", "MSETNX a 1 d 2", "MSETNX d 1 e 2",
        "EXPIRE k 100", "PERSIST k", "PERSIST k", "EXPIREAT k 99999999999", "EXPIRE k -1", "GET k",
        "SET k v", "GETEX k EX 100", "GETEX k PERSIST", "GETEX k", "COPY k l", "DEL k l missing",
        "UNLINK a", "SET k v", "GETDEL k", "BITOP NOT r n", "MULTI", "SET m 1", "INCR m", "EXEC",
        "SETNX m x", "SETNX o x", "SELECT 3", "SET k v", "SELECT 0"]

    def heard(self, server, kinds):
        """What two listeners hear of it, up to a word that ends it."""
        told = []
        with server.connect() as keys, server.connect() as connection:
            connection.ask("CONFIG", "SET", "notify-keyspace-events", kinds)
            keys.ask("PSUBSCRIBE", "__key*")
            play(connection, self.COMMANDS)
            connection.ask("PUBLISH", "__key-end", "")
            while not told or b"__key-end" not in told[-1]:
                told.append(keys.reply())
        return [escape(one) for one in told]

    def test_they_are_those_of_redis(self):
        for kinds in ("KEA", "K$", "Eg", "KEAn", "KEAm", "A", "g$", "Ex"):
            with self.subTest(kinds=kinds), Redis() as redis, Dhrt("--memory") as dhrt:
                expected = self.heard(redis, kinds)
                self.assertEqual(self.heard(dhrt, kinds), expected)

    def test_a_key_that_gets_another_name_is_told_under_both(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as listener, dhrt.connect() as connection:
            connection.ask("CONFIG", "SET", "notify-keyspace-events", "Eg")
            listener.ask("PSUBSCRIBE", "__keyevent@*")
            play(connection, ["SET k v", "RENAME k l", "MOVE l 2"])
            self.assertEqual([b"".join(listener.reply().split(b"\r\n")[6:9:2]) for _ in range(4)],
                             [b"__keyevent@0__:rename_tol", b"__keyevent@0__:rename_fromk",
                              b"__keyevent@2__:move_tol", b"__keyevent@0__:move_froml"])

    def test_a_write_on_any_node_is_heard_on_each_and_a_deadline_once(self):
        flags = ("--notify-keyspace-events", "KEA")
        with Dhrt("--cpu-num", "2", *flags) as one, Dhrt("--memory", *flags, joins=one) as two, \
                one.connect() as here, two.connect() as there, one.connect() as first, \
                two.connect() as second:
            for listener in (here, there):
                listener.ask("PSUBSCRIBE", "__keyevent@*")
            await_true(lambda: second.ask("SET", "link", "1") == b"+OK\r\n", "two does not join")
            self.skip_to(second, b"two is linked", (here, there))
            self.skip_to(first, b"one is linked", (here, there))
            first.ask("SET", "a", "1")
            second.ask("SELECT", "1")
            for listener in (here, there):
                self.assertEqual(self.event(listener), (b"__keyevent@0__:set", b"a"))
            second.ask("SET", "b", "1", "PX", "50")
            for listener in (here, there):
                self.assertEqual(self.event(listener), (b"__keyevent@1__:set", b"b"))
                self.assertEqual(self.event(listener), (b"__keyevent@1__:expire", b"b"))
                self.assertEqual(self.event(listener), (b"__keyevent@1__:expired", b"b"))
            # From lines and HTTP, too.
            first.send(b"set orders o1 v\ndel orders o1\n")
            first.reply()
            first.reply()
            for listener in (here, there):
                self.assertEqual(self.event(listener), (b"__keyevent@orders__:set", b"o1"))
                self.assertEqual(self.event(listener), (b"__keyevent@orders__:del", b"o1"))

    def event(self, listener):
        lines = listener.reply().split(b"\r\n")
        return lines[6], lines[8]

    def skip_to(self, speaker, word, listeners):
        """Before they are linked, nodes tell each other nothing."""
        def all_have_heard():
            speaker.ask(b"PUBLISH", b"__keyevent@linking", word)
            return all(listener.has_more() for listener in listeners)
        await_true(all_have_heard, "some listeners hear nothing")
        speaker.ask(b"PUBLISH", b"__keyevent@linked", word)
        for listener in listeners:
            while self.event(listener) != (b"__keyevent@linked", word):
                pass


if __name__ == "__main__":
    unittest.main(verbosity=2)
