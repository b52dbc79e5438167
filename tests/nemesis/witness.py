"""A client that behaves, and what it sees beside those that do not."""

import threading
import time

from client import Client


class Witness(threading.Thread):
    """A client that behaves, beside those that do not."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.latencies = []
        self.error = None
        self._over = threading.Event()

    def run(self):
        try:
            with Client(self.node.address) as client:
                while not self._over.is_set():
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
