"""Arrays broadcast as in NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from pygrad import Value, array
from support.arrays import ARITHMETIC, reduced_to
from support.effort import examples


@examples(100)
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=4, max_side=3))
def test_shapes_broadcast_as_in_numpy_and_gradients_add_up(shapes):
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
def test_mismatched_shapes_raise_numpy_s_value_error(function, other):
    a = array(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"operands could not be broadcast together with shapes .*\(.*\) \("):
        function(a, other)
    with pytest.raises(ValueError, match="could not be broadcast together"):
        function(other, a)
    with pytest.raises(ValueError, match="could not be broadcast together"):
        a.maximum(other)


@pytest.mark.parametrize("function", [f for f, _ in ARITHMETIC.values()])
def test_a_list_operand_may_be_empty_or_broadcast_an_array_without_axes(function):
    for other in [[1.0, 2], [Value(1.0), Value(2.0)], [Value(1.0), 2], np.array([1.0, Value(2.0)])]:
        assert function(array(2.0), other).data.tolist() == [function(2, 1), function(2, 2)]
        assert function(other, array(2.0)).data.tolist() == [function(1, 2), function(2, 2)]
        assert function(array(np.empty((0, 2))), other).shape == (0, 2)
    assert function(array([]), []).shape == (0,)
    assert function(array(2.0), np.array(Value(2.0))).shape == ()


def test_a_number_becomes_one_leaf_per_element():
    a = array([1.0, 2.0])
    for five in [5, [5, 5], np.array(5), np.array([5])]:
        out = a + five
        first, second = ({w for w in v._prev if w not in set(a)} for v in out)
        assert len(first) == len(second) == 1
        assert first != second
