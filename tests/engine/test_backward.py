"""The backward pass from a Value."""

import math

from pygrad import Value


def test_backward_twice_accumulates_into_interior_nodes_too():
    x = Value(3)
    y = x * x
    z = y * 2
    z.backward()
    assert (x.grad, y.grad, z.grad) == (12, 2, 1)
    z.backward()
    assert (x.grad, y.grad, z.grad) == (12 + 24, 4, 1)


def test_backward_again_after_any_number_of_other_backward_passes():
    """Marks of passes occur again after 125 of them."""
    x, other = Value(2.0), Value(1.0)
    z = x * 3.0 + 1
    others_in_other_blocks = [Value(0.0) for _ in range(600)]
    for count in range(120, 130):
        for _ in range(count):
            (other * 2).relu().backward()
        before = x.grad
        z.backward()
        assert x.grad > before, count
    assert others_in_other_blocks


def test_backward_sees_edited_data():
    x, y = Value(3), Value(4)
    z = x * y
    y.data = 5
    z.backward()
    assert x.grad == 5


def test_backward_of_a_leaf_sets_its_grad():
    x = Value(3)
    x.backward()
    assert x.grad == 1


def test_each_node_s_backward_can_be_called_by_hand_as_in_the_lecture():
    a, b = Value(2), Value(-3)
    c = a * b
    d = c.tanh()
    d.grad = 1.0
    d._backward()
    c._backward()
    a._backward()
    assert c.grad == 1 - math.tanh(-6) ** 2
    assert (a.grad, b.grad) == (-3 * c.grad, 2 * c.grad)
