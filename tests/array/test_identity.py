"""An element of an Array is the same Value object while it is alive."""

import gc

from pygrad import Value, array, concatenate
from support.arrays import X


def test_an_element_is_one_object_while_it_is_alive():
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


def test_an_array_gives_back_the_same_value_object():
    v, w = Value(1.0), Value(2.0) * 3
    gc.collect(1)
    a = array([[v, w]])
    assert a[0, 0] is v
    assert a[0, 1] is w
    assert (a * 1).tolist()[0][0]._prev >= {v}


class Named(Value):
    """A subclass with an attribute."""

    def __init__(self, data, name):
        super().__init__(data)
        self.name = name


def test_an_array_gives_back_instances_of_a_subclass():
    v = Named(2.0, "x")
    a = array([v, 1.0])
    assert a[0].name == "x"
    (a * a).sum().backward()
    assert v.grad == 4
