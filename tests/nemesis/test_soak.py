"""A thousand connections that send rubbish in every dialect, and a client that behaves.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/nemesis/test_soak.py
          SOAK_SECONDS=300 ...              for so long, which `tests/run --long` does
          DHRT_SEED=7 ...                   the same connections again
          tests/nemesis/soak.py --seed 7 --show 12345       what one of them sent
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from client import connect
from harness import PATIENCE, Cluster, main, report, seeded, wait_until
from witness import Witness

DRIVER = pathlib.Path(__file__).with_name("soak.py")
SECONDS = float(os.environ.get("SOAK_SECONDS", "30"))
ROUNDS = 10 if SECONDS >= 100 else 5
# Rounds before this one fill what is filled once: caches, tables of collections and names.
SETTLED = 2
# A machine that does much else leaves little of a round to anybody.
WITNESS_ROUNDS_MIN = 20
# Between two of them, so that as many fall into a time when all is slow as into any other.
WITNESS_PAUSE_SECONDS = 0.001
# In this round the rubbish leaves processors free: two that are all in use are what a client waits
# for, more than for the node.
PACED_ROUND = SETTLED
PACE = 2
MEGABYTE = 1 << 20
# What all rounds may leave behind for good, and each connection besides: a session that is forgotten
# takes 1,500 bytes. A sanitizer keeps freed memory for itself.
GROWTH_BYTES_MAX = 4 * MEGABYTE
GROWTH_BYTES_MAX_PER_CONNECTION = 100


class Soak(unittest.TestCase):
    def setUp(self):
        self.seed = seeded(self.id()).randrange(1 << 31)
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="dhrt-soak-"))
        certificate, key = f"{folder}/cert.pem", f"{folder}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.cluster = self.enterContext(Cluster(2, [
            "--memory", "--max-clients", "5000", "--handshake-timeout", "1s", "--listen",
            "rpc://127.0.0.1:0,hati://127.0.0.1:0,hermod://127.0.0.1:0",
            "--tls-cert", certificate, "--tls-key", key]))
        self.victim, self.other = self.cluster
        self.pid = self.victim.pid

    def addresses(self):
        said = self.victim.log_path.read_text(errors="replace")
        found = re.findall(r"also on\s+(\w+)://(\S+)", said)
        self.assertEqual({service for service, _ in found}, {"rpc", "hati", "hermod"})
        return [f"{service}={address}" for service, address in found] + [
            "dhrt=%s:%d" % self.victim.address]

    def garbage(self, number):
        """A round of it, and what it did."""
        pace = ["--pace", str(PACE)] if number == PACED_ROUND else []
        done = subprocess.run([sys.executable, "-B", str(DRIVER), "--seed", str(self.seed + number),
                               "--seconds", str(SECONDS / ROUNDS), *pace, *self.addresses()],
                              capture_output=True, text=True, check=False,
                              # The client that behaves is to wait for the node, not for this.
                              preexec_fn=lambda: os.nice(10))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def witness(self, during):
        """What a client that behaves sees meanwhile: rounds, and (p50, p99, worst) in seconds."""
        witness = Witness(self.victim, WITNESS_PAUSE_SECONDS)
        witness.start()
        result = during(witness)
        return result, len(witness.latencies), witness.finish()

    def wait_rounds(self, witness, rounds):
        begin = len(witness.latencies)
        wait_until(lambda: witness.error or len(witness.latencies) >= begin + rounds, 60,
                   f"{rounds} rounds of a client that behaves")

    def empty(self):
        """Takes back what the garbage stored, as far as that can be."""
        wait_until(lambda: self.victim.stats()["connections"] < 10, 60, "the connections to be gone")
        for name in self.victim.collections() - {"default"}:
            self.victim.call("drop", name.encode())
        self.victim.call("flush", "default")

    def unexplained_bytes(self):
        """Memory beside that of the records, whose tombstones stay."""
        memory = self.victim.stats()["memory"]
        return self.victim.memory_bytes() - memory["bytes"]

    def test_garbage_neither_ends_nor_fills_nor_stops_a_node(self):
        _, count, (middle, p99, worst) = self.witness(
            lambda witness: self.wait_rounds(witness, 2000))
        report(f"without garbage: {count} writes and reads, p50 {middle * 1e3:.2f} ms, p99 "
               f"{p99 * 1e3:.2f} ms, worst {worst * 1e3:.1f} ms")
        held, done = [], []
        for number in range(ROUNDS):
            def during(witness, number=number):
                figures = self.garbage(number)
                self.assertGreater(len(witness.latencies), WITNESS_ROUNDS_MIN)
                self.wait_rounds(witness, 20)
                return figures

            figures, count, (middle, busy, worst) = self.witness(during)
            done.append(figures)
            self.assertTrue(self.victim.alive())
            self.assertEqual(self.victim.pid, self.pid)
            self.assertGreaterEqual(figures["connections"], 2000)
            self.assertGreater(figures["answered"], figures["connections"] / 50)
            self.empty()
            held.append(self.unexplained_bytes())
            how = ", with processors to spare" if number == PACED_ROUND else ""
            report(f"round {number}{how}, seed {self.seed + number}: "
                   f"{figures['connections']} connections, {figures['answered']} answered, "
                   f"{figures['bytes_sent'] / MEGABYTE:.1f} MiB there and "
                   f"{figures['bytes_received'] / MEGABYTE:.1f} back; beside it {count} writes "
                   f"and reads, p50 {middle * 1e3:.2f} ms, p99 {busy * 1e3:.2f} ms "
                   f"({busy / p99:.1f} times), worst {worst * 1e3:.1f} ms; "
                   f"{held[-1] / MEGABYTE:.1f} MiB beside the records")
        self.judge_dialects(done)
        self.judge_memory(held, [figures["connections"] for figures in done])
        self.judge_service()

    def judge_dialects(self, done):
        total = {}
        for figures in done:
            for dialect, count in figures["by_dialect"].items():
                total[dialect] = total.get(dialect, 0) + count
        report(f"connections by dialect: {total}")
        self.assertEqual(set(total), {"dhrt text", "dhrt redis", "dhrt http", "dhrt peer",
                                      "dhrt tls", "rpc", "hati", "hermod"})

    def judge_memory(self, held, connections):
        growth = held[-1] - held[SETTLED - 1]
        count = sum(connections[SETTLED:])
        report(f"memory grew by {growth / 1024:.0f} KiB in the {count} connections after the first "
               f"{SETTLED} rounds: {growth / count:.1f} bytes each")
        if PATIENCE <= 2:
            self.assertLess(growth, GROWTH_BYTES_MAX + count * GROWTH_BYTES_MAX_PER_CONNECTION,
                            [one / MEGABYTE for one in held])

    def judge_service(self):
        wait_until(lambda: self.victim.states() == self.other.states() and
                   set(self.victim.states().values()) == {"healthy"}, 60,
                   "both to know both as healthy")
        for key in (b"a", b"b"):
            self.victim.call("set", "after", key, key)
        self.cluster.wait_same("after", expected={b"a": b"a", b"b": b"b"})
        self.cluster.wait_same("default")
        with connect(self.victim.address) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200 "))


if __name__ == "__main__":
    main()
