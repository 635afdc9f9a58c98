"""Functions of rows: of the numbers along an axis, or along the last axes.

One call of C builds them. While a function is traced, and where methods of Values were replaced, ops of Arrays do. The
builders in C avoid overflow by subtracting the largest number of a row, as a constant. A Program runs on other numbers,
with other maxima: so there the maximum is a node, detached. The results are the same; the graph has the nodes of the
maximum in addition.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from typing import Callable

import numpy as np

from pygrad import _bulk
from pygrad._lib import Ids, lib
from pygrad.array import Array, Operand, as_array, built, normalize_axes


def softmax(input: Operand, dim: int = -1) -> Array:
    """Return exp(x - max(x)) / sum(exp(x - max(x))) along an axis: positive numbers that add up to 1.

    Parameters
    ----------
    input
        numbers of any shape, with at least one axis
    dim
        the axis; the last by default

    Examples
    --------
    >>> softmax([0.0, 0.0])
    Array([0.5, 0.5])
    """
    return _along(_bulk.softmax, _softmax_by_ops, as_array(input), dim)


def log_softmax(input: Operand, dim: int = -1) -> Array:
    """Return the logarithm of `softmax`, which is accurate even where the softmax underflows to 0.

    The parameters are those of `softmax`.

    Examples
    --------
    >>> log_softmax([0.0, 1000.0])
    Array([-1000.,     0.])
    """
    return _along(_bulk.log_softmax, _log_softmax_by_ops, as_array(input), dim)


def rms_norm(
    input: Operand, normalized_shape: int | Sequence[int], weight: Operand | None = None, eps: float | None = None
) -> Array:
    """Return x / sqrt(mean(x**2) + eps) over the last axes, times the weights (Zhang & Sennrich, 2019).

    Parameters
    ----------
    input
        numbers of any shape that ends in those axes
    normalized_shape
        the sizes of those axes
    weight
        of that shape; without it there are no weights
    eps
        not negative; by default 2**-52, the distance from 1 to the next float

    Raises
    ------
    ZeroDivisionError
        if x is 0 everywhere and so is eps
    ValueError
        if a shape does not fit, or eps is negative

    Examples
    --------
    >>> rms_norm([3.0, 4.0], 2, eps=0.0) * 12.5**0.5
    Array([3., 4.])
    """
    x = as_array(input)
    eps = sys.float_info.epsilon if eps is None else eps
    axes = _checked_axes("rms_norm", x, normalized_shape, eps)
    w = _checked_weight("rms_norm", "weight", weight, axes)
    out = np.empty(x.shape, np.uint32)
    try:
        held = _bulk.rms_norm(math.prod(axes), x._ids, None if w is None else w._ids, eps, out)
    except _bulk.Replaced:
        return _rms_norm_by_ops(x, math.prod(axes), w, eps)
    return built(*held, out, lambda at: f"rms_norm with eps={eps} of numbers whose squares are all 0", x, w)


def layer_norm(
    input: Operand,
    normalized_shape: int | Sequence[int],
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
) -> Array:
    """Return (x - mean(x)) / sqrt(var(x) + eps) over the last axes, times the weights, plus the bias (Ba et al., 2016).

    The parameters and errors are those of `rms_norm`; `bias` has the shape of `weight`.

    Examples
    --------
    >>> layer_norm([1.0, 3.0], 2, eps=0.0)
    Array([-1.,  1.])
    """
    x = as_array(input)
    axes = _checked_axes("layer_norm", x, normalized_shape, eps)
    w = _checked_weight("layer_norm", "weight", weight, axes)
    b = _checked_weight("layer_norm", "bias", bias, axes)
    if not x.size:
        return x
    rows = x.reshape(x.size // math.prod(axes), math.prod(axes))
    centred = rows - rows.mean(-1, keepdims=True)
    normed = centred * ((centred * centred).mean(-1, keepdims=True) + eps) ** -0.5
    normed = normed if w is None else normed * w.ravel()
    return (normed if b is None else normed + b.ravel()).reshape(x.shape)


def _checked_axes(name: str, x: Array, normalized_shape: int | Sequence[int], eps: float) -> tuple[int, ...]:
    """The sizes of the last axes of x."""
    sizes = (normalized_shape,) if isinstance(normalized_shape, int) else np.atleast_1d(normalized_shape)
    axes = tuple(map(operator.index, sizes))
    if not eps >= 0:
        raise ValueError(f"{name}: eps must not be negative, got {eps}")
    if not axes or x.shape[-len(axes) :] != axes:
        raise ValueError(f"{name}: an input of shape {x.shape} does not end in axes of the sizes {axes}")
    return axes


def _checked_weight(name: str, part: str, weight: Operand | None, axes: tuple[int, ...]) -> Array | None:
    w = None if weight is None else as_array(weight)
    if w is not None and w.shape != axes:
        raise ValueError(f"{name}: the {part} must not have shape {w.shape}, but {axes}")
    return w


def _along(
    build: Callable[[int, Ids, Ids], _bulk.Held], by_ops: Callable[[Array, int], Array], x: Array, dim: int
) -> Array:
    """Apply a bulk builder for rows along any axis, or what stands in for it."""
    (axis,) = normalize_axes(operator.index(dim), x.ndim)
    if not x.size:
        return x
    if lib.pg_tracing():
        return by_ops(x, axis)
    rows = x._ids.swapaxes(axis, -1)
    n = rows.shape[-1]
    out = np.empty(rows.shape, np.uint32)
    try:
        held = build(n, rows, out)
    except _bulk.Replaced:
        return by_ops(x, axis)
    result = built(*held, out, str, x)
    result._ids = out.swapaxes(axis, -1)
    return result


def _softmax_by_ops(x: Array, dim: int) -> Array:
    exps = _shifted(x, dim).exp()
    return exps / exps.sum(dim, keepdims=True)


def _log_softmax_by_ops(x: Array, dim: int) -> Array:
    shifted = _shifted(x, dim)
    return shifted - shifted.exp().sum(dim, keepdims=True).log()


def _shifted(x: Array, dim: int) -> Array:
    return x - x.max(dim, keepdims=True).detach()


def _rms_norm_by_ops(x: Array, n: int, weight: Array | None, eps: float) -> Array:
    if not x.size:
        return x
    rows = x.reshape(-1, n)
    normed = rows * ((rows * rows).mean(-1, keepdims=True) + eps) ** -0.5
    return (normed if weight is None else normed * weight.ravel()).reshape(x.shape)
