"""The backward pass from an Array."""

import re

import numpy as np
import pytest

from pygrad import Array, Value, array


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_backward_starts_at_an_array_of_one_element(shape):
    a = array([1.0, 2.0])
    out = (a * a).sum().reshape(shape)
    out.backward()
    assert out.grad.item() == 1
    assert a.grad.tolist() == [2, 4]


@pytest.mark.parametrize("shape", [(0,), (2,), (2, 3), (1, 0)])
def test_backward_of_any_other_size_is_a_value_error(shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        (array(np.ones(shape)) * 1).backward()


def test_backward_of_a_leaf_sets_its_grad():
    a = array([1.0, 2.0])
    a[1:].backward()
    assert a.grad.tolist() == [0, 1]


def test_backward_twice_accumulates_as_in_micrograd():
    x, v = array([3.0]), Value(3.0)
    out, expected = ((x * x) * 2).sum(), sum([(v * v) * 2])
    for _ in range(3):
        out.backward()
        expected.backward()
        assert x.grad.item() == v.grad


def test_backward_raises_what_python_raises():
    with pytest.raises(ZeroDivisionError, match="sqrt"):
        array([4.0, 0.0]).sqrt().sum().backward()


def test_values_and_arrays_share_one_graph():
    x, v = array([1.0, 2.0]), Value(3.0)
    y = sum(list(x * v)) + (x @ [v, 1.0]) * x[0] + v.tanh() * 0
    assert type(y) is Array
    y.backward()
    assert y.item() == 9 + 5
    assert v.grad == 3 + 1
    assert x.grad.tolist() == [3 + 3 + 5, 3 + 1]
