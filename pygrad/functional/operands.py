"""What the functions take."""

from __future__ import annotations

from typing import Any

from pygrad.array import as_array
from pygrad.engine import Value
from pygrad.index import Index, as_indices


def operand(x: Any) -> Any:
    """A Value as it is, and an Array of anything else: so what a function gives for a Value is a Value."""
    return x if isinstance(x, Value) else as_array(x)


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an operand."""
    shape: tuple[int, ...] = () if isinstance(x, Value) else x.shape
    return shape


def indices(x: Any, name: str) -> Any:
    """Integers as an array; a traced Index unchanged."""
    if isinstance(x, Index) and x.is_traced:
        return x
    return as_indices(f"{name}: an index", x)
