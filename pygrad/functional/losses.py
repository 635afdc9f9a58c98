"""Losses: what a model's results cost, to be made small."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pygrad import _bulk
from pygrad._lib import lib
from pygrad.array import Array, Operand, as_array, as_elements, built
from pygrad.engine import Value
from pygrad.functional.operands import indices
from pygrad.functional.rows import log_softmax_by_ops
from pygrad.index import Index

Reduction = Literal["mean", "sum", "none"]


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
    x, targets = as_array(input), indices(target, "cross_entropy")
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


def _costs_by_ops(x: Array, targets: Any) -> Array:
    rows = log_softmax_by_ops(x.reshape(-1, x.shape[-1]), -1)
    costs: Array = -rows[np.arange(targets.size), targets.ravel()]
    return costs.reshape(targets.shape)
