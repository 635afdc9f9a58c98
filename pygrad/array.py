"""Array: many Values at once, with NumPy's interface.

Every element is a scalar node. An expression on Arrays builds the same graph, node for node and in the same order, as
the same expression written as a loop over Values; but one call of C (csrc/graph/bulk.c) runs the whole loop.

An Array is a NumPy array of node ids together with what holds these nodes, so a view, a reshaped or an indexed Array is
one of the ids.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import copy
import functools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, Callable, SupportsIndex, Union

import numpy as np
import numpy.typing as npt

try:
    from numpy.lib import array_utils
except ImportError:  # NumPy 1
    from numpy.core import numeric as array_utils  # type: ignore[no-redef, attr-defined, unused-ignore]

from pygrad import _bulk
from pygrad._cut import first_read, note_number_taken
from pygrad._handles import formula, labels, value_of
from pygrad._holders import as_holder, leaf_view, run_of, shown
from pygrad._lib import OPS, Ids, Numbers, c_doubles, c_ids_of, check, error, lib
from pygrad._numbers import Number, is_number, is_real, refuse_masked, to_ndarray, to_python
from pygrad._ops import define_ops, op
from pygrad._sweep import backward_from
from pygrad.engine import Value
from pygrad.index import has_index, plain_key, record_look_up, traced_index

Operand = Union["Array", Value, Number, npt.ArrayLike]
Axis = Union[None, int, tuple[int, ...]]

normalize_axes = array_utils.normalize_axis_tuple  # counts negative ones from the end; raises NumPy's errors

_new = object.__new__
_empty, _IDS = np.empty, np.dtype(np.uint32)
_ADD, _MUL, _POWER, _POW = (OPS[key] for key in (("+", 2), ("*", 2), ("**", 1), ("**", 2)))


# Making Arrays ----------------------------------------------------------------------------------------------------


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
    return x._like(x._ids) if isinstance(x, Array) else _made(x, plain=False)


def as_array(x: Any) -> Array:
    """Return an Array as it is, and make one of anything else, whose numbers are plain: see `make_leaves`."""
    return x if isinstance(x, Array) else _made(x, plain=True)


def _made(x: Any, plain: bool) -> Array:
    if isinstance(x, Value):
        return hold(np.array(x._id, _IDS), (x,))
    if isinstance(x, (list, tuple)) and x:
        if all(isinstance(element, Value) for element in x):
            return hold(np.array([value._id for value in x], _IDS), tuple(x))
        if Array in map(type, x) and any(type(element) is Array and element.ndim for element in x):
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
    truth = np.array(object) if isinstance(condition, Array) else to_ndarray(condition)
    if truth.dtype == object:
        raise TypeError("a condition must be made of numbers or booleans, not Values: compute it from x.data")
    return hold(np.where(truth, x._ids, y._ids), (x, y))


def _joined(join: Any, arrays: Sequence[Operand], axis: Any) -> Array:
    parts = [as_array(part) for part in arrays]
    return hold(join([part._ids for part in parts], axis=axis), tuple(parts))


# The class --------------------------------------------------------------------------------------------------------


def _for_any_operand(method: Callable[[Array, Any], Array]) -> Callable[[Array, Operand], Array]:
    """Extend a method for an Array, a Python number or a NumPy array of floats to any operand.

    The scalar loop itself runs for an operand that mixes Values and numbers, and where methods of Values were replaced.
    """

    @functools.wraps(method)
    def of_any(self: Array, other: Operand) -> Any:
        if isinstance(other, Array) or type(other) is float or type(other) is int:
            pass
        elif isinstance(other, Value):
            other = array(other)
        elif isinstance(other, (list, tuple, np.ndarray)):
            elements = as_elements(other)
            if elements.dtype != object:
                other = elements if elements.ndim else float(elements)
            elif all(isinstance(element, Value) for element in elements.flat):
                other = array(elements)
            else:
                return _loop(method.__name__, self, elements)
        elif is_number(other):
            other = other if isinstance(other, int) else float(other)
        elif method.__name__.startswith("__"):
            return NotImplemented
        else:
            refuse_masked(other)
            raise TypeError(f"{method.__name__}() takes an Array, a Value or numbers, not {type(other).__name__!r}")
        try:
            return method(self, other)
        except _bulk.Replaced:
            return _loop(method.__name__, self, other)

    return of_any


def _loop(name: str, *operands: Any) -> Array:
    """The scalar loop of a method: "__sub__", "__rsub__", "exp", ..."""
    scalar_op = getattr(Value, name)
    if name.startswith("__r"):
        forward = getattr(operator, name.strip("_")[1:])

        def scalar_op(a: Value, b: Any) -> Any:
            return forward(b, a)

    elements = [np.asarray(x) if isinstance(x, Array) else x for x in operands]
    return array(np.frompyfunc(scalar_op, len(operands), 1)(*elements))


class Array:
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
    # _backward of a node at or below them (see _handles). _views: data and grad, where these are views.
    # _is_parameter: set once a module was found to have it as a parameter.
    __slots__ = ("__weakref__", "_holder", "_ids", "_is_parameter", "_pins", "_views")

    __array_ufunc__ = None  # NumPy's arrays leave `x + a` to us

    def __init__(self) -> None:
        raise TypeError("an Array cannot be created directly: call pygrad.array()")

    _ids: Ids
    _holder: npt.NDArray[Any]
    _pins: tuple[Any, ...]
    _views: tuple[Numbers, ...]
    _is_parameter: bool

    # The ops of csrc/ops.def, and what is made of them, as in engine.Value.

    @op("+")
    def __add__(self, other: Operand) -> Array:
        """Return self + other, element by element."""

    @op("+")
    def __radd__(self, other: Operand) -> Array:
        """Return other + self, element by element."""

    @op("*")
    def __mul__(self, other: Operand) -> Array:
        """Return self * other, element by element."""

    @op("*")
    def __rmul__(self, other: Operand) -> Array:
        """Return other * self, element by element."""

    @op("ReLU")
    def relu(self) -> Array:
        """Return each number, or 0 where it is negative.

        >>> array([-1.0, 2.0]).relu()
        Array([0., 2.])
        """

    @op("exp")
    def exp(self) -> Array:
        """Return e to the power of each number; OverflowError above 709.78.

        >>> array([0.0]).exp()
        Array([1.])
        """

    @op("log")
    def log(self) -> Array:
        """Return the natural logarithms; ValueError unless all numbers are positive.

        >>> array([1.0]).log()
        Array([0.])
        """

    @op("tanh")
    def tanh(self) -> Array:
        """Return the hyperbolic tangents.

        >>> array([0.0]).tanh()
        Array([0.])
        """

    @op("sigmoid")
    def sigmoid(self) -> Array:
        """Return the logistic function of each number, 1 / (1 + exp(-x)).

        >>> array([0.0]).sigmoid()
        Array([0.5])
        """

    @op("softplus")
    def softplus(self) -> Array:
        """Return log(1 + exp(x)) of each number, a smooth relu (Dugas et al., 2000).

        >>> array([-1000.0, 1000.0]).softplus()
        Array([   0., 1000.])
        """

    @op("sqrt")
    def sqrt(self) -> Array:
        """Return the square roots; ValueError if a number is negative.

        >>> array([4.0]).sqrt()
        Array([2.])
        """

    @op("sin")
    def sin(self) -> Array:
        """Return the sines of angles in radians; ValueError if one is infinite.

        >>> array([0.0]).sin()
        Array([0.])
        """

    @op("cos")
    def cos(self) -> Array:
        """Return the cosines of angles in radians; ValueError if one is infinite.

        >>> array([0.0]).cos()
        Array([1.])
        """

    @op("detach")
    def detach(self) -> Array:
        """Return the same numbers as nodes that pass no gradient on.

        >>> x = array([3.0])
        >>> (x * x.detach()).backward()
        >>> x.grad
        array([3.])
        """

    @op("abs")
    def abs(self) -> Array:
        """Return the absolute values, also written abs(self); their gradient at 0 is 0.

        >>> array([-2.0]).abs()
        Array([2.])
        """

    __abs__ = abs

    @op("maximum")
    def maximum(self, other: Operand) -> Array:
        """Return the larger of self and other, element by element; nan if either is nan.

        >>> array([1.0, 3.0]).maximum(2.0)
        Array([2., 3.])
        """

    @op("minimum")
    def minimum(self, other: Operand) -> Array:
        """Return the smaller of self and other, element by element; nan if either is nan.

        >>> array([1.0, 3.0]).minimum(2.0)
        Array([1., 2.])
        """

    def __pow__(self, other: Operand) -> Array:  # self ** other
        # A number is part of the op, as in Value ** number; ints are shown as ints.
        if isinstance(other, (list, tuple, np.ndarray)):
            refuse_masked(other)
        floats = other if isinstance(other, np.ndarray) and other.dtype.kind == "f" else None
        if floats is None and isinstance(other, (list, tuple, np.ndarray)):
            return _loop("__pow__", self, _objects(other))
        try:
            if floats is not None:
                return _map_binary(_POWER, "**", self, _for_each(floats.astype(np.float64, copy=False), self.shape))
            if isinstance(other, (Array, Value)):
                return _map_binary(_POW, "**", self, array(other))
            if is_number(other):
                return _map_number(_POWER, "**", self, other)
        except _bulk.Replaced:
            return _loop("__pow__", self, array(other) if isinstance(other, Value) else other)
        return NotImplemented

    @_for_any_operand
    def __rpow__(self, other: Any) -> Array:  # other ** self
        x = other if isinstance(other, Array) else _for_each(np.asarray(other, dtype=np.float64), self.shape)
        return _map_binary(_POW, "**", x, self)

    def __neg__(self) -> Array:  # -self
        try:
            return _map_number(_MUL, "*", self, -1)
        except _bulk.Replaced:
            return _loop("__neg__", self)

    @_for_any_operand
    def __sub__(self, other: Any) -> Array:  # self + (-other)
        return _map_binary(lib.PG_SUBTRACT, "-", self, other) if isinstance(other, Array) else _plus(self, -other)

    @_for_any_operand
    def __rsub__(self, other: Any) -> Array:  # other + (-self)
        if isinstance(other, np.ndarray):
            other = _for_each(other, self.shape)
        if isinstance(other, Array):
            return _map_binary(lib.PG_SUBTRACT, "-", other, self)
        return _map_number(lib.PG_SUBTRACT_FROM, "-", self, other, reverse=True)

    @_for_any_operand
    def __truediv__(self, other: Any) -> Array:  # self * other**-1
        if isinstance(other, Array):
            return _map_binary(lib.PG_DIVIDE, "/", self, other)
        return _times(self, _inverse(other))

    @_for_any_operand
    def __rtruediv__(self, other: Any) -> Array:  # other * self**-1
        if isinstance(other, np.ndarray):
            other = _for_each(other, self.shape)
        if isinstance(other, Array):
            return _map_binary(lib.PG_DIVIDE, "/", other, self)
        return _map_number(lib.PG_DIVIDE_INTO, "/", self, other, reverse=True)

    # In-place operators rebind the name to a new Array, as those of a float do. A module's attribute would then be a
    # computed Array, which is no parameter.

    def __iadd__(self, other: Operand) -> Any:  # self += other
        return self._in_place("+=")

    def __isub__(self, other: Operand) -> Any:  # self -= other
        return self._in_place("-=")

    def __imul__(self, other: Operand) -> Any:  # self *= other
        return self._in_place("*=")

    def __itruediv__(self, other: Operand) -> Any:  # self /= other
        return self._in_place("/=")

    def __ipow__(self, other: Operand) -> Any:  # self **= other
        return self._in_place("**=")

    def __imatmul__(self, other: Operand) -> Any:  # self @= other
        return self._in_place("@=")

    def _in_place(self, operator: str) -> Any:
        if hasattr(self, "_is_parameter"):
            raise TypeError(
                f"{operator} on a parameter would replace it by a computed Array, which is no parameter: "
                f"change its numbers, as in `p.data -= lr * p.grad`"
            )
        return NotImplemented  # Python then takes the operator that is not in place

    # Comparisons: arrays of bools, to which no gradient flows.

    def __eq__(self, other: object) -> Any:  # self == other
        return _compared(np.equal, self, other)

    def __ne__(self, other: object) -> Any:  # self != other
        return _compared(np.not_equal, self, other)

    def __lt__(self, other: Operand) -> Any:  # self < other
        return _compared(np.less, self, other)

    def __le__(self, other: Operand) -> Any:  # self <= other
        return _compared(np.less_equal, self, other)

    def __gt__(self, other: Operand) -> Any:  # self > other
        return _compared(np.greater, self, other)

    def __ge__(self, other: Operand) -> Any:  # self >= other
        return _compared(np.greater_equal, self, other)

    __hash__ = object.__hash__  # by identity, as of PyTorch's tensors: a dict can keep something for each parameter

    def __matmul__(self, other: Operand) -> Array:
        """Return the product of two matrices, of a matrix and a vector, or of two vectors.

        >>> array([[1.0, 2.0], [3.0, 4.0]]) @ array([1.0, 1.0])
        Array([3., 7.])
        """
        return matmul(self, as_array(other)) if isinstance(other, _SEQUENCES) else NotImplemented

    def __rmatmul__(self, other: Operand) -> Array:
        return matmul(as_array(other), self) if isinstance(other, _SEQUENCES) else NotImplemented

    # Reductions

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Add up all elements, or those along the axes; a sum starts from the number 0.

        >>> array([[1.0, 2.0], [3.0, 4.0]]).sum(axis=0)
        Array([4., 6.])
        """
        return self._reduce(_ADD, axis, keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Multiply all elements, or those along the axes; a product starts from the number 1.

        >>> array([2.0, 3.0]).prod()
        Array(6.)
        """
        return self._reduce(_MUL, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return `sum()` divided by the number of elements in each sum; ZeroDivisionError if there are none.

        >>> array([1.0, 2.0]).mean()
        Array(1.5)
        """
        total = self._reduce(_ADD, axis, keepdims)
        if total.size and not self.size:
            raise ZeroDivisionError(f"the mean of no elements: shape {self.shape}, axis {axis}")
        n = self.size // total.size if total.size else 1
        try:
            return _map_number(_MUL, "*", total, _inverse(n))
        except _bulk.Replaced:
            return total / n

    def max(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return the largest element, or the largest along the axes; nan if there is a nan.

        >>> array([1.0, 3.0, 2.0]).max()
        Array(3.)
        """
        return self._reduce(OPS["maximum", 2], axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Return the smallest element, or the smallest along the axes; nan if there is a nan.

        >>> array([1.0, 3.0, 2.0]).min()
        Array(1.)
        """
        return self._reduce(OPS["minimum", 2], axis, keepdims)

    def _reduce(self, code: int, axis: Axis, keepdims: bool) -> Array:
        ids, ndim = self._ids, self._ids.ndim
        if axis is None:
            shape: tuple[int, ...] = (1,) * ndim if keepdims else ()
            n = ids.size
        else:
            axes = (axis % ndim,) if type(axis) is int and -ndim <= axis < ndim else normalize_axes(axis, ndim)
            kept = [i for i in range(ndim) if i not in axes]
            ids = ids.transpose(*kept, *axes)  # the elements of each sum side by side, in order
            n = math.prod(ids.shape[len(kept) :])
            shape = ids.shape[: len(kept)]
            if keepdims:
                shape = tuple(1 if i in axes else size for i, size in enumerate(self._ids.shape))
        if n == 0 and code not in (_ADD, _MUL):
            raise ValueError("zero-size array to reduction operation maximum or minimum which has no identity")
        out = _empty(shape, _IDS)
        try:
            status, holder = _bulk.reduce(code, n, ids, out)
        except _bulk.Replaced:
            return _reduced_in_loop(code, hold(ids.reshape(out.size, n), self._pins)).reshape(shape)
        return built(status, holder, out, str, self) if status else _wrap(out, holder)

    # The graph

    def backward(self) -> None:
        """Add the derivative of this number to the grad of everything it was computed from; see `Value.backward`.

        Raises
        ------
        ValueError
            if the Array does not have exactly one element.

        Examples
        --------
        >>> x = array([1.0, 2.0])
        >>> (x * x).sum().backward()
        >>> x.grad
        array([2., 4.])
        """
        if self.size != 1:
            raise ValueError(f"backward() needs one number, not shape {self.shape}: call it on .sum() or .mean()")
        backward_from(int(self._ids.flat[0]))

    @property
    def data(self) -> Numbers:
        """The numbers, in the Array's shape: a view or a copy, as the class says."""
        return self._read(lib.PG_DATA)

    @data.setter
    def data(self, data: npt.ArrayLike) -> None:
        self._assign(lib.PG_DATA, data)

    @property
    def grad(self) -> Numbers:
        """The derivatives by the elements of what `backward()` was called on: a view or a copy, as the class says."""
        return self._read(lib.PG_GRAD)

    @grad.setter
    def grad(self, grad: npt.ArrayLike) -> None:
        if is_number(grad) and grad == 0:  # as zero_grad(): from here on, no gradient has reached it
            check(lib.pg_fill(lib.PG_GRAD, self.size, c_ids_of(self._ids), 0.0), "an Array")
        else:
            self._assign(lib.PG_GRAD, grad)

    def _read(self, field: int) -> Numbers:
        if self._views:
            return self._views[field]
        nodes = shown(self._holder)
        if nodes.leaves and (self._ids is nodes.ids or self._ids.base is nodes.ids):
            self._views = leaf_view(nodes, self._ids, lib.PG_DATA), leaf_view(nodes, self._ids, lib.PG_GRAD)
            return self._views[field]
        numbers = np.empty(self._ids.shape)
        check(lib.pg_read(field, numbers.size, c_ids_of(self._ids), c_doubles(numbers)), "an Array")
        numbers.flags.writeable = False
        return numbers

    def _assign(self, field: int, x: npt.ArrayLike) -> None:
        now = self._read(field)
        if x is now:  # after `a.data -= ...`, which has done it already
            return
        new = x.data if isinstance(x, Array) else as_elements(x).astype(np.float64, copy=False)
        if now.flags.writeable:
            now[...] = new
            return
        numbers = np.empty(self._ids.shape)
        numbers[...] = new
        check(lib.pg_write(field, numbers.size, c_ids_of(self._ids), c_doubles(numbers)), "an Array")

    def _number(self, at: int) -> float:
        return lib.pg_data(int(self._ids.flat[at]))

    def __copy__(self) -> Array:
        return copy.deepcopy(self)  # copy.copy would make a view

    def __reduce__(self) -> tuple[Any, ...]:  # what pickle and copy.deepcopy make it of: see _runs
        if not lib.pg_all_leaves(self.size, c_ids_of(self._ids)):
            raise TypeError("only an Array of leaves can be pickled or copied, not a computed one: copy array(a.data)")
        ids, first, places, counts = np.unique(self._ids, return_index=True, return_inverse=True, return_counts=True)
        named = {int(place): label for place, id in zip(first, ids.tolist()) if (label := labels.get(id))}
        numbers = np.array(self.data), np.array(self.grad)
        run = shown(self._holder)
        if self._views:
            at = (int(self._ids.flat[0]) - int(run.ids.flat[0])) if self.size else 0
            strides = tuple(step // run.ids.itemsize for step in self._ids.strides)
            return _view_again, (run, at, self.shape, strides, *numbers, named)
        if any(lib.pg_refs(id) > count for id, count in zip(ids.tolist(), counts.tolist())):
            return _joined_again, (_shared_parts(ids), places.reshape(self.shape))
        again = None if len(ids) == self.size else first[places.ravel()].reshape(self.shape)
        return _leaves_again, (*numbers, again, named)

    # NumPy's interface

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self._ids.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._ids.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._ids.size

    @property
    def T(self) -> Array:
        """The same elements with the axes in reverse order."""
        return self.transpose()

    def _like(self, ids: Ids) -> Array:
        """An Array of some of these elements. Where the ids are a view, the nodes are held already."""
        held = shown(self._holder).ids
        return _wrap(ids, self._holder, self._pins) if ids is held or ids.base is held else hold(ids, self._pins)

    def transpose(self, *axes: Any) -> Array:
        """Return the same elements with the axes in another order, by default reversed; see `numpy.ndarray.transpose`.

        >>> array([[1.0, 2.0]]).transpose().shape
        (2, 1)
        """
        return self._like(self._ids.transpose(*axes))

    def swapaxes(self, axis1: SupportsIndex, axis2: SupportsIndex) -> Array:
        """Return the same elements with two axes interchanged.

        >>> array([[1.0, 2.0]]).swapaxes(0, 1).shape
        (2, 1)
        """
        return self._like(self._ids.swapaxes(axis1, axis2))

    def reshape(self, *shape: Any) -> Array:
        """Return the same elements in another shape; one size may be -1, which is then worked out.

        >>> array([1.0, 2.0, 3.0, 4.0]).reshape(2, -1).shape
        (2, 2)
        """
        return self._like(self._ids.reshape(*shape))

    def ravel(self) -> Array:
        """Return the elements on one axis.

        >>> array([[1.0, 2.0]]).ravel()
        Array([1., 2.])
        """
        return self._like(self._ids.ravel())

    flatten = ravel

    def squeeze(self, axis: Axis = None) -> Array:
        """Return the same elements without the axes of size 1, or without those named.

        >>> array([[1.0, 2.0]]).squeeze().shape
        (2,)
        """
        return self._like(self._ids.squeeze(axis))

    def __getitem__(self, key: Any) -> Any:
        if has_index(key):
            return self._look_up(key)
        ids = self._ids[key]
        return self._like(ids) if isinstance(ids, np.ndarray) else value_of(int(ids), self._pins and (self,))

    def _look_up(self, key: Any) -> Any:
        """`self[key]` with an Index in the key: the elements that NumPy would choose, whatever the integers are."""
        chosen = self[plain_key(key)]
        at = traced_index(key)
        if at is None:
            return chosen
        nodes = chosen.detach()
        ids = nodes._ids if isinstance(nodes, Array) else np.array(nodes._id, dtype=np.uint32)
        record_look_up(self._ids, key, at, ids, held=(self, nodes))
        return nodes

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

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return map(self.__getitem__, range(len(self)))

    def tolist(self) -> Any:
        """Return the Values in nested lists; for an Array of shape `()` the Value itself.

        >>> array([1.0]).tolist()
        [Value(data=1.0, grad=0)]
        """
        return (
            [element.tolist() if isinstance(element, Array) else element for element in self] if self.ndim else self[()]
        )

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

    def __pos__(self) -> Array:
        return self

    def __bool__(self) -> bool:
        return bool(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else str(self)

    def __repr__(self) -> str:
        shape = "" if self.size or self.ndim == 1 else f", shape={self.shape}"
        return f"Array({np.array2string(self.data, separator=', ', prefix='Array(')}{shape})"


_SEQUENCES = (Array, Value, np.ndarray, list, tuple)


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


def _leaves_again(data: Numbers, grad: Numbers, places: npt.NDArray[Any] | None, named: dict[int, str]) -> Array:
    """What pickle and copy call. `places` says where among the elements a node came first, if one came twice."""
    leaves = make_leaves(data)
    leaves.grad = grad
    for place, label in named.items():
        labels.set(int(leaves._ids.flat[place]), label)
    return leaves if places is None else leaves.ravel()[places]


def _view_again(
    run: Any,
    at: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    data: Numbers,
    grad: Numbers,
    named: dict[int, str],
) -> Array:
    """The same for a view of leaves, or of all: of a run, from a place on."""
    size = run.ids.itemsize
    ids: Ids = np.ndarray(shape, _IDS, run.ids, at * size, [step * size for step in strides])
    view = _wrap(ids, as_holder(run))
    view.data, view.grad = data, grad
    for place, label in named.items():
        labels.set(int(ids.flat[place]), label)
    return view


def _joined_again(parts: list[Any], places: npt.NDArray[Any]) -> Array:
    """The same for leaves that other objects have, too."""
    ids = [part._ids.ravel() if isinstance(part, Array) else [part._id] for part in parts]
    return hold(np.concatenate(ids).astype(_IDS)[places])


def _shared_parts(ids: Ids) -> list[Any]:
    """Leaves, in the order of their ids: views of the runs that they are in, and else Values."""
    parts: list[Any] = []
    while ids.size:
        run, n = run_of(int(ids[0])), 1
        if run is not None:
            at = int(ids[0]) - int(run.ids.flat[0])
            beside = np.flatnonzero(ids != ids[0] + np.arange(ids.size, dtype=np.uint32))
            n = min(int(beside[0]) if beside.size else ids.size, run.ids.size - at)
            parts.append(_wrap(run.ids.reshape(-1)[at : at + n], as_holder(run)))
        else:
            parts.append(value_of(int(ids[0])))
        ids = ids[n:]
    return parts


# From ids and numbers to Arrays ------------------------------------------------------------------------------------


def _wrap(ids: Ids, holder: npt.NDArray[Any], pins: tuple[Any, ...] = ()) -> Array:
    out: Array = _new(Array)
    out._ids, out._holder, out._pins, out._views = ids, holder, pins, ()
    return out


def make_leaves(numbers: Numbers, plain: bool = False) -> Array:
    """An Array of new leaves with these numbers; plain, if they are numbers of an expression, as in `a + 1`."""
    out = _empty(numbers.shape, _IDS)
    status, holder = _bulk.leaves(plain, numbers, out)
    if status:
        raise error(status, f"an Array of {numbers.size:,} numbers")
    return _wrap(out, holder)


def hold(ids: Ids, pins: tuple[Any, ...] = ()) -> Array:
    """An Array of existing nodes, on which it takes a hold of its own."""
    ids = np.array(ids, _IDS, order="C")
    status, holder = _bulk.hold_all(ids)
    check(status, "an Array of these Values")
    return _wrap(ids, holder, pins if status else ())


def built(status: int, holder: Any, out: Ids, what: Callable[[int], str], *operands: Any) -> Array:
    """The Array of what a bulk builder of _bulk.py made in `out`, or the exception for its status.

    `what` names the op of the element at which it failed; `operands` are pinned where that is needed (PG_SOME_PINNED).
    """
    if status in (lib.PG_NO_MEMORY, lib.PG_STALE, lib.PG_ESCAPED):
        raise error(status, f"an Array of shape {out.shape}")
    if status < 0:
        at = int(out.flat[0])
        where = f" at index {tuple(map(int, np.unravel_index(at, out.shape)))}" if out.ndim else ""
        raise error(status, what(at) + where)
    return _wrap(out, holder, tuple(x for x in operands if x is not None) if status else ())


def _element(x: Any) -> Value | float:
    """A Value, or a number as a Python int or float; TypeError or ValueError for anything else."""
    if isinstance(x, (Array, np.ndarray)) and not x.ndim:
        x = x[()]
    if isinstance(x, Value):
        return x
    if isinstance(x, (list, tuple, Array, np.ndarray)):
        raise ValueError("setting an array element with a sequence: the lists differ in length or depth")
    if not is_number(x):
        refuse_masked(x)
        raise TypeError(f"an Array takes real numbers and Values, not {type(x).__name__!r}")
    return x if isinstance(x, int) else float(x)


def _objects(x: Any) -> npt.NDArray[Any]:
    """The elements of nested lists or of a NumPy array: Values, floats and Python ints."""
    objects = np.array(x, dtype=object)
    out = np.empty(objects.size, dtype=object)
    out[:] = [_element(element) for element in objects.ravel().tolist()]
    return out.reshape(objects.shape)


def as_elements(x: Any) -> npt.NDArray[Any]:
    """The elements of nested lists or of an array: as float64 if all are numbers, else as objects (see _element)."""
    elements = x if type(x) is np.ndarray else to_ndarray(x)
    if elements.dtype.kind in "biuf" or is_real(elements.dtype):
        return elements.astype(np.float64, copy=False)
    if elements.dtype.kind not in "OSU":
        raise TypeError(f"an Array takes real numbers and Values, not {elements.dtype}")
    objects = _objects(elements)
    return objects if any(isinstance(o, Value) for o in objects.flat) else objects.astype(np.float64)


# Ops --------------------------------------------------------------------------------------------------------------


def _op(name: str, symbol: str, arity: int) -> Any:
    """The method of a row of csrc/ops.def."""
    code = OPS[symbol, arity]

    def unary(self: Array) -> Array:
        out = _empty(self._ids.shape, _IDS)
        try:
            status, holder = _bulk.map_unary(code, self._ids, out)
        except _bulk.Replaced:
            return _loop(name, self)
        if not status:
            return _wrap(out, holder)
        return built(status, holder, out, lambda at: formula(symbol, self._number(at)), self)

    if arity == 1:
        return unary
    binary = _mapped(code, symbol)
    binary.__name__ = name
    return _for_any_operand(binary)


def _mapped(code: int, symbol: str) -> Callable[[Array, Any], Array]:
    """The function that applies an op to each element of x and an Array, numbers or a number."""

    def binary(x: Array, y: Any) -> Array:
        if isinstance(y, np.ndarray):
            y = _for_each(y, x.shape)
        return (_map_binary if isinstance(y, Array) else _map_number)(code, symbol, x, y)

    return binary


def _map_number(code: int, symbol: str, x: Array, y: Number, reverse: bool = False) -> Array:
    """[op(xi, y) for xi in x], or with y first."""
    out = _empty(x._ids.shape, _IDS)
    status, holder = _bulk.map_number(code, x._ids, y, isinstance(y, int), out)
    if not status:
        return _wrap(out, holder)
    order = -1 if reverse else 1
    return built(status, holder, out, lambda at: formula(symbol, *(x._number(at), y)[::order]), x)


def _map_binary(code: int, symbol: str, x: Array, y: Array) -> Array:
    """[op(xi, yi) for xi, yi in zip(x, y)], broadcast."""
    a, b = x._ids, y._ids
    if a.shape != b.shape:
        a, b = _broadcast(a, b)
    out = _empty(a.shape, _IDS)
    status, holder = _bulk.map_binary(code, a, b, out)
    if not status:
        return _wrap(out, holder)

    def what(at: int) -> str:
        return formula(symbol, lib.pg_data(int(a.flat[at])), lib.pg_data(int(b.flat[at])))

    return built(status, holder, out, what, x, y)


def _broadcast(*arrays: Ids) -> list[Ids]:
    """The ids in one shape, repeated: copies, which C needs, in half the time of numpy.broadcast_arrays."""
    try:
        shape = np.broadcast(*arrays).shape
    except ValueError:
        shapes = " ".join(str(ids.shape) for ids in arrays)
        raise ValueError(f"operands could not be broadcast together with shapes {shapes}") from None
    return [ids if ids.shape == shape else _repeated(ids, shape) for ids in arrays]


def _repeated(ids: Ids, shape: tuple[int, ...]) -> Ids:
    out = _empty(shape, _IDS)
    out[...] = ids
    return out


def _for_each(numbers: Numbers, shape: tuple[int, ...]) -> Array:
    """Numbers as the other operand: broadcast first, so that each scalar op gets a leaf of its own."""
    if numbers.shape == shape:
        return make_leaves(numbers, plain=True)
    try:
        return make_leaves(np.broadcast_to(numbers, np.broadcast_shapes(numbers.shape, shape)), plain=True)
    except ValueError:
        raise ValueError(f"operands could not be broadcast together with shapes {shape} {numbers.shape}") from None


_plus, _times = _mapped(_ADD, "+"), _mapped(_MUL, "*")


def _compared(holds: Any, x: Array, y: Any) -> Any:
    """Where the numbers of x and y are so related; NotImplemented if y has none."""
    if isinstance(y, (Array, Value)):
        return holds(x.data, y.data)
    if isinstance(y, (list, tuple, np.ndarray)):
        return holds(x.data, as_elements(y).astype(np.float64, copy=False))
    refuse_masked(y)
    return holds(x.data, to_python(y)) if is_number(y) else NotImplemented


def _inverse(y: Any) -> Any:
    """y**-1 of each number as Python computes it: the same bits, and its ZeroDivisionError."""
    return np.array([_inverse(x) for x in y.ravel().tolist()]).reshape(y.shape) if isinstance(y, np.ndarray) else y**-1


def _steps(ids: Ids) -> tuple[Ids, int, int]:
    """A matrix for C: ids in C order, and the steps between rows and between columns. A transpose is not copied."""
    rows, columns = ids.shape
    if not ids.flags.c_contiguous and ids.T.flags.c_contiguous:
        return ids.T, 1, rows
    return ids, columns, 1


def matmul(x: Array, y: Array, bias: Array | None = None) -> Array:
    """Return x @ y, where each sum starts from its column's bias."""
    if x.ndim not in (1, 2) or y.ndim not in (1, 2) or x.shape[-1] != y.shape[0]:
        if x.ndim > 2 or y.ndim > 2:
            raise ValueError(f"matmul: Arrays must have 1 or 2 axes, not shapes {x.shape} and {y.shape}")
        np.matmul(np.empty(x.shape), np.empty(y.shape))  # raises NumPy's error
    a = x._ids if x.ndim == 2 else x._ids[None, :]
    b = y._ids if y.ndim == 2 else y._ids[:, None]
    (rows, n), columns = a.shape, b.shape[1]
    out = _empty(x.shape[:-1] + y.shape[1:], _IDS)
    start = None if bias is None else bias._ids
    try:
        status, holder = _bulk.matmul(rows, n, columns, *_steps(a), *_steps(b), start, out)
    except _bulk.Replaced:
        return _matmul_in_loop(x._like(a), y._like(b), [0] * columns if bias is None else bias).reshape(out.shape)
    return built(status, holder, out, str, x, y, bias) if status else _wrap(out, holder)


# The loops themselves, for methods of Values that a program has replaced.


def _reduced_in_loop(code: int, rows: Array) -> Array:
    if code in (_ADD, _MUL):
        return array([sum(row) if code == _ADD else math.prod(row) for row in rows])
    larger_or_smaller = Value.maximum if code == OPS["maximum", 2] else Value.minimum
    return array([functools.reduce(larger_or_smaller, row) for row in rows])


def _matmul_in_loop(x: Array, y: Array, bias: Any) -> Array:
    return array([[sum(map(operator.mul, row, column), b) for column, b in zip(y.T, bias)] for row in x])


_read = Array._read


def _note_and_read(x: Array, field: int) -> Numbers:
    first_read.note()
    if x._views and x.size:
        x._number(0)  # a trace counts that; the views it does not see
    return _read(x, field)


define_ops(Array, _op)
first_read.add_reader(Array, "_read", _note_and_read)
