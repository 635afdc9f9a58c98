"""`Array` has NumPy's manners: what it is made of, operators, indices, shapes, products, reductions, data and grad."""

import contextlib
import copy
import functools
import gc
import itertools
import operator
import pickle
import random
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pygrad
from pygrad import Array, Value, array, concatenate, functional, memory_stats, reference, stack, where
from support import live_nodes, on_cpython, on_limited_memory
from support.programs import shape as graph


@contextlib.contextmanager
def raises_as(f, *args):
    """What the block does raises the same type and message as f(*args), which is NumPy's."""
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        f(*args)
    with pytest.raises(theirs.type, match=re.escape(str(theirs.value).strip())):
        yield


def slope(f, numbers, at, weights, h=1e-6):
    """d(sum(weights * f(*numbers))) by numbers[at], from central differences of a function on NumPy arrays."""
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
    """f on Arrays gives the formula's numbers, and its slopes as gradients."""
    inputs = [array(x) for x in numbers]
    out = f(*inputs)
    expected = formula(*[np.array(x, dtype=float) for x in numbers])
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out.data, expected, rtol=rtol)
    weights = np.random.default_rng(0).uniform(-2, 2, out.shape)
    (out * weights).sum().backward()
    for i, x in enumerate(inputs):
        np.testing.assert_allclose(x.grad, slope(formula, numbers, i, weights), rtol=1e-6, atol=1e-7)


X = np.array([[0.5, 1.5, 2.0], [1.25, 0.75, 3.0]])

floats = st.floats(-10, 10)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
numbers_of = st.builds(lambda shape: np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape), shapes)
filled = st.builds(
    lambda shape: np.arange(1.0, 1 + np.prod(shape)).reshape(shape), hnp.array_shapes(max_dims=3, max_side=4)
)

# Making ----------------------------------------------------------------------------------------------------------

REAL = "?bhilqBHILQefdg"


@pytest.mark.parametrize(
    "x",
    [
        *[2, -2.5, True, np.float32(0.1), np.int8(-3), np.uint64(2**63), 2**63],
        *[[], [[], []], [1, 2.5], (1, 2), [[1, 2], (3, 4)], [True, 2], range(3), [[[1.0]]], [np.nan, -np.inf]],
        *[[np.float32(0.1), 2], [np.arange(2), [3, 4]], [np.array(1.0), 2.0], (np.ones(2), np.zeros(2))],
        *[np.array([[0, 1], [1, 0]], dtype=dtype) for dtype in REAL],
        *[np.array(2.0), np.array(7), np.empty(0), np.empty((0, 3)), np.empty((2, 0), dtype=int)],
        *[X[:, ::2], X.T, X[::-1, ::-1], np.asfortranarray(X), np.broadcast_to(2.0, (2, 3))],
        *[X.astype(">f8"), np.array([1.0, 2], dtype=object), np.array([[1, True]], dtype=object)],
    ],
    ids=lambda x: f"{type(x).__name__} {x!r}".replace("\n", ""),
)
def test_numbers_make_leaves_in_their_shape(x):
    a = array(x)
    expected = np.array(x, dtype=float)
    assert a.shape == expected.shape
    assert a.data.dtype == a.grad.dtype == np.float64
    np.testing.assert_array_equal(a.data, expected)
    np.testing.assert_array_equal(a.grad, np.zeros(expected.shape))
    assert all(type(v) is Value and not v._prev and v._op == "" for v in a.ravel())
    assert len(set(a.ravel())) == a.size


@settings(deadline=None)
@given(hnp.arrays(st.sampled_from([float, np.float32, np.int64, bool]), shapes))
def test_data_is_what_the_array_was_made_of(x):
    np.testing.assert_array_equal(array(x).data, x)
    np.testing.assert_array_equal(array(x.tolist()).data, np.array(x.tolist()))


def test_an_array_and_a_numpy_array_without_elements_are_joined():
    assert array([array(np.empty((0, 3))), np.empty((0, 3))]).shape == (2, 0, 3)


def test_the_numbers_are_copied():
    x = X.copy()
    a = array(x)
    x[0, 0] = 9
    a.data[1, 1] = 8
    assert a.data[0, 0] == 0.5
    assert x[1, 1] == 0.75


def test_a_value_stays_the_node_it_is():
    v, w = Value(2.0), Value(3.0) * 1
    assert array(v)[()] is v
    assert array([v, w])[1] is w
    assert array([[v], [w]])[1, 0] is w
    assert array(np.array([v, w]))[0] is v
    assert array((v, v, w)).tolist() == [v, v, w]


@pytest.mark.parametrize("number", [4, 0.5, True, np.float32(0.5), np.int64(3)], ids=repr)
def test_a_number_among_values_becomes_a_leaf(number):
    v = Value(2.0)
    a = array([[v, number], [number, v]])
    assert a[0, 0] is v
    assert a[1, 1] is v
    assert a[0, 1] != a[1, 0]
    assert a.data.tolist() == [[2, number], [number, 2]]
    (a * a).sum().backward()
    assert v.grad == 8
    assert a.grad.tolist() == [[8, 2 * number], [2 * number, 8]]


def test_an_array_of_an_array_has_the_same_nodes():
    a = array(X)
    b = array(a)
    b.data[0, 0] = 7
    assert a.data[0, 0] == 7
    assert b[1, 2] is a[1, 2]


def test_arrays_in_lists_keep_their_nodes():
    a, v = array([1.0, 2.0]), Value(3.0)
    for b in [
        array([a, a * 2]),
        array((a, [v, 4.0])),
        array([[v, 4.0], a]),
        array([a, np.array([3.0, 4.0])]),
        array([[a, a], [[v, 1.0], a]]),
        array([[a[0], a[1]], [v, 2.0]]),
        array([list(a), [v, 2]]),
    ]:
        assert {v for v in b.ravel() if not v._prev} & {*a, v}
    assert array([a, a]).shape == (2, 2)
    assert array([[a], [a]]).shape == (2, 1, 2)
    assert array([a.sum(), v, 1.0]).data.tolist() == [3, 3, 1]
    assert array([v, a.sum()])[0] is v


@pytest.mark.parametrize(
    "make",
    [
        lambda s, v: [[s, s], [s, 1.0]],
        lambda s, v: [[v, s]],
        lambda s, v: ((s, v), (1.0, v)),
        lambda s, v: np.array([s, s]),
        lambda s, v: np.array([v, s]),
    ],
)
def test_arrays_without_axes_may_be_elements_as_values_may(make):
    s, v = array([1.0, 2.0]).sum(), Value(3.0)
    x = make(s, v)
    a = array(x)
    assert a.shape == np.shape(np.array(x, dtype=object))
    assert s[()] in a.ravel().tolist()
    a.sum().backward()
    assert s.grad == sum(element == s[()] for element in a.ravel())


@pytest.mark.parametrize("nested", [False, True])
def test_a_numpy_array_without_axes_is_a_number_also_among_values(nested):
    x = [np.array(1.0), Value(2.0)]
    assert array([x] if nested else x).data.ravel().tolist() == [1, 2]


@pytest.mark.parametrize("number", [2**64, -(2**70), Fraction(1, 4)], ids=repr)
def test_what_a_value_takes_as_a_number_an_array_takes(number):
    for x in [number, [number, 1.0], [Value(1.0), number]]:
        assert number in array(x).data


def test_an_empty_array_of_objects_keeps_its_shape():
    assert array(np.empty((0, 3), dtype=object)).shape == (0, 3)


RAGGED = r"inhomogeneous|different lengths|same shape|sequence"


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1, 2], [3]], ValueError, RAGGED),
        ([1, [2]], ValueError, RAGGED),
        ([[1, [2]], [3, 4]], ValueError, RAGGED),
        ([np.zeros(2), np.zeros(3)], ValueError, RAGGED),
        ([[Value(1), Value(2)], [Value(3)]], ValueError, RAGGED),
        ([Value(1), [Value(2)]], ValueError, RAGGED),
        ([Value(1), np.ones(1)], ValueError, RAGGED),
        ([array([1.0, 2.0]), array([1.0])], ValueError, RAGGED),
        ([array([1.0, 2.0]), [1.0]], ValueError, RAGGED),
        ([array([1.0, 2.0]), 1.0], ValueError, RAGGED),
        ("abc", TypeError, "real numbers and Values"),
        ("1.5", TypeError, "real numbers and Values"),
        ([1, "2"], TypeError, "real numbers and Values"),
        ([Value(1), "2"], TypeError, "real numbers and Values"),
        (np.array(["a"]), TypeError, "real numbers and Values"),
        (b"1", TypeError, "real numbers and Values"),
        (1j, TypeError, "complex"),
        ([1, 1j], TypeError, "complex"),
        ([Value(1), 1j], TypeError, "complex"),
        (np.array([1j]), TypeError, "complex"),
        (np.array([1], dtype="M8[s]"), TypeError, "datetime64"),
        (np.array([1], dtype="m8[s]"), TypeError, "timedelta64"),
        (np.zeros(2, dtype=[("x", float)]), TypeError, "real numbers and Values"),
        (None, TypeError, "real numbers and Values"),
        ([1.0, None], TypeError, "real numbers and Values"),
        ([Value(1), None], TypeError, "real numbers and Values"),
        ({}, TypeError, "real numbers and Values"),
        ({1.0}, TypeError, "real numbers and Values"),
        ((x for x in [1.0]), TypeError, "real numbers and Values"),
        (object(), TypeError, "real numbers and Values"),
    ],
    ids=lambda x: re.sub(r" at 0x\w+|\n", "", repr(x)),
)
def test_what_is_no_array_of_numbers_is_refused_and_leaves_nothing_behind(x, error, message):
    before = memory_stats().live_nodes
    with pytest.raises(error, match=message):
        array(x)
    assert memory_stats().live_nodes == before


@pytest.mark.parametrize("x", [None, [1.0, None], [Value(1), None], {}], ids=repr)
def test_the_message_names_the_type_that_is_no_number(x):
    element = x[-1] if isinstance(x, list) else x
    with pytest.raises(TypeError, match=type(element).__name__):
        array(x)


# Operators -------------------------------------------------------------------------------------------------------

ARITHMETIC = {  # name: (operator, its slopes)
    "+": (operator.add, lambda x, y: (1, 1)),
    "-": (operator.sub, lambda x, y: (1, -1)),
    "*": (operator.mul, lambda x, y: (y, x)),
    "/": (operator.truediv, lambda x, y: (1 / y, -x / y**2)),
    "**": (operator.pow, lambda x, y: (y * x ** (y - 1), np.log(x) * x**y)),
}

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
    """The Values and the numbers in an operand, in an array of objects."""
    if isinstance(x, Array):
        return np.array([*x.ravel().tolist(), None], dtype=object)[:-1].reshape(x.shape)
    if isinstance(x, (list, tuple)):
        return np.array([elements(e).tolist() for e in x], dtype=object)
    return np.array(x, dtype=object)


def reduced_to(shape, x):
    """The adjoint of broadcasting from a shape."""
    x = x.sum(axis=tuple(range(x.ndim - len(shape))))
    return x.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("op", ARITHMETIC)
def test_an_operator_takes_what_numpy_s_takes_and_passes_gradients_to_all_nodes(op, side, operand):
    function, slopes = ARITHMETIC[op]
    a, other = array(X), OPERANDS[operand]()
    nodes = elements(other)
    numbers = nodes.astype(float)
    assert any(isinstance(node, Value) for node in nodes.flat) == ("Value" in operand or "Array" in operand)
    x, y = (X, numbers) if side == "left" else (numbers, X)
    out = function(a, other) if side == "left" else function(other, a)
    assert type(out) is Array
    np.testing.assert_allclose(out.data, function(x, y), rtol=1e-15)
    weights = np.random.default_rng(0).uniform(-2, 2, out.shape)
    (out * weights).sum().backward()
    mine, theirs = [weights * d for d in slopes(x, y)][:: 1 if side == "left" else -1]
    np.testing.assert_allclose(a.grad, reduced_to(X.shape, mine), rtol=1e-14, atol=1e-14)
    expected = reduced_to(numbers.shape, np.broadcast_to(theirs, out.shape))
    for node, grad in zip(nodes.ravel(), np.ravel(expected)):
        if isinstance(node, Value):
            assert node.grad == pytest.approx(grad, rel=1e-14)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("operand", OPERANDS)
def test_maximum_and_minimum_take_what_operators_take(name, operand):
    other = OPERANDS[operand]()
    numbers = elements(other).astype(float)
    out = getattr(array(X), name)(other)
    np.testing.assert_array_equal(out.data, getattr(np, name)(X, numbers))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_gradient_of_a_maximum_goes_to_the_larger_and_is_halved_between_equals(name):
    x, y = array([1.0, 5.0, 2.0]), array([3.0, 4.0, 2.0])
    getattr(x, name)(y).sum().backward()
    expected = [0, 1, 0.5] if name == "maximum" else [1, 0, 0.5]
    assert x.grad.tolist() == expected
    assert y.grad.tolist() == [1 - e for e in expected]


@pytest.mark.parametrize(
    ("function", "number"),
    [
        (operator.sub, np.uint8(3)),
        (operator.sub, np.int8(-128)),
        (operator.sub, np.True_),
        (operator.truediv, np.int64(2)),
        (operator.truediv, np.float32(3)),
        (operator.truediv, np.array(2)),
        (operator.sub, np.int64(3)),
        (operator.truediv, np.float64(3)),
        (operator.add, np.uint8(255)),
        (operator.mul, np.int8(-128)),
        (operator.pow, np.float32(0.1)),
        (operator.pow, np.uint8(2)),
    ],
    ids=lambda x: repr(x) if isinstance(x, (np.generic, np.ndarray)) else x.__name__,
)
def test_a_numpy_scalar_is_the_number_that_it_shows(function, number):
    assert float(function(array(3.0), number)) == pytest.approx(function(3.0, float(number)), rel=1e-15)
    assert float(function(number, array(3.0))) == pytest.approx(function(float(number), 3.0), rel=1e-15)


@pytest.mark.parametrize(
    "zero",
    [
        0,
        0.0,
        False,
        (np.float64(0)),
        (np.int64(0)),
        (np.float32(0)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_division_by_any_zero_is_a_zero_division_error(zero):
    with pytest.raises(ZeroDivisionError):
        array(1.0) / zero
    with pytest.raises(ZeroDivisionError):
        1.0 / array(zero)


@pytest.mark.parametrize("zeros", [[1.0, 0.0], np.array([1, 0]), [[0], [1]]], ids=repr)
def test_division_by_a_list_with_a_zero_in_it_is_a_zero_division_error(zeros):
    with pytest.raises(ZeroDivisionError):
        array([1.0, 2.0]) / zeros
    with pytest.raises(ZeroDivisionError, match=r"index \("):
        array([1.0, 2.0]) / array(zeros)


@settings(deadline=None)
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=4, max_side=3))
def test_shapes_broadcast_as_numpy_s_do_and_gradients_add_up(shapes):
    p, q = (np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape) for shape in shapes.input_shapes)
    x, y = array(p), array(q)
    (x * y).sum().backward()
    (x + q).sum().backward()
    out = x * y + q - p
    assert out.shape == shapes.result_shape
    np.testing.assert_array_equal(out.data, p * q + q - p)
    np.testing.assert_array_equal(x.grad, reduced_to(p.shape, np.broadcast_to(q + 1, out.shape)))
    np.testing.assert_array_equal(y.grad, reduced_to(q.shape, np.broadcast_to(p, out.shape)))


@pytest.mark.parametrize(
    "other",
    [
        array([1.0, 2.0, 3.0]),
        np.ones(3),
        np.ones((3, 1, 3)),
        [1, 2, 3],
        [Value(1), 2, 3],
        np.zeros(0),
        np.ones((3, 2), dtype=np.uint8),
    ],
    ids=lambda x: type(x).__name__,
)
@pytest.mark.parametrize("function", [f for f, _ in ARITHMETIC.values()])
def test_shapes_that_do_not_match_are_numpy_s_value_error(function, other):
    a = array(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"operands could not be broadcast together with shapes .*\(.*\) \("):
        function(a, other)
    with pytest.raises(ValueError, match="could not be broadcast together"):
        function(other, a)
    with pytest.raises(ValueError, match="could not be broadcast together"):
        a.maximum(other)


@pytest.mark.parametrize("function", [f for f, _ in ARITHMETIC.values()])
@pytest.mark.parametrize(
    "other",
    [
        "1",
        b"1",
        None,
        {},
        {1},
        1j,
        object(),
        (np.complex128(1j)),
        (np.str_("1.5")),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_is_no_number_is_a_type_error(function, other):
    a = array([1.0, 2.0])
    with pytest.raises(TypeError):
        function(a, other)
    with pytest.raises(TypeError):
        function(other, a)


@pytest.mark.parametrize("other", [["a", "b"], [1.0, None], np.array(["a", "b"]), np.array([1j, 2j])], ids=repr)
def test_lists_of_what_is_no_number_are_a_type_error(other):
    a = array([1.0, 2.0])
    before = memory_stats().live_nodes
    for function, _ in ARITHMETIC.values():
        with pytest.raises(TypeError, match="real numbers"):
            function(a, other)
    with pytest.raises(TypeError, match="real numbers"):
        a.minimum(other)
    assert memory_stats().live_nodes == before


@pytest.mark.parametrize("other", ["a", None, {}], ids=repr)
def test_maximum_of_no_number_is_a_type_error_that_names_the_type(other):
    with pytest.raises(TypeError, match=type(other).__name__):
        array([1.0]).maximum(other)


def test_another_class_gets_its_chance():
    class Other:
        def __radd__(self, array):
            return "mine"

        __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __rmatmul__ = __radd__

    for function in [*(f for f, _ in ARITHMETIC.values()), operator.matmul]:
        assert function(array([1.0]), Other()) == "mine"


def test_numpy_s_functions_do_not_take_an_array_for_an_array_of_objects():
    for function in [np.sin, np.exp, np.negative]:
        with pytest.raises(TypeError, match="Array"):
            function(array([1.0]))
    with pytest.raises(TypeError, match="Array"):
        np.add(np.ones(2), array([1.0, 2.0]))


def test_assignment_operators_leave_the_first_array_as_it_was():
    a = b = array([1.0, 2.0])
    b += 1
    b *= a
    b -= [1.0, 1.0]
    b /= 2
    b **= 2
    assert a.data.tolist() == [1, 2]
    assert b.data.tolist() == [0.25, 6.25]
    b.sum().backward()
    np.testing.assert_allclose(a.grad, [1.5, 12.5])


UNARY = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, 0),
}


@pytest.mark.parametrize("name", UNARY)
def test_a_function_of_each_element_gives_numpy_s_numbers_and_their_slopes(name):
    for numbers in [X, X[:, 1:].T, np.array(0.5), np.empty((0, 2))]:
        check(lambda x: getattr(x, name)(), UNARY[name], numbers, rtol=1e-15)
    strided = array(X)[:, ::2]
    np.testing.assert_allclose(getattr(strided, name)().data, UNARY[name](X[:, ::2]), rtol=1e-15)


def test_minus_and_abs():
    check(operator.neg, operator.neg, X)
    check(abs, abs, X - 1)


def test_exponents_that_are_numbers_may_have_bases_that_are_negative():
    a = array([-2.0, 3.0, 0.0])
    out = a ** [3, 2, 1]
    out.sum().backward()
    assert out.data.tolist() == [-8, 9, 0]
    assert a.grad.tolist() == [12, 6, 1]
    assert [v._op[:2] for v in out] == ["**"] * 3
    assert [len(v._prev) for v in out] == [1, 1, 1]


def test_an_int_in_a_list_of_exponents_is_shown_as_one():
    assert (
        [v._op for v in array([2.0, 3.0]) ** [2, 0.5]]
        == ["**2", "**0.5"]
        == [v._op for v in (Value(2) ** 2, Value(2) ** 0.5)]
    )


LISTS = {
    "numbers": lambda: [3, 0.25, 2],
    "Values": lambda: [Value(3.0), Value(0.25), Value(2.0)],
    "Values and numbers": lambda: [3, Value(0.25), 2.0],
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("side", [1, -1], ids=["left", "right"])
@pytest.mark.parametrize("op", ARITHMETIC)
def test_a_list_gives_the_graph_of_the_loop_over_its_elements(op, side, kind):
    function, _ = ARITHMETIC[op]
    x, y = [Value(0.5), Value(1.5), Value(2.0)], LISTS[kind]()
    expected = [graph(function(*(a, b)[::side])) for a, b in zip(x, y)]
    for other in [y, tuple(y), np.array(y, dtype=object)]:
        assert [graph(v) for v in function(*(array(x), other)[::side])] == expected
    table = function(*(array(x), [[b] for b in y])[::side])
    assert [graph(table[i, i]) for i in range(3)] == expected


@pytest.mark.parametrize("function", [f for f, _ in ARITHMETIC.values()])
def test_a_list_may_be_empty_or_longer_than_the_array_and_an_array_without_axes(function):
    for other in [[1.0, 2], [Value(1.0), Value(2.0)], [Value(1.0), 2], np.array([1.0, Value(2.0)])]:
        assert function(array(2.0), other).data.tolist() == [function(2, 1), function(2, 2)]
        assert function(other, array(2.0)).data.tolist() == [function(1, 2), function(2, 2)]
        assert function(array(np.empty((0, 2))), other).shape == (0, 2)
    assert function(array([]), []).shape == (0,)
    assert function(array(2.0), np.array(Value(2.0))).shape == ()


def test_numbers_are_a_leaf_for_each_element():
    a = array([1.0, 2.0])
    for five in [5, [5, 5], np.array(5), np.array([5])]:
        out = a + five
        first, second = ({w for w in v._prev if w not in set(a)} for v in out)
        assert len(first) == len(second) == 1
        assert first != second


# Indices ---------------------------------------------------------------------------------------------------------


def same_elements(a, numbers):
    """An Array (or a Value) is what NumPy gives for the numbers (or one of them)."""
    if isinstance(numbers, np.ndarray):
        assert type(a) is Array
        assert a.shape == numbers.shape
        np.testing.assert_array_equal(a.data, numbers)
    else:
        assert type(a) is Value
        assert a.data == numbers


@settings(deadline=None)
@given(st.data())
def test_basic_indices_are_numpy_s(data):
    x = data.draw(numbers_of)
    key = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True, allow_ellipsis=True))
    same_elements(array(x)[key], x[key])


@settings(deadline=None)
@given(st.data())
def test_integer_array_indices_are_numpy_s(data):
    x = data.draw(filled)
    key = data.draw(hnp.integer_array_indices(x.shape))
    same_elements(array(x)[key], x[key])
    same_elements(array(x)[key[0].tolist()], x[key[0].tolist()])
    if x.ndim > 1:
        mixed = (slice(None), *key[1:])
        same_elements(array(x)[mixed], x[mixed])


@settings(deadline=None)
@given(st.data())
def test_boolean_indices_are_numpy_s(data):
    x = data.draw(numbers_of)
    mask = data.draw(hnp.arrays(bool, x.shape[: data.draw(st.integers(0, x.ndim))]))
    same_elements(array(x)[mask], x[mask])


@pytest.mark.parametrize(
    "key",
    [
        *[2, -3, (0, 3), (0, 0, 0), (Ellipsis, Ellipsis), "x", 1.0, None, [[0.5]], (0, "x"), np.array(["a"])],
        *[[True], [[True, False]], np.zeros((3, 3), bool), [2], ([0, 1], [0, 1, 2]), slice(0, 1, 0), slice("a"), {}],
    ],
    ids=repr,
)
def test_a_wrong_index_raises_what_numpy_raises(key):
    if key is None:
        assert array(X)[key].shape == (1, 2, 3)
        return
    with raises_as(operator.getitem, X, key):
        array(X)[key]


@pytest.mark.parametrize("key", [array([0.0, 1.0]), Value(1.0), array(1.0)], ids=lambda x: type(x).__name__)
def test_values_are_no_indices(key):
    with pytest.raises(IndexError):
        array(X)[key]


def test_one_element_is_a_value_and_an_ellipsis_keeps_the_array():
    a = array(X)
    assert type(a[1, 2]) is Value
    assert type(a[1][2]) is Value
    assert type(a.sum()[()]) is Value
    assert type(a[1, 2, ...]) is Array
    assert a[1, 2, ...].shape == ()
    assert a[1, 2, ...][()] is a[1, 2]


def test_an_element_taken_twice_gets_both_gradients():
    a = array([1.0, 2.0, 3.0])
    (a[[0, 0, 2]] * [1.0, 10.0, 100.0]).sum().backward()
    assert a.grad.tolist() == [11, 0, 100]
    a.grad = 0
    a[a.data > 1].sum().backward()
    assert a.grad.tolist() == [0, 1, 1]


def test_elements_cannot_be_replaced():
    a = array([1.0, 2.0])
    with pytest.raises(TypeError, match="does not support item assignment"):
        a[0] = 1.0
    with pytest.raises(TypeError, match="item deletion"):
        del a[0]


VIEWS = {
    "itself": lambda x: x,
    "the rest": lambda x: x[1:],
    "a column": lambda x: x[:, 1],
    "a row": lambda x: x[-1],
    "every other": lambda x: x[:, ::2],
    "the reverse": lambda x: x[::-1, ::-1],
    "one element": lambda x: x[1, 2, ...],
    "nothing": lambda x: x[2:],
    "a new axis": lambda x: x[:, None],
    "transpose": lambda x: x.T,
    "transpose of a part": lambda x: x[:, 1:].T,
    "swapaxes": lambda x: x.swapaxes(0, -1),
    "reshape": lambda x: x.reshape(3, 2),
    "ravel": lambda x: x.ravel(),
    "squeeze": lambda x: x[:1].squeeze(),
    "a view of views": lambda x: x.T[::-1].reshape(3, 2)[1:, 1:].squeeze(),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_leaves_is_live_both_ways(name):
    view = VIEWS[name]
    x, g = X.copy(), X * 10
    a = array(x)
    a.grad = g
    b = view(a)
    assert b.shape == view(x).shape
    np.testing.assert_array_equal(b.data, view(x))
    np.testing.assert_array_equal(b.grad, view(g))
    b.data[...] *= -1
    b.grad += 1
    view(x)[...] *= -1
    view(g)[...] += 1
    np.testing.assert_array_equal(a.data, x)
    np.testing.assert_array_equal(a.grad, g)
    a.data[...] = a.grad[...] = 5
    assert (b.data == 5).all()
    assert (b.grad == 5).all()
    assert b.size == 0 or np.shares_memory(a.data, b.data)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shares_the_nodes_also_where_they_were_computed(name):
    a = array(X) * 2
    b = VIEWS[name](a)
    assert set(b.ravel()) <= set(a.ravel())
    np.testing.assert_array_equal(b.data, VIEWS[name](X * 2))
    b.grad = 3
    np.testing.assert_array_equal(a.grad.sum(), 3 * b.size)
    b.data = 7
    assert (a.data == 7).sum() == b.size


# Shapes ----------------------------------------------------------------------------------------------------------

CUBE = np.arange(24.0).reshape(2, 1, 3, 4)

RESHAPED = [
    lambda x: x.reshape(24),
    lambda x: x.reshape(-1),
    lambda x: x.reshape(6, -1),
    lambda x: x.reshape((6, 4)),
    lambda x: x.reshape([2, 3, 2, 2]),
    lambda x: x[0, 0, 0, :1].reshape(()),
    lambda x: x[:0].reshape(0, 5),
    lambda x: x.T.reshape(4, 6),
    lambda x: x.T,
    lambda x: x.transpose(),
    lambda x: x.transpose(None),
    lambda x: x.transpose(1, 0, 3, 2),
    lambda x: x.transpose((3, 0, 1, 2)),
    lambda x: x.transpose(0, -1, 1, -2),
    lambda x: x.swapaxes(0, 3),
    lambda x: x.swapaxes(-1, 1),
    lambda x: x.ravel(),
    lambda x: x.T.ravel(),
    lambda x: x.flatten(),
    lambda x: x.squeeze(),
    lambda x: x.squeeze(1),
    lambda x: x.squeeze(axis=(1,)),
    lambda x: x[:1].squeeze((0, -3)),
    lambda x: x[0, 0, 0, 0, ...].T,
    lambda x: x[0, 0, 0].T,
]


@pytest.mark.parametrize("f", RESHAPED)
def test_shapes_change_as_numpy_s_do(f):
    check(lambda x: f(x) * 1, f, CUBE)
    a = array(CUBE)
    assert [v.data for v in f(a).ravel()] == f(CUBE).ravel().tolist()
    assert f(a).shape == f(CUBE).shape
    assert f(a).size == f(CUBE).size
    assert f(a).ndim == f(CUBE).ndim


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x.reshape(5),
        lambda x: x.reshape(-1, -1),
        lambda x: x.reshape(5, -1),
        lambda x: x.reshape("a"),
        lambda x: x.reshape(2.0, 12),
        lambda x: x.transpose(0, 1),
        lambda x: x.transpose(0, 0, 1, 2),
        lambda x: x.transpose(0, 1, 2, 9),
        lambda x: x.swapaxes(0, 4),
        lambda x: x.squeeze(0),
        lambda x: x.squeeze(7),
    ],
)
def test_a_wrong_shape_raises_what_numpy_raises(f):
    with raises_as(f, CUBE):
        f(array(CUBE))


# Products of matrices --------------------------------------------------------------------------------------------


def matrices(rows, columns, seed):
    """A matrix of that shape in several layouts: (f, x), where f(array(x)) and f(x) have that shape."""
    rng = np.random.default_rng(seed)
    return [
        (lambda x: x, rng.normal(size=(rows, columns))),
        (lambda x: x.T, rng.normal(size=(columns, rows))),
        (lambda x: x[::2, ::-1], rng.normal(size=(max(2 * rows - 1, 0), columns))),
        (lambda x: x[1:, 1:].T, rng.normal(size=(columns + 1, rows + 1))),
    ]


def vectors(n, seed):
    rng = np.random.default_rng(seed)
    return [
        (lambda x: x, rng.normal(size=n)),
        (lambda x: x[1], rng.normal(size=(3, n))),
        (lambda x: x[:, 1], rng.normal(size=(n, 3))),
        (lambda x: x[::-1], rng.normal(size=n)),
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (matrices(2, 3, 1), matrices(3, 4, 2)),
        (matrices(1, 3, 1), matrices(3, 1, 2)),
        (matrices(2, 0, 1), matrices(0, 4, 2)),
        (matrices(0, 3, 1), matrices(3, 2, 1)),
        (matrices(2, 3, 1), vectors(3, 2)),
        (vectors(3, 1), matrices(3, 4, 2)),
        (vectors(3, 1), vectors(3, 2)),
        (vectors(0, 1), vectors(0, 2)),
        (matrices(70, 2, 1)[1:2], matrices(2, 70, 1)[1:2]),
    ],
    ids=lambda layouts: "x".join(map(str, layouts[0][0](layouts[0][1]).shape)),
)
def test_a_product_of_matrices_is_numpy_s_in_all_layouts(left, right):
    for (f, x), (g, y) in itertools.product(left, right):
        a, b = array(x), array(y)
        out = f(a) @ g(b)
        expected = f(x) @ g(y)
        assert type(out) is Array
        assert out.shape == np.shape(expected)
        np.testing.assert_allclose(out.data, expected, rtol=1e-12, atol=1e-14)
        weights = np.random.default_rng(0).normal(size=out.shape)
        (out * weights).sum().backward()
        row, column = np.atleast_2d(f(x)), g(y) if g(y).ndim == 2 else g(y)[:, None]
        weights = weights.reshape(row.shape[0], column.shape[1])
        np.testing.assert_allclose(f(a).grad, (weights @ column.T).reshape(f(x).shape), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(g(b).grad, (row.T @ weights).reshape(g(y).shape), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "other",
    [
        X.T,
        X.T.tolist(),
        tuple(map(tuple, X.T)),
        X.T.astype(np.float32),
        X.T.astype(object),
        [[1], [2], [3]],
        [1, 2, 3],
        [[Value(1.0)], [Value(2.0)], [3]],
        [Value(1.0), 2, Value(3.0)],
        np.array([Value(1.0), 2, Value(3.0)]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_one_side_of_a_product_may_be_any_operand(other):
    numbers = elements(other).astype(float)
    np.testing.assert_allclose((array(X) @ other).data, X @ numbers, rtol=1e-14)
    left = np.ones((2, 3)) if numbers.ndim == 1 else np.ones(numbers.shape[1])
    np.testing.assert_allclose((other @ array(left.T)).data, numbers @ left.T, rtol=1e-14)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3), (2, 3)),
        ((3,), (2, 3)),
        ((2, 3), (2,)),
        ((3,), (2,)),
        ((), (3,)),
        ((3,), ()),
        ((), ()),
        ((2, 0), (1, 2)),
    ],
)
def test_shapes_that_do_not_fit_a_product_are_numpy_s_value_error(left, right):
    x, y = np.ones(left), np.ones(right)
    for p, q in [(array(x), array(y)), (x, array(y)), (array(x), y)]:
        with raises_as(operator.matmul, x, y):
            p @ q


@pytest.mark.parametrize("value", [Value(1.0), array(1.0)], ids=["Value", "Array"])
def test_a_product_with_one_value_is_a_value_error(value):
    with pytest.raises(ValueError, match="not have enough dimensions"):
        array(X) @ value
    with pytest.raises(ValueError, match="not have enough dimensions"):
        value @ array(X)


@pytest.mark.parametrize("other", [2.0, 2, np.float64(2), None, "x"], ids=repr)
def test_a_product_with_a_number_is_a_type_error(other):
    for f in [lambda: array(X) @ other, lambda: other @ array(X)]:
        with pytest.raises(TypeError, match="unsupported operand"):
            f()


def test_more_than_two_axes_are_a_value_error_that_says_so():
    for x, y in [(CUBE, CUBE.swapaxes(2, 3)), (CUBE, np.ones(4)), (np.ones(2), CUBE)]:
        with pytest.raises(ValueError, match="1 or 2 axes"):
            array(x) @ array(y)


# Reductions ------------------------------------------------------------------------------------------------------

REDUCTIONS = ["sum", "mean", "prod", "max", "min"]


@pytest.mark.parametrize("name", REDUCTIONS)
@settings(deadline=None)
@given(data=st.data())
def test_a_reduction_is_numpy_s_along_any_axes(name, data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3))
    x = data.draw(hnp.arrays(float, shape, elements=floats))
    axes = st.none() | st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.none()
    axis = data.draw(axes | hnp.valid_tuple_axes(x.ndim))
    keepdims = data.draw(st.booleans())
    out = getattr(array(x), name)(axis=axis, keepdims=keepdims)
    expected = getattr(x, name)(axis=axis, keepdims=keepdims)
    assert type(out) is Array
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out.data, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 0), (), (0, 1, 2)])
def test_the_gradient_of_a_reduction_is_its_slope(name, axis):
    x = np.random.default_rng(3).permutation(np.linspace(-2, 2, 12)).reshape(2, 2, 3)
    check(lambda a: getattr(a, name)(axis), lambda a: getattr(a, name)(axis=axis), x)
    check(lambda a: getattr(a, name)(axis, True), lambda a: getattr(a, name)(axis=axis, keepdims=True), x)


@pytest.mark.parametrize("layout", [lambda x: x.T, lambda x: x[::2], lambda x: x[:, ::-1], lambda x: x[:, 1]])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction_of_a_view_is_numpy_s(name, layout):
    x = np.random.default_rng(4).normal(size=(4, 3))
    for axis in [None, 0, -1]:
        np.testing.assert_allclose(
            getattr(layout(array(x)), name)(axis).data, getattr(layout(x), name)(axis=axis), rtol=1e-14, atol=1e-15
        )


def test_the_gradient_of_a_product_with_zeros_in_it_is_finite():
    a = array([0.0, 2.0, 3.0])
    a.prod().backward()
    assert a.grad.tolist() == [6, 0, 0]
    a = array([0.0, 0.0, 3.0])
    a.prod().backward()
    assert a.grad.tolist() == [0, 0, 0]


def test_the_gradient_of_a_largest_element_is_shared_among_equals():
    a = array([1.0, 2.0, 2.0])
    a.max().backward()
    assert a.grad.tolist() == [0, 0.5, 0.5]
    a.grad = 0
    (-a).min().backward()
    assert a.grad.tolist() == [0, -0.5, -0.5]


def test_nan_wins_a_maximum_and_a_minimum():
    for x in [[1.0, np.nan, 2.0], [np.nan, 1.0], [1.0, np.nan]]:
        assert np.isnan(array(x).max().item())
        assert np.isnan(array(x).min().item())


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3)])
def test_a_sum_of_nothing_is_0_and_a_product_1(shape):
    for axis in [None, *range(-len(shape), len(shape)), tuple(range(len(shape)))]:
        for name in ["sum", "prod"]:
            out = getattr(array(np.empty(shape)), name)(axis)
            expected = getattr(np.empty(shape), name)(axis=axis)
            assert out.shape == np.shape(expected)
            np.testing.assert_array_equal(out.data, expected)


@pytest.mark.parametrize("name", ["max", "min"])
def test_there_is_no_largest_of_nothing(name):
    for shape, axis in [((0,), None), ((3, 0), None), ((3, 0), 1), ((0, 3), 0), ((0, 0), 0)]:
        with pytest.raises(ValueError, match=f"zero-size array to reduction operation .*{name}imum.* has no identity"):
            getattr(array(np.empty(shape)), name)(axis)
    assert getattr(array(np.empty((3, 0))), name)(0).shape == (0,)
    assert getattr(array(np.empty((0, 3))), name)(1).shape == (0,)


def test_a_mean_of_nothing_is_a_division_by_zero_and_no_means_are_none():
    for shape, axis in [((0,), None), ((0, 3), 0)]:
        with pytest.raises(ZeroDivisionError):
            array(np.empty(shape)).mean(axis)
    assert array(np.empty((0, 3))).mean(1).shape == (0,)


def test_a_mean_of_nothing_says_so():
    with pytest.raises(ZeroDivisionError, match="mean"):
        array([]).mean()


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [2, -3, (0, 2), (0, -3)])
def test_an_axis_out_of_range_is_numpy_s_axis_error(name, axis):
    with raises_as(getattr(X, name), axis):
        getattr(array(X), name)(axis)
    with pytest.raises(np.exceptions.AxisError):
        getattr(array(X), name)(axis)
    with pytest.raises(np.exceptions.AxisError):
        getattr(array(1.0), name)(0)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(("axis", "error"), [((0, 0), ValueError), ((0, -2), ValueError), (0.5, TypeError),
                                             ("x", TypeError), ((0, None), TypeError)])  # fmt: skip
def test_an_axis_that_is_none_or_comes_twice_is_refused(name, axis, error):
    with pytest.raises(error):
        getattr(array(X), name)(axis)


def test_a_reduction_of_many_blocks_of_nodes():
    x = np.random.default_rng(5).normal(size=(300, 70))
    a = array(x)
    np.testing.assert_allclose(a.sum(0).data, x.sum(0), rtol=1e-12, atol=1e-12)
    a.max(1).sum().backward()
    np.testing.assert_array_equal(a.grad, x == x.max(1, keepdims=True))


# Joining ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_concatenate_joins_as_numpy_does(axis):
    y = X[:, :2] if axis in (1, -1) else X[:1]
    check(lambda a, b: concatenate([a, b, b], axis) * 1, lambda a, b: np.concatenate([a, b, b], axis), X, y)
    assert concatenate([array(X), X.tolist(), X], axis=axis).shape == np.concatenate([X, X, X], axis=axis).shape


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_stack_joins_as_numpy_does(axis):
    check(lambda a, b: stack([a, b], axis) * 1, lambda a, b: np.stack([a, b], axis), X, X * 2)
    assert stack([array(X), X.tolist()], axis=axis).shape == np.stack([X, X], axis=axis).shape


def test_joined_arrays_keep_their_nodes():
    a, v = array([1.0, 2.0]), Value(3.0)
    joined = concatenate([a, [v, 4.0]])
    assert (joined[0], joined[2]) == (a[0], v)
    assert stack([a, [v, 5.0]])[1, 0] is v
    assert stack([v, 1.0, a[0]])[2] is a[0]
    assert concatenate(array(X)).shape == (6,)
    assert concatenate((a,)).tolist() == a.tolist()
    del a
    gc.collect(1)
    assert joined.data.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("f", "theirs"),
    [
        (lambda: concatenate([]), lambda: np.concatenate([])),
        (lambda: concatenate([array(X), [1.0]]), lambda: np.concatenate([X, [1.0]])),
        (lambda: concatenate([array(X), X.T]), lambda: np.concatenate([X, X.T])),
        (lambda: concatenate([array(X)], axis=2), lambda: np.concatenate([X], axis=2)),
        (lambda: concatenate([1.0, Value(2.0)]), lambda: np.concatenate([1.0, 2.0])),
        (lambda: concatenate(array([1.0])), lambda: np.concatenate(np.array([1.0]))),
        (lambda: stack([]), lambda: np.stack([])),
        (lambda: stack([array(X), [1.0]]), lambda: np.stack([X, [1.0]])),
        (lambda: stack([array(X)], axis=3), lambda: np.stack([X], axis=3)),
        (lambda: stack([array(X)], axis=-4), lambda: np.stack([X], axis=-4)),
    ],
)
def test_what_cannot_be_joined_raises_what_numpy_raises(f, theirs):
    with raises_as(theirs):
        f()


@pytest.mark.parametrize("join", [concatenate, stack])
@pytest.mark.parametrize("parts", [3, [array([1.0]), "x"], [[None]], [array([1.0]), [1j]]], ids=repr)
def test_joining_what_is_no_number_is_a_type_error(join, parts):
    with pytest.raises(TypeError):
        join(parts)


CONDITIONS = [X > 1, (X > 1).tolist(), [True, False, True], [[True], [False]], True, False, X - X.round(), [0, 1, 2]]


@pytest.mark.parametrize("condition", CONDITIONS, ids=repr)
def test_where_takes_what_numpy_s_takes(condition):
    check(lambda a, b: where(condition, a, b) * 1, lambda a, b: np.where(condition, a, b), X, X[:1] * 7)
    check(lambda a: where(condition, a, -1) * 1, lambda a: np.where(condition, a, -1), X)
    check(lambda a: where(condition, [1, 2, 3], a) * 1, lambda a: np.where(condition, [1, 2, 3], a), X)


def test_where_keeps_the_nodes():
    a, v = array([1.0, 2.0]), Value(3.0)
    assert where([True, False], a, v).tolist() == [a[0], v]
    assert where(True, v, 0.0)[()] is v
    assert where(a.data > 1, a, [v, 0.0]).tolist() == [v, a[1]]


def test_where_refuses_shapes_that_do_not_match():
    for args in [([True] * 3, X[:, :2], 0.0), (True, X, X.T), ([True, False], X, 0.0)]:
        with raises_as(np.where, *args):
            where(args[0], array(args[1]), args[2])


@pytest.mark.parametrize("condition", [array([0.0, 1.0]), [Value(0.0), Value(1.0)], np.array([Value(0.0), 1])])
def test_a_condition_of_values_is_their_numbers_or_an_error(condition):
    try:
        out = where(condition, [1.0, 2.0], -1.0)
    except TypeError:
        return
    assert out.data.tolist() == [-1, 2]


# Scalars and sequences -------------------------------------------------------------------------------------------


def test_an_array_is_iterated_over_along_its_first_axis():
    a = array(X)
    rows = list(a)
    assert [type(row) for row in rows] == [Array, Array]
    assert [row.data.tolist() for row in rows] == X.tolist()
    assert [v.data for v in a[0]] == X[0].tolist()
    assert len(a) == 2
    assert len(array([])) == 0
    assert list(array(np.empty((2, 0))))[1].shape == (0,)
    assert list(array([])) == []
    assert next(reversed(a[0])) is a[0, 2]
    assert a[0, 1] in a[0]
    x, y, z = a[1]
    assert (x, y, z) == (a[1, 0], a[1, 1], a[1, 2])


def test_an_array_without_axes_has_no_length():
    with raises_as(len, np.array(1.0)):
        len(array(1.0))
    with raises_as(iter, np.array(1.0)):
        iter(array(1.0))


def test_tolist_gives_nested_lists_of_the_values():
    a = array(X)
    assert a.tolist() == [[a[i, j] for j in range(3)] for i in range(2)]
    assert a.tolist()[1][2] is a[1, 2]
    assert a[0].tolist()[1] is a[0, 1]
    assert array(CUBE).tolist()[1][0][2][3].data == 23
    assert array(np.empty((2, 0))).tolist() == [[], []]
    v = Value(1.0)
    assert array(v).tolist() is v


def test_the_sum_of_python_takes_arrays_and_their_elements():
    a = array(X)
    assert sum([a, a]).data.tolist() == (2 * X).tolist()
    assert sum(a[0]).data == 4
    assert sum(a).data.tolist() == X.sum(0).tolist()


@pytest.mark.parametrize("x", [2.5, [2.5], [[2.5]]], ids=repr)
def test_item_is_a_float(x):
    assert array(x).item() == 2.5
    assert type(array(x).item()) is float
    assert type((array(x) * 1).item()) is float


@pytest.mark.parametrize("x", [[], [1.0, 2.0]], ids=repr)
def test_item_of_more_or_less_than_one_is_a_value_error(x):
    with raises_as(np.array(x).item):
        array(x).item()


def test_float_takes_an_array_without_axes():
    assert float(array(2.5)) == float(array(X).sum() * 0 + 2.5) == 2.5
    assert np.sqrt(float(array(4.0))) == 2
    for x in [[1.0, 2.0], []]:
        with raises_as(float, np.array(x)):
            float(array(x))


def test_the_truth_of_one_number_is_numpy_s():
    for x in [0.0, 1.0, -0.0, np.nan, [0.0], [[2.0]]]:
        assert bool(array(x)) == bool(np.array(x))
    with raises_as(bool, np.ones(2)):
        bool(array([1.0, 1.0]))


def test_format_of_one_number_is_a_float_s():
    assert f"{array(X).mean():.3f}" == "1.500"
    assert f"{array(0.25):8.1%}" == "   25.0%"
    assert f"{array(0.25)}" == str(array(0.25)) == "Array(0.25)"
    assert f"{array([1.0])}" == "Array([1.])"
    with pytest.raises(ValueError, match="format"):
        format(array(1.0), "x")


def test_format_of_many_numbers_is_numpy_s_type_error():
    for x in [[1.0], [1.0, 2.0]]:
        with pytest.raises(TypeError, match="unsupported format string"):
            format(array(x), ".2f")


def test_repr_shows_the_numbers_as_numpy_does():
    assert repr(array([1.0, 2.5])) == "Array([1. , 2.5])"
    assert repr(array([[1.0], [2.0]])) == "Array([[1.],\n       [2.]])"
    assert repr(array([])) == "Array([])"
    assert repr(array([1.0]) * np.inf) == "Array([inf])"
    assert str(array(X)) == repr(array(X))
    assert "..." in repr(array(np.zeros(5000)))


def test_repr_of_an_empty_array_shows_its_shape():
    assert "shape=(0, 3)" in repr(array(np.empty((0, 3))))


def test_an_array_is_hashable_and_equal_to_itself_only():
    a, b = array([1.0]), array([1.0])
    assert len({a, b, a}) == 2
    assert a in [b, a]
    assert a not in [b]


def test_a_misspelt_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError):
        array([1.0]).gard = 0
    with pytest.raises(AttributeError):
        array([1.0]).shape = (1, 1)


def test_arrays_are_made_by_array_only():
    with pytest.raises(TypeError):
        Array([1.0, 2.0])


def test_not_even_an_empty_array_is_made_by_its_class():
    with pytest.raises(TypeError):
        Array()


# Identity --------------------------------------------------------------------------------------------------------


def test_an_element_is_one_object_as_long_as_it_is_alive():
    a = array(X)
    v = a[1, 2]
    assert v is a[1, 2]
    assert v is a[1][2]
    assert v is a.T[2, 1]
    assert v is a.ravel()[-1]
    assert v is a[[1]][0, 2]
    assert v is a[X == 3][0]
    assert v is list(a[1])[2]
    assert v is concatenate([a, a])[3, 2]
    assert v == a.tolist()[1][2]
    b = a * 2
    w = b[1, 2]
    gc.collect(1)
    assert w is b[1, 2]
    assert v in w._prev
    assert {id(u) for u in w._prev if u == v} == {id(v)}


def test_an_element_taken_again_is_equal_and_has_its_label():
    a = array(X)
    a[0, 0].label = "first"
    h = hash(a[0, 0])
    gc.collect(1)
    assert a[0, 0].label == "first"
    assert hash(a[0, 0]) == h
    assert a[0, 0] == a[0, 0]
    assert a[0, 0] != a[0, 1]


def test_the_very_value_comes_out_that_went_in():
    v, w = Value(1.0), Value(2.0) * 3
    gc.collect(1)
    a = array([[v, w]])
    assert a[0, 0] is v
    assert a[0, 1] is w
    assert (a * 1).tolist()[0][0]._prev >= {v}


class Named(Value):
    """A subclass with attributes of its own."""

    def __init__(self, data, name):
        super().__init__(data)
        self.name = name


def test_a_subclass_of_value_comes_out_as_it_went_in():
    v = Named(2.0, "x")
    a = array([v, 1.0])
    assert a[0].name == "x"
    (a * a).sum().backward()
    assert v.grad == 4


# Data and grad ---------------------------------------------------------------------------------------------------


def test_the_data_and_grad_of_leaves_are_live():
    a = array([1.0, 2.0, 3.0])
    v, data, grad = a[1], a.data, a.grad
    assert data.strides == grad.strides == (32,)
    assert data.flags.writeable
    assert grad.flags.writeable
    data[1] = 5
    grad[1] = 7
    assert (v.data, v.grad) == (5, 7)
    v.data, v.grad = -1, -2
    assert (data[1], grad[1]) == (-1, -2)
    a.grad = 0
    (a * a).sum().backward()
    assert grad.tolist() == [2, -2, 6]


def test_live_data_outlives_its_array():
    data = array(np.arange(1000.0)).data
    part = array(np.arange(1000.0))[500:].data[::2]
    grad = array(np.arange(1000.0)).grad
    gc.collect(1)
    others = [array(np.full(1000, -1.0)) for _ in range(20)]
    assert data.tolist() == list(range(1000))
    assert part.tolist() == list(range(500, 1000, 2))
    assert not grad.any()
    data[:], grad[:] = 3, 4
    assert all((other.data == -1).all() and not other.grad.any() for other in others)


def test_live_data_can_be_copied_and_pickled_as_any_numpy_array():
    data = array(X).data
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)), X)
    np.testing.assert_array_equal(copy.deepcopy(data), X)
    assert data.sum() == X.sum()


NOT_LIVE = {
    "computed": lambda: array(X) * 1,
    "made of Values": lambda: array([[Value(x) for x in row] for row in X]),
    "made of Values and numbers": lambda: array([[Value(row[0]), *row[1:]] for row in X]),
    "joined": lambda: concatenate([array(X[:1]), array(X[1:])]),
    "stacked": lambda: stack([array(X[0]), array(X[1])]),
    "chosen": lambda: where(True, array(X), 0.0),
    "picked": lambda: array(X)[[0, 1]],
    "masked": lambda: array(X)[[True, True]],
    "a view of a picked": lambda: array(X)[[1, 0]][::-1],
    "reduced": lambda: array(X[None]).sum(0),
}


@pytest.mark.parametrize("name", NOT_LIVE)
def test_other_data_and_grad_are_read_only_copies(name):
    a = NOT_LIVE[name]()
    for part in [a.data, a.grad]:
        with pytest.raises(ValueError, match="read-only"):
            part[0, 0] = 9
    with pytest.raises(ValueError, match="read-only"):
        a.data += 1
    with pytest.raises(ValueError, match="read-only"):
        a.grad *= 0
    before = a.data
    np.testing.assert_array_equal(before, X)
    a[0, 0].data = 9
    assert before[0, 0] == 0.5
    assert a.data[0, 0] == 9


ASSIGNED = [
    7,
    2.5,
    True,
    np.float32(0.5),
    [1, 2, 3],
    [[1], [2]],
    X * 2,
    X[::-1],
    np.arange(3),
    array([1.0, 2.0, 3.0]),
    array(3.0),
    Value(3.0),
    [Value(1.0), 2.0, 3.0],
]


@pytest.mark.parametrize("name", ["live", "a live view", *NOT_LIVE])
@pytest.mark.parametrize(("part", "other"), [("data", "grad"), ("grad", "data")])
def test_data_and_grad_of_any_array_can_be_assigned_as_a_whole(name, part, other):
    make = {"live": lambda: array(X), "a live view": lambda: array(X.T[::-1])[:, ::-1].T, **NOT_LIVE}[name]
    for x in ASSIGNED:
        a = make()
        before = np.array(getattr(a, other))
        setattr(a, part, x)
        expected = np.broadcast_to(elements(x).astype(float), X.shape)
        np.testing.assert_array_equal(getattr(a, part), expected)
        assert [[getattr(v, part) for v in row] for row in a] == expected.tolist()
        np.testing.assert_array_equal(getattr(a, other), before)


@pytest.mark.parametrize("make", [lambda: array(X), lambda: array(X) * 1], ids=["leaves", "computed"])
@pytest.mark.parametrize("x", [[1, 2], np.zeros((3, 2)), np.zeros((1, 2, 3))[:, :1].repeat(2, 0), [], [[1, 2, 3], [4]]])
def test_data_of_another_shape_is_a_value_error_and_changes_nothing(make, x):
    a = make()
    for part in ["data", "grad"]:
        with pytest.raises(ValueError, match=r"broadcast|inhomogeneous|sequence"):
            setattr(a, part, x)
    np.testing.assert_array_equal(a.data, X)
    assert not a.grad.any()


@pytest.mark.parametrize("make", [lambda: array(X), lambda: array(X) * 1], ids=["leaves", "computed"])
@pytest.mark.parametrize("x", [None, "1.5", [1, 2, None], np.array([1j, 2, 3]), ["1", "2", "3"]], ids=repr)
def test_what_is_no_number_cannot_be_assigned(make, x):
    a = make()
    for part in ["data", "grad"]:
        with pytest.raises(TypeError):
            setattr(a, part, x)
    np.testing.assert_array_equal(a.data, X)
    assert not a.grad.any()


def test_augmented_assignment_trains_leaves_in_place():
    w = array([1.0, 2.0, 3.0])
    scalar = array(1.0)
    data = w.data
    w.grad = [1, 1, 1]
    w.data -= 0.5 * w.grad
    w[1:].data *= 2
    w.T[::-1].grad += [1, 2, 3]
    scalar.data -= 0.25
    w[0].data += 1
    assert data is w.data
    assert data.tolist() == [1.5, 3, 5]
    assert w.grad.tolist() == [4, 3, 2]
    assert scalar.item() == 0.75


def test_data_assigned_from_itself_is_moved_as_by_numpy():
    a = array(np.arange(5.0))
    a.data = a.data[::-1]
    assert a.data.tolist() == [4, 3, 2, 1, 0]
    a.data[1:] = a.data[:-1]
    assert a.data.tolist() == [4, 4, 3, 2, 1]


def test_data_is_assigned_from_another_array_of_any_shape_that_broadcasts():
    for other in [array(X), array(X) * 1, array(X[0]), array(X[:, :1]), array(2.0)]:
        a = array(X * 3)
        a.data = a.grad = other
        expected = np.broadcast_to(other.data, X.shape)
        np.testing.assert_array_equal(a.data, expected)
        np.testing.assert_array_equal(a.grad, expected)


def test_data_is_assigned_from_an_array_without_elements():
    a = array(np.empty((0, 3)))
    a.data = a * 1


def test_edited_data_is_seen_by_the_backward_pass_and_not_by_results():
    a = array([1.0, 2.0])
    b = a * a
    a.data[0] = 10
    assert b.data.tolist() == [1, 4]
    b.sum().backward()
    assert a.grad.tolist() == [20, 4]


@pytest.mark.parametrize("x", [np.empty(0), np.empty((2, 0))])
def test_empty_arrays_have_empty_data(x):
    for a in [array(x), array(x) * 1, array(x)[:0]]:
        assert a.data.shape == a.grad.shape == a.shape
        a.data, a.grad = 1, 2
    a = array(x)
    a.grad += 1


# Backward --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_backward_starts_at_one_number(shape):
    a = array([1.0, 2.0])
    out = (a * a).sum().reshape(shape)
    out.backward()
    assert out.grad.item() == 1
    assert a.grad.tolist() == [2, 4]


@pytest.mark.parametrize("shape", [(0,), (2,), (2, 3), (1, 0)])
def test_backward_at_more_or_less_than_one_number_is_a_value_error(shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        (array(np.ones(shape)) * 1).backward()


def test_backward_of_a_leaf_sets_its_grad():
    a = array([1.0, 2.0])
    a[1:].backward()
    assert a.grad.tolist() == [0, 1]


def test_backward_twice_accumulates_as_micrograd_s():
    x, v = array([3.0]), Value(3.0)
    out, expected = ((x * x) * 2).sum(), sum([(v * v) * 2])
    for _ in range(3):
        out.backward()
        expected.backward()
        assert x.grad.item() == v.grad


def test_backward_raises_what_python_raises():
    with pytest.raises(ZeroDivisionError, match="sqrt"):
        array([4.0, 0.0]).sqrt().sum().backward()


def test_values_and_arrays_make_one_graph():
    x, v = array([1.0, 2.0]), Value(3.0)
    y = sum(list(x * v)) + (x @ [v, 1.0]) * x[0] + v.tanh() * 0
    assert type(y) is Array
    y.backward()
    assert y.item() == 9 + 5
    assert v.grad == 3 + 1
    assert x.grad.tolist() == [3 + 3 + 5, 3 + 1]


# Copies ----------------------------------------------------------------------------------------------------------

COPIES = [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize(
    "make",
    [
        lambda: array(X),
        lambda: array(X).T[1:],
        lambda: array(X)[[1, 0]],
        lambda: array([Value(1.0), 2.0]),
        lambda: array(2.0),
        lambda: array(np.empty((0, 3))),
        lambda: array(np.arange(1000.0)),
    ],
)
def test_leaves_can_be_copied_and_pickled(copied, make):
    a = make()
    a.grad = np.arange(a.size).reshape(a.shape)
    b = copied(a)
    assert b.shape == a.shape
    np.testing.assert_array_equal(b.data, a.data)
    np.testing.assert_array_equal(b.grad, a.grad)
    assert not set(a.ravel()) & set(b.ravel())
    before = a.data.copy()
    b.data += 1
    b.grad[...] = 0
    np.testing.assert_array_equal(a.data, before)
    (b * b).sum().backward()
    np.testing.assert_array_equal(b.grad, 2 * b.data)


def test_an_array_shared_by_two_is_shared_by_their_copies():
    a = array(X)
    b, c = copy.deepcopy([a, a])
    assert b is c


@pytest.mark.parametrize("copied", COPIES)
def test_an_element_that_comes_twice_is_one_node_in_the_copy(copied):
    v = Value(1.0)
    a = copied(array([v, v]))
    assert a[0] == a[1]


@pytest.mark.parametrize("copied", COPIES)
def test_labels_are_copied(copied):
    a = array([Value(1.0, label="w"), 2.0])
    a[1].label = "b"
    assert [v.label for v in copied(a)] == ["w", "b"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize(
    "make", [lambda: array(X) * 1, lambda: array([Value(1.0), Value(1.0) + 1]), lambda: array(X).sum()]
)
def test_computed_arrays_cannot_be_copied_or_pickled(copied, make):
    with pytest.raises(TypeError, match="only an Array of leaves"):
        copied(make())


# Ops written in Python -------------------------------------------------------------------------------------------


def double(x):
    """The lecture's way of adding an op."""
    out = Value(x.data * 2, (x,), "double")

    def _backward():
        x.grad += 2 * out.grad

    out._backward = _backward
    return out


KEPT = {
    "operator": lambda a: a * 3,
    "function": lambda a: a.tanh(),
    "sum": lambda a: a.sum(),
    "sum of one": lambda a: a[:1].sum(),
    "mean of rows": lambda a: a[:, None].mean(1),
    "product": lambda a: a @ a,
    "softmax": lambda a: functional.softmax(a),
    "linear": lambda a: functional.linear(np.ones(1), [[2.0]], a[:1]),
    "view": lambda a: a[None, ::-1].T,
    "picked": lambda a: a[[1, 1]],
    "joined": lambda a: stack([concatenate([a, [1.0]])]),
    "chosen": lambda a: where([True, False], a, 0.0),
    "copied": lambda a: array([a, a]),
    "listed": lambda a: array(a.tolist()),
    "largest": lambda a: a.max(),
}


def runs_what_is_below(f, generation=1):
    """A result of Values with closures runs them, also when all but the result is gone."""
    x = array([2.0, 3.0])
    f(x * 2).sum().backward()
    expected = x.grad.copy()
    x.grad = 0
    a = array([double(v) for v in x])
    out = f(a)
    del a
    gc.collect(generation)
    out = out.sum()
    gc.collect(generation)
    out.backward()
    np.testing.assert_allclose(x.grad, expected)


@pytest.mark.parametrize("name", KEPT)
def test_an_op_of_one_s_own_is_run_below_an_array_of_which_only_results_are_left(name):
    runs_what_is_below(KEPT[name])


def test_an_element_of_a_computed_array_keeps_what_is_below():
    x = array([2.0, 3.0])
    v = (array([double(v) for v in x]) * 5)[1]
    values = (array([double(v) for v in x]) * 5).tolist()
    gc.collect(1)
    v.backward()
    assert x.grad.tolist() == [0, 10]
    del v
    gc.collect(1)
    values[0].backward()
    assert x.grad.tolist() == [10, 10]


def test_an_op_of_one_s_own_may_have_the_elements_of_arrays_as_operands():
    w = array([1.0, 2.0])
    y = w * 3
    out = Value(float((y.data**2).sum()), tuple(y), "sumsq")

    def _backward():
        y.grad = y.grad + 2 * y.data * out.grad

    out._backward = _backward
    (array([out, 1.0]) * 2).sum().backward()
    assert w.grad.tolist() == [2 * 2 * 3 * 3, 2 * 2 * 6 * 3]
    assert set(out._prev) == set(y)


def test_a_backward_assigned_to_an_element_is_called_whatever_is_left_of_the_array():
    seen = []
    x = array([2.0, 3.0])
    y = x * 2
    y[1]._backward = lambda: seen.append("called")
    gc.collect(1)
    out = (y * 1).sum()
    del y
    gc.collect(1)
    out.backward()
    assert seen == ["called"]
    assert x.grad.tolist() == [2, 0]
    del out
    Value(1.0).backward()


def test_a_backward_may_compute_with_arrays():
    x = array([2.0])
    y = x * 2
    v = y[0]

    def _backward():
        x.grad += (array([v.grad, 1.0]) * 10).data[0]

    v._backward = _backward
    (y + 1).sum().backward()
    assert x.grad.item() == 10


SAME = {
    "the largest of one": lambda a: a[:1].max(),
    "the smallest of rows of one": lambda a: a[:, None].min(axis=1),
    "the largest along no axis": lambda a: a.max(axis=()),
    "linear without inputs": lambda a: functional.linear(np.ones(0), np.ones((2, 0)), a),
}


@pytest.mark.parametrize("name", SAME)
def test_an_op_of_one_s_own_is_kept_by_a_result_that_is_the_same_node(name):
    runs_what_is_below(SAME[name], generation=2)


def test_an_array_may_be_the_operands_of_an_op_of_one_s_own():
    a = array([1.0, 2.0])
    assert Value(1.0, a, "op")._prev == set(a)


# Memory ----------------------------------------------------------------------------------------------------------


@on_cpython("PyPy finalizes an Array when it collects garbage")
def test_memory_is_back_as_soon_as_the_last_name_is_gone():
    gc.disable()
    try:
        before = memory_stats().live_nodes
        a = array(np.ones((20, 30)))
        assert memory_stats().live_nodes == before + 600
        b = a.T @ a
        assert memory_stats().live_nodes == before + 600 + 30 * 30 * (2 * 20 + 1)
        v, row = b[0, 0], b[1]
        del a, b
        assert memory_stats().live_nodes == before + 600 + 30 * 30 * (2 * 20 + 1)  # as the row is a view
        del row
        assert memory_stats().live_nodes == before + 20 + 2 * 20 + 1  # one column, and the sum of its squares
        del v
        assert memory_stats().live_nodes == before
    finally:
        gc.enable()


def test_no_use_of_arrays_leaves_a_node_behind(no_leak):
    for use in [
        test_a_value_stays_the_node_it_is,
        test_joined_arrays_keep_their_nodes,
        test_where_keeps_the_nodes,
        test_live_data_outlives_its_array,
        test_an_element_of_a_computed_array_keeps_what_is_below,
        test_an_op_of_one_s_own_may_have_the_elements_of_arrays_as_operands,
        test_a_backward_assigned_to_an_element_is_called_whatever_is_left_of_the_array,
        *(functools.partial(runs_what_is_below, f) for f in KEPT.values()),
    ]:
        use()
    w = array(X)
    for _ in range(3):
        h = (array(X) @ w.T).tanh() + 1
        h = concatenate([h, stack([h[0], h[1] * 2])]).reshape(2, 4).T
        h = where(h.data > 0, h / 2, [0.0, Value(1.0)]) ** 2 - [[1.0]]
        loss = functional.cross_entropy(h, [0, 1, 0, 1]) + h.max(0).mean() + sum(h[0]) + h[0].tolist()[0]
        w.grad = 0
        loss.backward()
        w.data -= 0.1 * w.grad
    copy.deepcopy(w)
    repr(h)
    h.data, h.grad = 1, 2
    list(h)


@pytest.mark.parametrize("key", [slice(-2, None), [-2, -1]], ids=repr)
def test_a_window_that_slides_does_not_keep_what_it_has_left(key):
    a = array([0.0, 0.0])
    before = live_nodes()
    for _ in range(500):
        a = concatenate([a, [1.0]])[key]
    assert live_nodes() < before + 100


@pytest.mark.parametrize("size", [257, 1000, 5000])
def test_leaves_of_more_than_one_block_come_and_go_without_new_memory(size):
    x = np.ones(size)
    kept = []
    for i in range(2100):
        a = array(x)
        b = a * 2
        kept = [*kept[-20:], Value(1.0)]  # so that blocks in between stay
        if i == 100:
            before = memory_stats().committed_bytes
    assert memory_stats().committed_bytes < before + (4 << 20)
    assert b.data.sum() == 2 * size


def test_leaves_of_all_sizes_that_come_and_go_have_nodes_of_their_own(no_leak):
    rng = random.Random(1)
    kept = []
    for i in range(3000):
        size = rng.choice([0, 1, 3, 100, 255, 256, 257, 512, 513, 1500])
        a = array(np.full(size, float(i)))
        assert a.grad.sum() == 0
        a.grad = i + 0.5
        b = a * 2 if rng.random() < 0.5 else None
        kept.append((i, size, a, b))
        if len(kept) > 30:
            j, n, old, doubled = kept.pop(rng.randrange(len(kept)))
            assert (old.data == j).all()
            assert (old.grad == j + 0.5).all()
            assert old.size == n
            if doubled is not None:
                assert (doubled.data == 2 * j).all()
                doubled.sum().backward()
                assert (old.grad == j + 2.5).all()


def test_the_backward_pass_keeps_its_order_when_blocks_are_used_again(no_leak):
    """Graphs of Arrays of random lifetimes, compared with the same on reference Values."""
    rng = random.Random(2)
    start = [1.0, -0.5, 0.25]
    pairs = [(array(start), [reference.Value(x) for x in start])]
    fillers = []
    for step in range(600):
        (a, ra), (b, rb) = rng.choice(pairs), rng.choice(pairs)
        pairs.append(((a * 0.5 + b).tanh(), [(x * 0.5 + y).tanh() for x, y in zip(ra, rb)]))
        fillers.append(array(np.zeros(rng.choice([1, 200, 300, 1000]))))
        del fillers[: rng.randrange(3)]
        if len(pairs) > 12:
            del pairs[rng.randrange(len(pairs))]
        if step % 50 == 0:
            pairs[-1][0].sum().backward()
            sum(pairs[-1][1]).backward()
            assert [a.grad.tolist() for a, _ in pairs] == [[x.grad for x in row] for _, row in pairs]


def test_a_long_chain_of_arrays_is_freed():
    before = live_nodes()
    x = Value(2.0)
    a = b = array([double(x), 1.0])
    for _ in range(20_000):
        a = a * 1
        b = concatenate([b, [1.0]])[:2]
    a.sum().backward()
    assert x.grad == 2
    del a, b
    assert live_nodes() == before + 1


def test_threads_may_make_and_free_arrays_at_once(no_leak):
    shared = array(np.ones(300))

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            x = rng.integers(-3, 4, rng.choice([3, 300, 700])).astype(float)
            a = array(x)
            out = (a * a).sum() + (a[:3] @ shared[:3]) + sum(a[:3])
            assert out.item() == (x * x).sum() + 2 * x[:3].sum()
            out.backward()
            expected = 2 * x
            expected[:3] += 2
            assert a.grad.tolist() == expected.tolist()
            assert a[0] is a[0]
            copy.deepcopy(a)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
    finally:
        sys.setswitchinterval(interval)
    assert (shared.data == 1).all()


def test_arrays_outlive_the_interpreter_s_exit(python):
    code = (
        "import numpy as np; from pygrad import array; a = array(np.ones(1000)); b = [a * 2, a.data, a[0]]; b.append(b)"
    )
    assert python(f"{code}; print('ok')") == "ok\n"


@on_limited_memory
def test_memory_that_runs_out_is_a_memory_error_that_names_the_shape(python):
    python(
        """
import resource
import numpy as np
from pygrad import array, memory_stats
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
x = array(np.ones(1000))
before = memory_stats().live_nodes
makers = {"30000000": lambda: array(np.ones(30_000_000)), "(1000, 1000)": lambda: x[:, None] * x}
for message, make in makers.items():
    kept = []
    try:
        while True:
            kept.append(make())
    except MemoryError as error:
        assert message in str(error).replace("30,000,000", "30000000"), error  # ours, or NumPy's own
    del kept
    assert memory_stats().live_nodes == before
(x * x).sum().backward()
assert x.grad.sum() == 2000
"""
    )


def test_settings_of_numpy_s_printing_are_heeded():
    with np.printoptions(precision=2):
        assert repr(array([0.123456])) == "Array([0.12])"


def test_examples_of_the_docs_use_what_is_exported():
    assert {"Array", "array", "concatenate", "stack", "where"} <= set(pygrad.__all__)


def test_the_first_thing_of_all_may_be_an_op_on_nothing(python):
    python(
        """
import numpy as np
from pygrad import array

assert (array([]).relu() + 1).size == (array(np.empty((0, 3))) @ np.ones(3)).size == 0
assert (array([1.0]) * 2).item() == 2
"""
    )


@pytest.mark.parametrize(
    "element",
    [
        lambda a: (a * 2)[1],
        lambda a: concatenate([a, a])[1],
        lambda a: where([False, True], a, 0.0)[1],
        lambda a: stack([a, a])[1, 1],
    ],
)
def test_an_element_with_a_backward_of_its_own_goes_though_others_of_its_array_have_one_below(element):
    before = live_nodes()
    v = element(array([double(Value(3.0)), 1.0]))
    v._backward = lambda: None
    del v
    Value(1.0).backward()  # which lets go of closures whose results have gone
    assert live_nodes() == before


@on_cpython("PyPy runs a __del__ in another order")
def test_an_array_that_a_finalizer_saves_from_a_circle_keeps_its_nodes():
    saved = []

    class Model:
        def __init__(self):
            self.w = array([1.0, 2.0, 3.0])
            self.v = self.w[0]
            self.me = self

        def __del__(self):
            saved.append(self)

    Model()
    gc.collect()
    others = [array([7.0, 8.0, 9.0]) for _ in range(100)]
    (model,) = saved
    assert model.w.data.tolist() == [1, 2, 3]
    assert model.v.data == 1
    model.w.data = 0
    assert all(other.data.tolist() == [7, 8, 9] for other in others)
    model.me = None
