"""What was measured, and how it is kept: as JSON, for people's own plots and for `pygrad bench compare`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Union

FORMAT = "pygrad bench 1"
NOISE = 0.25  # a middle half as wide as this part of the median is not to be trusted
BUSY = 0.9  # nor is what was measured with less of the processor's time than this part


@dataclass(frozen=True)
class Measured:
    """Median and quartiles of the measurements of one unit, seconds or bytes.

    `busy` is the part of the time in which this program had the processor, and no other.
    """

    median: float
    lower: float
    upper: float
    samples: int
    busy: float = 1.0

    @property
    def spread(self) -> float:
        """The width of the middle half, as a part of the median."""
        return (self.upper - self.lower) / self.median

    @property
    def is_noisy(self) -> bool:
        return self.spread > NOISE or self.busy < BUSY


@dataclass(frozen=True)
class Failed:
    """An engine that raised an exception or gave other numbers."""

    reason: str


@dataclass(frozen=True)
class Missing:
    """An engine that is not installed, and the command that installs it."""

    command: str


Row = Union[Measured, Failed, Missing]
_KINDS: dict[str, type[Row]] = {"measured": Measured, "failed": Failed, "missing": Missing}


@dataclass
class Table:
    """A workload's rows, by engine."""

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
    """A run: the machine, the options, and a table for each workload, by its name."""

    machine: dict[str, Any]
    options: dict[str, Any]
    tables: dict[str, Table] = field(default_factory=dict)

    def noisy(self) -> list[tuple[str, str, Measured]]:
        """Workload, engine and row of what is not to be trusted, the widest spread first."""
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
        """The run that `to_json` wrote.

        Raises
        ------
        ValueError
            if the text is something else
        """
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            given = found.get("format", "no format") if isinstance(found, dict) else f"a {type(found).__name__}"
            raise ValueError(f"it must say format {FORMAT!r}, and says {given!r}")
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
            raise ValueError(f"it is damaged: {type(error).__name__} {error}") from error


def _row_to_json(row: Row) -> dict[str, Any]:
    (kind,) = (name for name, cls in _KINDS.items() if type(row) is cls)
    return {"kind": kind, **asdict(row)}


def _row_from_json(row: dict[str, Any]) -> Row:
    fields = dict(row)
    return _KINDS[fields.pop("kind")](**fields)
