"""A client that watches a collection by native lines, for the tests of conformance and nemesis."""

import sys

sys.dont_write_bytecode = True

from wire import SECONDS, Connection  # noqa: E402


class Watch:
    """A connection that watches; `take` gives (event, key, value) and keeps the last token.

    `line` is what is sent, `since` the token that it goes on from. A connection that ends is an
    EOFError.
    """

    def __init__(self, address, line, since=None, seconds=SECONDS):
        self.connection = Connection(address, seconds)
        self.token = since
        flag = f" --since {since}" if since else ""
        self.connection.send(f"{line}{flag}\n".encode())

    def part(self):
        head = self.connection.file.readline()
        if head[:1] != b"$":
            raise EOFError(f"no part of a push but {head}")
        length = int(head[1:])
        part = self.connection.file.read(length + 2)
        if len(part) < length + 2:
            raise EOFError("the node closed the connection within a push")
        return part[:length]

    def push(self):
        """One push, or a line that is none, as it is."""
        head = self.connection.file.readline()
        if not head:
            raise EOFError("the node closed the connection")
        if head[:1] in b"-+":
            return head
        if head != b"*5\r\n":
            raise EOFError(f"no push but {head}")
        event, _, key, value, token = (self.part() for _ in range(5))
        # What was told only in part is as good as not told.
        self.token = token.decode() or self.token
        return event, key, value

    def begun(self):
        """The beginning was told; what that was."""
        before = []
        while (push := self.push())[0] != b"token":
            before.append(push)
        return before

    def take(self, count=1):
        taken = []
        while len(taken) < count:
            push = self.push()
            if push[0] != b"token":
                taken.append(push)
        return taken if count > 1 else taken[0]

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
