"""Draws the results of a run: a panel for each workload, a bar for each engine, on a logarithmic scale.

For `--sweep`: a panel for each axis, a line for each engine, both scales logarithmic.
"""

from __future__ import annotations

import math
from typing import Any

from pygrad.bench import grid
from pygrad.bench.engines import ENGINES
from pygrad.bench.report import digits, figure
from pygrad.bench.results import Measured, Results, Table

COLORS = {"pygrad": "#d1495b", "yardstick": "#5f6f80", "peer": "#b4bec9", "limit": "#30638e"}
COLUMNS = 3
FEW = 3  # tables that stand in one column, so that they can be read in a page as wide as a text
LINES = {"eager": "#5f6f80", "kernels": "#d1495b", "native": "#edae49", "hand-written C": "#30638e"}
ROW, AROUND = 0.24, 2.6  # inches per engine, and extra rows per panel


def draw(found: Results, path: str) -> None:
    """Write the chart of a run as PNG or SVG, by the path's extension."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    tables = [table for table in found.tables.values() if table.best_first()]
    stacks: list[list[Table]] = [[] for _ in range(COLUMNS if len(tables) > FEW else 1)]
    for table in tables:
        min(stacks, key=_rows).append(table)
    tallest = max(map(_rows, stacks))
    fig = Figure(figsize=(max(6.2 * len(stacks), 8), ROW * tallest + 1.3), layout="constrained")
    fig.suptitle("Best on top. Shorter bars are better. Each grid line is 10 times the one to its left.")
    for part, stack in zip(fig.subfigures(1, len(stacks), squeeze=False)[0], stacks):
        heights = [*(_rows([table]) for table in stack), tallest - _rows(stack) + 0.01]
        grid = part.add_gridspec(len(heights), 1, height_ratios=heights)
        for place, table in zip(grid, stack):
            _panel(part.add_subplot(place), table)
    families = {"pygrad": "pygrad", "yardstick": "micrograd", "peer": "others", "limit": "hand-written C, the limit"}
    fig.legend(
        handles=[Patch(color=COLORS[family], label=label) for family, label in families.items()],
        title=f"{found.machine['cpus']} x {found.machine['processor']}, {found.machine['python']}; "
        "medians; 5x means five times better than micrograd",
        loc="outside lower center",
        ncols=len(families),
        frameon=False,
    )
    fig.savefig(path, dpi=110)


def _rows(stack: list[Table]) -> float:
    return sum(len(table.best_first()) + AROUND for table in stack)


def _panel(ax: Any, table: Table) -> None:
    rows = table.best_first()
    for at, (engine, row) in enumerate(rows):
        ax.barh(at, row.median, height=0.78, color=COLORS[ENGINES[engine].family])
        ax.annotate(_label(row, table), (row.median, at), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
    best, worst = rows[0][1].median, rows[-1][1].median
    left, right = math.floor(math.log10(best) - 0.5), math.log10(worst)
    ax.set(xscale="log", xlim=(10.0**left, 10 ** (right + 0.45 * (right - left))), ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(range(len(rows)), [ENGINES[engine].label for engine, _ in rows], fontsize=8.5)
    ax.set_title(f"{table.title}; {table.unit}", fontsize=9.5, loc="left", fontweight="bold", wrap=True)
    ax.xaxis.set_major_formatter(lambda x, _: figure(x, table.quantity))
    ax.xaxis.set_minor_formatter(lambda x, _: "")
    ax.tick_params(axis="x", labelsize=7, labelcolor="0.5")
    ax.tick_params(axis="both", length=0, which="both")
    ax.grid(axis="x", color="0.92")
    ax.set_axisbelow(True)
    for side in ax.spines.values():
        side.set_visible(False)


def _label(row: Measured, table: Table) -> str:
    micrograd = table.measured("micrograd")
    ratio = f"   {digits(micrograd.median / row.median)}x" if micrograd and micrograd is not row else ""
    return figure(row.median, table.quantity) + ratio


def draw_sweep(found: Results, path: str) -> None:
    """Write the chart of a sweep as PNG or SVG, by the path's extension."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    axes = [(axis, points) for axis, points in grid.measured(found) if any(point.best_first() for _, point in points)]
    columns = min(COLUMNS, len(axes))
    rows = math.ceil(len(axes) / columns)
    fig = Figure(figsize=(max(4.6 * columns, 8), 2.9 * rows + 1), layout="constrained")
    fig.suptitle("Lower is better. A ring marks a cliff, where compiling does not pay.")
    for at, (axis, points) in enumerate(axes, 1):
        _lines(fig.add_subplot(rows, columns, at), axis, points)
    fig.legend(
        handles=[Line2D([], [], color=color, marker=".", label=label) for label, color in LINES.items()],
        title=f"{found.machine['processor']}, {found.machine['python']}; medians",
        loc="outside lower center",
        ncols=len(LINES),
        frameon=False,
    )
    fig.savefig(path, dpi=110)


def _lines(ax: Any, axis: grid.Axis, points: grid.Points) -> None:
    for engine, color in zip((axis.eager, "compile", "native", "c"), LINES.values()):
        found = [(size, row.median) for size, point in points if (row := point.measured(engine))]
        ax.plot([size for size, _ in found], [median for _, median in found], marker=".", color=color)
    for size, point in points:
        kernels = point.measured("compile")
        if kernels and grid.cliff(axis, point):
            ax.plot(size, kernels.median, marker="o", markersize=13, fillstyle="none", color="black")
    medians = [row.median for _, point in points for _, row in point.best_first()]
    decades = [round_(math.log10(x)) for round_, x in ((math.floor, min(medians)), (math.ceil, max(medians)))]
    ax.set(xscale="log", yscale="log", ylim=[10.0**decade for decade in decades])
    ends = [points[0][0], points[-1][0]]
    ax.set_xticks(ends, [f"{size:,}" for size in ends])
    ax.set_title(axis.title, fontsize=8.5, loc="left", fontweight="bold", wrap=True)
    ax.yaxis.set_major_formatter(lambda y, _: figure(y, "s"))
    for line in (ax.xaxis, ax.yaxis):
        line.set_minor_formatter(lambda x, _: "")
    ax.tick_params(labelsize=7, labelcolor="0.5", length=0, which="both")
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
    for side in ax.spines.values():
        side.set_visible(False)
