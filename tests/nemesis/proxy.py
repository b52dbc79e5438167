"""Somebody in the middle of the links between nodes, who knows what a frame is.

A proxy stands before one node, which tells the others the proxy's address as its own. While it is
bad it spoils some of the frames that pass, in either direction; otherwise it hands on what comes.
"""

import socket
import struct
import threading
from random import Random

PREFACE_BYTES = 7
HEAD = struct.Struct("<HBBHIIQ")
MAC_BYTES = 16
KEPT_FRAMES = 50


class Kept:
    """Frames that passed by some link, to be thrown into others."""

    def __init__(self):
        self.frames = []
        self._lock = threading.Lock()

    def keep(self, frame):
        with self._lock:
            self.frames = [*self.frames[-KEPT_FRAMES:], frame]

    def any(self, random):
        with self._lock:
            return random.choice(self.frames) if self.frames else b""


def flip(random, frame, _link):
    spoilt = bytearray(frame)
    bit = random.randrange(len(spoilt) * 8)
    spoilt[bit // 8] ^= 1 << bit % 8
    return [bytes(spoilt)]


def repeat(_random, frame, _link):
    return [frame, frame]


def drop(_random, _frame, _link):
    return []


def swap(_random, frame, link):
    link.held.append(frame)
    return []


def cut(random, frame, link):
    link.ends = True
    return [frame[:random.randrange(len(frame))]]


def splice(random, frame, link):
    return [frame, link.proxy.kept.any(random)]


def replay(random, frame, link):
    return [frame, random.choice(link.passed)]


FAULTS = (flip, repeat, drop, swap, cut, splice, replay)


class Link:
    """One direction of a connection."""

    def __init__(self, proxy, source, target, skipped, random):
        self.proxy = proxy
        self.source, self.target = source, target
        self.skipped = skipped  # Bytes in front that are no frame.
        self.random = random
        self.held = []
        self.passed = []
        self.ends = False

    def run(self):
        buffer = b""
        try:
            while not self.ends and (piece := self.source.recv(1 << 16)):
                self.proxy.saw(piece)
                buffer = self.forward(buffer + piece)
        except OSError:
            pass
        for end in (self.source, self.target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def forward(self, buffer):
        if not self.proxy.knows_frames:
            self.target.sendall(buffer)
            return b""
        out = buffer[:self.skipped]
        buffer = buffer[self.skipped:]
        self.skipped -= len(out)
        while not self.ends and len(buffer) >= HEAD.size:
            size = HEAD.size + HEAD.unpack(buffer[:HEAD.size])[4] + MAC_BYTES
            if len(buffer) < size:
                break
            out += b"".join(self.through(buffer[:size]))
            buffer = buffer[size:]
        self.target.sendall(out)
        return buffer

    def through(self, frame):
        self.passed = [*self.passed[-KEPT_FRAMES:], frame]
        self.proxy.kept.keep(frame)
        frames = [frame]
        if self.proxy.is_bad and self.random.random() < self.proxy.share:
            # The one that was rarest so far: none is left out.
            fault = min(FAULTS, key=lambda one: (self.proxy.faults[one.__name__],
                                                 self.random.random()))
            self.proxy.faults[fault.__name__] += 1
            frames = fault(self.random, frame, self)
        elif self.held:
            frames += self.held
            self.held = []
        return frames


class Proxy:
    """Hands on to `target`, a function that gives the address; `share` of the frames are spoilt.

    Without `knows_frames` what passes may be anything, and is never spoilt.
    """

    def __init__(self, target, random, kept, share=0.05, knows_frames=True):
        self.target = target
        self.random = random
        self.kept = kept
        self.share = share
        self.knows_frames = knows_frames
        self.is_bad = False
        self.faults = {fault.__name__: 0 for fault in FAULTS}
        self.watched = None  # Bytes to look for.
        self.has_seen = False
        self.bytes_seen = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self._sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def saw(self, piece):
        self.bytes_seen += len(piece)
        if self.watched and self.watched in piece:
            self.has_seen = True

    def close(self):
        for one in (self.listener, *self._sockets):
            one.close()

    def _accept(self):
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            try:
                called = socket.create_connection(self.target(), timeout=10)
            except OSError:
                caller.close()
                continue
            for one in (caller, called):
                one.settimeout(None)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets += [caller, called]
            for link in (Link(self, caller, called, PREFACE_BYTES, Random(self.random.random())),
                         Link(self, called, caller, 0, Random(self.random.random()))):
                threading.Thread(target=link.run, daemon=True).start()
