"""Ops given by their local gradients, as in microgpt: Value(data, children, local_grads)."""

import gc
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Value, reference
from support import live_nodes

slopes = st.floats(-4, 4)


@given(st.lists(st.tuples(st.integers(0, 2), slopes), max_size=5), st.lists(slopes, min_size=3, max_size=3))
def test_the_gradient_is_the_reference_s_whatever_the_children(parts, numbers):
    def grads(V):
        leaves = [V(x) for x in numbers]
        inner = [leaf * leaf for leaf in leaves]
        out = V(1.5, [inner[i] for i, _ in parts], [slope for _, slope in parts])
        (out * 2 + leaves[0]).backward()
        return [v.grad for v in leaves + inner] + [out.grad, out.data]

    assert grads(Value) == grads(reference.Value)


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_microgpt_s_fields_are_shown(V):
    a, b = V(2.0), V(3.0)
    out = V(10.0, (a, b, a), (3, 2.0, 1.0))
    assert (out._children, out._local_grads, out._prev, out._op) == ((a, b, a), (3.0, 2.0, 1.0), {a, b}, "")
    out.backward()
    assert (a.grad, b.grad) == (4, 2)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda a, b: a + b, (1, 1)),
        (lambda a, b: a * b, (2, 3)),
        (lambda a, b: a * 2.0, (2.0, 3)),
        (lambda a, b: a**3, (27,)),
        (lambda a, b: a**2.0, (6.0,)),
        (lambda a, b: a**-1, (-1 / 9,)),
        (lambda a, b: (-a).relu(), (0,)),
        (lambda a, b: a.exp(), (math.exp(3),)),
    ],
)
def test_the_local_gradients_of_ints_are_ints_where_the_gradients_are(make, expected):
    slopes = make(Value(3), Value(2))._local_grads
    assert list(map(repr, slopes)) == list(map(repr, expected))


def test_local_gradients_that_are_ints_stay_ints():
    for V in Value, reference.Value:
        a, b = V(3), V(2.0)
        out = V(6, (a, b), (2, 1.5))
        (out * 2).backward()
        assert list(map(repr, (*out._local_grads, out.grad, a.grad, b.grad))) == ["2", "1.5", "2", "4", "3.0"]


def test_microgpt_s_leaf_is_a_leaf():
    leaf = Value(2.0, (), ())
    assert (leaf._children, leaf._local_grads, leaf._op, leaf._prev) == ((), (), "", set())
    (leaf * leaf).backward()
    assert leaf.grad == 4


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda a, b: a + b, (1, 1)),
        (lambda a, b: a * b, (3, 0.5)),
        (lambda a, b: a * a, (0.5, 0.5)),
        (lambda a, b: a**3, (0.75,)),
        (lambda a, b: a**b, (0.75, 0.125 * math.log(0.5))),
        (lambda a, b: a.tanh(), (1 - math.tanh(0.5) ** 2,)),
        (lambda a, b: a, ()),
    ],
)
def test_the_local_gradients_of_built_in_ops_are_their_derivatives(make, expected):
    a, b = Value(0.5), Value(3.0)
    out = make(a, b)
    assert out._local_grads == pytest.approx(expected)
    assert len(out._children) == len(expected)
    assert all(child is a or child is b for child in out._children)
    assert (a.grad, b.grad, out.grad) == (0, 0, 0)


@pytest.mark.parametrize("op", [Value.log, Value.tanh, Value.sqrt, Value.relu, lambda x: x**-1, lambda x: x * x + 1])
def test_the_local_gradients_are_those_of_the_backward_step_after_data_was_edited(op):
    x = Value(2.0)
    out = op(x)
    x.data = -1
    slopes = out._local_grads
    out.grad = 1
    out._backward()
    assert list(map(repr, slopes)) == [repr(child.grad) for child in out._children]


def test_an_op_with_a_backward_in_python_has_no_known_local_gradients():
    a = Value(1.0)
    out = Value(2.0, (a,), "double")
    with pytest.raises(AttributeError, match="local gradients"):
        out._local_grads  # noqa: B018
    assert out._children == (a,)


@pytest.mark.parametrize("name", ["_children", "_local_grads"])
def test_microgpt_s_fields_are_read_only(name):
    with pytest.raises(AttributeError):
        setattr(Value(1.0), name, ())


@pytest.mark.parametrize("wrong", [3, 1.5, None, b"+", object()])
def test_a_third_argument_of_another_kind_is_a_type_error_in_words(wrong, no_leak):
    with pytest.raises(TypeError, match=f"a str, or the local gradients.*{type(wrong).__name__}"):
        Value(1.0, (Value(1.0),), wrong)


def test_local_gradients_are_numbers_one_for_each_child(no_leak):
    a = Value(1.0)
    with pytest.raises(ValueError, match="each of the 1 children, not 2"):
        Value(1.0, (a,), (1, 2))
    with pytest.raises(TypeError, match="Value"):
        Value(1.0, (a,), (a,))


def test_a_compiled_function_refuses_them_as_it_refuses_custom_ops():
    with pytest.raises(TypeError, match="_backward"):
        pygrad.compile(lambda x: Value(1.0, (x,), (2.0,)) * x, 1.0)


def test_a_loop_of_such_ops_leaks_nothing():
    gc.collect()
    before = live_nodes()
    x = Value(0.5)
    for _ in range(300):
        Value(1.0, (x, x * 2), (1.0, 0.5)).backward()
    del x
    gc.collect()
    assert live_nodes() == before
