"""What a call of a Program accepts as its arguments: their structures, names and defaults."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pygrad._lib import Numbers
from pygrad._numbers import refuse_masked, to_ndarray
from pygrad.array import as_elements
from pygrad.index import Index
from pygrad.program.structures import (
    IndexSegment,
    Segment,
    Shape,
    leaves_of,
    map_structure,
    matching_parts,
    parts_of,
)

_FLOAT64 = np.dtype(np.float64)


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
        self.require_shape(x.shape, what)
        return x  # type: ignore[no-any-return]

    def require_shape(self, shape: Shape, what: str = "argument") -> None:
        """Raise ValueError unless it is that of the leaf, or of a batch."""
        if shape != self.shape and (not shape or shape[1:] != self.shape):
            raise ValueError(self._refusal(f"shape {shape}", what))

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
            raise TypeError(
                f"{what} {self.name} must consist of real numbers (of a Value, its data; only calls of f itself take "
                f"Values), got {given}"
            )
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
        self.require_shape(integers.shape, what)
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
        its place among the arguments
    structure
        of the example
    start
        how many numbers the arguments before it have
    name
        of the function's parameter
    kind
        how calls pass it, as in `inspect.Parameter`

    Attributes
    ----------
    default
        its numbers in a call that does not pass it; None if each call must
    """

    def __init__(
        self,
        position: int,
        structure: Any,
        start: int,
        name: str,
        kind: inspect._ParameterKind = inspect.Parameter.POSITIONAL_ONLY,
    ) -> None:
        self.position, self.structure, self.start, self.name, self.kind = position, structure, start, name, kind
        self.shown = name if kind is inspect.Parameter.KEYWORD_ONLY else str(position)
        self.leaves = [Leaf(f"{self.shown}{at}", s, start + s.start) for at, s in leaves_of(structure)]
        self.size = sum(leaf.size for leaf in self.leaves)
        self.stop = start + self.size
        self.default: Numbers | None = None

    @property
    def shape(self) -> Shape | None:
        """The shape of an argument that is one array, number or index; None for a structure."""
        return self.structure.shape if isinstance(self.structure, Segment) else None

    @property
    def limits(self) -> npt.NDArray[np.int64] | None:
        """Those of an argument that is one index; None for others."""
        is_index = isinstance(self.structure, IndexSegment)
        return np.ascontiguousarray(self.structure.limits, dtype=np.int64) if is_index else None

    @property
    def parameter(self) -> inspect.Parameter:
        """It as a parameter of a function."""
        default = inspect.Parameter.empty if self.default is None else self._example(self.default)
        return inspect.Parameter(self.name, self.kind, default=default)

    def moved(self, places: int, numbers: int) -> Argument:
        """The same, with so many arguments and numbers before it."""
        other = Argument(self.position + places, self.structure, self.start + numbers, self.name, self.kind)
        other.default = self.default
        return other

    def take_default(self, x: Any) -> None:
        """Let calls leave it out that mean x, if x has the structure and shapes of the example."""
        with contextlib.suppress(TypeError, ValueError, IndexError):
            self.default = np.concatenate([np.zeros(0), *self.packed(x)])

    def set_default(self, numbers: Any) -> None:
        """Set the numbers of the default; ValueError, unless they are those of an argument."""
        row = np.array(numbers, dtype=np.float64)
        if row.shape != (self.size,):
            raise ValueError(
                f"argument {self.shown} has {self.size} numbers, but its default has the shape {row.shape}"
            )
        self.take_default(self._example(row))

    def packed(self, x: Any) -> Iterator[Numbers]:
        """The numbers of x, which must be no batch, in order, in one row for each leaf."""
        for leaf, part in zip(self.leaves, self.parts(x, "argument")):
            numbers = leaf.numbers(part)
            if numbers.shape != leaf.shape:
                raise ValueError(f"argument {leaf.name} must have shape {leaf.shape}, got {numbers.shape}")
            yield numbers.ravel()

    def _example(self, row: Numbers) -> Any:
        """What a call passes for these numbers."""

        def of(segment: Segment) -> Any:
            part = row[segment.start : segment.stop].reshape(segment.shape)
            part = part.astype(np.intp) if isinstance(segment, IndexSegment) else part
            return part if part.ndim else part.item()

        return map_structure(of, self.structure)

    def parts(self, x: Any, what: str) -> Iterable[Any]:
        """What is passed for each leaf, where x is passed for the argument."""
        return [x] if isinstance(self.structure, Segment) else self._parts(self.structure, x, what)

    def _parts(self, tree: Any, x: Any, what: str) -> Iterator[Any]:
        if isinstance(tree, Segment):
            yield x
            return
        refuse_masked(x)
        parts, found = parts_of(tree), matching_parts(tree, x)
        if found is None:
            raise ValueError(
                f"{what} {self.shown} must have the structure {self.structure}, where each array or number may be a "
                f"batch, with one more leading axis; got {x!r} for {tree}"
            )
        for (_, subtree), item in zip(parts or (), found):
            yield from self._parts(subtree, item, what)
