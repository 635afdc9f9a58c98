"""The arena: lifetime, depth, order under reuse, threads, fork, and running out."""

import gc
import os
import platform
import random
import signal
import sys
import threading

import numpy as np
import pytest
from conftest import live_nodes, on_cffi, on_cpython, on_limited_memory

import pygrad
from pygrad import MLP, Value, reference
from pygrad._lib import ffi, lib

at_once = on_cpython("PyPy finalizes a Value when it collects garbage")


@at_once
def test_memory_is_back_as_soon_as_the_last_name_is_gone():
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


def test_a_chain_of_ten_million_nodes_goes_backward_and_is_freed():
    before = live_nodes()
    x = Value(1.5)
    y = x
    for _ in range(10_000_000):
        y = y.relu()
    y.backward()
    assert x.grad == 1
    del y
    assert live_nodes() == before + 1


def test_a_million_ops_of_one_s_own_leave_the_live_nodes_where_they_were():
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


@on_cpython("PyPy finalizes one Value of a chain in each collection")
def test_a_long_chain_of_ops_of_one_s_own_is_freed():
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


def test_a_million_training_temporaries_leave_the_live_nodes_where_they_were():
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
    """Graphs of random lifetimes, so that blocks die and come back; each pass is compared with the reference."""
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
def test_a_sweep_goes_on_where_its_slice_ended(budget):
    """Over a graph whose nodes lie close in some blocks and far apart in others."""
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


def test_emptied_blocks_go_back_to_the_system():
    v = Value(1.0)
    for _ in range(3_000_000):
        v = v.relu()
    full = pygrad.memory_stats()
    del v
    gc.collect()
    empty = pygrad.memory_stats()
    assert full.committed_bytes - empty.committed_bytes > 40e6
    v = Value(1.0)  # what was given back can be used again
    for _ in range(3_000_000):
        v = v.relu()
    v.backward()


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


@at_once
def test_runs_of_leaves_are_found_again_among_freed_blocks():
    kept = [pygrad.array(np.zeros(300))]
    sizes = [1, 255, 256, 257, 1000, 5000]
    for _ in range(200):  # leaves and computed nodes in turn, so that free blocks come in pieces
        for size in sizes:
            x = pygrad.array(np.zeros(size))
            y = x.relu() + 1
            kept = [*kept[-20:], y[:1] * 2]
            if _ == 100:
                committed = pygrad.memory_stats().committed_bytes
    assert pygrad.memory_stats().committed_bytes < committed + (1 << 20)
    assert x.data.flags.writeable


def test_a_run_of_leaves_may_be_the_first_of_all(python):
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


def test_more_leaves_than_there_is_room_for_are_a_memory_error(no_leak):
    for count in (1 << 31, 1 << 40, 1 << 63):
        assert lib.pg_leaves(count, ffi.NULL) == lib.PG_NO_MEMORY
    assert pygrad.array([1.0, 2.0]).sum().item() == 3


def test_more_sweeps_than_there_are_epochs():
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


# Threads and processes -------------------------------------------------------------------------------------------


def in_threads(n, work):
    """Run work(i) in n threads, switching as often as can be, and raise what they raised."""
    errors = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=guarded, args=(i,)) for i in range(n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def test_eight_threads_over_shared_parameters():
    shared = [Value(i) for i in range(1, 9)]
    before = live_nodes()

    def work(i):
        rng = random.Random(i)
        for step in range(150):
            xs = [rng.randint(-3, 3) for _ in shared]
            total = sum(p * x for p, x in zip(shared, xs))
            assert total.data == sum(p.data * x for p, x in zip(shared, xs))
            total.backward()
            if step % 30 == 0:
                assert (total * 2)._prev >= {total}

    in_threads(8, work)
    assert live_nodes() == before
    expected = [0.0] * 8
    for i in range(8):
        rng = random.Random(i)
        for _ in range(150):
            expected = [e + rng.randint(-3, 3) for e in expected]
    assert [p.grad for p in shared] == expected  # small integers: exact in any order


def test_threads_with_closures_take_turns():
    x = Value(2)

    def work(i):
        for _ in range(100):
            y = Value(4, (x,), "square")
            y._backward = lambda y=y: setattr(x, "grad", x.grad + 4 * y.grad)
            z = sum(y * k for k in range(20))
            z.backward()
            assert y.grad == sum(range(20))

    in_threads(8, work)
    assert x.grad == 8 * 100 * 4 * sum(range(20))


def test_fork_in_the_middle_of_other_threads_work():
    shared = Value(3)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            v = shared
            for _ in range(200):
                v = v * 1 + 0
            y = Value(v.data, (v,), "same")
            y._backward = lambda: None
            (y + 1).backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    a = Value(5)
                    (a * shared + a).backward()
                    status = 0 if a.grad == 4 and Value(1)._prev == set() else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for t in threads:
            t.join()


def test_fork_inside_a_closure_goes_on_in_both_processes():
    x = Value(2)
    y = Value(4, (x,), "square")
    forked = []

    def _backward():
        forked.append(os.fork())
        x.grad += 4 * y.grad

    y._backward = _backward
    (y * 3 + x).backward()
    passed = x.grad == 13
    if forked[0] == 0:
        (x * 2).backward()
        os._exit(0 if passed and x.grad == 15 else 1)
    assert passed
    assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 0


def test_values_outlive_the_interpreter_s_exit(python):
    assert python("from pygrad import Value; a = Value(1); b = [a * 2]; b.append(b); print('ok')") == "ok\n"


@on_cffi
@on_cpython("PyPy's gc has no freeze()")
def test_a_second_value_of_a_node_does_not_take_the_place_of_the_first():
    v, other = Value(3), Value(1)
    y = v * 2
    gc.freeze()
    try:
        (second,) = (w for w in y._prev if w.data == 3)
    finally:
        gc.unfreeze()
    assert second == v
    assert second is not v
    second._backward = lambda: seen.append("second")
    seen = []
    assert other in (other * 2)._prev  # looks through all Values there are
    y.backward()
    assert seen == ["second"]


class Found(Value):
    """A Value that is found through a result of it, as by another thread, while its __del__ runs."""

    def __del__(self):
        self.results[0] += [v for v in self.results[1]._prev if v is self]
        if hasattr(Value, "__del__"):  # the C type has none
            super().__del__()


@at_once
def test_a_value_found_while_its_del_runs_keeps_its_node():
    before = live_nodes()
    x = Found(3)
    y = x * 2
    assert x in y._prev
    x.results = [found := [], y]
    del x
    (x,) = found
    del x.results, y
    assert x.data == 3
    assert live_nodes() == before + 1
    del found[:], x
    assert live_nodes() == before


@on_cpython("a signal arrives at another time")
def test_an_exception_out_of_a_signal_leaves_backward_usable():
    x = Value(2)
    y = x * 3

    class Interrupt(BaseException):
        pass

    def interrupt(*_):
        if waiting:
            raise Interrupt

    waiting = False
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(5000):
            try:
                waiting = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-4))
                while True:
                    y.backward()
            except Interrupt:
                waiting = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    x.grad = y.grad = 0
    y.backward()
    assert x.grad == 3


# Running out -----------------------------------------------------------------------------------------------------


def test_the_first_node_of_all_may_fail(python):
    python(
        """
from pygrad import Value
from pygrad._lib import lib

for successes in range(2):
    lib.pg_test_fail_allocations(successes)
    try:
        Value(1)
    except MemoryError:
        continue
    raise AssertionError(successes)
lib.pg_test_fail_allocations(-1)
assert (Value(1) + 1).data == 2
"""
    )


@at_once
@on_limited_memory
def test_a_limit_on_the_address_space_is_a_memory_error_and_leaves_the_arena_intact(python):
    out = python(
        """
import resource
from pygrad import Value, memory_stats
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
x = Value(2)
y = x
try:
    while True:
        y = y.relu()
except MemoryError:
    pass
live = memory_stats().live_nodes
y.backward()
assert x.grad == 1 and live > 100_000
del y
assert memory_stats().live_nodes == 1
y = x * 3
y.backward()
assert x.grad == 4
print(memory_stats().reserved_bytes < 600 << 20)
"""
    )
    assert out == "True\n"


# The C boundary --------------------------------------------------------------------------------------------------


def test_ids_that_name_no_live_node_are_refused():
    v = Value(1)
    gone = (v * 2)._id
    gc.collect()
    sweep = ffi.new("pg_sweep *")
    for id in [0, 1, 255, gone, 2**31 - 1, 2**32 - 1]:
        assert lib.pg_make_RELU(id) == lib.PG_STALE
        assert lib.pg_make_ADD(v._id, id) == lib.pg_make_ADD(id, v._id) == lib.PG_STALE
        assert lib.pg_make_ADD_number(id, 2.0) == lib.PG_STALE
        assert lib.pg_make_POWER(id, 2.0, True) == lib.PG_STALE
        assert lib.pg_custom(0.0, [v._id, id], 2) == lib.PG_STALE
        assert lib.pg_hold(id) == lib.pg_release(id) == lib.pg_set_data(id, 1.0) == lib.PG_STALE
        assert lib.pg_keep(id) == lib.pg_release_kept(id) == lib.PG_STALE
        assert lib.pg_set_grad(id, 1.0) == lib.pg_set_flags(id, 1) == lib.pg_backward_one(id) == lib.PG_STALE
        assert lib.pg_sweep_begin(sweep, id) == lib.PG_STALE
        assert lib.pg_data(id) != lib.pg_data(id)  # nan
        assert lib.pg_refs(id) == lib.pg_op(id) == lib.pg_flags_of(id) == lib.pg_operand(id, 0) == 0


def test_numbers_that_are_no_op_have_no_name():
    for op in [-1, lib.pg_op_count(), 1 << 20]:
        assert lib.pg_op_name(op) == lib.pg_op_symbol(op) == ffi.NULL
        assert lib.pg_op_arity(op) == 0


@on_cffi
@at_once
def test_a_value_used_after_its_del_is_a_reference_error():
    v = Value(1)
    w = v * 2
    before = live_nodes()
    v.__del__()
    v.__del__()  # once is enough: the node is w's operand still
    with pytest.raises(ReferenceError):
        v + 1
    del v
    assert live_nodes() == before
    w.backward()
    assert w.data == 2
