"""Nodes with a cluster key, or with certificates: strangers, people in the middle, new keys.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/nemesis/test_keys.py Rotation
"""

import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest
from random import Random

from client import connect, read_to_end
from harness import (PATIENCE, Cluster, Node, free_port, main, report, run_dhrt, seeded,
                     wait_until)
from load import Writer
from proxy import FAULTS, HEAD, MAC_BYTES, PREFACE_BYTES, Kept, Proxy

HANDSHAKE_SECONDS = 2
BAD_SECONDS = 8
PREFACE = b"\0dhrt\1\0"
REFUSED = "a peer was refused"
MALFORMED = "a peer sent what is no message"
EXIT_AUTH = 4


def new_key(random):
    return f"{random.randrange(1 << 256):064x}"


class KeyedCluster(Cluster):
    """Each node has a file of its own with the keys, and may have a proxy before it."""

    def __init__(self, size, keys, make_proxy=None, flags=()):
        super().__init__(size, flags)
        self.keys = keys
        self.make_proxy = make_proxy
        self.proxies = []

    def close(self):
        for proxy in self.proxies:
            proxy.close()
        super().close()

    def key_file(self, name):
        return pathlib.Path(self.folder) / f"{name}.key"

    def give_keys(self, name, keys):
        path = self.key_file(name)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            file.write("".join(key + "\n" for key in keys))
        return path

    def add(self):
        name = f"node{len(self.nodes) + 1}"
        flags = list(self.flags)
        if self.keys:
            flags += ["--cluster-key-file", str(self.give_keys(name, self.keys))]
        node = Node(name, self.folder, flags)
        if self.make_proxy:
            proxy = self.make_proxy(lambda: node.address)
            self.proxies.append(proxy)
            node.flags += ["--advertise", "%s:%d" % proxy.address]
        self.nodes.append(node)
        if len(self.nodes) == 1:
            return node.start()
        return node.start(self.proxies[0] if self.proxies else self.nodes[0])


def log_lines(node, words):
    return [line for line in node.log_path.read_text(errors="replace").splitlines()
            if words in line]


def more_acknowledged(writers, count):
    begins = [(writer, writer.acknowledged_count) for writer in writers]
    wait_until(lambda: all(writer.error or writer.acknowledged_count >= begin + count
                           for writer, begin in begins), 60, f"{count} more writes everywhere")


class WritersTest(unittest.TestCase):
    """Not a test by itself: writers on all nodes, and what they wrote is there at the end."""

    def write_on(self, cluster, random):
        self.writers = [Writer(node, node.name.encode(), Random(random.random()))
                        for node in cluster]
        for writer in self.writers:
            writer.start()
        more_acknowledged(self.writers, 100)

    def check_nothing_is_lost(self, cluster):
        for writer in self.writers:
            writer.finish()
        cluster.wait_healthy(60)
        cluster.wait_same(seconds=60)
        for node in cluster:
            found = node.contents()
            for writer in self.writers:
                self.assertEqual(writer.violations(found), [], f"on {node.name}")
        roots = {node.stats()["sync_root"] for node in cluster}
        report(f"{sum(writer.acknowledged_count for writer in self.writers)} acknowledged writes, "
               f"{len(roots)} root")


class Rotation(WritersTest):
    def test_a_key_is_changed_while_all_nodes_take_writes(self):
        random = seeded(self.id())
        old, new = new_key(random), new_key(random)
        with KeyedCluster(3, [old]) as cluster:
            self.write_on(cluster, random)
            # The new one is taken, then shown, then the old one is given up.
            for keys in ([old, new], [new, old], [new]):
                for node in cluster:
                    cluster.give_keys(node.name, keys)
                for node, reload in zip(cluster, (self.by_command, self.by_line, self.by_signal)):
                    reload(node)
                    more_acknowledged(self.writers, 50)
                cluster.wait_healthy()
            self.check_nothing_is_lost(cluster)
            for writer in self.writers:
                self.assertEqual(writer.connections, 1)  # No client noticed.
            for node in cluster:
                self.assertEqual(len(log_lines(node, "the cluster key was read again")), 3)
                self.assertEqual(log_lines(node, "dead"), [])
                self.assertEqual(node.stats()["peers_refused_total"], 0)
            self.check_the_old_key_is_of_no_use(cluster, old)

    def by_command(self, node):
        ran = run_dhrt("reload", "--host", "%s:%d" % node.address)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def by_line(self, node):
        self.assertEqual(node.call("reload"), "OK")

    def by_signal(self, node):
        before = len(log_lines(node, "the cluster key was read again"))
        node.send_signal(signal.SIGUSR1)
        wait_until(lambda: len(log_lines(node, "the cluster key was read again")) > before, 20,
                   f"{node.name} to read its key")

    def check_the_old_key_is_of_no_use(self, cluster, old):
        late = pathlib.Path(cluster.folder) / "late"
        ran = run_dhrt("join", "%s:%d" % cluster[0].address, "--bind", "127.0.0.1:0", "--data-dir",
                       late, "--cluster-key-file", cluster.give_keys("late", [old]),
                       "--join-timeout", f"{int(3 * PATIENCE)}s")
        self.assertEqual(ran.returncode, EXIT_AUTH, ran.stderr)
        self.assertIn("cluster key", ran.stderr)
        self.assertEqual(len(cluster[0].states()), 3)


class Strangers(unittest.TestCase):
    """Whoever has not the key, at the port of a node that has one."""

    @classmethod
    def setUpClass(cls):
        cls.random = seeded(cls.__name__)
        cls.key = new_key(cls.random)
        cls.cluster = cls.enterClassContext(
            KeyedCluster(2, [cls.key], flags=["--handshake-timeout", f"{HANDSHAKE_SECONDS}s"]))
        cls.node = cls.cluster[0]

    def tearDown(self):
        self.assertTrue(self.node.alive())
        self.assertEqual(set(self.node.states().values()), {"healthy"})
        self.assertEqual(len(self.node.states()), 2)

    def refused(self):
        return self.node.stats()["peers_refused_total"]

    def join(self, *flags):
        """Runs a node that wants to join; its exit code and what it said."""
        name = f"stranger{self.random.randrange(1 << 30)}"
        return run_dhrt("join", "%s:%d" % self.node.address, "--bind", "127.0.0.1:0", "--data-dir",
                        pathlib.Path(self.cluster.folder) / name, "--join-timeout",
                        f"{int(4 * PATIENCE)}s", *flags, seconds=60)

    def test_nodes_without_it_are_refused_and_told_so_once(self):
        foreign = self.cluster.give_keys("foreign", [new_key(self.random)])
        for flags, words in (((), "--cluster-key-file"),
                             (("--cluster-key-file", str(foreign)), "cluster key")):
            before = self.refused()
            ran = self.join(*flags)
            self.assertEqual(ran.returncode, EXIT_AUTH, ran.stderr)
            told = [line for line in ran.stderr.splitlines() if "wants no link" in line]
            self.assertEqual(len(told), 1, ran.stderr)
            self.assertIn(words, told[0])
            self.assertGreater(self.refused(), before)
        # Twice, for two reasons; each was tried several times.
        self.assertEqual(len(log_lines(self.node, REFUSED)), 2)

    def test_a_node_that_has_none_refuses_one_that_has(self):
        with Cluster(1) as plain:
            ran = run_dhrt("join", "%s:%d" % plain[0].address, "--bind", "127.0.0.1:0",
                           "--data-dir", pathlib.Path(plain.folder) / "keyed",
                           "--cluster-key-file", str(self.cluster.key_file("node1")),
                           "--join-timeout", f"{int(4 * PATIENCE)}s")
            self.assertEqual(ran.returncode, EXIT_AUTH, ran.stderr)
            self.assertIn("it has no cluster key", ran.stderr)
            self.assertEqual(len(log_lines(plain[0], REFUSED)), 1)
            self.assertGreater(plain[0].stats()["peers_refused_total"], 0)

    def test_garbage_is_not_answered_and_costs_nothing(self):
        memory = self.node.resident_bytes()
        for size in (1, 21, 22, 100, 4096, 100_000, 1 << 20):
            for _ in range(1 if size < 100 else 5):
                with connect(self.node.address, 20 * PATIENCE) as connection:
                    try:
                        connection.sendall(PREFACE + self.random.randbytes(size))
                    except OSError:
                        pass
                    self.assertEqual(read_to_end(connection), b"")
        self.assertLess(self.node.resident_bytes() - memory, 32 << 20)

    def test_who_repeats_what_a_node_said_gets_no_further_than_one_frame(self):
        kept = Kept()
        proxy = Proxy(lambda: self.node.address, Random(1), kept)
        self.addCleanup(proxy.close)
        late = Node("late", self.cluster.folder,
                    ["--cluster-key-file", str(self.cluster.key_file("node1"))])
        self.addCleanup(late.clean_up)
        late.start(proxy)
        wait_until(lambda: len(kept.frames) > 10, 20, "the frames of a link")
        # What the caller said stands between what it was told; the first one is its challenge.
        said = [frame for frame in kept.frames if HEAD.unpack(frame[:HEAD.size])[2] != 241]
        self.assertEqual(HEAD.unpack(said[0][:HEAD.size])[2], 240)
        late.stop()
        for request in (said[0], b"".join(said)):
            with connect(self.node.address, 20 * PATIENCE) as connection:
                connection.sendall(PREFACE + request)
                answer = read_to_end(connection)
            self.assertEqual(HEAD.unpack(answer[:HEAD.size])[2], 241)
            self.assertEqual(len(answer), HEAD.size + HEAD.unpack(answer[:HEAD.size])[4] + MAC_BYTES)
        wait_until(lambda: len(self.node.states()) == 2, 30, "the late node to be gone")


class InTheMiddle(WritersTest):
    def test_spoilt_frames_end_links_and_nothing_else(self):
        random = seeded(self.id())
        kept = Kept()

        def make_proxy(target):
            return Proxy(target, Random(random.random()), kept)

        flags = ["--handshake-timeout", f"{HANDSHAKE_SECONDS}s"]
        with KeyedCluster(3, [new_key(random)], make_proxy, flags) as cluster:
            pids = [node.pid for node in cluster]
            self.write_on(cluster, random)
            began = time.monotonic()
            for proxy in cluster.proxies:
                proxy.is_bad = True
            wait_until(lambda: time.monotonic() - began > BAD_SECONDS and
                       all(sum(proxy.faults[fault.__name__] for proxy in cluster.proxies) > 2
                           for fault in FAULTS), 120, "every fault to have happened")
            for proxy in cluster.proxies:
                proxy.is_bad = False
            elapsed = time.monotonic() - began
            self.check_nothing_is_lost(cluster)
            self.assertEqual([node.pid for node in cluster if node.alive()], pids)
            malformed = sum(node.stats()["peer_frames_malformed"] for node in cluster)
            self.assertGreaterEqual(malformed, len(FAULTS))
            for node in cluster:
                # At most one line a second, however many links end.
                self.assertLessEqual(len(log_lines(node, MALFORMED)), elapsed + 30)
            faults = sum(sum(proxy.faults.values()) for proxy in cluster.proxies)
            report(f"{faults} faults, {malformed} links ended by what was no frame")


class Encrypted(WritersTest):
    """Links by TLS: nobody in the middle reads them, and clients have their own."""

    def setUp(self):
        self.marker = b"a value that is looked for on the wire"

    def openssl(self, *words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)

    def certificates(self, folder):
        ca, ca_key, node, key = (pathlib.Path(folder) / name
                                 for name in ("ca.pem", "ca.key", "n.pem", "n.key"))
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self.openssl("req", "-x509", *new, "-subj", "/CN=ca", "-days", "2", "-keyout", ca_key,
                     "-out", ca)
        self.openssl("req", *new, "-subj", "/CN=node", "-keyout", key, "-out", f"{node}.csr")
        self.openssl("x509", "-req", "-in", f"{node}.csr", "-CA", ca, "-CAkey", ca_key,
                     "-set_serial", "1", "-days", "2", "-out", node)
        return ["--peer-tls", "--peer-tls-cert", str(node), "--peer-tls-key", str(key),
                "--peer-tls-ca", str(ca)]

    def seen_on_the_wire(self, flags, keys):
        def make_proxy(target):
            proxy = Proxy(target, Random(1), Kept(), knows_frames=False)
            proxy.watched = self.marker
            return proxy

        with KeyedCluster(3, keys, make_proxy, flags) as cluster:
            self.write_on(cluster, seeded(self.id()))
            cluster[0].call("set", "secret", b"key", self.marker)
            cluster.wait_same("secret", expected={b"key": self.marker})
            cluster[1].kill9()
            more_acknowledged([self.writers[0], self.writers[2]], 200)
            cluster[1].restart()
            cluster.wait_healthy()
            self.check_nothing_is_lost(cluster)
            self.assertGreater(sum(proxy.bytes_seen for proxy in cluster.proxies), 10_000)
            return any(proxy.has_seen for proxy in cluster.proxies)

    def test_with_tls_nobody_reads_and_with_a_key_alone_everybody_may(self):
        random = Random(1)
        with tempfile.TemporaryDirectory(prefix="dhrt-nemesis-") as folder:
            self.assertFalse(self.seen_on_the_wire(self.certificates(folder), []))
        self.assertTrue(self.seen_on_the_wire([], [new_key(random)]))


class Warnings(unittest.TestCase):
    """What a start says about keys, to whom does not know about them."""

    open_to_all = "no cluster key: whoever reaches this port"
    exposed = "every user of this machine may read the cluster key"

    def start(self, host, *flags):
        node = Node("node1", self.folder, flags)
        node.port = free_port()
        node.flags += ["--bind", f"{host}:{node.port}"]
        node.launch()
        self.addCleanup(node.clean_up)
        wait_until(node.answers, 20, "the node to answer")
        told = log_lines(node, self.open_to_all), log_lines(node, self.exposed)
        node.kill9()
        node.log_path.unlink()
        return [len(lines) for lines in told]

    def test_a_node_without_one_that_is_open_to_others_warns(self):
        with tempfile.TemporaryDirectory(prefix="dhrt-nemesis-") as self.folder:
            key = pathlib.Path(self.folder) / "key"
            key.write_text(new_key(Random(1)))
            key.chmod(0o600)
            keyed = ("--cluster-key-file", str(key))
            self.assertEqual(self.start("127.0.0.1"), [0, 0])
            self.assertEqual(self.start("0.0.0.0"), [1, 0])
            self.assertEqual(self.start("0.0.0.0", *keyed), [0, 0])
            key.chmod(0o644)
            self.assertEqual(self.start("127.0.0.1", *keyed), [0, 1])


if __name__ == "__main__":
    main()
