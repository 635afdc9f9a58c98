"""Compares two runs row by row: `pygrad bench compare A.json B.json`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.table import Table as Grid

from pygrad.bench.engines import ENGINES
from pygrad.bench.report import figure
from pygrad.bench.results import Measured, Results

SMALL = 0.05  # a smaller relative change counts as noise


class Change(NamedTuple):
    """An engine's row on a workload, before and after; None if it was not measured."""

    workload: str
    engine: str
    quantity: str
    before: Measured | None
    after: Measured | None

    @property
    def ratio(self) -> float | None:
        """The figure after, divided by the figure before."""
        return self.after.median / self.before.median if self.before and self.after else None

    @property
    def verdict(self) -> str:
        """How the row changed. It is "noise" if the middle halves overlap or the medians differ by less than SMALL."""
        if not self.before or not self.after:
            return "only after" if self.after else "only before"
        apart = self.after.lower > self.before.upper or self.after.upper < self.before.lower
        if not apart or abs(self.after.median / self.before.median - 1) < SMALL:
            return "noise"
        better = self.after.median < self.before.median
        return ("smaller" if better else "larger") if self.quantity == "B" else ("faster" if better else "slower")


def read(path: str) -> Results:
    """Read a run from a file.

    Raises
    ------
    ValueError
        if the file cannot be read or was not written by `--json`; the message names the file
    """
    try:
        return Results.from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not a file written by `pygrad bench --json`: {error}") from error


def changes(before: Results, after: Results) -> Iterator[Change]:
    """All rows that were measured in at least one of the runs."""
    for workload in dict.fromkeys([*before.tables, *after.tables]):
        tables = [run.tables.get(workload) for run in (before, after)]
        (quantity, *_) = [table.quantity for table in tables if table]
        for engine in dict.fromkeys(engine for table in tables if table for engine, _ in table.best_first()):
            old, new = (table.measured(engine) if table else None for table in tables)
            yield Change(workload, engine, quantity, old, new)


def differences(before: Results, after: Results) -> list[str]:
    """The differences between the machines of the runs."""
    keys = [key for key in before.machine if key not in ("load", "versions")]
    pairs = [(key, before.machine[key], after.machine.get(key)) for key in keys]
    old, new = before.machine["versions"], after.machine["versions"]
    pairs += [(package, old.get(package), new.get(package)) for package in dict.fromkeys([*old, *new])]
    return [f"{name}: {old} before, {new} after" for name, old, new in pairs if old != new]


def table(found: list[Change]) -> Grid:
    """A row for each change."""
    grid = Grid("work", "engine")
    for heading in ("before", "after", "after / before"):
        grid.add_column(heading, justify="right")
    grid.add_column("")
    styles = {"faster": "green", "smaller": "green", "slower": "red", "larger": "red", "noise": "dim"}
    for change in found:
        rows = change.before, change.after
        figures = ["~ " * row.is_noisy + figure(row.median, change.quantity) if row else "" for row in rows]
        label = ENGINES[change.engine].label if change.engine in ENGINES else change.engine
        ratio = "" if change.ratio is None else f"{change.ratio:.2f}"
        grid.add_row(change.workload, label, *figures, ratio, change.verdict, style=styles.get(change.verdict, ""))
    return grid


def summary(found: list[Change]) -> str:
    """The number of rows by verdict, and the change of the other engines' times, which is due to the machine."""
    verdicts = [change.verdict for change in found]
    counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    others = [change.ratio for change in found if change.ratio and _is_a_peer(change)]
    text = f"{len(found)} rows: {', '.join(counts)}."
    if others:
        text += (
            f" Engines other than pygrad took {statistics.median(others):.2f} times as long as before:"
            " that is the effect of the machine."
        )
    return text


def _is_a_peer(change: Change) -> bool:
    return change.engine in ENGINES and ENGINES[change.engine].family != "pygrad" and change.quantity == "s"
