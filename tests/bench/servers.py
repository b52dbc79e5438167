"""Servers that the scripts of tests/bench start, measure and end: dhrt, dhrt clusters, Redis,
memcached, nginx, and the floor, which answers without looking.

Each has a temporary directory of its own, listens on loopback, and is ended by its process id.
CPU time is that of all threads of all its processes, user and system, from
/proc/PID/task/TID/schedstat: nanoseconds. Threads that have ended are missing there, but servers
keep theirs.
"""

import functools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

START_SECONDS = 20
QUIET_SECONDS, QUIET_SHARE = 0.1, 0.05  # Of a core: what timers cost goes on for ever.
STOP_SECONDS = 30


class ServerError(Exception):
    """A server does not start, answer or end; the message says which and why."""


class NotMeasured(Exception):
    """A tool or an option is not there; the message says which. Others are measured still."""


def ask(port, line):
    """One line, one reply of one line, without its type byte and line end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(line.encode() + b"\r\n")
        reply = connection.makefile("rb").readline().decode(errors="replace").rstrip()
    if not reply or reply.startswith("-"):
        raise ServerError(f"'{line}' on port {port} was answered by '{reply}'")
    return reply[1:]


def cores_apart():
    """A core for the server and another one for the load generator."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise NotMeasured("a core for the server and one for the client are needed")
    return cores[0], cores[1]


class Process:
    """One server process and its log; on one core alone, if there is one named."""

    def __init__(self, arguments, log, core=None):
        self.log = pathlib.Path(log)
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(pinned + arguments, stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=subprocess.STDOUT)

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
        return sum(int(path.read_text().split()[0]) for path in
                   pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")) / 1e9

    def resident_bytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def describe_log(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])


class Server:
    """One or several processes that keep one set of data; clients talk to the first."""

    dialect = "text"
    keeps_data = True  # Else it gives constant replies, and there is nothing to fill or verify.
    apart = False  # Runs on one core alone, and the load generator on another.

    def __init__(self, name, directory):
        self.name = name
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.processes = []
        self.ports = []

    def start(self):
        try:
            self.launch()
        except (ServerError, OSError) as error:
            logs = self.describe_logs()
            self.stop()
            raise ServerError(f"{self.name} does not start: {error}\n{logs}") from error

    def stop(self, how=signal.SIGTERM):
        for process in self.processes:
            process.stop(how)
        self.processes, self.ports = [], []

    def core(self):
        return cores_apart()[0] if self.apart else None

    def client_core(self):
        return cores_apart()[1] if self.apart else None

    def describe_logs(self):
        return "\n".join(process.describe_log() for process in self.processes)

    def memory_bytes(self):
        """Resident, of all processes."""
        return sum(process.resident_bytes() for process in self.processes)

    def cpu_seconds(self):
        return sum(process.cpu_seconds() for process in self.processes)

    def settle(self):
        """Waits for work that goes on after the replies: it belongs to the round."""
        last, since = self.cpu_seconds(), time.monotonic()
        deadline = since + 10
        while time.monotonic() < deadline:
            self.processes[0].pause()
            if time.monotonic() - since < QUIET_SECONDS:
                continue
            now = self.cpu_seconds()
            if now - last < QUIET_SHARE * (time.monotonic() - since):
                return
            last, since = now, time.monotonic()

    def key_counts(self):
        """Of every process, so that a replica which misses something is noticed."""
        return [int(ask(port, self.count_command)) for port in self.ports]

    def forget_everything(self):
        ask(self.ports[0], self.flush_command)


def require_tool(name):
    if not shutil.which(name):
        raise NotMeasured(f"{name} is not installed; see deploy/install-dependencies --bench")


def serve(make_process, is_up):
    """For programs that cannot choose a port: another may take ours first, so try again."""
    for attempt in range(3):
        port = free_port()
        process = make_process(port)
        try:
            process.wait_until(lambda: is_up(port), "to listen")
            return process, port
        except ServerError:
            process.stop()
            if attempt == 2:
                raise


@functools.lru_cache
def start_flags(binary):
    """The flags that this dhrt knows, e.g. {'--memory', '--durability'}."""
    done = subprocess.run([binary, "start", "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^ +(--[a-z-]+)", done.stdout, re.MULTILINE))


class Dhrt(Server):
    """`nodes` nodes, each started with `flags`: {"--durability": "sync", "--memory": None}."""

    count_command = "count"
    flush_command = "flush default"

    def __init__(self, name, directory, binary, flags=None, nodes=1, dialect="text", apart=False):
        super().__init__(name, directory)
        self.binary, self.flags, self.nodes, self.dialect = binary, dict(flags or {}), nodes, dialect
        self.apart = apart

    def launch(self):
        known = start_flags(self.binary)
        # It was the only durability there was, before there was a flag for it.
        if "--durability" not in known and self.flags.get("--durability") == "sync":
            del self.flags["--durability"]
        unknown = [flag for flag in self.flags if flag not in known]
        if unknown:
            raise NotMeasured(f"this dhrt has no {' '.join(unknown)}")
        for index in range(self.nodes):
            process = self.launch_node(index, 0)
            self.processes.append(process)
            process.wait_until(lambda: self.port_of(process), "to listen")
            self.ports.append(self.port_of(process))

    def launch_node(self, index, port):
        """The first one founds, the others join it. Port 0: any."""
        folder = self.directory / f"node-{index + 1}"
        arguments = [self.binary, "start", "--bind", f"127.0.0.1:{port}", "--name", folder.name,
                     "--data-dir", str(folder)]
        for flag, value in self.flags.items():
            arguments += [flag] if value is None else [flag, str(value)]
        if index > 0:
            arguments += ["--join", f"127.0.0.1:{self.ports[0]}"]
        return Process(arguments, self.directory / f"{folder.name}.log", self.core_of(index))

    def core_of(self, _index):
        return self.core()

    @staticmethod
    def port_of(process):
        found = re.search(r"listening on\s+\S*:(\d+)", process.log.read_text(errors="replace"))
        return int(found.group(1)) if found else None


class Redis(Server):
    """A Redis server in memory, or with `fsync` (always, everysec, no) an append-only file."""

    count_command = "DBSIZE"
    flush_command = "FLUSHALL"

    def __init__(self, name, directory, fsync=None, replicas=0, dialect="resp"):
        super().__init__(name, directory)
        self.fsync, self.replicas, self.dialect = fsync, replicas, dialect

    def launch(self):
        require_tool("redis-server")
        for index in range(1 + self.replicas):
            folder = self.directory / f"redis-{index + 1}"
            folder.mkdir(exist_ok=True)
            process, port = serve(
                lambda port: Process(self.arguments(folder, port), folder / "log"), self.is_up)
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
        except (OSError, ServerError):  # It refuses connections, or loads its data still.
            return False

    @staticmethod
    def info(port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"INFO replication\r\nQUIT\r\n")
            return connection.makefile("rb").read().decode(errors="replace")


class Memcached(Server):
    """One worker thread, as Redis and dhrt have; nothing is evicted."""

    dialect = "memcached"

    def launch(self):
        require_tool("memcached")
        process, port = serve(
            lambda port: Process(["memcached", "-l", "127.0.0.1", "-p", str(port), "-U", "0",
                                  "-t", "1", "-m", "4096", "-M", "-c", "4096", "-u", "nobody"],
                                 self.directory / "log"), accepts)
        self.processes.append(process)
        self.ports.append(port)

    def key_counts(self):
        with socket.create_connection(("127.0.0.1", self.ports[0]), timeout=30) as connection:
            connection.sendall(b"stats\r\nquit\r\n")
            stats = connection.makefile("rb").read().decode(errors="replace")
        return [int(re.search(r"STAT curr_items (\d+)", stats).group(1))]

    def forget_everything(self):
        ask(self.ports[0], "flush_all")


class Floor(Server):
    """dhrt-floor: one constant reply per line, the least that a libuv server can cost."""

    keeps_data = False

    def __init__(self, name, directory, binary, value_bytes, threads=1, apart=False):
        super().__init__(name, directory)
        self.binary, self.value_bytes, self.threads = binary, value_bytes, threads
        self.apart = apart

    def launch(self):
        process = Process([self.binary, "--value-bytes", str(self.value_bytes),
                           "--threads", str(self.threads)], self.directory / "log", self.core())
        self.processes.append(process)
        process.wait_until(lambda: Dhrt.port_of(process), "to listen")
        self.ports.append(Dhrt.port_of(process))


class Nginx(Server):
    """One worker, which answers everything with `value_bytes` constant bytes."""

    dialect = "http"
    keeps_data = False

    def __init__(self, name, directory, value_bytes):
        super().__init__(name, directory)
        self.value_bytes = value_bytes

    def launch(self):
        require_tool("nginx")
        process, port = serve(self.process_on, accepts)
        self.processes.append(process)
        self.ports.append(port)

    def process_on(self, port):
        configuration = self.directory / "nginx.conf"
        temporary = "".join(f"  {name}_temp_path {self.directory}/{name};\n" for name in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        configuration.write_text(
            f"daemon off;\nmaster_process off;\npid {self.directory}/pid;\n"
            f"error_log {self.directory}/error.log;\nevents {{ worker_connections 4096; }}\n"
            f"http {{\n  access_log off;\n  keepalive_requests 1000000000;\n{temporary}"
            f"  server {{\n    listen 127.0.0.1:{port};\n    location / {{\n"
            "      default_type application/octet-stream;\n"
            f"      return 200 \"{'x' * self.value_bytes}\";\n    }}\n  }}\n}}\n")
        return Process(["nginx", "-e", f"{self.directory}/error.log", "-c", str(configuration)],
                       self.directory / "log")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
        return True
    except OSError:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
