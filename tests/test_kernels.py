"""The vector kernels of Programs: each op, with each instruction set, in batches that end anywhere in a tile."""

import re

import numpy as np
import pytest

import pygrad
from pygrad._lib import lib
from support import ops
from support.programs import EDGES

TILE = 128  # samples that a kernel computes at once, at most; see PG_TILE
BATCHES = [1, 2, 3, 4, 5, 7, 8, 9, 40, 63, 64, 65, TILE - 1, TILE, TILE + 1, 2 * TILE - 1, 2 * TILE, 2 * TILE + 1]
ULPS = 8  # of NumPy and of the kernel, together


@pytest.fixture(params=[0, 1, 2])
def instruction_set(request):
    """An instruction set, each with vectors of another width."""
    if not lib.pg_test_use_instruction_set(request.param):
        pytest.skip(f"this machine does not have instruction set {request.param}")
    yield request.param
    lib.pg_test_use_instruction_set(-1)


def operands_of(case, n):
    """Rows of operands, mixed: the samples of the case, n of each of its ranges, and n edges."""
    rng = np.random.default_rng(1)
    drawn = [np.atleast_2d(draw(rng, n)) for draw in case.ranges.values()]
    edges = rng.choice(EDGES, (case.arity, n))
    return rng.permutation(np.concatenate([np.array(case.samples).T, *drawn, edges], axis=1), axis=1)


def same(found, expected):
    """Whether numbers agree to some units in the last place; nan and infinities are themselves."""
    with np.errstate(all="ignore"):
        near = np.abs(found - expected) <= ULPS * np.spacing(np.abs(expected))
    return near | (found == expected) | (np.isnan(found) & np.isnan(expected))


def comparable(case, xs):
    """Where NumPy's result is the op's."""
    if case.name == "x ** y":  # NumPy's power is the square root there
        return ~((xs[0] == -np.inf) & (xs[1] == 0.5))
    return np.full(xs.shape[1], True)


@pytest.mark.parametrize("case", ops.ALL, ids=lambda case: case.name)
def test_a_kernel_gives_the_scalar_function_s_numbers_in_batches_of_every_size(case, instruction_set):
    f = pygrad.compile(case.write, *case.samples[0])
    xs = operands_of(case, max(BATCHES))
    with np.errstate(all="ignore"):
        expected = case.numpy(*xs)
    whole = f(*xs)
    wrong = ~same(whole, expected) & comparable(case, xs)
    assert not wrong.any(), f"{case.name} of {xs[:, wrong].T[:3]}: {whole[wrong][:3]}, by NumPy {expected[wrong][:3]}"
    for n in BATCHES:
        assert f(*xs[:, :n]).tobytes() == whole[:n].tobytes(), f"a batch of {n}"
        assert f(*xs[:, -n:]).tobytes() == whole[-n:].tobytes(), f"a batch of {n}"
    one = [f(*x) for x in xs.T[:9].tolist()]
    assert np.array(one).tobytes() == whole[:9].tobytes()


@pytest.mark.parametrize("case", [case for case in ops.ALL if case.arity == 2], ids=lambda case: case.name)
@pytest.mark.parametrize("shared", [0, 1])
def test_a_kernel_takes_an_operand_that_all_samples_share(case, shared, instruction_set):
    f = pygrad.compile(case.write, *case.samples[0])
    xs = operands_of(case, max(BATCHES))
    for number in [*case.samples[0], 2.0, -0.5]:
        xs[shared] = number
        operands = [number if i == shared else x for i, x in enumerate(xs)]
        for n in BATCHES:
            found = f(*(x[:n] if np.ndim(x) else x for x in operands))
            assert found.tobytes() == f(*xs[:, :n]).tobytes()


@pytest.mark.parametrize("case", ops.ALL, ids=lambda case: case.name)
def test_a_kernel_of_an_adjoint_gives_the_slope_in_batches_of_every_size(case, instruction_set):
    f = pygrad.compile(case.write, *case.samples[0])
    samples = np.array(case.samples).T
    true = case.slopes_at(*samples)
    for n in BATCHES:
        at = np.arange(n) % samples.shape[1]
        _, found = f.value_and_grad(*samples[:, at])
        for ours, exact in zip(found, true):
            np.testing.assert_allclose(ours, exact[at], rtol=1e-14, atol=1e-16)


def walk(steps):
    """A random walk of 8 numbers, and the sum of what these are on the way."""

    def fn(scale, normals):
        ys, total = [0.0] * 8, 0.0
        for step in range(steps):
            for i in range(8):
                slope = scale[i] + ys[i] * ys[i] * 0.1
                ys[i] = ys[i] + slope * normals[step][i] - slope * slope * 0.5
                total = total + ys[i].exp()
        return total

    return fn


@pytest.mark.parametrize("batch", [64, 200])
def test_temporary_values_of_a_long_program_share_slots(batch):
    """A step needs its numbers on the way back, not its temporary values."""
    slots = []
    for steps in (20, 40):
        normals = np.random.default_rng(2).normal(size=(batch, steps, 8)) / 10
        f = pygrad.compile(walk(steps), np.full(8, 0.1), normals[0])
        f.value_and_grad(np.full(8, 0.1), normals)
        slots.append(int(re.findall(r"(\d+) of one a sample", str(f))[-1]))
    inputs, outputs, kept = 8, 8, 3 * 8
    assert slots[1] - slots[0] <= 20 * (inputs + outputs + kept)
