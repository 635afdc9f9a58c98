"""`pygrad.compile`: a Program computes what `pygrad.reference` does, for one sample and for many."""

import contextlib
import gc
import math
import os
import pickle
import random
import shutil
import signal
import subprocess
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pygrad
from pygrad import TraceWarning, Value, nn, reference
from pygrad import functional as F
from support import live_nodes, on_cffi, on_cpython, ops
from support.loops import LOOPS
from support.optimizations import WITHOUT, disabled
from support.programs import EDGES, ERRORS, RECORDED, agree, evaluate, expected, function, possible, programs

BATCHES = [1, 7, 8, 9, 63, 64, 65]


# Against the reference --------------------------------------------------------------------------------------------


def some(x, n, rng):
    """So many numbers: of moderate size, edges, and x itself."""
    return np.where(rng.random(n) < 0.1, rng.choice([*EDGES, x], n), rng.uniform(-2, 2, n))


def check(fn, numbers, parameters, shared, batch, rng, **options):
    """A Program against the reference: for one sample (batch None) or a batch with some of the arguments shared."""
    leaves = [Value(x) for x in parameters]
    f = pygrad.compile(lambda *args: fn(Value, [*args, *leaves]), *numbers, **options)
    args = [x if batch is None or s else some(x, batch, rng) for x, s in zip(numbers, shared)]
    cotangent = 1.0 if batch is None or rng.random() < 0.5 else rng.uniform(-2, 2, batch)
    shape = np.broadcast_shapes(*(np.shape(x) for x in [*args, cotangent]))
    samples = np.array([np.broadcast_to(x, shape).ravel() for x in [*args, *parameters, cotangent]]).T.tolist()
    truths = [expected(fn, sample, weight) for *sample, weight in samples]
    for v in leaves:
        v.grad = 2.0
    values, grads = f.value_and_grad(*args, cotangent=cotangent)
    results = np.broadcast_to(f(*args), shape)
    assert np.shape(values) == shape
    for i, truth in enumerate(truths):
        if truth is not None:
            agree([np.ravel(values)[i], np.ravel(results)[i]], truth[0][0], truth[1][0])
    found = [*grads, *(v.grad - 2.0 for v in leaves)]
    for k, gradient in enumerate(found, 1):
        if np.ndim(gradient):
            for ours, truth in zip(gradient, truths):
                if truth is not None:
                    agree(ours, truth[0][k], truth[1][k])
        elif all(truth is not None for truth in truths):
            exact, off = ([truth[part][k] for truth in truths] for part in (0, 1))
            with np.errstate(all="ignore"):
                agree(gradient, np.sum(exact), np.sum(off) + 1e-12 * (2 + np.sum(np.abs(exact))))


numbers = st.lists(st.floats(-2, 2), min_size=1, max_size=4)
seeds = st.integers(0, 1 << 32)


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("without", WITHOUT)
@settings(max_examples=150, deadline=None)
@given(programs(RECORDED), numbers, st.lists(st.floats(-2, 2), max_size=3), seeds)
def test_one_sample_gives_the_reference_s_value_and_gradients(without, steps, numbers, parameters, seed):
    random.seed(seed)
    steps = possible(steps, numbers + parameters)
    rng = np.random.default_rng(seed)
    with disabled(without):
        check(function(steps), numbers, parameters, [False] * len(numbers), None, rng)


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("without", WITHOUT)
@settings(max_examples=60, deadline=None)
@given(programs(RECORDED), numbers, st.lists(st.floats(-2, 2), max_size=3), seeds, st.sampled_from(BATCHES))
def test_a_batch_gives_the_reference_s_values_and_gradients(without, steps, numbers, parameters, seed, batch):
    random.seed(seed)
    steps = possible(steps[:40], numbers + parameters)
    rng = np.random.default_rng(seed)
    shared = [rng.random() < 0.3 for _ in numbers]
    with disabled(without):
        check(function(steps), numbers, parameters, shared, batch, rng)


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("batch", [1000])
@settings(max_examples=5, deadline=None)
@given(programs(RECORDED), numbers, seeds)
def test_a_batch_of_many_tiles_gives_the_reference_s_values_and_gradients(batch, steps, numbers, seed):
    random.seed(seed)
    steps = possible(steps[:15], [*numbers, 0.5])
    rng = np.random.default_rng(seed)
    check(function(steps), numbers, [0.5], [i == 1 for i in range(len(numbers))], batch, rng, threads=2)


class Ieee:
    """NumPy's float64 with the methods of a Value."""

    def __init__(self, x):
        self.x = np.float64(x)

    def _of(self, f, *others):
        return Ieee(f(self.x, *(o.x if isinstance(o, Ieee) else np.float64(o) for o in others)))


IEEE = {case.method: case.numpy for case in ops.UNARY + ops.BINARY}
for _case in ops.OPERATORS:
    IEEE[f"__r{_case.method[2:]}"] = lambda x, y, f=_case.numpy: f(y, x)
for _name, _f in IEEE.items():
    setattr(Ieee, _name, lambda self, *others, f=_f: self._of(f, *others))


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_an_op_gives_inf_and_nan_as_numpy_does(name, without):
    op = RECORDED[name]
    edges = [*EDGES, 2.0, -2.0, 3.0, 0.1, 710.0, -710.0, 1e10, 30.0]
    pairs = np.array([(x, y) for x in edges for y in edges])
    for c in [0.7, 2.0] if "x" in name or "n" in name else [0.7]:
        with disabled(without):
            f = pygrad.compile(lambda a, b, c=c: op(Value, a, b, c) + 0, 0.5, 0.5)
        with np.errstate(all="ignore"):
            true = [op(Ieee, Ieee(x), Ieee(y), c) for x, y in pairs]
            true = np.array([v.x + 0 for v in true])
        for ours in [f(*pairs.T), np.array([f(float(x), float(y)) for x, y in pairs])]:
            near = (ours == true) | (np.isnan(ours) & np.isnan(true)) | np.isclose(ours, true, rtol=1e-12, atol=5e-324)
            near |= (pairs[:, 0] == -math.inf) & (pairs[:, 1] == 0.5)  # NumPy's power is the square root there
            # 1 / y is its own number in Values, and overflows where x / y does not.
            near |= np.isin(name, ["/", "x/"]) & (np.abs(pairs).min(axis=1) < 1e-307)
            near |= np.isin(name, ["/", "x/"]) & (np.abs(pairs).max(axis=1) > 1e307)
            near |= np.isin(name, ["sum"]) & (np.abs(pairs[:, 0]) > 1e308)  # added up in another order
            assert near.all(), list(zip(pairs[~near], ours[~near], true[~near]))[:5]


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_an_op_gives_the_reference_s_gradients_at_the_edges(name, without):
    edges = np.array([*EDGES, 2.0, -2.0, 0.1, 5.0, 1e-170, 1e170])
    x, y = (numbers.ravel() for numbers in np.meshgrid(edges, edges))
    if name == "/":  # a Program is better than the reference, where y**-2 is 0
        x, y = (numbers[~(np.abs(y) > 1e160)] for numbers in (x, y))
    for c in [0.7, 2.0, 3.0, -2.0] if name in ["**x", "x**"] else [0.7]:

        def fn(V, inputs, c=c):
            return RECORDED[name](V, *inputs, c) + 0

        truths = [evaluate(reference.Value, fn, [float(a), float(b)], 1.0) for a, b in zip(x, y)]
        with contextlib.suppress(*ERRORS):  # not defined for the example
            with disabled(without):
                f = pygrad.compile(lambda a, b: fn(Value, [a, b]), 0.5, 0.5)
            values, grads = f.value_and_grad(x, y)
            for truth, *ours in zip(truths, values, *grads):
                if truth is not None:
                    agree(ours, truth, 1e-12 * np.abs(truth) + 1e-150)


# What C has of its own: threads, tiles, many parameters -----------------------------------------------------------


def bits(x):
    return np.ascontiguousarray(x).tobytes()


@pytest.mark.parametrize("batch", [1, 9, 64, 65, 1000, 5000])
def test_any_number_of_threads_gives_the_same_bits(batch):
    random.seed(1)
    model = nn.MLP(3, [8, 8, 1])
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, batch, 3))
    seen = set()
    for threads in [1, 2, 3, 16]:
        f = pygrad.compile(lambda x, y: (model(x).tanh() - y[0] * y[1]) ** 2, [0.0] * 3, [0.0] * 3, threads=threads)
        model.zero_grad()
        values, (dx, dy) = f.value_and_grad(x, y)
        shared = f.value_and_grad(x, [0.1, 0.2, 0.3])[1][1]
        grads = f.parameters.grad
        seen.add((bits(values), bits(dx), bits(dy), bits(shared), bits(grads)))
    assert len(seen) == 1


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize("batch", [None, *BATCHES, 1000])
def test_a_model_of_nn_gives_its_own_values_and_gradients(batch, without):
    random.seed(4)
    model = nn.MLP(2, [7, 5, 1])
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-1, 1, (batch or 1, 2)), rng.choice([-1.0, 1.0], batch or 1)
    with disabled(without):
        f = pygrad.compile(lambda x, y: (1 - y * model(x)).relu(), np.zeros(2), 1.0)
    losses = [(1 - yi * model(xi.tolist())).relu() for xi, yi in zip(x, y)]
    model.zero_grad()
    sum(losses).backward()
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()
    args = (x[0], y[0]) if batch is None else (x, y)
    values, (by_x, by_y) = f.value_and_grad(*args)
    np.testing.assert_allclose(values, [v.data for v in losses] if batch else losses[0].data, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose([p.grad for p in model.parameters()], expected, rtol=1e-11, atol=1e-12)
    assert by_x.shape == np.shape(args[0])
    assert np.shape(by_y) == np.shape(args[1])


def test_a_compiled_training_loop_learns_what_the_eager_one_does():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (32, 2))
    y = x[:, 0] * x[:, 1]

    def train(steps):
        random.seed(2)
        model = nn.MLP(2, [6, 1])
        for _ in range(20):
            steps(model)
            for p in model.parameters():
                p.data -= 0.01 * p.grad
            model.zero_grad()
        return [p.data for p in model.parameters()]

    def eager(model):
        sum((model(xi.tolist()) - yi) ** 2 for xi, yi in zip(x, y)).backward()

    programs = {}

    def compiled(model):
        f = programs.setdefault(model, pygrad.compile(lambda x, y: (model(x) - y) ** 2, [0.0, 0.0], 0.0))
        f.value_and_grad(x, y)

    np.testing.assert_allclose(train(compiled), train(eager), rtol=1e-10)


def flat(rows):
    return [v for row in rows for v in row]


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize("name", LOOPS)
def test_arrays_give_what_the_loop_of_reference_values_does(name, without):
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0.5, 2, (2, 4, 5))
    loop, make = LOOPS[name]
    theirs = [[[reference.Value(v) for v in row] for row in rows] for rows in (x, y)]
    true = flat(loop(reference.Value, *theirs, 0.7))
    with disabled(without):
        f = pygrad.compile(lambda x, y: make(x, y, 0.7), x, y)
    np.testing.assert_allclose(np.ravel(f(x, y)), [v.data for v in true], rtol=1e-12)
    weights = rng.uniform(-1, 1, len(true))
    with disabled(without):
        g = pygrad.compile(lambda x, y: (make(x, y, 0.7).ravel() * weights).sum(), x, y)
    sum(v * w for v, w in zip(true, weights)).backward()
    expected = [[[v.grad for v in row] for row in rows] for rows in theirs]
    value, grads = g.value_and_grad(x, y)
    assert math.isclose(value, sum(v.data * w for v, w in zip(true, weights)), rel_tol=1e-12, abs_tol=1e-12)
    np.testing.assert_allclose(grads, expected, rtol=1e-10, atol=1e-12)
    batch = rng.uniform(0.5, 2, (70, 4, 5))
    values, (by_x, by_y) = g.value_and_grad(batch, y)
    alone = [g.value_and_grad(sample, y) for sample in batch]
    np.testing.assert_allclose(values, [a[0] for a in alone], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(by_x, [a[1][0] for a in alone], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(by_y, sum(a[1][1] for a in alone), rtol=1e-10, atol=1e-11)
    sample = batch[7].tolist()
    other = [[[reference.Value(v) for v in row] for row in rows] for rows in (sample, y)]
    again = sum(v * w for v, w in zip(flat(loop(reference.Value, *other, 0.7)), weights))
    again.backward()
    assert math.isclose(values[7], again.data, rel_tol=1e-11, abs_tol=1e-12)
    np.testing.assert_allclose(by_x[7], [[v.grad for v in row] for row in other[0]], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("without", WITHOUT)
def test_a_model_of_arrays_gives_its_own_values_and_gradients(without):
    random.seed(6)
    model = nn.Sequential(nn.Linear(3, 9), nn.RMSNorm(9), F.tanh, nn.Linear(9, 2))
    x, y = np.random.default_rng(1).uniform(-1, 1, (2, 67, 3))
    with disabled(without):
        f = pygrad.compile(lambda x, y: F.mse_loss(model(x), y[:2]), x[0], y[0])
    eager = [F.mse_loss(model(a), b[:2]) for a, b in zip(x, y)]
    sum(eager).backward()
    expected = [p.grad.copy() for p in model.parameters()]
    model.zero_grad()
    values, _ = f.value_and_grad(x, y)
    np.testing.assert_allclose(values, [v.item() for v in eager], rtol=1e-12)
    for p, grad in zip(model.parameters(), expected):
        np.testing.assert_allclose(p.grad, grad, rtol=1e-11, atol=1e-13)


def test_a_chain_of_a_hundred_thousand_ops_is_no_deeper_than_others():
    def chain(x):
        for _ in range(100_000):
            x = x * 1.00001 + 1e-6
        return x

    f = pygrad.compile(chain, 1.0)
    x = Value(0.5)
    y = chain(x)
    y.backward()
    value, (grad,) = f.value_and_grad(0.5)
    assert math.isclose(value, y.data, rel_tol=1e-12)
    assert math.isclose(grad, x.grad, rel_tol=1e-12)


# Parameters -------------------------------------------------------------------------------------------------------


def test_parameters_are_read_at_each_call():
    w, b = pygrad.array([1.0, 2.0]), Value(3.0)
    f = pygrad.compile(lambda x: (w * x).sum() + b, np.zeros(2))
    assert f([1.0, 1.0]) == 6
    w.data *= 10
    b.data = 0.5
    assert f([1.0, 1.0]) == 30.5
    np.testing.assert_array_equal(f([[1.0, 1.0], [2.0, 0.0]]), [30.5, 20.5])
    assert sorted(f.parameters.data.tolist()) == [0.5, 10.0, 20.0]


def test_the_grads_of_parameters_add_up():
    w = Value(3.0)
    f = pygrad.compile(lambda x: w * w * x, 1.0)
    w.grad = 100.0
    f.value_and_grad(1.0)
    assert w.grad == 106
    f.value_and_grad([1.0, 2.0])
    assert w.grad == 124
    f.value_and_grad([1.0, 2.0], cotangent=[1.0, -1.0])
    assert w.grad == 118
    f(1.0)
    assert w.grad == 118


def test_a_parameter_lives_as_long_as_the_program(no_leak):
    ws = [Value(2.0)]
    f = pygrad.compile(lambda x: ws[0] * x, 1.0)
    ws.clear()
    gc.collect()
    assert f.value_and_grad(3.0) == (6.0, (2.0,))
    assert f.parameters.grad.tolist() == [3.0]
    parameters = f.parameters
    del f
    gc.collect()
    assert parameters.data.tolist() == [2.0]


def test_what_was_computed_before_the_trace_follows_its_leaves():
    w = Value(3.0)
    square = w * w
    f = pygrad.compile(lambda x: square + x, 1.0)
    w.data = 2.0
    assert f(1.0) == 5
    f.value_and_grad(1.0)
    assert w.grad == 4


def test_a_program_leaves_no_nodes_behind(no_leak):
    w = pygrad.array([1.0, 2.0])
    before = live_nodes()
    f = pygrad.compile(lambda x: {"a": [w @ x, 3.0], "b": x}, np.zeros(2))
    assert live_nodes() == before
    f([1.0, 2.0])
    assert live_nodes() == before


# What goes in and what comes out ----------------------------------------------------------------------------------

Pair = namedtuple("Pair", "first second")


def test_the_result_has_the_function_s_structure():
    def fn(x, y):
        return {"v": x, "list": [x * 2, 7, (y, [])], "pair": Pair(x + 1, y.sum()), "row": np.arange(2.0)}

    f = pygrad.compile(fn, 1.0, np.zeros((2, 1)))
    one = f(3.0, [[1.0], [2.0]])
    assert list(one) == ["v", "list", "pair", "row"]
    assert type(one["v"]) is float
    assert one["v"] == 3
    assert one["list"][:2] == [6, 7]
    assert isinstance(one["list"][2], tuple)
    assert one["list"][2][0].tolist() == [[1.0], [2.0]]
    assert one["list"][2][1] == []
    assert one["pair"] == Pair(4.0, 3.0)
    assert one["row"].tolist() == [0.0, 1.0]
    many = f([3.0, 4.0, 5.0], [[1.0], [2.0]])
    assert many["v"].tolist() == [3, 4, 5]
    assert many["list"][0].tolist() == [6, 8, 10]
    assert many["list"][1].tolist() == [7, 7, 7]
    assert many["list"][2][0].shape == (3, 2, 1)
    assert many["pair"].second.tolist() == [3, 3, 3]
    assert many["row"].tolist() == [[0.0, 1.0]] * 3


@pytest.mark.parametrize("result", [[], {}, ()])
def test_a_function_may_return_nothing_but_structure(result):
    f = pygrad.compile(lambda x: result, 1.0)
    assert f(2.0) == result
    assert f([2.0, 3.0]) == result


def test_a_function_without_arguments_is_one_sample():
    w = Value(2.0)
    f = pygrad.compile(lambda: w**3)
    assert f() == 8
    assert f.value_and_grad() == (8.0, ())
    assert w.grad == 12
    values, grads = f.value_and_grad(cotangent=[1.0, 2.0])
    assert (values.tolist(), grads) == ([8.0, 8.0], ())
    assert w.grad == 48


def test_a_result_may_be_an_input_a_parameter_or_a_constant():
    w = Value(2.0)
    assert pygrad.compile(lambda x: x, 1.0).value_and_grad(3.0) == (3.0, (1.0,))
    assert pygrad.compile(lambda x: w, 1.0).value_and_grad(3.0) == (2.0, (0.0,))
    assert w.grad == 1
    f = pygrad.compile(lambda x: 5, 1.0)
    assert f.value_and_grad(3.0) == (5.0, (0.0,))
    values, (grad,) = f.value_and_grad([3.0, 4.0])
    assert (values.tolist(), grad.tolist()) == ([5.0, 5.0], [0.0, 0.0])
    values, (grad,) = pygrad.compile(lambda x: w, 1.0).value_and_grad([3.0, 4.0, 5.0])
    assert (values.tolist(), grad.tolist()) == ([2.0] * 3, [0.0] * 3)
    assert w.grad == 4


def test_an_argument_of_numbers_in_a_row_is_an_array():
    seen = []

    def fn(x, y, z):
        seen.extend([x, y, z])
        return x[0][1] * y[1] * z.sum()

    f = pygrad.compile(fn, [[1.0, 2.0]], (3, 4), np.ones((1, 2), dtype=np.float32))
    x, y, z = seen
    assert isinstance(x, list)
    assert isinstance(x[0], list)
    assert isinstance(y, tuple)
    assert isinstance(z, pygrad.Array)
    value, grads = f.value_and_grad([[1.0, 2.0]], (3, 4), np.ones((1, 2)))
    assert value == 16
    assert [g.tolist() for g in grads] == [[[0.0, 8.0]], [0.0, 4.0], [[8.0, 8.0]]]
    del seen[:]


def test_an_argument_of_no_regular_shape_keeps_its_structure():
    f = pygrad.compile(lambda x: x[0][0] * x[1][1] + x[2].sum(), ([1.0], (2.0, 3.0), np.zeros(2)))
    value, (grad,) = f.value_and_grad(([2.0], (5.0, 3), [1.0, 1.0]))
    assert value == 8
    assert grad[:2] == ([3.0], (0.0, 2.0))
    assert grad[2].tolist() == [1.0, 1.0]
    batch = ([np.array([2.0, 3.0, 4.0])], ([0.0] * 3, np.array([1, 2, 3])), np.zeros((3, 2)))
    assert f(batch).tolist() == [2.0, 6.0, 12.0]
    values, (grad,) = f.value_and_grad(batch)
    assert values.tolist() == [2.0, 6.0, 12.0]
    assert grad[0][0].tolist() == [1.0, 2.0, 3.0]
    assert grad[1][1].tolist() == [2.0, 3.0, 4.0]
    assert grad[2].tolist() == [[1.0, 1.0]] * 3
    with pytest.raises(ValueError, match="argument 0 must have the structure"):
        f(([1.0], (2.0, 3.0, 4.0), [0.0, 0.0]))
    with pytest.raises(ValueError, match="argument 0 must have the structure"):
        f((1.0, (2.0, 3.0), [0.0, 0.0]))
    with pytest.raises(ValueError, match=r"got shapes \[\(2,\), \(\), \(\), \(2,\)\]"):
        f(([[1.0, 2.0]], (2.0, 3.0), [0.0, 0.0]))
    with pytest.raises(ValueError, match="got shapes"):
        f(([[1.0, 2.0]], ([2.0] * 3, [3.0] * 3), [[0.0, 0.0]] * 3))


def test_shared_and_batched_arguments_mix():
    f = pygrad.compile(lambda x, y, z: (x * y).sum() + z, np.zeros(2), np.zeros(2), 0.0)
    x, y, z = np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]]), np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(f(x, y, z), [1.1, 2.2, 9.3])
    np.testing.assert_allclose(f(x, y, 0.5), [1.5, 2.5, 9.5])
    values, (dx, dy, dz) = f.value_and_grad(x, y, 0.5)
    assert dx.tolist() == [4.0, 4.0]
    assert dy.tolist() == [[1.0, 2.0]] * 3
    assert dz == 3
    assert type(dz) is float
    values, (dx, dy, dz) = f.value_and_grad(x, y[0], z, cotangent=[1.0, 2.0, 3.0])
    assert values.shape == (3,)
    assert dx.tolist() == [6.0, 0.0]
    assert dy.tolist() == [6.0, 12.0]
    assert dz.tolist() == [1.0, 2.0, 3.0]
    values, (dx, dy, dz) = f.value_and_grad(x, y[0], 0.0, cotangent=[1.0, 2.0])
    assert values.tolist() == [1.0, 1.0]
    assert dx.tolist() == [3.0, 0.0]
    assert dz == 3


@pytest.mark.parametrize(
    "x",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1, 2, 3]),
        np.array([1, 2, 3], dtype=np.float32),
        np.array([1.0, 9.0, 2.0, 9.0, 3.0])[::2],
        np.array([3.0, 2.0, 1.0])[::-1],
        np.array([1.0, 2.0, 3.0], dtype=">f8"),
        [Fraction(1), True, np.float64(2)],
        np.array([1, 2.0, 3], dtype=object),
        np.lib.stride_tricks.as_strided(np.array([1.0, 2.0, 3.0]), writeable=False),
    ],
)
def test_numbers_of_every_kind_are_converted(x):
    f = pygrad.compile(lambda x: x[0] + 10 * x[1] + 100 * x[2], [0.0] * 3)
    expected = sum(float(xi) * w for xi, w in zip(x, [1, 10, 100]))
    assert f(x) == expected
    assert f.value_and_grad(x)[0] == expected
    assert f([list(x), list(x)]).tolist() == [expected, expected]
    g = pygrad.compile(lambda x: -x, 1)
    assert g(x).tolist() == [-float(xi) for xi in x]
    assert g(x[0]) == -x[0]


@pytest.mark.parametrize("batch", [1, 3, 64, 65, 200])
def test_the_gradient_of_what_is_shared_is_infinite_where_a_sample_s_is(batch):
    w = Value(1.0)
    x = np.ones(batch)
    x[-1] = math.inf
    f = pygrad.compile(lambda x, y: x * y * w, 1.0, 1.0)
    _, (by_x, by_y) = f.value_and_grad(x, 2.0)
    assert by_x.tolist() == [2.0] * batch
    assert (by_y, w.grad) == (math.inf, math.inf)


def test_a_transposed_batch_is_read_in_its_own_order():
    x = np.arange(6.0).reshape(2, 3)
    f = pygrad.compile(lambda x: x[0] - 10 * x[1], [0.0, 0.0])
    assert f(x.T).tolist() == [-30.0, -39.0, -48.0]


def test_a_batch_of_none_gives_none():
    w = Value(2.0)
    f = pygrad.compile(lambda x, y: w * x.sum() * y, np.zeros(3), 1.0)
    assert f(np.empty((0, 3)), 1.0).shape == (0,)
    values, (dx, dy) = f.value_and_grad(np.empty((0, 3)), 5.0)
    assert (values.shape, dx.shape, dy, w.grad) == ((0,), (0, 3), 0.0, 0.0)
    g = pygrad.compile(lambda x: [x, x[0]], np.zeros(3))
    assert [r.shape for r in g(np.empty((0, 3)))] == [(0, 3), (0,)]


def test_an_argument_may_be_empty():
    f = pygrad.compile(lambda x, y: sum(x, y), [], 1.0)
    value, (dx, dy) = f.value_and_grad([], 2.0)
    assert (value, dx.shape, dy) == (2.0, (0,), 1.0)
    values, (dx, dy) = f.value_and_grad(np.empty((3, 0)), 2.0)
    assert (values.tolist(), dx.shape, dy) == ([2.0] * 3, (3, 0), 3.0)


def test_results_are_the_caller_s_to_change():
    f = pygrad.compile(lambda x: x, np.zeros(2))
    x = np.array([1.0, 2.0])
    value = f(x)
    value[0] = 5
    assert x.tolist() == [1.0, 2.0]
    assert f(x).tolist() == [1.0, 2.0]


# Refusals ---------------------------------------------------------------------------------------------------------


def test_other_arguments_than_those_traced_are_refused():
    f = pygrad.compile(lambda x, y: x.sum() * y, np.zeros(3), 1.0)
    with pytest.raises(TypeError, match=r"<lambda>\(\) takes 2 arguments \(shapes \(3,\), \(\)\), got 1"):
        f([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="got 3"):
        f.value_and_grad(1.0, 2.0, 3.0)
    shape = r"argument 0 must have shape \(3,\), or for a batch \(B, 3\); got shape "
    for x, s in [([1.0], r"\(1,\)"), (1.0, r"\(\)"), (np.zeros((2, 3, 1)), r"\(2, 3, 1\)"), ([], r"\(0,\)")]:
        with pytest.raises(ValueError, match=shape + s):
            f(x, 1.0)
    with pytest.raises(ValueError, match=r"argument 1 must have shape \(\), or for a batch \(B,\)"):
        f(np.zeros(3), [[1.0]])
    with pytest.raises(ValueError, match=r"argument 0 must have shape .* no array"):
        f([1.0, [2.0]], 1.0)
    with pytest.raises(ValueError, match="argument 0 is a batch of 2, argument 1 is a batch of 4"):
        f(np.zeros((2, 3)), np.zeros(4))
    with pytest.raises(ValueError, match="cotangent must have one number for each sample of the batch of 2, got 3"):
        f.value_and_grad(np.zeros((2, 3)), 1.0, cotangent=[1.0] * 3)
    with pytest.raises(ValueError, match="cotangent must be a number"):
        f.value_and_grad(np.zeros(3), 1.0, cotangent=[[1.0]])


@pytest.mark.parametrize("x", ["1.0", None, 1j, [1.0, "2", 3.0], Value(1.0), [Value(1.0)] * 3, {}, object()])
def test_what_is_no_number_is_refused(x):
    f = pygrad.compile(lambda x: x[0], [0.0] * 3)
    with pytest.raises(TypeError, match="argument 0 must consist of real numbers"):
        f(x)
    g = pygrad.compile(lambda x: x[0], ([0.0], 1.0))
    with pytest.raises(TypeError, match="argument 0 must consist of real numbers"):
        pygrad.compile(lambda x: x[0][0], ([0.0], 1.0))(([x], 1.0))
    del g


@pytest.mark.parametrize("x", ["1.0", None, 1j, [1.0, "2"], Value(1.0), {"a": 1.0}, np.array("x")])
def test_what_is_no_example_is_refused(x):
    with pytest.raises(TypeError, match="an example must be a number"):
        pygrad.compile(lambda x: x, x)


@pytest.mark.parametrize("x", ["1.0", None, [1.0, "2"], object(), 1j])
def test_what_is_no_result_is_refused(x):
    with pytest.raises(TypeError, match=r"<lambda>\(\) must return Values, Arrays, numbers, or lists"):
        pygrad.compile(lambda _: x, 1.0)


@pytest.mark.parametrize("result", [lambda x: [x], lambda x: pygrad.array([x]), lambda x: {"x": x}, lambda x: []])
def test_a_gradient_is_that_of_one_scalar(result):
    f = pygrad.compile(result, 1.0)
    with pytest.raises(TypeError, match=r"needs a function with one scalar result; <lambda>\(\) returns"):
        f.value_and_grad(1.0)


@pytest.mark.parametrize("threads", [0, -1, 1 << 31, 1.5, "2", None])
def test_threads_are_a_number_of_them(threads):
    error = TypeError if not isinstance(threads, int) else ValueError
    with pytest.raises(error, match=f"threads must be between 1 and .*, got {threads}|integer"):
        pygrad.compile(lambda x: x, 1.0, threads=threads)
    f = pygrad.compile(lambda x: x, 1.0)
    with pytest.raises(error):
        f.threads = threads
    assert f.threads == 1


def test_the_parameters_cannot_be_assigned():
    w = Value(2.0)
    f = pygrad.compile(lambda x: x * w, 1.0)
    with pytest.raises(AttributeError):
        f.parameters = pygrad.array([])
    assert f.parameters.tolist() == [w]


@on_cffi
def test_a_result_that_is_gone_is_a_reference_error(no_leak):
    def fn(x):
        y = x * 2
        y.__del__()
        return y

    with pytest.raises(ReferenceError, match="the result of fn: the node was freed"):
        pygrad.compile(fn, 1.0)


def test_a_function_may_have_any_name():
    class Twice:
        __name__ = 5

        def __call__(self, x):
            return x * 2

    f = pickle.loads(pickle.dumps(pygrad.compile(Twice(), 1.0)))
    assert f(3.0) == 6
    assert "Twice" in repr(f)


def test_a_value_with_a_python_backward_is_refused(no_leak):
    def double(v):
        out = Value(6.0, (v,), "double")
        out._backward = lambda: None
        return out

    with pytest.raises(TypeError, match=r"double\(\) uses Values with a _backward in Python"):
        pygrad.compile(double, 3.0)
    hooked = Value(2.0)
    hooked._backward = lambda: None
    with pytest.raises(TypeError, match="_backward in Python"):
        pygrad.compile(lambda x: [x, x * hooked], 3.0)


def test_what_the_function_raises_ends_the_trace(no_leak):
    with pytest.raises(ZeroDivisionError):
        pygrad.compile(lambda x: 1 / x, 0.0)
    w = Value(2.0)  # not traced: a parameter
    f = pygrad.compile(lambda x: w * x, 1.0)
    w.data = 3.0
    assert f(1.0) == 3


def test_a_trace_inside_a_trace_is_refused():
    with pytest.raises(RuntimeError, match="by a function that is being compiled"):
        pygrad.compile(lambda x: pygrad.compile(lambda y: y, 1.0)(2.0) * x, 1.0)
    inner = pygrad.compile(lambda y: y * 2, 1.0)
    assert pygrad.compile(lambda x: x * inner(3.0), 1.0)(2.0) == 12


def in_the_middle_of_a_trace(work):
    """Do the work in this thread while another traces a function."""
    begun, ended = threading.Event(), threading.Event()

    def fn(x):
        begun.set()
        assert ended.wait(60)
        return x * 2

    thread = threading.Thread(target=lambda: pygrad.compile(fn, 1.0))
    thread.start()
    assert begun.wait(60)
    try:
        return work()
    finally:
        ended.set()
        thread.join()


def test_what_another_thread_makes_during_a_trace_is_no_part_of_it():
    def work():
        before = live_nodes()
        return Value(2.0), pygrad.array([1.0, 2.0]), F.softmax([1.0, 2.0]), live_nodes() - before

    w, b, _, made = in_the_middle_of_a_trace(work)
    f = pygrad.compile(lambda x: x * w + b.sum(), 1.0)
    assert f.parameters.data.tolist() == [2, 1, 2]
    assert made == work()[-1]  # softmax as one call of C, not as a traced one


def test_a_leaf_made_in_an_earlier_trace_is_a_parameter():
    kept = []

    def fn(x):
        kept[:] = kept or [Value(3.0), x]
        return x * kept[0]

    pygrad.compile(fn, 2.0)
    f = pygrad.compile(lambda y: fn(y) * kept[1], 1.0)
    assert sorted(f.parameters.data.tolist()) == [2, 3]
    kept[0].data = 5.0
    assert f(1.0) == 10


def test_a_fork_in_the_middle_of_another_thread_s_trace_can_compile():
    def fork():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(60)
                w = Value(3.0)
                f = pygrad.compile(lambda x: x * w, 1.0)
                status = 0 if f(2.0) == 6 and f.parameters.size == 1 else 2
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert in_the_middle_of_a_trace(fork) == 0


# Warnings, check_finite, texts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: x if x.data > 0 else -x,
        lambda x, y: x * float(x),
        lambda x, y: x * str(x * 2).count("0"),
        lambda x, y: x * y.data[0],
        lambda x, y: x * (y * 2).data[0],
        lambda x, y: x * y[0].data,
        lambda x, y: (x * x).backward() or x.grad * x,
        lambda x, y: x * y.grad[0],
        lambda x, y: setattr(x, "data", 7.0) or x * 2,
        lambda x, y: setattr(y, "data", [7.0, 7.0]) or y.sum() * x,
    ],
)
def test_reading_or_setting_a_traced_number_is_warned_of(fn):
    with pytest.warns(TraceWarning, match=r"<lambda>\(\) read or set the numbers of [1-9]") as caught:
        f = pygrad.compile(fn, 2.0, np.ones(2))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    f(1.0, [5.0, 5.0])


def test_reading_the_number_of_a_parameter_is_not_warned_of():
    w = Value(2.0)
    assert pygrad.compile(lambda x: x * w.data, 1.0)(3.0) == 6


def test_what_is_not_finite_is_raised_if_wanted():
    w = Value(0.0)
    f = pygrad.compile(lambda x: [x, x.log()], 1.0, check_finite=True)
    assert f(1.0) == [1.0, 0.0]
    with pytest.raises(FloatingPointError, match=r"a result of <lambda> is -inf, at index \(1,\)"):
        f(0.0)
    with pytest.raises(FloatingPointError, match=r"a result of <lambda> is nan, at index \(2, 1\)"):
        f([1.0, 2.0, -1.0])
    g = pygrad.compile(lambda x, y: x.sqrt() + y, 1.0, 1.0, check_finite=True)
    with pytest.raises(FloatingPointError, match="the gradient by argument 0 of <lambda> is inf"):
        g.value_and_grad(0.0, 1.0)
    w.data = 1.0
    h = pygrad.compile(lambda x: w.sqrt() * x, 1.0, check_finite=True)
    assert h.value_and_grad(1.0) == (1.0, (1.0,))
    w.data, w.grad = 0.0, 0.0
    with pytest.raises(FloatingPointError, match="the gradient by a parameter of <lambda> is inf"):
        h.value_and_grad(1.0)
    assert w.grad == 0
    assert pygrad.compile(lambda x: x.log(), 1.0)(0.0) == -math.inf


def test_a_program_can_be_read():
    w, table = Value(2.0), pygrad.array([1.0, 5.0])
    f = pygrad.compile(lambda x, i: (w * x).sum() * table[i] + 0.5, np.zeros(3), pygrad.index(0))
    assert repr(f) == "<Program of <lambda>: 4 inputs, 3 parameters, 18 instructions>"
    recorded = str(f)
    for line in ["%0 = parameter 0", "= input 2", "* %0", "= 0.5", "= lookup", "return %17"]:
        assert line in recorded
    assert "code for" not in recorded
    f.value_and_grad(np.zeros((2, 3)), 1)
    code = str(f)[len(recorded) :]
    for line in [
        "code for ((True, False, False), 1):",
        "parameters: s0..2",
        "input 0 to 2: b0..2",
        "constant 0.5: ",
        "once, before the batch:",
        "for each tile of the batch:",
        "t < 3: s0 b0[t]",
        "+= total",
        "= scatter {",
        "results:",
    ]:
        assert line in code


@pytest.mark.skipif(not shutil.which("localedef"), reason="makes a locale")
def test_a_decimal_comma_changes_no_derivative(python, tmp_path):
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"], capture_output=True)
    if made.returncode:
        pytest.skip("there is no de_DE")
    code = """if True:
        import locale, pygrad
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        assert locale.localeconv()["decimal_point"] == ","
        print(pygrad.compile(lambda x: x.sqrt() + x.log(), 1.0).value_and_grad(1.0))
    """
    assert python(code, env={**os.environ, "LOCPATH": str(tmp_path)}).split() == ["(1.0,", "(1.5,))"]


# Threads ----------------------------------------------------------------------------------------------------------


def test_threads_may_share_a_program():
    w = Value(2.0)
    f = pygrad.compile(lambda x: (w * x).tanh() * x, 1.0)
    batches = np.random.default_rng(0).uniform(-1, 1, (200, 300))
    expected = [(bits(f(x)), bits(f.value_and_grad(x)[1][0])) for x in batches]
    w.grad = 0.0
    f = pygrad.compile(lambda x: (w * x).tanh() * x, 1.0)  # without routines yet
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda x: (bits(f(x)), bits(f.value_and_grad(x)[1][0])), batches)
    assert list(found) == expected
