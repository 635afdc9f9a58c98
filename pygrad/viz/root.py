"""The nodes that a picture begins at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

from pygrad.array import Array
from pygrad.engine import Value
from pygrad.program import Program

Roots = Union[Value, Array, Sequence[Union[Value, Array]]]


def single_value(root: Any) -> Value:
    """Return the Value that is the result of a graph, given as itself or as an Array without axes."""
    if isinstance(root, Array) and root.ndim:
        raise ValueError(f"root must be one Value, got an Array of shape {root.shape}; pass one element or the sum")
    if isinstance(root, Array):
        root = root[()]
    if not isinstance(root, Value):
        raise TypeError(f"root must be a Value or an Array without axes, not {_described(root)}")
    return root


def values_of(roots: Roots) -> list[Value]:
    """Return the Values that are the results of a graph: one, or those of an Array, a list or a tuple."""
    if isinstance(roots, (list, tuple)):
        return list(dict.fromkeys(value for root in roots for value in values_of(root)))
    if isinstance(roots, Array) and roots.ndim:
        return list(dict.fromkeys(roots.ravel().tolist()))
    return [single_value(roots)]


def _described(root: Any) -> str:
    """What else was given: a model or a program is no graph, but what it returns is."""
    name = type(root).__name__
    if isinstance(root, Program):
        return "a Program: pass what it returns for Values, whose graph has its instructions as nodes"
    return f"a model: pass what the {name} returns" if callable(getattr(root, "parameters", None)) else repr(name)
