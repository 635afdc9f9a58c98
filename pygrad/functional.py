"""Functions on Arrays, with the names and the argument order of torch.nn.functional.

Each takes Arrays, or whatever `pygrad.array` accepts: Values, numbers, NumPy arrays, nested lists.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from typing import Any, Callable, Literal

import numpy as np
import numpy.typing as npt

from pygrad import _bulk
from pygrad._lib import Ids, lib
from pygrad.array import Array, Operand, as_array, as_elements, built, matmul, normalize_axes
from pygrad.engine import Value
from pygrad.index import Index, as_indices

Reduction = Literal["mean", "sum", "none"]


def relu(input: Operand) -> Array:
    """Return each number, or 0 where it is negative (Fukushima, 1969).

    Examples
    --------
    >>> relu([-1.0, 2.0])
    Array([0., 2.])
    """
    return as_array(input).relu()


def tanh(input: Operand) -> Array:
    """Return the hyperbolic tangent of each number.

    Examples
    --------
    >>> tanh([0.0])
    Array([0.])
    """
    return as_array(input).tanh()


def sigmoid(input: Operand) -> Array:
    """Return the logistic function of each number, 1 / (1 + exp(-x)).

    Examples
    --------
    >>> sigmoid([0.0])
    Array([0.5])
    """
    return as_array(input).sigmoid()


def softplus(input: Operand) -> Array:
    """Return log(1 + exp(x)) of each number, a smooth relu (Dugas et al., 2000).

    Examples
    --------
    >>> softplus([-1000.0, 1000.0])
    Array([   0., 1000.])
    """
    return as_array(input).softplus()


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
    w, indices = as_array(weight), _indices(input, "embedding")
    if isinstance(indices, Index):
        rows: Array = w[indices]
        return rows
    if (indices < 0).any():
        raise IndexError(f"embedding: an index must be at least 0, not {indices.min()}")
    return w._like(w._ids[indices, ...])


def softmax(input: Operand, dim: int = -1) -> Array:
    """Return exp(x - max(x)) / sum(exp(x - max(x))) along an axis: positive numbers that add up to 1.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    Array([0.5, 0.5])
    """
    return _along(_bulk.softmax, _softmax_by_ops, as_array(input), dim)


def log_softmax(input: Operand, dim: int = -1) -> Array:
    """Return the logarithm of `softmax`, which is accurate even where the softmax underflows to 0.

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
    sizes = (normalized_shape,) if isinstance(normalized_shape, int) else np.atleast_1d(normalized_shape)
    axes = tuple(map(operator.index, sizes))
    eps = sys.float_info.epsilon if eps is None else eps
    if not eps >= 0:
        raise ValueError(f"rms_norm: eps must not be negative, got {eps}")
    if not axes or x.shape[-len(axes) :] != axes:
        raise ValueError(f"rms_norm: an input of shape {x.shape} does not end in axes of the sizes {axes}")
    w = None if weight is None else as_array(weight)
    if w is not None and w.shape != axes:
        raise ValueError(f"rms_norm: the weight must not have shape {w.shape}, but {axes}")
    out = np.empty(x.shape, np.uint32)
    try:
        held = _bulk.rms_norm(math.prod(axes), x._ids, None if w is None else w._ids, eps, out)
    except _bulk.Replaced:
        return _rms_norm_by_ops(x, math.prod(axes), w, eps)
    return built(*held, out, lambda at: f"rms_norm with eps={eps} of numbers whose squares are all 0", x, w)


def cross_entropy(input: Operand, target: npt.ArrayLike, reduction: Reduction = "mean") -> Array:
    """Return -log(softmax(input)[target]), the cost of a model's scores for classes, of which one is right.

    Parameters
    ----------
    input
        the scores, of shape (classes,) or (N, classes)
    target
        the right class, an int from 0 to classes - 1, or N of them
    reduction
        "mean" or "sum" of the N costs, or "none" for an Array of them

    Raises
    ------
    ValueError
        if the shapes do not fit together, or the reduction is unknown
    IndexError
        if a target is not a class
    TypeError
        if a target is not an integer

    Examples
    --------
    >>> cross_entropy([0.0, 0.0], 1)
    Array(0.69314718)
    """
    x, targets = as_array(input), _indices(target, "cross_entropy")
    if x.ndim not in (1, 2) or targets.shape != x.shape[:-1]:
        raise ValueError(
            "cross_entropy: needs scores of shape (classes,) or (N, classes) and a target of shape () or (N,); got "
            f"{x.shape} and {targets.shape}"
        )
    classes = x.shape[-1]
    if not isinstance(targets, Index) and ((targets < 0) | (targets >= classes)).any():
        raise IndexError(f"cross_entropy: targets must be 0 to {classes - 1}, not {targets.min()} to {targets.max()}")
    return _reduced(_costs(x, targets), reduction)


def mse_loss(input: Operand, target: Operand, reduction: Reduction = "mean") -> Array:
    """Return the squared differences (input - target)**2: their mean, their sum, or an Array of them.

    Raises
    ------
    ValueError
        if broadcasting would pair each input with each target, as for shapes (4, 1) and (4,)

    Examples
    --------
    >>> mse_loss([1.0, 2.0], [1.0, 4.0])
    Array(2.)
    """
    x, y = _pair("mse_loss", input, target)
    return _reduced((x - y) ** 2, reduction)


def hinge_loss(input: Operand, target: Operand, margin: float = 1.0, reduction: Reduction = "mean") -> Array:
    """Return relu(margin - target * input) for targets of -1 and 1: the max-margin loss of micrograd's demo.

    Raises
    ------
    ValueError
        if broadcasting would pair each input with each target, as for shapes (4, 1) and (4,)

    Examples
    --------
    >>> hinge_loss([0.5, 3.0], [1.0, 1.0], reduction="none")
    Array([0.5, 0. ])
    """
    x, y = _pair("hinge_loss", input, target)
    return _reduced((margin - x * y).relu(), reduction)


def _reduced(costs: Array, reduction: str) -> Array:
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    return costs.mean() if reduction == "mean" else costs.sum() if reduction == "sum" else costs


def _pair(name: str, input: Operand, target: Operand) -> tuple[Array, Any]:
    """Predictions and their targets. Shapes such as (4, 1) and (4,), which broadcasting would combine, are refused."""
    x, y = as_array(input), target if isinstance(target, (Array, Value)) else as_elements(target)
    shape = () if isinstance(y, Value) else y.shape
    try:
        both = np.broadcast_shapes(x.shape, shape)
    except ValueError:
        raise ValueError(
            f"{name}: inputs of shape {x.shape} and targets of shape {shape} cannot be broadcast together"
        ) from None
    if both not in (x.shape, shape):
        raise ValueError(f"{name}: shapes {x.shape} and {shape} would pair each input with each target; reshape one")
    return x, y


def _indices(x: Any, name: str) -> Any:
    """Integers as an array; a traced Index unchanged."""
    if isinstance(x, Index) and x.is_traced:
        return x
    return as_indices(f"{name}: an index", x)


# Rows ------------------------------------------------------------------------------------------------------------


def _along(
    build: Callable[[int, Ids, Ids], _bulk.Held], by_ops: Callable[[Array, int], Array], x: Array, dim: int
) -> Array:
    """Apply a bulk builder for rows along any axis, or what stands in for it."""
    if lib.pg_tracing():
        return by_ops(x, dim)
    (axis,) = normalize_axes(operator.index(dim), x.ndim)
    rows = x._ids.swapaxes(axis, -1)
    n = rows.shape[-1]
    out = np.empty(rows.shape, np.uint32)
    try:
        held = build(n, rows, out)
    except _bulk.Replaced:
        return by_ops(x, dim)
    result = built(*held, out, str, x)
    result._ids = out.swapaxes(axis, -1)
    return result


def _costs(x: Array, targets: Any) -> Array:
    """The cross-entropy of each row."""
    if lib.pg_tracing():
        return _costs_by_ops(x, targets)
    out = np.empty(targets.shape, dtype=np.uint32)
    try:
        held = _bulk.cross_entropy(x.shape[-1], x._ids, targets.astype(np.uint32), out)
    except _bulk.Replaced:
        return _costs_by_ops(x, targets)
    return built(*held, out, str, x)


# The same by ops of Arrays, while a function is traced, and where methods of Values were replaced. The builders in C
# avoid overflow by subtracting the largest number of a row, as a constant. A Program runs on other numbers, with other
# maxima: so here the maximum is a node, detached. The results are the same; the graph has the nodes of the maximum in
# addition.


def _softmax_by_ops(x: Array, dim: int) -> Array:
    exps = _shifted(x, dim).exp()
    return exps / exps.sum(dim, keepdims=True)


def _log_softmax_by_ops(x: Array, dim: int) -> Array:
    shifted = _shifted(x, dim)
    return shifted - shifted.exp().sum(dim, keepdims=True).log()


def _costs_by_ops(x: Array, targets: Any) -> Array:
    rows = _log_softmax_by_ops(x.reshape(-1, x.shape[-1]), -1)
    costs: Array = -rows[np.arange(targets.size), targets.ravel()]
    return costs.reshape(targets.shape)


def _shifted(x: Array, dim: int) -> Array:
    return x - x.max(operator.index(dim), keepdims=True).detach()


def _rms_norm_by_ops(x: Array, n: int, weight: Array | None, eps: float) -> Array:
    if not x.size:
        return x
    rows = x.reshape(-1, n)
    normed = rows * ((rows * rows).mean(-1, keepdims=True) + eps) ** -0.5
    return (normed if weight is None else normed * weight.ravel()).reshape(x.shape)
