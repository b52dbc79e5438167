"""Sessions on real processes that die: what a session saw is shown, waited for, or said to be lost."""

import http.client
import json
import unittest

from harness import Cluster, Stopwatch, main, report, wait_until

SECONDS = 30


def ask(node, method, target, token, body=None):
    connection = http.client.HTTPConnection(*node.address, timeout=SECONDS)
    try:
        connection.request(method, target, body,
                           {"X-Dhrt-Session": token, "Accept": "application/octet-stream"})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["X-Dhrt-Session"]
    finally:
        connection.close()


class Sessions(unittest.TestCase):
    def write_on_one_of_two(self, cluster, end):
        """A write of which only the first node knows, both down afterwards; the session's token."""
        first, second = cluster
        token = ask(first, "PUT", "/k", "", b"old")[2]
        cluster.wait_same(expected={b"k": b"old"})
        second.kill9()
        status, _, token = ask(first, "PUT", "/k", token, b"new")
        self.assertEqual(status, 201)
        end(first)
        return token

    def test_what_is_not_here_is_waited_for_and_shown_when_it_came(self):
        self.check_waits(lambda node: node.kill9())

    def test_who_left_may_come_back_with_it(self):
        self.check_waits(lambda node: self.assertEqual(node.stop(), 0))

    def check_waits(self, end):
        with Cluster(2, ("--fast", "--read-timeout", "500ms")) as cluster:
            first, second = cluster
            token = self.write_on_one_of_two(cluster, end)
            second.restart()
            self.assertEqual(second.call("get", "k", "--read", "one"), b"old")
            for method, body in (("GET", None), ("PUT", b"refused"), ("DELETE", None)):
                watch = Stopwatch()
                status, body, _ = ask(second, method, "/k", token, body)
                self.assertEqual(status, 504, body)
                self.assertTrue(json.loads(body)["error"].startswith("TIMEOUT "), body)
                self.assertGreaterEqual(watch.seconds(), 0.5)
            self.assertEqual(second.call("get", "k", "--read", "one"), b"old")
            # Another collection is not waited for.
            self.assertEqual(ask(second, "GET", "/other/k", token)[0], 404)
            first.restart()
            watch = Stopwatch()
            wait_until(lambda: ask(second, "GET", "/k", token)[:2] == (200, b"new"), SECONDS,
                       "the session's write to be on node2")
            report(f"a session's write was there {watch.seconds():.2f} s after its node was back")

    def test_what_was_lost_with_its_node_is_said_to_be_lost(self):
        with Cluster(2, ("--fast", "--memory", "--read-timeout", "500ms")) as cluster:
            first, second = cluster
            token = self.write_on_one_of_two(cluster, lambda node: node.kill9())
            for node in cluster:
                node.launch()
            for node in cluster:
                wait_until(node.answers, SECONDS, f"{node.name} to answer again")
            cluster.wait_healthy()
            watch = Stopwatch()
            wait_until(lambda: ask(second, "GET", "/k", token)[0] == 410, SECONDS,
                       "node2 to say that the write is lost")
            report(f"a lost write was known as such {watch.seconds():.2f} s after all were healthy")
            status, body, after = ask(second, "PUT", "/k", token, b"refused")
            self.assertEqual(status, 410)
            self.assertTrue(json.loads(body)["error"].startswith("TOKEN_LOST "), body)
            self.assertIsNone(after)
            self.assertEqual(ask(second, "PUT", "/k", "", b"anew")[0], 201)


if __name__ == "__main__":
    main()
