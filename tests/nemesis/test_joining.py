"""A node that joins a cluster with data: what people see of it, and kill -9 of either side."""

import json
import threading
import unittest

from harness import Cluster, Stopwatch, main, report, run_for, seeded, wait_until

RECORDS = 100_000
VALUE_BYTES = 1000


class Joining(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster(2))
        value = seeded(self.id()).randbytes(VALUE_BYTES)
        with self.cluster[0].client() as client:
            client.write_all((("set", b"key-%07d" % n, value) for n in range(RECORDS)), window=2000)
        self.wait_count()

    def wait_count(self):
        wait_until(lambda: all(node.call("count") == RECORDS for node in self.cluster), 90,
                   "every node to have everything")

    def row(self, seen_by, of):
        rows = {row["name"]: row for row in json.loads(seen_by.call("nodes"))}
        return rows.get(of.name, {})

    def wait_half_way(self, late):
        wait_until(lambda: self.row(late, late).get("catch_up_records", 0) > RECORDS // 10, 30,
                   "the join to be under way")

    def donor_of(self, late):
        """Who has sent most, and the other one."""
        donors = [node for node in self.cluster if node is not late]
        return sorted(donors, key=lambda node: -node.stats()["replication_bulk_bytes_sent"])

    def bulk_bytes(self):
        return sum(node.stats()["replication_bulk_bytes_sent"] for node in self.cluster)

    def test_how_far_it_is_is_seen_elsewhere_until_it_is_done(self):
        before = self.bulk_bytes()
        late = self.cluster.add()
        self.wait_half_way(late)
        donor, other = self.donor_of(late)
        donor.pause()  # Meanwhile it gets no further.
        seen = {}

        def sees(node):
            row = self.row(node, late)
            if "catch_up_percent" in row:
                seen[node.name] = row
            return "catch_up_percent" in row

        try:
            wait_until(lambda: sees(late) and sees(other), 10, "joiner and bystander to tell")
        finally:
            donor.resume()
        for name, row in seen.items():
            report(f"seen by {name}: {row['catch_up_percent']} %, {row['catch_up_bytes']} bytes")
            self.assertGreater(row["catch_up_records"], 0)
            self.assertLessEqual(row["catch_up_percent"], 100)
            self.assertGreater(row["catch_up_bytes"], row["catch_up_records"] * VALUE_BYTES // 2)
        self.wait_count()
        self.cluster.wait_healthy(60)
        wait_until(lambda: not any("catch_up_records" in self.row(node, late)
                                   for node in self.cluster), 10, "nobody to tell of it any more")
        self.assertEqual(late.stats()["catch_up"]["records"], 0)
        # It took in 100 MB, which is some tenths of a second.
        self.assertGreater(late.stats()["anti_entropy_milliseconds_total"], 10)
        # Everything once, though two have it.
        self.assertLess(self.bulk_bytes() - before, RECORDS * VALUE_BYTES * 1.3)

    def test_what_is_read_most_is_there_first(self):
        # At the end, where it would come last.
        hot = [b"key-%07d" % n for n in range(RECORDS - 100, RECORDS)]
        for node in self.cluster:
            with node.client() as client:
                for _ in range(2000):
                    client.write_all((("get", key) for key in hot), window=2000)
        late = self.cluster.add()
        self.wait_half_way(late)
        donor, _ = self.donor_of(late)
        donor.pause()
        try:
            part = self.row(late, late)["catch_up_percent"]
            with late.client() as client:
                found = client.pipeline([("get", key, "--read", "one") for key in hot])
        finally:
            donor.resume()
        here = sum(isinstance(value, bytes) for value in found)
        report(f"at {part} % it had {here} of {len(hot)} hot keys")
        self.assertLess(part, 90)
        self.assertGreater(here, len(hot) * 9 // 10)
        self.wait_count()
        self.cluster.wait_healthy(60)

    def paused(self):
        return sum(node.stats()["handoff_paused_milliseconds_total"] for node in self.cluster)

    def joins(self):
        """Of all who ask for something, only the joiner is asked here; how long it waited."""
        before = self.paused()
        late = self.cluster.add()
        wait_until(lambda: late.call("count") == RECORDS, 60, "the joiner to have everything")
        self.cluster.wait_healthy(60)
        return self.paused() - before

    def test_a_join_is_slower_where_clients_wait(self):
        alone = self.joins()
        donors, over = list(self.cluster), threading.Event()

        def stand_still():
            """10 ms of every 30, in which no request is answered."""
            while not over.wait(0.02):
                for donor in donors:
                    donor.pause()
                run_for(0.01)
                for donor in donors:
                    donor.resume()

        def ask(donor):
            with donor.client() as client:
                while not over.is_set():
                    client.call("get", b"key-0000001")

        threads = [threading.Thread(target=stand_still)]
        threads += [threading.Thread(target=ask, args=[donor]) for donor in donors]
        for thread in threads:
            thread.start()
        try:
            hindered = self.joins()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        report(f"a joiner's requests waited {alone} ms where nobody else asks, and {hindered} ms "
               "where clients wait 10 ms of every 30")
        # 100 MB are 400 slices, with pauses of up to 10 ms.
        self.assertGreater(hindered, 1000)
        self.assertLess(alone, hindered / 2)

    def test_a_joiner_with_little_room_is_sent_no_more_than_it_can_store(self):
        watch = Stopwatch()
        late = self.cluster.add("--unflushed-max", "4mb", "--checkpoint-bytes", "1mb")
        self.wait_count()
        self.cluster.wait_healthy(60)
        report(f"with 4 MiB beside its files it joined in {watch.seconds():.1f} s")
        self.assertEqual(late.stats()["writes_refused"], 0)

    def test_a_joiner_that_is_killed_goes_on_where_it_was(self):
        late = self.cluster.add()
        self.wait_half_way(late)
        late.kill9()
        sent = sum(self.cluster.sent_bytes().values())
        had = late.restart().call("count")
        self.wait_count()
        self.cluster.wait_healthy(60)
        again = sum(self.cluster.sent_bytes().values()) - sent
        report(f"it had {had} of {RECORDS} records, and was sent {again} bytes for the rest")
        self.assertGreater(had, 0)
        self.assertLess(had, RECORDS)
        # A key, a version and what stands around a record are less than a tenth of it.
        self.assertLess(again, (RECORDS - had) * VALUE_BYTES * 1.3 + RECORDS * 100)

    def test_a_donor_that_is_killed_is_replaced(self):
        late = self.cluster.add()
        self.wait_half_way(late)
        donor, _ = self.donor_of(late)
        watch = Stopwatch()
        donor.kill9()
        wait_until(lambda: late.call("count") == RECORDS, 60, "the other one to give the rest")
        report(f"without {donor.name} it took {watch.seconds():.1f} s")
        donor.restart()
        self.wait_count()
        self.cluster.wait_healthy(60)


if __name__ == "__main__":
    main()
