"""Losses: what a model's results cost, to be made small."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pygrad import _bulk
from pygrad._lib import lib
from pygrad.array import Array, Operand, as_array, as_elements, built, where
from pygrad.engine import Value
from pygrad.functional.operands import indices, operand, shape_of
from pygrad.functional.rows import log_softmax
from pygrad.index import Index

Reduction = Literal["mean", "sum", "none"]


# Of classes -------------------------------------------------------------------------------------------------------


def cross_entropy(
    input: Operand,
    target: npt.ArrayLike,
    weight: Operand | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Return -log(softmax(input)[target]), the cost of a model's scores for classes, of which one is right.

    Parameters
    ----------
    input
        the scores, of shape (classes,) or (N, classes)
    target
        the right class, an int from 0 to classes - 1, or N of them
    weight
        a number for each class, which its costs are multiplied by; "mean" divides by the sum of those of the targets
    ignore_index
        a target that costs nothing, and does not count in the mean
    reduction
        "mean" or "sum" of the N costs, or "none" for an Array of them
    label_smoothing
        the part of the target, from 0 to 1, that is spread evenly over all classes (Szegedy et al., 2016)

    Raises
    ------
    ValueError
        if the shapes do not fit together, or an option is not one of these
    IndexError
        if a target is not a class
    TypeError
        if a target is not an integer
    ZeroDivisionError
        if there are no targets to take the mean of

    Examples
    --------
    >>> cross_entropy([0.0, 0.0], 1)
    Array(0.69314718)
    """
    x, targets, kept, w = _classified("cross_entropy", input, target, weight, ignore_index)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be from 0 to 1, not {label_smoothing!r}")
    weights = None if w is None else as_array(w[targets])
    costs = _times(_costs(x, targets), weights)
    if label_smoothing:
        even = -_times(log_softmax(x), w).mean(-1)
        costs = costs * (1 - label_smoothing) + even * label_smoothing
    return _averaged("cross_entropy", costs, kept, weights, reduction)


def nll_loss(
    input: Operand,
    target: npt.ArrayLike,
    weight: Operand | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Array:
    """Return -input[target], the cost of logarithms of probabilities, such as `log_softmax` gives.

    The parameters and errors are those of `cross_entropy`.

    Examples
    --------
    >>> nll_loss([[-1.0, -2.0], [-3.0, -4.0]], [0, 1], reduction="none")
    Array([1., 4.])
    """
    x, targets, kept, w = _classified("nll_loss", input, target, weight, ignore_index)
    weights = None if w is None else as_array(w[targets])
    return _averaged("nll_loss", _times(-_picked(x, targets), weights), kept, weights, reduction)


def _classified(name: str, input: Operand, target: Any, weight: Any, ignore_index: int) -> tuple[Array, Any, Any, Any]:
    """Scores, their targets, which of these count (None: all), and the weights of the classes."""
    x, targets = as_array(input), indices(target, name)
    if x.ndim not in (1, 2) or targets.shape != x.shape[:-1]:
        raise ValueError(
            f"{name}: needs scores of shape (classes,) or (N, classes) and a target of shape () or (N,); got "
            f"{x.shape} and {targets.shape}"
        )
    classes = x.shape[-1]
    w = None if weight is None else as_array(weight)
    if w is not None and w.shape != (classes,):
        raise ValueError(f"{name}: needs a weight for each of the {classes} classes; got an array of shape {w.shape}")
    if isinstance(targets, Index):  # its numbers are not known: an ignored class has the weight 0
        ignored = np.arange(classes) == ignore_index
        return x, targets, None, where(ignored, 0.0, np.ones(classes) if w is None else w) if ignored.any() else w
    kept = targets != ignore_index
    if not kept.all():
        targets = np.where(kept, targets, 0)
    if ((targets < 0) | (targets >= classes)).any():
        raise IndexError(f"{name}: targets must be 0 to {classes - 1}, not {targets.min()} to {targets.max()}")
    return x, targets, None if kept.all() else kept, w


def _times(costs: Array, weights: Array | None) -> Array:
    return costs if weights is None else costs * weights


def _averaged(name: str, costs: Array, kept: Any, weights: Array | None, reduction: str) -> Array:
    """Reduce costs, which were multiplied by the weights, by a mean over those that are kept."""
    if reduction == "mean" and not (costs.size if kept is None else kept.any()):
        why = "all targets are ignored" if costs.size else "there are no targets"
        raise ZeroDivisionError(f"{name}: {why}, so their costs have no mean")
    if kept is not None:
        costs = where(kept, costs, 0.0)
    if reduction != "mean" or (kept is None and weights is None):
        result: Array = _reduced(costs, reduction)
        return result
    counts = np.ones(costs.shape) if weights is None else weights
    return costs.sum() / (counts if kept is None else where(kept, counts, 0.0)).sum()


def _picked(x: Array, targets: Any) -> Array:
    """Of each row of x, the number at its target."""
    picked: Array = x.reshape(targets.size, x.shape[-1])[np.arange(targets.size), targets.ravel()]
    return picked.reshape(targets.shape)


def _costs(x: Array, targets: Any) -> Array:
    """The cross-entropy of each row."""
    if lib.pg_tracing():
        return -_picked(log_softmax(x), targets)
    out = np.empty(targets.shape, dtype=np.uint32)
    try:
        held = _bulk.cross_entropy(x.shape[-1], x._ids, targets.astype(np.uint32), out)
    except _bulk.Replaced:
        return -_picked(log_softmax(x), targets)
    return built(*held, out, str, x)


def binary_cross_entropy_with_logits(
    input: Operand,
    target: Operand,
    weight: Operand | None = None,
    reduction: Reduction = "mean",
    pos_weight: Operand | None = None,
) -> Any:
    """Return -log(sigmoid(input)) where the target is 1, and -log(1 - sigmoid(input)) where it is 0.

    Parameters
    ----------
    input
        the scores
    target
        numbers from 0 to 1, in the shape of the input; between them, the costs are mixed
    weight
        what the costs are multiplied by
    reduction
        "mean" or "sum" of the costs, or "none" for an Array of them
    pos_weight
        what the targets' part of the costs is multiplied by

    Raises
    ------
    ValueError
        if a shape does not fit, or the reduction is unknown

    Examples
    --------
    >>> binary_cross_entropy_with_logits([0.0, 1000.0, 1000.0], [1.0, 1.0, 0.0], reduction="none")
    Array([6.93147181e-01, 0.00000000e+00, 1.00000000e+03])
    """
    name = "binary_cross_entropy_with_logits"
    x, y = _pair(name, input, target)
    positive = (-x).softplus() * y
    if pos_weight is not None:
        positive = positive * _fitting(f"{name}: pos_weight", pos_weight, shape_of(positive))
    costs = positive + x.softplus() * (1 - y)
    if weight is not None:
        costs = costs * _fitting(f"{name}: weight", weight, shape_of(costs))
    return _reduced(costs, reduction)


def _fitting(what: str, weight: Any, shape: tuple[int, ...]) -> Any:
    """Weights that broadcasting brings to a shape."""
    w = operand(weight)
    try:
        fits = np.broadcast_shapes(shape_of(w), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{what} of shape {shape_of(w)} does not fit costs of shape {shape}")
    return w


def hinge_loss(input: Operand, target: Operand, margin: float = 1.0, reduction: Reduction = "mean") -> Any:
    """Return relu(margin - target * input) for targets of -1 and 1: the max-margin loss of micrograd's demo.

    Parameters
    ----------
    input, target
        numbers, of shapes that broadcast
    margin
        how far on its side a score must be to cost nothing
    reduction
        "mean" or "sum" of the costs, or "none" for an Array of them

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


# Of numbers -------------------------------------------------------------------------------------------------------


def mse_loss(input: Operand, target: Operand, reduction: Reduction = "mean") -> Any:
    """Return the squared differences (input - target)**2: their mean, their sum, or an Array of them.

    Parameters
    ----------
    input, target
        numbers, of shapes that broadcast
    reduction
        "mean" or "sum" of the costs, or "none" for an Array of them

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


def l1_loss(input: Operand, target: Operand, reduction: Reduction = "mean") -> Any:
    """Return the absolute differences abs(input - target): their mean, their sum, or an Array of them.

    Parameters
    ----------
    input, target
        numbers, of shapes that broadcast
    reduction
        "mean" or "sum" of the costs, or "none" for an Array of them

    Raises
    ------
    ValueError
        if broadcasting would pair each input with each target, as for shapes (4, 1) and (4,)

    Examples
    --------
    >>> l1_loss([1.0, 2.0], [1.0, 4.0])
    Array(1.)
    """
    x, y = _pair("l1_loss", input, target)
    return _reduced((x - y).abs(), reduction)


def huber_loss(input: Operand, target: Operand, reduction: Reduction = "mean", delta: float = 1.0) -> Any:
    """Return (input - target)**2 / 2 where the difference is below delta, and a straight line beyond (Huber, 1964).

    Parameters
    ----------
    input, target
        numbers, of shapes that broadcast
    reduction
        "mean" or "sum" of the costs, or "none" for an Array of them
    delta
        the difference from which on the cost is a straight line

    Raises
    ------
    ValueError
        if delta is not positive, or broadcasting would pair each input with each target, as for shapes (4, 1) and (4,)

    Examples
    --------
    >>> huber_loss([1.0, 2.0, 5.0], [1.5, 2.0, 2.0], reduction="none")
    Array([0.125, 0.   , 2.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, not {delta!r}")
    x, y = _pair("huber_loss", input, target)
    return _reduced(_huber(x - y, delta), reduction)


def smooth_l1_loss(input: Operand, target: Operand, reduction: Reduction = "mean", beta: float = 1.0) -> Any:
    """Return `huber_loss` with delta=beta, divided by beta; with a beta of 0, `l1_loss`.

    Parameters
    ----------
    input, target
        numbers, of shapes that broadcast
    reduction
        "mean" or "sum" of the costs, or "none" for an Array of them
    beta
        as delta of `huber_loss`

    Raises
    ------
    ValueError
        if beta is negative, or broadcasting would pair each input with each target, as for shapes (4, 1) and (4,)

    Examples
    --------
    >>> smooth_l1_loss([1.0, 5.0], [1.5, 2.0], reduction="none", beta=0.5)
    Array([0.25, 2.75])
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta!r}")
    x, y = _pair("smooth_l1_loss", input, target)
    return _reduced(_huber(x - y, beta) / beta if beta else (x - y).abs(), reduction)


def _huber(difference: Any, delta: float) -> Any:
    distance = difference.abs()
    inner = distance.minimum(delta)
    return inner * (distance - inner * 0.5)


# Of both ----------------------------------------------------------------------------------------------------------


def _reduced(costs: Any, reduction: str) -> Any:
    """The costs, their sum or their mean; those of a Value are one number."""
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    if reduction == "none" or isinstance(costs, Value):
        return costs
    return costs.mean() if reduction == "mean" else costs.sum()


def _pair(name: str, input: Operand, target: Operand) -> tuple[Any, Any]:
    """Predictions and their targets. Shapes such as (4, 1) and (4,), which broadcasting would combine, are refused."""
    x, y = operand(input), target if isinstance(target, (Array, Value)) else as_elements(target)
    given, shape = shape_of(x), shape_of(y)
    try:
        both = np.broadcast_shapes(given, shape)
    except ValueError:
        raise ValueError(
            f"{name}: inputs of shape {given} and targets of shape {shape} cannot be broadcast together"
        ) from None
    if both not in (given, shape):
        raise ValueError(f"{name}: shapes {given} and {shape} would pair each input with each target; reshape one")
    if isinstance(x, Value) and isinstance(y, np.ndarray):
        return (as_array(x), y) if shape else (x, y[()])
    return x, y
