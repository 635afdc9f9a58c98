"""Stores the results of a run, and converts them to and from JSON for `pygrad bench compare` and other tools."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Union

FORMAT = "pygrad bench 1"
NOISE = 0.25  # a measurement is noisy if its middle half is wider than this fraction of the median
BUSY = 0.9  # or if the program had the processor for less than this fraction of the time


@dataclass(frozen=True)
class Measured:
    """The median and the quartiles of the measurements of one unit, in seconds or bytes.

    `busy` is the fraction of the time in which this program had the processor.
    """

    median: float
    lower: float
    upper: float
    samples: int
    busy: float = 1.0

    @property
    def spread(self) -> float:
        """The interquartile range, as a fraction of the median."""
        return (self.upper - self.lower) / self.median

    @property
    def is_noisy(self) -> bool:
        return self.spread > NOISE or self.busy < BUSY


@dataclass(frozen=True)
class Failed:
    """An engine that raised an exception or returned wrong numbers."""

    reason: str


@dataclass(frozen=True)
class Missing:
    """An engine that is not installed, and the command that installs it."""

    command: str


Row = Union[Measured, Failed, Missing]
_KINDS: dict[str, type[Row]] = {"measured": Measured, "failed": Failed, "missing": Missing}


@dataclass
class Table:
    """The rows of a workload, by engine."""

    title: str
    unit: str
    quantity: str
    rows: dict[str, Row] = field(default_factory=dict)

    def measured(self, engine: str) -> Measured | None:
        row = self.rows.get(engine)
        return row if isinstance(row, Measured) else None

    def best_first(self) -> list[tuple[str, Measured]]:
        found = [(engine, row) for engine, row in self.rows.items() if isinstance(row, Measured)]
        return sorted(found, key=lambda each: each[1].median)


@dataclass
class Results:
    """A run: the machine, the options, and a table for each workload by name."""

    machine: dict[str, Any]
    options: dict[str, Any]
    tables: dict[str, Table] = field(default_factory=dict)

    def noisy(self) -> list[tuple[str, str, Measured]]:
        """The workload, the engine and the row of each noisy measurement, the widest spread first."""
        found = [
            (workload, engine, row)
            for workload, table in self.tables.items()
            for engine, row in table.best_first()
            if row.is_noisy
        ]
        return sorted(found, key=lambda each: -each[2].spread)

    def to_json(self) -> str:
        return json.dumps(
            {
                "format": FORMAT,
                "machine": self.machine,
                "options": self.options,
                "workloads": {
                    name: {
                        "title": table.title,
                        "unit": table.unit,
                        "quantity": table.quantity,
                        "engines": {engine: _row_to_json(row) for engine, row in table.rows.items()},
                    }
                    for name, table in self.tables.items()
                },
            },
            indent=1,
        )

    @staticmethod
    def from_json(text: str) -> Results:
        """Read the text that `to_json` wrote.

        Raises
        ------
        ValueError
            if `to_json` did not write the text
        """
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            given = found.get("format", "no format") if isinstance(found, dict) else f"a {type(found).__name__}"
            raise ValueError(f"its format must be {FORMAT!r}, got {given!r}")
        try:
            tables = {
                name: Table(
                    table["title"],
                    table["unit"],
                    table["quantity"],
                    {engine: _row_from_json(row) for engine, row in table["engines"].items()},
                )
                for name, table in found["workloads"].items()
            }
            return Results(found["machine"], found["options"], tables)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"it is incomplete or damaged: {type(error).__name__} {error}") from error


def _row_to_json(row: Row) -> dict[str, Any]:
    (kind,) = (name for name, cls in _KINDS.items() if type(row) is cls)
    return {"kind": kind, **asdict(row)}


def _row_from_json(row: dict[str, Any]) -> Row:
    fields = dict(row)
    return _KINDS[fields.pop("kind")](**fields)
