"""Functions on Arrays, under torch.nn.functional's names and with its argument order.

Each takes Arrays, or what `pygrad.array` makes one of: lists of Values, Values, numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Callable, Literal

import numpy as np
import numpy.typing as npt

from pygrad._lib import ffi, lib
from pygrad.array import _NONE, Array, Operand, _axes, _elements, _from_buffer, _made, _matmul, _pointer, array
from pygrad.engine import Value
from pygrad.lookup import Index, as_indices

Reduction = Literal["mean", "sum", "none"]


def relu(input: Operand) -> Array:
    """Each number if it is not negative, else 0 (Fukushima, 1969).

    Examples
    --------
    >>> relu([-1.0, 2.0])
    Array([0., 2.])
    """
    return array(input).relu()


def tanh(input: Operand) -> Array:
    """The hyperbolic tangents."""
    return array(input).tanh()


def sigmoid(input: Operand) -> Array:
    """The logistic function of each number, 1 / (1 + exp(-x))."""
    return array(input).sigmoid()


def linear(input: Operand, weight: Operand, bias: Operand | None = None) -> Array:
    """Return input @ weight.T + bias.

    Parameters
    ----------
    input
        of shape (..., in), with at most two axes
    weight
        of shape (out, in)
    bias
        of shape (out,). Each sum begins with it, as micrograd's neurons do.

    Examples
    --------
    >>> linear(array([1.0, 2.0]), array([[3.0, 4.0]]), array([5.0]))
    Array([16.])
    """
    x, w = array(input), array(weight)
    b = None if bias is None else array(bias)
    if w.ndim != 2 or x.ndim not in (1, 2) or x.shape[-1] != w.shape[1] or (b is not None and b.shape != w.shape[:1]):
        raise ValueError(
            "linear: takes an input of shape (..., in), a weight of shape (out, in) and a bias of shape (out,); got "
            f"{x.shape}, {w.shape} and {None if b is None else b.shape}"
        )
    return _matmul(x, w.T, b)


def embedding(input: npt.ArrayLike, weight: Operand) -> Array:
    """Return the rows of weight that the indices name: an Array of shape (*input.shape, *weight.shape[1:]).

    Examples
    --------
    >>> embedding([1, 1], array([[1.0], [2.0]])).data.ravel()
    array([2., 2.])
    """
    w, indices = array(weight), _indices(input, "embedding")
    if isinstance(indices, Index):
        return w[indices]  # type: ignore[no-any-return]
    if (indices < 0).any():
        raise IndexError(f"embedding: indices count from 0, and one is {indices.min()}")
    return w._like(w._ids[indices, ...])


def softmax(input: Operand, dim: int = -1) -> Array:
    """Return exp(x - max(x)) / sum(exp(x - max(x))) along an axis: positive numbers that add up to 1.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    Array([0.5, 0.5])
    """
    x = array(input)
    if lib.pg_tracing():
        exps = _shifted(x, dim).exp()
        return exps / exps.sum(dim, keepdims=True)
    return _along(lib.pg_softmax, x, dim)


def log_softmax(input: Operand, dim: int = -1) -> Array:
    """The logarithm of `softmax`, exact also where that is too small for a float."""
    x = array(input)
    if lib.pg_tracing():
        shifted = _shifted(x, dim)
        return shifted - shifted.exp().sum(dim, keepdims=True).log()
    return _along(lib.pg_log_softmax, x, dim)


def rms_norm(
    input: Operand, normalized_shape: int | Sequence[int], weight: Operand | None = None, eps: float | None = None
) -> Array:
    """Return x / sqrt(mean(x**2) + eps), times a weight each, over the last axes (Zhang & Sennrich, 2019).

    Parameters
    ----------
    normalized_shape
        the sizes of those axes
    weight
        of that shape
    eps
        by default the smallest number that can be added to 1: 2**-52

    Raises
    ------
    ZeroDivisionError
        if all of x is 0 and so is eps

    Examples
    --------
    >>> rms_norm([3.0, 4.0], 2, eps=0.0) * 12.5**0.5
    Array([3., 4.])
    """
    x = array(input)
    axes = tuple(map(operator.index, np.atleast_1d(normalized_shape)))
    eps = float(np.finfo(float).eps) if eps is None else eps
    if not eps >= 0:
        raise ValueError(f"rms_norm: eps must not be negative, and is {eps}")
    if not axes or x.shape[-len(axes) :] != axes:
        raise ValueError(f"rms_norm: the last axes of shape {x.shape} are not {axes}")
    w = None if weight is None else array(weight)
    if w is not None and w.shape != axes:
        raise ValueError(f"rms_norm: the weight has shape {w.shape}, not {axes}")
    n = int(np.prod(axes))
    out = np.empty(x.shape, dtype=np.uint32)
    status = lib.pg_rms_norm(
        x.size // max(n, 1), n, _pointer(x._ids), _NONE if w is None else _pointer(w._ids), eps,
        _from_buffer("pg_id[]", out),
    )  # fmt: skip
    return _made(status, out, lambda at: f"rms_norm with eps={eps}, of numbers whose squares are all 0,", x, w)


def cross_entropy(input: Operand, target: npt.ArrayLike, reduction: Reduction = "mean") -> Array:
    """Return -log(softmax(input)[target]), the cost of scores for classes when one class is right.

    Parameters
    ----------
    input
        the scores, of shape (classes,) or (N, classes)
    target
        the right class, an int, or N of them
    reduction
        what becomes of the N costs

    Examples
    --------
    >>> cross_entropy([0.0, 0.0], 1)
    Array(0.69314718)
    """
    x, targets = array(input), _indices(target, "cross_entropy")
    if x.ndim not in (1, 2) or targets.shape != x.shape[:-1]:
        raise ValueError(
            "cross_entropy: takes scores of shape (classes,) or (N, classes) and a target of shape () or (N,); got "
            f"{x.shape} and {targets.shape}"
        )
    classes = x.shape[-1]
    if not isinstance(targets, Index) and ((targets < 0) | (targets >= classes)).any():
        raise IndexError(f"cross_entropy: targets are from 0 to {classes - 1}, not {targets.min()} to {targets.max()}")
    if lib.pg_tracing():
        rows = -log_softmax(x.reshape(-1, classes))[np.arange(targets.size), targets.ravel()]
        return _reduced(rows.reshape(targets.shape), reduction)
    out = np.empty(targets.shape, dtype=np.uint32)
    status = lib.pg_cross_entropy(
        out.size, classes, _pointer(x._ids), _from_buffer("uint32_t[]", targets.astype(np.uint32)),
        ffi.new("pg_id[]", classes), _from_buffer("pg_id[]", out),
    )  # fmt: skip
    return _reduced(_made(status, out, str, x), reduction)


def mse_loss(input: Operand, target: Operand, reduction: Reduction = "mean") -> Array:
    """Return (input - target)**2.

    Examples
    --------
    >>> mse_loss([1.0, 2.0], [1.0, 4.0])
    Array(2.)
    """
    x, y = _pair("mse_loss", input, target)
    return _reduced((x - y) ** 2, reduction)


def hinge_loss(input: Operand, target: Operand, margin: float = 1.0, reduction: Reduction = "mean") -> Array:
    """Return relu(margin - target * input) for targets of -1 and 1: micrograd's demo's max-margin loss.

    Examples
    --------
    >>> hinge_loss([0.5, 3.0], [1.0, 1.0], reduction="none")
    Array([0.5, 0. ])
    """
    x, y = _pair("hinge_loss", input, target)
    return _reduced((margin - x * y).relu(), reduction)


def _reduced(costs: Array, reduction: str) -> Array:
    reductions: dict[str, Callable[[], Array]] = {"mean": costs.mean, "sum": costs.sum, "none": lambda: costs}
    if not isinstance(reduction, str) or reduction not in reductions:
        raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
    return reductions[reduction]()


def _pair(name: str, input: Operand, target: Operand) -> tuple[Array, Any]:
    """Predictions and their targets: not such as broadcasting would pair each with each, (4, 1) and (4,) say."""
    x, y = array(input), target if isinstance(target, (Array, Value)) else _elements(target)
    shape = () if isinstance(y, Value) else y.shape
    if np.broadcast_shapes(x.shape, shape) not in (x.shape, shape):
        raise ValueError(f"{name}: would pair each input with each target, of shapes {x.shape} and {shape}")
    return x, y


def _indices(x: Any, name: str) -> Any:
    """Integers as an array, or a traced Index as it is."""
    if isinstance(x, Index) and x.is_traced:
        return x
    return as_indices(f"{name}: an index", x)


def _shifted(x: Array, dim: int) -> Array:
    """x less the largest of each row: of numbers that a Program will be run with, not of those it is traced with."""
    return x - x.max(operator.index(dim), keepdims=True).detach()


def _along(build: Callable[..., int], x: Array, dim: int) -> Array:
    """A builder for rows, along any axis."""
    (axis,) = _axes(operator.index(dim), x.ndim)
    rows = x._ids.swapaxes(axis, -1)
    n = rows.shape[-1]
    out = np.empty(rows.shape, dtype=np.uint32)
    status = build(out.size // n if n else 0, n, _pointer(rows), _from_buffer("pg_id[]", out)) if out.size else 0
    made = _made(status, out, str, x)
    made._ids = out.swapaxes(axis, -1)
    return made
