"""The connections between nodes, through relays that can be held up pair by pair.

A node is told to others by the address of its relay. A relay finds out which node calls by the
caller's port (/proc), so that every pair, and every direction of one, can be cut on its own. What
is cut is held, as by a network that loses packets: connections stay, and go on when it heals.
"""

import os
import random
import socket
import threading
import types

from harness import Node, run_for

PIECE_BYTES = 1 << 16


def owner_of(port, pids):
    """The process of `pids` that has a connection from this port on loopback; None: nobody."""
    wanted = f"0100007F:{port:04X}"
    inodes = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for row in table:
            words = row.split()
            if words[1] == wanted:
                inodes.add(f"socket:[{words[9]}]")
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        try:
            for name in os.listdir(folder):
                try:
                    if os.readlink(f"{folder}/{name}") in inodes:
                        return pid
                except OSError:
                    pass
        except OSError:
            pass
    return None


class Wires:
    """All relays of a cluster. Nodes are named by their index."""

    def __init__(self):
        self.nodes = []
        self.changed = threading.Condition()
        self.cut_pairs = set()
        self.delay_seconds = 0  # Of every piece, at most; drawn anew for each.
        self.ends = set()       # Of all connections that are open.
        self.closed = False
        self.listeners = []

    def node(self, name, folder, flags):
        """A node behind a relay; start() it with seed_of(another one)."""
        listener = socket.create_server(("127.0.0.1", 0))
        advertised = "127.0.0.1:%d" % listener.getsockname()[1]
        made = Node(name, folder, [*flags, "--advertise", advertised])
        index = len(self.nodes)
        self.nodes.append(made)
        self.listeners.append(listener)
        threading.Thread(target=self._accept, args=(index, listener), daemon=True).start()
        return made

    def seed_of(self, node):
        """What a joiner calls: the relay of that node."""
        return types.SimpleNamespace(
            address=self.listeners[self.nodes.index(node)].getsockname())

    def cut(self, pairs):
        """From now on nothing passes from the first to the second of each pair."""
        with self.changed:
            self.cut_pairs = set(pairs)
            self.changed.notify_all()

    def heal(self):
        self.cut(())

    def reset(self):
        """Every connection ends, in the middle of whatever it carries."""
        with self.changed:
            ends = list(self.ends)
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        for listener in self.listeners:
            listener.close()

    def _accept(self, index, listener):
        while True:
            try:
                caller, (_, port) = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(index, caller, port), daemon=True).start()

    def _connect(self, index, caller, port):
        pids = {node.pid: i for i, node in enumerate(self.nodes) if node.alive()}
        source = pids.get(owner_of(port, pids))
        try:
            called = socket.create_connection(self.nodes[index].address)
        except OSError:
            caller.close()
            return
        with self.changed:
            self.ends |= {caller, called}
        for pair, reader, writer in (((source, index), caller, called),
                                     ((index, source), called, caller)):
            threading.Thread(target=self._relay, args=(pair, reader, writer), daemon=True).start()

    def _relay(self, pair, reader, writer):
        try:
            while piece := reader.recv(PIECE_BYTES):
                with self.changed:
                    self.changed.wait_for(lambda: self.closed or pair not in self.cut_pairs)
                if self.delay_seconds:
                    run_for(random.uniform(0, self.delay_seconds))
                writer.sendall(piece)
        except OSError:
            pass
        with self.changed:
            self.ends -= {reader, writer}
        for end in (reader, writer):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
