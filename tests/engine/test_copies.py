"""Copying, pickling and subclassing Values."""

import copy
import pickle

import pytest

from pygrad import Value


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
def test_a_leaf_can_be_copied_and_pickled(copied):
    v = Value(2.5, label="w")
    v.grad = -1
    w = copied(v)
    assert w is not v
    assert w != v
    assert (w.data, w.grad, w.label, w._op, w._prev) == (2.5, -1, "w", "", set())
    w.data = 3
    assert v.data == 2.5


def test_a_leaf_that_two_objects_share_is_shared_by_their_copies():
    v = Value(1)
    a, b = copy.deepcopy([v, v])
    assert a is b


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_interior_node_cannot_be_copied_or_pickled(copied):
    with pytest.raises(TypeError, match="only a leaf"):
        copied(Value(1) + 2)


class Named(Value):
    """A subclass with an attribute."""

    def __init__(self, data, name):
        super().__init__(data)
        self.name = name


def test_a_subclass_works_as_a_leaf():
    v = Named(2, "x")
    w = pickle.loads(pickle.dumps(v))
    assert (type(w), w.data, w.name) == (Named, 2, "x")
    y = v * 3
    y.backward()
    assert v.grad == 3
    assert v in y._prev
