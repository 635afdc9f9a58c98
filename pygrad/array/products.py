"""Products: the matrix product of Arrays."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from pygrad import _bulk
from pygrad._lib import Ids
from pygrad.array.making import array
from pygrad.array.nodes import IDS, Nodes, Operand, built, wrap
from pygrad.engine import Value

if TYPE_CHECKING:
    from pygrad.array.arrays import Array

_empty = np.empty
_OPERANDS = (Nodes, Value, np.ndarray, list, tuple)


class Products(Nodes):
    """The part of Array's interface that multiplies matrices."""

    __slots__ = ()

    def __matmul__(self, other: Operand) -> Array:
        """Return the product of two matrices, of a matrix and a vector, or of two vectors.

        >>> array([[1.0, 2.0], [3.0, 4.0]]) @ array([1.0, 1.0])
        Array([3., 7.])
        """
        return matmul(self, array(other)) if isinstance(other, _OPERANDS) else NotImplemented

    def __rmatmul__(self, other: Operand) -> Array:
        return matmul(array(other), self) if isinstance(other, _OPERANDS) else NotImplemented


def _steps(ids: Ids) -> tuple[Ids, int, int]:
    """A matrix for C: ids in C order, and the steps between rows and between columns. A transpose is not copied."""
    rows, columns = ids.shape
    if not ids.flags.c_contiguous and ids.T.flags.c_contiguous:
        return ids.T, 1, rows
    return ids, columns, 1


def matmul(x: Nodes, y: Nodes, bias: Nodes | None = None) -> Array:
    """Return x @ y, where each sum starts from its column's bias."""
    if x.ndim not in (1, 2) or y.ndim not in (1, 2) or x.shape[-1] != y.shape[0]:
        if x.ndim > 2 or y.ndim > 2:
            raise ValueError(f"matmul: Arrays must have 1 or 2 axes, not shapes {x.shape} and {y.shape}")
        np.matmul(np.empty(x.shape), np.empty(y.shape))  # raises NumPy's error
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


def _matmul_in_loop(x: Array, y: Array, bias: Any) -> Array:
    return array([[sum(map(operator.mul, row, column), b) for column, b in zip(y.T, bias)] for row in x])
