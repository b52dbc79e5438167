"""Nodes that are told one name to join, behind which all of them are, as containers are told.

The name is in a hosts file of the node's own (a mount namespace; needs no rights where users may
have namespaces).
"""

import pathlib
import subprocess
import tempfile
import unittest

from harness import BINARY, Node, environment, free_port, main, wait_until

HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
NAME = "dhrt-nodes"
WITH_HOSTS = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


class NamedNode(Node):
    def __init__(self, host, port, folder, role, flags=()):
        super().__init__(host, folder, flags)
        self.host, self.port, self.role = host, port, role
        self.hosts_path = pathlib.Path(folder) / "hosts"

    @property
    def address(self):
        return (self.host, self.port)

    def _launch(self):
        command = ["unshare", "-rm", "sh", "-c", WITH_HOSTS, "sh", self.hosts_path, BINARY,
                   *self.role, "--bind", f"{self.host}:{self.port}", "--data-dir", self.data_dir,
                   "--name", self.name, *self.flags]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment())


class OneName(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="dhrt-names-"))
        self.port = free_port()
        self.nodes = []
        lines = ["127.0.0.1 localhost", *(f"{host} {NAME}" for host in HOSTS)]
        (pathlib.Path(self.folder) / "hosts").write_text("\n".join(lines) + "\n")

    def add(self, host, *role, flags=()):
        node = NamedNode(host, self.port, self.folder, role or ("join", f"{NAME}:{self.port}"),
                         flags)
        self.addCleanup(node.clean_up)
        node.launch()
        self.nodes.append(node)
        return node

    def wait_one_cluster(self):
        wanted = {node.name: "healthy" for node in self.nodes}

        def together():
            for node in self.nodes:
                self.assertTrue(node.alive(), node.log_tail())
            return all(node.states() == wanted for node in self.nodes)
        wait_until(together, 60, f"{sorted(wanted)} to be one cluster")
        self.nodes[0].call("set", b"key", b"value")
        for node in self.nodes:
            self.assertEqual(node.call("get", b"key"), b"value")

    def test_it_means_the_others_though_the_first_address_is_our_own(self):
        self.add(HOSTS[2], "start")
        self.add(HOSTS[0])
        self.add(HOSTS[1])
        self.wait_one_cluster()

    def test_nodes_that_are_all_started_alike_become_one_cluster(self):
        for host in HOSTS:
            self.add(host, flags=("--found-if-alone", "2s", "--fast"))
        self.wait_one_cluster()

    def test_without_that_flag_nobody_founds(self):
        first, second = (self.add(host, flags=("--join-timeout", "3s")) for host in HOSTS[:2])
        for node in (first, second):
            self.assertEqual(node.process.wait(60), 3, node.log_tail())
            self.assertTrue(node.log_has(["--found-if-alone"]), node.log_tail())


if __name__ == "__main__":
    main()
