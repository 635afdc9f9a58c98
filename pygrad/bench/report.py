"""Formats what `pygrad bench` prints: a table for each workload, the targets, and the lists for --list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table as Grid

from pygrad.bench.engines import ENGINES, of_pygrad
from pygrad.bench.results import Failed, Measured, Missing, Results, Table
from pygrad.bench.targets import TARGETS, Target
from pygrad.bench.work import Workload

_PREFIXES = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]
WIDE = 92  # columns, from which a table has room for the middle half of the timings
_STYLES = {"pygrad": "bold", "limit": "cyan"}


def console() -> Console:
    """The console for all output. If it is a file or a pipe, it is wide enough for the tables."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=max(found.width, 120))


def figure(x: float, quantity: str) -> str:
    """Format seconds or bytes with three digits and a unit.

    >>> figure(0.0012345, "s"), figure(32.04, "B"), figure(1234, "s")
    ('1.23 ms', '32 B', '1230 s')
    """
    if quantity == "B":
        return f"{digits(x)} B"
    scale, unit = next((each for each in _PREFIXES if x >= each[0]), _PREFIXES[-1])
    return f"{digits(x / scale)} {unit}"


def digits(x: float) -> str:
    """Format a number with at least three significant digits and no exponent.

    >>> digits(0.12345), digits(12.345), digits(39876.5)
    ('0.123', '12.3', '39,900')
    """
    rounded = float(f"{x:.3g}")
    return f"{rounded:,.0f}" if rounded >= 10_000 else f"{rounded:g}"


def machine(found: dict[str, Any]) -> str:
    """The description of the machine, in three lines."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return escape(
        f"{found['cpus']} x {found['processor']}, {found['python']}, {found['system']}, load {found['load']}\n"
        f"C: {found['compiler']}, {found['flags']}\n{versions}"
    )


def missing(results: Results) -> RenderableType | None:
    """The engines that are not installed, and the commands that install them."""
    commands = {
        row.command: ENGINES[engine].label.partition(",")[0]
        for table in results.tables.values()
        for engine, row in table.rows.items()
        if isinstance(row, Missing)
    }
    if not commands:
        return None
    lines = [f"  {label:16}{escape(command)}" for command, label in commands.items()]
    return "\n".join(["Not installed and therefore not measured:", *lines])


def table(found: Table, width: int) -> Grid:
    """The engines of a workload, best first. Engines that failed or are not installed come last.

    Below this width of the terminal, the columns that say most are left: the medians and the ratios.
    """
    micrograd, limit, wide = found.measured("micrograd"), found.measured("c"), width >= WIDE
    grid = Grid("engine")
    headings = [found.unit, *["middle half"] * wide]
    if micrograd:
        headings.append(("smaller" if found.quantity == "B" else "faster") + " than\nmicrograd")
    if limit:
        headings.append("times\nthe limit")
    for heading in headings:
        style = "dim" if heading == "middle half" else ""
        grid.add_column(heading, justify="right", style=style, no_wrap=True)

    def row(engine: str, figures: Sequence[str], style: str) -> None:
        grid.add_row(ENGINES[engine].label, *figures, style=style)

    for engine, measured in found.best_first():
        lower, upper = (figure(x, found.quantity) for x in (measured.lower, measured.upper))
        figures = ["~ " * measured.is_noisy + figure(measured.median, found.quantity)]
        if wide:
            figures.append(f"{lower} to {upper}" if measured.samples > 1 else "once")
        if micrograd:
            figures.append(f"{digits(micrograd.median / measured.median)}x")
        if limit:
            figures.append(digits(measured.median / limit.median))
        row(engine, figures, _STYLES.get(ENGINES[engine].family, ""))
    for engine, other in found.rows.items():
        if isinstance(other, Missing):
            row(engine, ["not installed"], "dim")
        if isinstance(other, Failed):
            row(engine, ["[red]failed"], "")
    return grid


def failures(found: Table) -> list[str]:
    """Why each failed engine failed, in one line."""
    return [
        f"[red]{ENGINES[engine].label} failed:[/red] {escape(row.reason)}"
        for engine, row in found.rows.items()
        if isinstance(row, Failed)
    ]


def targets(found: Results) -> Grid:
    """The targets, and whether they are met."""
    grid = Grid("work", "peer")
    for heading in ("peer's", "pygrad's", "ratio", "target"):
        grid.add_column(heading, justify="right")
    grid.add_column("")
    for target in TARGETS:
        if target.workload in found.tables:
            grid.add_row(target.work, ENGINES[target.peer].label if target.peer else "", *_target(target, found))
    return grid


def _target(target: Target, found: Results) -> list[str]:
    table, ratio = found.tables[target.workload], target.ratio(found)
    ours, theirs = (
        figure(row.median, table.quantity) if (row := table.measured(engine)) else ""
        for engine in (target.engine, target.peer)
    )
    if target.faster:
        wanted = f"{target.faster:g}x"
    else:
        wanted = f"at most {f'{target.within:g}x' if target.within else figure(target.at_most, table.quantity)}"
    if ratio is None:
        return [theirs, ours, "", wanted, f"[yellow]not measured: {_why_not_measured(target, table)}"]
    shown = f"{digits(1 / ratio if target.within else ratio)}x" if target.peer else ""
    return [theirs, ours, shown, wanted, "[green]met" if ratio >= target.least else "[red]missed"]


def _why_not_measured(target: Target, table: Table) -> str:
    for engine in target.engines:
        row = table.rows.get(engine)
        if not isinstance(row, Measured):
            reason = {Missing: "is not installed", Failed: "failed"}.get(type(row), "did not run")
            return f"{ENGINES[engine].label} {reason}"
    raise AssertionError("a target whose engines were all measured has a ratio")


def noise(found: Results) -> str:
    """A line if some measurements are too noisy to trust, or an empty string."""
    noisy, rows = found.noisy(), sum(len(table.best_first()) for table in found.tables.values())
    if not noisy:
        return ""
    widest, taken = max(row.spread for *_, row in noisy), 1 - min(row.busy for *_, row in noisy)
    return (
        f"[yellow]~ marks {len(noisy)} of {rows} figures that are noisy: their timings spread by up to {widest:.0%}, "
        f"or other programs took up to {taken:.0%}"
    )


def lists(workloads: dict[str, Workload]) -> list[RenderableType]:
    """The workloads and the engines that --only and --engines accept."""
    work = Grid("--only", "work", "engines", title="Workloads", title_justify="left")
    for workload in workloads.values():
        work.add_row(workload.name, workload.title, " ".join(workload.engines))
    engines = Grid("--engines", "engine", "", title="Engines", title_justify="left")
    for engine in ENGINES.values():
        engines.add_row(engine.name, engine.label, escape(engine.state))
    engines.add_row("pygrad", "all of pygrad's", " ".join(of_pygrad()))
    return [work, engines]
