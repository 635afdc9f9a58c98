"""Where to draw the nodes of a graph: in columns, so that every edge goes to the right and few cross.

After Sugiyama, Tagawa & Toda, Methods for Visual Understanding of Hierarchical System Structures (1981), with
heights by isotonic regression instead of their priority method.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

_LANE = 0.4  # the height that an edge needs where it passes a column, in that of a node
_LANES = 3  # at most so many a node, over the whole drawing
# Sweeps go from the root to the leaves and back, in turns. The last that reorders goes to the leaves: there every item
# has something to be ordered by.
_REORDERINGS = 5
_STRAIGHTENINGS = 5


class Layout(NamedTuple):
    """Where the nodes are. Heights are in those of a node; the edges of a node share its lane.

    Attributes
    ----------
    columns
        for each node, from 0 on the left
    heights
        for each node, of its middle, from 0 at the top
    lanes
        for each node the heights at which its edges pass the columns that follow, as far as they need to
    """

    columns: list[int]
    heights: list[float]
    lanes: list[list[float]]


def layered(operands: Sequence[Sequence[int]]) -> Layout:
    """Lay out a graph whose nodes stand in topological order: the operands before the results, the root last.

    Examples
    --------
    >>> layered([(), (), (0, 1)])
    Layout(columns=[0, 0, 1], heights=[0.0, 1.0, 0.5], lanes=[[], [], []])
    """
    uses: list[list[int]] = [[] for _ in operands]
    for node, its in enumerate(operands):
        for operand in dict.fromkeys(its):
            uses[operand].append(node)
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


def _columns(uses: list[list[int]]) -> list[int]:
    """The columns: each node as far to the right as its uses allow.

    So a leaf stands beside what it is used in. Counted from the leaves, all of them would stand in the first column,
    and a long sum would cross the whole picture to reach its terms.
    """
    to_root = [0] * len(uses)
    for node in reversed(range(len(uses))):
        to_root[node] = 1 + max((to_root[use] for use in uses[node]), default=-1)
    deepest = max(to_root)
    return [deepest - distance for distance in to_root]


def _lanes(drawing: _Drawing, columns: list[int], uses: list[list[int]]) -> list[list[int]]:
    """Connect the nodes, an edge that passes columns by an item in each of them; return these items for each node.

    Where that would make too many items, the longest edges pass under whatever is there.
    """
    lengths = [
        max((columns[use] for use in its), default=columns[node]) - columns[node] for node, its in enumerate(uses)
    ]
    left = _LANES * len(uses)
    lanes: list[list[int]] = [[] for _ in uses]
    for node in sorted(range(len(uses)), key=lengths.__getitem__):
        left -= max(lengths[node] - 1, 0)
        if left < 0:
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
    """Items in columns, nodes and lanes alike, and what they are connected with on either side."""

    def __init__(self, columns: list[int]) -> None:
        self.rooms = [1.0] * len(columns)
        self.heights = [0.0] * len(columns)
        self.before: list[list[int]] = [[] for _ in columns]
        self.after: list[list[int]] = [[] for _ in columns]
        self.rank = list(range(len(columns)))  # of the first order, that of a walk: a tree has no crossings in it
        self.columns: list[list[int]] = [[] for _ in range(max(columns) + 1)]
        for node, column in enumerate(columns):
            self.columns[column].append(node)

    def add_lane(self, column: int, node: int) -> int:
        """Add an item for the edges of a node."""
        item = len(self.rooms)
        self.rooms.append(_LANE)
        self.heights.append(0.0)
        self.before.append([])
        self.after.append([])
        self.rank.append(node)
        self.columns[column].append(item)
        return item

    def connect(self, item: int, next_item: int) -> None:
        """Draw an edge, or a part of one."""
        self.after[item].append(next_item)
        self.before[next_item].append(item)

    def arrange(self) -> None:
        """Find an order and heights: in sweeps, each item goes to the mean of what it is connected with."""
        for column in self.columns:
            column.sort(key=self.rank.__getitem__)
        weights = self._weights()
        for sweep in range(_REORDERINGS + _STRAIGHTENINGS):
            to_root = sweep % 2 == 1
            sides = self.before if to_root else self.after
            for column in self.columns if to_root else reversed(self.columns):
                if sweep < _REORDERINGS:
                    wishes = {item: self._mean(sides[item], self.heights[item]) for item in column}
                    column.sort(key=wishes.__getitem__)
                else:
                    wishes = {item: self._mean(self.before[item] + self.after[item], 0.0) for item in column}
                self._settle(column, wishes, weights)

    def _weights(self) -> list[float]:
        """How much an item's wish counts: more, the longer its way from the leaves, so that long sums are straight."""
        depth = [0] * len(self.rooms)
        for column in self.columns:
            for item in column:
                depth[item] = 1 + max((depth[other] for other in self.before[item]), default=-1)
        return [d**2 + 0.01 for d in depth]

    def _mean(self, items: list[int], otherwise: float) -> float:
        return sum([self.heights[item] for item in items]) / len(items) if items else otherwise

    def _settle(self, column: list[int], wishes: dict[int, float], weights: list[float]) -> None:
        """Give the items of a column the heights nearest to the wished ones at which they have room, in their order.

        Nearest by the weighted sum of squares. Less the room of all that is above, heights may not fall from one item
        to the next: an isotonic regression, here by pooling adjacent violators (Barlow et al. 1972).
        """
        pools: list[tuple[float, float, int]] = []  # of wishes times weights and of weights the sums, and how many
        above = 0.0
        for item in column:
            weight = weights[item]
            pool = weight * (wishes[item] - above - self.rooms[item] / 2), weight, 1
            while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
                total, weight, count = pools.pop()
                pool = pool[0] + total, pool[1] + weight, pool[2] + count
            pools.append(pool)
            above += self.rooms[item]
        above, items = 0.0, iter(column)
        for total, weight, count in pools:
            for item in itertools.islice(items, count):
                self.heights[item] = total / weight + above + self.rooms[item] / 2
                above += self.rooms[item]
