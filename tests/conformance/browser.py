#!/usr/bin/env python3
"""A page in a real browser that uses a cluster of three nodes by fetch(), from an origin of its own.

By hand:  deploy/install-dependencies --browser
          DHRT_BINARY=build/release/dhrt /usr/bin/python3 -B tests/conformance/browser.py

Not a part of the tests that run everywhere, for the browser is a large thing to install;
`tests/run --long` has it.
"""

import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from test_cluster_clients import ThreeNodes
from wire import SECONDS

PAGE = pathlib.Path(__file__).with_name("browser.html")


class PageServer:
    """Gives the page, and takes what it found."""

    def __init__(self):
        self.result = None
        self.came = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # pylint: disable=invalid-name
                body = PAGE.read_bytes() if self.path.startswith("/page") else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):  # pylint: disable=invalid-name
                outer.result = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                outer.came.set()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def visit(self, browser, ports):
        """Opens the page and gives what it found: {name of a step: what came of it}."""
        self.came.clear()
        with tempfile.TemporaryDirectory(prefix="dhrt-browser-") as profile:
            log = pathlib.Path(profile) / "log"
            with open(log, "wb") as output:
                process = subprocess.Popen(
                    [browser, "--headless", "--no-sandbox", "--disable-gpu",
                     "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                     f"--user-data-dir={profile}/data",
                     f"{self.origin}/page#{','.join(map(str, ports))}"],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                    env=os.environ | {"HOME": profile})
            try:
                if not self.came.wait(3 * SECONDS):
                    raise AssertionError(f"the page told nothing:\n{log.read_text()[-4000:]}")
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # It has a group of processes of its own.
                process.wait()
        return self.result

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Browser(ThreeNodes):
    @classmethod
    def setUpClass(cls):
        cls.browser = shutil.which("chromium")
        if not cls.browser:
            raise AssertionError("chromium is missing; call deploy/install-dependencies --browser")
        cls.pages, cls.strangers = PageServer(), PageServer()
        cls.addClassCleanup(cls.pages.stop)
        cls.addClassCleanup(cls.strangers.stop)
        cls.flags = ["--memory", "--cors-origin", cls.pages.origin]
        super().setUpClass()

    def test_a_page_of_an_origin_that_is_named_uses_all_nodes(self):
        found = self.pages.visit(self.browser, self.ports)
        self.assertNotIn("error", found)
        for at in range(3):
            with self.subTest(node=at):
                self.assertEqual(found[f"put {at}"], 201)
                self.assertEqual(found[f"put again {at}"], 412)  # If-None-Match: a preflight.
                self.assertRegex(found[f"etag {at}"], '^".+"$')
                self.assertEqual(found[f"read {at}"], f"value of {at} \u00e4")
                self.assertEqual(found[f"listed {at}"], [f"key{at}"])
                self.assertEqual(found[f"rpc {at}"], 0)
                self.assertEqual(found[f"deleted {at}"], 202)
                self.assertEqual(found[f"gone {at}"], 404)

    def test_a_page_of_another_origin_does_nothing(self):
        """It was not answered to, and what it asked for was not done."""
        found = self.strangers.visit(self.browser, self.ports)
        self.assertIn("TypeError", found["error"])
        for at in range(3):
            self.assertEqual(self.client(at).dbsize(), 0)
            with self.nodes[at].connect() as connection:
                connection.send(b"count c\n")
                self.assertIn(connection.reply()[:1], b":-")


if __name__ == "__main__":
    unittest.main()
