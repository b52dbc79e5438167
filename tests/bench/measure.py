"""What the scripts of tests/bench share: their options, the machine, rounds and their checks."""

import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from servers import ServerError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def progress(text):
    print(text, file=sys.stderr, flush=True)


def add_common_options(parser):
    add = parser.add_argument
    add("--binary", default=ROOT / "build/release/dhrt", help="dhrt (default: build/release)")
    add("--load", help="dhrt-load (default: beside dhrt)")
    add("--value-bytes", type=int, default=100, help="default 100")
    add("--dir", help="where servers keep their data (default: the system's temporary folder)")
    add("--json", action="store_true", help="machine-readable result on stdout")
    add("--check-targets", action="store_true", help="exit code 3 when a target is missed")
    add("--redis-dialect", choices=["resp", "inline"], default="resp",
        help="what Redis is asked in: RESP arrays, its fast way and the default, or the same"
             " lines as dhrt")


def finish_common_options(parser, arguments):
    arguments.binary = pathlib.Path(arguments.binary).resolve()
    arguments.load = pathlib.Path(arguments.load or arguments.binary.parent / "dhrt-load").resolve()
    arguments.floor = arguments.load.parent / "dhrt-floor"
    arguments.redis_dialect = "text" if arguments.redis_dialect == "inline" else "resp"
    for path in (arguments.binary, arguments.load, arguments.floor):
        if not os.access(path, os.X_OK):
            parser.error(f"no program {path}; build it (cmake --preset release && cmake --build"
                         " --preset release) or name another by --binary and --load")


# --- The machine.

def last_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().rpartition("\n")[2]


def commit():
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "of no commit"


def sync_milliseconds(directory):
    """What one append and fdatasync costs here: the floor of a durable write."""
    times = []
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        for _ in range(50):
            began = time.perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(times), 3)


def machine_facts(arguments, directory):
    cpu = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
           if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = {"redis": ("redis-server", "--version"), "memcached": ("memcached", "--version"),
                "nginx": ("nginx", "-v")}
    return {
        "cores": os.cpu_count(),
        "cpu": cpu[0] if cpu else platform.machine(),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "file_system": last_line("df", "--output=fstype", str(directory)),
        "sync_ms": sync_milliseconds(directory),
        "dhrt": last_line(str(arguments.binary), "--version"),
        "commit": commit(),
    } | {name: last_line(*command) if shutil.which(command[0]) else None
         for name, command in versions.items()}


def print_facts(facts):
    print(f"machine   {facts['cores']} cores, {facts['cpu']}, {facts['memory_gib']} GiB, "
          f"Linux {facts['kernel']}, load {facts['load_before']} before the run")
    print(f"disk      {facts['file_system']}, append + fdatasync {facts['sync_ms']} ms")
    others = [facts[name] or f"{name} is not installed" for name in ("redis", "memcached", "nginx")]
    print(f"servers   {facts['dhrt']} ({facts['commit']}); {'; '.join(others)}")


# --- Rounds.

class Bench:
    """The runs of a whole comparison, and what went wrong in them."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.failures = []
        self.stamp = 0

    def load(self, server, port_index=0, **flags):
        """Runs dhrt-load; its measurement, or what it complained about."""
        flags = {"dialect": server.dialect, "keyspace": self.arguments.keyspace,
                 "value_bytes": self.arguments.value_bytes,
                 "values": "own" if server.keeps_data else "any"} | flags
        command = [str(self.arguments.load), "--json", "--port", str(server.ports[port_index])]
        if server.apart:
            flags["pin"] = server.client_core()
        for flag, value in flags.items():
            command += ["--" + flag.replace("_", "-"), str(value)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            measured = json.loads(done.stdout)
        except ValueError:
            raise ServerError(f"{done.stderr.strip() or f'dhrt-load ended with {done.returncode}'}"
                              ) from None
        if measured["operations"] == 0:
            raise ServerError("a round without a single reply")
        return measured

    def fail(self, where, what):
        self.failures.append(f"{where}: {what}")
        progress(f"FAIL {where}: {what}")

    def judge(self, where, measured):
        for kind in ("errors", "wrong", "misses"):
            if measured[kind]:
                self.fail(where, f"{measured[kind]} {kind} in {measured['operations']} operations"
                                 f" {measured['first_error']}".rstrip())

    def fill(self, server):
        if not server.keeps_data:
            return
        dialect = "text" if server.dialect == "http" else server.dialect
        measured = self.load(server, dialect=dialect, command="set", order="sequential",
                             connections=10, pipeline=64, operations=self.arguments.keyspace)
        self.judge(f"{server.name}, fill", measured)
        server.settle()

    def round(self, where, server, command, pipeline, **more):
        self.stamp += 1
        flags = {"command": command, "pipeline": pipeline, "seed": self.stamp,
                 "connections": self.arguments.connections} | more
        if command == "set":
            flags["stamp"] = self.stamp
        if self.arguments.operations:
            flags["operations"] = self.arguments.operations
        else:
            flags["duration"] = f"{round(self.arguments.seconds * 1000)}ms"
        before = server.cpu_seconds()
        measured = self.load(server, **flags)
        server.settle()
        measured["cpu_us"] = (server.cpu_seconds() - before) * 1e6 / measured["operations"]
        self.judge(where, measured)
        if server.keeps_data:
            self.sabotage(server)
            self.verify(where, server, command, measured["operations"])
        return measured

    def verify(self, where, server, command, operations):
        expected = self.arguments.keyspace
        deadline = time.monotonic() + 10  # For replicas, which may lag.
        while any(count != expected for count in server.key_counts()):
            if time.monotonic() > deadline or len(server.ports) == 1:
                counts = ", ".join(map(str, server.key_counts()))
                self.fail(where, f"the server has {counts} keys, expected {expected}")
                break
            server.processes[0].pause()
        if command != "set":
            return
        # The same seed asks for the same keys: these were certainly written by this round. The
        # last node or replica is asked, which did not take the writes itself.
        sample = self.load(server, -1, command="get", seed=self.stamp, stamp=self.stamp,
                           pipeline=16, operations=min(operations, 2000), connections=5)
        self.judge(f"{where}, reading back", sample)

    def sabotage(self, server):
        if self.arguments.sabotage == "keys":
            server.forget_everything()
        elif self.arguments.sabotage == "writes":
            self.fill(server)


def medians(rounds, fields):
    return {field: round(statistics.median(one[field] for one in rounds), 4) for field in fields}


# --- The end of a script.

def stop_by_exception(signal_number, _frame):
    raise SystemExit(128 + signal_number)  # So that `finally` ends the servers.


def run(arguments, work):
    """Runs `work(bench, directory, facts)` -> groups; returns (facts, groups, bench)."""
    signal.signal(signal.SIGTERM, stop_by_exception)
    bench = Bench(arguments)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="dhrt-bench-", dir=arguments.dir))
    try:
        directory.chmod(0o755)  # memcached gives up being root.
        facts = machine_facts(arguments, directory)
        if facts["file_system"] == "tmpfs":
            progress(f"{directory} is in memory: durable writes cost nothing there; see --dir")
        if not arguments.json:
            print_facts(facts)
        groups = work(bench, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return finish(arguments, bench, facts, groups)


def finish(arguments, bench, facts, groups):
    verdicts = [found for group in groups for row in group["rows"]
                for found in row.get("targets", [])]
    missed = [found for found in verdicts if not found["met"]]
    if arguments.json:
        settings = {name: getattr(arguments, name) for name in
                    ("connections", "keyspace", "value_bytes", "redis_dialect")}
        print(json.dumps({"machine": facts, **settings, "groups": groups,
                          "failures": bench.failures}, indent=2))
    else:
        print(f"\n{len(verdicts) - len(missed)} of {len(verdicts)} targets are met.")
        if bench.failures:
            print(f"{len(bench.failures)} checks failed; the first: {bench.failures[0]}")
        else:
            print("Every round was verified.")
    if bench.failures:
        return 1
    return 3 if missed and arguments.check_targets else 0
