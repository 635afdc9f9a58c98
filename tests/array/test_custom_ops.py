"""Ops written in Python, below and above Arrays."""

import gc

import numpy as np
import pytest

from pygrad import Value, array, concatenate, functional, stack, where
from support import live_nodes
from support.arrays import double

KEPT = {
    "operator": lambda a: a * 3,
    "function": lambda a: a.tanh(),
    "sum": lambda a: a.sum(),
    "sum of one": lambda a: a[:1].sum(),
    "mean of rows": lambda a: a[:, None].mean(1),
    "product": lambda a: a @ a,
    "softmax": lambda a: functional.softmax(a),
    "linear": lambda a: functional.linear(np.ones(1), [[2.0]], a[:1]),
    "view": lambda a: a[None, ::-1].T,
    "picked": lambda a: a[[1, 1]],
    "joined": lambda a: stack([concatenate([a, [1.0]])]),
    "chosen": lambda a: where([True, False], a, 0.0),
    "copied": lambda a: array([a, a]),
    "listed": lambda a: array(a.tolist()),
    "largest": lambda a: a.max(),
}


def runs_what_is_below(f, generation=1):
    """Check that the closures below a result run, even when only the result is left."""
    x = array([2.0, 3.0])
    f(x * 2).sum().backward()
    expected = x.grad.copy()
    x.grad = 0
    a = array([double(v) for v in x])
    out = f(a)
    del a
    gc.collect(generation)
    out = out.sum()
    gc.collect(generation)
    out.backward()
    np.testing.assert_allclose(x.grad, expected)


@pytest.mark.parametrize("name", KEPT)
def test_a_custom_op_below_an_array_runs_when_only_results_are_left(name, no_leak):
    runs_what_is_below(KEPT[name])


def test_an_element_of_a_computed_array_keeps_its_graph(no_leak):
    x = array([2.0, 3.0])
    v = (array([double(v) for v in x]) * 5)[1]
    values = (array([double(v) for v in x]) * 5).tolist()
    gc.collect(1)
    v.backward()
    assert x.grad.tolist() == [0, 10]
    del v
    gc.collect(1)
    values[0].backward()
    assert x.grad.tolist() == [10, 10]


def test_a_custom_op_may_have_elements_of_arrays_as_operands(no_leak):
    w = array([1.0, 2.0])
    y = w * 3
    out = Value(float((y.data**2).sum()), tuple(y), "sumsq")

    def _backward():
        y.grad = y.grad + 2 * y.data * out.grad

    out._backward = _backward
    (array([out, 1.0]) * 2).sum().backward()
    assert w.grad.tolist() == [2 * 2 * 3 * 3, 2 * 2 * 6 * 3]
    assert set(out._prev) == set(y)


def test_a_backward_assigned_to_an_element_outlives_its_array(no_leak):
    seen = []
    x = array([2.0, 3.0])
    y = x * 2
    y[1]._backward = lambda: seen.append("called")
    gc.collect(1)
    out = (y * 1).sum()
    del y
    gc.collect(1)
    out.backward()
    assert seen == ["called"]
    assert x.grad.tolist() == [2, 0]
    del out
    Value(1.0).backward()


def test_a_backward_may_compute_with_arrays():
    x = array([2.0])
    y = x * 2
    v = y[0]

    def _backward():
        x.grad += (array([v.grad, 1.0]) * 10).data[0]

    v._backward = _backward
    (y + 1).sum().backward()
    assert x.grad.item() == 10


SAME = {
    "the largest of one": lambda a: a[:1].max(),
    "the smallest of rows of one": lambda a: a[:, None].min(axis=1),
    "the largest along no axis": lambda a: a.max(axis=()),
    "linear without inputs": lambda a: functional.linear(np.ones(0), np.ones((2, 0)), a),
}


@pytest.mark.parametrize("name", SAME)
def test_a_custom_op_is_kept_by_a_result_that_is_the_same_node(name):
    runs_what_is_below(SAME[name], generation=2)


def test_an_array_may_be_the_operands_of_a_custom_op():
    a = array([1.0, 2.0])
    assert Value(1.0, a, "op")._prev == set(a)


@pytest.mark.parametrize(
    "element",
    [
        lambda a: (a * 2)[1],
        lambda a: concatenate([a, a])[1],
        lambda a: where([False, True], a, 0.0)[1],
        lambda a: stack([a, a])[1, 1],
    ],
)
def test_an_element_with_its_own_backward_is_freed_beside_elements_with_closures_below(element):
    before = live_nodes()
    v = element(array([double(Value(3.0)), 1.0]))
    v._backward = lambda: None
    del v
    assert live_nodes() == before
