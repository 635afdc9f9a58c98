"""What is printed: a table a workload, the bars, and what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table as Grid

from pygrad.bench import results
from pygrad.bench.bars import BARS, Bar
from pygrad.bench.engines import ENGINES, MissingError
from pygrad.bench.results import Failed, Measured, Missing, Results, Table
from pygrad.bench.work import Workload

_PREFIXES = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]
_STYLES = {"pygrad": "bold", "limit": "cyan"}


def console() -> Console:
    """Where everything goes; wide enough for the tables where it is a file or a pipe."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=max(found.width, 120))


def figure(x: float, quantity: str) -> str:
    """Seconds or bytes, with three digits and a unit.

    >>> figure(0.0012345, "s"), figure(32.04, "B"), figure(1234, "s")
    ('1.23 ms', '32 B', '1230 s')
    """
    if quantity == "B":
        return f"{digits(x)} B"
    scale, unit = next((each for each in _PREFIXES if x >= each[0]), _PREFIXES[-1])
    return f"{digits(x / scale)} {unit}"


def digits(x: float) -> str:
    """Three digits at least, and no exponent.

    >>> digits(0.12345), digits(12.345), digits(39876.5)
    ('0.123', '12.3', '39,900')
    """
    rounded = float(f"{x:.3g}")
    return f"{rounded:,.0f}" if rounded >= 10_000 else f"{rounded:g}"


def machine(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return escape(
        f"{found['cpus']} x {found['processor']}, {found['python']}, {found['system']}, load {found['load']}\n"
        f"C: {found['compiler']}, {found['flags']}\n{versions}"
    )


def missing(results: Results) -> RenderableType | None:
    """The engines that are not installed, and what installs them."""
    commands = {
        row.command: ENGINES[engine].label.partition(",")[0]
        for table in results.tables.values()
        for engine, row in table.rows.items()
        if isinstance(row, Missing)
    }
    if not commands:
        return None
    lines = [f"  {label:16}{escape(command)}" for command, label in commands.items()]
    return "\n".join(["Not installed, so not measured:", *lines])


def table(found: Table) -> Grid:
    """A workload's engines, best first; those that failed, and those that are not installed, below."""
    micrograd, limit = found.measured("micrograd"), found.measured("c")
    grid = Grid("engine")
    grid.add_column(found.unit, justify="right")
    grid.add_column("middle half", justify="right", style="dim")
    if micrograd:
        grid.add_column("smaller than micrograd" if found.quantity == "B" else "faster than micrograd", justify="right")
    if limit:
        grid.add_column("times the limit", justify="right")

    def row(engine: str, figures: Sequence[str], style: str) -> None:
        grid.add_row(ENGINES[engine].label, *figures, style=style)

    for engine, measured in found.best_first():
        lower, upper = (figure(x, found.quantity) for x in (measured.lower, measured.upper))
        figures = [
            figure(measured.median, found.quantity),
            ("~ " if measured.is_noisy else "") + (f"{lower} to {upper}" if measured.samples > 1 else "once"),
        ]
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
    """Why engines failed, in one line each."""
    return [
        f"[red]{ENGINES[engine].label} failed:[/red] {escape(row.reason)}"
        for engine, row in found.rows.items()
        if isinstance(row, Failed)
    ]


def bars(found: Results) -> Grid:
    """What must be reached, and whether it is."""
    grid = Grid("work", "peer")
    for heading in ("peer's", "pygrad's", "ratio", "must reach"):
        grid.add_column(heading, justify="right")
    grid.add_column("")
    for bar in BARS:
        if bar.workload in found.tables:
            grid.add_row(bar.work, ENGINES[bar.peer].label if bar.peer else "", *_bar(bar, found))
    return grid


def _bar(bar: Bar, found: Results) -> list[str]:
    table, ratio = found.tables[bar.workload], bar.ratio(found)
    ours, theirs = (
        figure(row.median, table.quantity) if (row := table.measured(engine)) else ""
        for engine in (bar.engine, bar.peer)
    )
    if bar.faster:
        wanted = f"{bar.faster:g}x"
    else:
        wanted = f"at most {f'{bar.within:g}x' if bar.within else figure(bar.at_most, table.quantity)}"
    if ratio is None:
        return [theirs, ours, "", wanted, f"[yellow]not measured: {_why(bar, table)}"]
    shown = f"{digits(1 / ratio if bar.within else ratio)}x" if bar.peer else ""
    return [theirs, ours, shown, wanted, "[green]met" if ratio >= bar.least else "[red]missed"]


def _why(bar: Bar, table: Table) -> str:
    for engine in bar.engines:
        row = table.rows.get(engine)
        if not isinstance(row, Measured):
            what = {Missing: "is not installed", Failed: "failed"}.get(type(row), "did not run")
            return f"{ENGINES[engine].label} {what}"
    raise AssertionError("a bar whose engines were measured has a ratio")


def noise(found: Results) -> str:
    """A note, if the machine was too noisy to trust."""
    noisy, rows = found.noisy(), sum(len(table.best_first()) for table in found.tables.values())
    if not noisy:
        return ""
    workload, engine, widest = noisy[0]
    taken = 1 - min(row.busy for *_, row in noisy)
    return (
        f"[yellow]The machine was too noisy to trust {len(noisy)} of {rows} rows, marked ~: the middle half of the "
        f"timings spreads over more than {results.NOISE:.0%} of the median (at most {widest.spread:.0%}: {workload}, "
        f"{ENGINES[engine].label}), or other programs had more than {1 - results.BUSY:.0%} of the processor's time "
        f"(at most {taken:.0%}). Run it again when nothing else runs."
    )


def choices(workloads: dict[str, Workload]) -> list[RenderableType]:
    """What --only and --engines take."""
    work = Grid("--only", "work", "engines", title="Workloads", title_justify="left")
    for workload in workloads.values():
        work.add_row(workload.name, workload.title, " ".join(workload.engines))
    engines = Grid("--engines", "engine", "", title="Engines", title_justify="left")
    for engine in ENGINES.values():
        try:
            engine.load()
            state = f"version {engine.version}" if engine.package else "here"
        except MissingError as missing:
            state = f"not installed: {escape(str(missing))}"
        except Exception as error:
            state = f"[red]does not load: {escape(str(error))}"
        engines.add_row(engine.name, engine.label, state)
    return [work, engines]
