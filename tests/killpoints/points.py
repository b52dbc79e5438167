#!/usr/bin/env python3
"""Kills a node at many calls that change files, and looks at what is left.

Per point: a load of sets, deletes, deadlines, flushes and drops, with a clean restart and a
kill -9 on the way; the process dies at one call (or the call fails); then a start without the
shim, and every promise is looked at. See --help.
"""

import argparse
import os
import pathlib
import random
import shutil
import sys
import time
import traceback

from killpoints import (ALLOCATING, HOW, KINDS, LOOPS, SHIM, SYNCS, WRITES, Disk, WatchedNode,
                        fast_folder, knows, loops_max, tiny_flags)
from history import PHASE_OPERATIONS, Load, Violation
import harness
import mdbfile

MODES = ("kill", "power", "mixed", "fault")
# What a power cut may take is promised to survive a kill in each of them.
DURABILITIES = ("sync", "interval", "none")
# Calls that are drawn for each that is reached, at most: how many there are is not the same in
# each run.
DRAWN_MAX = 3
STOP_SECONDS = 20
SABOTAGES = {
    "sync": (SYNCS, 1),           # No sync reaches the disk.
    "folder-sync": (("fsync",), 1),
    "fdatasync": (("fdatasync", "msync"), 1),
    "some-syncs": (SYNCS, 5),
    "some-writes": (WRITES, 40),  # Some writes do not even reach the page cache.
}


class Point:
    """Everything that one point is: from a mode, a seed and a call."""

    def __init__(self, mode, seed, kind, call, loops):
        self.mode, self.seed, self.kind, self.call, self.loops = mode, seed, kind, call, loops
        self.random = random.Random(f"{mode}-{seed}-{kind}-{call}")
        self.how = self.random.choice(HOW)
        self.error = self.random.choice(("ENOSPC", "EIO"))
        self.fail_count = self.random.choice((1, 3, (1 << 64) - 1))
        self.fail_short = self.random.random() < 0.5
        # The start that follows dies as well, after so many calls.
        self.again = self.random.randrange(1, 90) if self.random.random() < 0.4 else None
        self.durability = self.random.choice(DURABILITIES) if mode == "kill" else "sync"
        self.reached = False
        self.killed = "not reached"

    def command(self, sabotage):
        words = [f"KILLPOINTS_SHIM={SHIM}", f"DHRT_BINARY={harness.BINARY}", "python3", "-B",
                 os.path.relpath(__file__), "--mode", self.mode, "--seed", str(self.seed),
                 "--only", str(self.kind), "--at", str(self.call), "--loops", str(self.loops)]
        return " ".join(words + (["--sabotage", sabotage] if sabotage else []))

    def arm(self, control):
        if self.mode == "fault":
            group = SYNCS if self.kind in SYNCS else (self.kind,)
            error = self.error if self.kind in ALLOCATING else "EIO"
            control.fail(group, error, skip=self.call - 1, count=self.fail_count,
                         short=self.fail_short)
        elif self.call > 0:
            control.kill_at(None if self.kind == "any" else self.kind, self.call, self.how)


class Run:
    """One point, from an empty folder to the last look."""

    def __init__(self, point, sabotage=None, keep=False):
        self.point = point
        self.keep = keep
        self.folder = fast_folder("dhrt-killpoints-")
        self.disk = Disk(self.folder)
        flags = [*tiny_flags(), "--log-level", "warning", "--durability", point.durability]
        if knows(LOOPS):
            flags += [LOOPS, str(point.loops)]
        self.node = WatchedNode(self.disk, flags)
        self.load = Load(random.Random(point.seed), lanes=1 if point.loops == 1 else 3)
        self.faults = point.mode == "fault"
        if sabotage:
            self.disk.control.lose(*SABOTAGES[sabotage])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.node.clean_up()
        if self.keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder)

    def everything(self):
        self.point.arm(self.disk.control)
        try:
            self.until_it_dies()
        finally:
            self.node.clean_up()
            failed = self.disk.control["failed"]
            killed = self.disk.control.killed()
            self.point.reached = killed is not None or failed > 0
            self.point.killed = killed or (f"{failed} calls failed" if failed else "not reached")
        self.lose_power()
        if self.point.again is not None and not self.faults:
            self.die_again()
        self.look()

    def lose_power(self):
        """What is left is what the mode says."""
        if self.point.mode in ("power", "mixed") or (self.faults and self.point.seed % 2):
            choices = self.point.random if self.point.mode == "mixed" else None
            self.disk.cut_power(choices)

    # --- Under the shim.

    def die_again(self):
        """While the node takes up what the first death left."""
        control = self.disk.control
        control["killed"] = 0
        control.kill_at(None, control["calls"] + self.point.again, self.point.how)
        if self.start() and self.write():
            self.node.kill9()
        self.point.killed += f", then {control.killed() or 'by kill -9'}"
        self.lose_power()

    def until_it_dies(self):
        for last in ("stop", "kill", "stop"):
            if not self.start() or not self.write():
                return
            if last == "kill":
                self.node.kill9()
            elif not self.stop():
                return

    def start(self):
        try:
            return self.node.begin()
        except AssertionError:
            # A start may be refused on a broken disk, with words. It must not crash.
            if not self.faults or self.node.alive():
                raise
            return False

    def write(self):
        """False if the node is gone, which only the shim may have done."""
        for _ in range(4 if self.faults else 1):
            if self.load.run(self.node, PHASE_OPERATIONS, self.faults):
                return True
            if self.faults and self.node.alive() and self.node.answers():
                continue  # The connection was ended, as is said of writes under way.
        return self.gone("in the load") if not self.faults else self.node.alive() or \
            self.gone("in the load")

    def stop(self):
        self.node.send_signal(harness.signal.SIGTERM)
        code = self.node.process.wait(STOP_SECONDS * harness.PATIENCE)
        if code < 0:
            return self.gone("while it stopped")
        if code != 0 and not self.faults:
            raise Violation(f"a stop ended with {code}\n{self.node.log_tail()}")
        return True

    def gone(self, when):
        code = self.node.process.wait(STOP_SECONDS)
        if self.disk.control["killed"] and code == -harness.signal.SIGKILL:
            return False
        raise Violation(f"the node died {when}, with {code}\n{self.node.log_tail()}")

    # --- Afterwards.

    def look(self):
        if not self.node.begin(watched=False):
            raise Violation(f"the start after it died: {self.node.process.returncode}")
        contents = self.contents()
        self.load.check(contents)
        # Of what it is now: another start must find the same.
        if not self.load.run(self.node, 30, fleeting=False):
            raise Violation(f"the node does not take writes\n{self.node.log_tail()}")
        contents = self.contents()
        self.load.check(contents)
        self.compare_reads(contents)
        if (code := self.node.stop(seconds=STOP_SECONDS)) != 0:
            raise Violation(f"the last stop ended with {code}\n{self.node.log_tail()}")
        self.compare_files(contents)
        self.verify()

    def verify(self):
        """What mdb_dump does not tell: checksums, counts, and that a dot leads to every record."""
        result = harness.run_dhrt("verify", self.node.data_dir)
        if result.returncode != 0:
            raise Violation(f"dhrt verify: {result.stdout}{result.stderr}")

    def contents(self):
        """Everything served, collection by collection; counts and lists must agree with it."""
        found = {}
        with self.node.client() as client:
            for name in self.node.collections():
                found[name] = client.contents(name)
                keys = client.call("keys", name)
                if sorted(found[name]) != keys:
                    raise Violation(f"{name}: scan and keys differ")
                self.compare_count(client, name, keys)
        return found

    def compare_count(self, client, name, keys):
        """Keys that expired are counted until they are swept; only some points wait for that."""
        expired = self.load.fleeting(name) if self.point.call % 16 else 0
        harness.wait_until(
            lambda: len(keys) <= client.call("count", name) <= len(keys) + expired, 5,
            f"count of {name} to be {len(keys)}, as keys says, or {expired} more")

    def compare_reads(self, contents):
        """Single reads agree with the scan."""
        for name, found in contents.items():
            for key in self.point.random.sample(sorted(found), min(2, len(found))):
                with self.node.client() as client:
                    value = client.call("get", name, key)
                if value != found[key]:
                    raise Violation(f"{name} {key}: get and scan differ")

    def compare_files(self, contents):
        folder = self.node.data_dir / "collections"
        files = {path.stem: path for path in folder.glob("*.mdb") if path.stem[0] != "_"}
        for name in files.keys() | contents.keys():
            if name not in files:
                if contents[name]:
                    raise Violation(f"{name} has keys and, after a clean stop, no file")
                continue
            stored = mdbfile.live_records(files[name], time.time_ns() // 1_000_000)
            if stored != contents.get(name, {}):
                differ = {key for key in stored.keys() | contents.get(name, {}).keys()
                          if stored.get(key) != contents.get(name, {}).get(key)}
                raise Violation(f"{files[name].name} is not what was served: {sorted(differ)[:4]}")


def run_point(point, sabotage=None, keep=False):
    """None, or what is wrong."""
    try:
        with Run(point, sabotage, keep) as run:
            run.everything()
        return None
    except (AssertionError, OSError, ValueError, KeyError, harness.ServerError,
            harness.subprocess.TimeoutExpired) as error:
        if not isinstance(error, Violation):
            traceback.print_exc()
        return str(error) or type(error).__name__


def counted(seed, loops):
    """How many calls of each kind a run without any fault makes."""
    point = Point("kill", seed, "any", 0, loops)
    with Run(point) as run:
        run.everything()
        return run.disk.control.counts(), run.load.acknowledged()


def plan(arguments, choices):
    """Points without end: rare kinds as often as frequent ones in half of them."""
    counts = {}
    while True:
        # One of seven is a fault.
        modes = MODES[:3] * 2 + (MODES[3:] if arguments.faults else ())
        mode = arguments.mode or choices.choice(modes)
        loops = arguments.loops or choices.choice((1, 1, loops_max()))
        seed = choices.randrange(1, 1 << 16) if arguments.at is None else arguments.seed
        if arguments.at is not None:
            yield Point(mode, seed, arguments.only, arguments.at, loops)
            continue
        if loops not in counts:
            counts[loops], acknowledged = counted(arguments.seed, loops)
            print(f"  {loops} loop(s), without a fault: {acknowledged} acknowledged, calls "
                  f"{ {kind: n for kind, n in counts[loops].items() if n} }", flush=True)
        made = {kind: n for kind, n in counts[loops].items() if n}
        kind = arguments.only
        if kind == "any" and (mode == "fault" or choices.random() < 0.5):
            kind = choices.choice(sorted(made))
        total = made.get(kind, 0) if kind != "any" else sum(made.values())
        if total == 0:
            sys.exit(f"no call of kind '{kind}' is made; there are {sorted(made)}")
        yield Point(mode, seed, kind, choices.randint(1, total), loops)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=int, default=150, help="calls that are reached "
                        "and kill; what fails instead is counted only with --mode fault")
    parser.add_argument("--long", action="store_true", help="2000 points, and faults beside them")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--mode", choices=MODES, help="kill: the page cache stays; power: only "
                        "what was synced does; mixed: that, and some of the rest; fault: the call "
                        "fails. Without it: some of each")
    parser.add_argument("--only", default="any", choices=("any", *KINDS), help="calls to die at")
    parser.add_argument("--at", type=int, help="this call of that kind, and no other point")
    parser.add_argument("--loops", type=int, default=0, help="event loops; 0: some of each")
    parser.add_argument("--no-faults", dest="faults", action="store_false")
    parser.add_argument("--sabotage", choices=sorted(SABOTAGES), help="break the disk's promise "
                        "on purpose: the run succeeds if that is noticed")
    parser.add_argument("--failures-max", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="leave the folder of each point")
    arguments = parser.parse_args()
    for variable, value in (("KILLPOINTS_SHIM", SHIM), ("DHRT_BINARY", harness.BINARY)):
        if not os.access(value, os.R_OK):
            sys.exit(f"{variable} is '{value}'; see tests/README.md")
    arguments.seed = arguments.seed or random.randrange(1, 1 << 16)
    if arguments.long:
        arguments.points = 2000
    if arguments.at is not None:
        arguments.points = 1
    sys.exit(run_all(arguments))


def run_all(arguments):
    choices, watch, failures = random.Random(arguments.seed), harness.Stopwatch(), []
    print(f"  {pathlib.Path(__file__).name} --seed {arguments.seed}", flush=True)
    points = plan(arguments, choices)
    reached, drawn = {mode: 0 for mode in MODES}, 0
    wanted = MODES[3:] if arguments.mode == "fault" else MODES[:3]
    drawn_max = arguments.points if arguments.at is not None else DRAWN_MAX * arguments.points
    while sum(reached[mode] for mode in wanted) < arguments.points and drawn < drawn_max and \
            len(failures) < arguments.failures_max:
        point = next(points)
        wrong = run_point(point, arguments.sabotage, arguments.keep)
        drawn += 1
        reached[point.mode] += point.reached
        if wrong is None:
            continue
        failures.append(point)
        print(f"WRONG after {point.killed} ({point.mode}, {point.how}, {point.durability}): {wrong}"
              f"\n  again: {point.command(arguments.sabotage)}", flush=True)
        if arguments.sabotage:
            break
    done = sum(reached.values())
    print(f"  {done} points in {watch.seconds():.0f} s ("
          f"{', '.join(f'{n} {mode}' for mode, n in reached.items() if n)}), "
          f"{drawn - done} not reached, {len(failures)} wrong")
    return judge(arguments, failures, sum(reached[mode] for mode in wanted))


def judge(arguments, failures, reached):
    """The exit code."""
    if arguments.sabotage:
        print("  the sabotage was noticed" if failures else "  NOBODY noticed the sabotage")
        return 0 if failures else 1
    if not failures and reached < arguments.points and arguments.at is None:
        print(f"  too FEW points: {reached} of {arguments.points} were reached")
        return 1
    return 1 if failures else 0


if __name__ == "__main__":
    main()
