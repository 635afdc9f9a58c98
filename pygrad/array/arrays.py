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
from pygrad.array.reductions import Reductions

_FLOAT64 = np.dtype(np.float64)


class Array(Reductions, Products, Copying):
    """An n-dimensional array of Values; `pygrad.array` makes one.

    It indexes, slices, broadcasts and reshapes as a NumPy array does, and raises what NumPy raises. `a[i, j]` is a
    `Value`; other results that are scalars in NumPy (`a.sum()`, `x @ y`) are Arrays of shape `()`. Operators and
    methods work element by element. A number among the operands becomes one leaf for each scalar op.

    `==`, `!=`, `<`, `<=`, `>` and `>=` compare the numbers and return an array of bools, for `where` and for masks.
    `bool(a)` of one element and NumPy's functions (`np.any`, `np.count_nonzero`, `np.zeros_like`, ...) go by number,
    too; but an element is a Value, and true as every object is: write `np.any(a)`, not `any(a)`.
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

    __array_ufunc__ = None  # NumPy's arrays leave `x + a` to us

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return the Values in an array of objects, as NumPy asks for them; for any other dtype, the numbers."""
        if dtype is None or np.dtype(dtype) == object:
            values = np.empty(self.size, dtype=object)
            values[:] = self.ravel().tolist()
            return values.reshape(self.shape)
        return self.data.astype(dtype)

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Give NumPy's functions the numbers where they ask for truth, order or equality, and elsewhere the Values."""
        if function in _BY_NUMBER:
            args, kwargs = _numbers_of(args), _numbers_of(kwargs)
        elif function in _BY_NUMBER_OF_THE_FIRST:
            args = (*_numbers_of(args[:1]), *args[1:])
            kwargs = {name: _numbers_of(x) if name == "condition" else x for name, x in kwargs.items()}
        return function._implementation(*args, **kwargs)

    @property
    def dtype(self) -> np.dtype[np.float64]:
        """The type of the numbers: always float64."""
        return _FLOAT64

    def astype(self, dtype: npt.DTypeLike, *, copy: bool = True) -> Array:
        """Return a copy, as `copy()`; TypeError for any dtype but float64: write `a.data.astype(dtype)`.

        >>> array([1.0]).astype(float)
        Array([1.])
        """
        if np.dtype(dtype) != _FLOAT64:
            raise TypeError(
                f"an Array is always of float64, not of {np.dtype(dtype)}: write a.data.astype(...) for its numbers, "
                "through which no gradient flows"
            )
        return self.copy() if copy else self

    def copy(self) -> Array:
        """Return new nodes with the same numbers, through which gradients flow; `copy.deepcopy` copies leaves.

        >>> x = array([1.0])
        >>> x.copy().backward()
        >>> x.grad
        array([1.])
        """
        return self * 1

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


# Functions of NumPy to whose results no gradient could flow; and those of a condition and Values. They go by number:
# an element, a Value, is true as any object is, and equal to itself only.
_BY_NUMBER = {
    np.all, np.any, np.argmax, np.argmin, np.argsort, np.argwhere, np.array_equal, np.array_equiv, np.allclose,
    np.count_nonzero, np.empty_like, np.flatnonzero, np.full_like, np.isclose, np.isin, np.nonzero, np.ones_like,
    np.searchsorted, np.unique, np.zeros_like,
}  # fmt: skip
_BY_NUMBER_OF_THE_FIRST = {np.where, np.extract, np.compress}


def _numbers_of(x: Any) -> Any:
    """The arguments of a function of NumPy, with its numbers in place of each Array."""
    if isinstance(x, Array):
        return x.data
    if isinstance(x, (list, tuple)):
        return type(x)(map(_numbers_of, x))
    return {name: _numbers_of(item) for name, item in x.items()} if isinstance(x, dict) else x


Nodes._kind = Array
