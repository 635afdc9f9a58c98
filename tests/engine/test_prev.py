"""Assigning `_prev`: the backward pass goes by what is assigned, as micrograd's does."""

import gc
import random
import weakref

import pytest
from micrograd.engine import Value as Theirs

import pygrad
from pygrad import Value, reference
from support import live_nodes

BOTH = pytest.mark.parametrize("V", [Value, Theirs])
NOTHING = [set(), (), [], frozenset()]


def pair(x, *values):
    """The grads of Values after a pass from x."""
    x.backward()
    return [v.grad for v in values]


@BOTH
@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
def test_no_pass_goes_below_a_value_that_was_cut(V, nothing):
    x = V(2.0)
    y = x * 3.0
    z = y * y
    z._prev = nothing
    w = z * 2.0
    assert pair(w, z, y, x) == [2, 24, 0]
    assert z._prev is nothing
    assert z._op == "*"
    assert z.data == 36


@BOTH
def test_a_value_that_others_use_can_be_cut(V):
    x = V(2.0)
    y = x * 3.0
    z = (y + 1.0) * y
    y._prev = set()
    assert pair(z, y, x) == [13, 39]


@BOTH
def test_the_set_that_it_has_changes_nothing(V):
    a, b = V(2.0), V(3.0)
    y = a * a
    z = y * b
    assigned = {y, b}
    z._prev = assigned
    assert pair(z, a, b) == [12, 4]
    assert z._prev is assigned


@BOTH
def test_some_of_the_operands(V):
    a, b = V(2.0), V(3.0)
    left, right = a * a, b * b
    y = left * right
    y._prev = {right}
    assert pair(y, left, right, a, b) == [9, 4, 0, 24]


@BOTH
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_leaf_becomes_an_op_of_what_is_assigned(V, count):
    out = V(0.0)  # older than its operands
    xs = [V(i + 1.0) for i in range(count)]
    terms = [x * x for x in xs]
    out.data = sum(t.data for t in terms)

    def _backward():
        for t in terms:
            t.grad += out.grad

    out._prev, out._op, out._backward = set(terms), "total", _backward
    again = out * 2.0
    assert pair(again, *xs) == [4 * (i + 1) for i in range(count)]
    assert out._prev == set(terms)
    assert out._op == "total"


@BOTH
def test_an_op_in_python_can_be_cut(V):
    x = V(3.0)
    y = x * 2.0
    out = V(y.data**3, (y,), "cube")

    def _backward():
        y.grad += 3 * y.data**2 * out.grad

    out._backward = _backward
    out._prev = ()
    assert pair(out, y, x) == [108, 0]


@BOTH
def test_what_was_cut_off_can_come_back(V):
    x = V(2.0)
    y = x * x
    z = y * y
    before = z._prev
    z._prev = set()
    z._prev = before
    assert pair(z, y, x) == [8, 32]


def test_a_cut_value_keeps_its_number_grad_and_label():
    x, y = Value(2.0), Value(5.0)
    v = x + y
    v.grad, v.label = 7.0, "v"
    v._prev = {y}
    assert (v.data, v.grad, v.label, v._op) == (7, 7, "v", "+")


def graph(V, seed):
    """The gradients of a random graph in which `_prev` was assigned."""
    draw = random.Random(seed)
    values = [V(draw.uniform(0.5, 1.5)) for _ in range(3)]
    leaves = list(values)
    ops = [
        lambda a, b: a + b,
        lambda a, b: a * b,
        lambda a, b: a.relu() - b,
        lambda a, b: a / (b * b + 1),
        lambda a, b: a**2,
    ]
    for _ in range(12):
        values.append(draw.choice(ops)(draw.choice(values), draw.choice(values)))
    last = values[-1] + values[-2] * values[-3]
    for v in draw.sample(values[3:], 3):
        v._prev = draw.choice(NOTHING)
    last._prev = set(draw.sample(values, draw.randrange(4)))
    top = last * 2.0
    top.backward()
    return [v.grad for v in [*leaves, *values, last, top]]


@pytest.mark.parametrize("seed", range(40))
def test_the_gradients_are_those_of_the_reference(seed, no_leak):
    assert graph(Value, seed) == graph(reference.Value, seed)


def test_what_was_cut_off_is_freed_with_its_step(no_leak):
    x = Value(2.0)
    y = x * 3.0
    z = y * y
    z._prev, z._backward = set(), lambda: None
    before, gone = live_nodes(), weakref.ref(y)
    del y
    after = live_nodes()
    assert not gone()
    assert after == before - 2


def test_cutting_in_a_loop_leaks_nothing(no_leak):
    state = Value(0.0)
    for i in range(100):
        state = state * 0.5 + i
        state._prev = set()
    state.backward()
    del state
    gc.collect()


def test_a_number_that_its_step_cannot_compute_again_does_not_matter():
    x = Value(2.0)
    y = x.log()
    x.data = -4.0
    y._prev = ()
    assert pair(y * 1, x) == [-0.25]


def test_the_step_of_a_cut_value_fails_as_before():
    x = Value(0.0)
    y = x**0.5
    y._prev = ()
    with pytest.raises(ZeroDivisionError):
        y.backward()


def test_a_maximum_of_an_array_can_be_cut_but_not_its_parts():
    x = pygrad.array([1.0, 3.0, 3.0])
    top = x.max()[()]
    (part,) = (v for v in top._prev if v._prev)
    with pytest.raises(ValueError, match="result"):
        part._prev = set()
    top._prev = set()
    top.backward()
    assert x.grad.tolist() == [0, 0.5, 0.5]


def test_other_values_are_refused_where_the_node_is_in_use():
    x, y = Value(1.0), Value(2.0)
    v = x * 2
    w = v + 1
    with pytest.raises(ValueError, match="empty set"):
        v._prev = {y}
    assert pair(w, x, y) == [2, 0]


@pytest.mark.parametrize("wrong", [{1}, [Value(1.0), "x"], "x"], ids=repr)
def test_what_is_no_value_is_refused(wrong):
    v = Value(1.0) * 2
    with pytest.raises(TypeError, match="_prev must be Values"):
        v._prev = wrong


def test_vars_assigns_it_too():
    x = Value(3.0)
    y = x * x
    z = y * 1
    vars(y)["_prev"] = set()
    assert pair(z, y, x) == [1, 6]
