"""A cluster of real processes: what it promises while nodes die, leave, are paused and come back."""

import signal
import threading
import time
import unittest
from random import Random

from client import connect, exchange
from harness import (Cluster, SharedClusterTest, Stopwatch, TimedOut, main, report, seeded,
                     wait_until)
from load import Writer

DEATH_SECONDS_MAX = 10
REPLICATION_SECONDS_MAX = 5


def sets(pairs, collection="default"):
    return [("set", collection, key, value) for key, value in pairs]


def numbered(prefix, count, value=b"value"):
    return {b"%s-%06d" % (prefix, n): b"%s-%d" % (value, n) for n in range(count)}


def write(node, pairs, collection="default"):
    with node.client() as client:
        client.write_all(sets(pairs.items(), collection))


class ReadAnywhere(SharedClusterTest):
    cluster_size = 3

    def test_what_every_node_wrote_is_read_from_every_node(self):
        expected = {}
        for node in self.cluster:
            pairs = numbered(node.name.encode(), 500)
            write(node, pairs, "anywhere")
            expected.update(pairs)
        watch = Stopwatch()
        self.cluster.wait_same("anywhere", REPLICATION_SECONDS_MAX, expected)
        report(f"1500 keys written on 3 nodes are on all of them after {watch.seconds():.2f} s")

    def test_a_read_elsewhere_right_after_the_write_finds_the_value(self):
        misses_before = sum(node.stats()["fanout_reads_total"] for node in self.cluster)
        clients = [self.enterContext(node.client()) for node in self.cluster]
        for number in range(300):
            writer, reader = clients[number % 3], clients[(number + 1) % 3]
            key, value = b"fresh-%d" % number, b"%d" % number
            writer.call("set", key, value)
            self.assertEqual(reader.call("get", key), value)
        misses = sum(node.stats()["fanout_reads_total"] for node in self.cluster) - misses_before
        report(f"300 reads on another node found the value; {misses} of them asked the others")

    def test_a_delete_on_one_node_holds_on_all(self):
        first, second, third = self.cluster
        write(first, numbered(b"gone", 100), "deleted")
        self.cluster.wait_same("deleted", REPLICATION_SECONDS_MAX)
        with second.client() as client:
            replies = client.pipeline([("del", "deleted", b"gone-%06d" % n) for n in range(100)])
        self.assertEqual(replies, [1] * 100)
        self.cluster.wait_same("deleted", REPLICATION_SECONDS_MAX, {})
        self.assertEqual(third.call("has", "deleted", b"gone-000007"), 0)


class Collections(SharedClusterTest):
    cluster_size = 3

    def test_create_flush_and_drop_are_seen_on_every_node(self):
        first, second, third = self.cluster
        first.call("create", "made")
        for node in self.cluster:
            wait_until(lambda n=node: "made" in n.collections(), 30, f"'made' on {node.name}")
        write(second, numbered(b"k", 50), "made")
        self.cluster.wait_same("made", 5, numbered(b"k", 50))
        third.call("flush", "made")
        self.cluster.wait_same("made", 5, {})
        self.assertIn("made", first.collections())
        second.call("drop", "made")
        for node in self.cluster:
            wait_until(lambda n=node: "made" not in n.collections(), 30, f"no 'made' on {node.name}")

    def test_a_collection_dropped_while_a_node_was_down_does_not_come_back(self):
        first, second, third = self.cluster
        write(first, numbered(b"old", 200), "dropped")
        write(first, numbered(b"old", 200), "flushed")
        self.cluster.wait_same("dropped", 5)
        self.cluster.wait_same("flushed", 5)
        third.kill9()
        first.call("drop", "dropped")
        second.call("flush", "flushed")
        write(first, numbered(b"new", 10), "flushed")
        third.restart()
        self.cluster.wait_healthy()
        self.cluster.wait_same("flushed", 10, numbered(b"new", 10))
        for node in self.cluster:
            wait_until(lambda n=node: "dropped" not in n.collections(), 30,
                       f"no 'dropped' on {node.name}")
        # Made again under the same name, it has nothing of before.
        write(third, numbered(b"again", 3), "dropped")
        self.cluster.wait_same("dropped", 5, numbered(b"again", 3))


class KilledUnderLoad(unittest.TestCase):
    """A node is killed while all nodes take writes, its own clients' included."""

    def test_every_acknowledged_write_is_on_all_nodes_afterwards(self):
        random = seeded(self.id())
        rounds = 4
        with Cluster(3) as cluster:
            writers = [Writer(node, node.name.encode(), Random(random.random()))
                       for node in cluster]
            for writer in writers:
                writer.start()
            for _ in range(rounds):
                self.kill_one(random.choice(cluster.nodes), writers, random)
            for writer in writers:
                writer.finish()
            cluster.wait_healthy()
            contents = cluster.wait_same()
            for node in cluster:
                found = node.contents()
                for writer in writers:
                    self.assertEqual(writer.violations(found), [], f"on {node.name}")
            total = sum(writer.acknowledged_count for writer in writers)
            self.assertGreater(sum(writer.connections for writer in writers), 3)
            report(f"{total} acknowledged writes, {rounds} kills, {len(contents)} keys left")

    def kill_one(self, node, writers, random):
        def more_acknowledged(writer, count):
            begin = writer.acknowledged_count
            wait_until(lambda: writer.error or writer.acknowledged_count >= begin + count, 30,
                       f"{count} more acknowledged writes on {writer.node.name}")

        own = next(writer for writer in writers if writer.node is node)
        other = next(writer for writer in writers if writer.node is not node)
        more_acknowledged(own, random.randrange(200, 1000))
        node.kill9()
        more_acknowledged(other, random.randrange(200, 1000))
        node.restart()
        more_acknowledged(own, 200)


class Counters(unittest.TestCase):
    """Increments on nodes that do not hear each other all count when they meet again."""

    def increment(self, node, key, count, command=b"INCR"):
        request = b"*2\r\n$4\r\n%s\r\n$%d\r\n%s\r\n" % (command, len(key), key)
        replies = exchange(node.address, request * count)
        self.assertEqual(replies.count(b":"), count, replies[-200:])
        return int(replies.rsplit(b":", 1)[1])

    def wait_value(self, cluster, key, value):
        def all_have_it():
            seen = [node.call("get", key) for node in cluster]
            last.update(seen=seen)
            return all(held == b"%d" % value for held in seen)

        last = {}
        try:
            wait_until(all_have_it, 30, f"{key} to be {value} everywhere")
        except TimedOut as error:
            raise TimedOut(f"{error}; held: {last}") from None

    def test_what_was_added_on_every_side_of_a_split_counts(self):
        with Cluster(3) as cluster:
            first, second, third = cluster
            first.call("set", b"stock", b"100")
            self.increment(first, b"both", 10)
            self.wait_value(cluster, b"stock", 100)
            self.wait_value(cluster, b"both", 10)
            # Each works alone, while the others are killed.
            for node, count in ((first, 5), (second, 7), (third, 11)):
                for other in cluster.living():
                    if other is not node:
                        other.kill9()
                if not node.alive():
                    node.restart()
                self.assertEqual(self.increment(node, b"both", count), 10 + count)
                self.assertEqual(self.increment(node, b"stock", count, b"DECR"), 100 - count)
                self.assertEqual(self.increment(node, b"new", count), count)
            first.restart()
            second.restart()
            cluster.wait_healthy()
            self.wait_value(cluster, b"both", 10 + 5 + 7 + 11)
            self.wait_value(cluster, b"stock", 100 - 5 - 7 - 11)
            self.wait_value(cluster, b"new", 5 + 7 + 11)
            cluster.wait_same()
            # It goes on from there, also after all were stopped in order.
            for node in cluster:
                node.stop()
            for node in cluster:
                node.restart()
            cluster.wait_healthy()
            self.assertEqual(self.increment(second, b"both", 1), 34)
            self.wait_value(cluster, b"both", 34)

    def test_all_increments_of_busy_nodes_count_although_one_is_killed_in_the_middle(self):
        with Cluster(3) as cluster:
            first, second, third = cluster
            acknowledged = dict.fromkeys(cluster, 0)
            stop = threading.Event()

            def add(node):
                request = b"*2\r\n$4\r\nINCR\r\n$3\r\nhot\r\n"
                try:
                    with connect(node.address) as connection:
                        while not stop.is_set():
                            connection.sendall(request * 8)
                            got = b""
                            while got.count(b"\n") < 8:
                                piece = connection.recv(1 << 16)
                                if not piece:
                                    return
                                acknowledged[node] += piece.count(b"\n")
                                got += piece
                except OSError:
                    return  # It was killed.

            threads = [threading.Thread(target=add, args=(node,)) for node in cluster]
            for thread in threads:
                thread.start()
            try:
                wait_until(lambda: min(acknowledged.values()) > 200, 60, "increments on all nodes")
                third.kill9()
                before = acknowledged[first]
                wait_until(lambda: acknowledged[first] > before + 200, 60, "more increments")
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            third.restart()
            cluster.wait_healthy()
            cluster.wait_same()
            total = int(first.call("get", b"hot"))
            counted = sum(acknowledged.values())
            # What the killed node had not answered may count, or not.
            self.assertLessEqual(counted, total)
            self.assertLessEqual(total, counted + 8)


class Leaving(SharedClusterTest):
    cluster_size = 3

    def test_each_signal_leaves_cleanly_and_the_node_may_return(self):
        first, second, third = self.cluster
        expected = {}
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            name = number.name
            write(third, numbered(name.encode(), 100))
            expected.update(numbered(name.encode(), 100))
            watch = Stopwatch()
            self.assertEqual(third.stop(number), 0, name)
            left = watch.seconds()
            for node in (first, second):
                wait_until(lambda n=node: third.name not in n.states(), 30,
                           f"{node.name} to forget node3 after {name}")
            self.assertLess(left, 5, name)
            # What it had acknowledged is with the others before it is gone.
            self.cluster.wait_same(seconds=30, expected=expected)
            expected[name.encode()] = b"written while node3 was away"
            first.call("set", name.encode(), expected[name.encode()])
            third.restart()
            self.cluster.wait_healthy()
            self.cluster.wait_same(seconds=30, expected=expected)
            report(f"{name}: left in {left:.2f} s, back and synced {watch.seconds():.2f} s after")


class Detection(SharedClusterTest):
    cluster_size = 3

    def test_a_killed_node_is_unhealthy_then_dead_and_healthy_only_after_its_return(self):
        first, second, third = self.cluster
        third.kill9()
        watch = Stopwatch()
        seen = {node.name: ["healthy"] for node in (first, second)}

        def dead_everywhere():
            for node in (first, second):
                state = node.states().get(third.name)
                if state != seen[node.name][-1]:
                    seen[node.name].append(state)
            return all(states[-1] == "dead" for states in seen.values())

        wait_until(dead_everywhere, DEATH_SECONDS_MAX, "node3 to be dead on node1 and node2")
        report(f"a killed node is dead on both others after {watch.seconds():.2f} s")
        for states in seen.values():
            self.assertEqual(states, ["healthy", "unhealthy", "dead"])
        # It stays dead while the others work on.
        for number in range(20):
            write(first, numbered(b"dead-%d" % number, 100))
            self.assertTrue(dead_everywhere())
        third.restart()
        self.cluster.wait_healthy()
        self.cluster.wait_same()
        self.assertEqual(len(third.contents()), 2000)

    def test_a_paused_node_comes_back_by_itself(self):
        first, second, third = self.cluster
        third.pause()
        try:
            wait_until(lambda: first.states()[third.name] == "dead", DEATH_SECONDS_MAX,
                       "the paused node to be dead")
            write(second, numbered(b"missed", 300), "paused")
        finally:
            third.resume()
        watch = Stopwatch()
        self.cluster.wait_healthy()
        report(f"a paused node is healthy everywhere {watch.seconds():.2f} s after it went on")
        self.cluster.wait_same("paused", 10, numbered(b"missed", 300))


class Deadlines(unittest.TestCase):
    """A ttl becomes an instant where it is written, and stays that instant everywhere."""

    def deadlines(self, node):
        """{key: its deadline in milliseconds since 1970}."""
        with node.client() as client:
            following, entries = client.call("scan", "fleeting", "--full", "--limit", "100")
        self.assertEqual(following, b"")
        # Key, value, deadline, content type.
        return dict(zip(entries[::4], entries[2::4]))

    def test_a_deadline_is_the_same_instant_on_every_node_and_after_a_restart(self):
        with Cluster(3) as cluster:
            first = cluster[0]
            earliest_ms = time.time() * 1000
            for number, ttl in enumerate(("90s", "1h", "1234567ms", "30d")):
                first.call("set", "fleeting", b"key-%d" % number, b"value", "--ttl", ttl)
            first.call("set", "fleeting", b"lasting", b"value")
            expected = self.deadlines(first)
            self.assertEqual(len(expected), 5)
            latest_ms = time.time() * 1000
            for number, life_ms in enumerate((90_000, 3_600_000, 1_234_567, 30 * 86_400_000)):
                # A node counts whole milliseconds.
                self.assertLessEqual(earliest_ms + life_ms - 1, expected[b"key-%d" % number])
                self.assertLessEqual(expected[b"key-%d" % number], latest_ms + life_ms + 1)
            self.assert_everywhere(cluster, expected)
            for node in cluster:
                node.kill9()
            for node in cluster:
                node.launch()
            cluster.wait_healthy()
            self.assert_everywhere(cluster, expected)
            report(f"the same on 3 nodes, twice: {sorted(map(str, expected.values()))}")

    def assert_everywhere(self, cluster, expected):
        for node in cluster:
            wait_until(lambda n=node: len(self.deadlines(n)) == len(expected), 10,
                       f"the keys on {node.name}")
            self.assertEqual(self.deadlines(node), expected, node.name)


class AllDown(unittest.TestCase):
    def test_all_killed_and_started_in_any_order_are_one_cluster_again(self):
        random = seeded(self.id())
        with Cluster(3) as cluster:
            expected = {}
            ids = {node.stats()["cluster_id"] for node in cluster}
            self.assertEqual(len(ids), 1)
            for number in range(2):
                for node in cluster:
                    pairs = numbered(b"%d-%s" % (number, node.name.encode()), 200)
                    write(node, pairs)
                    expected.update(pairs)
                gone = b"%d-node1-000007" % number
                cluster[0].call("del", gone)
                del expected[gone]
                for node in random.sample(cluster.nodes, 3):
                    node.kill9()
                order = random.sample(cluster.nodes, 3)
                watch = Stopwatch()
                for node in order:
                    node.launch()
                cluster.wait_healthy()
                cluster.wait_same(seconds=30, expected=expected)
                self.assertEqual({node.stats()["cluster_id"] for node in cluster}, ids)
                report(f"all three killed, started as {[node.name for node in order]}: one "
                       f"cluster after {watch.seconds():.2f} s")


class InMemory(unittest.TestCase):
    def test_a_killed_node_gets_everything_back_from_its_peers(self):
        with Cluster(3, ["--memory"]) as cluster:
            write(cluster[0], numbered(b"memory", 2000))
            cluster[1].call("del", b"memory-000007")
            expected = numbered(b"memory", 2000)
            del expected[b"memory-000007"]
            cluster.wait_same(seconds=30, expected=expected)
            for node in (cluster[2], cluster[0]):
                node.kill9()
                watch = Stopwatch()
                node.restart()
                cluster.wait_healthy()
                cluster.wait_same(seconds=30, expected=expected)
                report(f"{node.name} has its 1999 keys back after {watch.seconds():.2f} s")
            self.assertEqual(cluster[0].stats()["mode"], "memory")


class CatchingUp(SharedClusterTest):
    """Among 100,000 keys: what was missed is sent, and nothing else."""

    cluster_size = 3
    key_count = 100_000
    catch_up_bytes_max = 1_000_000

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        watch = Stopwatch()
        cls.expected = numbered(b"key", cls.key_count)
        write(cls.cluster[0], cls.expected)
        loaded = watch.seconds()
        cls.cluster.wait_same(seconds=60, expected=cls.expected)
        report(f"{cls.key_count} keys written in {loaded:.1f} s, on all nodes after "
               f"{watch.seconds():.1f} s")

    def test_a_node_that_missed_2000_writes_and_500_deletes_costs_less_than_1_mb(self):
        first, second, third = self.cluster
        self.cluster.wait_healthy()
        third.kill9()
        changed = {b"key-%06d" % n: b"changed-%d" % n for n in range(0, 50_000, 50)}
        changed.update(numbered(b"added", 1000))
        deleted = [b"key-%06d" % n for n in range(1, 50_001, 100)]
        write(first, changed)
        with second.client() as client:
            client.write_all([("del", key) for key in deleted])
        self.expected.update(changed)
        for key in deleted:
            del self.expected[key]
        self.cluster.wait_same(seconds=30, expected=self.expected)
        before = self.cluster.sent_bytes()
        watch = Stopwatch()
        third.restart()
        self.cluster.wait_healthy()
        self.cluster.wait_same(seconds=30, expected=self.expected)
        seconds = watch.seconds()
        sent = self.cluster.sent_bytes()
        total = sum(sent.values()) - sum(before.values())
        report(f"{len(changed)} writes and {len(deleted)} deletes were missed: caught up in "
               f"{seconds:.2f} s with {total} bytes sent by all nodes")
        self.assertLess(total, self.catch_up_bytes_max)
        for node in self.cluster:
            self.assertEqual(node.call("count"), len(self.expected))

    def test_a_node_that_joins_late_gets_everything_deletes_included(self):
        deleted = [b"key-%06d" % n for n in range(99_000, 99_100)]
        with self.cluster[0].client() as client:
            client.write_all([("del", key) for key in deleted])
        for key in deleted:
            del self.expected[key]
        self.cluster.wait_same(seconds=30, expected=self.expected)
        watch = Stopwatch()
        late = self.cluster.add()
        self.check_reads_before_it_is_synced(late, deleted)
        self.cluster.wait_healthy(60)
        self.cluster.wait_same(seconds=30, expected=self.expected)
        report(f"a new node has {len(self.expected)} keys after {watch.seconds():.2f} s")
        self.assertEqual(late.stats()["tombstones"], self.cluster[0].stats()["tombstones"])
        self.assertEqual(self.cluster.remove(late), 0)

    def check_reads_before_it_is_synced(self, late, deleted):
        """It asks the others for what it does not have yet, and knows what is gone."""
        wait_until(lambda: late.call("has", b"key-000000") == 1, 30, "the new node to take reads")
        with late.client() as client:
            for key in [b"key-%06d" % n for n in range(60_003, 98_000, 500)]:
                self.assertEqual(client.call("get", key), self.expected[key])
            for key in deleted[::10]:
                self.assertIsNone(client.call("get", key))
            client.call("set", b"key-060001", b"written before it was synced")
            self.assertEqual(client.call("del", b"key-060007"), 1)
        self.expected[b"key-060001"] = b"written before it was synced"
        del self.expected[b"key-060007"]
        stats = late.stats()
        report(f"the new node was {stats['state']} and asked the others "
               f"{stats['fanout_reads_total']} times")


if __name__ == "__main__":
    main()
