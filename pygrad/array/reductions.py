"""Reductions: sums, products and extremes of Arrays along axes."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from pygrad import _bulk
from pygrad._lib import OPS
from pygrad.array.elementwise import Elementwise, inverse, map_number
from pygrad.array.making import array
from pygrad.array.nodes import IDS, Axis, built, hold, normalize_axes, wrap
from pygrad.engine import Value

if TYPE_CHECKING:
    from pygrad.array.arrays import Array

_empty = np.empty
_ADD, _MUL = OPS["+", 2], OPS["*", 2]


class Reductions(Elementwise):
    """The part of Array's interface that makes one number of many."""

    __slots__ = ()

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Add up all elements, or those along the axes; a sum starts from the number 0.

        >>> array([[1.0, 2.0], [3.0, 4.0]]).sum(axis=0)
        Array([4., 6.])
        """
        return self._reduce(_ADD, axis, keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Multiply all elements, or those along the axes; a product starts from the number 1.

        >>> array([2.0, 3.0]).prod()
        Array(6.)
        """
        return self._reduce(_MUL, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return `sum()` divided by the number of elements in each sum; ZeroDivisionError if there are none.

        >>> array([1.0, 2.0]).mean()
        Array(1.5)
        """
        total = self._reduce(_ADD, axis, keepdims)
        if total.size and not self.size:
            raise ZeroDivisionError(f"the mean of no elements: shape {self.shape}, axis {axis}")
        n = self.size // total.size if total.size else 1
        try:
            return map_number(_MUL, "*", total, inverse(n))
        except _bulk.Replaced:
            return total / n

    def max(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return the largest element, or the largest along the axes; nan if there is a nan.

        >>> array([1.0, 3.0, 2.0]).max()
        Array(3.)
        """
        return self._reduce(OPS["maximum", 2], axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return the smallest element, or the smallest along the axes; nan if there is a nan.

        >>> array([1.0, 3.0, 2.0]).min()
        Array(1.)
        """
        return self._reduce(OPS["minimum", 2], axis, keepdims)

    def _reduce(self, code: int, axis: Axis, keepdims: bool) -> Array:
        ids, ndim = self._ids, self._ids.ndim
        if axis is None:
            shape: tuple[int, ...] = (1,) * ndim if keepdims else ()
            n = ids.size
        else:
            axes = (axis % ndim,) if type(axis) is int and -ndim <= axis < ndim else normalize_axes(axis, ndim)
            kept = [i for i in range(ndim) if i not in axes]
            ids = ids.transpose(*kept, *axes)  # the elements of each sum side by side, in order
            n = math.prod(ids.shape[len(kept) :])
            shape = ids.shape[: len(kept)]
            if keepdims:
                shape = tuple(1 if i in axes else size for i, size in enumerate(self._ids.shape))
        if n == 0 and code not in (_ADD, _MUL):
            raise ValueError("zero-size array to reduction operation maximum or minimum which has no identity")
        out = _empty(shape, IDS)
        try:
            status, holder = _bulk.reduce(code, n, ids, out)
        except _bulk.Replaced:
            return _reduced_in_loop(code, hold(ids.reshape(out.size, n), self._pins)).reshape(shape)
        return built(status, holder, out, str, self) if status else wrap(out, holder)


def _reduced_in_loop(code: int, rows: Array) -> Array:
    if code in (_ADD, _MUL):
        return array([sum(row) if code == _ADD else math.prod(row) for row in rows])
    larger_or_smaller = Value.maximum if code == OPS["maximum", 2] else Value.minimum
    return array([functools.reduce(larger_or_smaller, row) for row in rows])
