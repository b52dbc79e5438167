"""dhrt answers clients of nkvd as nkvd did, or as a reason says.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_nkvd.py RecordedRows
"""

import http.client
import json
import sys
import unittest
import urllib.parse

sys.dont_write_bytecode = True

from exchanges import Client, differences_without_sense, read_cases  # noqa: E402
from wire import SECONDS, Dhrt  # noqa: E402

ROUTES = ("set", "get", "is", "rm", "clear", "getKeys", "getValues", "getAll", "healthcheck",
          "status", "ping")


def ask(dhrt, method, target):
    """Status, content type and body."""
    connection = http.client.HTTPConnection(*dhrt.address, timeout=SECONDS)
    try:
        connection.request(method, target)
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type"), response.read()
    finally:
        connection.close()


def in_any_order(body):
    """Lists are sets to clients of nkvd."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return sorted(map(json.dumps, value)) if isinstance(value, list) else body


class RecordedRows(unittest.TestCase):
    def check(self, *flags):
        with Dhrt(*flags) as dhrt:
            for _, rows in read_cases("nkvd"):
                for row in rows:
                    self.check_row(dhrt, row)

    def check_row(self, dhrt, row):
        method, target = row.sent.decode().split(" ", 1)
        status, content_type, body = ask(dhrt, method, target)
        expected_status, _, expected = row.expected().partition(b" ")
        expected = expected.replace(b":18080,", b":%d," % dhrt.port)
        with self.subTest(line=row.line, sent=row.sent):
            self.assertEqual(status, int(expected_status))
            if target == "/":
                self.assertTrue(body.startswith(expected), body)
                return
            self.assertEqual(in_any_order(body), in_any_order(expected))
            if target[1:].partition("?")[0] in ROUTES and status in (200, 400, 404):
                self.assertEqual(content_type, "text/json")

    def test_in_memory(self):
        self.check("--memory")

    def test_with_three_event_loops_and_a_disk(self):
        self.check("--cpu-num", "3")

    def test_a_difference_that_is_none_has_no_reason(self):
        self.assertEqual(differences_without_sense("nkvd"), [])
        self.assertGreater(sum(len(rows) for _, rows in read_cases("nkvd")), 50)


class Keys(unittest.TestCase):
    """What the transcript does not have."""

    @classmethod
    def setUpClass(cls):
        cls.dhrt = Dhrt("--memory")

    @classmethod
    def tearDownClass(cls):
        cls.dhrt.stop()

    def check(self, method, target, status, body):
        answer = ask(self.dhrt, method, target)
        self.assertEqual((answer[0], answer[2]), (status, body), target)

    def test_head_changes_nothing(self):
        self.check("GET", "/set?k=kept&v=1", 200, b'{"success":true}')
        for target in ("/set?k=kept&v=2", "/set?k=made&v=2", "/rm?k=kept", "/clear"):
            with Client(self.dhrt.address) as client:
                client.send(f"HEAD {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                client.end_sending()
                head, _, body = client.rest().partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            self.assertEqual(body, b"")
        self.check("GET", "/get?k=kept", 200, b'"1"')
        self.check("GET", "/is?k=made", 404, b'{"error":"MISSING_RECORD"}')

    def test_an_image_of_some_page_changes_nothing(self):
        self.check("GET", "/set?k=page&v=1", 200, b'{"success":true}')
        browser = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
        for target in ("/clear", "/rm?k=page", "/set?k=page&v=2"):
            connection = http.client.HTTPConnection(*self.dhrt.address, timeout=SECONDS)
            connection.request("GET", target, headers=browser)
            self.assertEqual(connection.getresponse().status, 403)
            connection.close()
        self.check("GET", "/get?k=page", 200, b'"1"')

    def test_lengths_are_those_of_javascript(self):
        wide = urllib.parse.quote("\U00024B62")  # One character, two units of UTF-16.
        self.check("GET", "/set?v=1&k=" + wide * 31, 200, b'{"success":true}')
        self.check("GET", "/set?v=1&k=" + wide * 32, 400,
                   b'{"error":"MAXIMUM_KEY_LENGTH_REACHED"}')
        self.check("GET", "/set?k=k&v=" + wide * 127, 200, b'{"success":true}')
        self.check("GET", "/set?k=k&v=" + wide * 128, 400,
                   b'{"error":"MAXIMUM_VALUE_LENGTH_REACHED"}')

    def test_the_key_is_looked_at_before_the_value(self):
        self.check("GET", "/set?v=" + "x" * 300, 400, b'{"error":"MISSING_KEY_PARAM"}')
        self.check("GET", "/set?k=&v=", 400, b'{"error":"EMPTY_KEY"}')

    def test_it_is_the_default_collection(self):
        self.check("GET", "/set?k=shared&v=1", 200, b'{"success":true}')
        status, _, body = ask(self.dhrt, "GET", "/default/shared")
        self.assertEqual((status, json.loads(body)["Value"]), (200, "1"))

    def test_values_that_are_no_text_are_shown_as_far_as_they_are(self):
        connection = http.client.HTTPConnection(*self.dhrt.address, timeout=SECONDS)
        connection.request("PUT", "/default/bytes", body=b"a\xffb")
        connection.getresponse().read()
        connection.close()
        self.check("GET", "/get?k=bytes", 200, '"a\ufffdb"'.encode())

    def test_other_methods_are_told_what_there_is(self):
        self.check("PUT", "/set?k=a&v=1", 405,
                   b'{"error":"this path takes GET, HEAD, POST, OPTIONS"}')


if __name__ == "__main__":
    unittest.main()
