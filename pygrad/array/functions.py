"""Functions of NumPy that are made of methods and operators of Arrays. Each has the parameters of NumPy's by name."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from pygrad.array import products
from pygrad.array.making import as_array, concatenate, where
from pygrad.array.nodes import Axis, Operand, make_leaves, normalize_axes

if TYPE_CHECKING:
    from pygrad.array.arrays import Array


# Elements ---------------------------------------------------------------------------------------------------------


def clip(a: Operand, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Array:
    return as_array(a).clip(a_min if min is None else min, a_max if max is None else max)


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Array:
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    chosen = as_array(default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        chosen = where(condition, choice, chosen)
    return chosen


def sort(a: Operand, axis: SupportsIndex | None = -1, kind: Any = None, *, stable: bool | None = None) -> Array:
    x = as_array(a).ravel() if axis is None else as_array(a)
    order = np.argsort(x.data, -1 if axis is None else axis, kind="stable" if stable else kind)
    return x._like(np.take_along_axis(x._ids, order, -1 if axis is None else operator.index(axis)))


def diff(a: Operand, n: int = 1, axis: SupportsIndex = -1, prepend: Any = None, append: Any = None) -> Array:
    x = as_array(a)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    if n == 0:
        return x
    if not x.ndim:
        raise ValueError("diff requires input that is at least one dimensional")
    (at,) = normalize_axes(operator.index(axis), x.ndim)
    one = (*x.shape[:at], 1, *x.shape[at + 1 :])  # the shape of a number before or after all rows

    def end(given: Any) -> list[Array]:
        if given is None:
            return []
        y = as_array(given)
        return [y if y.ndim else y._like(np.broadcast_to(y._ids, one))]

    if prepend is not None or append is not None:
        x = concatenate([*end(prepend), x, *end(append)], at)
    for _ in range(n):
        before = (slice(None),) * at
        x = x[(*before, slice(1, None))] - x[(*before, slice(None, -1))]
    return x


def hypot(x1: Any, x2: Any) -> Array:
    x, y = as_array(x1), as_array(x2)
    return (x * x + y * y).sqrt()


def logaddexp(x1: Any, x2: Any) -> Array:
    x, y = as_array(x1), as_array(x2)
    return y + (x - y).softplus()


def matrix_transpose(x: Operand, /) -> Array:
    return as_array(x).mT


# Reductions -------------------------------------------------------------------------------------------------------


def average(a: Operand, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Array:
    x = as_array(a)
    if axis is not None:
        normalize_axes(axis, x.ndim)  # of a mean a number has no axis 0
    if weights is None:
        return x.mean(axis, keepdims)
    w = as_array(weights)
    if w.shape != x.shape:
        if axis is None or np.ndim(axis) or w.shape != (x.shape[axis],):
            raise TypeError("Axis must be specified when shapes of a and weights differ, and be that of the weights")
        (at,) = normalize_axes(axis, x.ndim)
        w = w.reshape((-1, *(1,) * (x.ndim - at - 1)))
        return (x * w).sum(axis, keepdims) / w.sum()
    return (x * w).sum(axis, keepdims) / w.sum(axis, keepdims)


def ptp(a: Operand, axis: Axis = None, keepdims: bool = False) -> Array:
    x = as_array(a)
    return x.max(axis, keepdims) - x.min(axis, keepdims)


def cumulative_sum(x: Operand, /, *, axis: SupportsIndex | None = None, include_initial: bool = False) -> Array:
    return _cumulative(as_array(x), "cumsum", axis, 0.0 if include_initial else None)


def cumulative_prod(x: Operand, /, *, axis: SupportsIndex | None = None, include_initial: bool = False) -> Array:
    return _cumulative(as_array(x), "cumprod", axis, 1.0 if include_initial else None)


def _cumulative(x: Array, name: str, axis: SupportsIndex | None, first: float | None) -> Array:
    if axis is None and x.ndim > 1:
        raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
    sums: Array = getattr(x, name)(axis)
    if first is None:
        return sums
    (at,) = normalize_axes(0 if axis is None else operator.index(axis), sums.ndim)
    return concatenate([np.full((*sums.shape[:at], 1, *sums.shape[at + 1 :]), first), sums], at)


def norm(x: Operand, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    a = as_array(x)
    if axis is None:
        axis = tuple(range(a.ndim))
        if ord is not None and a.ndim not in (1, 2):
            raise ValueError("Improper number of dimensions to norm.")
    elif np.size(axis) not in (1, 2):
        raise ValueError("Improper number of dimensions to norm.")
    axes = normalize_axes(axis, a.ndim)
    if ord is None or (ord in ("fro", "f") and len(axes) == 2):
        return (a * a).sum(axes, keepdims).sqrt()
    if len(axes) == 1:
        return vector_norm(a, axis=axes, keepdims=keepdims, ord=ord)
    if ord not in (1, -1, math.inf, -math.inf):
        refusal = TypeError if ord in (2, -2, "nuc") else ValueError  # NumPy has these, which need singular values
        raise refusal(f"np.linalg.norm of matrices takes None, 'fro', 1, -1, inf or -inf for Arrays, not {ord!r}")
    rows, columns = axes if abs(ord) == 1 else axes[::-1]
    most = _extreme(a.abs().sum(rows, keepdims=True), ord, columns, keepdims=True)
    return most if keepdims else most.squeeze(axes)


def vector_norm(x: Operand, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Array:
    a = as_array(x)
    axis = axis if axis is None else normalize_axes(axis, a.ndim)
    if ord == 2:
        return (a * a).sum(axis, keepdims).sqrt()
    if ord in (math.inf, -math.inf):
        return _extreme(a.abs(), ord, axis, keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order {ord!r} for vectors")
    if ord == 0:
        raise TypeError("the norm of order 0 counts elements and has no gradient: write np.count_nonzero(x)")
    return a.abs().sum(axis, keepdims) if ord == 1 else (a.abs() ** ord).sum(axis, keepdims) ** (1 / ord)


def _extreme(x: Array, order: float, axis: Axis, keepdims: bool) -> Array:
    """The largest of each row for a positive order, which is 0 of none, or the smallest."""
    return x.max(axis, keepdims, initial=None if x.size else 0.0) if order > 0 else x.min(axis, keepdims)


def matrix_norm(x: Operand, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    return norm(x, ord, (-2, -1), keepdims)


# Products ---------------------------------------------------------------------------------------------------------


def dot(a: Operand, b: Operand) -> Array:
    return as_array(a).dot(b)


def matmul(x1: Operand, x2: Operand) -> Array:
    return products.matmul(as_array(x1), as_array(x2))


def inner(a: Operand, b: Operand) -> Array:
    x, y = as_array(a), as_array(b)
    if not x.ndim or not y.ndim:
        return x * y
    if x.shape[-1] != y.shape[-1]:
        np.inner(*products.zeros_like(x, y))  # raises NumPy's error
    return products.tensordot(x, y, (x.ndim - 1,), (y.ndim - 1,))


def outer(a: Operand, b: Operand) -> Array:
    product: Array = as_array(a).ravel()[:, None] * as_array(b).ravel()
    return product


def vdot(a: Operand, b: Operand) -> Array:
    return as_array(a).ravel().dot(as_array(b).ravel())


def vecdot(x1: Operand, x2: Operand, /, *, axis: int = -1) -> Array:
    x, y = (z._like(np.moveaxis(z._ids, axis, -1)) for z in map(as_array, (x1, x2)))
    np.vecdot(*products.zeros_like(x, y))  # raises NumPy's error
    return (x * y).sum(-1)


def matvec(x1: Operand, x2: Operand) -> Array:
    x, y = as_array(x1), as_array(x2)
    np.matvec(*products.zeros_like(x, y))
    products_of_rows: Array = x * y[..., None, :]
    return products_of_rows.sum(-1)


def vecmat(x1: Operand, x2: Operand) -> Array:
    x, y = as_array(x1), as_array(x2)
    np.vecmat(*products.zeros_like(x, y))
    products_of_columns: Array = x[..., :, None] * y
    return products_of_columns.sum(-2)


def tensordot(a: Operand, b: Operand, axes: Any = 2) -> Array:
    x, y = as_array(a), as_array(b)
    if np.ndim(axes) == 0 and not isinstance(axes, (list, tuple)):
        n = operator.index(axes)
        axes = range(x.ndim - n, x.ndim), range(n)
    x_axes, y_axes = (normalize_axes(given, z.ndim) for given, z in zip(axes, (x, y)))
    if [x.shape[i] for i in x_axes] != [y.shape[i] for i in y_axes]:
        raise ValueError("shape-mismatch for sum")
    return products.tensordot(x, y, x_axes, y_axes)


def trace(a: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    return as_array(a).diagonal(offset, axis1, axis2).sum(-1)


def linalg_trace(x: Operand, /, *, offset: int = 0) -> Array:
    return trace(x, offset, -2, -1)


def linalg_diagonal(x: Operand, /, *, offset: int = 0) -> Array:
    return as_array(x).diagonal(offset, -2, -1)


def matrix_power(a: Operand, n: SupportsIndex) -> Array:
    x, times = as_array(a), operator.index(n)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2] or times < 0:
        raise ValueError(f"matrix_power takes square matrices and a power of at least 0, not {x.shape} and {times}")
    if times == 0:
        return make_leaves(np.broadcast_to(np.eye(x.shape[-1]), x.shape), plain=True)
    return functools.reduce(operator.matmul, [x] * times)


def multi_dot(arrays: Sequence[Operand]) -> Array:
    return functools.reduce(products.matmul, map(as_array, arrays))


def cross(a: Operand, b: Operand, *, axis: int = -1) -> Array:
    x, y = (as_array(z) for z in (a, b))
    if not x.ndim or not y.ndim or x.shape[axis] != 3 or y.shape[axis] != 3:
        raise ValueError(f"cross takes vectors of 3 elements along axis {axis}, not shapes {x.shape} and {y.shape}")

    def rolled(z: Array, by: int) -> Array:
        return z._like(np.roll(z._ids, by, axis))

    return rolled(x, -1) * rolled(y, -2) - rolled(x, -2) * rolled(y, -1)


def einsum(subscripts: Any, *operands: Operand) -> Array:
    """One operand after the other: each step sums over the labels that are not needed after it."""
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum takes subscripts as text, such as 'ij,jk->ik', before the Arrays")
    arrays = [as_array(operand) for operand in operands]
    np.einsum_path(subscripts, *products.zeros_like(*arrays), optimize=False)  # raises NumPy's errors
    *names, result = _labels(subscripts, [x.ndim for x in arrays])
    x, at = as_array(1.0), ""
    for i, (factor, name) in enumerate(zip(arrays, names)):
        for label in dict.fromkeys(name):
            while name.count(label) > 1:
                one, other = name.index(label), name.rindex(label)
                factor = factor.diagonal(0, one, other)
                name = name[:one] + name[one + 1 : other] + name[other + 1 :] + label
        both = at + "".join(label for label in name if label not in at)
        factor = factor.transpose([name.index(label) for label in both if label in name])
        factor = factor[tuple(slice(None) if label in name else None for label in both)]
        x = x.reshape(x.shape + (1,) * (len(both) - len(at))) * factor if i else factor
        needed = result + "".join(names[i + 1 :])
        done = tuple(k for k, label in enumerate(both) if label not in needed)
        x = x.sum(done) if done else x
        at = "".join(label for label in both if label in needed)
    return x.transpose([at.index(label) for label in result])


def _labels(subscripts: str, ndims: list[int]) -> list[str]:
    """The labels of the axes of each operand and of the result; an ellipsis stands for labels that are no letters."""
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    names = given.split(",")
    hidden = [ndim - len(name) + 3 if "..." in name else 0 for name, ndim in zip(names, ndims)]
    dots = "".join(map(chr, range(max(hidden, default=0))))
    names = [name.replace("...", dots[len(dots) - n :]) for name, n in zip(names, hidden)]
    if not arrow:
        letters = "".join(names)
        result = "..." + "".join(sorted(x for x in set(letters) - set(dots) if letters.count(x) == 1))
    return [*names, result.replace("...", dots)]
