"""What the layers of nn compute."""

from __future__ import annotations

import numpy.typing as npt

from pygrad.array import Array, Operand, as_array, matmul
from pygrad.functional.operands import indices
from pygrad.index import Index


def linear(input: Operand, weight: Operand, bias: Operand | None = None) -> Array:
    """Return input @ weight.T + bias.

    Parameters
    ----------
    input
        of shape (..., in), with at most two axes
    weight
        of shape (out, in)
    bias
        of shape (out,). Each sum starts from it, as in micrograd's neurons.

    Raises
    ------
    ValueError
        if a shape is different

    Examples
    --------
    >>> from pygrad import array
    >>> linear(array([1.0, 2.0]), array([[3.0, 4.0]]), array([5.0]))
    Array([16.])
    """
    x, w = as_array(input), as_array(weight)
    b = None if bias is None else as_array(bias)
    if w.ndim != 2 or x.ndim not in (1, 2) or x.shape[-1] != w.shape[1] or (b is not None and b.shape != w.shape[:1]):
        raise ValueError(
            "linear: needs an input of shape (..., in), a weight of shape (out, in) and a bias of shape (out,); got "
            f"{x.shape}, {w.shape} and {None if b is None else b.shape}"
        )
    return matmul(x, w.T, b)


def embedding(input: npt.ArrayLike, weight: Operand) -> Array:
    """Return the rows of weight that the indices choose: an Array of shape (*input.shape, *weight.shape[1:]).

    Raises
    ------
    IndexError
        if an index is negative, or not below the number of rows
    TypeError
        if the indices are not integers

    Examples
    --------
    >>> from pygrad import array
    >>> embedding([1, 1], array([[1.0], [2.0]])).data.ravel()
    array([2., 2.])
    """
    w, at = as_array(weight), indices(input, "embedding")
    if isinstance(at, Index):
        rows: Array = w[at]
        return rows
    if (at < 0).any():
        raise IndexError(f"embedding: an index must be at least 0, not {at.min()}")
    return w._like(w._ids[at, ...])
