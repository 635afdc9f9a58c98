"""Array: many Values at once, with NumPy's manners.

Every element is a scalar node. An expression on Arrays builds the graph that the same expression, written as a loop
over Values, would build, node for node and in the same order; but a whole loop is one call of C (csrc/bulk.c).

An Array is a NumPy array of node ids and whatever holds those nodes: so a view, a reshaped or an indexed Array is one
of the ids.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, SupportsIndex, Union

import numpy as np
import numpy.typing as npt

try:
    from numpy.lib import array_utils
except ImportError:  # NumPy 1
    from numpy.core import numeric as array_utils  # type: ignore[no-redef, attr-defined, unused-ignore]

from pygrad._lib import OPS, check, error, ffi, lib
from pygrad.engine import Number, Value, _backward, _handle, _hidden, _in_words, _is_number, _labels
from pygrad.lookup import has_index, look_up

Ids = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.float64]
Operand = Union["Array", Value, Number, npt.ArrayLike]
Axis = Union[None, int, tuple[int, ...]]

_axes = array_utils.normalize_axis_tuple  # negative ones counted from the end; NumPy's errors

_NONE: Any = ffi.NULL
_from_buffer = ffi.from_buffer
_new = object.__new__
_ADD, _MUL, _POWER, _POW = (OPS[key] for key in (("+", 2), ("*", 2), ("**", 1), ("**", 2)))


def _pointer(ids: Ids) -> Any:
    """For C, which takes ids in C order."""
    return _from_buffer("pg_id[]", ids if ids.flags.c_contiguous else np.ascontiguousarray(ids))


# Holding nodes ----------------------------------------------------------------------------------------------------


class _Nodes:
    """Holds nodes: one hold each, which it is given, and lets go of when it goes. Arrays have it hidden."""

    __slots__ = ("ids",)

    def __init__(self, ids: Ids) -> None:
        self.ids = ids

    def __del__(self, release: Any = lib.pg_release_all, from_buffer: Any = ffi.from_buffer) -> None:
        release(self.ids.size, from_buffer("pg_id[]", self.ids))


class _Leaves(_Nodes):
    """Leaves with consecutive ids, whose data and grads therefore lie evenly spaced, for NumPy to look at."""

    __slots__ = ()

    def look(self, ids: Ids, part: int) -> Numbers:
        """The data or the grads of some of them; `ids` is a view of self.ids."""
        if not ids.size:
            return np.empty(ids.shape)
        at = int(ffi.cast("uintptr_t", lib.pg_data_at(int(ids[(0,) * ids.ndim])) + part))
        return np.asarray(
            _Memory(self, at, ids.shape, tuple(s // ids.itemsize * lib.PG_NODE_BYTES for s in ids.strides))
        )


class _Memory:
    """What NumPy asks for before it looks at memory. The array that comes of it keeps this, and so the nodes."""

    def __init__(self, nodes: _Leaves, at: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.nodes = nodes
        self.__array_interface__ = {
            "version": 3, "typestr": np.dtype(float).str, "data": (at, False), "shape": shape, "strides": strides,
        }  # fmt: skip


# Making Arrays ----------------------------------------------------------------------------------------------------


def _array(ids: Ids, nodes: npt.NDArray[Any], pins: tuple[Any, ...] = ()) -> Array:
    out: Array = _new(Array)
    out._ids, out._nodes, out._pins = ids, nodes, pins
    return out


def _leaves(numbers: Numbers) -> Array:
    """New leaves with these numbers."""
    flat = np.ascontiguousarray(numbers, dtype=np.float64).ravel()
    ids = np.arange(flat.size, dtype=np.uint32)  # while there are no nodes that would leak if this fails
    ids += np.uint32(
        check(lib.pg_leaves(flat.size, _from_buffer("double[]", flat)), f"an Array of {flat.size:,} numbers")
    )
    nodes = _Leaves(ids)
    return _array(nodes.ids.reshape(numbers.shape), _hidden(nodes))


def _holding(ids: Ids, pins: tuple[Any, ...] = ()) -> Array:
    """An Array of nodes that are there, on which it takes a hold of its own."""
    ids = np.array(ids, dtype=np.uint32, order="C")
    status = check(lib.pg_hold_all(ids.size, _pointer(ids)), "an Array of these Values")
    return _array(ids, _hidden(_Nodes(ids)), pins if status else ())


def _made(status: int, out: Ids, what: Callable[[int], str], *operands: Any) -> Array:
    """The Array of the results of a builder of csrc/pygrad.h, or the exception: `what` names the element's op."""
    if status in (lib.PG_NO_MEMORY, lib.PG_STALE):
        raise error(status, f"an Array of shape {out.shape}")
    if status < 0:
        at = int(out.flat[0])
        where = f" at index {tuple(map(int, np.unravel_index(at, out.shape)))}" if out.ndim else ""
        raise error(status, what(at) + where)
    # PG_SOME_PINNED: a Python _backward is at or below an operand; see engine._made.
    return _array(out, _hidden(_Nodes(out)), tuple(x for x in operands if x is not None) if status else ())


def _element(x: Any) -> Value | float:
    """An element of an Array to be."""
    if isinstance(x, (Array, np.ndarray)) and not x.ndim:
        x = x[()]
    if isinstance(x, Value):
        return x
    if isinstance(x, (list, tuple, Array, np.ndarray)):
        raise ValueError("setting an array element with a sequence: the lists are of different lengths or depths")
    if not _is_number(x):
        raise TypeError(f"an Array is made of real numbers and Values, not of {type(x).__name__!r}")
    return x if isinstance(x, int) else float(x)


def _objects(x: Any) -> npt.NDArray[Any]:
    """What is in nested lists or a NumPy array: Values, floats and Python's ints."""
    objects = np.array(x, dtype=object)
    out = np.empty(objects.size, dtype=object)
    out[:] = [_element(element) for element in objects.ravel().tolist()]
    return out.reshape(objects.shape)


def _elements(x: Any) -> npt.NDArray[Any]:
    """The same as floats, unless there is a Value among them."""
    elements = x if isinstance(x, np.ndarray) else np.array(x)
    if elements.dtype.kind in "biuf":
        return elements.astype(np.float64, copy=False)
    if elements.dtype.kind not in "OSU":
        raise TypeError(f"an Array is made of real numbers and Values, not of {elements.dtype}")
    objects = _objects(elements)
    return objects if any(isinstance(o, Value) for o in objects.flat) else objects.astype(np.float64)


def array(x: Any) -> Array:
    """Make an Array of numbers, Values, Arrays, NumPy arrays or nested lists of these.

    Each number becomes a leaf; a Value stays the node it is.

    Raises
    ------
    ValueError
        if the lists have no common shape.
    TypeError
        if there is anything in them that is neither a real number nor a Value.

    Examples
    --------
    >>> w = array([[1.0, 2.0], [3.0, 4.0]])
    >>> (w * w).sum().backward()
    >>> w.grad
    array([[2., 4.],
           [6., 8.]])
    """
    if isinstance(x, Array):
        return x._like(x._ids)
    if isinstance(x, (list, tuple)) and any(isinstance(element, Array) and element.ndim for element in x):
        return stack(x)
    elements = _elements(x)
    if elements.dtype != object:
        return _leaves(elements)
    values = [element for element in elements.flat if isinstance(element, Value)]
    is_value = np.array([isinstance(element, Value) for element in elements.flat]).reshape(elements.shape)
    leaves = _leaves(elements[~is_value].astype(np.float64))
    ids = np.empty(elements.shape, dtype=np.uint32)
    ids[is_value] = [value._id for value in values]
    ids[~is_value] = leaves._ids
    return _holding(ids, tuple(values))


def concatenate(arrays: Sequence[Operand], axis: SupportsIndex | None = 0) -> Array:
    """Join Arrays along an axis they have; `None` joins all their elements. See `numpy.concatenate`.

    Examples
    --------
    >>> concatenate([array([1.0]), array([2.0, 3.0])])
    Array([1., 2., 3.])
    """
    return _joined(np.concatenate, arrays, axis)


def stack(arrays: Sequence[Operand], axis: SupportsIndex = 0) -> Array:
    """Join Arrays of one shape along a new axis. See `numpy.stack`.

    Examples
    --------
    >>> stack([array([1.0, 2.0]), array([3.0, 4.0])]).shape
    (2, 2)
    """
    return _joined(np.stack, arrays, axis)


def _joined(join: Any, arrays: Sequence[Operand], axis: Any) -> Array:
    parts = [array(part) for part in arrays]
    return _holding(join([part._ids for part in parts], axis=axis), tuple(parts))


def where(condition: npt.ArrayLike, x: Operand, y: Operand) -> Array:
    """Take the elements of x where the condition is true, and elsewhere those of y. See `numpy.where`.

    Examples
    --------
    >>> where([True, False], array([1.0, 2.0]), 0.0)
    Array([1., 0.])
    """
    x, y = array(x), array(y)
    truth = np.array(object) if isinstance(condition, Array) else np.asarray(condition)
    if truth.dtype == object:
        raise TypeError("a condition is made of numbers, not of Values: take those of x.data")
    return _holding(np.where(truth, x._ids, y._ids), (x, y))


def node_ids(nodes: Iterable[Any]) -> Ids:
    """The ids of all the nodes of Values and Arrays, in a row."""
    ids: list[Ids] = [np.empty(0, dtype=np.uint32)]
    values: list[int] = []
    for item in nodes:
        if isinstance(item, Value):
            values.append(item._id)
        elif isinstance(item, Array):
            ids += [np.array(values, dtype=np.uint32), item._ids.ravel()]
            values = []
        else:
            raise TypeError(f"parameters are Values and Arrays, not {type(item).__name__!r}")
    return np.concatenate([*ids, np.array(values, dtype=np.uint32)])


def set_grads(ids: Ids, grads: float | Numbers) -> None:
    """Set the grads of nodes, to one number or to one each."""
    if isinstance(grads, float):
        status = lib.pg_fill(lib.PG_GRAD, ids.size, _pointer(ids), grads)
    else:
        status = lib.pg_write(lib.PG_GRAD, ids.size, _pointer(ids), _from_buffer("double[]", grads))
    check(status, "a parameter")


def grads_of(ids: Ids) -> Numbers:
    """The grads of nodes."""
    grads = np.empty(ids.size)
    check(lib.pg_read(lib.PG_GRAD, ids.size, _pointer(ids), _from_buffer("double[]", grads)), "a parameter")
    return grads


def is_leaf(nodes: Value | Array) -> bool:
    """Whether none of the nodes was computed from others."""
    ids = nodes._ids if isinstance(nodes, Array) else np.array([nodes._id], dtype=np.uint32)
    return lib.pg_all_leaves(ids.size, _pointer(ids))  # type: ignore[no-any-return]


# Operators --------------------------------------------------------------------------------------------------------


def _unary(symbol: str, doc: str) -> Callable[[Array], Array]:
    """The method of an op of one operand, a row of csrc/ops.def."""
    code = OPS[symbol, 1]

    def method(self: Array) -> Array:
        out = np.empty(self._ids.shape, dtype=np.uint32)
        status = lib.pg_map_unary(code, out.size, _pointer(self._ids), _from_buffer("pg_id[]", out))
        return _made(status, out, lambda at: _in_words(symbol, self._number(at)), self)

    method.__doc__ = doc
    return method


def _map_number(code: int, symbol: str, x: Array, y: Number, reverse: bool = False, integral: bool = False) -> Array:
    """[op(xi, y) for xi in x], or with y first."""
    y = float(y)
    out = np.empty(x._ids.shape, dtype=np.uint32)
    status = lib.pg_map_number(code, out.size, _pointer(x._ids), y, integral, _from_buffer("pg_id[]", out))
    order = -1 if reverse else 1
    return _made(status, out, lambda at: _in_words(symbol, *(x._number(at), y)[::order]), x)


def _map_binary(code: int, symbol: str, x: Array, y: Array) -> Array:
    """[op(xi, yi) for xi, yi in zip(x, y)], broadcast."""
    a, b = x._ids, y._ids
    if a.shape != b.shape:
        try:
            a, b = np.broadcast_arrays(a, b)
        except ValueError:
            raise ValueError(f"operands could not be broadcast together with shapes {x.shape} {y.shape}") from None
    out = np.empty(a.shape, dtype=np.uint32)
    status = lib.pg_map_binary(code, out.size, _pointer(a), _pointer(b), _from_buffer("pg_id[]", out))

    def what(at: int) -> str:
        return _in_words(symbol, lib.pg_data(int(a.flat[at])), lib.pg_data(int(b.flat[at])))

    return _made(status, out, what, x, y)


def _for_each(numbers: Numbers, shape: tuple[int, ...]) -> Array:
    """Numbers as the other operand: broadcast, so that there is a leaf for each scalar op."""
    try:
        return _leaves(np.broadcast_to(numbers, np.broadcast_shapes(numbers.shape, shape)))
    except ValueError:
        raise ValueError(f"operands could not be broadcast together with shapes {shape} {numbers.shape}") from None


def _inverse(y: Any) -> Any:
    """y**-1, of each number as Python computes it, to the last bit, and with its ZeroDivisionError."""
    return np.array([_inverse(x) for x in y.ravel().tolist()]).reshape(y.shape) if isinstance(y, np.ndarray) else y**-1


def _operator(method: Callable[[Array, Any], Array]) -> Callable[[Array, Operand], Array]:
    """An operator for any operand, of one whose operand is an Array, a Python number or a NumPy array of floats.

    Where an operand has Values and numbers in it, the scalar loop itself is run.
    """

    @functools.wraps(method)
    def of_any(self: Array, other: Operand) -> Array:
        if isinstance(other, Array):
            return method(self, other)
        if isinstance(other, Value):
            return method(self, array(other))
        if isinstance(other, (list, tuple, np.ndarray)):
            elements = _elements(other)
            if elements.dtype != object:
                return method(self, elements if elements.ndim else float(elements))
            if all(isinstance(element, Value) for element in elements.flat):
                return method(self, array(elements))
            return _loop(method.__name__, self, elements)
        if _is_number(other):
            return method(self, other if isinstance(other, int) else float(other))
        if not method.__name__.startswith("__"):
            raise TypeError(f"{method.__name__}() takes an Array, a Value or numbers, not {type(other).__name__!r}")
        return NotImplemented  # type: ignore[no-any-return]

    return of_any


def _loop(name: str, x: Array, y: npt.NDArray[Any]) -> Array:
    """The scalar loop of a method: "__sub__", "__rsub__", "maximum", ..."""
    values = np.empty(x.size, dtype=object)
    values[:] = x.ravel().tolist()
    op = getattr(Value, name)
    if name.startswith("__r"):
        forward = getattr(operator, name.strip("_")[1:])

        def op(a: Value, b: Any) -> Value:
            return forward(b, a)  # type: ignore[no-any-return]

    return array(np.frompyfunc(op, 2, 1)(values.reshape(x.shape), y))


def _binary(symbol: str, name: str, doc: str) -> Callable[[Array, Operand], Array]:
    """The method of an op of two operands, a row of csrc/ops.def."""
    code = OPS[symbol, 2]

    def method(self: Array, other: Any) -> Array:
        if isinstance(other, np.ndarray):
            other = _for_each(other, self.shape)
        return (_map_binary if isinstance(other, Array) else _map_number)(code, symbol, self, other)

    method.__name__, method.__doc__ = name, doc
    return _operator(method)


class Array:
    """An n-dimensional array of Values; `pygrad.array` makes one.

    It indexes, slices, broadcasts and reshapes as a NumPy array does, and raises what NumPy raises. `a[i, j]` is a
    `Value`; what NumPy gives as a scalar otherwise (`a.sum()`, `x @ y`) is an Array without axes, of shape `()`.
    Operators and methods work element by element; where they mix with numbers, each number is a leaf for each op.

    Attributes
    ----------
    data, grad
        The numbers, as NumPy arrays. Those of an Array of leaves that was made of numbers, and of its views, are live:
        `w.data -= 0.1 * w.grad` trains it. Of others they are copies, which cannot be written to; assigning to
        `a.data` or `a.grad` as a whole always works.

    Examples
    --------
    >>> x = array([[1.0, 2.0], [3.0, 4.0]])
    >>> y = (x @ x).relu().sum()
    >>> y.backward()
    >>> y, x.grad
    (Array(54.), array([[ 7., 11.],
           [ 9., 13.]]))
    """

    # _ids: of the elements. _nodes: what holds them, hidden. _pins: operands, if a Python _backward is
    # among what is below (see engine._made). _views: the live data and grad.
    __slots__ = ("__weakref__", "_ids", "_nodes", "_pins", "_views")

    __array_ufunc__ = None  # NumPy's arrays leave `x + a` to us

    def __init__(self) -> None:
        raise TypeError("pygrad.array() makes Arrays")

    _ids: Ids
    _nodes: npt.NDArray[Any]
    _pins: tuple[Any, ...]
    _views: tuple[Numbers, Numbers]

    # The primitives, and what is made of them, as in engine.Value.

    __add__ = __radd__ = _binary("+", "__add__", "Return self + other, element by element.")
    __mul__ = __rmul__ = _binary("*", "__mul__", "Return self * other, element by element.")
    relu = _unary("ReLU", "Each number if it is not negative, else 0.")
    exp = _unary("exp", "e to the power of each.")
    log = _unary("log", "The natural logarithms.")
    tanh = _unary("tanh", "The hyperbolic tangents.")
    sigmoid = _unary("sigmoid", "The logistic function of each, 1 / (1 + exp(-x)).")
    sqrt = _unary("sqrt", "The square roots.")
    sin = _unary("sin", "The sines of angles in radians.")
    cos = _unary("cos", "The cosines of angles in radians.")
    detach = _unary("detach", "The same numbers, through which no gradient goes.")
    abs = __abs__ = _unary("abs", "The absolute values.")
    maximum = _binary("maximum", "maximum", "The larger of self and other, element by element.")
    minimum = _binary("minimum", "minimum", "The smaller of self and other, element by element.")

    def __pow__(self, other: Operand) -> Array:  # self ** other
        # Each number is a part of its op, as in Value ** number; ints are shown as such.
        if isinstance(other, np.ndarray) and other.dtype.kind == "f":
            return _map_binary(_POWER, "**", self, _for_each(other, self.shape))
        if isinstance(other, (list, tuple, np.ndarray)):
            return _loop("__pow__", self, _objects(other))
        if isinstance(other, (Array, Value)):
            return _map_binary(_POW, "**", self, array(other))
        if _is_number(other):
            return _map_number(_POWER, "**", self, other, integral=isinstance(other, int))
        return NotImplemented

    @_operator
    def __rpow__(self, other: Any) -> Array:  # other ** self
        x = other if isinstance(other, Array) else _for_each(np.asarray(other, dtype=np.float64), self.shape)
        return _map_binary(_POW, "**", x, self)

    def __neg__(self) -> Array:  # -self
        return self * -1.0

    @_operator
    def __sub__(self, other: Any) -> Array:  # self + (-other)
        return _map_binary(lib.PG_SUBTRACT, "-", self, other) if isinstance(other, Array) else self + -other

    @_operator
    def __rsub__(self, other: Any) -> Array:  # other + (-self)
        if isinstance(other, np.ndarray):
            other = _for_each(other, self.shape)
        if isinstance(other, Array):
            return _map_binary(lib.PG_SUBTRACT, "-", other, self)
        return _map_number(lib.PG_SUBTRACT_FROM, "-", self, other, reverse=True)

    @_operator
    def __truediv__(self, other: Any) -> Array:  # self * other**-1
        return _map_binary(lib.PG_DIVIDE, "/", self, other) if isinstance(other, Array) else self * _inverse(other)

    @_operator
    def __rtruediv__(self, other: Any) -> Array:  # other * self**-1
        if isinstance(other, np.ndarray):
            other = _for_each(other, self.shape)
        if isinstance(other, Array):
            return _map_binary(lib.PG_DIVIDE, "/", other, self)
        return _map_number(lib.PG_DIVIDE_INTO, "/", self, other, reverse=True)

    def __matmul__(self, other: Operand) -> Array:
        """The product of matrices, or of a matrix and a vector, or of two vectors."""
        return _matmul(self, array(other)) if isinstance(other, _SEQUENCES) else NotImplemented

    def __rmatmul__(self, other: Operand) -> Array:
        return _matmul(array(other), self) if isinstance(other, _SEQUENCES) else NotImplemented

    # Reductions

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Add up, from the number 0, all elements or those along the axes."""
        return self._reduce(_ADD, axis, keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """Multiply, from the number 1, all elements or those along the axes."""
        return self._reduce(_MUL, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """`sum()` divided by the number of elements in each sum."""
        total = self._reduce(_ADD, axis, keepdims)
        if total.size and not self.size:
            raise ZeroDivisionError(f"the mean of nothing: shape {self.shape}, axis {axis}")
        return total / (self.size // total.size if total.size else 1)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """The largest element, or the largest along the axes; nan if there is one."""
        return self._reduce(OPS["maximum", 2], axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Array:
        """The smallest element, or the smallest along the axes; nan if there is one."""
        return self._reduce(OPS["minimum", 2], axis, keepdims)

    def _reduce(self, code: int, axis: Axis, keepdims: bool) -> Array:
        ids = self._ids
        axes = tuple(range(ids.ndim)) if axis is None else _axes(axis, ids.ndim)
        shape = tuple(1 if i in axes else size for i, size in enumerate(ids.shape) if keepdims or i not in axes)
        if axis is not None:  # each sum's elements side by side, in their order
            ids = ids.transpose(*(i for i in range(ids.ndim) if i not in axes), *axes)
        n = math.prod(ids.shape[ids.ndim - len(axes) :])
        if n == 0 and code not in (_ADD, _MUL):
            raise ValueError("zero-size array to reduction operation maximum or minimum which has no identity")
        out = np.empty(shape, dtype=np.uint32)
        status = lib.pg_reduce(code, out.size, n, _pointer(ids), _from_buffer("pg_id[]", out))
        return _made(status, out, str, self)

    # The graph

    def backward(self) -> None:
        """Add to the grad of everything that this number was made of; see `Value.backward`.

        Raises
        ------
        ValueError
            if it is not one number: reduce the Array first.
        """
        if self.size != 1:
            raise ValueError(
                f"backward() starts at one number, not at shape {self.shape}: take .sum() or .mean() of it"
            )
        _backward(int(self._ids.flat[0]))

    @property
    def data(self) -> Numbers:
        """The numbers, in the Array's shape; live if the class says so."""
        return self._part(lib.PG_DATA)

    @data.setter
    def data(self, data: npt.ArrayLike) -> None:
        self._set_part(lib.PG_DATA, data)

    @property
    def grad(self) -> Numbers:
        """The derivatives of the last `backward()`'s root with respect to the elements, live if the class says so."""
        return self._part(lib.PG_GRAD)

    @grad.setter
    def grad(self, grad: npt.ArrayLike) -> None:
        self._set_part(lib.PG_GRAD, grad)

    def _part(self, part: int) -> Numbers:
        try:
            return self._views[part]
        except AttributeError:
            pass
        nodes = self._nodes.item()
        if isinstance(nodes, _Leaves) and self._ids.base is nodes.ids:
            self._views = nodes.look(self._ids, lib.PG_DATA), nodes.look(self._ids, lib.PG_GRAD)
            return self._views[part]
        numbers = np.empty(self._ids.shape)
        check(lib.pg_read(part, numbers.size, _pointer(self._ids), _from_buffer("double[]", numbers)), "an Array")
        numbers.flags.writeable = False
        return numbers

    def _set_part(self, part: int, x: npt.ArrayLike) -> None:
        now = self._part(part)
        if x is now:  # after `a.data -= ...`, which has done it already
            return
        new = x.data if isinstance(x, Array) else _elements(x).astype(np.float64, copy=False)
        if now.flags.writeable:
            now[...] = new
            return
        numbers = np.empty(self._ids.shape)
        numbers[...] = new
        check(lib.pg_write(part, numbers.size, _pointer(self._ids), _from_buffer("double[]", numbers)), "an Array")

    def _number(self, at: int) -> float:
        return lib.pg_data(int(self._ids.flat[at]))  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        if not is_leaf(self):
            raise TypeError(
                "only an Array of leaves can be pickled or copied, and this one was computed: take array(a.data)"
            )
        ids, first, places = np.unique(self._ids, return_index=True, return_inverse=True)
        labels = {int(place): label for place, id in zip(first, ids.tolist()) if (label := _labels.get(id))}
        again = None if len(ids) == self.size else first[places.ravel()].reshape(self.shape)
        return _leaves_again, (np.array(self.data), np.array(self.grad), again, labels)

    # NumPy's manners

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
        """The Array with its axes in reverse order."""
        return self.transpose()

    def _like(self, ids: Ids) -> Array:
        """Some of these elements: where they are a view, the nodes are already held."""
        held: Ids = self._nodes.item().ids
        return _array(ids, self._nodes, self._pins) if ids is held or ids.base is held else _holding(ids, self._pins)

    def transpose(self, *axes: Any) -> Array:
        """The Array with its axes reordered, by default reversed; see `numpy.ndarray.transpose`."""
        return self._like(self._ids.transpose(*axes))

    def swapaxes(self, axis1: SupportsIndex, axis2: SupportsIndex) -> Array:
        """The Array with two axes interchanged."""
        return self._like(self._ids.swapaxes(axis1, axis2))

    def reshape(self, *shape: Any) -> Array:
        """The same elements in another shape, of which one size may be -1: whatever is left."""
        return self._like(self._ids.reshape(*shape))

    def ravel(self) -> Array:
        """The elements in one row."""
        return self._like(self._ids.ravel())

    flatten = ravel

    def squeeze(self, axis: Axis = None) -> Array:
        """The Array without its axes of size 1, or without those named."""
        return self._like(self._ids.squeeze(axis))

    def __getitem__(self, key: Any) -> Any:
        if has_index(key):
            return look_up(self, key)
        ids = self._ids[key]
        return self._like(ids) if isinstance(ids, np.ndarray) else _handle(int(ids), self._pins and (self,))

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return map(self.__getitem__, range(len(self)))

    def tolist(self) -> Any:
        """The Values, in nested lists; of an Array without axes the Value itself."""
        return (
            [element.tolist() if isinstance(element, Array) else element for element in self] if self.ndim else self[()]
        )

    def item(self) -> float:
        """The one number as a Python float; ValueError if there are more."""
        return self.data.item()

    def __float__(self) -> float:
        return float(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else str(self)

    def __repr__(self) -> str:
        shape = "" if self.size or self.ndim == 1 else f", shape={self.shape}"
        return f"Array({np.array2string(self.data, separator=', ', prefix='Array(')}{shape})"


_SEQUENCES = (Array, Value, np.ndarray, list, tuple)


def _leaves_again(data: Numbers, grad: Numbers, places: npt.NDArray[Any] | None, labels: dict[int, str]) -> Array:
    """What pickle and copy call. `places` says where among the elements a node came first, if one came twice."""
    leaves = _leaves(data)
    leaves.grad = grad
    for place, label in labels.items():
        _labels.set(int(leaves._ids.flat[place]), label)
    return leaves if places is None else leaves.ravel()[places]


# Products of matrices ---------------------------------------------------------------------------------------------


def _steps(ids: Ids) -> tuple[Any, int, int]:
    """A matrix for C: its buffer, and how far apart rows and columns are. A transposed one is not copied."""
    rows, columns = ids.shape
    if not ids.flags.c_contiguous and ids.T.flags.c_contiguous:
        return _from_buffer("pg_id[]", ids.T), 1, rows
    return _pointer(ids), columns, 1


def _matmul(x: Array, y: Array, bias: Array | None = None) -> Array:
    if x.ndim not in (1, 2) or y.ndim not in (1, 2) or x.shape[-1] != y.shape[0]:
        if x.ndim > 2 or y.ndim > 2:
            raise ValueError(f"matmul: takes Arrays of 1 or 2 axes, not of shapes {x.shape} and {y.shape}")
        np.matmul(np.empty(x.shape), np.empty(y.shape))  # says what is wrong
    a = x._ids if x.ndim == 2 else x._ids[None, :]
    b = y._ids if y.ndim == 2 else y._ids[:, None]
    out = np.empty((a.shape[0], b.shape[1]), dtype=np.uint32)
    start = _NONE if bias is None else _pointer(bias._ids)
    status = lib.pg_matmul(
        a.shape[0], a.shape[1], b.shape[1], *_steps(a), *_steps(b), start, _from_buffer("pg_id[]", out)
    )
    made = _made(status, out, str, x, y, bias)
    made._ids = out.reshape(x.shape[:-1] + y.shape[1:])
    return made
