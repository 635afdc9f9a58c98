"""Structures of numbers, and what a call of a Program accepts as one of its arguments.

A structure is a tree of lists, tuples and dicts. In place of each Value, Array or index it has a Segment: the shape,
and where the numbers are in a row of all numbers of the structure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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


def segments_of(tree: Any) -> Iterator[Segment]:
    """The segments of a structure in order."""
    if isinstance(tree, Segment):
        yield tree
    else:
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from segments_of(item)


def structured(tree: Any, rows: Numbers) -> Any:
    """Numbers in a structure, from rows on the last axis of an array."""
    return tree.of(rows) if isinstance(tree, Segment) else map_structure(lambda segment: segment.of(rows), tree)


# Arguments --------------------------------------------------------------------------------------------------------


class Argument:
    """What a Program accepts as one of its arguments.

    The numbers of an argument are an array of `shape`, with one more leading axis for a batch. If the structure is
    more than one segment, `is_row` is true, and the array is a row of all its numbers.

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
        self.size = sum(segment.stop - segment.start for segment in segments_of(structure))
        self.stop = start + self.size
        self.is_row = not isinstance(structure, Segment)
        self.is_index = isinstance(structure, IndexSegment)
        self.shape: Shape = (self.size,) if self.is_row else structure.shape

    def numbers(self, x: Any, what: str = "argument") -> Numbers:
        """The numbers of x in C order; x is an argument, or with what="tangent" a tangent of it."""
        if self.is_row:
            return self._row(x, what)
        if self.is_index:
            return self._integers(self.structure, x, what)
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
            raise TypeError(f"{what} {self.position} must consist of real numbers (of a Value, its data), got {given}")
        return np.require(numbers, requirements=["C", "A"])

    def _integers(self, segment: IndexSegment, x: Any, what: str) -> Numbers:
        """The integers of an index, as floats. Its tangent is None, and counts as 0."""
        if what == "tangent":
            if x is not None:
                raise TypeError(f"tangent {self.position} must be None for an index, got {x!r}")
            return np.zeros(segment.shape)
        integers = to_ndarray(x.data if isinstance(x, Index) else x)
        if integers.dtype.kind not in "iu" and integers.size:
            raise TypeError(f"argument {self.position} must have integers for an index, got {integers.dtype}")
        if integers.shape != segment.shape and (not integers.ndim or integers.shape[1:] != segment.shape):
            raise ValueError(self._refusal(f"shape {integers.shape}", what))
        wrong = (integers < 0) | (integers >= segment.limits)
        if wrong.any():
            limit = np.broadcast_to(segment.limits, integers.shape)[wrong][0]
            raise IndexError(
                f"argument {self.position} must have indices between 0 and {limit - 1}, got {integers[wrong][0]}"
            )
        return integers.astype(np.float64)

    def _row(self, x: Any, what: str) -> Numbers:
        refuse_masked(x)
        pairs = list(self._pairs(self.structure, x, what))
        if all(numbers.shape == segment.shape for segment, numbers in pairs):
            return np.concatenate([numbers.ravel() for _, numbers in pairs])
        given = [(s, numbers) for s, numbers in pairs if what != "tangent" or not isinstance(s, IndexSegment)]
        batches = {numbers.shape[:1] if numbers.shape[1:] == s.shape else () for s, numbers in given}
        if len(batches) > 1 or () in batches:
            raise ValueError(self._refusal(f"shapes {[numbers.shape for _, numbers in given]}", what))
        (batch,) = batches.pop()
        parts = [np.broadcast_to(numbers, (batch, *s.shape)).reshape(batch, s.stop - s.start) for s, numbers in pairs]
        return np.concatenate(parts, axis=1)

    def _pairs(self, tree: Any, x: Any, what: str) -> Iterator[tuple[Segment, Numbers]]:
        """The segments of the structure, each with its numbers in x."""
        if isinstance(tree, IndexSegment):
            yield tree, self._integers(tree, x, what)
        elif isinstance(tree, Segment):
            yield tree, self._floats(x, what)
        elif (isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim)) and len(x) == len(tree):
            for subtree, item in zip(tree, x):
                yield from self._pairs(subtree, item, what)
        else:
            raise ValueError(self._refusal(f"{x!r} for {tree}", what))

    def _refusal(self, given: str, what: str) -> str:
        if self.is_row:
            accepted = f"the structure {self.structure}, or for a batch the same with a leading axis on every array"
        else:
            batch = str(("B", *self.shape)).replace("'", "")
            accepted = f"shape {self.shape}, or for a batch {batch}"
        return f"{what} {self.position} must have {accepted}; got {given}"

    def gradient(self, numbers: Numbers) -> Any:
        """The gradient in the structure of the argument, from an array of the shape that numbers() returns."""
        if self.is_row or self.is_index:
            return structured(self.structure, numbers)
        return numbers if numbers.ndim else numbers.item()
