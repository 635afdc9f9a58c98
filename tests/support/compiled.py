"""Checks of Programs against the reference."""

import numpy as np
import pytest
from hypothesis import strategies as st

import pygrad
from pygrad import Value, reference
from pygrad.program.native import compiler
from support.programs import EDGES, ERRORS, agree, expected

BATCHES = [1, 7, 8, 9, 63, 64, 65]
BACKENDS = ["kernels", pytest.param("native", marks=pytest.mark.skipif(not compiler(), reason="there is no compiler"))]


def some(x, n, rng):
    """n numbers: moderate ones, edges, and x itself."""
    return np.where(rng.random(n) < 0.1, rng.choice([*EDGES, x], n), rng.uniform(-2, 2, n))


def check(fn, numbers, parameters, shared, batch, rng, **options):
    """Check a Program against the reference, for one sample (batch None) or a batch with some arguments shared."""
    leaves = [Value(x) for x in parameters]
    f = pygrad.compile(lambda *args: fn(Value, [*args, *leaves]), *numbers, **options)
    args = [x if batch is None or s else some(x, batch, rng) for x, s in zip(numbers, shared)]
    cotangent = 1.0 if batch is None or rng.random() < 0.5 else rng.uniform(-2, 2, batch)
    for v in leaves:
        v.grad = 2.0
    values, grads = f.value_and_grad(*args, cotangent=cotangent)
    check_results(fn, args, parameters, cotangent, values, f(*args), [*grads, *(v.grad - 2.0 for v in leaves)])


def check_results(fn, args, parameters, cotangent, values, results, gradients):
    """Check the values, found twice, and the gradients by arguments and parameters, against the reference."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in [*args, cotangent]))
    samples = np.array([np.broadcast_to(x, shape).ravel() for x in [*args, *parameters, cotangent]]).T.tolist()
    truths = [expected(fn, sample, weight) for *sample, weight in samples]
    results = np.broadcast_to(results, shape)
    assert np.shape(values) == shape
    for i, truth in enumerate(truths):
        if truth is not None:
            agree([np.ravel(values)[i], np.ravel(results)[i]], truth[0][0], truth[1][0])
    for k, gradient in enumerate(gradients, 1):
        if np.ndim(gradient):
            for ours, truth in zip(gradient, truths):
                if truth is not None:
                    agree(ours, truth[0][k], truth[1][k])
        elif all(truth is not None for truth in truths):
            exact, off = ([truth[part][k] for truth in truths] for part in (0, 1))
            with np.errstate(all="ignore"):
                agree(gradient, np.sum(exact), np.sum(off) + 1e-12 * (2 + np.sum(np.abs(exact))))


def tangent_of_gradient(fn, x, direction):
    """Central differences of the reference's gradient, or None where these cannot tell; and a size for tolerances."""

    def gradient(at):
        values = [reference.Value(v) for v in at]
        out = fn(reference.Value, values)
        out.backward()
        return np.array([v.grad for v in values]), out.data

    def difference(h):
        return (gradient(x + h * direction)[0] - gradient(x - h * direction)[0]) / (2 * h)

    try:
        with np.errstate(all="ignore"):
            coarse, fine = difference(2e-5), difference(1e-5)
            slopes, value = gradient(x)
            size = np.abs(fine).max() + np.abs(slopes).max() + 1 + abs(value)  # which rounding grows with
            known = size < 1e4 and np.abs(coarse - fine).max() < 1e-6 * size
            rounded = expected(fn, x, 1.0)  # terms that cancel may hide all of the gradient, whatever its size
            known = known and rounded is not None and rounded[1].max() < 1e-6 * size
    except ERRORS:
        return None, 0.0
    return fine if known else None, size


numbers = st.lists(st.floats(-2, 2), min_size=1, max_size=4)
seeds = st.integers(0, 1 << 32)


def bits(x):
    return np.ascontiguousarray(x).tobytes()
