"""Random programs over any engine with micrograd's API, for differential testing.

A program is a list of steps (name, i, j, x): an op on the i-th and j-th Value made so far and the number x, an edit,
or a backward pass. Running it gives its Values and what each step raised.
"""

import math
import operator
import random
import struct
from unittest import mock

import numpy as np
from hypothesis import strategies as st

from pygrad import reference
from support import ops

MICROGRAD_STEPS = {
    "leaf": lambda V, a, b, x: V(x),
    "+": lambda V, a, b, x: a + b,
    "-": lambda V, a, b, x: a - b,
    "*": lambda V, a, b, x: a * b,
    "/": lambda V, a, b, x: a / b,
    "neg": lambda V, a, b, x: -a,
    "relu": lambda V, a, b, x: a.relu(),
    "+x": lambda V, a, b, x: a + x,
    "x+": lambda V, a, b, x: x + a,
    "-x": lambda V, a, b, x: a - x,
    "x-": lambda V, a, b, x: x - a,
    "*x": lambda V, a, b, x: a * x,
    "x*": lambda V, a, b, x: x * a,
    "/x": lambda V, a, b, x: a / x,
    "x/": lambda V, a, b, x: x / a,
    "**2": lambda V, a, b, x: a**2,
    "**n": lambda V, a, b, x: a ** round(x),
    "sum": lambda V, a, b, x: sum([a, b, a]),
}


def _add_to_grad(a, share):
    """Add to a grad, and store the sum as pygrad does: the reference stores an int of any size as it is."""
    a.grad = reference._number(a.grad + share)


def _custom(V, a, b, x):
    """Add an op as in micrograd's lecture."""
    out = V(a.data * x + b.data, (a, b), "custom")

    def _backward():
        _add_to_grad(a, x * out.grad)
        _add_to_grad(b, out.grad)

    out._backward = _backward
    return out


def _hook(V, a, b, x):
    """Replace a _backward with one that calls it."""
    step = a._backward

    def _backward():
        step()
        _add_to_grad(b, x)

    a._backward = _backward


def _of_ops():
    """Each op of the table of cases, on Values and with a number on either side."""
    for case in ops.METHODS:
        if case.arity == 1:
            yield case.name, lambda V, a, b, x, write=case.write: write(a)
        else:
            yield case.name, lambda V, a, b, x, write=case.write: write(a, b)
            yield f"{case.name}x", lambda V, a, b, x, write=case.write: write(a, x)
    for case in ops.OPERATORS:
        apply = getattr(operator, case.method)
        yield case.symbol, lambda V, a, b, x, apply=apply: apply(a, b)
        yield f"{case.symbol}x", lambda V, a, b, x, apply=apply: apply(a, x)
        yield f"x{case.symbol}", lambda V, a, b, x, apply=apply: apply(x, a)


STEPS = {
    **MICROGRAD_STEPS,
    **dict(_of_ops()),
    "**n": lambda V, a, b, x: a ** (round(x) if math.isfinite(x) else x),
    "custom": _custom,
    "unfinished": lambda V, a, b, x: V(x, {a, b}, "unfinished"),
    "hook": _hook,
    "data": lambda V, a, b, x: setattr(a, "data", x),
    "grad": lambda V, a, b, x: setattr(a, "grad", x),
    "backward": lambda V, a, b, x: a.backward(),
    "step": lambda V, a, b, x: a._backward() and None,
    "forget": lambda V, a, b, x: None,
}

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 5e-324, 1e-308, 1e154, 1.7976931348623157e308, math.inf, -math.inf, math.nan]


def programs(steps, edges=(), only=()):
    """Short programs, which shrink well, and programs of hundreds of steps; with moderate numbers and edges.

    `only`: the numbers to draw from instead.
    """
    names = sorted(steps)
    positions = st.integers(0, 1 << 30)
    numbers = st.floats(-2, 2) | st.sampled_from(edges) if edges else st.floats(-2, 2)
    numbers = st.sampled_from(only) if only else numbers

    def long_program(seed, length):
        rng = random.Random(seed)

        def number():
            if only:
                return rng.choice(only)
            return rng.choice(edges) if edges and rng.random() < 0.05 else rng.uniform(-2, 2)

        return [(rng.choice(names), rng.randrange(1 << 30), rng.randrange(1 << 30), number()) for _ in range(length)]

    short = st.lists(st.tuples(st.sampled_from(names), positions, positions, numbers))
    return short | st.builds(long_program, st.integers(0, 1 << 32), st.integers(50, 500))


def run(V, program, steps=STEPS):
    values, raised = [V(0.5), V(-3.0)], []
    for name, i, j, x in program:
        a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
        try:
            result = steps[name](V, a, b, x)
        except ArithmeticError as error:
            raised.append(type(error))
        except ValueError as error:
            raised.append(type(error))
        else:
            raised.append(None)
            if isinstance(result, V):
                values.append(result)
        if name == "forget" and len(values) > 2:
            values.remove(a)
    return values, raised


def bits(x):
    """The bits of a float; all nans count as the same."""
    return "nan" if math.isnan(x) else struct.pack("d", x)


def shape(root):
    """A key that two graphs share if they are isomorphic."""
    numbered = {root: 0}
    order = [root]
    for v in order:
        for child in v._prev:
            if child not in numbered:
                numbered[child] = len(order)
                order.append(child)
    keys = {}

    def key(v):
        todo = [v]
        while todo:
            v = todo[-1]
            missing = [child for child in v._prev if child not in keys]
            if missing:
                todo += missing
            else:
                todo.pop()
                keys[v] = hash((v._op, bits(v.data + 0.0), tuple(sorted(keys[child] for child in v._prev))))
        return keys[v]

    return key(root), len(order), sum(len(v._prev) for v in order)


# Programs as functions to compile -----------------------------------------------------------------------------

ERRORS = (ArithmeticError, ValueError)
NOT_RECORDED = {"custom", "unfinished", "hook", "data", "grad", "backward", "step", "forget"}
RECORDED = {name: step for name, step in STEPS.items() if name not in NOT_RECORDED}
ROUGH = {name for case in ops.METHODS if case.stops or not case.smooth for name in (case.name, f"{case.name}x")}
ROUGH |= {name for case in ops.OPERATORS if not case.smooth for name in (case.symbol, f"x{case.symbol}")}
SMOOTH = {name: step for name, step in RECORDED.items() if name not in ROUGH}


class ExtremeError(ArithmeticError):
    """A number so large or small that results depend on the order of operations."""


def noise(x):
    """x with the error of a few roundings."""
    if x and math.isfinite(x):
        if not 1e-100 < abs(x) < 1e100:
            raise ExtremeError
        x *= 1 + random.uniform(-1, 1) * 2**-50
    return x


class Noisy(reference.Value):
    """The reference's Value with an error in every number; comparing runs shows how rounding affects a result."""

    __slots__ = ()
    _data, _grad = reference.Value.data, reference.Value.grad
    data = property(_data.__get__, lambda self, x: Noisy._data.__set__(self, noise(x)))
    grad = property(_grad.__get__, lambda self, x: Noisy._grad.__set__(self, noise(x)))


def combine(values):
    return sum(v * w for v, w in zip(values[::-1], [1, 0.5, -2.0, 0.25]))


def function(steps):
    """The steps as a function of a Value class and inputs."""

    def fn(V, inputs):
        values = list(inputs)
        for name, i, j, x in steps:
            values.append(RECORDED[name](V, values[-1 - i % len(values)], values[-1 - j % len(values)], x))
        return combine(values)

    return fn


def possible(steps, numbers):
    """The steps that raise nothing for the numbers."""
    values, kept = [reference.Value(x) for x in numbers], []
    for step in steps:
        name, i, j, x = step
        try:
            out = RECORDED[name](reference.Value, values[-1 - i % len(values)], values[-1 - j % len(values)], x)
        except ERRORS:
            continue
        values.append(out)
        kept.append(step)
    return kept


def evaluate(V, fn, numbers, cotangent):
    """The result and its gradients times the cotangent, as one array; None if an exception is raised."""
    try:
        inputs = [V(x) for x in numbers]
        out = fn(V, inputs)
        (out * cotangent).backward()
    except ERRORS:
        return None
    return np.array([out.data, *(v.grad for v in inputs)])


def expected(fn, numbers, cotangent):
    """The reference's result and gradients, and a bound on their error.

    None if it raises or numbers are extreme.
    """
    exact = evaluate(reference.Value, fn, numbers, cotangent)
    if exact is None:
        return None
    tolerance = 1e-12 * np.abs(exact)
    with mock.patch.object(reference, "Value", Noisy), np.errstate(all="ignore"):
        for _ in range(8):  # what is left where a sum cancels has few values: a few runs may all find the same
            noisy = evaluate(Noisy, fn, numbers, cotangent)
            if noisy is None:
                return None
            off = np.where(exact == noisy, 0, np.abs(exact - noisy))
            tolerance += 100 * np.where(np.isnan(exact) & np.isnan(noisy), 0, off)
    return exact, tolerance


def agree(ours, exact, tolerance):
    ours, exact, tolerance = np.broadcast_arrays(ours, exact, tolerance)
    with np.errstate(all="ignore"):
        near = (ours == exact) | (np.abs(ours - exact) <= tolerance + 1e-300) | (np.isnan(ours) & np.isnan(exact))
    near |= ~np.isfinite(tolerance)  # near a jump or an overflow
    near |= ~np.isfinite(ours) & (tolerance > np.abs(exact))  # near a pole the divisor is nothing but rounding
    assert near.all(), (ours[~near], exact[~near], tolerance[~near])
