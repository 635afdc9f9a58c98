"""What the GIL guards elsewhere, on CPython without one: threads share Values, models and Programs."""

import contextlib
import gc
import itertools
import random
import threading

import numpy as np
import pytest

import pygrad
from pygrad import Value, nn, optim
from support import has_gil, live_nodes

pytestmark = pytest.mark.skipif(has_gil, reason="this interpreter has a GIL")

THREADS, ROUNDS = 4, 300


def in_threads(work):
    """The results of work(i) in several threads that start together; the first exception is raised."""
    start, results, errors = threading.Barrier(THREADS), [None] * THREADS, []

    def run(i):
        try:
            start.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def test_importing_pygrad_leaves_the_gil_off(python):
    assert python("import sys, pygrad.optim, pygrad.nn; print(sys._is_gil_enabled())") == "False\n"


def test_a_finalizer_finds_no_value_that_is_being_freed(no_leak):
    class Finalized(Value):
        def __del__(self):  # for which CPython takes it for alive for a moment
            pass

    class Asking:
        def __del__(self):
            found.extend(y._prev)

    found = []
    x = Finalized(2.0)
    y = x * 3.0
    x.extra = Asking()
    del x
    assert not any(isinstance(v, Finalized) for v in found)
    found.clear()
    gc.collect()


def test_graphs_on_shared_parameters_have_the_right_gradients(no_leak):
    shared = [Value(i) for i in range(1, 9)]

    def work(i):
        for step in range(ROUNDS):
            total = sum(p * (i + 1) for p in shared) + step
            assert total.data == 36 * (i + 1) + step
            total.backward()

    in_threads(work)
    assert [p.grad for p in shared] == [ROUNDS * sum(range(1, THREADS + 1))] * len(shared)


def test_data_and_grad_keep_their_types_while_threads_assign_both():
    v = Value(0)

    def work(i):
        for _ in range(ROUNDS * 10):
            v.data, v.grad = (2, 4) if i % 2 else (2.5, 4.5)
            assert repr(v.data) in ("2", "2.5")
            assert repr(v.grad) in ("4", "4.5")

    in_threads(work)


def test_a_node_has_one_value_whichever_thread_asks():
    for _ in range(ROUNDS // 3):
        results = [Value(2.0) * 3 for _ in range(50)]
        for operands in zip(*in_threads(lambda i, results=results: [list(r._prev) for r in results])):
            assert len(set(map(id, itertools.chain(*operands)))) == 2


def test_a_value_is_looked_up_while_its_last_reference_goes(no_leak):
    results = [Value(i) + 1 for i in range(100)]

    def work(i):
        for _ in range(ROUNDS):
            for k, result in enumerate(results):
                assert {v.data for v in result._prev} == {k, 1}
                del result._shown  # the set, and so the operands

    in_threads(work)


def test_attributes_and_closures_may_be_assigned_in_any_thread():
    x, shared = Value(2.0), [Value(float(i)) for i in range(20)]

    def work(i):
        for step in range(ROUNDS):
            v = shared[step % 20]
            setattr(v, f"name_{step % 7}", i)
            assert getattr(v, f"name_{step % 7}") in range(THREADS)
            y = Value(4.0, (x,), "square")
            y._backward = lambda y=y: None
            (y * 2).backward()
            assert y.grad == 2

    in_threads(work)


def test_a_program_is_called_and_set_by_all_threads():
    w = Value(2.0)
    f = pygrad.compile(lambda x: (w * x).tanh() * x, 1.0)
    batches = np.random.default_rng(0).uniform(-1, 1, (ROUNDS, 7))
    expected = [(f(x), f(x[0]), f.value_and_grad(x)[1][0]) for x in batches]
    w.grad, f = 0.0, pygrad.compile(lambda x: (w * x).tanh() * x, 1.0)  # without routines yet

    def work(i):
        for step, x in enumerate(batches):
            if i == 0 and step % 10 == 0:
                f.check_finite = not f.check_finite
            assert np.array_equal(f(x), expected[step][0])
            assert f(x[0]) == expected[step][1]
            assert np.array_equal(f.value_and_grad(x)[1][0], expected[step][2])

    in_threads(work)


def train(seed):
    """The losses of a model that is trained on its own data."""
    rng = random.Random(seed)
    random.seed(0)
    model = nn.MLP(3, [4, 1])
    for p in model.parameters():
        p.data = rng.uniform(-1, 1)
    xs = [[rng.uniform(-1, 1) for _ in range(3)] for _ in range(5)]
    step, losses = optim.Adam(model.parameters(), lr=0.05), []
    for _ in range(20):
        loss = sum((model(x) - x[0]) ** 2 for x in xs)
        model.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.data)
    return losses


def test_models_learn_in_threads_what_they_learn_alone(no_leak):
    assert in_threads(train) == [train(i) for i in range(THREADS)]


def test_arrays_are_made_read_and_freed_in_all_threads(no_leak):
    w = pygrad.array(np.arange(12.0).reshape(3, 4))

    def work(i):
        for _ in range(ROUNDS // 3):
            y = ((w * (i + 1)) @ w.T).sum()
            y.backward()
            assert y.data == (i + 1) * (w.data @ w.data.T).sum()
            assert pygrad.stack([w[0, 1], w[2, 3]]).data.tolist() == [1, 11]

    in_threads(work)
    expected = sum((i + 1) * 2 * w.data.sum(0) for i in range(THREADS)) * (ROUNDS // 3)
    assert np.allclose(w.grad, np.broadcast_to(expected, (3, 4)))


def test_a_model_is_called_with_a_list_that_another_thread_changes():
    model, x = nn.MLP(3, [4, 1]), [Value(1.0), 2.0, 3]

    def work(i):
        for _ in range(ROUNDS):
            if i == 0:
                x[:] = [Value(1.0), 2.0, 3]
                x.clear()
            else:
                with contextlib.suppress(ValueError):  # it has other inputs than the model takes
                    model(x).backward()

    in_threads(work)


def test_nothing_is_left_when_threads_end():
    before = live_nodes()
    in_threads(lambda i: [[Value(k) * 2 for k in range(1000)], pygrad.array(np.ones(1000)) * 2])
    assert live_nodes() == before
