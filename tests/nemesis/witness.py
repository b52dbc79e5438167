"""A client that behaves, and what it sees beside those that do not."""

import threading
import time

from client import Client


class Witness(threading.Thread):
    """A client that behaves, beside those that do not.

    It waits for `pause_seconds` between rounds: one that goes on at once asks least when all is slow.
    """

    def __init__(self, node, pause_seconds=0):
        super().__init__(daemon=True)
        self.node = node
        self.pause_seconds = pause_seconds
        self.latencies = []
        self.error = None
        self._over = threading.Event()

    def run(self):
        try:
            with Client(self.node.address) as client:
                while not self._over.wait(self.pause_seconds):
                    began = time.monotonic()
                    number = b"%d" % len(self.latencies)
                    client.call("set", "witness", b"key", number)
                    if client.call("get", "witness", b"key") != number:
                        raise AssertionError(f"write {number} was not read back")
                    self.latencies.append(time.monotonic() - began)
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self):
        self._over.set()
        self.join()
        if self.error:
            raise self.error
        sample = sorted(self.latencies)
        return sample[len(sample) // 2], sample[len(sample) * 99 // 100], sample[-1]
