"""dhrt answers Redis clients byte for byte as redis-server does, or as a reason says.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_redis.py RecordedRows
DHRT_SEED=N begins the random sequences with another one than the first.
"""

import os
import random
import re
import unittest

from rows import play, read_cases
from wire import Dhrt, Redis, array, escape

CONNECTION_ID = re.compile(rb"(\r\nid\r\n):\d+\r\n")


def without_id(reply):
    return CONNECTION_ID.sub(rb"\1:ID\r\n", reply)


class RecordedRows(unittest.TestCase):
    def check(self, server, expected_of):
        rows_checked = 0
        for title, rows in read_cases():
            for row, reply in zip(rows, play(server, rows)):
                with self.subTest(case=title, line=row.line, words=row.words):
                    self.assertEqual(escape(without_id(reply)),
                                     escape(without_id(expected_of(row))))
                rows_checked += 1
        self.assertGreater(rows_checked, 400)

    def test_dhrt_answers_every_row_as_redis_or_as_its_reason_says(self):
        with Dhrt("--memory") as dhrt:
            self.check(dhrt, lambda row: row.expected())

    def test_with_three_event_loops_and_a_disk(self):
        with Dhrt("--cpu-num", "3", "--durability", "none") as dhrt:
            self.check(dhrt, lambda row: row.expected())

    def test_the_recorded_replies_are_those_of_redis(self):
        with Redis() as redis:
            self.check(redis, lambda row: row.redis)

    def test_a_difference_that_is_none_has_no_reason(self):
        for _, rows in read_cases():
            for row in rows:
                self.assertNotEqual(row.redis, row.dhrt, f"line {row.line}")


class Help(unittest.TestCase):
    """The texts are dhrt's own, for what dhrt has of a command."""

    @staticmethod
    def sends_to_help(dhrt, name):
        """Asked on a connection of its own, as some commands change or end it."""
        with dhrt.connect() as connection:
            return connection.ask(name, "NOSUCH").endswith(b" HELP.\r\n")

    def test_it_is_there_for_whoever_is_sent_to_it_and_names_what_there_is(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            names = connection.ask("COMMAND", "LIST").split(b"\r\n")[2::2]
            commands = {name.upper() for name in names if self.sends_to_help(dhrt, name)}
            self.assertEqual(commands, {b"CLIENT", b"COMMAND", b"CONFIG", b"DEBUG", b"LATENCY",
                                        b"MEMORY", b"OBJECT", b"PUBSUB", b"SLOWLOG"})
            for command in commands:
                _, title, *lines = connection.ask(command, "HELP").split(b"\r\n")[:-1]
                self.assertTrue(title.startswith(b"+" + command + b" <subcommand>"), title)
                self.assertTrue(lines, command)
                for line in lines:
                    self.assertNotIn(b"unknown subcommand '",
                                     connection.ask(command, line[1:].split()[0]), line)


class Sequences:
    """Random commands about few keys, so that they meet each other's results."""

    KEYS = [b"a", b"b", b"c", b"key", b"0"]
    VALUES = [b"", b"0", b"1", b"-1", b"10", b"abc", b"\x00\xff", b"a\r\nb", b"9223372036854775807",
              b"3.25", b"foobar" * 5, b" 1"]
    NUMBERS = [b"0", b"1", b"-1", b"2", b"7", b"-7", b"100", b"8", b"x", b"", b"9223372036854775807",
               b"-9223372036854775808", b"1.5"]
    TIMES = [b"1000", b"100000", b"-1", b"0", b"99999999999", b"x"]
    FORMS = """
        SET k v|SET k v|SET k v NX|SET k v XX|SET k v GET|SET k v XX GET|SET k v KEEPTTL|SET k v EX t
        SET k v PX t NX|SET k v EX t GET|SETNX k v|SETEX k t v|PSETEX k t v|GETSET k v|GETDEL k|GET k
        GETEX k|GETEX k EX t|GETEX k PERSIST|MGET k k k|MSET k v k v|MSETNX k v k v|APPEND k v
        STRLEN k|GETRANGE k n n|SETRANGE k s v|INCR k|DECR k|INCRBY k n|DECRBY k n|INCRBYFLOAT k n
        SETBIT k s b|GETBIT k s|BITCOUNT k|BITCOUNT k n n|BITCOUNT k n n BIT|BITPOS k b|BITPOS k b n
        BITPOS k b n n|BITPOS k b n n BIT|DEL k k|EXISTS k k k|TYPE k|RENAME k k|RENAMENX k k|COPY k k
        COPY k k REPLACE|EXPIRE k t|EXPIRE k t NX|EXPIRE k t XX|EXPIRE k u GT|EXPIRE k u LT|TTL k
        MULTI|MULTI|MULTI|EXEC|EXEC|EXEC|DISCARD|WATCH k|UNWATCH|FLUSHDB|EXPIREAT k t|EXPIRETIME k
        PERSIST k|TOUCH k|UNLINK k|DBSIZE|SUBSTR k n n|BITOP OR k k k|BITOP XOR k k k
        BITOP AND k k k|BITOP NOT k k|LCS k k|LCS k k LEN|LCS k k IDX WITHMATCHLEN|BITFIELD k GET u8 s GET i5 s
        BITFIELD k SET u8 s m|BITFIELD k INCRBY i5 s m|BITFIELD k OVERFLOW SAT INCRBY u4 s m SET i8 s m
        BITFIELD_RO k GET u63 s GET i64 s|MOVE k 1
        """
    # Of those far outside of a width Redis takes some for too large that are too small.
    MODEST = [b"0", b"1", b"-1", b"7", b"-7", b"100", b"300", b"-300", b"x"]
    SMALL = [b"0", b"1", b"5", b"20", b"63", b"-1", b"x"]

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.forms = [form.strip() for line in self.FORMS.split("\n") for form in line.split("|")
                      if form.strip()]

    def command(self):
        choices = {"k": self.KEYS, "v": self.VALUES, "n": self.NUMBERS, "t": self.TIMES,
                   "s": self.SMALL, "m": self.MODEST, "u": [self.unlike_any_other()], "b": [b"0", b"1", b"1", b"2"]}
        words = [self.random.choice(choices[word]) if word in choices else word.encode()
                 for word in self.random.choice(self.forms).split()]
        if self.random.random() < 0.02:
            words = words[:-1] or words
        if self.random.random() < 0.02:
            words.append(self.random.choice(self.VALUES[1:]))  # No key is empty.
        return words

    def unlike_any_other(self):
        """Seconds: which of two equal times is the later one depends on the servers' clocks."""
        return b"%d" % self.random.randrange(2000, 90000)


# What rounding a time may add or take between two servers that are asked one after the other.
TIME_COMMANDS = (b"TTL", b"EXPIRETIME")


def agree_within(redis, dhrt):
    """The replies of EXEC, among which may be times."""
    pairs = list(zip(redis.split(b"\r\n"), dhrt.split(b"\r\n"), strict=True))
    return all(one == other or (one[:1] == other[:1] == b":" and int(one[1:]) > 50
                                and abs(int(one[1:]) - int(other[1:])) <= 2)
               for one, other in pairs)


def agree(words, redis, dhrt):
    if words[0] == b"EXEC" and redis != dhrt and redis.count(b"\r\n") == dhrt.count(b"\r\n"):
        return agree_within(redis, dhrt)
    if words[0] in TIME_COMMANDS and redis[:1] == dhrt[:1] == b":":
        return abs(int(redis[1:]) - int(dhrt[1:])) <= 2
    return redis == dhrt


class RandomSequences(unittest.TestCase):
    def setUp(self):
        self.seed = int(os.environ.get("DHRT_SEED", "1"))
        print(f"    DHRT_SEED={self.seed}", flush=True)

    def play(self, connection, commands, version):
        connection.ask("RESET")
        connection.ask("FLUSHALL")
        connection.ask("HELLO", version)
        replies = []
        for start in range(0, len(commands), 50):
            batch = commands[start:start + 50]
            connection.send(b"".join(array(words) for words in batch))
            replies += [connection.reply() for _ in batch]
        return replies

    def compare(self, dhrt, rounds):
        with Redis() as redis, redis.connect() as first, dhrt.connect() as second:
            for number in range(rounds):
                sequences = Sequences(self.seed + number)
                commands = [sequences.command() for _ in range(500)]
                version = "3" if number % 2 else "2"
                expected = self.play(first, commands, version)
                answered = self.play(second, commands, version)
                for at, words in enumerate(commands):
                    if not agree(words, expected[at], answered[at]):
                        before = "\n".join(escape(b" ".join(one)) for one in commands[:at + 1][-12:])
                        self.fail(f"seed {self.seed + number}, command {at}:\n{before}\n"
                                  f"redis {escape(expected[at])}\ndhrt  {escape(answered[at])}")

    def test_pipelines_are_answered_as_redis_answers_them(self):
        with Dhrt("--memory") as dhrt:
            self.compare(dhrt, 40)

    def test_from_a_disk_too(self):
        with Dhrt("--durability", "none") as dhrt:
            self.compare(dhrt, 20)


class Framing(unittest.TestCase):
    """Bytes that are no commands: an error, and nobody else notices."""

    def test_bad_framing_is_answered_and_the_connection_closed_as_redis_does(self):
        bad = [b"*x\r\n", b"*1\r\n:1\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$x\r\n",
               b"*99999999999999999999\r\n", b"*1\r\n$536870913\r\n"]
        with Dhrt("--memory") as dhrt, Redis() as redis:
            for data in bad:
                with self.subTest(data=data):
                    replies = []
                    for server in (redis, dhrt):
                        with server.connect() as connection:
                            connection.send(data)
                            replies.append(connection.reply())
                            with self.assertRaises((EOFError, ConnectionResetError)):
                                connection.reply()
                    self.assertEqual(replies[0], replies[1])
            with dhrt.connect() as connection:
                self.assertEqual(connection.ask("PING"), b"+PONG\r\n")

    def test_a_value_above_the_limit_is_refused_and_the_connection_stays(self):
        with Dhrt("--memory", "--max-value-bytes", "1kb") as dhrt, dhrt.connect() as connection:
            self.assertEqual(connection.ask("SET", "k", "v" * 1024), b"+OK\r\n")
            refused = connection.ask("SET", "k", "w" * 5_000_000)
            self.assertTrue(refused.startswith(b"-ERR "), refused)
            self.assertIn(b"--max-value-bytes", refused)
            self.assertEqual(connection.ask("STRLEN", "k"), b":1024\r\n")
            self.assertIn(b"(1024 bytes, --max-value-bytes)", connection.ask("APPEND", "k", "x"))
            self.assertIn(b"--max-value-bytes", connection.ask("SETBIT", "k", "8192", "1"))
            self.assertEqual(connection.ask("STRLEN", "k"), b":1024\r\n")

    def test_a_reply_without_bound_is_refused(self):
        with Dhrt("--memory", "--output-buffer-max", "1mb", "--max-value-bytes", "1mb") as dhrt, \
                dhrt.connect() as connection:
            self.assertEqual(connection.ask("SET", "k", "v" * 1_000_000), b"+OK\r\n")
            self.assertIn(b"--output-buffer-max", connection.ask("MGET", *["k"] * 10000))
            self.assertEqual(len(connection.ask("MGET", "k", "k")), 2_000_000 + 4 + 2 * 12)
            self.assertIn(b"--output-buffer-max",
                          connection.ask("COMMAND", "INFO", *["get"] * 50000))
            connection.ask("MULTI")
            for _ in range(5):
                connection.ask("GET", "k")
            connection.ask("INCR", "n")
            reply = connection.ask("EXEC")
            self.assertTrue(reply.startswith(b"*6\r\n$1000000\r\n"), reply[:100])
            self.assertTrue(reply.endswith(b"--output-buffer-max\r\n"), reply[-100:])
            self.assertEqual(connection.ask("GET", "n"), b"$1\r\n1\r\n")

    def test_short_commands_about_a_long_value_do_not_hold_up_others(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as busy, dhrt.connect() as other:
            busy.ask("SETRANGE", "k", str((16 << 20) - 1), "x")
            busy.send(array([b"SETBIT", b"k", b"1", b"1"]) * 200)
            for _ in range(20):
                self.assertEqual(other.ask("PING"), b"+PONG\r\n")
            for _ in range(200):
                busy.reply()
            pattern = "*a" * 400 + "b"
            for number in range(50):
                other.ask("SET", "a" * 400 + str(number), "v")
            self.assertEqual(busy.ask("KEYS", pattern), b"*0\r\n")
            self.assertIn(b"at most 1024 bytes", busy.ask("KEYS", "*" * 100_000))

    def test_empty_commands_are_ignored(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            connection.send(b"*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n")
            self.assertEqual(connection.reply(), b"+PONG\r\n")

    def test_replies_may_be_turned_off(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            for words in (("CLIENT", "REPLY", "OFF"), ("SET", "k", "1"), ("NOSUCH",), ("DEL", "x"),
                          ("KEYS", "*"), ("CLIENT", "REPLY", "ON")):
                connection.send(array([word.encode() for word in words]))
            self.assertEqual(connection.reply(), b"+OK\r\n")
            for words in (("CLIENT", "REPLY", "SKIP"), ("SET", "k", "2"), ("GET", "k")):
                connection.send(array([word.encode() for word in words]))
            self.assertEqual(connection.reply(), b"$1\r\n2\r\n")


class Scans(unittest.TestCase):
    def keys_of(self, connection, *options):
        cursor, found = b"0", []
        while True:
            connection.send(array([b"SCAN", cursor, *[option.encode() for option in options]]))
            lines = connection.reply().split(b"\r\n")
            cursor = lines[2]
            found += lines[5::2]
            if cursor == b"0":
                return [key for key in found if key]

    def test_a_scan_gives_every_key_once_over_several_connections(self):
        with Dhrt("--memory", "--cpu-num", "2") as dhrt, dhrt.connect() as connection:
            keys = [b"key:%05d" % number for number in range(3000)]
            connection.send(b"".join(array([b"SET", key, b"v"]) for key in keys))
            for _ in keys:
                self.assertEqual(connection.reply(), b"+OK\r\n")
            self.assertEqual(sorted(self.keys_of(connection)), keys)
            self.assertEqual(sorted(self.keys_of(connection, "COUNT", "1000")), keys)
            self.assertEqual(sorted(self.keys_of(connection, "MATCH", "key:0[01]*")), keys[:2000])
            self.assertEqual(self.keys_of(connection, "MATCH", "x*"), [])
            connection.send(array([b"SCAN", b"0"]))
            cursor = connection.reply().split(b"\r\n")[2]
            pages = set()
            for _ in range(8):
                with dhrt.connect() as other:
                    pages.add(other.ask(b"SCAN", cursor).split(b"\r\n", 3)[3])
            self.assertEqual(len(pages), 1)
            with dhrt.connect() as other:
                other.ask("SELECT", "1")
                self.assertTrue(other.ask(b"SCAN", cursor).startswith(b"-ERR invalid cursor"))

    def test_every_key_may_be_the_random_one(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            keys = {b"a", b"ab", b"abc", b"\xff\xff", b"z1", b"z2", b"\x00"}
            for key in keys:
                connection.ask(b"SET", key, b"v")
            seen = {connection.ask("RANDOMKEY").split(b"\r\n")[1] for _ in range(400)}
            self.assertEqual(seen, keys)


class Atomic(unittest.TestCase):
    def test_increments_of_many_connections_all_count(self):
        with Dhrt("--memory", "--cpu-num", "3") as dhrt:
            connections = [dhrt.connect() for _ in range(12)]
            for connection in connections:
                connection.send(array([b"INCR", b"n"]) * 500)
            replies = [int(connection.reply()[1:]) for connection in connections
                       for _ in range(500)]
            self.assertEqual(sorted(replies), list(range(1, 6001)))
            for connection in connections:
                connection.close()

    def test_one_of_many_that_set_an_absent_key_wins(self):
        with Dhrt("--memory", "--cpu-num", "3") as dhrt:
            connections = [dhrt.connect() for _ in range(12)]
            for number in range(100):
                for at, connection in enumerate(connections):
                    connection.send(array([b"SET", b"lock%d" % number, b"%d" % at, b"NX"]))
                won = [connection.reply() for connection in connections].count(b"+OK\r\n")
                self.assertEqual(won, 1)
            for connection in connections:
                connection.close()

    def test_what_was_answered_is_there_after_a_kill(self):
        with Dhrt() as dhrt:
            with dhrt.connect() as connection:
                connection.send(array([b"INCR", b"n"]) * 100)
                for _ in range(100):
                    connection.reply()
                connection.ask("APPEND", "k", "value")
                connection.ask("SET", "gone", "v")
                connection.ask("GETDEL", "gone")
            dhrt.process.kill()
            dhrt.process.wait()
            arguments = dhrt.process.args
            dhrt.launch(arguments, dhrt.find_address)
            with dhrt.connect() as connection:
                self.assertEqual(connection.ask("GET", "n"), b"$3\r\n100\r\n")
                self.assertEqual(connection.ask("GET", "k"), b"$5\r\nvalue\r\n")
                self.assertEqual(connection.ask("EXISTS", "gone"), b":0\r\n")


if __name__ == "__main__":
    unittest.main()
