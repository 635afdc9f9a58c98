"""Array: many Values at once, with NumPy's interface.

Every element is a scalar node. An expression on Arrays builds the same graph, node for node and in the same order, as
the same expression written as a loop over Values; but one call of C (csrc/graph/bulk.c) runs the whole loop.

An Array is a NumPy array of node ids together with what holds these nodes, so a view, a reshaped or an indexed Array is
one of the ids.

Its interface is put together from parts, one a file: see the bases of the class.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pygrad._cut import note_number_taken
from pygrad.array.copying import Copying
from pygrad.array.nodes import Nodes
from pygrad.array.products import Products
from pygrad.array.protocol import NumpyProtocol
from pygrad.array.reductions import Reductions


class Array(Reductions, Products, Copying, NumpyProtocol):
    """An n-dimensional array of Values; `pygrad.array` makes one.

    It indexes, slices, broadcasts and reshapes as a NumPy array does, and raises what NumPy raises. `a[i, j]` is a
    `Value`; other results that are scalars in NumPy (`a.sum()`, `x @ y`) are Arrays of shape `()`. Operators and
    methods work element by element. A number among the operands becomes one leaf for each scalar op.

    `==`, `!=`, `<`, `<=`, `>` and `>=` compare the numbers and return an array of bools, for `where` and for masks.
    `bool(a)` of one element and functions such as `np.any`, `np.count_nonzero` and `np.zeros_like` go by number, too;
    NumPy's other functions (`np.sum`, `np.stack`, `np.exp`, ...) give Arrays, or say what to use instead. But an
    element is a Value, and true as every object is: write `np.any(a)`, not `any(a)`.
    Arrays are hashed by identity, so a dict can keep something for each of them. `x in [a, b]` compares with `==`,
    which raises a ValueError, as in NumPy.

    `b = a; b += 1` makes a new Array and leaves a as it is, as with a float. On a parameter of a module, `+=` and the
    like are a TypeError: the new Array would not be the parameter. Write `w.data -= lr * w.grad`.

    Attributes
    ----------
    data, grad
        The numbers, as NumPy arrays of the same shape. For an Array that was made from numbers, and for its views, they
        are views of the nodes: `w.data -= 0.1 * w.grad` trains it. For others they are read-only copies; assigning to
        `a.data` or `a.grad` as a whole always works.

    Examples
    --------
    >>> x = array([[1.0, 2.0], [3.0, 4.0]])
    >>> y = (x @ x).relu().sum()
    >>> y.backward()
    >>> y, x.grad
    (Array(54.), array([[ 7., 11.],
           [ 9., 13.]]))
    >>> x > 2, x[x > 2]
    (array([[False, False],
           [ True,  True]]), Array([3., 4.]))
    """

    # _ids: of the elements. _holder: what holds the nodes, hidden. _pins: operands, if a Python function is the

    __slots__ = ()

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the Values in an array of objects, as NumPy asks for them; for any other dtype, the numbers."""
        if dtype is None or np.dtype(dtype) == object:
            values = np.empty(self.size, dtype=object)
            values[:] = self.ravel().tolist()
            return values.reshape(self.shape)
        return self.data.astype(dtype)

    def item(self) -> float:
        """Return the only number as a Python float; ValueError unless there is exactly one.

        >>> array([2.0]).item()
        2.0
        """
        return self.data.item()

    def __float__(self) -> float:
        number = float(self.data)
        note_number_taken(self, self._ids.item(), depth=1)
        return number

    def __int__(self) -> int:
        return int(self.data)

    def __round__(self, digits: int | None = None) -> float:
        return round(self.item(), digits)

    def __pos__(self) -> Self:
        return self

    def __bool__(self) -> bool:
        return bool(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else str(self)

    def __repr__(self) -> str:
        shape = "" if self.size or self.ndim == 1 else f", shape={self.shape}"
        return f"Array({np.array2string(self.data, separator=', ', prefix='Array(')}{shape})"


Nodes._kind = Array
