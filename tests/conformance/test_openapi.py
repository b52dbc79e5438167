"""What /_/openapi.json promises, held against a node with tokens: every status, content type and
request field that is seen is in the document, and what is in it is served.

By hand:  DHRT_BINARY=build/release/dhrt python3 -B tests/conformance/test_openapi.py OpenApi
"""

import re
import sys
import unittest

sys.dont_write_bytecode = True

from test_access import Guarded  # noqa: E402
from test_http import ask  # noqa: E402
from wire import Dhrt  # noqa: E402

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
KEY_PATHS = ("/{name}", "/{collection}/{key}")
WRITES = {("PUT", path) for path in KEY_PATHS} | {("DELETE", path) for path in KEY_PATHS} | {
    ("POST", "/{collection}/"), ("POST", "/{collection}/{key}"),
    ("POST", "/{collection}/{key}/{value}")}
READS = {("GET", path) for path in KEY_PATHS}
WATCH = ("GET", "/_/watch/{collection}")
DELETE_COLLECTION = ("DELETE", "/{collection}/")

# Every field that changes what a node does with a request: values that it takes, values that it
# does not, and the operations where it counts. Not here are the fields of HTTP itself (Host,
# Connection, Expect, ...), what browsers tell by themselves (Origin, Sec-Fetch-Site), and Accept,
# Content-Type and Authorization, which OpenAPI has as contents and security.
FIELDS = {
    "X-Dhrt-Ack": (("one", "quorum", "all", "linear"), ("most", ""), WRITES),
    "X-Dhrt-Read": (("one", "fanout", "quorum", "linear"), ("most", ""),
                    READS | {("DELETE", "/{name}")}),
    "X-Dhrt-Session": (("",), ("no token",), READS | WRITES),
    "If-Match": (('"1-1"', "*", 'W/"1-1"'), ("1-1", ""), READS | WRITES | {DELETE_COLLECTION}),
    "If-None-Match": (('"1-1"', "*"), ("1-1", ""), READS | WRITES | {DELETE_COLLECTION}),
    "Last-Event-ID": (("0",), ("no token",), {WATCH}),
}


def filled(path):
    """A path of the document with words for its parameters."""
    return re.sub(r"\{(\w+)\}", r"a-\1", path)


def operations(document):
    """Deletes come last: the others find what was stored."""
    found = [(method.upper(), path, operation) for path, item in document["paths"].items()
             for method, operation in item.items() if method not in ("parameters", "description")]
    return sorted(found, key=lambda one: one[0] == "DELETE")


def fields_of(operation):
    return {one["name"] for one in operation["parameters"] if one["in"] == "header"}


class Walk(unittest.TestCase):
    """Asks, and holds the answer against what the operation declares."""

    def ask(self, dhrt, operation, target=None, token="t-admin", **headers):
        method, path, described = operation
        if token:
            headers["Authorization"] = "Bearer " + token
        body = b"value" if "requestBody" in described else None
        # The answer to GET has no end.
        sent = "HEAD" if path.startswith("/_/watch/") else method
        answer = ask(dhrt, sent, target or filled(path), body, **headers)
        what = (method, target or path, headers, answer.status, answer.body)
        response = described["responses"].get(str(answer.status))
        self.assertIsNotNone(response, what)
        if answer.body:
            kind = answer.headers["Content-Type"].partition(";")[0]
            self.assertIn(kind, response.get("content", {}), what)
        return answer

    def targets(self, operation):
        """With the query that must be there, without, and what else the words may mean."""
        _, path, described = operation
        required = [one["name"] for one in described["parameters"] if one["required"]]
        targets = [filled(path), filled(path) + "?" + "&".join(name + "=1" for name in required)]
        return targets + (["/a-collection"] if path == "/{name}" else [])

    def fill(self, dhrt):
        bearer = {"Authorization": "Bearer t-admin"}
        for target in ("/a-name", "/a-collection/a-key", "/default/1"):
            self.assertEqual(ask(dhrt, "PUT", target, b"value", **bearer).status, 201)


class OpenApi(Walk):
    @classmethod
    def setUpClass(cls):
        cls.dhrt = Guarded("--cpu-num", "1")
        cls.document = ask(cls.dhrt, "GET", "/_/openapi.json").json()
        cls.operations = operations(cls.document)

    @classmethod
    def tearDownClass(cls):
        cls.dhrt.stop()

    def test_it_is_whole(self):
        self.assertEqual(self.document["openapi"], "3.0.3")
        self.assertGreater(len(self.document["paths"]), 15)
        self.assertEqual({one["scheme"] for one in
                          self.document["components"]["securitySchemes"].values()},
                         {"bearer", "basic"})

        def check(node):
            if isinstance(node, list):
                for one in node:
                    check(one)
            if not isinstance(node, dict):
                return
            if "$ref" in node:
                found = self.document
                for word in node["$ref"].removeprefix("#/").split("/"):
                    found = found[word]
            for one in node.values():
                check(one)

        check(self.document)
        for method, path, operation in self.operations:
            with self.subTest(method=method, path=path):
                self.assertTrue(operation["summary"])
                names = [(one["name"], one["in"]) for one in operation["parameters"]]
                self.assertEqual(len(names), len(set(names)))
                for response in operation["responses"].values():
                    self.assertTrue(response["description"])

    def test_each_path_is_served_by_its_methods_and_no_other(self):
        self.assertIn("MethodNotAllowed", self.document["components"]["responses"])
        for path, item in self.document["paths"].items():
            with self.subTest(path=path):
                named = set(re.findall(r"\{(\w+)\}", path))
                self.assertEqual(named, {one["name"] for one in item["parameters"]})
                served = {method for method, at, _ in self.operations if at == path}
                served |= {"HEAD"} if "GET" in served else set()
                for method in set(METHODS) - served:
                    self.assertEqual(ask(self.dhrt, method, filled(path)).status, 405)
                allowed = ask(self.dhrt, "OPTIONS", filled(path))
                self.assertEqual(allowed.status, 204)
                self.assertEqual(set(allowed.headers["Allow"].split(", ")), served | {"OPTIONS"})

    def test_statuses_and_types_with_any_token_and_without(self):
        for token in ("t-admin", "t-write", "t-read", "t-orders", None):
            for operation in self.operations:
                method, path, described = operation
                self.fill(self.dhrt)
                for target in self.targets(operation) * 2:  # What is there, then what is not.
                    with self.subTest(token=token, method=method, target=target):
                        answer = self.ask(self.dhrt, operation, target, token)
                        if token is None:
                            self.assertEqual(answer.status == 401, described["security"] != [])
                        self.assertLess(answer.status, 500)

    def test_statuses_of_pages_and_of_who_guesses(self):
        for operation in self.operations:
            method, path, described = operation
            with self.subTest(method=method, path=path):
                self.ask(self.dhrt, operation, Origin="https://elsewhere.example.org")
                self.ask(self.dhrt, operation, User_Agent="Mozilla/5.0")
                for _ in range(3):
                    answer = self.ask(self.dhrt, operation, token="t-wrong")
                    self.assertEqual(answer.status in (401, 503), described["security"] != [])

    def test_fields_are_declared_where_they_count_and_nowhere_else(self):
        for operation in self.operations:
            method, path, described = operation
            with self.subTest(method=method, path=path):
                expected = {name for name, (_, _, where) in FIELDS.items()
                            if (method, path) in where}
                self.assertEqual(fields_of(described), expected)

    def test_statuses_with_each_field(self):
        for operation in self.operations:
            method, path, described = operation
            for name, (good, bad, _) in FIELDS.items():
                declared = name in fields_of(described)
                for value in good + bad:
                    for target in self.targets(operation):
                        with self.subTest(method=method, target=target, field=name, value=value):
                            self.check_field(operation, target, name, value, declared, value in bad)

    def check_field(self, operation, target, name, value, declared, is_bad):
        self.fill(self.dhrt)
        plain = self.ask(self.dhrt, operation, target)
        self.fill(self.dhrt)
        answer = self.ask(self.dhrt, operation, target, **{name.replace("-", "_"): value})
        if not declared and answer.status != plain.status:
            # What a client asks for in vain it is told, wherever it asks.
            self.assertEqual(answer.status, 400)
            self.assertTrue(name.startswith("X-Dhrt-"), answer.body)
        is_list = operation[1] == "/{name}" and target == "/a-collection"
        if declared and is_bad and plain.status < 400 and not is_list:
            self.assertEqual(answer.status, 400, answer.body)

    def test_fields_that_openapi_has_in_other_places(self):
        for operation in self.operations:
            method, path, described = operation
            with self.subTest(method=method, path=path):
                self.fill(self.dhrt)
                if (method, path) in READS:
                    kinds = described["responses"]["200"]["content"]
                    self.assertEqual(set(kinds), {"application/json", "application/octet-stream"})
                    for kind in kinds:
                        answer = self.ask(self.dhrt, operation, Accept=kind)
                        self.assertEqual(answer.headers["Content-Type"], kind)
                self.ask(self.dhrt, operation, Accept="text/html, */*;q=0")
                answer = self.ask(self.dhrt, operation, Content_Type="t" * 3000)
                self.assertEqual(answer.status == 400 and b"3000" in answer.body, method == "PUT")


class Full(Walk):
    def test_statuses_of_a_node_that_takes_no_more(self):
        with Dhrt("--memory", "--cpu-num", "1", "--memory-limit", "16mb") as dhrt:
            document = ask(dhrt, "GET", "/_/openapi.json").json()
            for size in (1_000_000, 10_000, 100, 0):
                statuses = (ask(dhrt, "PUT", f"/c/{size}-{number}", b"v" * size).status
                            for number in range(1000))
                self.assertIn(507, statuses)
            seen = set()
            for operation in operations(document):
                for target in self.targets(operation):
                    with self.subTest(method=operation[0], target=target):
                        if self.ask(dhrt, operation, target, token=None).status == 507:
                            seen.add(operation[:2])
            self.assertLessEqual({("PUT", "/{name}"), ("POST", "/{collection}/{key}")}, seen)


if __name__ == "__main__":
    unittest.main()
