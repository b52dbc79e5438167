"""What clients do while a cluster is being hurt, and what must be true of it afterwards.

Each workload is started on all nodes, stopped, and checked when the cluster is whole again. `done`
counts what was answered, `unknown` what may have been done without the client being told.
"""

import http.client
import threading
import types
from random import Random

from client import Client, ProtocolError, ServerError, connect
from harness import run_for, wait_until
from load import Writer
from test_levels import RegisterClient
from test_watch import Follower
from register import explain

TTL_SECONDS = 2
LOST = (OSError, EOFError, ProtocolError, http.client.HTTPException)


class Workload:
    """Threads that work until they are stopped; what one of them raises is raised by stop()."""

    name = ""

    def __init__(self, nodes, seed):
        self.nodes = list(nodes)
        self.random = Random(f"{self.name}-{seed}")
        self.over = threading.Event()
        self.threads = []
        self.error = None
        self.done = self.unknown = 0
        self.lock = threading.Lock()

    def clients(self):
        """What each thread is given: the node that it works on."""
        return self.nodes

    def start(self):
        for client in self.clients():
            thread = threading.Thread(target=self._run, daemon=True,
                                      args=(client, Random(self.random.random())))
            self.threads.append(thread)
            thread.start()

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(90)
            if thread.is_alive():
                raise AssertionError(f"{self.name}: a client has no answer, and no end, for 90 s")
        if self.error is not None:
            raise self.error

    def _run(self, client, random):
        while not self.over.is_set():
            try:
                self.work(client, random)
            except (*LOST, ServerError):
                self.over.wait(0.05)
            except Exception as error:  # pylint: disable=broad-except
                self.error = error
                return

    def tell(self, done=0, unknown=0):
        """What one of the threads has counted."""
        with self.lock:
            self.done += done
            self.unknown += unknown

    def work(self, node, random):
        """Until the connection is lost, or it is over."""

    def check(self, nodes):
        """None, or what is wrong."""


class Registers(Workload):
    """Keys that are set and read at `linear`: as if there was one copy of each."""

    name = "register"

    def start(self):
        self.keys = [b"register-%d" % n for n in range(2)]
        self.threads = [RegisterClient(node, self.keys, Random(self.random.random()), self.over)
                        for node in self.nodes]
        for client in self.threads:
            client.start()

    def stop(self):
        super().stop()
        for client in self.threads:
            if client.failed is not None:
                raise client.failed
        self.done = sum(client.done for client in self.threads)

    def check(self, nodes):
        for key in self.keys:
            history = [o for client in self.threads for o in client.histories[key]]
            self.unknown += sum(o.sets and o.end is None for o in history)
            if wrong := explain(history):
                return f"no order explains {key}: {sorted(wrong, key=lambda o: o.begin)[-6:]}"
        return None


class Sets(Workload):
    """New keys, at `quorum`: none that was acknowledged is missing, whatever became of its node."""

    name = "set"

    def __init__(self, nodes, seed):
        super().__init__(nodes, seed)
        self.acknowledged = {}
        self.count = 0

    def work(self, node, random):
        with Client(node.address) as client:
            while not self.over.wait(0.002):
                self.count += 1
                key = b"%s-%d-%d" % (node.name.encode(), self.count, random.randrange(1 << 40))
                try:
                    client.call("set", "sets", key, key, "--ack", "quorum")
                except ServerError:
                    self.tell(unknown=1)
                    continue
                self.acknowledged[key] = key
                self.tell(done=1)

    def check(self, nodes):
        for node in nodes:
            contents = node.contents("sets")
            lost = [key for key in self.acknowledged if contents.get(key) != key]
            if lost:
                return f"{len(lost)} of {self.done} lost on {node.name}, e.g. {lost[0]}"
        return None


class Deletes(Workload):
    """Keys that one client each writes, deletes and writes again, at `one`: the last word counts."""

    name = "delete"

    def start(self):
        self.threads = [Writer(node, b"own-" + node.name.encode(), Random(self.random.random()))
                        for node in self.nodes]
        for writer in self.threads:
            writer.start()

    def stop(self):
        for writer in self.threads:
            writer.finish()
        self.done = sum(writer.acknowledged_count for writer in self.threads)

    def check(self, nodes):
        for node in nodes:
            contents = node.contents()
            wrong = [text for writer in self.threads for text in writer.violations(contents)]
            if wrong:
                return f"{len(wrong)} keys are wrong on {node.name}: {wrong[0]}"
        return None


class Counters(Workload):
    """INCR on all nodes: all that were acknowledged count, and no others than those unanswered."""

    name = "counter"
    request = b"*2\r\n$4\r\nINCR\r\n$7\r\ncounted\r\n"

    def work(self, node, random):
        with connect(node.address) as connection:
            replies = connection.makefile("rb")
            while not self.over.wait(0.002):
                connection.sendall(self.request)
                self.tell(unknown=1)
                reply = replies.readline()
                if reply.startswith(b"-"):
                    self.tell(unknown=-1)  # Refused.
                    raise ServerError(reply.decode())
                if not reply.startswith(b":"):
                    raise ConnectionError(reply)
                self.tell(done=1, unknown=-1)

    def check(self, nodes):
        for node in nodes:
            value = int(node.call("get", "counted") or b"0")
            if not self.done <= value <= self.done + self.unknown:
                return f"{value} on {node.name}, not from {self.done} to {self.done + self.unknown}"
        return None


class Deadlines(Workload):
    """Keys that live for two seconds: there right after the write, and nowhere in the end."""

    name = "ttl"

    def work(self, node, random):
        with Client(node.address) as client:
            count = 0
            while not self.over.wait(0.01):
                count += 1
                key = b"%s-%d-%d" % (node.name.encode(), count, random.randrange(1 << 40))
                client.call("set", "fleeting", key, b"v", "--ttl", f"{TTL_SECONDS}s")
                self.tell(done=1)

    def check(self, nodes):
        run_for(TTL_SECONDS + 1)
        for node in nodes:
            if left := node.call("count", "fleeting"):
                return f"{left} of {self.done} are past their deadline, and still on {node.name}"
        return None


class Watching(Workload):
    """Who follows a collection, now here and now there, holds in the end what the nodes hold."""

    name = "watch"

    def start(self):
        wait_until(lambda: self.nodes[0].call("set", "watched", b"first", b"0") == "OK", 30,
                   "a first write")
        for node in self.nodes:
            wait_until(lambda n=node: "watched" in n.collections(), 30, "the collection")
        self.followers = [Follower(self.nodes, "watched") for _ in range(2)]
        for follower in self.followers:
            follower.start()
        # Who watches from now on is not told of what was there.
        self.nodes[0].call("del", "watched", b"first")
        super().start()

    def work(self, node, random):
        with Client(node.address) as client:
            while not self.over.wait(0.005):
                key = b"%s-%d" % (node.name.encode(), random.randrange(20))
                if random.random() < 0.3:
                    client.call("del", "watched", key)
                else:
                    client.call("set", "watched", key, b"%d" % random.randrange(1 << 40))
                self.tell(done=1)

    def check(self, nodes):
        expected = nodes[0].contents("watched")
        try:
            for follower in self.followers:
                wait_until(lambda f=follower: f.held == expected, 30, "who watches to be told all")
        except AssertionError as error:
            wrong = {key for key in {*expected, *follower.held}
                     if expected.get(key) != follower.held.get(key)}
            return f"{error}; {len(wrong)} keys differ, e.g. {sorted(wrong)[:3]}"
        finally:
            for follower in self.followers:
                follower.is_over.set()
                follower.watch.close()
        return None


class Sessions(Workload):
    """One client on many nodes, with a token: it never sees less than it wrote or was shown."""

    name = "session"

    def __init__(self, nodes, seed):
        super().__init__(nodes, seed)
        self.wrong = None

    def clients(self):
        return range(3)

    def _ask(self, random, method, session, body=None):
        node = random.choice(self.nodes)
        connection = http.client.HTTPConnection(*node.address, timeout=10)
        try:
            connection.request(method, f"/sessions/{session.key}", body,
                               {"X-Dhrt-Session": session.token,
                                "Accept": "application/octet-stream"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status in (200, 201, 204, 404):
                session.token = answer.headers["X-Dhrt-Session"]
            return answer.status, text
        finally:
            connection.close()

    def work(self, number, random):
        """One session with a key of its own, until a write of it may have been made or not: that
        one may be the last word later, whatever the session wrote since."""
        session = types.SimpleNamespace(key=f"{number}-{random.randrange(1 << 40)}", token="")
        written = shown = 0
        while not self.over.wait(0.01):
            if random.random() < 0.5:
                written += 1
                status, _ = self._ask(random, "PUT", session, b"%d" % written)
                if status not in (200, 201, 204):
                    self.tell(unknown=1)
                    return
                shown = written
            else:
                status, text = self._ask(random, "GET", session)
                if status == 410:
                    return
                if status not in (200, 404):
                    continue
                seen = int(text) if status == 200 else 0
                if seen < shown:
                    self.wrong = f"session {session.key} saw {seen} after {shown}"
                shown = seen
            self.tell(done=1)

    def check(self, nodes):
        return self.wrong


ALL = (Registers, Sets, Deletes, Counters, Deadlines, Watching, Sessions)
