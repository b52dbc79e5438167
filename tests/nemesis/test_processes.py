"""One process at a time: how it starts, refuses to start, stops, and what survives kill -9."""

import pathlib
import socket
import tempfile
import threading
import tomllib
import unittest
from random import Random

from client import Client, line
from harness import Cluster, free_port, main, report, run_dhrt, seeded, wait_until
from load import Writer

DONE, USAGE, CANNOT_CONNECT, CANNOT_RUN = 0, 2, 3, 5


class StartErrors(unittest.TestCase):
    """Each ends with one line that names the value and the cure, and a code of its own."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def refused(self, code, words, *arguments):
        """What the program said, when it must end with `code` and one line that has `words`."""
        result = run_dhrt(*arguments)
        said = result.stderr.splitlines()
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(len(said), 1, result.stderr)
        for word in words:
            self.assertIn(str(word), said[0])
        self.assertEqual(result.stdout, "")
        report(said[0])

    def start(self, *flags, data_dir="data"):
        return ("start", "--bind", f"127.0.0.1:{free_port()}", "--data-dir",
                self.folder / data_dir, *flags)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            self.refused(CANNOT_RUN, [port, "in use", "--bind"], "start", "--bind",
                         f"127.0.0.1:{port}", "--data-dir", self.folder / "data")

    def test_an_address_of_another_machine(self):
        self.refused(CANNOT_RUN, ["192.0.2.1", "--bind"], "start", "--bind", "192.0.2.1:7453",
                     "--data-dir", self.folder / "data")

    def test_a_data_directory_below_a_file(self):
        (self.folder / "file").write_text("in the way")
        self.refused(CANNOT_RUN, [self.folder / "file" / "data", "--data-dir"],
                     *self.start(data_dir="file/data"))

    def test_a_data_directory_that_a_live_node_uses(self):
        with Cluster(1) as cluster:
            self.refused(CANNOT_RUN, [cluster[0].data_dir, "in use", "--data-dir"], "start",
                         "--bind", f"127.0.0.1:{free_port()}", "--data-dir", cluster[0].data_dir)
            self.assertEqual(cluster[0].call("ping"), "PONG")

    def test_a_damaged_identity_file(self):
        with Cluster(1) as cluster:
            node = cluster[0]
            node.call("set", b"key", b"value")
            self.assertEqual(node.stop(), 0)
            files = [path for path in node.data_dir.iterdir()
                     if path.is_file() and b'"node_id"' in path.read_bytes()]
            self.assertEqual(len(files), 1, "one file holds the identity")
            whole = files[0].read_bytes()
            for damaged in (b"", b"{", whole[:len(whole) // 2], b"\0" * len(whole),
                            whole.replace(b'"node_id"', b'"nobody"')):
                files[0].write_bytes(damaged)
                self.refused(CANNOT_RUN, [files[0], "damaged", "--data-dir"], "start", "--bind",
                             f"127.0.0.1:{node.port}", "--data-dir", node.data_dir)
            # Nothing was made worse by trying.
            files[0].write_bytes(whole)
            self.assertEqual(node.restart().call("get", b"key"), b"value")

    def test_an_address_to_join_where_nobody_is(self):
        port = free_port()
        result = run_dhrt("join", f"127.0.0.1:{port}", "--join-timeout", "1s", "--bind",
                          f"127.0.0.1:{free_port()}", "--data-dir", self.folder / "data")
        self.assertEqual(result.returncode, CANNOT_CONNECT, result.stderr)
        errors = [text for text in result.stderr.splitlines() if " error " in text]
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertIn(f"127.0.0.1:{port}", errors[0])
        self.assertIn("--join-timeout", errors[0])
        report(errors[0])

    def test_what_is_wrong_on_the_command_line(self):
        for words, flags in (
                (["--data-dri", "--data-dir"], ["--data-dri", "x"]),
                (["--bind", "70000"], ["--bind", "127.0.0.1:70000"]),
                (["--bind", "port"], ["--bind", "127.0.0.1:port"]),
                (["--bind"], ["--bind", ""]),
                (["--join-timeout", "5 parsecs"], ["--join-timeout", "5 parsecs"]),
                (["--max-value-bytes", "513mb", "512mb"], ["--max-value-bytes", "513mb"]),
                (["--max-clients", "many"], ["--max-clients", "many"]),
                (["--log-level", "loud"], ["--log-level", "loud"]),
                (["configuration file", "/nowhere.toml"], ["--config", "/nowhere.toml"]),
        ):
            with self.subTest(flags=flags):
                self.refused(USAGE, words, "start", *flags)
        self.refused(USAGE, ["join needs the address", "dhrt join"], "join")
        self.refused(USAGE, ["strat", "start"], "strat")


class Configuration(unittest.TestCase):
    def test_what_print_config_prints_is_read_back_as_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            flags = ["--data-dir", f"{folder}/a \"b\"", "--bind", "127.0.0.1:7000", "--name", "me",
                     "--max-value-bytes", "2mb", "--memory"]
            first = run_dhrt("start", "--print-config", *flags)
            self.assertEqual((first.returncode, first.stderr), (DONE, ""))
            settings = tomllib.loads(first.stdout)
            self.assertEqual(settings["data_dir"], f'{folder}/a "b"')
            self.assertEqual(settings["bind"], "127.0.0.1:7000")
            self.assertTrue(any("flag" in text and "bind" in text
                                for text in first.stdout.splitlines()), first.stdout)
            self.assertEqual(list(pathlib.Path(folder).iterdir()), [], "nothing was started")
            file = pathlib.Path(folder) / "dhrt.toml"
            file.write_text(first.stdout)
            second = run_dhrt("start", "--print-config", "--config", file)
            self.assertEqual((second.returncode, second.stderr), (DONE, ""))
            self.assertEqual(tomllib.loads(second.stdout), settings)


class Durability(unittest.TestCase):
    def test_what_was_acknowledged_survives_kill_9_at_any_moment(self):
        random = seeded(self.id())
        with Cluster(1) as cluster:
            node = cluster[0]
            writer = Writer(node, b"durable", Random(random.random()))
            writer.start()
            for _ in range(5):
                target = writer.acknowledged_count + random.randrange(50, 2000)
                wait_until(lambda t=target: writer.error or writer.acknowledged_count >= t, 30,
                           f"{target} acknowledged writes")
                node.kill9()
                self.check_offline(node, writer)
                node.restart()
            writer.finish()
            self.assertEqual(writer.violations(node.contents()), [])
            report(f"5 kills among {writer.acknowledged_count} acknowledged writes, none lost")

    def check_offline(self, node, writer):
        """Before the writer may repair anything: on another port, what the disk holds."""
        port, node.port = node.port, free_port()
        node.restart()
        self.assertEqual(writer.violations(node.contents()), [])
        node.kill9()
        node.port = port

    def test_a_stop_loses_nothing_that_it_acknowledged(self):
        with Cluster(1) as cluster:
            node, acknowledged = cluster[0], []

            def write_until_closed():
                try:
                    with Client(node.address) as client:
                        for begin in range(0, 1_000_000, 500):
                            keys = [b"drain-%07d" % n for n in range(begin, begin + 500)]
                            client.socket.sendall(b"".join(line("set", k, k) for k in keys))
                            for key in keys:
                                client.receive()
                                acknowledged.append(key)
                except OSError:
                    pass  # The node closed, as it was told to.

            thread = threading.Thread(target=write_until_closed, daemon=True)
            thread.start()
            wait_until(lambda: len(acknowledged) > 2000, 30, "2000 acknowledged writes")
            self.assertEqual(node.stop(), 0)
            thread.join()
            found = node.restart().contents()
            missing = [key for key in acknowledged if found.get(key) != key]
            self.assertEqual(missing, [])
            report(f"{len(acknowledged)} writes were acknowledged before the stop; "
                   f"{len(found)} are there")

    def test_a_half_written_store_of_an_earlier_start_is_taken_up(self):
        with Cluster(1) as cluster:
            node = cluster[0]
            expected = {}
            for start in range(4):
                pairs = {b"%d-%d" % (start, n): bytes([n]) * 1000 for n in range(100)}
                with node.client() as client:
                    client.write_all([("set", k, v) for k, v in pairs.items()])
                expected.update(pairs)
                node.kill9()
                node.restart()
                self.assertEqual(node.contents(), expected)


if __name__ == "__main__":
    main()
