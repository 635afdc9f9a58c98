"""Implements the commands `pygrad bench [options]` and `pygrad bench compare A.json B.json`."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pygrad._distribution import install

try:
    from rich.console import Console, RenderableType
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
except ImportError as error:
    raise SystemExit(f"{error}; pygrad bench needs `{install('bench')}`") from error

from pygrad.bench import chart, compare, grid, measure, report
from pygrad.bench.engines import ENGINES, of_pygrad
from pygrad.bench.machine import machine
from pygrad.bench.results import Results, Table
from pygrad.bench.workloads import WORKLOADS

CHARTS = (".png", ".svg")
INTERRUPTED = 130  # the exit status for Ctrl-C, by the convention of shells


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments and return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["compare"]:
        return _compare(arguments[1:])
    options = _options(arguments)
    console = report.console()
    if options.list:
        for listed in [*report.lists(WORKLOADS), grid.list_of_axes()]:
            console.print(listed)
        return 0
    return _run(options, console)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pygrad bench",
        description="Compare the speed of pygrad, of other libraries and of hand-written C on the same work.",
        epilog="`pygrad bench compare A.json B.json` shows what changed between two runs.",
    )
    parser.add_argument("--list", action="store_true", help="list the workloads, engines and axes, and exit")
    parser.add_argument(
        "--sweep",
        action="store_true",
        help="vary size, batch, arguments and so on, and find where compiling does not pay",
    )
    parser.add_argument(
        "--only", type=_names, action="extend", metavar="NAME,...", help="run only these workloads, or axes of --sweep"
    )
    parser.add_argument(
        "--engines",
        type=_engines,
        action="extend",
        metavar="NAME,...",
        help="run only these engines; pygrad stands for all of pygrad's",
    )
    parser.add_argument("--targets", action="store_true", help="also print the project's targets, and which are met")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument(
        "--quick",
        dest="effort",
        action="store_const",
        const="quick",
        default="quick",
        help="take a minute (default)",
    )
    effort.add_argument("--full", dest="effort", action="store_const", const="full", help="take several minutes")
    parser.add_argument("--json", metavar="FILE", help="write the results to this file")
    parser.add_argument("--chart", metavar="FILE", help="draw the results to this PNG or SVG file")
    parser.add_argument("--seed", type=int, default=0, help="the seed of numbers and order of turns (default 0)")
    options = parser.parse_args(arguments)
    if options.sweep:
        options.only = _known(parser, "axis", options.only, grid.AXES)
    else:
        options.only = _known(parser, "workload", options.only, WORKLOADS)
    options.engines = _known(parser, "engine", options.engines, ENGINES)
    if options.seed < 0:
        parser.error(f"--seed must be 0 or more, got {options.seed}")
    if options.chart and Path(options.chart).suffix.lower() not in CHARTS:
        parser.error(f"--chart must be a file that ends in {' or '.join(CHARTS)}, got {options.chart!r}")
    if options.chart and importlib.util.find_spec("matplotlib") is None:
        parser.error(f"--chart needs matplotlib; install it with {sys.executable} -m pip install matplotlib")
    for path in filter(None, (options.json, options.chart)):
        try:
            _try_to_write(Path(path))
        except OSError as error:
            parser.error(f"cannot write {path}: {error.strerror}")
    return options


def _names(text: str) -> list[str]:
    return text.split(",")


def _engines(text: str) -> list[str]:
    return [engine for name in _names(text) for engine in (of_pygrad() if name == "pygrad" else [name])]


def _known(parser: argparse.ArgumentParser, kind: str, names: Iterable[str] | None, known: Iterable[str]) -> list[str]:
    """The given names in the order of `known`, without duplicates; all known names if none are given."""
    chosen = set(known) if names is None else set(names)
    for name in sorted(chosen.difference(known)):
        near = difflib.get_close_matches(name, list(known), 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}."
        parser.error(f"unknown {kind} {name!r}; {hint} --list describes them all")
    return [name for name in known if name in chosen]


def _try_to_write(path: Path) -> None:
    """Raise OSError if the file cannot be written. Do not change it."""
    existed = path.exists()
    with path.open("ab"):
        pass
    if not existed:
        path.unlink()


def _run(options: argparse.Namespace, console: Console) -> int:
    results = Results(machine(), {"effort": options.effort, "seed": options.seed})
    console.print(report.machine(results.machine))
    start = time.monotonic()
    status = 0
    try:
        _measure(options, results)
    except KeyboardInterrupt:
        console.print("[yellow]Interrupted. These are the results so far.")
        status = INTERRUPTED
    for part in _cliffs(results) if options.sweep else _tables(results, console.width):
        console.print(part)
    if options.targets:
        console.print("\n[bold]Targets", report.targets(results), sep="\n")
    for note in (report.noise(results), report.missing(results)):
        if note:
            console.print(note)
    console.print(f"{time.monotonic() - start:.0f} seconds, --{options.effort}, --seed {options.seed}")
    if options.json:
        Path(options.json).write_text(results.to_json() + "\n", encoding="utf-8")
    if options.chart and any(table.best_first() for table in results.tables.values()):
        draw = chart.draw_sweep if options.sweep else chart.draw
        draw(results, options.chart)
    return status


def _tables(results: Results, width: int) -> Iterator[RenderableType]:
    for table in results.tables.values():
        yield f"\n[bold]{escape(table.title)}"
        yield report.table(table, width)
        yield from report.failures(table)


def _cliffs(results: Results) -> Iterator[RenderableType]:
    for axis, points in grid.measured(results):
        yield f"\n[bold]{escape(axis.title)}; a call"
        yield grid.table(axis, points)
        yield from (failure for _, point in points for failure in report.failures(point))
    yield f"\n{grid.summary(results)}"


def _measure(options: argparse.Namespace, results: Results) -> None:
    """Fill in the results. The progress goes to stderr: a bar to a terminal, and a line for each workload elsewhere."""
    workloads = grid.workloads(options.only) if options.sweep else [WORKLOADS[name] for name in options.only]
    effort = measure.QUICK
    if options.effort == "full":
        effort, workloads = measure.FULL, [workload.full for workload in workloads]
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed} of {task.total} workloads")
    console = Console(stderr=True, highlight=False)
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=len(workloads))
        for number, workload in enumerate(workloads, 1):
            if not console.is_terminal:
                console.print(f"{workload.name}, {number} of {len(workloads)}")
            table = results.tables[workload.name] = Table(workload.title, workload.unit, workload.quantity)
            measure.measure(
                workload, options.engines, options.seed, effort, table.rows,
                lambda activity: progress.update(task, description=f"{activity:32}"),
            )  # fmt: skip
            progress.advance(task)


def _compare(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="pygrad bench compare", description="Show what changed between two runs of `pygrad bench --json FILE`."
    )
    parser.add_argument("before", metavar="A.json")
    parser.add_argument("after", metavar="B.json")
    parser.add_argument("--all", action="store_true", help="list the rows that differ only by noise, too")
    options = parser.parse_args(arguments)
    try:
        before, after = compare.read(options.before), compare.read(options.after)
    except ValueError as error:
        parser.error(str(error))
    console = report.console()
    found = list(compare.changes(before, after))
    console.print(compare.table(found if options.all else [change for change in found if change.verdict != "noise"]))
    console.print(compare.summary(found))
    console.print(
        f"Noise (--all lists it): the middle halves of the timings overlap, or the medians differ by less than "
        f"{compare.SMALL:.0%}. ~: the machine was too noisy to trust the figure. Repeat the runs that matter."
    )
    for difference in compare.differences(before, after):
        console.print(f"[yellow]The machines of the runs differ in {difference}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
