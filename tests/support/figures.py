"""The figures that tests/trust measures, and the page of figures that `make trust` prints and writes for the docs."""

import platform
import re
from pathlib import Path

import numpy as np

LOGS = Path(__file__).parent.parent.parent / "build" / "trust"  # output of other targets of the Makefile

_figures: dict[str, str] = {}
_tables: dict[str, list[list[str]]] = {}


def note(what: str, figure: str) -> None:
    _figures[what] = figure


def table(title: str, rows: list[list[str]]) -> None:
    """Add a table under a title; the first row is the header."""
    _tables[title] = rows


def _markdown(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    head, *body = (f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths))} |" for row in rows)
    return [head, f"| {' | '.join('-' * width for width in widths)} |", *body, ""]


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    models = [line.partition(":")[2] for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
    processor = f"{len(models)} x {models[0].strip()}" if models else platform.machine()
    return f"{processor}, {platform.platform()}, {platform.python_implementation()} {platform.python_version()}"


def _fuzzed(log: str) -> str:
    programs, files = re.findall(r"number_of_executed_units: *(\d+)", log)
    return f"{int(programs):,} and {int(files):,}"


def _covered(log: str) -> str:
    parts = re.findall(r"^(lines|branches): .*\((\d+) out of (\d+)\)", log, re.MULTILINE)
    return ", ".join(f"{int(reached):,} of {int(all):,} {what}" for what, reached, all in parts)


# Figures of other targets of the Makefile, and how to find them in their output.
_TARGETS = {
    "programs over the C API, and files, that libFuzzer tried": ("fuzz", _fuzzed),
    "of the C, reached by the tests": ("coverage", _covered),
}


def page() -> str:
    lines = ["<!-- written by `make trust` -->", ""]
    figures = dict(_figures)
    for what, (target, figure) in _TARGETS.items():
        log = LOGS / f"{target}.txt"
        if log.exists():
            figures[what] = figure(log.read_text(encoding="utf-8"))
    lines += _markdown([["measured", "figure"], *([what, figure] for what, figure in figures.items())])
    for title, rows in _tables.items():
        lines += [title, "", *_markdown(rows)]
    return "\n".join([*lines, f"On {_machine()}, NumPy {np.__version__}.", ""])
