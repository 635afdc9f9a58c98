"""How a Program runs: threads, tiles, many parameters, interrupts."""

import math
import random
import re

import numpy as np
import pytest

import pygrad
from pygrad import Value, nn, reference
from pygrad import functional as F
from support.compiled import BACKENDS, BATCHES, bits
from support.loops import LOOPS
from support.optimizations import WITHOUT, disabled


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
def test_a_compiled_model_of_nn_gives_the_model_s_values_and_gradients(batch, without):
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
def test_a_compiled_model_of_arrays_gives_the_model_s_values_and_gradients(without):
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


def test_a_chain_of_a_hundred_thousand_ops_needs_no_recursion():
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


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batched", [True, False])
def test_a_sum_of_many_steps_does_not_keep_its_terms(batched, backend):
    def steps(x, a):
        y, total = x, x * 0.5
        for k in range(1200):
            y = (y + a) * (0.5 if k % 2 else -0.25)
            total = total + (y * a if k % 3 else y)
        return total

    x, a = np.linspace(-1, 1, 5), np.full(5, 0.7) if batched else 0.7
    f = pygrad.compile(steps, 1.0, 1.0, backend=backend)
    np.testing.assert_allclose(f(x, a), steps(x, a), rtol=1e-12)
    assert slots_of_a_sample(f) < 10
    _, (by_x, by_a) = f.value_and_grad(x, a)
    assert slots_of_a_sample(f) < 1500
    h = 1e-6
    np.testing.assert_allclose(by_x, (steps(x + h, a) - steps(x - h, a)) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(np.sum(by_a), np.sum(steps(x, a + h) - steps(x, a - h)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_sums_of_the_same_steps_are_one_loop(backend):
    weights = np.random.default_rng(0).normal(size=(8, 1100))

    def sums(x):
        states = []
        for _ in range(1100):
            x = (x * 0.9 + 0.3).sin()
            states.append(x)
        return (pygrad.array(weights) @ pygrad.stack(states)).tanh().sum()

    f = pygrad.compile(sums, 1.0, backend=backend)
    x = np.linspace(-1, 1, 5)
    np.testing.assert_allclose(f(x), [sums(Value(each)).data for each in x], rtol=1e-12)
    assert "i < 8, t < 1100" in str(f)


def slots_of_a_sample(f):
    """How many the code for the newest kind of call has."""
    return int(re.findall(r"(\d+) of one a sample", str(f))[-1])
