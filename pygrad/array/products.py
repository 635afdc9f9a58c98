"""Products: the matrix product of Arrays."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pygrad import _bulk
from pygrad._lib import Ids, Numbers
from pygrad.array.elementwise import Elementwise
from pygrad.array.making import array, as_array
from pygrad.array.nodes import IDS, Nodes, Operand, built, wrap
from pygrad.array.shaping import Shaping
from pygrad.engine import Value

if TYPE_CHECKING:
    from pygrad.array.arrays import Array

_empty = np.empty
_OPERANDS = (Nodes, Value, np.ndarray, list, tuple)


class Products(Elementwise, Shaping):
    """The part of Array's interface that multiplies matrices."""

    __slots__ = ()

    def __matmul__(self, other: Operand) -> Array:
        """Return the product of two matrices, of a matrix and a vector, or of two vectors; see `numpy.matmul`.

        Of more than two axes the last two are matrices, and the others are broadcast.

        >>> array([[1.0, 2.0], [3.0, 4.0]]) @ array([1.0, 1.0])
        Array([3., 7.])
        """
        return matmul(self, as_array(other)) if isinstance(other, _OPERANDS) else NotImplemented

    def __rmatmul__(self, other: Operand) -> Array:
        return matmul(as_array(other), self) if isinstance(other, _OPERANDS) else NotImplemented

    def dot(self, other: Operand) -> Array:
        """Return the sums of products over the last axis of self and the last but one of other; see `numpy.dot`.

        >>> array([1.0, 2.0]).dot([3.0, 4.0])
        Array(11.)
        """
        y = as_array(other)
        if not self.ndim or not y.ndim:
            return self * y
        last = max(y.ndim - 2, 0)
        if self.shape[-1] != y.shape[last]:
            np.dot(*zeros_like(self, y))  # raises NumPy's error
        return tensordot(self, y, (self.ndim - 1,), (last,))


def _steps(ids: Ids) -> tuple[Ids, int, int]:
    """A matrix for C: ids in C order, and the steps between rows and between columns. A transpose is not copied."""
    rows, columns = ids.shape
    if not ids.flags.c_contiguous and ids.T.flags.c_contiguous:
        return ids.T, 1, rows
    return ids, columns, 1


def matmul(x: Nodes, y: Nodes, bias: Nodes | None = None) -> Array:
    """Return x @ y. Each sum starts from its column's bias, if there is one: then x and y have at most two axes."""
    if x.ndim > 2 or y.ndim > 2:
        return _matmul_of_many(x, y)
    if not x.ndim or not y.ndim or x.shape[-1] != y.shape[0]:
        np.matmul(*zeros_like(x, y))  # raises NumPy's error
    a = x._ids if x.ndim == 2 else x._ids[None, :]
    b = y._ids if y.ndim == 2 else y._ids[:, None]
    (rows, n), columns = a.shape, b.shape[1]
    out = _empty(x.shape[:-1] + y.shape[1:], IDS)
    start = None if bias is None else bias._ids
    try:
        status, holder = _bulk.matmul(rows, n, columns, *_steps(a), *_steps(b), start, out)
    except _bulk.Replaced:
        return _matmul_in_loop(x._like(a), y._like(b), [0] * columns if bias is None else bias).reshape(out.shape)
    return built(status, holder, out, str, x, y, bias) if status else wrap(out, holder)


def _matmul_of_many(x: Any, y: Any) -> Array:
    """x @ y, where one has more than two axes."""
    try:
        fits = x.shape[-1] == y.shape[max(y.ndim - 2, 0)]
        np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except (IndexError, ValueError):
        fits = False
    if not fits:
        np.matmul(*zeros_like(x, y))  # raises NumPy's error
    if y.ndim < 3:
        return tensordot(x, y, (x.ndim - 1,), (0,))
    a = x if x.ndim > 1 else x[None, :]
    out: Array = (a[..., :, None, :] * y.mT[..., None, :, :]).sum(-1)
    return out if x.ndim > 1 else out[..., 0, :]


def tensordot(x: Any, y: Any, x_axes: Sequence[int], y_axes: Sequence[int]) -> Array:
    """Return the sums of products over axes of x and axes of y, as one product of matrices."""
    x_kept, y_kept = ([i for i in range(z.ndim) if i not in axes] for z, axes in ((x, x_axes), (y, y_axes)))
    x_shape, y_shape = [x.shape[i] for i in x_kept], [y.shape[i] for i in y_kept]
    n = math.prod(x.shape[i] for i in x_axes)
    rows = x.transpose(*x_kept, *x_axes).reshape(math.prod(x_shape), n)
    columns = y.transpose(*y_axes, *y_kept).reshape(n, math.prod(y_shape))
    return matmul(rows, columns).reshape((*x_shape, *y_shape))


def zeros_like(*arrays: Nodes) -> list[Numbers]:
    """Numbers of the same shapes, for NumPy to tell what is wrong with these."""
    return [np.broadcast_to(0.0, x.shape) for x in arrays]


def _matmul_in_loop(x: Array, y: Array, bias: Any) -> Array:
    return array([[sum(map(operator.mul, row, column), b) for column, b in zip(y.T, bias)] for row in x])
