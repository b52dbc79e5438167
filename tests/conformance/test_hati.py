"""dhrt answers clients of Hati's text protocol byte for byte as Hati did, or as a reason says.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_hati.py RecordedRows
"""

import json
import os
import random
import re
import unittest

from exchanges import Client, check_cases, differences_without_sense, read_cases
from wire import Dhrt

FLAGS = ("--tcp", "--tcp-port", "0")
ERROR = b"+ERR\n\n"


def without_connections(reply):
    return re.sub(rb'"connections":\d+', b'"connections":N', reply)


def ask(address, data, count):
    with Client(address) as client:
        return client.ask(data, count)


class RecordedRows(unittest.TestCase):
    def check(self, *flags):
        with Dhrt(*flags) as dhrt:
            self.check_at(dhrt, dhrt.listener("hati"))

    def check_at(self, dhrt, address):
        def begin():
            self.assertEqual(ask(address, b"FLUSHALL memory\nFLUSHALL hdd\n", 8), b"+OK\n+OK\n")

        checked = check_cases(self, "hati", address, begin, without_connections)
        self.assertGreater(checked, 180)

    def test_in_memory(self):
        self.check("--memory", *FLAGS)

    def test_with_three_event_loops_and_a_disk(self):
        self.check("--cpu-num", "3", *FLAGS)

    def test_at_a_unix_socket(self):
        with Dhrt("--memory", "--cpu-num", "2", "--listen",
                  f"hati+unix:///tmp/dhrt-hati-{os.getpid()}.sock") as dhrt:
            self.check_at(dhrt, dhrt.listener("hati"))

    def test_a_difference_that_is_none_has_no_reason(self):
        self.assertEqual(differences_without_sense("hati"), [])
        self.assertGreater(sum(row.recorded is not None for _, rows in read_cases("hati")
                               for row in rows), 70)


class Limits(unittest.TestCase):
    def test_what_is_above_a_limit_is_refused_and_the_connection_stays(self):
        with Dhrt("--memory", "--max-value-bytes", "1kb", *FLAGS) as dhrt, \
                Client(dhrt.listener("hati")) as client:
            def check(line, reply):
                self.assertEqual(client.ask(line + b"\n", len(reply)), reply)

            check(b"SET memory 0 k " + b"v" * 1024, b"+OK\n")
            check(b"SET memory 0 k " + b"w" * 1025, ERROR)
            check(b"SET memory 0 k " + b"w" * 10_000_000, ERROR)
            # Its end may never come.
            self.assertEqual(client.ask(b"SET memory 0 k " + b"w" * 10_000_000, len(ERROR)), ERROR)
            client.send(b"w\n")
            check(b"GET memory k", b"v" * 1024 + b"\n")
            check(b"SET memory 0 " + b"k" * 511 + b" v", b"+OK\n")
            check(b"GET memory " + b"k" * 511, b"v\n")
            for line in (b"SET memory 0 " + b"k" * 512 + b" v", b"GET memory " + b"k" * 512,
                         b"HAS memory " + b"k" * 512, b"DELETE memory " + b"k" * 512):
                check(line, ERROR)
            check(b"COUNT memory", b"2\n")

    def test_a_client_above_the_limit_of_clients_is_told_so(self):
        with Dhrt("--memory", "--max-clients", "1", *FLAGS) as dhrt, \
                Client(dhrt.listener("hati")) as first:
            self.assertEqual(first.ask(b"COUNT hdd\n", 2), b"0\n")
            self.assertEqual(ask(dhrt.listener("hati"), b"COUNT hdd\n", 100), ERROR)

    def test_no_input_ends_the_process_or_stalls_others(self):
        chance = random.Random(1)
        words = [b"SET", b"GET", b"HAS", b"DELETE", b"COUNT", b"FLUSHALL", b"STATS", b"AUTH", b"",
                 b"memory", b"hdd", b"0", b"-1", b"k", b"\x00", b"\xff", b"\r", b"x" * 600]
        with Dhrt("--memory", *FLAGS) as dhrt, Client(dhrt.listener("hati")) as other:
            for _ in range(200):
                lines = [b" ".join(chance.choices(words, k=chance.randrange(7)))
                         for _ in range(20)]
                with Client(dhrt.listener("hati")) as client:
                    client.send(b"\n".join(lines))
                    client.end_sending()
                    self.assertTrue(client.rest().endswith(b"\n"))
                self.assertEqual(other.ask(b"GET none k\n", 1), b"\n")


class Data(unittest.TestCase):
    def test_hdd_is_there_after_a_kill_with_its_ttl_and_memory_is_not(self):
        with Dhrt(*FLAGS) as dhrt:
            lines = (b"SET hdd 0 k v\nSET hdd 1500 short v\nSET hdd 3600000 long v\n"
                     b"SET memory 0 k v\n")
            self.assertEqual(ask(dhrt.listener("hati"), lines, 16), b"+OK\n" * 4)
            dhrt.process.kill()
            dhrt.process.wait()
            dhrt.launch(dhrt.process.args, dhrt.find_address)
            with Client(dhrt.listener("hati")) as client:
                self.assertEqual(client.ask(b"GET hdd k\nGET hdd long\nGET memory k\n", 18),
                                 b"v\nv\nKEY_NOT_EXIST\n")
                while client.ask(b"COUNT hdd\n", 2) == b"3\n":
                    pass
                self.assertEqual(client.ask(b"GET hdd short\nCOUNT hdd\n", 16),
                                 b"KEY_NOT_EXIST\n2\n")
            with dhrt.connect() as text:
                text.send(b"collections\n")
                kinds = {one["name"]: one["storage"] for one in
                         json.loads(text.reply().split(b"\r\n", 1)[1])}
                self.assertEqual((kinds["hdd"], kinds["memory"]), ("disk", "memory"))
                for line in (b"drop memory\ncreate memory --disk\n", b"drop hdd\ncreate hdd --memory\n"):
                    text.send(line)
                    self.assertEqual(text.reply(), b"+OK\r\n")
                    self.assertIn(b"as its name says", text.reply())

    def test_what_one_node_was_told_the_other_answers(self):
        with Dhrt("--memory", *FLAGS) as first, \
                Dhrt("--memory", *FLAGS, joins=first) as second, \
                Client(first.listener("hati")) as here, Client(second.listener("hati")) as there:
            # Until it is a member, the second node answers with an error.
            while there.ask(b"GET memory none\n", 6)[:4] == b"+ERR":
                pass
            there.receive(len(b"KEY_NOT_EXIST\n") - 6)
            for number in range(50):
                key = b"k%d" % number
                self.assertEqual(here.ask(b"SET memory 0 %s v%d\n" % (key, number), 4), b"+OK\n")
                value = b"v%d\n" % number
                self.assertEqual(there.ask(b"GET memory %s\n" % key, len(value)), value)
            self.assertEqual(there.ask(b"DELETE memory k7\n", 4), b"+OK\n")
            while here.ask(b"HAS memory k7\n", 4) == b"+OK\n":
                pass
            self.assertEqual(here.receive(2), b"\n\n")

    def test_stats_tell_keys_of_each_kind_and_connections(self):
        with Dhrt("--memory", *FLAGS) as dhrt, Client(dhrt.listener("hati")) as client:
            client.ask(b"SET memory 0 a 12\nSET memory 0 b 1\nSET hdd 0 c 1\n", 12)
            client.send(b"STATS\n")
            stats = json.loads(client.socket.makefile("rb").readline())
            self.assertEqual(stats["memory"], {"keys": 2, "bytes": 5, "shards": [2]})
            self.assertEqual(stats["hdd"]["keys"], 1)
            self.assertEqual(stats["connections"], 1)


if __name__ == "__main__":
    unittest.main()
