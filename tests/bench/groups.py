"""The groups of servers that tests/bench/compare measures in turn, and what dhrt is to reach.

The figures come from the design (storage/README.md says where): ratios to a peer which promises
the same, and to a server that does nothing. A group with `cold` reads more than the cache holds.
"""

import collections
import json
import pathlib
import statistics
import subprocess

from servers import Dhrt, Floor, Memcached, Nginx, Redis
from targets import cheaper, faster, gains, verdict

# servers: functions from a directory to a Server; the first is the one in question, the second the
# one that the ratios of the table name.
Group = collections.namedtuple("Group", "title command servers targets pipelines findings",
                               defaults=((), None, None))

AT_ONE = {1: 0.85}  # The kernel has most of the CPU there: as good as throughput.
FLOOR = {1: 1.15, 64: 2.0}
RESP = "dhrt --memory, RESP"  # The same bytes as Redis is sent.


class Makers:
    """Functions that make the servers, by name."""

    def __init__(self, arguments):
        self.arguments = arguments

    def dhrt(self, name, flags=None, **options):
        return lambda at: Dhrt(name, at, str(self.arguments.binary), flags, **options)

    def memory(self, name="dhrt --memory", flags=None, **options):
        return self.dhrt(name, {"--memory": None} | (flags or {}), **options)

    def keyed(self, name, flags=None, **options):
        def make(at):
            at = pathlib.Path(at)
            at.mkdir(exist_ok=True)
            key = at / "cluster.key"
            key.write_text("0123456789abcdef" * 4)
            return self.dhrt(name, (flags or {}) | {"--cluster-key-file": key}, **options)(at)
        return make

    def redis(self, name="redis", **options):
        return lambda at: Redis(name, at, dialect=self.arguments.redis_dialect, **options)

    def memcached(self):
        return lambda at: Memcached("memcached -t 1", at)

    def floor(self, command, name="floor", **options):
        size = self.arguments.value_bytes if command == "get" else 0
        return lambda at: Floor(name, at, str(self.arguments.floor), size, **options)

    def nginx(self):
        return lambda at: Nginx("nginx, constant", at, self.arguments.value_bytes)


def durable_groups(make):
    peers = {"sync": ("always", {1: 1.0, 16: 1.7, 64: 4}),
             "interval": ("everysec", {1: 1.1, 16: 2.5, 64: 3.3}),
             "none": ("no", {})}
    for durability, (fsync, limits) in peers.items():
        name, peer = f"dhrt {durability}", f"redis {fsync}"
        yield Group(f"SET, {durability}, beside appendfsync {fsync}", "set",
                    [make.dhrt(name, {"--durability": durability}), make.redis(peer, fsync=fsync)],
                    [faster(name, peer, limits, disk=durability == "sync")])


def memory_groups(make):
    limits = {1: 1.1, 16: 2.5, 64: 4}
    for command in ("set", "get"):
        yield Group(f"{command.upper()}, in memory", command,
                    [make.memory(), make.redis(), make.memory(RESP, dialect="resp"),
                     make.memcached(), make.floor(command)],
                    [faster("dhrt --memory", "redis", limits, AT_ONE),
                     cheaper("dhrt --memory", "floor", FLOOR),
                     cheaper(RESP, "dhrt --memory", {1: 1.05, 16: 1.1, 64: 1.1}),
                     cheaper(RESP, "redis", {1: 0.85, 16: 0.7, 64: 0.6})])


def hot_groups(make):
    yield Group("GET, hot keys of files", "get", [make.dhrt("dhrt"), make.redis(),
                                                  make.floor("get")],
                [faster("dhrt", "redis", {1: 1.1, 16: 2.5, 64: 3.5}, AT_ONE),
                 cheaper("dhrt", "floor", FLOOR)])


def http_groups(make):
    yield Group("HTTP GET, keep-alive", "get",
                [make.memory(dialect="http"), make.nginx()],
                [cheaper("dhrt --memory", "nginx, constant", {1: 0.9})], [1])


def loop_groups(make):
    """Apart, on one core: what several loops cost. Beside the client: what they bring, too."""
    names = {count: f"dhrt --cpu-num {count}" for count in (2, 1, 4)}
    limits = dict.fromkeys((1, 16, 64), 1.15)
    for command in ("set", "get"):
        servers = [make.memory(name, {"--cpu-num": count}, apart=True)
                   for count, name in names.items()]
        servers += [make.floor(command, f"floor, threads: {count}", threads=count, apart=True)
                    for count in (1, 2)]
        yield Group(f"{command.upper()}, loops, apart, in memory", command, servers,
                    [cheaper(names[count], names[1], limits) for count in (2, 4)])
        # A SET at depth 64 costs the client a fifth of what it costs the server: most of the
        # client's core is free for a second loop.
        more = [gains(names[2], names[1], {64: 1.2})] if command == "set" else []
        yield Group(f"{command.upper()}, loops, beside the client, in memory", command,
                    [make.memory(names[count], {"--cpu-num": count}) for count in (2, 1)],
                    [cheaper(names[2], names[1], limits), *more])


def cluster_groups(make):
    limits = {16: 0.4}
    yield Group("SET, cluster, durable", "set",
                [make.dhrt("dhrt, 3 nodes", {"--durability": "sync"}, nodes=3),
                 make.redis("redis 1+2, always", fsync="always", replicas=2)],
                [cheaper("dhrt, 3 nodes", "redis 1+2, always", limits)])
    yield Group("SET, cluster, in memory", "set",
                [make.memory("dhrt --memory, 3 nodes", nodes=3),
                 make.redis("redis 1+2", replicas=2)],
                [cheaper("dhrt --memory, 3 nodes", "redis 1+2", limits)])
    yield Group("SET, cluster with a key, in memory", "set",
                [make.keyed("dhrt, 3 nodes, key", {"--memory": None}, nodes=3),
                 make.memory("dhrt --memory, 3 nodes", nodes=3)],
                [cheaper("dhrt, 3 nodes, key", "dhrt --memory, 3 nodes", {16: 1.1, 64: 1.1})])


def raw_get_microseconds(arguments):
    """What one random get costs in LMDB itself, in this process's file cache."""
    done = subprocess.run([str(arguments.storage), "--only", "raw-lmdb-get", "--json",
                           "--records", str(arguments.keyspace)],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["groups"][0]["rows"][0]["value"]


def cold_groups(make):
    arguments = make.arguments
    record_bytes = arguments.value_bytes + 16 + 50  # With the header and what the slab rounds up.
    # The least that a node takes is a megabyte: with few keys all of them are cached.
    cache_bytes = max(arguments.keyspace * record_bytes // 4, 1 << 20)
    # What is not in the files yet is in memory: it must get there before the first GET.
    soon = {"--checkpoint-age": "1s", "--checkpoint-bytes": "1mb"}

    def findings(pipeline, measured):
        hot, cold = measured.get("dhrt, all cached"), measured.get("dhrt, 1/4 cached")
        if not hot or not cold:
            return [verdict("cold GET / raw LMDB", None, 0.8, at_most=False)]
        raw = raw_get_microseconds(arguments)
        pairs = [(one["cpu_us"] + raw) / other["cpu_us"] for one, other in zip(hot, cold)]
        return [verdict("(hot GET + raw LMDB get) / cold GET, CPU", statistics.median(pairs), 0.8,
                        at_most=False)]

    yield Group("GET, cold: data four times the cache", "get",
                [make.dhrt("dhrt, 1/4 cached", {"--cache-bytes": f"{cache_bytes}b"} | soon),
                 make.dhrt("dhrt, all cached", {"--cache-bytes": f"{cache_bytes * 16}b"} | soon)],
                [], [16, 64], findings)
    # What was set becomes cold again only when a checkpoint has it: small ones, and often. Their
    # CPU time is in the rows, for both.
    often = {"--checkpoint-age": "1s", "--checkpoint-bytes": "32mb", "--durability": "interval"}
    yield Group("SET, cold: data four times the cache", "set",
                [make.dhrt("dhrt, 1/4 cached", {"--cache-bytes": f"{cache_bytes}b"} | often),
                 make.dhrt("dhrt, all cached", {"--cache-bytes": f"{cache_bytes * 16}b"} | often)],
                [], [16, 64])


def groups_of(arguments):
    make = Makers(arguments)
    parts = [durable_groups, memory_groups, hot_groups, http_groups, loop_groups]
    parts += [cluster_groups] if arguments.cluster else []
    parts += [cold_groups] if arguments.cold else []
    groups = [group for part in parts for group in part(make)]
    wanted = (arguments.only or "").lower()
    return [group for group in groups if wanted in group.title.lower()]
