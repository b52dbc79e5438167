"""Writers that remember what was acknowledged, so that a test can say what must still be there."""

import threading
from collections import deque

from client import Client, ServerError
from harness import wait_until

# Commands under way per writer.
WINDOW = 32
# Of the operations; the rest are sets.
DELETES_SHARE = 0.2


class Writer(threading.Thread):
    """Sets and deletes its own keys on one node; connects again when the node went away.

    Per key, operation n is later than operation n - 1. The value that ends up on the nodes must
    be that of the last acknowledged operation, or of a later one that nobody acknowledged (it may
    have been done all the same).
    """

    def __init__(self, node, prefix, random, key_count=200):
        super().__init__(daemon=True)
        self.node = node
        # A copy: a test may start the node on another port to look at it undisturbed.
        self.address = node.address
        self.random = random
        self.keys = [b"%s-%d" % (prefix, n) for n in range(key_count)]
        self.values = {key: [None] for key in self.keys}  # By operation; 0: never written.
        self.acknowledged = {key: 0 for key in self.keys}
        self.acknowledged_count = 0
        self.connections = 0
        self.error = None
        self._over = threading.Event()

    def run(self):
        try:
            while not self._over.is_set():
                try:
                    self._write_until_cut()
                except OSError:
                    wait_until(lambda: self._over.is_set() or self._answers(), 60,
                               f"{self.node.name} to come back for its writer")
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self):
        self._over.set()
        self.join()
        if self.error:
            raise self.error

    def _answers(self):
        with Client(self.address) as client:
            return client.call("ping") == "PONG"

    def _write_until_cut(self):
        under_way = deque()
        with Client(self.address) as client:
            self.connections += 1
            while not self._over.is_set():
                while len(under_way) < WINDOW:
                    under_way.append(self._begin(client))
                self._end(client, *under_way.popleft())
            while under_way:
                self._end(client, *under_way.popleft())

    def _begin(self, client):
        key = self.random.choice(self.keys)
        operation = len(self.values[key])
        deletes = self.random.random() < DELETES_SHARE
        value = None if deletes else b"%s:%d:%d" % (key, operation, self.random.randrange(1 << 30))
        self.values[key].append(value)
        if deletes:
            client.send("del", key)
        else:
            client.send("set", key, value)
        return key, operation

    def _end(self, client, key, operation):
        try:
            client.receive()
        except ServerError:
            return  # Not done, or not known: as if nothing had been answered.
        self.acknowledged[key] = max(self.acknowledged[key], operation)
        self.acknowledged_count += 1

    def violations(self, contents):
        """What is wrong in these contents, in words; empty if nothing is."""
        wrong = []
        for key in self.keys:
            allowed = self.values[key][self.acknowledged[key]:]
            if contents.get(key) not in allowed:
                wrong.append(f"{key}: {contents.get(key)} is not one of {allowed[:4]}")
        return wrong
