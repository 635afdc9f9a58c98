"""array: makes Arrays of numbers, Values and Arrays; and joining Arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from pygrad._numbers import to_ndarray
from pygrad.array.nodes import IDS, Nodes, Operand, as_elements, hold, make_leaves
from pygrad.engine import Value

if TYPE_CHECKING:
    from pygrad.array.arrays import Array


def array(x: Any) -> Array:
    """Make an Array of numbers, Values, Arrays, NumPy arrays or nested lists of these, with the shape as in NumPy.

    Each number becomes a leaf; a Value remains the same node.

    Raises
    ------
    ValueError
        if the lists differ in length or depth.
    TypeError
        if an element is neither a real number nor a Value, or x is a masked array: take `np.ma.filled(x, number)`.

    Examples
    --------
    >>> w = array([[1.0, 2.0], [3.0, 4.0]])
    >>> (w * w).sum().backward()
    >>> w.grad
    array([[2., 4.],
           [6., 8.]])
    """
    return x._like(x._ids) if isinstance(x, Nodes) else _made(x, plain=False)


def as_array(x: Any) -> Array:
    """Return an Array as it is, and make one of anything else, whose numbers are plain: see `make_leaves`."""
    return x if isinstance(x, Nodes._kind) else _made(x, plain=True)


def _made(x: Any, plain: bool) -> Array:
    if isinstance(x, Value):
        return hold(np.array(x._id, IDS), (x,))
    if isinstance(x, (list, tuple)) and x:
        if all(isinstance(element, Value) for element in x):
            return hold(np.array([value._id for value in x], IDS), tuple(x))
        if Nodes._kind in map(type, x) and any(type(element) is Nodes._kind and element.ndim for element in x):
            return stack(x)
    elements = as_elements(x)
    if elements.dtype != object:
        return make_leaves(elements, plain)
    values = [element for element in elements.flat if isinstance(element, Value)]
    is_value = np.array([isinstance(element, Value) for element in elements.flat]).reshape(elements.shape)
    leaves = make_leaves(elements[~is_value].astype(np.float64), plain)
    ids = np.empty(elements.shape, dtype=np.uint32)
    ids[is_value] = [value._id for value in values]
    ids[~is_value] = leaves._ids
    return hold(ids, tuple(values))


def concatenate(arrays: Sequence[Operand], axis: SupportsIndex | None = 0) -> Array:
    """Join Arrays along an existing axis; with `None`, flatten them first. See `numpy.concatenate`.

    Examples
    --------
    >>> concatenate([array([1.0]), array([2.0, 3.0])])
    Array([1., 2., 3.])
    """
    return _joined(np.concatenate, arrays, axis)


def stack(arrays: Sequence[Operand], axis: SupportsIndex = 0) -> Array:
    """Join Arrays of the same shape along a new axis. See `numpy.stack`.

    Examples
    --------
    >>> stack([array([1.0, 2.0]), array([3.0, 4.0])]).shape
    (2, 2)
    """
    return _joined(np.stack, arrays, axis)


def where(condition: npt.ArrayLike, x: Operand, y: Operand) -> Array:
    """Take the elements of x where the condition is true, and elsewhere those of y. See `numpy.where`.

    Examples
    --------
    >>> where([True, False], array([1.0, 2.0]), 0.0)
    Array([1., 0.])
    """
    x, y = as_array(x), as_array(y)
    truth = np.array(object) if isinstance(condition, Nodes) else to_ndarray(condition)
    if truth.dtype == object:
        raise TypeError("a condition must be made of numbers or booleans, not Values: compute it from x.data")
    return hold(np.where(truth, x._ids, y._ids), (x, y))


def _joined(join: Any, arrays: Sequence[Operand], axis: Any) -> Array:
    parts = [as_array(part) for part in arrays]
    return hold(join([part._ids for part in parts], axis=axis), tuple(parts))
