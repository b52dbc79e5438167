"""The README tells the truth: its `nc` and `curl` examples are run, and must print what it says.

A block that is marked `console` holds lines `$ command` (continued by a backslash at the end), each
followed by what it prints. A line `…` stands for any lines, `…` within a line for any text. A
block is run if all its commands use nc or curl; all blocks meet one fresh node, in order, with
port 7453 replaced by its own.
"""

import os
import pathlib
import re
import subprocess
import unittest

from harness import PATIENCE, Cluster, environment, main, report

README = pathlib.Path(os.environ.get("DHRT_README") or
                      pathlib.Path(__file__).parents[2] / "README.md")
PORT = "7453"
ANYTHING = "…"
COMMAND_SECONDS_MAX = 10


def blocks(text):
    """The (command, expected lines) pairs of each console block."""
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        examples, continued = [], False
        for text_line in block.splitlines():
            if continued:
                examples[-1][0] += "\n" + text_line
            elif text_line.startswith("$ "):
                examples.append([text_line[2:], []])
            elif examples:
                examples[-1][1].append(text_line)
            continued = examples and not examples[-1][1] and text_line.endswith("\\")
        yield examples


def uses_a_plain_client(command):
    return re.search(r"\b(nc|curl)\b", command) is not None


def pattern(expected):
    """A regular expression for what is printed, line ends as LF."""
    parts = []
    for text_line in expected:
        if text_line.strip() == ANYTHING:
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(map(re.escape, text_line.rstrip().split(ANYTHING))) + r"[ ]*\n")
    return re.compile("".join(parts) + r"\n*\Z")


def printed(text):
    text = text.replace("\r\n", "\n").lstrip("\n")
    return text if text.endswith("\n") or not text else text + "\n"


class Readme(unittest.TestCase):
    def test_every_nc_and_curl_example_prints_what_the_readme_says(self):
        examples = [example for block in blocks(README.read_text())
                    if block and all(uses_a_plain_client(command) for command, _ in block)
                    for example in block]
        for tool in ("nc", "curl"):
            self.assertTrue(any(re.search(rf"\b{tool}\b", command) for command, _ in examples),
                            f"{README} has no console block with an example of {tool}")
        with Cluster(1) as cluster:
            for command, expected in examples:
                with self.subTest(command=command):
                    self.check(command.replace(PORT, str(cluster[0].port)), expected,
                               str(cluster[0].port))
        report(f"{len(examples)} examples")

    def check(self, command, expected, port):
        result = subprocess.run(["bash", "-c", command], capture_output=True, text=True,
                                stdin=subprocess.DEVNULL, env=environment(),
                                timeout=COMMAND_SECONDS_MAX * PATIENCE)
        got = printed(result.stdout).replace(port, PORT)
        self.assertRegex(got, pattern(expected),
                         f"\n$ {command}\n{got}{result.stderr}\n(README: {expected})")


class Extraction(unittest.TestCase):
    """The reading of README blocks itself."""

    text = "\n".join(["```console", "$ printf 'ping\\n' \\", "  | nc localhost 7453", "+PONG",
                      "$ curl -s localhost:7453/k", "", "```", "", "```", "$ ls", "```",
                      "```console", "$ ./deploy/up", "…", "```", ""])

    def test_commands_may_be_continued_and_print_nothing(self):
        self.assertEqual(list(blocks(self.text)),
                         [[["printf 'ping\\n' \\\n  | nc localhost 7453", ["+PONG"]],
                           ["curl -s localhost:7453/k", [""]]], [["./deploy/up", ["…"]]]])

    def test_what_stands_for_anything(self):
        for expected, got, fits in ((["a", "b"], "a\nb\n", True), (["a"], "a\nb\n", False),
                                    (["a", "…"], "a\nb\nc\n", True),
                                    (["…", "c"], "a\nc\n", True),
                                    (["…"], "", True), (["a … c"], "a b c\n", True),
                                    (["a … c"], "a b\nc\n", False), (["a.c"], "abc\n", False),
                                    ([], "", True), ([], "a\n", False), (["a"], "a", True)):
            with self.subTest(expected=expected, got=got):
                found = pattern(expected).match(printed(got)) is not None
                self.assertEqual(found, fits)


if __name__ == "__main__":
    main()
