"""What is said on channels: as redis-server tells it, on every event loop, on every node.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_channels.py
"""

import contextlib
import socket
import time
import unittest

from wire import SECONDS, Dhrt, Redis, array, escape


def conversation(server):
    """All that three clients are sent, as bytes."""
    heard = []
    with server.connect() as names, server.connect() as patterns, server.connect() as speaker:
        def ask(connection, *words, replies=1):
            connection.send(array([word.encode() for word in words]))
            heard.extend(connection.reply() for _ in range(replies))

        ask(names, "SUBSCRIBE", "news", "sport", "news", replies=3)
        ask(patterns, "HELLO", "3")
        heard.pop()  # The number of the connection is in it.
        ask(patterns, "PSUBSCRIBE", "n*", "[ns]*", "x?", replies=3)
        ask(patterns, "SUBSCRIBE", "news")
        ask(speaker, "PUBLISH", "news", "one")
        heard.append(names.reply())
        # Redis goes through its patterns in no order.
        heard.extend(sorted(patterns.reply() for _ in range(3)))
        ask(speaker, "PUBLISH", "sport", "two\r\n")
        heard.append(names.reply())
        heard.append(patterns.reply())
        ask(speaker, "PUBLISH", "nothing", "")
        heard.extend(sorted(patterns.reply() for _ in range(2)))
        ask(speaker, "PUBLISH", "else", "nobody")
        ask(speaker, "PUBSUB", "NUMSUB", "news", "sport", "else")
        ask(speaker, "PUBSUB", "NUMPAT")
        ask(speaker, "PUBSUB", "CHANNELS", "s*")
        ask(names, "UNSUBSCRIBE", "news")
        ask(speaker, "PUBLISH", "news", "three")
        heard.extend(sorted(patterns.reply() for _ in range(3)))
        # What it says itself a client hears, too.
        ask(patterns, "PUBLISH", "x1", "four", replies=2)
        ask(patterns, "PUNSUBSCRIBE", "n*", "never", replies=2)
        ask(patterns, "RESET")
        ask(speaker, "PUBLISH", "x3", "six")
        ask(names, "QUIT")
    return [escape(one) for one in heard]


def await_listeners(speaker, channel, count):
    deadline = time.monotonic() + SECONDS
    while speaker.ask("PUBSUB", "NUMSUB", channel).split(b"\r\n")[3] != b":%d" % count:
        if time.monotonic() > deadline:
            raise AssertionError(f"{count} clients do not listen to {channel}")


class Conversation(unittest.TestCase):
    def test_all_hear_what_redis_tells_them(self):
        with Redis() as redis, Dhrt("--memory") as dhrt:
            self.assertEqual(conversation(dhrt), conversation(redis))

    def test_listeners_of_every_loop_hear_it_in_order(self):
        with Dhrt("--memory", "--cpu-num", "3") as dhrt, contextlib.ExitStack() as stack:
            listeners = [stack.enter_context(dhrt.connect()) for _ in range(9)]
            for listener in listeners:
                listener.ask("SUBSCRIBE", "news")
            speaker = stack.enter_context(dhrt.connect())
            words = [b"%d" % number for number in range(500)]
            speaker.send(b"".join(array([b"PUBLISH", b"news", word]) for word in words))
            for _ in words:
                self.assertEqual(speaker.reply(), b":9\r\n")
            for listener in listeners:
                for word in words:
                    self.assertEqual(listener.reply(), array([b"message", b"news", word]))

    def test_who_has_gone_is_counted_no_more(self):
        with Dhrt("--memory", "--cpu-num", "2") as dhrt, dhrt.connect() as speaker:
            for _ in range(20):
                with dhrt.connect() as listener:
                    listener.ask("PSUBSCRIBE", "n*")
                    listener.ask("SUBSCRIBE", "news")
            await_listeners(speaker, "news", 0)
            self.assertEqual(speaker.ask("PUBSUB", "NUMPAT"), b":0\r\n")
            self.assertEqual(speaker.ask("PUBLISH", "news", "x"), b":0\r\n")


class Limits(unittest.TestCase):
    def test_a_listener_that_does_not_read_is_cut_off_and_others_hear_on(self):
        with Dhrt("--memory", "--output-buffer-max", "2mb") as dhrt, dhrt.connect() as deaf, \
                dhrt.connect() as listener, dhrt.connect() as speaker:
            deaf.ask("SUBSCRIBE", "news")
            listener.ask("SUBSCRIBE", "news")
            payload = b"v" * 100_000
            heard_by = []
            for _ in range(400):
                speaker.send(array([b"PUBLISH", b"news", payload]))
                heard_by.append(speaker.reply())
                self.assertEqual(listener.reply(), array([b"message", b"news", payload]))
            self.assertEqual(heard_by[0], b":2\r\n")
            self.assertEqual(heard_by[-1], b":1\r\n")

    def test_a_listener_is_not_idle(self):
        with Dhrt("--memory", "--timeout", "1s") as dhrt, dhrt.connect() as listener, \
                dhrt.connect() as silent:
            listener.ask("SUBSCRIBE", "news")
            silent.ask("PING")
            with self.assertRaises((EOFError, ConnectionResetError)):
                silent.reply()  # It is closed after a second, in which both were silent.
            with dhrt.connect() as speaker:
                self.assertEqual(speaker.ask("PUBLISH", "news", "x"), b":1\r\n")
            self.assertEqual(listener.reply(), array([b"message", b"news", b"x"]))

    def test_names_have_limits(self):
        with Dhrt("--memory") as dhrt, dhrt.connect() as connection:
            self.assertIn(b"at most 65536 bytes", connection.ask("SUBSCRIBE", "x" * 65537))
            self.assertIn(b"at most 65536 bytes", connection.ask("PUBLISH", "x" * 65537, ""))
            self.assertEqual(connection.ask("PING"), b"+PONG\r\n")


class Cluster(unittest.TestCase):
    def test_listeners_of_every_node_hear_it_and_find_what_was_written_before(self):
        with Dhrt("--cpu-num", "2") as one, Dhrt("--cpu-num", "2", joins=one) as two, \
                Dhrt("--memory", joins=one) as three, contextlib.ExitStack() as stack:
            listeners, speakers = [], []
            for node in (one, two, three):
                speakers.append(stack.enter_context(node.connect()))
                for _ in range(2):
                    listener = stack.enter_context(node.connect())
                    listener.ask("SUBSCRIBE", "news")
                    listeners.append((node, listener))
            for at, speaker in enumerate(speakers):
                self.await_links(b"%d" % at, speaker, [listener for _, listener in listeners])
            for number in range(30):
                for at, speaker in enumerate(speakers):
                    self.say(b"last-%d" % at, b"%d-%d" % (number, at), speaker, listeners)

    def test_numbers_are_of_the_node_that_is_asked(self):
        """As in a Redis Cluster: nodes do not tell each other who listens."""
        with Dhrt("--memory") as one, Dhrt("--memory", joins=one) as two, two.connect() as listener, \
                two.connect() as patterns, one.connect() as speaker, two.connect() as beside:
            listener.ask("SUBSCRIBE", "news")
            patterns.ask("PSUBSCRIBE", "n*")
            self.await_links(b"one", speaker, [listener])
            self.assertEqual(speaker.ask("PUBLISH", "news", "x"), b":0\r\n")
            self.assertEqual(listener.reply(), array([b"message", b"news", b"x"]), "it is heard")
            self.assertEqual(beside.ask("PUBLISH", "news", "y"), b":2\r\n")
            for asked, here, there in (
                    (("CHANNELS",), b"*0\r\n", b"*1\r\n$4\r\nnews\r\n"),
                    (("NUMSUB", "news"), b"*2\r\n$4\r\nnews\r\n:0\r\n",
                     b"*2\r\n$4\r\nnews\r\n:1\r\n"),
                    (("NUMPAT",), b":0\r\n", b":1\r\n")):
                self.assertEqual(speaker.ask("PUBSUB", *asked), here, asked)
                self.assertEqual(beside.ask("PUBSUB", *asked), there, asked)

    def say(self, key, word, speaker, listeners):
        speaker.send(array([b"SET", key, word]) + array([b"PUBLISH", b"news", word]))
        self.assertEqual(speaker.reply(), b"+OK\r\n")
        self.assertEqual(speaker.reply(), b":2\r\n")
        for node, listener in listeners:
            self.assertEqual(listener.reply(), array([b"message", b"news", word]))
            with node.connect() as reader:
                self.assertEqual(reader.ask(b"GET", key), b"$%d\r\n%s\r\n" % (len(word), word))

    def await_links(self, name, speaker, listeners):
        """Before it is linked a node tells the others nothing; so it says it until all hear it."""
        deadline = time.monotonic() + SECONDS
        while not all(self.has_something(listener) for listener in listeners):
            self.assertLess(time.monotonic(), deadline, "some listeners hear nothing")
            speaker.ask(b"PUBLISH", b"news", name + b" is linking")
        speaker.ask(b"PUBLISH", b"news", name + b" is linked")
        for listener in listeners:
            while listener.reply() != array([b"message", b"news", name + b" is linked"]):
                pass

    def has_something(self, listener):
        listener.socket.settimeout(0.1)
        try:
            return bool(listener.socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False
        finally:
            listener.socket.settimeout(SECONDS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
