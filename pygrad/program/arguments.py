"""Structures of numbers, and what a call of a Program accepts as one of its arguments.

A structure is a tree of lists, tuples and dicts. In place of each Value, Array or index it has a Segment: the shape,
and where the numbers are in a row of all numbers of the structure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad._lib import Numbers
from pygrad._numbers import refuse_masked, to_ndarray
from pygrad.array import as_elements
from pygrad.index import Index

Shape = tuple[int, ...]

_FLOAT64 = np.dtype(np.float64)


# Structures -------------------------------------------------------------------------------------------------------


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


def map_structure(f: Callable[[Any], Any], tree: Any) -> Any:
    """The same nested lists, tuples and dicts with f(x) in place of each x that is none of these."""
    if isinstance(tree, dict):
        return {key: map_structure(f, item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        items = [map_structure(f, item) for item in tree]
        return items if isinstance(tree, list) else getattr(type(tree), "_make", tuple)(items)
    return f(tree)


def arrays_in(tree: Any) -> Iterator[Numbers]:
    """The arrays of nested lists, tuples and dicts in order; a number is one without axes, and None is left out."""
    if isinstance(tree, (list, tuple, dict)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from arrays_in(item)
    elif tree is not None:
        yield np.asarray(tree)


def leaves_of(tree: Any, at: str = "") -> Iterator[tuple[str, Segment]]:
    """The segments of a structure in order, each with where it is: "[0]['w']"."""
    if isinstance(tree, Segment):
        yield at, tree
    else:
        for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves_of(item, f"{at}[{key!r}]")


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


# Arguments --------------------------------------------------------------------------------------------------------


class Leaf:
    """One array of numbers, or one index, in an argument of a Program: a call passes that, or a batch of it.

    Parameters
    ----------
    name
        for messages: the position of the argument, and where the leaf is in it, as in "0[1]['w']"
    segment
        the leaf in the structure of the argument
    start
        how many numbers the leaves before it have
    """

    def __init__(self, name: str, segment: Segment, start: int) -> None:
        self.name, self.segment, self.start = name, segment, start
        self.shape = segment.shape
        self.size = segment.stop - segment.start
        self.stop = start + self.size

    def numbers(self, x: Any, what: str = "argument") -> Numbers:
        """The numbers of x in C order; x is what is passed, or with what="tangent" a tangent of it."""
        if isinstance(self.segment, IndexSegment):
            return self._integers(self.segment, x, what)
        if type(x) is not np.ndarray or x.dtype != _FLOAT64 or not (x.flags.c_contiguous and x.flags.aligned):
            x = np.array(x) if type(x) is float else self._floats(x, what)
        shape = x.shape
        if shape != self.shape and (not shape or shape[1:] != self.shape):
            raise ValueError(self._refusal(f"shape {shape}", what))
        return x  # type: ignore[no-any-return]

    def _floats(self, x: Any, what: str) -> Numbers:
        try:
            numbers = as_elements(x)
        except ValueError as error:
            raise ValueError(self._refusal("lists that make no array", what)) from error
        except TypeError:
            refuse_masked(x)
            numbers = np.empty(0, dtype=object)
        if numbers.dtype != _FLOAT64:
            given = f"a {type(x).__name__} with something else" if isinstance(x, (list, tuple)) else type(x).__name__
            raise TypeError(f"{what} {self.name} must consist of real numbers (of a Value, its data), got {given}")
        return np.require(numbers, requirements=["C", "A"])

    def _integers(self, segment: IndexSegment, x: Any, what: str) -> Numbers:
        """The integers of an index, as floats. Its tangent is None, and counts as 0."""
        if what == "tangent":
            if x is not None:
                raise TypeError(f"tangent {self.name} must be None for an index, got {x!r}")
            return np.zeros(segment.shape)
        integers = to_ndarray(x.data if isinstance(x, Index) else x)
        if integers.dtype.kind not in "iu" and integers.size:
            raise TypeError(f"argument {self.name} must have integers for an index, got {integers.dtype}")
        if integers.shape != segment.shape and (not integers.ndim or integers.shape[1:] != segment.shape):
            raise ValueError(self._refusal(f"shape {integers.shape}", what))
        wrong = (integers < 0) | (integers >= segment.limits)
        if wrong.any():
            limit = np.broadcast_to(segment.limits, integers.shape)[wrong][0]
            raise IndexError(
                f"argument {self.name} must have indices between 0 and {limit - 1}, got {integers[wrong][0]}"
            )
        return integers.astype(np.float64)

    def _refusal(self, given: str, what: str) -> str:
        batch = str(("B", *self.shape)).replace("'", "")
        return f"{what} {self.name} must have shape {self.shape}, or for a batch {batch}; got {given}"

    def of(self, numbers: Numbers) -> Any:
        """What users see of numbers in its shape, or a batch of them: a float or an array; None for an index."""
        if isinstance(self.segment, IndexSegment):
            return None
        return numbers if numbers.ndim else numbers.item()


class Argument:
    """What a Program accepts as one of its arguments.

    Parameters
    ----------
    position
        its position in a call
    structure
        of the example
    start
        how many numbers the arguments before it have
    """

    def __init__(self, position: int, structure: Any, start: int) -> None:
        self.position, self.structure, self.start = position, structure, start
        self.leaves = [Leaf(f"{position}{at}", s, start + s.start) for at, s in leaves_of(structure)]
        self.size = sum(leaf.size for leaf in self.leaves)
        self.stop = start + self.size

    @property
    def shape(self) -> Shape | None:
        """The shape of an argument that is one array, number or index; None for a structure."""
        return self.structure.shape if isinstance(self.structure, Segment) else None

    @property
    def limits(self) -> npt.NDArray[np.int64] | None:
        """Those of an argument that is one index; None for others."""
        is_index = isinstance(self.structure, IndexSegment)
        return np.ascontiguousarray(self.structure.limits, dtype=np.int64) if is_index else None

    def parts(self, x: Any, what: str) -> Iterable[Any]:
        """What is passed for each leaf, where x is passed for the argument."""
        return [x] if isinstance(self.structure, Segment) else self._parts(self.structure, x, what)

    def _parts(self, tree: Any, x: Any, what: str) -> Iterator[Any]:
        if isinstance(tree, Segment):
            yield x
        elif (isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim)) and len(x) == len(tree):
            refuse_masked(x)
            for subtree, item in zip(tree, x):
                yield from self._parts(subtree, item, what)
        else:
            raise ValueError(
                f"{what} {self.position} must have the structure {self.structure}, where each array or number may be a "
                f"batch, with one more leading axis; got {x!r} for {tree}"
            )
