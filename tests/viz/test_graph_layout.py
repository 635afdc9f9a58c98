"""The layout of a graph on the page of graph_html()."""

import itertools
import random
import time

import pytest

import pygrad
from pygrad import Value, viz
from pygrad.viz.layout import layered
from support.graphs import chain, mlp, nodes_of, readme, tangle


def outputs():
    """Several roots, two of which share nothing."""
    x = pygrad.array([1.0, 2.0])
    return [(x * x).sum(), x[0], Value(3.0).exp(), *pygrad.MLP(2, [3, 2])(x)]


graphs = pytest.mark.parametrize(
    "graph",
    [readme, mlp, lambda: chain(100), lambda: sum(map(Value, range(100))), lambda: tangle(300), outputs],
    ids=["readme", "mlp", "chain", "sum", "tangle", "outputs"],
)


@graphs
def test_every_edge_goes_to_the_right(graph):
    nodes = nodes_of(viz.graph_html(graph()))
    assert all(nodes[operand]["column"] < node["column"] for node in nodes for operand in node["operands"])
    assert min(node["column"] for node in nodes) == 0


@graphs
def test_a_node_is_placed_one_column_before_one_of_its_uses(graph):
    nodes = nodes_of(viz.graph_html(graph()))
    beside = {o for node in nodes for o in node["operands"] if nodes[o]["column"] == node["column"] - 1}
    assert beside == {operand for node in nodes for operand in node["operands"]}


@graphs
def test_nodes_and_passing_edges_do_not_overlap(graph):
    nodes = nodes_of(viz.graph_html(graph()))
    columns = {}
    for node in nodes:
        columns.setdefault(node["column"], []).append((node["height"], 1.0))
        for passed, height in enumerate(node["lane"], node["column"] + 1):
            columns.setdefault(passed, []).append((height, 0.4))
    for column in columns.values():
        for (above, room_above), (below, room_below) in zip(sorted(column), sorted(column)[1:]):
            assert below - above >= (room_above + room_below) / 2 - 0.02  # heights are rounded
    assert min(node["height"] for node in nodes) == 0


@graphs
def test_a_lane_ends_in_the_column_before_the_last_use(graph):
    nodes = nodes_of(viz.graph_html(graph()))
    for index, node in enumerate(nodes):
        uses = [use["column"] for use in nodes if index in use["operands"]]
        passed = max(uses, default=node["column"] + 1) - node["column"] - 1
        assert len(node["lane"]) in (passed, 0)


def crossings(nodes):
    """The number of pairs of lines that cross between neighbouring columns; all edges must have lanes."""
    lines = {}
    for index, node in enumerate(nodes):
        heights = [node["height"], *node["lane"]]
        for passed, line in enumerate(zip(heights, heights[1:])):
            lines.setdefault(node["column"] + passed, []).append(line)
        for use in nodes:
            if index in use["operands"]:
                line = heights[use["column"] - node["column"] - 1], use["height"]
                lines.setdefault(use["column"] - 1, []).append(line)
    pairs = itertools.chain.from_iterable(itertools.combinations(some, 2) for some in lines.values())
    return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in pairs)


def test_a_tree_has_no_crossings():
    rng = random.Random(0)

    def tree(depth):
        if depth == 0:
            return Value(1.0)
        return tree(depth - 1).tanh() if rng.random() < 0.3 else tree(depth - 1) * tree(rng.randrange(depth))

    nodes = nodes_of(viz.graph_html(tree(8)))
    assert len(nodes) > 30
    assert crossings(nodes) == 0


def test_the_sweeps_remove_crossings(monkeypatch):
    loss = mlp()
    crossed = crossings(nodes_of(viz.graph_html(loss)))
    monkeypatch.setattr("pygrad.viz.layout._REORDERINGS", 0)
    assert crossed < crossings(nodes_of(viz.graph_html(loss))) / 2


def test_a_sum_and_a_chain_are_straight():
    layout = layered([(), *[(i,) for i in range(50)]])
    assert layout.heights == [0.0] * 51
    assert layout.columns == list(range(51))


def test_the_longest_edges_get_no_lanes_when_there_would_be_too_many():
    weights, total = [Value(i) for i in range(100)], Value(0)
    for _ in range(5):
        for weight in weights:
            total = total + weight
    nodes = nodes_of(viz.graph_html(total))
    assert 0 < sum(len(node["lane"]) for node in nodes) <= 3 * len(nodes)


def test_5000_nodes_are_laid_out_in_a_moment():
    for root in (chain(4999), sum(map(Value, range(2400))), tangle(2400), mlp(samples=6)):
        start = time.process_time()
        viz.graph_html(root)
        assert time.process_time() - start < 5  # it takes at most a tenth of that
