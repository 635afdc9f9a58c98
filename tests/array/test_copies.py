"""Copying and pickling Arrays."""

import copy
import pickle

import numpy as np
import pytest

from pygrad import Value, array
from support.arrays import X

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


def test_an_array_that_two_objects_share_is_shared_by_their_copies():
    a = array(X)
    b, c = copy.deepcopy([a, a])
    assert b is c


@pytest.mark.parametrize("copied", COPIES)
def test_a_repeated_element_is_one_node_in_the_copy(copied):
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
