"""Every op and its adjoint against mpmath's fifty digits, as errors in units in the last place (ulps).

Eager ops call libm, as Python does; Programs compute in vectors with functions of their own, csrc/vmath.h.
"""

import math
import sys
from typing import Callable, NamedTuple

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import pygrad
from pygrad._lib import lib
from support import figures, on_cpython

mpmath.mp.dps = 50
LARGEST = sys.float_info.max
DENORMAL = 2.0**-1074  # the smallest; all below 2**-1022 lie so far apart


def around(low, high):
    """Numbers between, evenly."""
    return lambda rng, n: rng.uniform(low, high, n)


def across(low, high, signs=(1.0,)):
    """Numbers of every size between, as many of each."""
    return lambda rng, n: 2.0 ** rng.uniform(np.log2(low), np.log2(high), n) * rng.choice(signs, n)


def powers(rng, n):
    """Bases of every size, with exponents that give results of every size."""
    x = 2.0 ** rng.uniform(-400, 400, n)
    return np.array([x, rng.uniform(-600, 600, n) / np.log2(x)])


def near_one(rng, n):
    """Bases that are nearly 1, with huge exponents."""
    x = 1 + rng.uniform(-1e-6, 1e-6, n)
    return np.array([x, rng.uniform(-600, 600, n) / np.log(x)])


class Op(NamedTuple):
    ours: Callable  # of Values or Arrays
    true: Callable  # of mpmath's numbers
    slopes: list  # d(true)/dx, d(true)/dy
    ranges: dict  # by name: random arguments
    # In whose ulps an adjoint's error is, where it is a difference that cancels; else in its own.
    scale: Callable = lambda slope, *xs: slope


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


ANY = across(2.0**-1022, LARGEST, (-1.0, 1.0))
POSITIVE = across(2.0**-1022, LARGEST)
ANGLES = {"-π to π": around(-math.pi, math.pi), "to 2e5": around(-2e5, 2e5), "to 1e308": across(1e5, 1e308)}
OPS = {
    "exp": Op(
        lambda x: x.exp(),
        mpmath.exp,
        [mpmath.exp],
        {"-1 to 1": around(-1, 1), "-708 to 709": around(-708, 709), "to denormals": around(-745, -708)},
    ),
    "log": Op(
        lambda x: x.log(),
        mpmath.log,
        [lambda x: 1 / x],
        {"0.9 to 1.1": around(0.9, 1.1), "all": POSITIVE, "denormals": across(DENORMAL, 2.0**-1022)},
    ),
    "tanh": Op(
        lambda x: x.tanh(),
        mpmath.tanh,
        [lambda x: mpmath.sech(x) ** 2],
        {"-1 to 1": around(-1, 1), "-20 to 20": around(-20, 20), "tiny": across(2.0**-1022, 1e-3, (-1.0, 1.0))},
        lambda slope, x: mpf(1),  # 1 - z * z
    ),
    "sigmoid": Op(
        lambda x: x.sigmoid(),
        sigmoid,
        [lambda x: sigmoid(x) * sigmoid(-x)],
        {"-1 to 1": around(-1, 1), "-40 to 40": around(-40, 40), "-708 to -40": around(-708, -40)},
        lambda slope, x: sigmoid(x),  # z * (1 - z)
    ),
    "sqrt": Op(lambda x: x.sqrt(), mpmath.sqrt, [lambda x: 1 / (2 * mpmath.sqrt(x))], {"all": POSITIVE}),
    "sin": Op(lambda x: x.sin(), mpmath.sin, [mpmath.cos], ANGLES),
    "cos": Op(lambda x: x.cos(), mpmath.cos, [lambda x: -mpmath.sin(x)], ANGLES),
    "x ** 2": Op(lambda x: x**2, lambda x: x**2, [lambda x: 2 * x], {"to 1e153": across(1e-153, 1e153)}),
    "x ** -1": Op(lambda x: x**-1, lambda x: 1 / x, [lambda x: -(x**-2)], {"1e-153 to 1e153": across(1e-153, 1e153)}),
    "x ** -7": Op(lambda x: x**-7, lambda x: x**-7, [lambda x: -7 * x**-8], {"-20 to 20": around(-20, 20)}),
    "x ** 3.5": Op(
        lambda x: x**3.5,
        lambda x: x ** mpf(3.5),
        [lambda x: mpf(3.5) * x ** mpf(2.5)],
        {"to 1e88": across(1e-80, 1e88)},
    ),
    "x ** y": Op(
        lambda x, y: x**y,
        lambda x, y: x**y,
        [lambda x, y: y * x ** (y - 1), lambda x, y: x**y * mpmath.log(x)],
        {"all": powers, "x near 1": near_one},
        lambda slope, x, y: slope * (1 + abs((y - 1) * mpmath.log(abs(x) or 1))),  # y - 1 is rounded, an exponent
    ),
    "x + y": Op(
        lambda x, y: x + y, lambda x, y: x + y, [lambda x, y: mpf(1)] * 2, {"all": lambda rng, n: ANY(rng, (2, n)) / 2}
    ),
    "x * y": Op(
        lambda x, y: x * y,
        lambda x, y: x * y,
        [lambda x, y: y, lambda x, y: x],
        {"1e-150 to 1e150": lambda rng, n: across(1e-150, 1e150, (-1.0, 1.0))(rng, (2, n))},
    ),
    "x / y": Op(
        lambda x, y: x / y,
        lambda x, y: x / y,
        [lambda x, y: 1 / y, lambda x, y: -x / y**2],
        {"1e-100 to 1e100": lambda rng, n: across(1e-100, 1e100, (-1.0, 1.0))(rng, (2, n))},
    ),
}
CASES = [(name, interval) for name, op in OPS.items() for interval in op.ranges]


def ulp(x):
    """The distance of doubles at a number."""
    return mpf(2) ** max(int(mpmath.floor(mpmath.log(abs(x), 2))) - 52, -1074) if x else mpf(DENORMAL)


def ulps(found, exact, scale=None):
    """The error of a double, in ulps."""
    if math.isinf(found):
        return 0.0 if abs(exact) > LARGEST else math.inf
    return float(abs(mpf(found) - exact) / ulp(exact if scale is None else scale))


def eager(op, xs):
    """The results and the adjoints, by Arrays."""
    leaves = [pygrad.array(x) for x in xs]
    out = op.ours(*leaves)
    out.sum().backward()
    return out.data, [leaf.grad.copy() for leaf in leaves]


def in_lanes(op, xs, lanes):
    """The same by a Program."""
    f = pygrad.compile(op.ours, *[1.5] * len(xs))
    lib.pg_test_use_lanes(lanes)
    try:
        return f.value_and_grad(*xs)
    finally:
        lib.pg_test_use_lanes(0)


LANES = [lanes for lanes in (2, 4, 8) if lib.pg_test_use_lanes(lanes) == lanes]
lib.pg_test_use_lanes(0)


class Errors(NamedTuple):
    most: float
    mean: float
    adjoint: float  # the most

    def __str__(self):
        return f"{self.most:.2f} ({self.mean:.2f})"


def errors(op, xs, results):
    """The errors of results, and of adjoints, at arguments of which there is a row each."""
    data, grads = results
    off, off_adjoint = [], []
    for i, x in enumerate(zip(*xs.tolist())):
        x = [mpf(number) for number in x]
        off.append(ulps(data[i], op.true(*x)))
        for slope, grad in zip(op.slopes, grads):
            exact = slope(*x)
            off_adjoint.append(ulps(grad[i], exact, op.scale(exact, *x)))
    return Errors(max(off), sum(off) / len(off), max(off_adjoint))


TITLE = """\
Errors in units in the last place against mpmath's fifty digits. What cancels is not measured by its own last place: the
adjoints of tanh are in ulps of 1, those of sigmoid in ulps of its result, those of x ** y in what the rounding of y - 1
makes.\
"""
_rows = {}


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize(("name", "interval"), CASES)
def test_an_op_errs_by_less_than_a_unit_in_the_last_place_and_its_adjoint_by_few(name, interval, full):
    op = OPS[name]
    xs = np.atleast_2d(op.ranges[interval](np.random.default_rng(len(name + interval)), 4000 if full else 100))
    libm = errors(op, xs, eager(op, xs))
    lanes = [errors(op, xs, in_lanes(op, xs, n)) for n in LANES]
    worst = Errors(*map(max, zip(*lanes)))
    # glibc's tanh is good to 2 ulps; sigmoid is made of exp, a sum and a quotient, and x / y is x * y**-1.
    assert libm.most < (3 if name in ("tanh", "sigmoid") else 1.5 if name == "x / y" else 1)
    assert worst.most < 1
    assert max(libm.adjoint, worst.adjoint) < 5
    _rows[name, interval] = [name, interval, *map(str, (libm, worst)), f"{libm.adjoint:.2f}", f"{worst.adjoint:.2f}"]
    head = ["op", "arguments", "eager: most (mean)", "lanes: most (mean)", "adjoint, eager", "adjoint, lanes"]
    figures.table(TITLE, [head, *_rows.values()])


# At the edges -----------------------------------------------------------------------------------------------------

TINY = [DENORMAL, 2.0**-1022 - DENORMAL, 2.0**-1022, 1e-300]
SIZES = [0.0, *TINY, 0.5, 1 - 2**-53, 1.0, 1 + 2**-52, 2.0, 3.0, 1e16, 2.0**53, 1e150, 1e200, LARGEST]
LIMITS = [709.782712893384, 709.7827128933841, 708.39, 744.4400719213812, 745.1332191019412, 745.14, 36.8, 2e5]
EXPONENTS = [*SIZES, 2.5, 2.0**53 - 1, 1e5, 1e308]


def signed(sizes):
    return [sign * x for x in sizes for sign in (1.0, -1.0)]


def arguments(op):
    if len(op.slopes) == 1:
        return [(x,) for x in signed(SIZES + LIMITS)]
    return [(x, y) for x in signed(SIZES) for y in signed(EXPONENTS)]


def exactly(f, xs):
    """What mpmath gives; None where there is no such number, or none that is real."""
    try:
        z = f(*map(mpf, xs))
    except (ValueError, ZeroDivisionError):
        return None
    return None if isinstance(z, mpmath.mpc) or not mpmath.isfinite(z) else z


def one(op, xs):
    """The result and the adjoints of one eager op: each may raise what Python raises."""
    leaves = [pygrad.Value(x) for x in xs]
    try:
        out = op.ours(*leaves)
    except (ArithmeticError, ValueError) as error:
        return type(error), None
    try:
        out.backward()
    except (ArithmeticError, ValueError):
        return out.data, None
    return out.data, [leaf.grad for leaf in leaves]


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("name", OPS)
def test_an_op_and_its_adjoint_at_the_edges_are_the_doubles_next_to_mpmath_s(name):
    op = OPS[name]
    every = arguments(op)
    lanes = [in_lanes(op, np.array(every).T.copy(), n) for n in LANES]
    for i, xs in enumerate(every):
        exact, (data, grads) = exactly(op.true, xs), one(op, xs)
        found = np.array([values[i] for values, _ in lanes])
        if exact is None:
            assert isinstance(data, type), (xs, data)
            assert not np.isfinite(found).any(), (xs, found)
        elif abs(exact) > LARGEST * mpf(1 + 2**-51):
            assert data is OverflowError or math.isinf(data), (xs, data)
            assert (found == mpmath.sign(exact) * math.inf).all(), (xs, found)
        elif name != "x / y" or 1e-307 < abs(xs[1]) < 1e307:  # else 1 / y is too large, or has few digits
            assert max(ulps(x, exact) for x in [data, *found]) < 3, (xs, data, found)
        for k, slope in enumerate(op.slopes if grads and (name != "x / y" or 1e-150 < abs(xs[1]) < 1e150) else []):
            exact = exactly(slope, xs)
            if exact is not None and 1e-150 < abs(exact) < 1e150 and abs(data) < 1e150:
                scale = op.scale(exact, *map(mpf, xs))
                adjoints = [grads[k], *(by_arguments[k][i] for _, by_arguments in lanes)]
                assert max(ulps(adjoint, exact, scale) for adjoint in adjoints) < 5, (xs, k, adjoints)
