"""The contract of `Value`: micrograd's and its lecture's surface, custom ops, identity, errors."""

import copy
import fractions
import gc
import math
import pickle

import numpy as np
import pytest

import pygrad
from pygrad import Value, reference
from support import live_nodes, on_cpython


def test_micrograd_s_readme_example():
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


# Data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [3, True, 2.5, -0.0, math.inf, fractions.Fraction(1, 4), "1.5", np.float32(0.1), np.int64(3), np.array(2.0)],
    ids=repr,
)
def test_anything_that_float_accepts_is_data(number):
    v = Value(number)
    assert type(v.data) is float
    assert v.data == float(number)
    v.data = v.grad = number
    assert v.data == v.grad == float(number)


def test_nan_is_data():
    assert math.isnan((Value(math.nan) * 0).data)


@pytest.mark.parametrize("wrong", [None, [1.0], (1.0,), {}, 1j, object(), np.zeros(3)], ids=repr)
def test_anything_else_is_a_type_error_naming_the_type(wrong, no_leak):
    v = Value(1)
    name = type(wrong).__name__
    with pytest.raises(TypeError, match=name):
        Value(wrong)
    with pytest.raises(TypeError, match=name):
        v.data = wrong
    with pytest.raises(TypeError, match=name):
        v.grad = wrong
    assert (v.data, v.grad) == (1, 0)


def test_text_that_is_no_number_is_a_value_error():
    with pytest.raises(ValueError, match="abc"):
        Value("abc")


def test_an_int_too_large_for_a_float_is_an_overflow_error():
    with pytest.raises(OverflowError):
        Value(10**400)


PYTHON_S_OWN = "can't multiply sequence|operands do not support"  # the second is PyPy's


@pytest.mark.parametrize("wrong", [None, "1", [1.0], 1j, object()], ids=repr)
@pytest.mark.parametrize(
    "op",
    [
        lambda v, x: v + x,
        lambda v, x: x + v,
        lambda v, x: v * x,
        lambda v, x: x * v,
        lambda v, x: v - x,
        lambda v, x: x - v,
        lambda v, x: v / x,
        lambda v, x: x / v,
        lambda v, x: v**x,
        lambda v, x: v.maximum(x),
    ],
)
def test_an_operand_of_another_type_is_a_type_error_naming_it(op, wrong, no_leak):
    with pytest.raises(TypeError, match=f"{type(wrong).__name__}|{PYTHON_S_OWN}"):
        op(Value(1), wrong)


def test_a_value_of_another_engine_is_a_type_error_and_not_a_constant():
    with pytest.raises(TypeError, match="Value"):
        Value(1) + reference.Value(2)
    with pytest.raises(TypeError, match="Value"):
        reference.Value(1) * Value(2)


@pytest.mark.parametrize("number", [np.uint8(3), np.int64(3), np.True_, np.float16(3e-5), np.array(3, np.uint8)])
def test_a_number_of_numpy_s_counts_as_python_s_own(number):
    plain = number.item()
    assert (Value(1) - number).data == 1 - plain
    assert (Value(1) / number).data == 1 * plain**-1


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2), np.array(2.0), fractions.Fraction(2)])
def test_a_foreign_number_on_either_side_gives_a_value(number):
    v = Value(3)
    results = [
        v + number,
        number + v,
        v * number,
        number * v,
        v - number,
        number - v,
        number / v,
        v**number,
        -number * v,
    ]
    assert [type(z) for z in results] == [Value] * 9
    assert [z.data for z in results] == [5, 5, 6, 6, 1, -1, 2 * 3**-1, 9, -6]
    assert (v / np.float64(2)).data == 1.5


def test_a_numpy_array_takes_values_element_by_element():
    v = Value(3)
    product = np.array([1.0, 2.0]) * v
    assert [z.data for z in product] == [3, 6]
    assert [z.data for z in v * np.array([1.0, 2.0])] == [3, 6]


def test_float_gives_the_data():
    assert float(Value(2.5)) == 2.5
    assert math.exp(Value(0)) == 1


def test_repr_shows_data_and_grad():
    v = Value(2)
    v.backward()
    assert repr(v) == "Value(data=2.0, grad=1.0)"


# The graph -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "op", "operands"),
    [
        (lambda a, b: a + b, "+", [2, 3]),
        (lambda a, b: a + 1, "+", [2, 1]),
        (lambda a, b: 1 + a, "+", [2, 1]),
        (lambda a, b: a * b, "*", [2, 3]),
        (lambda a, b: -a, "*", [2, -1]),
        (lambda a, b: a - b, "+", [2, -3]),
        (lambda a, b: 1 - a, "+", [-2, 1]),
        (lambda a, b: a / b, "*", [2, 1 / 3]),
        (lambda a, b: a / 4, "*", [2, 0.25]),
        (lambda a, b: 4 / a, "*", [0.5, 4]),
        (lambda a, b: a**3, "**3", [2]),
        (lambda a, b: a**-1, "**-1", [2]),
        (lambda a, b: a**0.5, "**0.5", [2]),
        (lambda a, b: a**2.0, "**2.0", [2]),
        (lambda a, b: a**b, "**", [2, 3]),
        (lambda a, b: 3**a, "**", [3, 2]),
        (lambda a, b: a.relu(), "ReLU", [2]),
        (lambda a, b: a.tanh(), "tanh", [2]),
        (lambda a, b: a.maximum(b), "maximum", [2, 3]),
        (lambda a, b: sum([a]), "+", [2, 0]),
        (lambda a, b: a + a, "+", [2]),
        (lambda a, b: a, "", []),
    ],
)
def test_op_and_prev_read_as_micrograd_s(make, op, operands):
    out = make(Value(2), Value(3))
    assert out._op == op
    assert isinstance(out._prev, set)
    assert sorted(v.data for v in out._prev) == sorted(operands)


def test_prev_gives_the_very_objects_that_the_program_holds():
    a, b = Value(1), Value(2)
    c = a * b
    assert {id(v) for v in c._prev} == {id(a), id(b)}
    gc.collect()  # they are old objects now
    d = a * b
    assert {id(v) for v in d._prev} == {id(a), id(b)}


def test_prev_gives_the_same_object_again_while_one_is_alive():
    root = (Value(1) + 2) * 3
    inner = next(v for v in root._prev if v._op)
    assert any(v is inner for v in root._prev)


def test_micrograd_s_draw_dot_sees_each_node_once():
    x = Value(1.0)
    y = (x * 2 + 1).relu()
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)

    build(y)
    assert len(nodes) == 6
    assert {id(v) for edge in edges for v in edge} == {id(v) for v in nodes}


def test_equality_and_hash_follow_the_node():
    a, b = Value(1), Value(1)
    assert a == a
    assert a != b
    assert a != 1
    assert len({a, b, a}) == 2
    assert {a: "a"}[(a + a)._prev.pop()] == "a"


def test_assigning_prev_is_an_attribute_error():
    with pytest.raises(AttributeError):
        Value(1)._prev = set()


def test_a_misspelt_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError):
        Value(1).gard = 0


def test_a_label_stays_with_the_node():
    a = Value(2, label="a")
    b = a * 3
    b.label = "b"
    c = b + 1
    del b
    gc.collect()
    b = next(v for v in c._prev if v._op)
    assert (a.label, b.label, c.label) == ("a", "b", "")


def test_a_label_is_text(no_leak):
    v = Value(1, label=3)
    assert v.label == "3"
    v.label = [v]
    assert v.label == "[Value(data=1.0, grad=0.0)]"


def test_a_label_goes_with_its_node():
    for i in range(1000):
        Value(i, label="old")
    assert [v.label for v in [Value(i) for i in range(1000)]] == [""] * 1000


# The backward pass -----------------------------------------------------------------------------------------------


def test_backward_twice_accumulates_into_interior_nodes_too():
    x = Value(3)
    y = x * x
    z = y * 2
    z.backward()
    assert (x.grad, y.grad, z.grad) == (12, 2, 1)
    z.backward()
    assert (x.grad, y.grad, z.grad) == (12 + 24, 4, 1)


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


# Ops written in Python -------------------------------------------------------------------------------------------


def cube(x):
    """The lecture's way of adding an op."""
    out = Value(x.data**3, (x,), "cube")

    def _backward():
        x.grad += 3 * x.data**2 * out.grad

    out._backward = _backward
    return out


def test_an_op_of_one_s_own_takes_part_in_the_backward_pass():
    x = Value(2)
    y = cube(x * 3) + x
    y.backward()
    assert y.data == 218
    assert x.grad == 3 * 36 * 3 + 1


def test_an_op_of_one_s_own_shows_its_operands_and_symbol():
    x = Value(2)
    y = cube(x)
    assert (y._op, y._prev) == ("cube", {x})


def test_an_op_of_one_s_own_lives_in_the_graph_when_its_value_is_gone():
    x = Value(2)
    y = ((cube(x) + 1) * 2).relu()
    gc.collect()
    y.backward()
    assert x.grad == 24


def test_an_op_of_many_operands_passes_the_gradient_on_to_all(no_leak):
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


def test_an_op_without_a_backward_stops_the_gradient_but_not_the_pass():
    x = Value(2)
    y = x * 3
    y.grad = 5
    Value(6, (y,), "stop").backward()
    assert x.grad == 15


def test_an_op_made_of_children_alone_has_no_symbol():
    x = Value(1)
    v = Value(2, (x, x))
    assert (v._op, v._prev) == ("", {x})


def test_a_leaf_may_have_a_symbol():
    assert Value(1, (), "input")._op == "input"
    assert (Value(1, (), "input") + 1).data == 2


def test_backward_closure_of_a_c_op_can_be_replaced_and_called():
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


@on_cpython("PyPy finalizes one Value of a circle in each collection")
def test_late_closures_are_let_go_with_their_graph():
    def build():
        y = Value(3) * 2
        z = y + 1
        y._backward = lambda: y.grad
        return z

    Value(1).backward()
    before = live_nodes()
    for _ in range(10):
        build().backward()
    Value(1).backward()
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


def test_backward_inside_a_backward_is_a_runtime_error():
    x = Value(2)
    y = Value(2, (x,), "nested")
    y._backward = lambda: (x * x).backward()
    with pytest.raises(RuntimeError, match="_backward"):
        (y * 1).backward()
    x.grad = 0
    (x * x).backward()
    assert x.grad == 4


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


@pytest.mark.parametrize("wrong", [None, 3, "f"])
def test_a_closure_that_cannot_be_called_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=type(wrong).__name__):
        Value(1)._backward = wrong


def test_children_that_are_no_values_are_a_type_error(no_leak):
    with pytest.raises(TypeError, match="int"):
        Value(1, (Value(1), 2), "op")


# Copies ----------------------------------------------------------------------------------------------------------


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


def test_a_leaf_shared_by_two_is_shared_by_their_copies():
    v = Value(1)
    a, b = copy.deepcopy([v, v])
    assert a is b


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_interior_node_cannot_be_copied_or_pickled(copied):
    with pytest.raises(TypeError, match="only a leaf"):
        copied(Value(1) + 2)


class Named(Value):
    """A subclass with attributes of its own."""

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


# Memory ----------------------------------------------------------------------------------------------------------


def test_memory_stats_counts_nodes(no_leak):
    before = pygrad.memory_stats()
    v = Value(1) + 2
    after = pygrad.memory_stats()
    assert after.live_nodes - before.live_nodes == 3
    assert after.peak_live_nodes >= after.live_nodes
    assert after.peak_blocks >= after.blocks >= 1
    assert after.reserved_bytes >= after.committed_bytes > 0
    assert v.data == 3


def test_a_value_without_a_node_is_in_nobody_s_way(no_leak):
    v = Value.__new__(Value)
    w = Value(1)
    gc.collect()  # they are old objects now, and w is looked for among them
    assert (w * 2)._prev >= {w}
    del v
