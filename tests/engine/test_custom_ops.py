"""Ops written in Python: the lecture's closures."""

import gc

import pytest
from micrograd.engine import Value as Theirs

from pygrad import Value, reference
from support import live_nodes


def cube(x):
    """Add an op as in micrograd's lecture."""
    out = Value(x.data**3, (x,), "cube")

    def _backward():
        x.grad += 3 * x.data**2 * out.grad

    out._backward = _backward
    return out


def test_a_custom_op_takes_part_in_the_backward_pass():
    x = Value(2)
    y = cube(x * 3) + x
    y.backward()
    assert y.data == 218
    assert x.grad == 3 * 36 * 3 + 1


def test_a_custom_op_shows_its_operands_and_symbol():
    x = Value(2)
    y = cube(x)
    assert (y._op, y._prev) == ("cube", {x})


def test_a_custom_op_stays_in_the_graph_when_its_value_is_gone():
    x = Value(2)
    y = ((cube(x) + 1) * 2).relu()
    gc.collect()
    y.backward()
    assert x.grad == 24


def test_a_custom_op_of_many_operands_passes_the_gradient_to_all(no_leak):
    xs = [Value(i) for i in range(10)]
    squares = [x * x for x in xs]
    total = Value(sum(s.data for s in squares), squares, "total")

    def _backward():
        for s in squares:
            s.grad += total.grad

    total._backward = _backward
    total.backward()
    assert total._prev == set(squares)
    assert [x.grad for x in xs] == [2 * i for i in range(10)]


def test_a_custom_op_without_a_backward_stops_the_gradient_but_not_the_pass():
    x = Value(2)
    y = x * 3
    y.grad = 5
    Value(6, (y,), "stop").backward()
    assert x.grad == 15


def test_a_custom_op_given_only_children_has_no_symbol():
    x = Value(1)
    v = Value(2, (x, x))
    assert (v._op, v._prev) == ("", {x})


def test_a_leaf_may_have_a_symbol():
    assert Value(1, (), "input")._op == "input"
    assert (Value(1, (), "input") + 1).data == 2


def test_the_backward_closure_of_a_built_in_op_can_be_replaced_and_called():
    x = Value(3)
    y = x * x
    step, seen = y._backward, []

    def _backward():
        seen.append(y.grad)
        step()

    y._backward = _backward
    assert y._backward is _backward
    (y * 2).backward()
    assert (seen, x.grad) == ([2], 12)


def test_a_leaf_s_closure_is_called_with_its_grad_complete():
    x, seen = Value(3), []
    x._backward = lambda: seen.append(x.grad)
    (x * x + x).backward()
    assert seen == [7]


def test_a_closure_assigned_after_the_node_was_used_is_called():
    x, seen = Value(3), []

    def build():
        y = x * x
        z = y + 1
        y._backward = lambda: seen.append("called")
        return z

    z = build()
    gc.collect()
    z.backward()
    assert (seen, x.grad) == (["called"], 0)


def test_closures_assigned_late_are_freed_with_their_graph():
    def build():
        y = Value(3) * 2
        z = y + 1
        y._backward = lambda: y.grad
        return z

    Value(1).backward()
    before = live_nodes()
    for _ in range(10):
        build().backward()
    assert live_nodes() == before


def test_a_closure_that_raises_reaches_the_caller_and_the_graph_stays_usable():
    x = Value(2)
    y = Value(4, (x,), "square")
    z = y * 3

    def _backward():
        raise KeyError("oops")

    y._backward = _backward
    for _ in range(3):
        with pytest.raises(KeyError, match="oops"):
            z.backward()
    y._backward = lambda: setattr(x, "grad", 4 * y.grad)
    y.grad = 0
    z.backward()
    assert x.grad == 12


def chain(x, links=300):
    for _ in range(links):
        x = x * 1.001 + 0.5
    return x


# What a _backward function runs a pass of, where x is its operand, z the root of the outer pass and w another leaf
WITHIN = {
    "another graph": lambda x, z, w: w * w,
    "a graph of its operand": lambda x, z, w: x * x + w,
    "what is pending": lambda x, z, w: x * w,
    "the root": lambda x, z, w: z,
    "its operand": lambda x, z, w: x,
}


def passes_within(Value, inner, levels, links, pending):
    """The grads after a pass in which a _backward function runs another one, or several in turn."""
    w, leaf = Value(3.0), Value(0.5)
    x = chain(leaf, links)
    left = [levels]
    y = Value(x.data * 2, (x,), "double")
    z = chain(y * w, links) + x * pending

    def _backward():
        if left[0]:
            left[0] -= 1
            inner(x, z, w).backward()
        x.grad += 2 * y.grad

    y._backward = _backward
    z.backward()
    assert left == [0]
    return [v.grad for v in (w, leaf, x, y, z)]


@pytest.mark.parametrize("inner", WITHIN)
def test_backward_may_be_called_by_a_backward(inner):
    levels = 2 if inner == "the root" else 1
    for links in (50, 600):  # in one block of the arena, in several
        found = passes_within(Value, WITHIN[inner], levels, links, 3)
        assert found == passes_within(reference.Value, WITHIN[inner], levels, links, 3)
    # Deeper graphs are too much for micrograd; and a node that is not above y may come before y or after it.
    found = passes_within(Value, WITHIN[inner], levels, 50, 0)
    assert found == pytest.approx(passes_within(Theirs, WITHIN[inner], levels, 50, 0), rel=1e-12)


def test_a_pass_goes_on_after_one_within_has_failed():
    x, bad = Value(2), Value(0.0)
    y = Value(2, (x,), "double")
    z = chain(y) + x

    def _backward():
        with pytest.raises(ZeroDivisionError):
            (bad**0.5).backward()
        x.grad += 2 * y.grad

    y._backward = _backward
    z.backward()
    assert x.grad == 2 * y.grad + 1


def test_a_closure_may_make_and_drop_graphs():
    x = Value(2)
    y = cube(x)
    step = y._backward

    def _backward():
        step()
        for _ in range(5000):
            sum([x * x, x + 1])
        x.grad += (x * 2).data * 0

    y._backward = _backward
    (y * 1 + x * 0).backward()
    assert x.grad == 12


@pytest.mark.parametrize("wrong", [3, "f"])
def test_a_closure_that_cannot_be_called_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=type(wrong).__name__):
        Value(1)._backward = wrong


def test_a_backward_of_none_is_shown_and_fails_in_the_pass_as_in_micrograd():
    a = Value(2)
    b = a * 3
    b._backward = None
    assert b._backward is None
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        b.backward()


@pytest.mark.parametrize(
    "make", [lambda a: a + 1, lambda a: 1 + a, lambda a: a * a, lambda a: a**3, lambda a: a.relu()]
)
def test_the_backward_of_a_built_in_op_is_a_function_that_looks_like_micrograd_s(make):
    a = Value(2)
    out = make(a)
    ours, theirs = out._backward, make(Theirs(2))._backward
    assert (ours.__name__, ours.__qualname__) == (theirs.__name__, theirs.__qualname__)
    assert ours.__code__.co_name == theirs.__code__.co_name
    out.grad = 1
    ours()
    assert a.grad != 0


def test_children_that_are_not_values_are_a_type_error(no_leak):
    with pytest.raises(TypeError, match="int"):
        Value(1, (Value(1), 2), "op")
