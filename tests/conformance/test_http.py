"""What HTTP clients see: conditions, figures, pages of other origins (test_openapi.py: all routes).

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_http.py Conditions
"""

import http.client
import json
import re
import select
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True

from exchanges import Client  # noqa: E402
from test_access import Guarded  # noqa: E402
from wire import SECONDS, Dhrt  # noqa: E402

PAGE = "https://app.example.org"


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def etag(self):
        return self.headers["ETag"]


def ask(dhrt, method, target, body=None, **headers):
    connection = http.client.HTTPConnection(*dhrt.address, timeout=SECONDS)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body=body, headers=names)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def wait_until_ready(dhrt):
    deadline = time.monotonic() + SECONDS
    while ask(dhrt, "GET", "/_/health/ready").status != 200:
        assert time.monotonic() < deadline, "the node does not become ready"
        select.select([], [], [], 0.02)


class Conditions(unittest.TestCase):
    """If-Match and If-None-Match on what is stored."""

    @classmethod
    def setUpClass(cls):
        cls.dhrt = Dhrt("--memory", "--cpu-num", "3")

    @classmethod
    def tearDownClass(cls):
        cls.dhrt.stop()

    def ask(self, method, target, body=None, **headers):
        return ask(self.dhrt, method, target, body, **headers)

    def check(self, answer, status, error=None):
        self.assertEqual(answer.status, status, answer.body)
        if error is not None:
            self.assertEqual(answer.json(), {"error": error})

    def test_the_first_one_makes_the_key(self):
        self.check(self.ask("PUT", "/c/first", "1", If_None_Match="*"), 201)
        second = self.ask("PUT", "/c/first", "2", If_None_Match="*")
        first = self.ask("GET", "/c/first")
        self.check(second, 412, "the version is " + first.etag.strip('"'))
        self.assertEqual(second.etag, first.etag)
        self.assertEqual(first.json()["Value"], "1")

    def test_a_write_that_names_the_version_it_replaces(self):
        old = self.ask("PUT", "/c/replaced", "1").etag
        new = self.ask("PUT", "/c/replaced", "2", If_Match=old)
        self.check(new, 201)
        self.check(self.ask("PUT", "/c/replaced", "3", If_Match=old), 412)
        self.check(self.ask("POST", "/c/replaced/3", If_Match=old), 412)
        self.check(self.ask("PUT", "/c/replaced", "3", If_Match=f'"0-0", {new.etag}'), 201)
        self.assertEqual(self.ask("GET", "/c/replaced").json()["Value"], "3")

    def test_a_weak_tag_is_not_good_enough_to_write(self):
        etag = self.ask("PUT", "/c/weak", "1").etag
        self.check(self.ask("PUT", "/c/weak", "2", If_Match="W/" + etag), 412)

    def test_a_delete_that_names_a_version(self):
        etag = self.ask("PUT", "/c/deleted", "1").etag
        self.check(self.ask("DELETE", "/c/deleted", If_Match='"1-1"'), 412)
        self.check(self.ask("DELETE", "/c/deleted", If_Match=etag), 202)
        self.check(self.ask("DELETE", "/c/deleted", If_Match="*"), 412, "there is no such key")
        self.check(self.ask("PUT", "/c/deleted", "2", If_Match="*"), 412, "there is no such key")
        self.check(self.ask("DELETE", "/c/deleted", If_None_Match="*"), 404)

    def test_a_client_that_has_it_is_told_so(self):
        etag = self.ask("PUT", "/c/cached", "1").etag
        for tags in (etag, "W/" + etag, f'"1-1", {etag}', "*"):
            answer = self.ask("GET", "/c/cached", If_None_Match=tags)
            self.check(answer, 304)
            self.assertEqual((answer.body, answer.etag), (b"", etag))
        self.check(self.ask("GET", "/c/cached", If_None_Match='"1-1"'), 200)
        self.check(self.ask("GET", "/c/cached", If_Match='"1-1"'), 412)
        self.check(self.ask("GET", "/c/cached", If_Match=etag), 200)

    def test_what_is_no_condition_is_refused_before_anything_is_done(self):
        self.ask("PUT", "/c/kept", "1")
        for field in ("", "1-1", '"1-1', "*, *", "W/*"):
            self.check(self.ask("PUT", "/c/kept", "2", If_Match=field), 400)
            self.check(self.ask("DELETE", "/c/kept", If_Match=field), 400)
            self.check(self.ask("DELETE", "/c/", If_None_Match=field), 400)
        self.check(self.ask("DELETE", "/c/", If_Match="*"), 400)
        with Client(self.dhrt.address) as client:
            client.send(b'PUT /c/kept HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n'
                        b'If-None-Match: "1-1"\r\nIf-None-Match: *\r\n\r\n2')
            client.end_sending()
            self.assertTrue(client.rest().startswith(b"HTTP/1.1 400 "))
        self.assertEqual(self.ask("GET", "/c/kept").json()["Value"], "1")

    def test_a_deadline_is_that_of_the_new_value(self):
        self.ask("PUT", "/c/short?ttl=60000", "1")
        etag = self.ask("GET", "/c/short").etag
        self.check(self.ask("PUT", "/c/short", "2", If_Match=etag), 201)
        self.assertEqual(self.ttl("c", "short"), -1)
        self.check(self.ask("PUT", "/c/short?ttl=60000", "3", If_Match="*"), 201)
        self.assertGreater(self.ttl("c", "short"), 50)

    def ttl(self, collection, key):
        with self.dhrt.connect() as connection:
            connection.ask("SELECT", collection)
            return int(connection.ask("TTL", key)[1:])

    def test_of_many_who_want_to_be_the_first_one_is(self):
        count = 20
        connections = [http.client.HTTPConnection(*self.dhrt.address, timeout=SECONDS)
                       for _ in range(count)]
        for number, connection in enumerate(connections):
            connection.request("PUT", "/c/race", body=str(number), headers={"If-None-Match": "*"})
        statuses = [connection.getresponse().status for connection in connections]
        for connection in connections:
            connection.close()
        self.assertEqual(sorted(statuses), [201] + [412] * (count - 1))


class ConditionsElsewhere(unittest.TestCase):
    """What another node has answered counts, although it may not be here yet."""

    def test_a_key_that_is_on_its_way_is_there(self):
        with Dhrt("--memory") as first, Dhrt("--memory", joins=first) as second:
            wait_until_ready(second)
            for number in range(40):
                key = f"/c/{number}"
                # Both the write and the request wait for the second node when it goes on.
                second.process.send_signal(signal.SIGSTOP)
                self.assertEqual(ask(first, "PUT", key, "first").status, 201)
                waiting = http.client.HTTPConnection(*second.address, timeout=SECONDS)
                waiting.request("PUT", key, body="second", headers={"If-None-Match": "*"})
                second.process.send_signal(signal.SIGCONT)
                self.assertEqual(waiting.getresponse().status, 412, key)
                waiting.close()
                self.assertEqual(ask(second, "GET", key).json()["Value"], "first")


class CountedNumbers(unittest.TestCase):
    """What Redis clients count is to HTTP a value like any other."""

    def test_it_is_read_written_listed_and_deleted(self):
        raw = {"Accept": "application/octet-stream"}
        with Dhrt("--memory") as dhrt, dhrt.connect() as redis:
            ask(dhrt, "PUT", "/default/n", "41", Content_Type="text/x-count")
            self.assertEqual(redis.ask("INCR", "n"), b":42\r\n")
            shown = ask(dhrt, "GET", "/default/n")
            self.assertEqual(shown.json()["Value"], "42")
            self.assertEqual([one["Value"] for one in ask(dhrt, "GET", "/default").json()], ["42"])
            self.assertEqual(ask(dhrt, "GET", "/default/n", **raw).body, b"42")
            self.assertEqual(ask(dhrt, "GET", "/default/n", **raw).headers["Content-Type"],
                             "text/x-count")
            self.assertEqual(redis.ask("INCR", "n"), b":43\r\n")
            self.assertEqual(ask(dhrt, "PUT", "/default/n", "7", If_Match=shown.etag).status, 412)
            now = ask(dhrt, "GET", "/default/n").etag
            self.assertEqual(ask(dhrt, "PUT", "/default/n", "7", If_Match=now).status, 201)
            self.assertEqual(redis.ask("INCRBY", "n", "3"), b":10\r\n")
            self.assertEqual(ask(dhrt, "DELETE", "/default/n").status, 202)
            self.assertEqual(redis.ask("INCR", "n"), b":1\r\n")
            self.assertEqual(ask(dhrt, "GET", "/default/n", **raw).body, b"1")


class Operations(unittest.TestCase):
    def test_figures_for_prometheus(self):
        with Dhrt("--memory") as dhrt:
            ask(dhrt, "PUT", "/k", "v")
            answer = ask(dhrt, "GET", "/metrics")
            self.assertEqual(answer.headers["Content-Type"],
                             "text/plain; version=0.0.4; charset=utf-8")
            described, values = set(), {}
            for text in answer.body.decode().splitlines():
                if text.startswith("# TYPE "):
                    name, kind = text.split()[2:]
                    self.assertNotIn(name, described)
                    self.assertIn(kind, ("counter", "gauge"))
                    self.assertEqual(name.endswith("_total"), kind == "counter", name)
                    described.add(name)
                elif not text.startswith("# HELP "):
                    found = re.fullmatch(r'(\w+)(\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? ([0-9.]+)', text)
                    self.assertTrue(found, text)
                    self.assertIn(found.group(1), described)
                    values[found.group(1) + (found.group(2) or "")] = float(found.group(3))
            self.assertEqual(values["dhrt_keys"], 1)
            self.assertEqual(values['dhrt_nodes{state="healthy"}'], 1)
            self.assertEqual(values["dhrt_ready"], 1)
            self.assertGreaterEqual(values["dhrt_commands_total"], 2)

    def test_the_cluster_and_its_collections(self):
        with Dhrt("--memory", "--name", "one") as first, \
                Dhrt("--memory", "--name", "two", joins=first) as second:
            wait_until_ready(second)
            cluster = ask(second, "GET", "/_/cluster").json()
            self.assertEqual({node["name"] for node in cluster["Nodes"]}, {"one", "two"})
            self.assertEqual([node["name"] for node in cluster["Nodes"] if node["self"]], ["two"])
            ask(second, "PUT", "/c/k", "v")
            names = {one["name"]: one for one in ask(second, "GET", "/_/collections").json()}
            self.assertEqual(names["c"]["keys"], 1)
            self.assertEqual(ask(second, "GET", "/_/stats").json()["name"], "two")

    def test_a_word_behind_the_underscore_that_is_nothing(self):
        with Dhrt("--memory") as dhrt:
            for path in ("/_/nothing", "/_", "/_/", "/_/health/", "/_/health/other"):
                self.assertEqual(ask(dhrt, "GET", path).status, 404, path)
                self.assertEqual(ask(dhrt, "POST", path + "/1").status, 404, path)


class Expecting(unittest.TestCase):
    def test_who_waits_for_word_is_told_to_show_a_token_first(self):
        def asked(line, token=None):
            bearer = f"Authorization: Bearer {token}\r\n" if token else ""
            with Client(dhrt.address) as client:
                client.send(f"{line} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                            f"{bearer}Content-Length: 2\r\n\r\n".encode())
                return client.receive(len(b"HTTP/1.1 100"))[-3:]

        with Guarded() as dhrt:
            self.assertEqual(asked("PUT /c/k"), b"401")
            self.assertEqual(asked("PUT /k"), b"401")
            self.assertEqual(asked("PUT /k", "t-wrong"), b"401")
            self.assertEqual(asked("PUT /k", "t-write"), b"100")
            # Which of its calls need one stands in the body.
            self.assertEqual(asked("POST /rpc"), b"100")
            refused = re.findall(r'refused .*request="?([^"\n]*)', dhrt.log.read_text())
            self.assertEqual(refused, ["PUT /{collection}/{key}", "PUT /{name}", "a wrong token"])


class OldClients(unittest.TestCase):
    def test_a_list_ends_with_the_connection(self):
        with Dhrt("--memory") as dhrt, Client(dhrt.address) as client:
            ask(dhrt, "PUT", "/c/k", "v")
            client.send(b"GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            head, _, body = client.rest().partition(b"\r\n\r\n")
            self.assertIn(b"Connection: close", head)
            self.assertEqual(json.loads(body)[0]["Key"], "k")


class Origins(unittest.TestCase):
    """Pages of other origins, as a browser's fetch asks for them."""

    def test_none_may_unless_it_is_named(self):
        with Dhrt("--memory") as dhrt:
            refused = ask(dhrt, "GET", "/k", Origin=PAGE)
            self.assertEqual(refused.status, 403)
            self.assertIn("--cors-origin", refused.json()["error"])
            self.assertNotIn("Access-Control-Allow-Origin", refused.headers)

    def test_one_that_is_named_may_and_is_asked_for_by_a_preflight(self):
        with Dhrt("--memory", "--cors-origin", "http://localhost:1,https://app.example.org") as dhrt:
            preflight = ask(dhrt, "OPTIONS", "/c/k", Origin=PAGE,
                            Access_Control_Request_Method="PUT",
                            Access_Control_Request_Headers="if-match")
            self.assertEqual(preflight.status, 204)
            self.assertEqual(preflight.headers["Access-Control-Allow-Origin"], PAGE)
            self.assertIn("PUT", preflight.headers["Access-Control-Allow-Methods"])
            self.assertIn("If-Match", preflight.headers["Access-Control-Allow-Headers"])
            stored = ask(dhrt, "PUT", "/c/k", "v", Origin=PAGE, Sec_Fetch_Site="cross-site")
            self.assertEqual(stored.status, 201)
            for target in ("/c/k", "/c", "/get?k=k", "/none"):
                answer = ask(dhrt, "GET", target, Origin=PAGE)
                self.assertEqual(answer.headers["Access-Control-Allow-Origin"], PAGE, target)
                self.assertEqual(answer.headers["Vary"], "Origin")
            self.assertEqual(ask(dhrt, "GET", "/c/k", Origin=PAGE + ".evil.org").status, 403)
            for site in ("cross-site", "same-site"):
                self.assertEqual(ask(dhrt, "GET", "/c/k", Sec_Fetch_Site=site).status, 403)
            plain = ask(dhrt, "GET", "/c/k")
            self.assertEqual((plain.status, plain.headers["Vary"]), (200, "Origin"))
            self.assertNotIn("Access-Control-Allow-Origin", plain.headers)


class Curl(unittest.TestCase):
    def test_it_stores_and_reads_through_different_nodes(self):
        def curl(dhrt, path, *arguments):
            url = f"http://127.0.0.1:{dhrt.port}{path}"
            return subprocess.run(["curl", "-sS", "--max-time", str(SECONDS), *arguments, url],
                                  check=True, capture_output=True).stdout

        with Dhrt("--memory") as first, Dhrt("--memory", joins=first) as second:
            wait_until_ready(second)
            value = bytes(range(256)) * 16
            with open(first.directory / "value", "wb") as file:
                file.write(value)
            curl(first, "/c/k", "-X", "PUT", "-H", "Transfer-Encoding: chunked",
                 "--data-binary", f"@{first.directory}/value")
            got = curl(second, "/c/k", "-H", "Accept: application/octet-stream")
            self.assertEqual(got, value)
            self.assertEqual(curl(second, "/set?k=nkvd&v=1"), b'{"success":true}')
            self.assertEqual(curl(first, "/get?k=nkvd"), b'"1"')


if __name__ == "__main__":
    unittest.main()
