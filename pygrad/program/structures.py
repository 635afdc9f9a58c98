"""Structures of numbers: trees of lists, tuples, named tuples, dicts, dataclasses and None.

In place of each Value, Array or index, a structure has a Segment: the shape, and where the numbers are in a row of all
numbers of the structure. The order is that of the parts of the example: a dict's own, and of a dataclass that of its
fields. None has no parts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad._lib import Numbers

Shape = tuple[int, ...]


class Segment:
    """A Value or an Array in a structure: its shape, and where its numbers are in the row of all numbers."""

    __slots__ = ("shape", "start", "stop")

    def __init__(self, shape: Shape, start: int) -> None:
        self.shape, self.start, self.stop = shape, start, start + math.prod(shape)

    def of(self, rows: Numbers) -> Any:
        """Its numbers from rows on the last axis: a float, or an array with the leading axes of the rows."""
        part = rows[..., self.start : self.stop].reshape(rows.shape[:-1] + self.shape)
        return part if part.ndim else part.item()

    def __repr__(self) -> str:
        return f"an array of shape {self.shape}" if self.shape else "a number"


class IndexSegment(Segment):
    """An index in a structure. `limits` has, for each integer, the size of the smallest table that it indexes."""

    __slots__ = ("limits",)
    limits: npt.NDArray[Any]

    def of(self, rows: Numbers) -> None:
        """None: there is no derivative with respect to an integer."""

    def __repr__(self) -> str:
        return f"integers of shape {self.shape}" if self.shape else "an integer"


# Trees ------------------------------------------------------------------------------------------------------------


def parts_of(tree: Any) -> list[tuple[str, Any]] | None:
    """The parts of a tree, each with where it is in that: "[0]", "['w']", ".field". None for what is no tree."""
    if isinstance(tree, dict):
        return [(f"[{key!r}]", part) for key, part in tree.items()]
    if isinstance(tree, (list, tuple)):
        places = [f".{name}" for name in fields_of(tree)] or [f"[{k}]" for k in range(len(tree))]
        return list(zip(places, tree))
    if tree is None:
        return []
    names = fields_of(tree)
    return [(f".{name}", getattr(tree, name)) for name in names] if is_dataclass(tree) else None


def fields_of(tree: Any) -> tuple[str, ...]:
    """The names of the parts of a named tuple or a dataclass; none of anything else."""
    if is_dataclass(tree):
        return tuple([field.name for field in dataclasses.fields(tree)])
    return getattr(tree, "_fields", ()) if isinstance(tree, tuple) else ()


def is_dataclass(tree: Any) -> bool:
    """Whether it is an instance of a dataclass."""
    return hasattr(type(tree), "__dataclass_fields__")


def has_dataclass(tree: Any) -> bool:
    """Whether there is one in a tree."""
    return is_dataclass(tree) or any(has_dataclass(part) for _, part in parts_of(tree) or ())


def with_parts(tree: Any, parts: list[Any]) -> Any:
    """A tree like this one, with other parts."""
    if isinstance(tree, dict):
        return dict(zip(tree, parts))
    if isinstance(tree, (list, tuple)):
        return parts if isinstance(tree, list) else getattr(type(tree), "_make", tuple)(parts)
    if tree is None:
        return None
    return with_fields(type(tree), dict(zip(fields_of(tree), parts)))


def with_fields(cls: type[Any], parts: dict[str, Any]) -> Any:
    """An instance of a named tuple or a dataclass. Its __init__ is not called: it may check numbers."""
    if issubclass(cls, tuple):
        return cls._make(parts.values())  # type: ignore[attr-defined]
    tree = object.__new__(cls)
    for name, part in parts.items():
        object.__setattr__(tree, name, part)
    return tree


def matching_parts(tree: Any, x: Any) -> list[Any] | None:
    """The parts of x that stand for those of a tree; None if x is another kind of tree, or has other parts."""
    if tree is None:
        return [] if x is None else None
    if isinstance(tree, dict):
        return [x[key] for key in tree] if isinstance(x, dict) and x.keys() == tree.keys() else None
    if is_dataclass(x):
        names = fields_of(x)
        return [getattr(x, name) for name in names] if names == fields_of(tree) else None
    is_row = isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim)
    return list(x) if is_row and not is_dataclass(tree) and len(x) == len(tree) else None


def map_structure(f: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with f(x) in place of each x that is none."""
    parts = parts_of(tree)
    return f(tree) if parts is None else with_parts(tree, [map_structure(f, part) for _, part in parts])


def arrays_in(tree: Any) -> Iterator[Numbers]:
    """The arrays of a tree in order; a number is one without axes."""
    parts = parts_of(tree)
    if parts is None:
        yield np.asarray(tree)
    for _, part in parts or ():
        yield from arrays_in(part)


def leaves_of(tree: Any, at: str = "") -> Iterator[tuple[str, Segment]]:
    """The segments of a structure in order, each with where it is: "[0]['w']"."""
    parts = parts_of(tree)
    if parts is None:
        yield at, tree
    for where, part in parts or ():
        yield from leaves_of(part, at + where)


def segments_of(tree: Any) -> Iterator[Segment]:
    """The segments of a structure in order."""
    return (segment for _, segment in leaves_of(tree))


def structured(tree: Any, rows: Numbers) -> Any:
    """Numbers in a structure, from rows on the last axis of an array."""
    return tree.of(rows) if isinstance(tree, Segment) else map_structure(lambda segment: segment.of(rows), tree)


def locate(tree: Any, number: int) -> tuple[str, Shape]:
    """The leaf of a structure that has a number of its row, as "[0]['w']", and the index of the number in that leaf."""
    where, segment = next((at, s) for at, s in leaves_of(tree) if s.start <= number < s.stop)
    return where, tuple(map(int, np.unravel_index(number - segment.start, segment.shape)))


def place(tree: Any, *at: int) -> str:
    """Where a number is in what structured() returns: `at` is its index in the rows."""
    where, index = locate(tree, at[-1])
    return where + subscript(*at[:-1], *index)


def subscript(*at: int) -> str:
    """An index as Python writes it: "[2, 1]"; "" for none."""
    return f"[{', '.join(map(str, at))}]" if at else ""
