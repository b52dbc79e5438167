"""What tests of clients that do wrong have in common."""

from client import exchange, line
from harness import SharedClusterTest, report, wait_until
from witness import Witness

HANDSHAKE_SECONDS = 1
MEGABYTE = 1 << 20
ERROR = b"-ERR "


class BadInputTest(SharedClusterTest):
    """The frame of each class: what is stored on purpose, and the look at the end."""

    cluster_flags = ["--handshake-timeout", f"{HANDSHAKE_SECONDS}s", "--max-clients", "11000"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.victim, cls.other = cls.cluster
        cls.victim_pid = cls.victim.pid
        cls.stored = {}
        cls.witness = Witness(cls.victim)
        cls.witness.start()

    @classmethod
    def tearDownClass(cls):
        middle, p99, worst = cls.witness.finish()
        report(f"a client that behaves: {len(cls.witness.latencies)} writes and reads, p50 "
               f"{middle * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms, worst {worst * 1e3:.1f} ms")

    def tearDown(self):
        self.witness_goes_on(20)
        self.assertTrue(self.victim.alive())
        self.assertEqual(self.victim.pid, self.victim_pid)
        self.assertEqual(self.victim.call("ping"), "PONG")
        self.cluster.wait_same(seconds=30, expected=self.stored)
        self.assertEqual(self.victim.collections() - {"default"}, {"witness"})

    def witness_goes_on(self, rounds):
        begin = len(self.witness.latencies)
        wait_until(lambda: self.witness.error or len(self.witness.latencies) >= begin + rounds, 60,
                   f"{rounds} rounds of a client that behaves")
        if self.witness.error:
            raise self.witness.error

    def store(self, key, value):
        self.victim.call("set", key, value)
        self.stored[key] = value

    def ask(self, request, **options):
        return exchange(self.victim.address, request, **options)

    def refuses(self, request, *words):
        """The answer to a text line must be one error with these words, and then service."""
        answer = self.ask(request + b"ping\n")
        self.assertTrue(answer.startswith(ERROR), (request[:80], answer[:200]))
        self.assertTrue(answer.endswith(b"+PONG\r\n"), (request[:80], answer[-200:]))
        for word in words:
            self.assertIn(word, answer)

    def status(self, request, **options):
        """The status of the first answer to an HTTP request."""
        answer = self.ask(request, **options)
        self.assertTrue(answer.startswith(b"HTTP/1."), (request[:80], answer[:200]))
        return int(answer[9:12])
