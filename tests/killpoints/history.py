"""What was sent to a node, what it acknowledged, and which contents that allows afterwards.

A lane is one connection with keys and collections of its own, so that all that happens to a key
happens in the order in which it was sent, however many event loops the node has. Per key, what
is found must be what the last acknowledged operation left, or a later one that was sent.
"""

import re

from client import Client, ProtocolError, ServerError

PHASE_OPERATIONS = 260
KEYS = 40
SIZES = (0, 12, 40, 100, 100, 300, 600, 1500, 5000)
SIZE_LARGE = 80_000  # More than a segment of the tiny settings.
SENTINEL = b"sentinel"
VERSION = re.compile(r"exists with version (\d+)-(\d+)")
FILLER = bytes(range(256)) * 400


class Violation(AssertionError):
    """Something that a node promised and did not keep."""


class Step:
    """One operation: its words, and what it does to which keys."""

    def __init__(self, words, effects=(), read=None, may_refuse=False, probe=False):
        self.words = words
        self.effects = effects  # (collection, key, value or None, is gone at once).
        self.read = read        # (collection, key) of which the reply is the value.
        self.may_refuse = may_refuse
        self.probe = probe


class Lane:
    def __init__(self, number, random):
        self.number = number
        self.random = random
        self.own = [f"alpha{number}", f"beta{number}"]
        self.temporary = f"temp{number}"
        self.collections = ["default", *self.own, self.temporary]
        self.history = {}  # (collection, key): [(operation, value, fleeting)].
        self.acknowledged = set()
        self.versions = []
        self.operation = 0
        self.under_way = []
        self.refusals = []
        self.may_be_fleeting = True

    # --- What to send.

    def key(self):
        return b"k%d-%02d" % (self.number, self.random.randrange(KEYS))

    def value(self):
        size = SIZE_LARGE if self.random.random() < 0.004 else self.random.choice(SIZES)
        begin = self.random.randrange(256)
        return b"%d:%d:" % (self.number, self.operation) + FILLER[begin:begin + size]

    def steps(self, count, fleeting):
        """`count` operations, and among them probes of the version of one key."""
        self.may_be_fleeting = fleeting
        for index in range(count):
            if index % 90 == 0:
                yield self._set("default", SENTINEL + b"%d" % self.number, self.value())
                yield Step(("set", "default", SENTINEL + b"%d" % self.number, b"", "--if-absent"),
                           may_refuse=True, probe=True)
            yield self._step()

    def _set(self, collection, key, value, *flags, fleeting=False):
        return Step(("set", collection, key, value, *flags),
                    ((collection, key, value, fleeting),))

    def _step(self):
        collection, key, dice = self.random.choice(self.collections), self.key(), \
            self.random.random()
        if dice < 0.62:
            return self._set(collection, key, self.value())
        if dice < 0.78:
            return Step(("del", collection, key), ((collection, key, None, False),))
        if dice < 0.82:
            return self._set(collection, key, self.value(), "--ttl", "1h")
        if dice < 0.86 and self.may_be_fleeting:
            return self._set(collection, key, self.value(), "--ttl", "1ms", fleeting=True)
        if dice < 0.975:
            return Step(("get", collection, key), read=(collection, key))
        if dice < 0.985:
            return self._emptying("flush", self.random.choice(self.own))
        if dice < 0.993:
            return self._emptying("drop", self.temporary)
        return Step(("create", self.temporary), may_refuse=True)

    def _emptying(self, word, collection):
        keys = [key for where, key in self.history if where == collection]
        return Step((word, collection), tuple((collection, key, None, False) for key in keys),
                    may_refuse=True)

    # --- What came back.

    def sent(self, step):
        self.operation += 1
        for collection, key, value, fleeting in step.effects:
            self.history.setdefault((collection, key), [(0, None, False)]).append(
                (self.operation, value, fleeting))
        self.under_way.append((self.operation, step))

    def answered(self, reply, faults):
        operation, step = self.under_way.pop(0)
        if step.probe:
            return self._probed(reply, faults)
        if isinstance(reply, ServerError):
            if not step.may_refuse:
                self.refusals.append(str(reply))
                if not faults:
                    raise Violation(f"{step.words[:3]} was refused: {reply}")
            # "There is no such collection" is as good as done, if nothing is broken.
            if faults or "no collection" not in str(reply):
                return None
        # "It was not there" says nothing of what the disk has, when the store is broken.
        if faults and reply == 0 and step.effects:
            return None
        self.acknowledged.add(operation)
        if step.read is not None:
            allowed = self.allowed(step.read, before=operation, live=True)
            if reply not in allowed:
                raise Violation(f"get {step.read} at {operation} gave {short(reply)}, not one of "
                                f"{[short(value) for value in allowed]}; {self.story(step.read)}")
        return None

    def _probed(self, reply, faults):
        found = VERSION.search(str(reply))
        if found is None:
            if not faults:
                raise Violation(f"the sentinel was just set, and is not there: {reply!r}")
            return
        version = (int(found[1]), int(found[2]))
        if self.versions and version <= self.versions[-1] and not faults:
            raise Violation(f"version {version} came after {self.versions[-1]}")
        self.versions.append(version)

    def cut_off(self):
        """The connection is gone: what was under way may have been done, or not."""
        self.under_way.clear()

    # --- What must be there.

    def allowed(self, where, before=1 << 62, live=False):
        entries = [entry for entry in self.history.get(where, [(0, None, False)])
                   if entry[0] < before]
        last = max((index for index, entry in enumerate(entries)
                    if entry[0] in self.acknowledged), default=0)
        allowed = []
        for _, value, fleeting in entries[last:]:
            if fleeting:
                allowed.append(None)
            if live or not fleeting:
                allowed.append(value)
        return allowed

    def violations(self, contents):
        """`contents`: {collection: {key: value}}, all of it."""
        wrong = []
        for (collection, key), _ in self.history.items():
            found = contents.get(collection, {}).get(key)
            allowed = self.allowed((collection, key))
            if found not in allowed:
                wrong.append(f"{collection} {key}: {short(found)} is not one of "
                             f"{[short(value) for value in allowed[:4]]}; "
                             f"{self.story((collection, key))}")
        return wrong

    def story(self, where):
        """The last that happened to a key: operation, what, and whether it was acknowledged."""
        words = []
        for operation, value, fleeting in self.history[where][-6:]:
            what = "empty" if value is None else "expire" if fleeting else "set"
            words.append(f"{operation} {what}{'' if operation in self.acknowledged else '?'}")
        return "it had " + ", ".join(words)


def short(value):
    """A value by its beginning, which says who wrote it."""
    if value is None:
        return None
    head = bytes(value).split(b":")
    return f"{b':'.join(head[:2]).decode(errors='replace')}, {len(value)} bytes"


class Load:
    """All lanes of a node, over all its starts."""

    def __init__(self, random, lanes=1):
        self.lanes = [Lane(number, random) for number in range(lanes)]
        self.random = random

    def run(self, node, count, faults=False, fleeting=True):
        """Sends and checks until `count` operations per lane are answered, or the node is gone."""
        clients = []
        try:
            for _ in self.lanes:
                clients.append(Client(node.address))
            pending = [lane.steps(count, fleeting) for lane in self.lanes]
            while self._round(clients, pending, faults):
                pass
            return True
        except OSError:
            return False
        except ProtocolError as error:
            raise Violation(f"the node answered nonsense: {error}") from error
        finally:
            for client in clients:
                client.close()
            for lane in self.lanes:
                lane.cut_off()

    def _round(self, clients, pending, faults):
        """One window of each lane; all are sent before the first answer is read."""
        window = self.random.choice((1, 2, 5, 20, 60))
        for lane, client, steps in zip(self.lanes, clients, pending):
            # A step is made before it is sent: it may depend on those before.
            lines = []
            for _ in range(window):
                step = next(steps, None)
                if step is None:
                    break
                lane.sent(step)
                lines.append(step.words)
            client.send_all(lines)
        lost, any_sent = None, any(lane.under_way for lane in self.lanes)
        for lane, client in zip(self.lanes, clients):
            try:
                while lane.under_way:
                    lane.answered(client.outcome(), faults)
            except OSError as error:
                lost = error  # The other lanes may have been answered.
        if lost is not None:
            raise lost
        return any_sent

    def acknowledged(self):
        return sum(len(lane.acknowledged) for lane in self.lanes)

    def sent(self):
        return sum(lane.operation for lane in self.lanes)

    def fleeting(self, collection):
        """How many keys of a collection were ever set to expire at once."""
        return sum(any(entry[2] for entry in entries) for lane in self.lanes
                   for (where, _), entries in lane.history.items() if where == collection)

    def check(self, contents):
        """Raises if something promised is absent, or something is there that was never sent."""
        wrong = [text for lane in self.lanes for text in lane.violations(contents)]
        known = {where for lane in self.lanes for where in lane.history}
        wrong += [f"{collection} {key} was never written"
                  for collection, found in contents.items() for key in found
                  if (collection, key) not in known]
        if wrong:
            raise Violation(f"{len(wrong)} keys are wrong: " + "; ".join(wrong[:5]))
