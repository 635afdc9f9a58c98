"""Lifetime of the nodes of Arrays, threads, and running out of memory."""

import copy
import gc
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pygrad import Value, array, concatenate, functional, memory_stats, reference, stack, where
from support import LIMITED, frees_at_once, live_nodes, on_limited_memory, on_linux
from support.arrays import X, double


@frees_at_once
def test_memory_is_freed_with_the_last_reference():
    gc.disable()
    try:
        before = memory_stats().live_nodes
        a = array(np.ones((20, 30)))
        assert memory_stats().live_nodes == before + 600
        b = a.T @ a
        assert memory_stats().live_nodes == before + 600 + 30 * 30 * (2 * 20 + 1)
        v, row = b[0, 0], b[1]
        del a, b
        assert memory_stats().live_nodes == before + 600 + 30 * 30 * (2 * 20 + 1)  # the row keeps all nodes
        del row
        assert memory_stats().live_nodes == before + 20 + 2 * 20 + 1  # one column, and the sum of its squares
        del v
        assert memory_stats().live_nodes == before
    finally:
        gc.enable()


def test_training_with_arrays_leaks_no_node(no_leak):
    w = array(X)
    for _ in range(3):
        h = (array(X) @ w.T).tanh() + 1
        h = concatenate([h, stack([h[0], h[1] * 2])]).reshape(2, 4).T
        h = where(h.data > 0, h / 2, [0.0, Value(1.0)]) ** 2 - [[1.0]]
        loss = functional.cross_entropy(h, [0, 1, 0, 1]) + h.max(0).mean() + sum(h[0]) + h[0].tolist()[0]
        w.grad = 0
        loss.backward()
        w.data -= 0.1 * w.grad
    copy.deepcopy(w)
    repr(h)
    h.data, h.grad = 1, 2
    list(h)


@pytest.mark.parametrize("key", [slice(-2, None), [-2, -1]], ids=repr)
def test_a_sliding_window_does_not_keep_old_elements(key):
    a = array([0.0, 0.0])
    before = live_nodes()
    for _ in range(500):
        a = concatenate([a, [1.0]])[key]
    assert live_nodes() < before + 100


@frees_at_once
@pytest.mark.parametrize("size", [257, 1000, 5000])
def test_leaves_that_span_blocks_reuse_freed_memory(size):
    x = np.ones(size)
    kept = []
    for i in range(2100):
        a = array(x)
        b = a * 2
        kept = [*kept[-20:], Value(1.0)]  # keeps some blocks in between alive
        if i == 100:
            before = memory_stats().committed_bytes
    assert memory_stats().committed_bytes < before + (4 << 20)
    assert b.data.sum() == 2 * size


def test_leaves_of_all_sizes_never_share_nodes(no_leak):
    rng = random.Random(1)
    kept = []
    for i in range(3000):
        size = rng.choice([0, 1, 3, 100, 255, 256, 257, 512, 513, 1500])
        a = array(np.full(size, float(i)))
        assert a.grad.sum() == 0
        a.grad = i + 0.5
        b = a * 2 if rng.random() < 0.5 else None
        kept.append((i, size, a, b))
        if len(kept) > 30:
            j, n, old, doubled = kept.pop(rng.randrange(len(kept)))
            assert (old.data == j).all()
            assert (old.grad == j + 0.5).all()
            assert old.size == n
            if doubled is not None:
                assert (doubled.data == 2 * j).all()
                doubled.sum().backward()
                assert (old.grad == j + 2.5).all()


def test_the_backward_pass_keeps_its_order_when_blocks_are_reused(no_leak):
    """Graphs of Arrays with random lifetimes, compared with graphs of reference Values."""
    rng = random.Random(2)
    start = [1.0, -0.5, 0.25]
    pairs = [(array(start), [reference.Value(x) for x in start])]
    fillers = []
    for step in range(600):
        (a, ra), (b, rb) = rng.choice(pairs), rng.choice(pairs)
        pairs.append(((a * 0.5 + b).tanh(), [(x * 0.5 + y).tanh() for x, y in zip(ra, rb)]))
        fillers.append(array(np.zeros(rng.choice([1, 200, 300, 1000]))))
        del fillers[: rng.randrange(3)]
        if len(pairs) > 12:
            del pairs[rng.randrange(len(pairs))]
        if step % 50 == 0:
            pairs[-1][0].sum().backward()
            sum(pairs[-1][1]).backward()
            assert [a.grad.tolist() for a, _ in pairs] == [[x.grad for x in row] for _, row in pairs]


def test_a_long_chain_of_arrays_is_freed():
    before = live_nodes()
    x = Value(2.0)
    a = b = array([double(x), 1.0])
    for _ in range(20_000):
        a = a * 1
        b = concatenate([b, [1.0]])[:2]
    a.sum().backward()
    assert x.grad == 2
    del a, b
    assert live_nodes() == before + 1


def test_threads_may_make_and_free_arrays_concurrently(no_leak):
    shared = array(np.ones(300))

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            x = rng.integers(-3, 4, rng.choice([3, 300, 700])).astype(float)
            a = array(x)
            out = (a * a).sum() + (a[:3] @ shared[:3]) + sum(a[:3])
            assert out.item() == (x * x).sum() + 2 * x[:3].sum()
            out.backward()
            expected = 2 * x
            expected[:3] += 2
            assert a.grad.tolist() == expected.tolist()
            assert a[0] is a[0]
            copy.deepcopy(a)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
    finally:
        sys.setswitchinterval(interval)
    assert (shared.data == 1).all()


def test_arrays_outlive_the_interpreter_s_exit(python):
    code = (
        "import numpy as np; from pygrad import array; a = array(np.ones(1000)); b = [a * 2, a.data, a[0]]; b.append(b)"
    )
    assert python(f"{code}; print('ok')") == "ok\n"


@on_linux
@frees_at_once
@on_limited_memory
def test_running_out_of_memory_is_a_memory_error_naming_the_shape(python):
    python(
        "import numpy as np; from pygrad import array, memory_stats"
        + LIMITED
        + """
x = array(np.ones(1000))
before = memory_stats().live_nodes
makers = {"30000000": lambda: array(np.ones(30_000_000)), "(1000, 1000)": lambda: x[:, None] * x}
for message, make in makers.items():
    kept = []
    try:
        while True:
            kept.append(make())
    except MemoryError as error:
        assert message in str(error).replace("30,000,000", "30000000"), error  # pygrad's message, or NumPy's
    del kept
    assert memory_stats().live_nodes == before
(x * x).sum().backward()
assert x.grad.sum() == 2000
"""
    )


def test_an_array_resurrected_by_a_finalizer_keeps_its_nodes():
    saved = []

    class Model:
        def __init__(self):
            self.w = array([1.0, 2.0, 3.0])
            self.v = self.w[0]
            self.me = self

        def __del__(self):
            saved.append(self)

    Model()
    gc.collect()
    others = [array([7.0, 8.0, 9.0]) for _ in range(100)]
    (model,) = saved
    assert model.w.data.tolist() == [1, 2, 3]
    assert model.v.data == 1
    model.w.data = 0
    assert all(other.data.tolist() == [7, 8, 9] for other in others)
    model.me = None
