"""Each op: its value, its gradient against finite differences, and Python's results and errors at the edges."""

import math
import struct
import sys

import pytest

from pygrad import engine, reference
from support import on_cpython, ops
from support.programs import EDGES, bits

pows_as_in_c = on_cpython("PyPy computes x ** 2 as x * x")

WITH_NUMBER = [case.method for case in ops.BINARY]
WITH_NUMBER += [f"__r{case.method[2:]}" for case in ops.OPERATORS]
RAISING = [(case, xs) for case in ops.ALL for xs in case.raises]


def slope(f, *xs, index):
    """The central difference df/dx_i, exact to about 1e-9."""
    h = 1e-6 * max(1.0, abs(xs[index]))
    up, down = list(xs), list(xs)
    up[index] += h
    down[index] -= h
    return (f(*up) - f(*down)) / (2 * h)


@pytest.mark.parametrize(
    ("op", "x"), [(case.method, x) for case in ops.UNARY if not case.stops for (x,) in case.samples]
)
def test_the_gradient_of_a_unary_op_is_the_finite_difference(op, x):
    v = engine.Value(x)
    getattr(v, op)().backward()
    expected = slope(lambda x: getattr(engine.Value(x), op)().data, x, index=0)
    assert v.grad == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(("op", "x", "y"), [(case.method, *xs) for case in ops.BINARY for xs in case.samples])
def test_the_gradient_of_a_binary_op_is_the_finite_difference(op, x, y):
    a, b = engine.Value(x), engine.Value(y)
    getattr(a, op)(b).backward()

    def f(x, y):
        return getattr(engine.Value(x), op)(engine.Value(y)).data

    assert a.grad == pytest.approx(slope(f, x, y, index=0), rel=1e-6, abs=1e-8)
    assert b.grad == pytest.approx(slope(f, x, y, index=1), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("op", WITH_NUMBER)
def test_the_gradient_of_an_op_with_a_number_is_the_finite_difference(op):
    a = engine.Value(1.7)
    getattr(a, op)(2.5).backward()
    assert a.grad == pytest.approx(slope(lambda x: getattr(engine.Value(x), op)(2.5).data, 1.7, index=0), rel=1e-6)


def outcome(V, op, x, *others):
    """The bits of the result and of the gradients, or the type of the exception."""
    v = V(x)
    others = [V(y) if isinstance(y, float) else float(y) for y in others]
    try:
        z = getattr(v, op)(*others)
        z.backward()
    except (ArithmeticError, ValueError) as error:
        return type(error), bits(v.grad)
    return bits(z.data), bits(v.grad), [bits(y.grad) for y in others if isinstance(y, V)]


NUMBERS = [*EDGES, *(-x for x in EDGES[4:9]), 709.0, 710.0, -745.0, -746.0, 2.0, -2.0, 3.0, 1e300, 2.5]
NUMBERS += [2.0**-1022, 2.0**-1022 - 2.0**-1074, 1 - 2.0**-53, 2.0**53 - 1, 2.0**53, 1e5, -1e5]


@pytest.mark.parametrize("op", [case.method for case in ops.UNARY])
def test_a_unary_op_at_the_edges_gives_python_s_bits_or_error(op):
    for x in NUMBERS:
        assert outcome(engine.Value, op, x) == outcome(reference.Value, op, x), (op, x)


@pows_as_in_c
@pytest.mark.parametrize("op", [case.method for case in ops.BINARY])
def test_a_binary_op_at_the_edges_gives_python_s_bits_or_error(op):
    for x in NUMBERS:
        for y in NUMBERS:
            assert outcome(engine.Value, op, x, y) == outcome(reference.Value, op, x, y), (op, x, y)


@pows_as_in_c
@pytest.mark.parametrize("op", WITH_NUMBER)
def test_an_op_with_a_number_at_the_edges_gives_python_s_bits_or_error(op):
    for x in NUMBERS:
        for y in map(Plain, NUMBERS):
            assert outcome(engine.Value, op, x, y) == outcome(reference.Value, op, x, y), (op, x, y)


class Plain:
    """A number that the test must not turn into a Value."""

    def __init__(self, x):
        self.x = x

    def __float__(self):
        return self.x


@pows_as_in_c
@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda V: V(0) ** -1, ZeroDivisionError),
        (lambda V: 1 / V(0), ZeroDivisionError),
        (lambda V: V(1) / 0, ZeroDivisionError),
        (lambda V: V(1) / V(0), ZeroDivisionError),
        (lambda V: V(0) ** V(-1), ZeroDivisionError),
        (lambda V: 0 ** V(-1), ZeroDivisionError),
        (lambda V: V(1e3).exp(), OverflowError),
        (lambda V: V(1e200) ** 2, OverflowError),
        (lambda V: V(-10) ** 400.5, OverflowError),
        (lambda V: V(1) + 10**400, OverflowError),
        (lambda V: V(-1).log(), ValueError),
        (lambda V: V(0).log(), ValueError),
        (lambda V: V(-1).sqrt(), ValueError),
        (lambda V: V(math.inf).sin(), ValueError),
        (lambda V: V(-math.inf).cos(), ValueError),
        (lambda V: V(-8) ** 0.5, ValueError),
        (lambda V: V(-8) ** V(0.5), ValueError),
    ],
)
@pytest.mark.parametrize("V", [engine.Value, reference.Value])
def test_an_op_raises_what_python_raises_and_leaves_no_node(V, f, error, no_leak):
    with pytest.raises(error):
        f(V)


@pytest.mark.parametrize(("case", "xs"), RAISING, ids=[f"{case.name}, {xs}" for case, xs in RAISING])
@pytest.mark.parametrize("V", [engine.Value, pytest.param(reference.Value, marks=pows_as_in_c)])
def test_an_op_raises_where_its_cases_say_so_and_leaves_no_node(V, case, xs, no_leak):
    with pytest.raises(case.raises[xs]):
        case.write(*map(V, xs))


def test_a_complex_result_is_an_error_that_says_so():
    with pytest.raises(ValueError, match=r"-8\.0 \*\* 0\.5: the result is complex, but a Value must be real"):
        engine.Value(-8) ** 0.5


def test_a_failed_op_names_the_op_and_its_numbers():
    with pytest.raises(OverflowError, match=r"exp\(1000\.0\): the result is too large for a float"):
        engine.Value(1000).exp()


def test_a_failed_backward_step_names_the_op_and_its_numbers():
    with pytest.raises(ZeroDivisionError, match=r"the backward step of 0\.0 \*\* 0\.5: division by zero"):
        (engine.Value(0) ** 0.5).backward()


def test_a_result_too_small_is_zero():
    assert (engine.Value(1e-200) ** 2).data == 0
    assert engine.Value(-1e3).exp().data == 0


def test_equal_operands_share_the_gradient_of_a_maximum():
    a, b = engine.Value(2), engine.Value(2)
    a.maximum(b).backward()
    assert (a.grad, b.grad) == (0.5, 0.5)


def test_a_signalling_nan_is_treated_as_any_nan():
    (signalling,) = struct.unpack("d", (0x7FF0000000000001).to_bytes(8, sys.byteorder))
    assert (engine.Value(signalling) ** 0).data == signalling**0
    assert (1 ** engine.Value(signalling)).data == 1**signalling


def test_a_maximum_with_nan_is_nan():
    nan = engine.Value(math.nan)
    assert math.isnan(nan.maximum(1).data)
    assert math.isnan(engine.Value(1).maximum(nan).data)
    assert math.isnan(nan.minimum(1).data)
    assert math.isnan(engine.Value(1).minimum(nan).data)
