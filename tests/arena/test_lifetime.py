"""The arena: lifetime of nodes, deep graphs, order under reuse, and memory returned to the system."""

import gc
import platform
import random
import sys

import numpy as np
import pytest

import pygrad
from pygrad import MLP, Value, reference
from pygrad._lib import ffi, lib
from support import frees_at_once, live_nodes, on_limited_memory
from support.effort import long


@frees_at_once
def test_memory_is_freed_with_the_last_reference():
    gc.disable()
    try:
        before = pygrad.memory_stats().live_nodes
        v = Value(1)
        for _ in range(1000):
            v = (v * 2 + 1).tanh()
        assert pygrad.memory_stats().live_nodes == before + 1 + 1000 * 5
        del v
        assert pygrad.memory_stats().live_nodes == before
    finally:
        gc.enable()


# In a process of its own: an arena does not shrink, and the check after each test goes through all of it.
@frees_at_once
def test_backward_and_freeing_handle_a_chain_of_ten_million_nodes(python):
    python(
        """
import pygrad

x = pygrad.Value(1.5)
y = x
for _ in range(10_000_000):
    y = y.relu()
y.backward()
assert x.grad == 1
del y
assert pygrad.memory_stats().live_nodes == 1
"""
    )


@long
def test_a_million_custom_ops_leak_no_node():
    x = Value(0.5)
    before = live_nodes()
    most = 0
    for i in range(1_000_000):
        out = Value(x.data * 2, (x,), "double")

        def _backward(out=out):
            x.grad += 2 * out.grad

        out._backward = _backward
        if i % 100_000 == 0:
            (out + 1).backward()
            most = max(most, pygrad.memory_stats().live_nodes)
    del out, _backward
    assert live_nodes() == before
    assert x.grad == 20
    if platform.python_implementation() == "CPython":
        assert most < before + 10_000


def test_a_long_chain_of_custom_ops_is_freed():
    before = live_nodes()
    x = v = Value(1.0)
    for _ in range(100_000):
        out = Value(v.data, (v,), "same")

        def _backward(v=v, out=out):
            v.grad += out.grad

        out._backward = _backward
        v = out + 0
    v.backward()
    assert x.grad == 1
    del v, out, x, _backward
    assert live_nodes() == before


def test_a_million_training_temporaries_leak_no_node():
    random.seed(1)
    model = MLP(2, [8, 1])
    xs = [(random.random(), random.random()) for _ in range(10)]
    before = live_nodes()
    made = 0
    while made < 1_000_000:
        loss = sum((model(x) - x[0] * x[1]) ** 2 for x in xs)
        made += pygrad.memory_stats().live_nodes - before
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.01 * p.grad
        del loss
    assert live_nodes() == before
    assert pygrad.memory_stats().blocks < 1000


def test_order_survives_reuse_of_blocks():
    """Graphs of random lifetimes free and reuse blocks; each pass is compared with the reference."""
    rng = random.Random(7)
    pairs = [(Value(1.0), reference.Value(1.0))]
    for step in range(60_000):
        (a, ra), (b, rb) = rng.choice(pairs), rng.choice(pairs)
        pairs.append((a * 0.5 + b.tanh(), ra * 0.5 + rb.tanh()))
        if len(pairs) > 300:
            del pairs[rng.randrange(len(pairs))]
            if rng.random() < 0.02:
                del pairs[rng.randrange(50) :]
                pairs.append((Value(1.0), reference.Value(1.0)))
        if step % 3000 == 0:
            pairs[-1][0].backward()
            pairs[-1][1].backward()
            assert [v.grad for v, _ in pairs] == [r.grad for _, r in pairs]


@pytest.mark.parametrize("budget", [1, 2, 3, 63, 64, 65, 1000, 100_000])
def test_a_sweep_resumes_where_its_budget_ran_out(budget):
    """The nodes of the graph are dense in some blocks and sparse in others."""
    x = Value(1.0)
    y, between = x * 1, []
    for i in range(3000):
        y = y + x
        if i % 100 < 10:
            between += [Value(0.0) for _ in range(300)]
    sweep = ffi.new("pg_sweep *")
    lib.pg_sweep_begin(sweep, y._id)
    slices = 1
    while stop := lib.pg_sweep_run(sweep, budget):
        assert stop == lib.PG_MORE
        slices += 1
    assert slices >= 3000 / max(budget, 256)
    assert x.grad == 3001


@frees_at_once
def test_empty_blocks_are_returned_to_the_system(python):
    python(
        """
import gc
import pygrad

v = pygrad.Value(1.0)
for _ in range(3_000_000):
    v = v.relu()
full = pygrad.memory_stats()
del v
gc.collect()
empty = pygrad.memory_stats()
assert full.committed_bytes - empty.committed_bytes > 40e6
v = pygrad.Value(1.0)  # returned memory can be used again
for _ in range(3_000_000):
    v = v.relu()
v.backward()
"""
    )


@on_limited_memory
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_ten_million_live_nodes_take_at_most_400_megabytes(python):
    out = python(
        """
import numpy as np
import pygrad
from pygrad.bench.workloads.memory import resident_bytes

before = resident_bytes()
x = pygrad.array(np.zeros(1_000_000))
for _ in range(9):
    x = x.relu()
assert pygrad.memory_stats().live_nodes == 10_000_000
print(resident_bytes() - before)
"""
    )
    assert int(out) <= 400e6


@frees_at_once
def test_runs_of_leaves_reuse_freed_blocks():
    kept = [pygrad.array(np.zeros(300))]
    sizes = [1, 255, 256, 257, 1000, 5000]
    for _ in range(200):  # leaves and computed nodes alternate, which fragments the free blocks
        for size in sizes:
            x = pygrad.array(np.zeros(size))
            y = x.relu() + 1
            kept = [*kept[-20:], y[:1] * 2]
            if _ == 100:
                committed = pygrad.memory_stats().committed_bytes
    assert pygrad.memory_stats().committed_bytes < committed + (1 << 20)
    assert x.data.flags.writeable


@frees_at_once
def test_a_run_of_leaves_can_be_the_first_allocation(python):
    python(
        """
import numpy as np
import pygrad

for size in (0, 1000):
    x = pygrad.array(np.ones(size))
    assert x.data.sum() == size == x.sum().item()
assert pygrad.memory_stats().live_nodes == 1000
"""
    )


def test_more_leaves_than_the_arena_holds_are_a_memory_error(no_leak):
    for count in (1 << 31, 1 << 40, 1 << 63):
        assert lib.pg_leaves(count, ffi.NULL) == lib.PG_NO_MEMORY
    assert pygrad.array([1.0, 2.0]).sum().item() == 3


def test_sweeps_continue_after_the_epochs_wrap_around():
    x = Value(2.0)
    y = x * x
    z = (y + x) * 3
    kept = [Value(1.0) * i for i in range(300)]
    for _ in range(70_000):
        x.grad = y.grad = 0
        z.backward()
        assert (x.grad, y.grad) == (15, 3)
        for inner in z._prev if _ % 10_000 == 0 else ():
            inner.grad = 0
        z = (y + x) * 3
    assert len(kept) == 300
