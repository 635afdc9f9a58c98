"""The options of optimizers and schedules, checked when they are given."""

from __future__ import annotations

import operator
from typing import Any

from pygrad._numbers import is_number, refuse_masked, to_ndarray


def positive(name: str, x: Any) -> Any:
    refuse_unless_number(name, x)
    if not float(x) > 0:
        raise ValueError(f"{name} must be positive, not {x!r}")
    return x


def refuse_unless_number(name: str, x: Any) -> None:
    refuse_masked(x)
    if not is_number(x):
        raise TypeError(f"{name} must be a number, not {type(x).__name__!r}")


def not_negative(**numbers: float) -> None:
    for name, x in numbers.items():
        refuse_unless_number(name, x)
        if not float(x) >= 0:
            raise ValueError(f"{name} must not be negative, got {x!r}")


def count(name: str, x: Any) -> int:
    """A number of steps."""
    count = operator.index(to_ndarray(x)[()])
    not_negative(**{name: count})
    if count >= 1 << 63:
        raise ValueError(f"{name} must be below 2**63, not {count}")
    return count
