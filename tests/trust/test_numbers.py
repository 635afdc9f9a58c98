"""Every op and its adjoint against mpmath's fifty digits, as errors in units in the last place (ulps).

Eager ops call libm, as Python does; Programs compute in vectors with functions of their own, csrc/vmath.h.
"""

import math
from typing import NamedTuple

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import pygrad
from pygrad._lib import lib
from support import figures, on_cpython, ops
from support.effort import long
from support.ops import DENORMAL, LARGEST

mpmath.mp.dps = 50


OPS = {case.name: case for case in ops.ALL}
CASES = [(name, interval) for name, case in OPS.items() for interval in case.ranges]


def ulp(x):
    """The spacing of doubles at a number."""
    return mpf(2) ** max(int(mpmath.floor(mpmath.log(abs(x), 2))) - 52, -1074) if x else mpf(DENORMAL)


def ulps(found, exact, scale=None):
    """The error of a double, in ulps."""
    if math.isinf(found):
        return 0.0 if abs(exact) > LARGEST else math.inf
    return float(abs(mpf(found) - exact) / ulp(exact if scale is None else scale))


def eager(op, xs):
    """The results and the adjoints, computed by Arrays."""
    leaves = [pygrad.array(x) for x in xs]
    out = op.write(*leaves)
    out.sum().backward()
    return out.data, [leaf.grad.copy() for leaf in leaves]


def in_lanes(op, xs, instruction_set):
    """The same, computed by a Program."""
    f = pygrad.compile(op.write, *[1.5] * len(xs))
    lib.pg_test_use_instruction_set(instruction_set)
    try:
        return f.value_and_grad(*xs)
    finally:
        lib.pg_test_use_instruction_set(-1)


INSTRUCTION_SETS = [which for which in range(3) if lib.pg_test_use_instruction_set(which)]
lib.pg_test_use_instruction_set(-1)


class Errors(NamedTuple):
    most: float
    mean: float
    adjoint: float  # the most

    def __str__(self):
        return f"{self.most:.2f} ({self.mean:.2f})"


def errors(op, xs, results):
    """The errors of the results and of the adjoints; `xs` has a row for each argument."""
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
Errors in units in the last place against mpmath's fifty digits. Differences that cancel are measured otherwise: the
adjoints of tanh in ulps of 1, those of sigmoid in ulps of its result, those of x ** y by the effect of rounding y - 1.\
"""
_rows = {}


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize(("name", "interval"), CASES)
def test_an_op_errs_by_less_than_one_ulp_and_its_adjoint_by_a_few(name, interval, full):
    op = OPS[name]
    xs = np.atleast_2d(op.ranges[interval](np.random.default_rng(len(name + interval)), 4000 if full else 100))
    libm = errors(op, xs, eager(op, xs))
    lanes = [errors(op, xs, in_lanes(op, xs, n)) for n in INSTRUCTION_SETS]
    worst = Errors(*map(max, zip(*lanes)))
    assert libm.most < op.libm
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
    if op.arity == 1:
        return [(x,) for x in signed(SIZES + LIMITS)]
    return [(x, y) for x in signed(SIZES) for y in signed(EXPONENTS)]


def exactly(f, xs):
    """mpmath's result; None where it is undefined, infinite or complex."""
    try:
        z = f(*map(mpf, xs))
    except (ValueError, ZeroDivisionError):
        return None
    return None if isinstance(z, mpmath.mpc) or not mpmath.isfinite(z) else z


def one(op, xs):
    """The result and the adjoints of one eager op; each may raise what Python raises."""
    leaves = [pygrad.Value(x) for x in xs]
    try:
        out = op.write(*leaves)
    except (ArithmeticError, ValueError) as error:
        return type(error), None
    try:
        out.backward()
    except (ArithmeticError, ValueError):
        return out.data, None
    return out.data, [leaf.grad for leaf in leaves]


@long
@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("name", OPS)
def test_an_op_and_its_adjoint_at_the_edges_are_within_ulps_of_mpmath(name):
    op = OPS[name]
    every = arguments(op)
    lanes = [in_lanes(op, np.array(every).T.copy(), n) for n in INSTRUCTION_SETS]
    for i, xs in enumerate(every):
        exact, (data, grads) = exactly(op.true, xs), one(op, xs)
        found = np.array([values[i] for values, _ in lanes])
        if exact is None:
            assert isinstance(data, type), (xs, data)
            assert not np.isfinite(found).any(), (xs, found)
        elif abs(exact) > LARGEST * mpf(1 + 2**-51):
            assert data is OverflowError or math.isinf(data), (xs, data)
            assert (found == mpmath.sign(exact) * math.inf).all(), (xs, found)
        elif name != "x / y" or 1e-307 < abs(xs[1]) < 1e307:  # elsewhere 1 / y overflows or has few digits
            assert max(ulps(x, exact) for x in [data, *found]) < 3, (xs, data, found)
        for k, slope in enumerate(op.slopes if grads and (name != "x / y" or 1e-150 < abs(xs[1]) < 1e150) else []):
            if name == "x ** y" and xs[0] < 0 and abs(xs[1]) >= 2**53:
                continue  # y - 1 rounds to an even number, here as in micrograd, and the sign is lost
            exact = exactly(slope, xs)
            if exact is not None and 1e-150 < abs(exact) < 1e150 and abs(data) < 1e150:
                scale = op.scale(exact, *map(mpf, xs))
                adjoints = [grads[k], *(by_arguments[k][i] for _, by_arguments in lanes)]
                assert max(ulps(adjoint, exact, scale) for adjoint in adjoints) < 5, (xs, k, adjoints)
