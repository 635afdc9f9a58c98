"""A Program computes what `pygrad.reference` does, for one sample and for many."""

import contextlib
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Value, reference
from support import on_cpython, ops
from support.compiled import BATCHES, check, numbers, seeds
from support.effort import examples, long
from support.optimizations import WITHOUT, disabled
from support.programs import EDGES, ERRORS, RECORDED, agree, evaluate, function, possible, programs


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("without", WITHOUT)
@examples(150)
@given(programs(RECORDED), numbers, st.lists(st.floats(-2, 2), max_size=3), seeds)
def test_one_sample_gives_the_reference_s_value_and_gradients(without, steps, numbers, parameters, seed):
    random.seed(seed)
    steps = possible(steps, numbers + parameters)
    rng = np.random.default_rng(seed)
    with disabled(without):
        check(function(steps), numbers, parameters, [False] * len(numbers), None, rng)


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("without", WITHOUT)
@examples(60)
@given(programs(RECORDED), numbers, st.lists(st.floats(-2, 2), max_size=3), seeds, st.sampled_from(BATCHES))
def test_a_batch_gives_the_reference_s_values_and_gradients(without, steps, numbers, parameters, seed, batch):
    random.seed(seed)
    steps = possible(steps[:40], numbers + parameters)
    rng = np.random.default_rng(seed)
    shared = [rng.random() < 0.3 for _ in numbers]
    with disabled(without):
        check(function(steps), numbers, parameters, shared, batch, rng)


@long
@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("batch", [1000])
@examples(5)
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
def test_an_op_gives_inf_and_nan_as_in_numpy(name, without):
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
            # Values compute 1 / y first, which overflows where x / y does not.
            near |= np.isin(name, ["/", "x/"]) & (np.abs(pairs).min(axis=1) < 1e-307)
            near |= np.isin(name, ["/", "x/"]) & (np.abs(pairs).max(axis=1) > 1e307)
            near |= np.isin(name, ["sum"]) & (np.abs(pairs[:, 0]) > 1e308)  # summed in another order
            assert near.all(), list(zip(pairs[~near], ours[~near], true[~near]))[:5]


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize("name", sorted(RECORDED))
def test_an_op_gives_the_reference_s_gradients_at_the_edges(name, without):
    edges = np.array([*EDGES, 2.0, -2.0, 0.1, 5.0, 1e-170, 1e170])
    x, y = (numbers.ravel() for numbers in np.meshgrid(edges, edges))
    if name == "/":  # where y**-2 is 0, a Program is more precise than the reference
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
