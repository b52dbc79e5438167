#!/usr/bin/env python3
"""Every fault against every workload: five real nodes are hurt for a while, all workloads at the same
time, and when they are whole again each workload is checked, and the nodes must hold the same.

A cell is one workload under one fault for --seconds. With --markdown it prints the table of the
README. By hand:  DHRT_BINARY=build/release/dhrt CLOCK_SHIM=build/release/tests/nemesis/clock_shim.so \\
                      tests/nemesis/matrix.py --seconds 10 --fault halves
Exit codes: 0 every cell holds, 1 one does not, 2 usage.
"""

import argparse
import json
import os
import pathlib
import shutil
import struct
import sys
import tempfile
import time
from random import Random

sys.dont_write_bytecode = True

import workloads  # noqa: E402
from harness import BINARY, SANITIZER_WORDS, Node, TimedOut, run_for, wait_until  # noqa: E402
from test_levels import wait_for_votes  # noqa: E402
from wires import Wires  # noqa: E402

NODES = 5
SHIM = os.environ.get("CLOCK_SHIM", "")
FLAGS = ("--fast", "--write-timeout", "1s", "--read-timeout", "1s", "--remember-deletes", "5m",
         "--cpu-num", "1")
SETTLE_SECONDS_MAX = 90


class Nodes:
    """Five nodes behind relays, with clocks that can be set."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="dhrt-matrix-")
        self.wires = Wires()
        self.all = []
        for _ in range(NODES):
            self.add()
        self.wait_whole()
        wait_for_votes(self.all[0], self.all[1:])

    def add(self, *flags):
        name = f"node{len(self.wires.nodes) + 1}"
        clock = pathlib.Path(self.folder) / f"{name}.clock"
        clock.write_bytes(struct.pack("<q", 0))
        node = self.wires.node(name, self.folder, [*FLAGS, *flags])
        node.environment = {"CLOCK_SHIM_FILE": str(clock), "LD_PRELOAD": SHIM}
        node.clock = clock
        seed = next((one for one in self.all if one.alive()), None)
        self.all.append(node)
        node.start(None if seed is None else self.wires.seed_of(seed))
        return node

    def wait_whole(self):
        names = {node.name for node in self.all}
        wait_until(lambda: all({name for name, state in node.states().items()
                                if state == "healthy"} == names for node in self.all),
                   SETTLE_SECONDS_MAX, "all nodes to be healthy everywhere")

    def wait_same(self):
        """All hold the same."""
        different = {}

        def same():
            different.clear()
            for name in self.all[0].collections():
                counts = [node.call("count", name) for node in self.all]
                first, *others = ([node.contents(name) for node in self.all]
                                  if len(set(counts)) == 1 else [{}])
                if others != [first] * (NODES - 1):
                    different[name] = counts
            return not different

        try:
            wait_until(same, SETTLE_SECONDS_MAX, "the same contents on all nodes")
        except TimedOut as error:
            raise TimedOut(f"{error}; keys of each node: {different}") from None

    def index(self, node):
        return self.wires.nodes.index(node)

    def cut(self, is_cut):
        """Of nodes at these places in `all`, from and to."""
        places = [self.index(node) for node in self.all]
        self.wires.cut((places[a], places[b]) for a in range(NODES) for b in range(NODES)
                       if a != b and is_cut(a, b))

    def set_clock(self, node, ahead_milliseconds):
        with open(node.clock, "r+b") as file:
            file.write(struct.pack("<q", ahead_milliseconds))

    def close(self):
        for node in self.wires.nodes:
            node.clean_up()
        self.wires.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# --- Faults: each does its worst until `end`, then all is mended -----------------------------------


def calm(nodes, random, end):
    """Nothing: what the workloads do to each other."""
    while time.monotonic() < end:
        run_for(0.5)


def cut_for_a_while(shape):
    def fault(nodes, random, end):
        while time.monotonic() < end:
            nodes.cut(shape(random))
            run_for(random.uniform(2, 6))
            nodes.wires.heal()
            run_for(random.uniform(0.5, 3))

    fault.__doc__ = shape.__doc__
    return fault


def one_apart(random):
    """One node hears nobody, and is not heard."""
    lonely = random.randrange(NODES)
    return lambda a, b: lonely in (a, b)


def halves(random):
    """Two nodes and three hear nothing of each other."""
    side = set(random.sample(range(NODES), 2))
    return lambda a, b: (a in side) != (b in side)


def one_way(random):
    """One node is heard, and hears nothing; or the other way round."""
    lonely, hears = random.randrange(NODES), random.random() < 0.5
    return (lambda a, b: a == lonely) if hears else (lambda a, b: b == lonely)


def ring(random):
    """Each node hears a majority, and no two the same one."""
    order = random.sample(range(NODES), NODES)
    return lambda a, b: (order.index(a) - order.index(b)) % NODES in (2, 3)


def gone_for_a_while(end_node, why):
    def fault(nodes, random, end):
        while time.monotonic() < end:
            node = random.choice(nodes.all)
            end_node(node)
            run_for(random.uniform(0.2, 3))
            node.restart()
            run_for(random.uniform(0.5, 3))

    fault.__doc__ = why
    return fault


def pause(nodes, random, end):
    """A node stands still for up to five seconds."""
    while time.monotonic() < end:
        node = random.choice(nodes.all)
        node.pause()
        run_for(random.uniform(0.5, 5))
        node.resume()
        run_for(random.uniform(0.2, 2))


def clock_bump(nodes, random, end):
    """A clock is set, by up to an hour, and right again some seconds later."""
    while time.monotonic() < end:
        node = random.choice(nodes.all)
        nodes.set_clock(node, random.randint(-3_600_000, 3_600_000))
        run_for(random.uniform(1, 6))
        nodes.set_clock(node, 0)
        run_for(random.uniform(0.5, 2))


def clock_skew(nodes, random, end):
    """All clocks differ, by less than what is told, and now and then otherwise."""
    while time.monotonic() < end:
        for node in nodes.all:
            nodes.set_clock(node, random.randint(-240, 240))
        run_for(random.uniform(1, 4))
    for node in nodes.all:
        nodes.set_clock(node, 0)


def slow(nodes, random, end):
    """All that nodes send to each other takes up to 200 ms, a piece at a time."""
    nodes.wires.delay_seconds = 0.2
    calm(nodes, random, end)
    nodes.wires.delay_seconds = 0


def reset(nodes, random, end):
    """All connections between nodes end, again and again."""
    while time.monotonic() < end:
        nodes.wires.reset()
        run_for(random.uniform(0.3, 3))


def wipe(nodes, random, end):
    """A node is killed and its disk lost; a new one takes its place, vote and all."""
    while time.monotonic() < end:
        lost = nodes.all.pop(random.randrange(1, NODES))
        lost.kill9()
        shutil.rmtree(lost.data_dir)
        for node in nodes.all:
            wait_until(lambda n=node: n.states().get(lost.name) in ("dead", None), 60,
                       f"{lost.name} to be dead")
        new = nodes.add("--replace", lost.name)
        wait_until(lambda n=new: n.log_has(("taken the place of another",)), 60,
                   f"{new.name} to take the place of {lost.name}")
        run_for(random.uniform(0.5, 2))


FAULTS = {"calm": calm, "one apart": cut_for_a_while(one_apart), "halves": cut_for_a_while(halves),
          "one way": cut_for_a_while(one_way), "ring": cut_for_a_while(ring),
          "kill": gone_for_a_while(Node.kill9, "kill -9, and a start a little later."),
          "pause": pause, "clock bump": clock_bump, "clock skew": clock_skew, "slow": slow,
          "reset": reset, "wipe": wipe,
          "leave": gone_for_a_while(Node.stop, "A node stops in order, and comes back.")}
# What a node alone had acknowledged goes with its disk, and a deadline is of the clock that made it.
NOT_PROMISED = {"wipe": {"delete", "counter", "watch"}, "clock bump": {"ttl"}}


def run(name, seconds, seed, only):
    """{workload: cell} of one fault."""
    random = Random(f"{name}-{seed}")
    nodes = Nodes()
    cells = {}
    try:
        started = []
        for kind in workloads.ALL:
            if (not only or kind.name in only) and kind.name not in NOT_PROMISED.get(name, ()):
                started.append(kind(nodes.all, f"{name}-{seed}"))
        for workload in started:
            workload.start()
        FAULTS[name](nodes, random, time.monotonic() + seconds)
        healed = time.monotonic()
        for workload in started:
            workload.stop()
        nodes.wait_whole()
        whole_seconds = time.monotonic() - healed
        nodes.wait_same()
        same_seconds = time.monotonic() - healed
        for workload in started:
            wrong = workload.check(nodes.all) or (None if workload.done else "nothing was done")
            cells[workload.name] = {"done": workload.done, "unknown": workload.unknown,
                                    "wrong": wrong}
        found = [node.name for node in nodes.wires.nodes if node.log_has(SANITIZER_WORDS)]
        if found:
            raise AssertionError(f"a sanitizer found something in {found}")
        return {"cells": cells, "whole_seconds": whole_seconds, "same_seconds": same_seconds}
    except BaseException:
        for node in nodes.wires.nodes:
            if node.log_path.exists():
                print(node.log_tail(), file=sys.stderr)
        raise
    finally:
        nodes.close()


def table(results):
    names = [kind.name for kind in workloads.ALL]
    yield "| fault | " + " | ".join(names) + " | whole, same after |"
    yield "|" + "---|" * (len(names) + 2)
    for fault, result in results.items():
        cells = []
        for name in names:
            cell = result["cells"].get(name)
            cells.append("-" if cell is None else f"**{cell['wrong']}**" if cell["wrong"] else
                         f"{cell['done']:,}")
        yield (f"| {fault} | " + " | ".join(cells) +
               f" | {result['whole_seconds']:.1f} s, {result['same_seconds']:.1f} s |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=45, help="of each fault (default 45)")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="this one; repeat for more")
    parser.add_argument("--workload", action="append", choices=[k.name for k in workloads.ALL],
                        help="this one; repeat for more")
    parser.add_argument("--seed", default="1", help="what is drawn by (default 1)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--markdown", action="store_true", help="print the table of the README")
    arguments = parser.parse_args()
    if not os.access(BINARY, os.X_OK):
        parser.error(f"DHRT_BINARY is '{BINARY}'; set it to the dhrt program, e.g. build/dev/dhrt")
    if not os.path.exists(SHIM):
        parser.error(f"CLOCK_SHIM is '{SHIM}', which is no shim; clocks cannot be set without")
    results = {}
    failed = []
    for name in arguments.fault or FAULTS:
        try:
            result = run(name, arguments.seconds, arguments.seed, arguments.workload)
        except AssertionError as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
            continue
        results[name] = result
        told = ", ".join(f"{w} {c['wrong'] or c['done']}" for w, c in result["cells"].items())
        print(f"{name}: {told}; whole after {result['whole_seconds']:.1f} s, the same after "
              f"{result['same_seconds']:.1f} s", file=sys.stderr, flush=True)
    cells = [cell for result in results.values() for cell in result["cells"].values()]
    wrong = sum(cell["wrong"] is not None for cell in cells)
    if arguments.json:
        print(json.dumps(results))
    elif arguments.markdown:
        print("\n".join(table(results)))
    print(f"{len(cells)} cells, {wrong} of them wrong; nodes did not come together after: "
          f"{', '.join(failed) or 'nothing'}", file=sys.stderr)
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
