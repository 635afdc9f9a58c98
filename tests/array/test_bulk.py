"""The bulk builders make the same graph as a scalar loop, node for node; support/loops.py has the loops."""

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Value, reference
from support import live_nodes, on_cpython
from support.arrays import double
from support.effort import examples
from support.loops import LOOPS
from support.programs import EDGES, bits, shape

ERRORS = (ArithmeticError, ValueError)


def graph(V, loop, x, y, c):
    """The leaves of a loop over Values, and its results or the type of its exception."""
    x, y = [[[V(number) for number in row] for row in rows] for rows in (x, y)]
    y[0][0] = x[-1][-1]  # the same node on both sides
    leaves = [v for row in x + y for v in row]
    try:
        return leaves, [v for row in loop(V, x, y, c) for v in row]
    except ERRORS as error:
        return leaves, type(error)


def arrays(make, x, y, c):
    x = pygrad.array(x)
    y = pygrad.array([[x[-1, -1] if i == j == 0 else y[i][j] for j in range(len(y[0]))] for i in range(len(y))])
    leaves = [*x.ravel(), *y.ravel()]
    try:
        return leaves, list(make(x, y, c).ravel())
    except ERRORS as error:
        return leaves, type(error)


def backward(results):
    """Run backward() twice from a weighted sum of the results; the weights reveal the order of additions."""
    total = sum(v * w for v, w in zip(results, [0.1, -3.0, 0.7, 1e3, 0.3] * len(results)))
    for _ in range(2):
        try:
            total.backward()
        except ERRORS as error:
            return type(error)
    return total.data


def rows(numbers):
    def matrix(size):
        return st.lists(
            st.lists(numbers, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]
        )  # fmt: skip

    sizes = st.tuples(st.integers(1, 4), st.integers(1, 5))
    return sizes.flatmap(lambda size: st.tuples(matrix(size), matrix(size)))


moderate = st.floats(-2, 2)


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("name", LOOPS)
@examples(40)
@given(
    st.tuples(rows(moderate), moderate)
    | st.tuples(rows(moderate | st.sampled_from(EDGES)), moderate | st.sampled_from(EDGES))
)
def test_a_builder_gives_the_loop_s_graph_bits_gradients_and_exceptions(name, operands):
    (x, y), c = operands
    loop, make = LOOPS[name]
    leaves, expected = graph(reference.Value, loop, x, y, c)
    ours, results = arrays(make, x, y, c)
    if isinstance(expected, type):
        assert results is expected
        return
    assert [bits(v.data) for v in results] == [bits(v.data) for v in expected]
    assert [shape(v) for v in results] == [shape(v) for v in expected]
    assert bits_of(backward(results)) == bits_of(backward(expected))
    assert [bits(v.grad) for v in ours] == [bits(v.grad) for v in leaves]


def bits_of(x):
    return bits(x) if isinstance(x, float) else x


def nodes_below(values):
    found = set(values)
    todo = list(found)
    while todo:
        for v in todo.pop()._prev - found:
            found.add(v)
            todo.append(v)
    exponents = sum(v._op.startswith("**") and len(v._prev) == 1 for v in found)  # not in _prev
    return len(found | set(values)) + exponents


@pytest.mark.parametrize("name", LOOPS)
def test_a_builder_gives_the_loop_s_nodes_over_many_blocks(name):
    rng = np.random.default_rng(1)
    rows = 12 if "@" in name or name == "linear" else 40  # products make a node for each pair of rows
    x, y = rng.uniform(0.5, 2, (2, rows, 30))
    loop, make = LOOPS[name]
    leaves, expected = graph(reference.Value, loop, x.tolist(), y.tolist(), 0.7)
    before = live_nodes()
    ours, results = arrays(make, x.tolist(), y.tolist(), 0.7)
    made = pygrad.memory_stats().live_nodes - before - len(set(ours))
    assert made == nodes_below([*results, *ours]) - nodes_below(ours)
    backward(results)
    backward(expected)
    assert [bits(v.grad) for v in ours] == [bits(v.grad) for v in leaves]
    del ours, results
    assert live_nodes() == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x.log(), r"log\(-1\.0\) at index \(1, 0\): the function is not defined"),
        (lambda x: 1 / (x + 1), r"1\.0 / 0\.0 at index \(1, 0\): division by zero"),
        (lambda x: x / (x + 1), r"-1\.0 / 0\.0 at index \(1, 0\): division by zero"),
        (lambda x: (x * -800).exp(), r"exp\(800\.0\) at index \(1, 0\)"),
        (lambda x: x**0.5, r"-1\.0 \*\* 0\.5 at index \(1, 0\): the result is complex"),
        (lambda x: pygrad.functional.rms_norm(x * [[1], [0]], 2, eps=0), r"rms_norm with eps=0.* at index \(1, 0\)"),
    ],
)
def test_a_failing_element_is_named_and_nothing_leaks(make, message, no_leak):
    x = pygrad.array([[3.0, 4.0], [-1.0, 5.0]])
    with pytest.raises(ERRORS, match=message):
        make(x)
    assert math.isclose((x.sum()).item(), 11)


def test_a_closure_below_an_array_is_run_and_kept(no_leak):
    x = Value(3.0)
    a = pygrad.array([double(x), double(x), 1.0])
    b = ((a * a) @ (a * 1e-3)).tanh().sum() * 2
    c = b[()]
    del a, b
    gc.collect()
    c.backward()
    assert x.grad != 0
    (product,) = (v for v in c._prev if v._prev)
    del c
    x.grad = 0
    gc.collect()
    product.backward()
    assert x.grad != 0
