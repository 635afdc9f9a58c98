"""memory_stats: how many nodes there are, and what memory they take."""

from __future__ import annotations

from typing import NamedTuple

from pygrad._lib import ffi, lib


class MemoryStats(NamedTuple):
    """What the arena holds; see `memory_stats`.

    Examples
    --------
    >>> memory_stats()._fields[:4]
    ('live_nodes', 'peak_live_nodes', 'blocks', 'peak_blocks')
    """

    live_nodes: int
    peak_live_nodes: int
    blocks: int
    peak_blocks: int
    reserved_bytes: int
    committed_bytes: int


def memory_stats() -> MemoryStats:
    """Return what the arena of nodes holds, for the whole process.

    Returns
    -------
    live_nodes, peak_live_nodes
        the nodes now, and the most there have been
    blocks, peak_blocks
        the same of blocks, which have room for 256 nodes each
    reserved_bytes
        address space
    committed_bytes
        memory; the system provides a page of it when it is first used

    Examples
    --------
    >>> from pygrad import Value
    >>> before = memory_stats().live_nodes
    >>> v = Value(1.0) + Value(2.0)
    >>> memory_stats().live_nodes - before
    3
    """
    stats = ffi.new("pg_memory *")
    lib.pg_memory_stats(stats)
    return MemoryStats(*(getattr(stats, name) for name in MemoryStats._fields))
