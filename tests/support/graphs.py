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


def nodes_of(page):
    """The nodes in the data of the page's script."""
    return json.loads(re.search(r'id="graph">(.*?)</script>', str(page), re.DOTALL)[1])


NASTY = "</script><b id='nasty'>&amp;<!--<script>{{graph}}\u2028\"\\'"
