"""Reductions: sums, products, extremes and variances of Arrays along axes, and running sums and products."""

from __future__ import annotations

import functools
import math
import operator
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from pygrad import _bulk
from pygrad._lib import OPS
from pygrad._numbers import inverse
from pygrad.array import making
from pygrad.array.elementwise import Elementwise, map_number
from pygrad.array.making import array, as_array, concatenate
from pygrad.array.nodes import IDS, Axis, Operand, built, hold, normalize_axes, wrap
from pygrad.array.shaping import Shaping
from pygrad.engine import Value

if TYPE_CHECKING:
    from pygrad.array.arrays import Array

_empty = np.empty
_ADD, _MUL, _MAXIMUM, _MINIMUM = (OPS[key, 2] for key in ("+", "*", "maximum", "minimum"))
_IDENTITIES = {_ADD: 0, _MUL: 1, _MAXIMUM: -math.inf, _MINIMUM: math.inf}
_NAMES = {_MAXIMUM: "maximum", _MINIMUM: "minimum"}


class Reductions(Elementwise, Shaping):
    """The part of Array's interface that makes one number of many.

    `axis` is an int, a tuple of ints, or None for all axes; with `keepdims` these remain, with the size 1. `where` is
    an array of bools that says which elements count, and `initial` a number or Value that counts first.
    """

    __slots__ = ()

    def sum(
        self, axis: Axis = None, keepdims: bool = False, *, initial: Operand | None = None, where: Any = None
    ) -> Array:
        """Add up all elements, or those along the axes; a sum starts from the number 0.

        >>> array([[1.0, 2.0], [3.0, 4.0]]).sum(axis=0)
        Array([4., 6.])
        """
        return self._reduce(_ADD, axis, keepdims, initial, where)

    def prod(
        self, axis: Axis = None, keepdims: bool = False, *, initial: Operand | None = None, where: Any = None
    ) -> Array:
        """Multiply all elements, or those along the axes; a product starts from the number 1.

        >>> array([2.0, 3.0]).prod()
        Array(6.)
        """
        return self._reduce(_MUL, axis, keepdims, initial, where)

    def max(
        self, axis: Axis = None, keepdims: bool = False, *, initial: Operand | None = None, where: Any = None
    ) -> Array:
        """Return the largest element, or the largest along the axes; nan if there is a nan.

        ValueError if there are no elements and no `initial`.

        >>> array([1.0, 3.0, 2.0]).max()
        Array(3.)
        """
        return self._reduce(_MAXIMUM, axis, keepdims, initial, where)

    def min(
        self, axis: Axis = None, keepdims: bool = False, *, initial: Operand | None = None, where: Any = None
    ) -> Array:
        """Return the smallest element, or the smallest along the axes; nan if there is a nan.

        ValueError if there are no elements and no `initial`.

        >>> array([1.0, 3.0, 2.0]).min()
        Array(1.)
        """
        return self._reduce(_MINIMUM, axis, keepdims, initial, where)

    def mean(self, axis: Axis = None, keepdims: bool = False, *, where: Any = None) -> Array:
        """Return `sum()` divided by the number of elements in each sum; nan, with a RuntimeWarning, if there are none.

        >>> array([1.0, 2.0]).mean()
        Array(1.5)
        """
        total = self._reduce(_ADD, axis, keepdims, None, where)
        return _divided(total, self._count(total, axis, where), "Mean of empty slice")

    def var(
        self, axis: Axis = None, keepdims: bool = False, *,
        ddof: float = 0, correction: float | None = None, where: Any = None,
    ) -> Array:  # fmt: skip
        """Return the variance: the sum of squared distances from the mean, divided by the number less `ddof`.

        `correction` is another name for `ddof`. The result is nan or inf, with a RuntimeWarning, where the divisor is
        not positive.

        >>> array([1.0, 3.0]).var(), array([1.0, 3.0]).var(ddof=1)
        (Array(1.), Array(2.))
        """
        if correction is not None and ddof:
            raise ValueError("ddof and correction are two names of one number: give one of them")
        sums = self._reduce(_ADD, axis, True, None, where)
        mean = _divided(sums, self._count(sums, axis, where))
        total = ((self - mean) ** 2).sum(axis, keepdims, where=where)
        divisor = self._count(total, axis, where) - (ddof if correction is None else correction)
        return _divided(total, divisor, "Degrees of freedom <= 0 for slice")

    def std(
        self, axis: Axis = None, keepdims: bool = False, *,
        ddof: float = 0, correction: float | None = None, where: Any = None,
    ) -> Array:  # fmt: skip
        """Return the standard deviation, the square root of `var()`, whose slope is infinite where the variance is 0.

        >>> array([1.0, 3.0]).std()
        Array(1.)
        """
        return self.var(axis, keepdims, ddof=ddof, correction=correction, where=where).sqrt()

    def argmax(self, axis: SupportsIndex | None = None, *, keepdims: bool = False) -> Any:
        """Return where the largest element is, as integers of NumPy; through which no gradient flows.

        >>> int(array([1.0, 3.0, 2.0]).argmax())
        1
        """
        return np.argmax(self.data, axis, keepdims=keepdims)

    def argmin(self, axis: SupportsIndex | None = None, *, keepdims: bool = False) -> Any:
        """Return where the smallest element is, as integers of NumPy; through which no gradient flows.

        >>> int(array([1.0, 3.0, 2.0]).argmin())
        0
        """
        return np.argmin(self.data, axis, keepdims=keepdims)

    def cumsum(self, axis: SupportsIndex | None = None) -> Array:
        """Return the sums of the elements up to each, along an axis or in a row.

        >>> array([1.0, 2.0, 3.0]).cumsum()
        Array([1., 3., 6.])
        """
        return self._scan(operator.add, axis)

    def cumprod(self, axis: SupportsIndex | None = None) -> Array:
        """Return the products of the elements up to each, along an axis or in a row.

        >>> array([1.0, 2.0, 3.0]).cumprod()
        Array([1., 2., 6.])
        """
        return self._scan(operator.mul, axis)

    def _reduce(self, code: int, axis: Axis, keepdims: bool, initial: Operand | None, where: Any) -> Array:
        if where is not None:
            if initial is None and code in _NAMES:
                raise ValueError(
                    f"reduction operation '{_NAMES[code]}' does not have an identity, so to use a where mask one has "
                    "to specify 'initial'"
                )
            counted = making.where(self._chosen(where), self, _IDENTITIES[code])
            return counted._reduce(code, axis, keepdims, initial, None)
        ids, ndim = self._ids, self._ids.ndim
        if axis is None or (ndim == 0 and type(axis) is int and axis in (0, -1)):  # a number has this axis in NumPy
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
        out = _empty(shape, IDS)
        if initial is not None:
            first = as_array(initial)
            rows = [first._like(np.broadcast_to(first._ids, (out.size, 1))), self._like(ids).reshape(out.size, n)]
            return concatenate(rows, 1)._reduce(code, 1, False, None, None).reshape(shape)
        if n == 0 and code in _NAMES:
            raise ValueError(f"zero-size array to reduction operation {_NAMES[code]} which has no identity")
        try:
            status, holder = _bulk.reduce(code, n, ids, out)
        except _bulk.Replaced:
            return _reduced_in_loop(code, hold(ids.reshape(out.size, n), self._pins)).reshape(shape)
        return built(status, holder, out, str, self) if status else wrap(out, holder)

    def _chosen(self, where: Any) -> npt.NDArray[np.bool_]:
        mask = np.asarray(where)
        if mask.dtype != bool:
            raise TypeError(f"where= must be an array of bools, such as x > 0, not of {mask.dtype}")
        return np.broadcast_to(mask, self.shape)

    def _count(self, result: Array, axis: Axis, where: Any) -> Any:
        """How many elements there are for each of a reduction's results: an int, or an array of its shape."""
        if where is not None and where is not True:
            return self._chosen(where).sum(axis=axis).reshape(result.shape)
        if axis is not None and not self.ndim:
            normalize_axes(axis, 0)  # of a mean without a mask a number has no axis 0, as in NumPy
        return self.size // result.size if result.size else 1

    def _scan(self, combine: Callable[[Any, Any], Array], axis: SupportsIndex | None) -> Array:
        """The results of combining the first elements along an axis, the first two, the first three, ..."""
        x = self.reshape(-1) if axis is None or not self.ndim else self.reshape(self.shape)
        (at,) = normalize_axes(0 if axis is None else operator.index(axis), x.ndim)
        rows = [x[(slice(None),) * at + (slice(i, i + 1),)] for i in range(x.shape[at])]
        for i in range(1, len(rows)):
            rows[i] = combine(rows[i - 1], rows[i])
        return concatenate(rows, at) if rows else x


def _divided(total: Array, n: Any, warning: str = "") -> Array:
    """Sums divided by the numbers of their elements: nan or inf where that is not positive, as in NumPy."""
    if type(n) is not int or n <= 0:
        counts = np.broadcast_to(n, total.shape)
        if warning and not (counts > 0).all():
            warnings.warn(warning, RuntimeWarning, stacklevel=3)
        return total * np.reshape([inverse(k) if k > 0 else math.inf for k in counts.ravel().tolist()], total.shape)
    try:
        return map_number(_MUL, "*", total, inverse(n))
    except _bulk.Replaced:
        return total / n


def _reduced_in_loop(code: int, rows: Array) -> Array:
    if code in (_ADD, _MUL):
        return array([sum(row) if code == _ADD else math.prod(row) for row in rows])
    larger_or_smaller = Value.maximum if code == _MAXIMUM else Value.minimum
    return array([functools.reduce(larger_or_smaller, row) for row in rows])
