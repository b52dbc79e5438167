"""Whether what clients saw of one key could have come from one copy of it.

A set and the gets that saw it stand side by side in any order that explains them all: between the
first that ended and the last that began the register had this value, or they all overlap.
tests/simulator/registers.h explains it, and names the source.
"""

import dataclasses
import math


@dataclasses.dataclass
class Operation:
    sets: bool
    value: object  # None: nothing. Every other value is set once.
    begin: float
    end: float = None  # None: the client never learned what came of it.


class _Zone:
    """One value: the set, if there was one, and the gets that saw it."""

    def __init__(self):
        self.operations = []
        self.set_begin = None
        self.first_end = math.inf
        self.last_begin = -math.inf
        self.seen = False

    def add(self, operation):
        self.operations.append(operation)
        if operation.sets:
            self.set_begin = operation.begin
        self.last_begin = max(self.last_begin, operation.begin)
        if operation.end is not None:
            self.first_end = min(self.first_end, operation.end)
            self.seen = True

    def is_forward(self):
        return self.first_end < self.last_begin

    def excludes(self, other):
        begin, end = sorted((other.first_end, other.last_begin))
        if other.is_forward():
            return self.first_end < end and begin < self.last_begin
        return self.first_end < begin and end < self.last_begin


def explain(operations):
    """None if the history is linearizable; otherwise the operations that contradict each other."""
    zones = {None: _Zone()}
    zones[None].set_begin = zones[None].first_end = -math.inf  # Before all else there was nothing.
    for operation in operations:
        # A get that was not answered says nothing.
        if operation.sets or operation.end is not None:
            zones.setdefault(operation.value, _Zone()).add(operation)
    seen = [zone for zone in zones.values() if zone.seen]
    for zone in seen:
        if zone.set_begin is None or zone.first_end < zone.set_begin:
            return zone.operations
        for other in seen:
            if other is not zone and zone.is_forward() and zone.excludes(other):
                return zone.operations + other.operations
    return None
