"""What the tests of Arrays share: operands of every kind, and checks against NumPy."""

import contextlib
import operator
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pygrad import Array, Value, array, compile
from support import ops


@contextlib.contextmanager
def raises_as(f, *args):
    """Check that the block raises the same type and message as f(*args), a call of NumPy."""
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        f(*args)
    with pytest.raises(theirs.type, match=re.escape(str(theirs.value).strip())):
        yield


def slope(f, numbers, at, weights, h=1e-6):
    """The gradient of sum(weights * f(*numbers)) by numbers[at], from central differences."""
    numbers = [np.array(x, dtype=float) for x in numbers]
    x, found = numbers[at], np.empty(numbers[at].shape)
    for index in np.ndindex(x.shape):
        here = x[index]
        x[index] = here + h
        above = np.sum(weights * f(*numbers))
        x[index] = here - h
        found[index] = (above - np.sum(weights * f(*numbers))) / (2 * h)
        x[index] = here
    return found


def check(f, formula, *numbers, rtol=1e-12):
    """Check f on Arrays against a formula on NumPy arrays, and its gradients against the formula's slopes."""
    inputs = [array(x) for x in numbers]
    out = f(*inputs)
    expected = formula(*[np.array(x, dtype=float) for x in numbers])
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out.data, expected, rtol=rtol)
    weights = np.random.default_rng(0).uniform(-2, 2, out.shape)
    (out * weights).sum().backward()
    for i, x in enumerate(inputs):
        np.testing.assert_allclose(x.grad, slope(formula, numbers, i, weights), rtol=1e-6, atol=1e-7)


def check_compiled(f, *numbers, rtol=1e-12):
    """Check f in a compiled function, value and gradients, against f on Arrays."""
    inputs = [array(x) for x in numbers]
    out = f(*inputs)
    weights = np.random.default_rng(0).uniform(-2, 2, out.shape)
    (out * weights).sum().backward()
    program = compile(lambda *inputs: (f(*inputs) * weights).sum(), *[np.ones(np.shape(x)) for x in numbers])
    value, gradients = program.value_and_grad(*numbers)
    np.testing.assert_allclose(value, (out.data * weights).sum(), rtol=rtol, atol=1e-12)
    for x, gradient in zip(inputs, gradients):
        np.testing.assert_allclose(gradient, x.grad, rtol=rtol, atol=1e-12)


X = np.array([[0.5, 1.5, 2.0], [1.25, 0.75, 3.0]])
floats = st.floats(-10, 10)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
numbers_of = st.builds(lambda shape: np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape), shapes)
filled = st.builds(
    lambda shape: np.arange(1.0, 1 + np.prod(shape)).reshape(shape), hnp.array_shapes(max_dims=3, max_side=4)
)
# symbol: (the operator, its slopes)
ARITHMETIC = {case.symbol: (getattr(operator, case.method), case.slopes_at) for case in ops.OPERATORS}

OPERANDS = {
    "an Array": lambda: array([[3.0, 0.25, 1.5], [1.0, 2.0, 0.5]]),
    "an Array's transpose": lambda: array([[3.0, 0.25], [1.5, 1.0], [2.0, 0.5]]).T,
    "an Array that is broadcast": lambda: array([[3.0], [0.25]]),
    "an Array with more axes": lambda: array([[[3.0], [0.25]], [[1.5], [2.5]]]),
    "an Array without axes": lambda: array(3.0),
    "a computed Array": lambda: array([3.0, 0.25, 1.5]) * 1.5,
    "a Value": lambda: Value(3.0),
    "an int": lambda: 3,
    "a float": lambda: 0.7,
    "a bool": lambda: True,
    "a Fraction": lambda: Fraction(1, 4),
    "np.float64": lambda: np.float64(0.7),
    "np.float32": lambda: np.float32(0.7),
    "np.int64": lambda: np.int64(3),
    "np.uint8": lambda: np.uint8(3),
    "np.bool_": lambda: np.bool_(True),
    "a NumPy array without axes": lambda: np.array(0.7),
    "a NumPy array of one int, without axes": lambda: np.array(3),
    "a NumPy array of floats": lambda: np.array([3.0, 0.25, 1.5]),
    "a NumPy array of ints": lambda: np.array([[3], [2]]),
    "a NumPy array of bytes": lambda: np.array([[3], [2]], dtype=np.uint8),
    "a NumPy array of bools": lambda: np.array([True, True, True]),
    "a NumPy array that is strided": lambda: np.arange(1.0, 13).reshape(3, 4)[:, ::2].T,
    "a list": lambda: [3, 0.25, 1.5],
    "a tuple": lambda: (3.0, 0.25, 1.5),
    "nested lists": lambda: [[[3], [0.25]], [[1.5], [2]]],
    "a list of Values": lambda: [Value(3.0), Value(0.25), Value(1.5)],
    "nested lists of Values": lambda: [[Value(3.0)], [Value(0.25)]],
    "a list of Values and numbers": lambda: [Value(3.0), 0.25, Value(1.5)],
    "a NumPy array of Values": lambda: np.array([Value(3.0), Value(0.25), Value(1.5)]),
    "a NumPy array of one Value, without axes": lambda: np.array(Value(3.0)),
    "a list of Arrays": lambda: [array([3.0, 0.25, 1.5]), array([1.0, 2.0, 0.5])],
    "a list of Arrays without axes": lambda: [array(3.0), array(0.25), array(1.5)],
}


def elements(x):
    """The Values and numbers of an operand as an array of objects."""
    if isinstance(x, Array):
        return np.array([*x.ravel().tolist(), None], dtype=object)[:-1].reshape(x.shape)
    if isinstance(x, (list, tuple)):
        return np.array([elements(e).tolist() for e in x], dtype=object)
    return np.array(x, dtype=object)


def reduced_to(shape, x):
    """Sum over the axes that broadcasting from `shape` has added or stretched."""
    x = x.sum(axis=tuple(range(x.ndim - len(shape))))
    return x.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


CUBE = np.arange(24.0).reshape(2, 1, 3, 4)


def double(x):
    """Add an op as in micrograd's lecture."""
    out = Value(x.data * 2, (x,), "double")

    def _backward():
        x.grad += 2 * out.grad

    out._backward = _backward
    return out
