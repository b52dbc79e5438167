"""Servers that tests/bench/compare starts, measures and ends: dhrt, dhrt clusters, Redis.

Each has a temporary directory of its own, listens on loopback, and is ended by its process id.
CPU time is that of all threads of all its processes, from /proc/PID/stat: user and system, in
ticks of 10 ms, which is 1 % of a round that keeps a core busy for a second.
"""

import os
import pathlib
import re
import socket
import subprocess
import time

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
START_SECONDS = 20
STOP_SECONDS = 30


class ServerError(Exception):
    """A server does not start, answer or end; the message says which and why."""


def ask(port, line):
    """One line, one reply of one line, without its type byte and line end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(line.encode() + b"\r\n")
        reply = connection.makefile("rb").readline().decode(errors="replace").rstrip()
    if not reply or reply.startswith("-"):
        raise ServerError(f"'{line}' on port {port} was answered by '{reply}'")
    return reply[1:]


class Process:
    """One server process and its log."""

    def __init__(self, arguments, log):
        self.log = pathlib.Path(log)
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    def pause(self):
        """Lets a moment pass between two looks; the process ending meanwhile is an error."""
        try:
            code = self.process.wait(0.02)
        except subprocess.TimeoutExpired:
            return
        raise ServerError(f"the process ended with code {code}")

    def wait_until(self, condition, what):
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise ServerError(f"{what}: not within {START_SECONDS} s")
            self.pause()

    def cpu_seconds(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat[stat.rindex(")") + 2:].split()  # The name may contain anything.
        return (int(fields[11]) + int(fields[12])) * TICK_SECONDS

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def describe_log(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])


class Server:
    """One or several processes that keep one set of data; clients talk to the first."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.processes = []
        self.ports = []

    def start(self):
        try:
            self.launch()
        except (ServerError, OSError) as error:
            logs = "\n".join(process.describe_log() for process in self.processes)
            self.stop()
            raise ServerError(f"{self.name} does not start: {error}\n{logs}") from error

    def stop(self):
        for process in self.processes:
            process.stop()

    def cpu_seconds(self):
        return sum(process.cpu_seconds() for process in self.processes)

    def settle(self):
        """Waits for work that goes on after the replies: it belongs to the round."""
        last, quiet_since = self.cpu_seconds(), time.monotonic()
        deadline = quiet_since + 10
        while time.monotonic() < min(quiet_since + 0.1, deadline):
            self.processes[0].pause()
            now = self.cpu_seconds()
            if now != last:
                last, quiet_since = now, time.monotonic()

    def key_counts(self):
        """Of every process, so that a replica which misses something is noticed."""
        return [int(ask(port, self.count_command)) for port in self.ports]


class Dhrt(Server):
    """`nodes` nodes; with `memory` nothing is kept on disk, else replies follow the sync."""

    count_command = "count"
    flush_command = "flush default"

    def __init__(self, name, directory, binary, memory=False, nodes=1):
        super().__init__(name, directory)
        self.binary, self.memory, self.nodes = binary, memory, nodes

    def launch(self):
        for index in range(self.nodes):
            folder = self.directory / f"node-{index + 1}"
            arguments = [self.binary, "start", "--bind", "127.0.0.1:0", "--name", folder.name,
                         "--data-dir", str(folder)]
            if self.memory:
                arguments.append("--memory")
            if index > 0:
                arguments += ["--join", f"127.0.0.1:{self.ports[0]}"]
            process = Process(arguments, self.directory / f"node-{index + 1}.log")
            self.processes.append(process)
            process.wait_until(lambda: self.port_of(process), "to listen")
            self.ports.append(self.port_of(process))

    @staticmethod
    def port_of(process):
        found = re.search(r"listening on\s+\S*:(\d+)", process.log.read_text(errors="replace"))
        return int(found.group(1)) if found else None


class Redis(Server):
    """A Redis server in memory, or with `fsync` (always, everysec) an append-only file."""

    count_command = "DBSIZE"
    flush_command = "FLUSHALL"

    def __init__(self, name, directory, fsync=None, replicas=0):
        super().__init__(name, directory)
        self.fsync, self.replicas = fsync, replicas

    def launch(self):
        for index in range(1 + self.replicas):
            folder = self.directory / f"redis-{index + 1}"
            folder.mkdir()
            # Redis cannot choose a port; another program may take ours first, so try again.
            for attempt in range(3):
                port = free_port()
                process = Process(self.arguments(folder, port), folder / "log")
                try:
                    process.wait_until(lambda: self.is_up(port), "to listen")
                    break
                except ServerError:
                    process.stop()
                    if attempt == 2:
                        raise
            self.processes.append(process)
            self.ports.append(port)
        for process, port in list(zip(self.processes, self.ports))[1:]:
            process.wait_until(lambda: "master_link_status:up" in self.info(port), "replication")

    def arguments(self, folder, port):
        arguments = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                     "--dir", str(folder), "--appendonly", "yes" if self.fsync else "no",
                     # A rewrite in the middle of a round would be measured, or not, by chance.
                     "--auto-aof-rewrite-percentage", "0", "--repl-diskless-sync-delay", "0"]
        if self.fsync:
            arguments += ["--appendfsync", self.fsync]
        if self.ports:
            arguments += ["--replicaof", "127.0.0.1", str(self.ports[0])]
        return arguments

    @staticmethod
    def is_up(port):
        try:
            return ask(port, "PING") == "PONG"
        except OSError:
            return False

    @staticmethod
    def info(port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"INFO replication\r\nQUIT\r\n")
            return connection.makefile("rb").read().decode(errors="replace")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
