"""What goes into a Program and comes out of it: structures of numbers, and the arguments that were traced."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad._lib import Ids, Numbers
from pygrad._numbers import is_number
from pygrad.array import Array, as_elements, make_leaves
from pygrad.engine import Value
from pygrad.index import Index, Lookups

Shape = tuple[int, ...]

_FLOAT64 = np.dtype(np.float64)


# Structures -------------------------------------------------------------------------------------------------------


class _Leaf:
    """Where the numbers of a Value or an Array are among those of all, and its shape."""

    __slots__ = ("shape", "start", "stop")

    def __init__(self, shape: Shape, start: int) -> None:
        self.shape, self.start, self.stop = shape, start, start + math.prod(shape)

    def of(self, numbers: Numbers) -> Any:
        """Its part of one sample's numbers, or of many samples'."""
        part = numbers[..., self.start : self.stop].reshape(numbers.shape[:-1] + self.shape)
        return part if part.ndim else part.item()

    def __repr__(self) -> str:
        return f"an array of shape {self.shape}" if self.shape else "a number"


class _IndexLeaf(_Leaf):
    """The same of an index. Its limits, once they are known: of each integer, the size of the table it indexes."""

    __slots__ = ("limits",)
    limits: npt.NDArray[Any]

    def of(self, numbers: Numbers) -> None:
        """There is no derivative by an integer."""

    def __repr__(self) -> str:
        return f"integers of shape {self.shape}" if self.shape else "an integer"


def _map(f: Callable[[Any], Any], tree: Any) -> Any:
    """Nested lists, tuples and dicts, with f(x) for each x in them that is no such thing."""
    if isinstance(tree, dict):
        return {key: _map(f, item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        items = [_map(f, item) for item in tree]
        return items if isinstance(tree, list) else getattr(type(tree), "_make", tuple)(items)
    return f(tree)


# Arguments --------------------------------------------------------------------------------------------------------


def _shape_of(example: Any) -> Shape | None:
    """The shape of an example as one array; None if it makes none."""
    if isinstance(example, (list, tuple)):
        shapes: set[Shape | None] = {_shape_of(item) for item in example}
        if len(shapes) > 1 or None in shapes or any(isinstance(item, Index) for item in example):
            return None
        return (len(example), *(shapes.pop() or ())) if shapes else (0,)
    if isinstance(example, Index) or (isinstance(example, np.ndarray) and example.dtype.kind in "biuf"):
        return tuple(example.shape)
    if isinstance(example, np.ndarray) or not is_number(example):
        what = f"an array of {example.dtype}" if isinstance(example, np.ndarray) else repr(type(example).__name__)
        raise TypeError(
            f"an example is a number, a NumPy array of numbers, a pygrad.index, or a list or tuple of these, not {what}"
        )
    return ()


class _Argument:
    """What a Program takes as one of its arguments.

    Its numbers come as an array of `shape`, or with one more leading axis for a batch. If those of the example are in
    lists that make no array, the array has one row with the numbers of all.
    """

    def __init__(self, index: int, example: Any, first: int, lookups: Lookups) -> None:
        """`first`: how many numbers the arguments before it have."""
        self.index, self.first, self.size = index, first, 0
        self.traced: list[tuple[_Leaf, Any]] = []
        shape = _shape_of(example)
        tree = _map(lambda x: self._leaf(x, lookups), example)
        nodes = iter(self.traced)
        self.given = _map(lambda _: next(nodes)[1], tree)
        if shape is not None and not isinstance(tree, _Leaf):  # lists that make one array
            tree = _Leaf(shape, 0)
        self._settle(tree)

    @classmethod
    def again(cls, index: int, tree: Any, first: int, size: int) -> _Argument:
        """One whose structure is known."""
        self = cls.__new__(cls)
        self.index, self.first, self.size = index, first, size
        self._settle(tree)
        return self

    def _settle(self, tree: Any) -> None:
        self.tree = tree
        self.is_row = not isinstance(tree, _Leaf)
        self.is_index = isinstance(tree, _IndexLeaf)
        self.shape = (self.size,) if self.is_row else tree.shape

    def _leaf(self, x: Any, lookups: Lookups) -> _Leaf:
        """The place of a number, an array or an index of the example. What the function gets for it is noted."""
        leaf = (_IndexLeaf if isinstance(x, Index) else _Leaf)(getattr(x, "shape", ()), self.size)
        self.size = leaf.stop
        if isinstance(x, Index):
            inputs = self.first + np.arange(leaf.start, leaf.stop).reshape(leaf.shape)
            self.traced.append((leaf, Index(x._data, inputs, lookups)))
        elif isinstance(x, np.ndarray):
            self.traced.append((leaf, make_leaves(x.astype(np.float64))))
        else:
            self.traced.append((leaf, Value(x)))
        return leaf

    def end_trace(self, lookups: Lookups) -> Ids:
        """Note what the trace found out, let go of its nodes, and return their ids: 0 for an index."""
        ids = np.zeros(self.size, dtype=np.uint32)
        for leaf, node in self.traced:
            if isinstance(leaf, _IndexLeaf):
                inputs = range(self.first + leaf.start, self.first + leaf.stop)
                limits = [lookups.limits.get(i, np.iinfo(np.int32).max) for i in inputs]
                leaf.limits = np.array(limits).reshape(leaf.shape)
            else:
                ids[leaf.start : leaf.stop] = node._ids.ravel() if isinstance(node, Array) else node._id
        del self.traced, self.given
        return ids

    def numbers(self, x: Any, what: str = "argument") -> Numbers:
        """The numbers of an argument, or of a tangent of it, in C order."""
        if self.is_row:
            return self._row(x, what)
        if self.is_index:
            return self._integers(self.tree, x, what)
        if type(x) is not np.ndarray or x.dtype != _FLOAT64 or not x.flags.c_contiguous:
            x = np.array(x) if type(x) is float else self._floats(x, what)
        shape = x.shape
        if shape != self.shape and (not shape or shape[1:] != self.shape):
            raise ValueError(self._refusal(f"this one is of shape {shape}", what))
        return x  # type: ignore[no-any-return]

    def _floats(self, x: Any, what: str) -> Numbers:
        try:
            numbers = as_elements(x)
        except ValueError as error:
            raise ValueError(self._refusal("this one makes no array", what)) from error
        except TypeError:
            numbers = np.empty(0, dtype=object)
        if numbers.dtype != _FLOAT64:
            raise TypeError(f"{what} {self.index} must be made of real numbers, not of Values or other things")
        return np.asarray(numbers, order="C")

    def _integers(self, leaf: _IndexLeaf, x: Any, what: str) -> Numbers:
        """The integers of an index, as floats. Its tangent is None, and 0."""
        if what == "tangent":
            if x is not None:
                raise TypeError(f"tangent {self.index} must be None for an index, not {x!r}")
            return np.zeros(leaf.shape)
        integers = np.asarray(x.data if isinstance(x, Index) else x)
        if integers.dtype.kind not in "iu" and integers.size:
            raise TypeError(f"{what} {self.index} has an index, which is made of integers, not of {integers.dtype}")
        if integers.shape != leaf.shape and (not integers.ndim or integers.shape[1:] != leaf.shape):
            raise ValueError(self._refusal(f"this one is of shape {integers.shape}", what))
        wrong = (integers < 0) | (integers >= leaf.limits)
        if wrong.any():
            limit = np.broadcast_to(leaf.limits, integers.shape)[wrong][0]
            raise IndexError(
                f"{what} {self.index} has an index from 0 to {limit - 1}, as it was traced, not {integers[wrong][0]}"
            )
        return integers.astype(np.float64)

    def _row(self, x: Any, what: str) -> Numbers:
        pairs = list(self._pairs(self.tree, x, what))
        if all(numbers.shape == leaf.shape for leaf, numbers in pairs):
            return np.concatenate([numbers.ravel() for _, numbers in pairs])
        given = [(leaf, n) for leaf, n in pairs if what != "tangent" or not isinstance(leaf, _IndexLeaf)]
        sizes = {numbers.shape[:1] if numbers.shape[1:] == leaf.shape else () for leaf, numbers in given}
        if len(sizes) > 1 or () in sizes:
            raise ValueError(self._refusal(f"this one's are of shapes {[n.shape for _, n in given]}", what))
        (batch,) = sizes.pop()
        parts = [np.broadcast_to(n, (batch, *leaf.shape)).reshape(batch, leaf.stop - leaf.start) for leaf, n in pairs]
        return np.concatenate(parts, axis=1)

    def _pairs(self, tree: Any, x: Any, what: str) -> Iterator[tuple[_Leaf, Numbers]]:
        """The leaves of the example's structure, each with its numbers."""
        if isinstance(tree, _IndexLeaf):
            yield tree, self._integers(tree, x, what)
        elif isinstance(tree, _Leaf):
            yield tree, self._floats(x, what)
        elif (isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.ndim)) and len(x) == len(tree):
            for subtree, item in zip(tree, x):
                yield from self._pairs(subtree, item, what)
        else:
            raise ValueError(self._refusal(f"this one has {x!r} for {tree}", what))

    def _refusal(self, why: str, what: str) -> str:
        traced, batch = ", ".join(map(str, self.shape)), ", ".join(map(str, ("B", *self.shape)))
        expected = f"shape ({traced}), or ({batch}) for a batch of B"
        if self.is_row:
            expected = f"the structure {self.tree}, or arrays with a leading axis for a batch"
        return f"{what} {self.index} must have {expected}, as it was traced; {why}"

    def gradient(self, numbers: Numbers) -> Any:
        """The gradient in the argument's structure, from an array such as numbers() gives."""
        if self.is_row or self.is_index:
            return self.structured(numbers)
        return numbers if numbers.ndim else numbers.item()

    def structured(self, rows: Numbers) -> Any:
        """Derivatives by the argument, in its structure, from an array whose last axis has one for each number."""
        return _map(lambda leaf: leaf.of(rows), self.tree)
