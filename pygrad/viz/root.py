"""The nodes that a picture begins at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

from pygrad.array import Array
from pygrad.engine import Value
from pygrad.program import Program

Roots = Union[Value, Array, Sequence[Union[Value, Array]]]


def values_of(roots: Roots) -> list[Value]:
    """Return the Values that are the results of a graph, each once: one, or those of an Array, a list or a tuple."""
    if isinstance(roots, Value):
        return [roots]
    if isinstance(roots, Array):
        values = roots.ravel().tolist()
    elif isinstance(roots, (list, tuple)):
        values = [value for root in roots for value in values_of(root)]
    else:
        raise TypeError(f"root must be a Value, an Array, or a list of them, not {_described(roots)}")
    if not values:
        raise ValueError("root is empty: pass at least one Value")
    return list(dict.fromkeys(values))


def _described(root: Any) -> str:
    """What else was given: a model or a program is no graph, but what it returns is."""
    name = type(root).__name__
    if isinstance(root, Program):
        return "a Program: pass what it returns for Values, whose graph has its instructions as nodes"
    return f"a model: pass what the {name} returns" if callable(getattr(root, "parameters", None)) else repr(name)
