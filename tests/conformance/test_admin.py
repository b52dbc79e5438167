"""What administrators do to a node: who is connected, what is set, what is saved, and the end.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_admin.py
"""

import contextlib
import re
import signal
import time
import unittest

from wire import SECONDS, Dhrt, Redis, array


def fields_of(line):
    return dict(field.split("=", 1) for field in line.split(" "))


def text_of(reply):
    """The bytes of a bulk reply."""
    return reply.split(b"\r\n", 1)[1][:-2].decode()


def clients(connection, *options):
    lines = text_of(connection.ask("CLIENT", "LIST", *options)).splitlines()
    return [fields_of(line) for line in lines]


def is_cut_off(connection):
    try:
        connection.reply()
    except (EOFError, ConnectionResetError):
        return True
    return False


def await_true(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what)


class Clients(unittest.TestCase):
    def test_the_list_has_all_of_every_loop_and_the_fields_of_redis(self):
        with Dhrt("--memory", "--cpu-num", "3") as dhrt, Redis() as redis, \
                contextlib.ExitStack() as stack:
            ids = set()
            for number in range(9):
                connection = stack.enter_context(dhrt.connect())
                connection.ask("CLIENT", "SETNAME", f"name-{number}")
                ids.add(connection.ask("CLIENT", "ID")[1:-2].decode())
            shown = clients(connection)
            self.assertEqual({one["id"] for one in shown}, ids)
            self.assertEqual({one["name"] for one in shown}, {f"name-{n}" for n in range(9)})
            self.assertEqual({one["loop"] for one in shown}, {"0", "1", "2"})
            with redis.connect() as other:
                wanted = set(clients(other)[0])
            # What there is no such thing of here.
            wanted -= {"qbuf-free", "argv-mem", "rbs", "rbp"}
            self.assertEqual(wanted - set(shown[0]), set())
            self.assertEqual(fields_of(text_of(connection.ask("CLIENT", "INFO")).strip())["cmd"],
                             "client|info")

    def test_the_list_tells_what_a_client_is_about(self):
        with Dhrt("--memory", "--cpu-num", "2") as dhrt, dhrt.connect() as asker, \
                dhrt.connect() as listener, dhrt.connect() as other, dhrt.connect() as text:
            listener.ask("SUBSCRIBE", "news")
            other.ask("SELECT", "3")
            other.ask("WATCH", "k")
            other.ask("MULTI")
            other.ask("GET", "k")
            text.send(b"get k\n")
            text.reply()
            other_id = next(one["id"] for one in clients(asker) if one["db"] == "3")
            self.assertEqual([one["sub"] for one in clients(asker, "TYPE", "pubsub")], ["1"])
            self.assertEqual(len(clients(asker, "TYPE", "normal")), 3)
            one = clients(asker, "ID", other_id)[0]
            self.assertEqual((one["flags"], one["multi"], one["watch"], one["collection"]),
                             ("x", "1", "1", "db3"))
            self.assertEqual(len(clients(asker, "ID", other_id, "999999")), 1)
            self.assertIn("NULL", [one["cmd"] for one in clients(asker)])

    def test_who_is_meant_is_cut_off_on_every_loop(self):
        with Dhrt("--memory", "--cpu-num", "3") as dhrt, dhrt.connect() as killer, \
                contextlib.ExitStack() as stack:
            victims = [stack.enter_context(dhrt.connect()) for _ in range(7)]
            ids = [victim.ask("CLIENT", "ID")[1:-2].decode() for victim in victims]
            self.assertEqual(killer.ask("CLIENT", "KILL", "ID", ids[0]), b":1\r\n")
            self.assertTrue(is_cut_off(victims[0]))
            address = "%s:%d" % victims[1].socket.getsockname()
            self.assertEqual(killer.ask("CLIENT", "KILL", address), b"+OK\r\n")
            self.assertTrue(is_cut_off(victims[1]))
            address = "%s:%d" % victims[2].socket.getsockname()
            self.assertEqual(killer.ask("CLIENT", "KILL", "ADDR", address, "ID", ids[3]), b":0\r\n")
            self.assertEqual(killer.ask("CLIENT", "KILL", "ADDR", address, "ID", ids[2]), b":1\r\n")
            victims[3].ask("SUBSCRIBE", "news")
            self.assertEqual(killer.ask("CLIENT", "KILL", "TYPE", "pubsub"), b":1\r\n")
            self.assertTrue(is_cut_off(victims[3]))
            self.assertEqual(killer.ask("CLIENT", "KILL", "MAXAGE", "1000"), b":0\r\n")
            for victim in victims[4:]:
                self.assertEqual(victim.ask("PING"), b"+PONG\r\n")
            local = f"127.0.0.1:{dhrt.port}"
            self.assertEqual(killer.ask("CLIENT", "KILL", "LADDR", local, "USER", "default"),
                             b":3\r\n")
            self.assertEqual(killer.ask("PING"), b"+PONG\r\n")
            self.assertEqual(killer.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"),
                             b":1\r\n")
            self.assertTrue(is_cut_off(killer))

    def test_who_kills_himself_is_answered_first(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            address = "%s:%d" % connection.socket.getsockname()
            connection.send(array([b"SET", b"k", b"v"]) +
                            array([b"CLIENT", b"KILL", address.encode()]) + array([b"GET", b"k"]))
            self.assertEqual(connection.reply(), b"+OK\r\n")
            self.assertEqual(connection.reply(), b"+OK\r\n")
            self.assertTrue(is_cut_off(connection))

    def test_a_silent_client_is_not_answered_of_the_list_either(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            connection.send(array([b"CLIENT", b"REPLY", b"SKIP"]) + array([b"CLIENT", b"LIST"]) +
                            array([b"PING"]))
            self.assertEqual(connection.reply(), b"+PONG\r\n")


class Settings(unittest.TestCase):
    def test_the_time_out_holds_for_who_is_connected_already(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as idle, dhrt.connect() as other:
            idle.ask("PING")
            self.assertEqual(other.ask("CONFIG", "SET", "timeout", "1"), b"+OK\r\n")
            self.assertTrue(is_cut_off(idle))
            with dhrt.connect() as again:
                self.assertEqual(again.ask("CONFIG", "SET", "timeout", "0"), b"+OK\r\n")

    def test_fewer_clients_may_be_allowed_but_not_more_than_there_is_room_for(self):
        with Dhrt("--memory", "--max-clients", "20") as dhrt, dhrt.connect() as connection:
            self.assertIn(b"--max-clients", connection.ask("CONFIG", "SET", "maxclients", "21"))
            self.assertEqual(connection.ask("CONFIG", "SET", "maxclients", "1"), b"+OK\r\n")
            with dhrt.connect() as refused:
                refused.send(array([b"PING"]))
                self.assertIn(b"the limit of 1 connections", refused.reply())
            self.assertEqual(connection.ask("CONFIG", "SET", "maxclients", "20"), b"+OK\r\n")
            with dhrt.connect() as welcome:
                self.assertEqual(welcome.ask("PING"), b"+PONG\r\n")

    def test_what_is_shown_is_what_the_node_was_told(self):
        with Dhrt("--durability", "none", "--max-value-bytes", "3mb", "--notify-keyspace-events",
                  "Kg") as dhrt, dhrt.connect() as connection:
            for name, value in (("appendonly", "yes"), ("appendfsync", "no"),
                                ("proto-max-bulk-len", "3145728"), ("port", str(dhrt.port)),
                                ("bind", "127.0.0.1"), ("notify-keyspace-events", "gK"),
                                ("dir", str(dhrt.directory / "data")), ("save", "")):
                self.assertEqual(connection.ask("CONFIG", "GET", name),
                                 array([name.encode(), value.encode()]))
            # What cannot be changed may be given the value that it has.
            self.assertEqual(connection.ask("CONFIG", "SET", "appendonly", "yes", "save", ""),
                             b"+OK\r\n")
            self.assertIn(b"immutable", connection.ask("CONFIG", "SET", "appendonly", "no"))

    def test_a_configuration_file_is_not_written_to(self):
        with Dhrt("--memory") as dhrt:
            path = dhrt.directory / "dhrt.toml"
            path.write_text("memory = true\n")
            with Dhrt("--config", str(path)) as other, other.connect() as connection:
                self.assertIn(str(path).encode(), connection.ask("CONFIG", "REWRITE"))
            self.assertEqual(path.read_text(), "memory = true\n")


class Saves(unittest.TestCase):
    def last_save(self, connection):
        return int(connection.ask("LASTSAVE")[1:])

    def checkpoints(self, connection):
        return int(re.search(r"checkpoints:(\d+)", text_of(connection.ask("INFO", "persistence")))[1])

    def test_a_save_is_a_checkpoint(self):
        with Dhrt("--checkpoint-age", "1h") as dhrt, dhrt.connect() as connection:
            before = self.last_save(connection)
            self.assertLess(abs(before - time.time()), SECONDS)
            await_true(lambda: time.time() >= before + 1.1, "a second does not pass")
            connection.ask("SET", "k", "v")
            made = self.checkpoints(connection)
            self.assertEqual(connection.ask("SAVE"), b"+OK\r\n")
            self.assertGreater(self.checkpoints(connection), made)
            self.assertGreater(self.last_save(connection), before)
            made = self.checkpoints(connection)
            self.assertEqual(connection.ask("BGSAVE"), b"+Background saving started\r\n")
            await_true(lambda: self.checkpoints(connection) > made, "nothing is saved")

    def test_others_are_served_while_it_is_saved(self):
        with Dhrt("--checkpoint-age", "1h", "--durability", "none") as dhrt, \
                dhrt.connect() as connection, dhrt.connect() as other:
            connection.send(b"".join(array([b"SET", b"k%d" % number, b"v" * 1000])
                                     for number in range(20000)))
            for _ in range(20000):
                connection.reply()
            connection.send(array([b"SAVE"]))
            while not connection.has_more():
                self.assertEqual(other.ask("PING"), b"+PONG\r\n")
            self.assertEqual(connection.reply(), b"+OK\r\n")

    def test_without_files_there_is_nothing_to_save(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            self.assertIn(b"--memory", connection.ask("SAVE"))
            self.assertIn(b"--memory", connection.ask("BGSAVE"))


class Shutdown(unittest.TestCase):
    def check(self, *words):
        with Dhrt("--cpu-num", "3") as dhrt:
            with dhrt.connect() as connection:
                connection.ask("SET", "k", "v")
                connection.send(array([b"SHUTDOWN", *words]))
                self.assertTrue(is_cut_off(connection))
            self.assertEqual(dhrt.process.wait(SECONDS), 0)
            dhrt.launch(dhrt.process.args, dhrt.find_address)
            with dhrt.connect() as connection:
                self.assertEqual(connection.ask("GET", "k"), b"$1\r\nv\r\n")

    def test_it_is_a_clean_end_and_nothing_is_lost(self):
        self.check()

    def test_also_when_nothing_is_to_be_saved_or_waited_for(self):
        self.check(b"NOSAVE", b"NOW", b"FORCE")

    def test_the_others_have_what_was_written_last(self):
        with Dhrt() as one, Dhrt(joins=one) as two, two.connect() as other:
            await_true(lambda: other.ask("SET", "x", "1") == b"+OK\r\n", "two does not join")
            with one.connect() as connection:
                connection.send(b"".join(array([b"SET", b"k%d" % number, b"v"])
                                         for number in range(1000)) + array([b"SHUTDOWN"]))
                for _ in range(1000):
                    self.assertEqual(connection.reply(), b"+OK\r\n")
                self.assertTrue(is_cut_off(connection))
            self.assertEqual(one.process.wait(SECONDS), 0)
            other.send(b"".join(array([b"GET", b"k%d" % number]) for number in range(1000)))
            for _ in range(1000):
                self.assertEqual(other.reply(), b"$1\r\nv\r\n")


class Waits(unittest.TestCase):
    def test_a_wait_counts_the_nodes_that_have_it(self):
        with Dhrt("--cpu-num", "2") as one, Dhrt(joins=one) as two, Dhrt(joins=one) as three, \
                contextlib.ExitStack() as stack:
            connections = [stack.enter_context(one.connect()) for _ in range(2)]
            for node in (two, three):
                with node.connect() as other:
                    await_true(lambda: other.ask("SET", "x", "1") == b"+OK\r\n", "it does not join")
            for connection in connections:
                connection.send(array([b"SET", b"k", b"v"]) + array([b"WAIT", b"2", b"0"]))
                self.assertEqual(connection.reply(), b"+OK\r\n")
                self.assertEqual(connection.reply(), b":2\r\n")
                self.assertEqual(connection.ask("WAITAOF", "1", "2", "0"), b"*2\r\n:1\r\n:2\r\n")
            three.process.send_signal(signal.SIGSTOP)
            try:
                for connection in connections:
                    connection.send(array([b"SET", b"k", b"w"]) + array([b"WAIT", b"2", b"300"]) +
                                    array([b"WAIT", b"1", b"0"]) + array([b"WAITAOF", b"0", b"9", b"1"]))
                    self.assertEqual(connection.reply(), b"+OK\r\n")
                    self.assertEqual(connection.reply(), b":1\r\n")
                    self.assertEqual(connection.reply(), b":1\r\n")
                    self.assertEqual(connection.reply(), b"*2\r\n:1\r\n:1\r\n")
                # One who leaves while it waits is no harm, however long, and whatever is behind: the
                # last is more than the kernel holds of what nobody reads.
                for due, behind in ((b"0", b""), (b"3155760000000", b""),
                                    (b"0", array([b"PING"]) * 50000)):
                    with one.connect() as gone:
                        gone.send(array([b"SET", b"k", b"x"]) + array([b"WAIT", b"9", due]) + behind)
                        self.assertEqual(gone.reply(), b"+OK\r\n")
                    await_true(lambda: len(clients(connections[0])) == 2, "it is still there")
            finally:
                three.process.send_signal(signal.SIGCONT)
            for connection in connections:
                self.assertEqual(connection.ask("WAIT", "2", "0"), b":2\r\n")

    def test_what_is_said_of_the_disk_is_true(self):
        with Dhrt("--cpu-num", "2") as dhrt, dhrt.connect() as connection:
            # Nobody was answered before it, so that nothing else holds the answer back.
            connection.send(array([b"CLIENT", b"REPLY", b"OFF"]) + array([b"SET", b"k", b"v"]) +
                            array([b"CLIENT", b"REPLY", b"ON"]) +
                            array([b"WAITAOF", b"1", b"0", b"1"]))
            self.assertEqual(connection.reply(), b"+OK\r\n")
            self.assertEqual(connection.reply(), b"*2\r\n:1\r\n:0\r\n")
            connection.ask("SELECT", "memory")
            connection.ask("SET", "k", "v")
            self.assertIn(b"kept in memory", connection.ask("WAITAOF", "1", "0", "1"))

    def test_names_of_clients_have_a_limit(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            self.assertEqual(connection.ask("CLIENT", "SETNAME", "n" * 1024), b"+OK\r\n")
            for words in (("CLIENT", "SETNAME", "n" * 1025), ("HELLO", "2", "SETNAME", "n" * 1025),
                          ("CLIENT", "SETINFO", "lib-name", "n" * 1025)):
                self.assertIn(b"at most 1024 bytes", connection.ask(*words))

    def test_alone_it_waits_until_the_time_is_over(self):
        with Dhrt("--memory", "--cpu-num", "2") as dhrt, dhrt.connect() as connection:
            began = time.monotonic()
            connection.ask("SET", "k", "v")
            self.assertEqual(connection.ask("WAIT", "1", "200"), b":0\r\n")
            self.assertGreaterEqual(time.monotonic() - began, 0.19)
            self.assertIn(b"--durability", connection.ask("WAITAOF", "1", "0", "0"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
