"""Indexing works as in NumPy; views share their nodes."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pygrad import Array, Value, array
from support.arrays import X, filled, numbers_of, raises_as
from support.effort import examples


def same_elements(a, numbers):
    """Check that an Array (or a Value) has the numbers (or the number) of NumPy's result."""
    if isinstance(numbers, np.ndarray):
        assert type(a) is Array
        assert a.shape == numbers.shape
        np.testing.assert_array_equal(a.data, numbers)
    else:
        assert type(a) is Value
        assert a.data == numbers


@examples(100)
@given(st.data())
def test_basic_indices_work_as_in_numpy(data):
    x = data.draw(numbers_of)
    key = data.draw(hnp.basic_indices(x.shape, allow_newaxis=True, allow_ellipsis=True))
    same_elements(array(x)[key], x[key])


@examples(100)
@given(st.data())
def test_integer_array_indices_work_as_in_numpy(data):
    x = data.draw(filled)
    key = data.draw(hnp.integer_array_indices(x.shape))
    same_elements(array(x)[key], x[key])
    same_elements(array(x)[key[0].tolist()], x[key[0].tolist()])
    if x.ndim > 1:
        mixed = (slice(None), *key[1:])
        same_elements(array(x)[mixed], x[mixed])


@examples(100)
@given(st.data())
def test_boolean_indices_work_as_in_numpy(data):
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
def test_values_cannot_be_indices(key):
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
def test_a_view_of_computed_nodes_shares_them(name):
    a = array(X) * 2
    b = VIEWS[name](a)
    assert set(b.ravel()) <= set(a.ravel())
    np.testing.assert_array_equal(b.data, VIEWS[name](X * 2))
    b.grad = 3
    np.testing.assert_array_equal(a.grad.sum(), 3 * b.size)
    b.data = 7
    assert (a.data == 7).sum() == b.size
