"""Real dhrt processes on loopback: started, killed, paused and restarted by tests.

By hand:  DHRT_BINARY=build/dev/dhrt python3 -B tests/nemesis/test_cluster.py Leaving

The binary comes from the environment variable DHRT_BINARY. DHRT_SEED repeats the random choices
of a run that printed it (the timing of processes stays what it is). DHRT_PATIENCE (default 1)
multiplies every deadline, for builds that run slowly under a sanitizer.

A test never pauses for a fixed time: it waits for what should happen, with wait_until().
"""

import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from client import Client, ProtocolError, ServerError

BINARY = os.environ.get("DHRT_BINARY", "")
PATIENCE = float(os.environ.get("DHRT_PATIENCE", "1"))
POLL_SECONDS = 0.02
START_SECONDS_MAX = 20
LOG_LINES_SHOWN = 25
# Below the range from which the system takes ports of outgoing connections, so that a node that
# is down finds its port free again.
PORTS = range(10000, 30000)
PR_SET_PDEATHSIG = 1
# How the reports of sanitizers begin, which a killed node would not tell by its exit code.
SANITIZER_WORDS = ("Sanitizer: ", "runtime error: ")
LOG_LINES_OF_REPORT_SHOWN = 80

_libc = ctypes.CDLL(None, use_errno=True)


class TimedOut(AssertionError):
    pass


def run_for(seconds):
    """Lets things happen: a fault that lasts so long, not something that will be there by then."""
    time.sleep(seconds)


def wait_until(condition, seconds, what):
    """Asks again and again until the answer is true, and gives it; the one place that pauses.

    A node that does not answer (yet) is a "no". After `seconds` the test fails and says `what`
    was waited for and what was seen last.
    """
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        try:
            last = condition()
            if last:
                return last
        except (OSError, ServerError, ProtocolError) as error:
            last = f"{type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            raise TimedOut(f"waited {seconds * PATIENCE:g} s for {what}; last seen: {last!r}")
        time.sleep(POLL_SECONDS)


def seeded(test_name):
    """A random source whose seed is printed; DHRT_SEED repeats a run."""
    seed = int(os.environ.get("DHRT_SEED", "0")) or random.randrange(1, 1 << 32)
    report(f"{test_name}: DHRT_SEED={seed}")
    return random.Random(seed)


def report(text):
    """A line for the test's output: a figure, a seed."""
    print(f"    {text}", flush=True)


class Stopwatch:
    def __init__(self):
        self.began = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.began


def free_port():
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def _die_with_parent():
    """So that no node stays behind when ctest ends a test that takes too long."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def environment():
    """Ours without settings of dhrt, which would change what a node does."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DHRT_")}
    kept.pop("HOSTNAME", None)
    # A sanitizer's finding must end the process with a code that no test takes for a good one.
    for variable in ("ASAN_OPTIONS", "TSAN_OPTIONS"):
        kept[variable] = f"{kept.get(variable, '')}:exitcode=99"
    return kept


def run_dhrt(*arguments, seconds=30, env_more=None, **options):
    """Runs the program to its end; the result has returncode, stdout and stderr."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          timeout=seconds * PATIENCE, env={**environment(), **(env_more or {})},
                          stdin=subprocess.DEVNULL, **options)


class Node:
    """One process, its data directory and its log; outlives many starts of the process."""

    def __init__(self, name, folder, flags=()):
        self.name = name
        self.data_dir = pathlib.Path(folder) / name
        self.log_path = pathlib.Path(folder) / f"{name}.log"
        self.flags = list(flags)
        self.seed = None  # The node that the first start joined.
        self.port = None
        self.process = None
        self.environment = {}  # Beside what every node is given.

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def start(self, seed=None):
        """The first start: takes a port, and another one if somebody was quicker."""
        self.seed = seed
        for _ in range(5):
            self.port = free_port()
            self._launch()
            wait_until(lambda: self.answers() or not self.alive(), START_SECONDS_MAX,
                       f"{self.name} to answer")
            if self.alive():
                return self
            if self.process.returncode != 5:
                break
        raise AssertionError(f"{self.name} ended with {self.process.returncode}\n{self.log_tail()}")

    def launch(self):
        """A further start on the same port and directory; does not wait."""
        assert not self.alive(), f"{self.name} runs already"
        self._launch()

    def restart(self):
        self.launch()
        wait_until(self._answers_or_died, START_SECONDS_MAX, f"{self.name} to answer again")
        return self

    def _launch(self):
        role = ["start"] if self.seed is None else ["join", "%s:%d" % self.seed.address]
        command = [BINARY, *role, "--bind", f"127.0.0.1:{self.port}", "--data-dir",
                   str(self.data_dir), "--name", self.name, *self.flags]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log,
                                            env={**environment(), **self.environment},
                                            preexec_fn=_die_with_parent)

    def _answers_or_died(self):
        if not self.alive():
            raise AssertionError(
                f"{self.name} ended with {self.process.returncode}\n{self.log_tail()}")
        return self.answers()

    def answers(self):
        try:
            with self.client() as client:
                return client.call("ping") == "PONG"
        except OSError:
            return False

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, seconds=20):
        """Asks the process to end and gives its exit code."""
        self.send_signal(number)
        return self.process.wait(seconds * PATIENCE)

    def pause(self):
        self.send_signal(signal.SIGSTOP)

    def resume(self):
        self.send_signal(signal.SIGCONT)

    def client(self, **options):
        return Client(self.address, **options)

    def call(self, *words):
        with self.client() as client:
            return client.call(*words)

    def stats(self):
        return json.loads(self.call("stats"))

    def states(self):
        """What this node thinks of every node: {name: state}."""
        return {node["name"]: node["state"] for node in json.loads(self.call("nodes"))}

    def collections(self):
        return {entry["name"] for entry in json.loads(self.call("collections"))}

    def contents(self, collection="default"):
        with self.client() as client:
            return client.contents(collection)

    def resident_bytes(self):
        return self.status_bytes("VmRSS:")

    def memory_bytes(self):
        """Without the pages of files that it has mapped: those are the system's cache."""
        return self.status_bytes("RssAnon:")

    def status_bytes(self, name):
        for text in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if text.startswith(name):
                return int(text.split()[1]) * 1024
        raise AssertionError(f"the system says nothing of {name} of {self.name}")

    def log_tail(self):
        count = LOG_LINES_OF_REPORT_SHOWN if self.log_has(SANITIZER_WORDS) else LOG_LINES_SHOWN
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join([f"--- {self.name} ({self.log_path})", *lines[-count:]])

    def log_has(self, words):
        log = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return any(word in log for word in words)

    def clean_up(self):
        if self.alive():
            self.kill9()


class Cluster:
    """Nodes of one cluster, or of none, in one temporary directory; ends what it started."""

    def __init__(self, size, flags=()):
        self.size = size
        self.flags = flags
        self.nodes = []

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="dhrt-nemesis-")
        try:
            for _ in range(self.size):
                self.add()
            self.wait_healthy()
        except BaseException:
            self.show_logs()
            self.close()
            raise
        return self

    def __exit__(self, exception_type, *_):
        found = [node.name for node in self.nodes if node.log_has(SANITIZER_WORDS)]
        if exception_type is not None or found:
            self.show_logs()
        self.close()
        if found:
            raise AssertionError(f"a sanitizer found something in {found}")

    def close(self):
        for node in self.nodes:
            node.clean_up()
        shutil.rmtree(self.folder, ignore_errors=True)

    def show_logs(self):
        for node in self.nodes:
            if node.log_path.exists():
                print(node.log_tail(), file=sys.stderr)

    def __getitem__(self, index):
        return self.nodes[index]

    def __iter__(self):
        return iter(self.nodes)

    def add(self, *flags):
        """A new node that joins the first one; with flags of its own."""
        node = Node(f"node{len(self.nodes) + 1}", self.folder, [*self.flags, *flags])
        self.nodes.append(node)
        return node.start(self.nodes[0] if len(self.nodes) > 1 else None)

    def remove(self, node):
        """Ends a node for good; it leaves, so that the others forget it."""
        self.nodes.remove(node)
        return node.stop()

    def living(self):
        return [node for node in self.nodes if node.alive()]

    def wait_healthy(self, seconds=30):
        """Every living node knows every living node as healthy."""
        names = {node.name for node in self.living()}

        def all_healthy():
            views = [node.states() for node in self.living()]
            bad = [view for view in views
                   if {name for name, state in view.items() if state == "healthy"} != names]
            return not bad or last_seen.update(view=bad[0])

        last_seen = {}
        try:
            wait_until(all_healthy, seconds, f"{sorted(names)} to be healthy everywhere")
        except TimedOut as error:
            raise TimedOut(f"{error}; one view: {last_seen}") from None

    def wait_same(self, collection="default", seconds=30, expected=None):
        """All living nodes hold the same in a collection (what is expected, if given)."""
        seen = {}

        def same():
            # Counting is cheap, and enough to see that it is too early to compare.
            seen["counts"] = [node.call("count", collection) for node in self.living()]
            if len({*seen["counts"], *([] if expected is None else [len(expected)])}) > 1:
                return None
            contents = [node.contents(collection) for node in self.living()]
            first = contents[0] if expected is None else expected
            return [first] if all(content == first for content in contents) else None

        try:
            return wait_until(same, seconds, f"the same contents of {collection} on all nodes")[0]
        except TimedOut as error:
            raise TimedOut(f"{error}; keys per node: {seen}, expected: "
                           f"{'the same' if expected is None else len(expected)}") from None

    def sent_bytes(self):
        """What the living nodes have sent to each other since they started."""
        return {node.name: node.stats()["replication_bytes_sent"] for node in self.living()}


class SharedClusterTest(unittest.TestCase):
    """Tests that share one cluster; the nodes' logs are shown after a failure."""

    cluster_size = 2
    cluster_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(cls.cluster_size, cls.cluster_flags))

    def run(self, result=None):
        before = len(result.errors) + len(result.failures)
        super().run(result)
        if len(result.errors) + len(result.failures) > before:
            self.cluster.show_logs()
        return result


def main():
    """Runs the tests of the calling file; arguments are names of classes or tests."""
    if not os.access(BINARY, os.X_OK):
        sys.exit(f"DHRT_BINARY is '{BINARY}'; set it to the dhrt program, e.g. build/dev/dhrt")
    unittest.main(module="__main__", verbosity=2)
