"""Nodes: the base of Array, an array of ids of nodes together with what holds them; their numbers and grads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, ClassVar, Union

import numpy as np
import numpy.typing as npt

try:
    from numpy.lib import array_utils
except ImportError:  # NumPy 1
    from numpy.core import numeric as array_utils  # type: ignore[no-redef, attr-defined, unused-ignore]

from pygrad import _bulk
from pygrad._cut import first_read
from pygrad._holders import leaf_view, shown
from pygrad._lib import Ids, Numbers, c_doubles, c_ids_of, check, error, lib
from pygrad._numbers import Number, is_number, is_real, refuse_masked, to_ndarray
from pygrad._sweep import backward_from
from pygrad.engine import Value

if TYPE_CHECKING:
    from pygrad.array.arrays import Array

Operand = Union["Nodes", Value, Number, npt.ArrayLike]
Axis = Union[None, int, tuple[int, ...]]

normalize_axes = array_utils.normalize_axis_tuple  # counts negative ones from the end; raises NumPy's errors
IDS, FLOAT64 = np.dtype(np.uint32), np.dtype(np.float64)

_new = object.__new__


class Nodes:
    """Ids of nodes in an array of NumPy, and what holds them. The parts of Array's interface are derived from it."""

    # _ids: of the elements. _holder: what holds the nodes, hidden. _pins: operands, if a Python function is the
    # _backward of a node at or below them (see _handles). _views: data and grad, where these are views.
    # _is_parameter: set once a module was found to have it as a parameter. _kind: the class of all instances, which
    # pygrad/array/arrays.py puts together.
    __slots__ = ("__weakref__", "_holder", "_ids", "_is_parameter", "_pins", "_views")

    _kind: ClassVar[type[Array]]

    def __init__(self) -> None:
        raise TypeError("an Array cannot be created directly: call pygrad.array()")

    _ids: Ids
    _holder: npt.NDArray[Any]
    _pins: tuple[Any, ...]
    _views: tuple[Numbers, ...]
    _is_parameter: bool

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
            check(lib.pg_fill(lib.PG_GRAD, self.size, c_ids_of(self._ids), float(grad)), "an Array")
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
        new = x.data if isinstance(x, Nodes) else as_elements(x).astype(np.float64, copy=False)
        if now.flags.writeable:
            now[...] = new
            return
        numbers = np.empty(self._ids.shape)
        numbers[...] = new
        check(lib.pg_write(field, numbers.size, c_ids_of(self._ids), c_doubles(numbers)), "an Array")

    def _number(self, at: int) -> float:
        return lib.pg_data(int(self._ids.flat[at]))

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
    def dtype(self) -> np.dtype[np.float64]:
        """The type of the numbers: always float64."""
        return FLOAT64

    def _like(self, ids: Ids) -> Array:
        """An Array of some of these elements. Where the ids are a view, the nodes are held already."""
        held = shown(self._holder).ids
        return wrap(ids, self._holder, self._pins) if ids is held or ids.base is held else hold(ids, self._pins)


_read = Nodes._read


def _note_and_read(x: Nodes, field: int) -> Numbers:
    first_read.note()
    if x._views and x.size:
        x._number(0)  # a trace counts that; the views it does not see
    return _read(x, field)


first_read.add_reader(Nodes, "_read", _note_and_read)


# From ids and numbers to Arrays ------------------------------------------------------------------------------------


def wrap(ids: Ids, holder: npt.NDArray[Any], pins: tuple[Any, ...] = ()) -> Array:
    out: Array = _new(Nodes._kind)
    out._ids, out._holder, out._pins, out._views = ids, holder, pins, ()
    return out


def make_leaves(numbers: Numbers, plain: bool = False) -> Array:
    """An Array of new leaves with these numbers; plain, if they are numbers of an expression, as in `a + 1`."""
    out = np.empty(numbers.shape, IDS)
    status, holder = _bulk.leaves(plain, numbers, out)
    if status:
        raise error(status, f"an Array of {numbers.size:,} numbers")
    return wrap(out, holder)


def hold(ids: Ids, pins: tuple[Any, ...] = ()) -> Array:
    """An Array of existing nodes, on which it takes a hold of its own."""
    ids = np.array(ids, IDS, order="C")
    status, holder = _bulk.hold_all(ids)
    check(status, "an Array of these Values")
    return wrap(ids, holder, pins if status else ())


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
    return wrap(out, holder, tuple(x for x in operands if x is not None) if status else ())


# The elements of operands --------------------------------------------------------------------------------------------


def _element(x: Any) -> Value | float:
    """A Value, or a number as a Python int or float; TypeError or ValueError for anything else."""
    if isinstance(x, (Nodes._kind, np.ndarray)) and not x.ndim:
        x = x[()]
    if isinstance(x, Value):
        return x
    if isinstance(x, (list, tuple, Nodes, np.ndarray)):
        raise ValueError("setting an array element with a sequence: the lists differ in length or depth")
    if not is_number(x):
        refuse_masked(x)
        raise TypeError(f"an Array takes real numbers and Values, not {type(x).__name__!r}")
    return x if isinstance(x, int) else float(x)


def as_objects(x: Any) -> npt.NDArray[Any]:
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
    objects = as_objects(elements)
    return objects if any(isinstance(o, Value) for o in objects.flat) else objects.astype(np.float64)
