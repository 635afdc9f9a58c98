"""Lays out a graph in columns, so that every edge goes to the right and few edges cross.

The method is that of Sugiyama, Tagawa & Toda, Methods for Visual Understanding of Hierarchical System Structures
(1981), but heights are computed by isotonic regression instead of their priority method. An edge that spans several
columns gets a *lane*, an extra item, in each column in between.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

_LANE = 0.4  # the height of a lane; a node has height 1
_LANES = 3  # the largest number of lanes, per node of the graph
# Sweeps alternate between the directions to the leaves and to the root. The last reordering sweep goes to the leaves,
# because in that direction every item except the root has neighbours that determine its order.
_REORDERINGS = 5
_STRAIGHTENINGS = 5


class Layout(NamedTuple):
    """The positions of the nodes. The unit of heights is the height of a node. All edges of a node share its lanes.

    Attributes
    ----------
    columns
        the column of each node, from 0 on the left
    heights
        the height of the middle of each node, from 0 at the top
    lanes
        for each node, the heights at which its edges pass the next columns
    """

    columns: list[int]
    heights: list[float]
    lanes: list[list[float]]


def layered(operands: Sequence[Sequence[int]]) -> Layout:
    """Lay out a graph. The nodes must be in topological order, operands before results.

    Examples
    --------
    >>> layered([(), (), (0, 1)])
    Layout(columns=[0, 0, 1], heights=[0.0, 1.0, 0.5], lanes=[[], [], []])
    """
    uses = uses_of(operands)
    columns = _columns(uses)
    drawing = _Drawing(columns)
    lanes = _lanes(drawing, columns, uses)
    drawing.arrange()
    heights = drawing.heights
    top = min(heights[: len(columns)])
    return Layout(
        columns,
        [round(height - top, 2) for height in heights[: len(columns)]],
        [[round(heights[item] - top, 2) for item in lane] for lane in lanes],
    )


def uses_of(operands: Sequence[Sequence[int]]) -> list[list[int]]:
    """The nodes that each node is an operand of."""
    uses: list[list[int]] = [[] for _ in operands]
    for node, its in enumerate(operands):
        for operand in dict.fromkeys(its):
            uses[operand].append(node)
    return uses


def _columns(uses: list[list[int]]) -> list[int]:
    """The column of each node, as far to the right as its uses allow.

    This places a leaf next to the nodes that use it. If columns were counted from the leaves, all leaves would be in
    the first column, and the edges of a long sum would cross the whole picture.
    """
    to_root = [0] * len(uses)
    for node in reversed(range(len(uses))):
        to_root[node] = 1 + max((to_root[use] for use in uses[node]), default=-1)
    deepest = max(to_root)
    return [deepest - distance for distance in to_root]


def _lanes(drawing: _Drawing, columns: list[int], uses: list[list[int]]) -> list[list[int]]:
    """Connect the nodes. Long edges get a lane in each column that they pass. Return the lanes of each node.

    If there would be too many lanes, the longest edges get none and pass under the nodes.
    """
    lengths = [
        max((columns[use] for use in its), default=columns[node]) - columns[node] for node, its in enumerate(uses)
    ]
    lanes_left = _LANES * len(uses)
    lanes: list[list[int]] = [[] for _ in uses]
    for node in sorted(range(len(uses)), key=lengths.__getitem__):
        lanes_left -= max(lengths[node] - 1, 0)
        if lanes_left < 0:
            break
        at = node
        for column in range(columns[node] + 1, columns[node] + lengths[node]):
            lanes[node].append(drawing.add_lane(column, node))
            drawing.connect(at, lanes[node][-1])
            at = lanes[node][-1]
    for node, its in enumerate(uses):
        for use in its:
            passed = columns[use] - columns[node] - 1
            drawing.connect(lanes[node][passed - 1] if passed and lanes[node] else node, use)
    return lanes


class _Drawing:
    """The items (nodes and lanes) of each column, and their neighbours on either side."""

    def __init__(self, columns: list[int]) -> None:
        self.sizes = [1.0] * len(columns)
        self.heights = [0.0] * len(columns)
        self.before: list[list[int]] = [[] for _ in columns]
        self.after: list[list[int]] = [[] for _ in columns]
        self.rank = list(range(len(columns)))  # the initial order, by creation: a tree has no crossings in it
        self.columns: list[list[int]] = [[] for _ in range(max(columns) + 1)]
        for node, column in enumerate(columns):
            self.columns[column].append(node)

    def add_lane(self, column: int, node: int) -> int:
        """Add a lane for the edges of a node, and return its item."""
        item = len(self.sizes)
        self.sizes.append(_LANE)
        self.heights.append(0.0)
        self.before.append([])
        self.after.append([])
        self.rank.append(node)
        self.columns[column].append(item)
        return item

    def connect(self, item: int, next_item: int) -> None:
        """Add an edge, or a part of one."""
        self.after[item].append(next_item)
        self.before[next_item].append(item)

    def arrange(self) -> None:
        """Compute the order and the heights in sweeps, which move each item to the mean height of its neighbours."""
        for column in self.columns:
            column.sort(key=self.rank.__getitem__)
        weights = self._weights()
        for sweep in range(_REORDERINGS + _STRAIGHTENINGS):
            to_root = sweep % 2 == 1
            sides = self.before if to_root else self.after
            for column in self.columns if to_root else reversed(self.columns):
                if sweep < _REORDERINGS:
                    desired = {item: self._mean(sides[item], self.heights[item]) for item in column}
                    column.sort(key=desired.__getitem__)
                else:
                    desired = {item: self._mean(self.before[item] + self.after[item], 0.0) for item in column}
                self._place(column, desired, weights)

    def _weights(self) -> list[float]:
        """The weights of the items. They increase with the distance from the leaves, so that long sums are straight."""
        depth = [0] * len(self.sizes)
        for column in self.columns:
            for item in column:
                depth[item] = 1 + max((depth[other] for other in self.before[item]), default=-1)
        return [d**2 + 0.01 for d in depth]

    def _mean(self, items: list[int], otherwise: float) -> float:
        return sum([self.heights[item] for item in items]) / len(items) if items else otherwise

    def _place(self, column: list[int], desired: dict[int, float], weights: list[float]) -> None:
        """Set the heights of a column to be as close as possible to the desired ones, without overlap, in this order.

        This minimises the weighted sum of squares. After subtracting the sizes of the items above, heights must not
        decrease from one item to the next. That is an isotonic regression, solved by pooling adjacent violators (Barlow
        et al. 1972).
        """
        # The sum of desired heights times weights, the sum of weights, and the number of items in each pool.
        pools: list[tuple[float, float, int]] = []
        above = 0.0
        for item in column:
            weight = weights[item]
            pool = weight * (desired[item] - above - self.sizes[item] / 2), weight, 1
            while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
                total, weight, count = pools.pop()
                pool = pool[0] + total, pool[1] + weight, pool[2] + count
            pools.append(pool)
            above += self.sizes[item]
        above, items = 0.0, iter(column)
        for total, weight, count in pools:
            for item in itertools.islice(items, count):
                self.heights[item] = total / weight + above + self.sizes[item] / 2
                above += self.sizes[item]
