"""What `array` accepts and what it refuses."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pygrad
from pygrad import Value, array
from support.arrays import X, shapes
from support.effort import examples

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
def test_numbers_become_leaves_in_the_same_shape(x):
    a = array(x)
    expected = np.array(x, dtype=float)
    assert a.shape == expected.shape
    assert a.data.dtype == a.grad.dtype == np.float64
    np.testing.assert_array_equal(a.data, expected)
    np.testing.assert_array_equal(a.grad, np.zeros(expected.shape))
    assert all(type(v) is Value and not v._prev and v._op == "" for v in a.ravel())
    assert len(set(a.ravel())) == a.size


@examples(100)
@given(hnp.arrays(st.sampled_from([float, np.float32, np.int64, bool]), shapes))
def test_data_is_equal_to_the_numbers_given(x):
    np.testing.assert_array_equal(array(x).data, x)
    np.testing.assert_array_equal(array(x.tolist()).data, np.array(x.tolist()))


def test_an_empty_array_and_an_empty_numpy_array_can_be_nested():
    assert array([array(np.empty((0, 3))), np.empty((0, 3))]).shape == (2, 0, 3)


def test_the_numbers_are_copied():
    x = X.copy()
    a = array(x)
    x[0, 0] = 9
    a.data[1, 1] = 8
    assert a.data[0, 0] == 0.5
    assert x[1, 1] == 0.75


def test_a_value_in_an_array_stays_the_same_node(no_leak):
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
def test_arrays_without_axes_may_be_elements(make):
    s, v = array([1.0, 2.0]).sum(), Value(3.0)
    x = make(s, v)
    a = array(x)
    assert a.shape == np.shape(np.array(x, dtype=object))
    assert s[()] in a.ravel().tolist()
    a.sum().backward()
    assert s.grad == sum(element == s[()] for element in a.ravel())


@pytest.mark.parametrize("nested", [False, True])
def test_a_numpy_array_without_axes_counts_as_a_number(nested):
    x = [np.array(1.0), Value(2.0)]
    assert array([x] if nested else x).data.ravel().tolist() == [1, 2]


@pytest.mark.parametrize("number", [2**64, -(2**70), Fraction(1, 4)], ids=repr)
def test_an_array_takes_every_number_that_a_value_takes(number):
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
def test_other_input_is_refused_and_leaks_nothing(x, error, message, no_leak):
    with pytest.raises(error, match=message):
        array(x)


@pytest.mark.parametrize("x", [None, [1.0, None], [Value(1), None], {}], ids=repr)
def test_the_message_names_the_type_that_is_not_a_number(x):
    element = x[-1] if isinstance(x, list) else x
    with pytest.raises(TypeError, match=type(element).__name__):
        array(x)


def test_names_that_the_docs_use_are_exported():
    assert {"Array", "array", "concatenate", "stack", "where"} <= set(pygrad.__all__)


def test_the_very_first_op_may_be_on_an_empty_array(python):
    python(
        """
import numpy as np
from pygrad import array

assert (array([]).relu() + 1).size == (array(np.empty((0, 3))) @ np.ones(3)).size == 0
assert (array([1.0]) * 2).item() == 2
"""
    )
