"""The graph as micrograd shows it: `_op`, `_prev`, labels, identity."""

import gc
import random
import weakref

import pytest

from pygrad import Value
from pygrad.nn import MLP
from support import on_cpython


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
def test_op_and_prev_are_micrograd_s(make, op, operands):
    out = make(Value(2), Value(3))
    assert out._op == op
    assert isinstance(out._prev, set)
    assert sorted(v.data for v in out._prev) == sorted(operands)


def test_prev_gives_the_objects_that_the_script_holds():
    a, b = Value(1), Value(2)
    c = a * b
    assert {id(v) for v in c._prev} == {id(a), id(b)}
    gc.collect()  # moves them to the oldest generation
    d = a * b
    assert {id(v) for v in d._prev} == {id(a), id(b)}


def test_prev_gives_the_same_object_again_while_one_is_alive():
    root = (Value(1) + 2) * 3
    inner = next(v for v in root._prev if v._op)
    assert any(v is inner for v in root._prev)


def mlp_graph():
    model = MLP(2, [4, 4, 1])
    return sum((model([i, i + 1.0]) for i in range(3)), Value(0))


def test_prev_finds_the_values_that_are_left_when_others_have_gone_in_any_order(no_leak):
    rng = random.Random(0)
    chain: list[Value | None] = [Value(1.0)]
    while len(chain) < 2000:
        chain.append(chain[-1].relu())
    for i in rng.sample(range(len(chain)), 1500):
        chain[i] = None
    alive = [i for i, v in enumerate(chain) if v]
    pairs = [(i, j) for i, j in zip(alive, alive[1:]) if j == i + 1]
    assert len(pairs) > 50
    for i, j in rng.sample(pairs, len(pairs)):
        assert chain[j]._prev.copy().pop() is chain[i]


def test_a_walk_that_remembers_ids_sees_each_node_once():
    root = mlp_graph()
    seen, stack = set(), [root]
    while stack:
        v = stack.pop()
        if id(v) not in seen:
            seen.add(id(v))
            stack.extend(v._prev)
    assert len(seen) == len(nodes_of(root))


def nodes_of(root):
    nodes, stack = {root}, [root]
    while stack:
        new = stack.pop()._prev - nodes
        nodes |= new
        stack.extend(new)
    return nodes


def test_what_prev_has_shown_lives_as_long_as_the_value_and_no_longer():
    root = mlp_graph()
    shown = [weakref.ref(v) for v in nodes_of(root)]
    gc.collect()
    assert all(v() for v in shown)
    del root
    gc.collect()
    assert not any(v() for v in shown)


def test_prev_is_one_set_which_can_be_edited():
    a, b = Value(1), Value(2)
    c = a + b
    other = Value(3)
    c._prev.add(other)
    a._prev.add(other)
    assert c._prev == {a, b, other}
    assert a._prev is a._prev == {other}
    c.backward()
    assert (a.grad, b.grad, other.grad) == (1, 1, 0)


@on_cpython("PyPy has no gc.callbacks")
@pytest.mark.parametrize("assigned", [(), (7.0,)])
@pytest.mark.parametrize("allocations", range(8))
def test_prev_may_be_assigned_while_it_is_read(assigned, allocations):
    """By what the garbage collector calls as Values are made, or by another thread then."""
    v, new = (Value(2.0) * 2) * (Value(3.0) * 3), {Value(x) for x in assigned}
    gc.collect()
    used = [Value(0.0) for _ in range(5000)]  # so that new objects are allocated

    def assign(phase, info):
        gc.callbacks.remove(assign)
        v._prev = new

    threshold = gc.get_threshold()
    gc.collect()
    gc.callbacks.append(assign)
    gc.set_threshold(8)
    try:
        lists = [[] for _ in range(allocations)]
        v._prev  # noqa: B018
    finally:
        gc.set_threshold(*threshold)
        if assign in gc.callbacks:
            gc.callbacks.remove(assign)
            v._prev = new
    assert v._prev is new
    del used, lists


def test_a_cycle_through_prev_is_collected(no_leak):
    for _ in range(10):
        c = Value(1) + 2
        c._prev.add(c)
    del c
    gc.collect()


def test_a_deep_graph_that_was_walked_is_freed():
    v = Value(0)
    for _ in range(50_000):
        v = v + 1
    u = v
    while u._prev:
        u = next((w for w in u._prev if w._op), next(iter(u._prev)))
    del u, v


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
    assert v.label == "[Value(data=1, grad=0)]"


def test_a_label_is_freed_with_its_node():
    for i in range(1000):
        Value(i, label="old")
    assert [v.label for v in [Value(i) for i in range(1000)]] == [""] * 1000
