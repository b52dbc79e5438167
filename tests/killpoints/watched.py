"""One node under the shim, and what it acknowledged: the ground of the tests of disks."""

import shutil
import unittest

from killpoints import Disk, WatchedNode, fast_folder, tiny_flags
from client import ServerError

VALUE = bytes(range(256)) * 16


class WatchedTest(unittest.TestCase):
    """A node under the shim, and what it acknowledged."""

    small = tuple(tiny_flags())
    flags = ()

    def setUp(self):
        self.folder = fast_folder("dhrt-disk-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.disk = Disk(self.folder)
        self.node = WatchedNode(self.disk, [*self.small, *self.flags])
        self.addCleanup(self.node.clean_up)
        self.kept = {}

    def begin(self, watched=True):
        self.assertTrue(self.node.begin(watched=watched), self.node.log_tail())

    def write(self, names, collection="default"):
        """Refusals; None stands for a connection that ended. What is acknowledged is kept."""
        refused = []
        for name in names:
            key, value = b"%s" % name.encode(), name.encode() + VALUE
            try:
                self.node.call("set", collection, key, value)
                self.kept[(collection, key)] = value
            except ServerError as error:
                refused.append(str(error))
            except OSError:
                self.assertTrue(self.node.alive(), self.node.log_tail())
                refused.append(None)
        return refused

    def assert_kept(self):
        with self.node.client() as client:
            for (collection, key), value in self.kept.items():
                self.assertEqual(client.call("get", collection, key), value, key)

    def names(self, prefix, count=40):
        return [f"{prefix}-{number}" for number in range(count)]

    def assert_all_kept_after_a_start(self, cut_power):
        self.node.kill9()
        if cut_power:
            self.disk.cut_power()
        self.begin(watched=False)
        self.assert_kept()
        self.assertEqual(self.write(self.names("afterwards", 3)), [])
        self.assertEqual(self.node.stop(), 0)
