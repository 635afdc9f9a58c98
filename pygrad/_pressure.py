"""Tells PyPy's garbage collector how much memory nodes take: it sees an Array of a million nodes as one small object.

CPython frees an Array with the last reference to it, and needs none of this.
"""

from __future__ import annotations

from pygrad._lib import ffi, lib

try:
    from __pypy__ import add_memory_pressure  # type: ignore[import-not-found]
except ImportError:
    add_memory_pressure = None

_BLOCK_BYTES = 256 * lib.PG_NODE_BYTES  # see csrc/graph/arena.h
_STEP = 128  # blocks, 1 MiB: less is not worth a call


class _Pressure:
    """The growth of the arena that the collector was not told of."""

    def __init__(self) -> None:
        self.stats = ffi.new("pg_memory *")
        self.told = 0  # blocks

    def report(self) -> None:
        """Tell the collector of the blocks that are new, so that it looks for garbage earlier."""
        lib.pg_memory_stats(self.stats)
        new = self.stats.blocks - self.told
        if new >= _STEP:
            add_memory_pressure(new * _BLOCK_BYTES)
        if new >= _STEP or new < 0:
            self.told = self.stats.blocks


# To be called where one object takes hold of many nodes; None where no collector must be told.
report = _Pressure().report if add_memory_pressure else None
