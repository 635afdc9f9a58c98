"""Graphs for the tests of graph_html(), and the data of a page."""

import json
import random
import re

import pygrad
from pygrad import Value


def readme():
    """The expression of micrograd's README; each Value has a unique label."""
    a, b = Value(-4.0), Value(2.0)
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
    g.backward()
    for index, value in enumerate(made_of(g) | {g}):
        value.label = f"n{index}."
    return g


def made_of(value):
    """All Values that a Value depends on."""
    found, to_do = set(), [value]
    while to_do:
        new = to_do.pop()._prev - found
        found |= new
        to_do += new
    return found


def mlp(samples=1):
    model = pygrad.MLP(2, [16, 16, 1])
    return sum((model([random.random(), random.random()]) - 1) ** 2 for _ in range(samples))


def chain(length):
    v = Value(1.0)
    for _ in range(length):
        v = v.relu()
    return v


def tangle(size):
    """A graph in which each node uses two of the 50 nodes before it."""
    rng = random.Random(0)
    values = [Value(rng.random()) for _ in range(50)]
    for _ in range(size):
        values.append(rng.choice(values[-50:]) + rng.choice(values[-50:]))
    return sum(values)


def lesson(V):
    """A graph with ops of each kind, of either engine's Values."""
    a, b = V(2.0, label="a"), V(-3.0, label="b")
    c = a * b + b**2
    c.label = "c"
    cubed = V(c.data**3, (c,), "cube")

    def _backward():
        c.grad += 3 * c.data**2 * cubed.grad

    cubed._backward = _backward
    given = V(1.5, (a, c), (0.25, -2.0))
    given.label = "given"
    return (
        (cubed.tanh() + a * a).maximum(b) * given + (c / a).exp().detach() + V(7.0, (b,), "stop") - (a - b).relu() * 3
    )


def reference_pass(*roots):
    """The backward pass of the reference from roots: for each node, from the oldest, its grad, slopes and products.

    The products are what its step adds to each operand, by place; the slopes are the same at a grad of 1. An operand
    that occurs twice gets the sum.
    """
    nodes = sorted(set(roots).union(*map(made_of, roots)), key=lambda v: v._created)
    for node in nodes:
        node.grad = 0
    sum(set(roots)).backward()
    grads = [node.grad for node in nodes]

    def shares(node, grad):
        for operand in node._prev:
            operand.grad = 0
        node.grad = grad
        node._backward()
        return {nodes.index(operand): operand.grad for operand in node._prev}

    return [(grad, shares(node, 1), shares(node, grad)) for node, grad in zip(nodes, grads)]


def nodes_of(page):
    """The nodes in the data of the page's script."""
    return data_of(page)["nodes"]


def data_of(page):
    """The data of the page's script."""
    return json.loads(re.search(r'id="graph">(.*?)</script>', str(page), re.DOTALL)[1])


NASTY = "</script><b id='nasty'>&amp;<!--<script>{{graph}}\u2028\"\\'"
