"""memory_stats(), and Values without a node."""

import gc

import pygrad
from pygrad import Value


def test_memory_stats_counts_nodes(no_leak):
    before = pygrad.memory_stats()
    v = Value(1) + 2
    after = pygrad.memory_stats()
    assert after.live_nodes - before.live_nodes == 3
    assert after.peak_live_nodes >= after.live_nodes
    assert after.peak_blocks >= after.blocks >= 1
    assert after.reserved_bytes >= after.committed_bytes > 0
    assert v.data == 3


def test_a_value_without_a_node_does_no_harm(no_leak):
    v = Value.__new__(Value)
    w = Value(1)
    gc.collect()  # moves w to the oldest generation, which the lookup must search, too
    assert (w * 2)._prev >= {w}
    del v
