"""What the layers of nn compute."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import numpy.typing as npt

from pygrad._lib import Numbers, lib
from pygrad._numbers import is_number
from pygrad.array import Array, Operand, as_array, as_elements, matmul
from pygrad.engine import Value
from pygrad.functional.operands import indices, operand, shape_of
from pygrad.index import Index


def linear(input: Operand, weight: Operand, bias: Operand | None = None) -> Array:
    """Return input @ weight.T + bias.

    Parameters
    ----------
    input
        of shape (..., in)
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
    if w.ndim != 2 or not x.ndim or x.shape[-1] != w.shape[1] or (b is not None and b.shape != w.shape[:1]):
        raise ValueError(
            "linear: needs an input of shape (..., in), a weight of shape (out, in) and a bias of shape (out,); got "
            f"{x.shape}, {w.shape} and {None if b is None else b.shape}"
        )
    if x.ndim <= 2:
        return matmul(x, w.T, b)
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return matmul(rows, w.T, b).reshape(*x.shape[:-1], w.shape[0])


def embedding(input: npt.ArrayLike, weight: Operand) -> Array:
    """Return the rows of weight that the indices choose: an Array of shape `(*input.shape, *weight.shape[1:])`.

    Parameters
    ----------
    input
        the indices: an int, or ints in any shape
    weight
        the table, whose first axis the indices go along

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


def dropout(input: Any, p: float = 0.5, training: bool = True, mask: Any = None) -> Any:
    """Return the numbers, each set to 0 with probability p, or else divided by 1 - p (Srivastava et al., 2014).

    Parameters
    ----------
    input
        numbers of any shape
    p
        the probability
    training
        if false, nothing is changed
    mask
        1 for each number to keep and 0 for the others, in the shape of the input. By default it is drawn by means of
        Python's `random`. A compiled function needs one as an argument, such as `nn.Dropout(p).mask(shape)`, for what
        is drawn while it is traced would be the same in each call.

    Raises
    ------
    ValueError
        if p is not from 0 to 1, a shape differs, or a compiled function has no mask

    Examples
    --------
    >>> dropout([1.0, 2.0], p=0.75, mask=[1, 0])
    Array([4., 0.])
    """
    x = operand(input)
    check_probability(p)
    if not training:
        return x
    if mask is None and lib.pg_tracing():
        raise ValueError(
            "dropout: a mask that is drawn while a function is compiled would be the same in each call: make the mask "
            "an argument of the function, and pass it on as mask=; nn.Dropout(p).mask(shape) draws one"
        )
    if mask is None:
        mask = draw_mask(np.random.default_rng(random.getrandbits(64)), shape_of(x), p)
    kept = mask if isinstance(mask, (Value, Array)) else as_elements(mask)
    if shape_of(kept) != shape_of(x):
        raise ValueError(f"dropout: needs a mask of the input's shape {shape_of(x)}, not {shape_of(kept)}")
    return x * (kept * (1 / (1 - p) if p < 1 else 0.0))


def check_probability(p: Any) -> None:
    """Raise TypeError or ValueError unless p is from 0 to 1."""
    if not is_number(p):
        raise TypeError(f"dropout: p must be a number, not {type(p).__name__!r}")
    if not 0 <= float(p) <= 1:
        raise ValueError(f"dropout: p must be from 0 to 1, not {p!r}")


def draw_mask(generator: np.random.Generator, shape: Any, p: float) -> Numbers:
    """Draw a mask for `dropout`."""
    return np.asarray(generator.random(shape) >= p, dtype=np.float64)
