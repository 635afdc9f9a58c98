"""index: an integer that stays an index when a function is compiled, for embeddings, targets and other look-ups.

`table[i]` with a traced Index makes nodes that stand for whichever elements the index chooses at a call. This module
works out from node ids which ones these may be; `Array.__getitem__` makes the nodes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pygrad._lib import Ids
from pygrad._numbers import refuse_masked, to_ndarray

Integers = npt.NDArray[np.intp]


class Lookups:
    """The look-ups of one trace: nodes that stand for an element of a table, which an index chooses at each run."""

    def __init__(self) -> None:
        self.ended = False
        self.limits: dict[int, int] = {}  # of an input that is an index: the size of the smallest table
        self._nodes: list[Ids] = []
        self._indices: list[Integers] = []  # of each node: which input chooses
        self._tables: list[Integers] = []  # of each node: which table
        self._rows: list[Integers] = []  # of each table: how many elements
        self._elements: list[Ids] = []
        self._count = 0
        self._columns: dict[Any, Integers] = {}  # of a table along an axis: which table each column is, or -1
        self._held: list[Any] = []

    def add(self, ids: Ids, inputs: Integers, table: Ids, axis: int, columns: Integers, held: tuple[Any, ...]) -> None:
        """Add nodes with these ids: an input chooses each along an axis of a table, from the column with its number.

        A column is what is left of the table where the other axes are indexed, numbered in C order. `held` holds all
        nodes, and the ids of the table: so its address names it.
        """
        rows = table.shape[axis]
        place = table.__array_interface__["data"][0], table.shape, table.strides, axis
        numbers = self._columns.setdefault(place, np.full(table.size // max(rows, 1), -1))
        # Not by np.unique, in C++, which may abort when Python ends daemon threads: CPython issue 87135.
        new = np.array(sorted(set(columns[numbers[columns] < 0].tolist())), dtype=np.intp)
        if new.size:
            numbers[new] = self._count + np.arange(new.size)
            self._rows.append(np.full(new.size, rows))
            self._elements.append(np.moveaxis(table, axis, 0).reshape(rows, -1)[:, new].T.ravel())
            self._count += new.size
        self._nodes.append(ids)
        self._indices.append(inputs)
        self._tables.append(numbers[columns])
        self._held += held
        for i in set(inputs.tolist()):
            self.limits[i] = min(rows, self.limits.get(i, rows))

    def arrays(self) -> list[npt.NDArray[np.uint32]]:
        """Return the nodes, their inputs, their tables, the sizes of the tables, and their elements."""
        parts: list[list[Any]] = [self._nodes, self._indices, self._tables, self._rows, self._elements]
        return [np.concatenate([[], *part]).astype(np.uint32) for part in parts]


class Index:
    """Integers that choose elements of an Array; `pygrad.index` makes one.

    Attributes
    ----------
    data
        The integers, as a NumPy array. While a function is traced they are unknown: reading them is a TypeError.
    shape, ndim, size
        Those of that array.

    Examples
    --------
    >>> i = index([2, 0])
    >>> i.shape, i[0]
    ((2,), Index(2))
    """

    __slots__ = ("_data", "_inputs", "_lookups")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, data: Integers, inputs: Integers | None = None, lookups: Lookups | None = None) -> None:
        self._data, self._inputs, self._lookups = data, inputs, lookups

    @property
    def is_traced(self) -> bool:
        """Whether it stands for the integers of later calls of a Program."""
        return self._lookups is not None

    @property
    def data(self) -> Integers:
        """The integers."""
        if self.is_traced:
            raise TypeError(
                "the number of an index is not known while a function is traced: index an Array with it, "
                "as in pygrad.array(values)[i]"
            )
        return self._data

    shape = property(lambda self: self._data.shape, doc="The size of each axis.")
    ndim = property(lambda self: self._data.ndim, doc="The number of axes.")
    size = property(lambda self: self._data.size, doc="The number of integers.")

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.data, dtype=dtype)

    def __index__(self) -> int:
        return operator.index(self.data[()])

    def __eq__(self, other: object) -> Any:
        return self.data == (other.data if isinstance(other, Index) else other)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Index]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, key: Any) -> Index:
        inputs = None if self._inputs is None else np.asarray(self._inputs[key])
        return Index(np.asarray(self._data[key]), inputs, self._lookups)

    def reshape(self, *shape: Any) -> Index:
        """Return the same integers in another shape.

        >>> index([1, 2]).reshape(2, 1).shape
        (2, 1)
        """
        inputs = None if self._inputs is None else self._inputs.reshape(*shape)
        return Index(self._data.reshape(*shape), inputs, self._lookups)

    def ravel(self) -> Index:
        """Return the same integers on one axis.

        >>> index([[1], [2]]).ravel()
        Index([1, 2])
        """
        return self.reshape(-1)

    def __repr__(self) -> str:
        traced = "" if self._lookups is None else ", traced"
        return f"Index({np.array2string(self._data, separator=', ', prefix='Index(')}{traced})"


_UNUSUAL = (Index, np.ndarray, list)  # in a key


def index(data: npt.ArrayLike) -> Index:
    """Make an Index of an integer, or of an array of integers of any shape.

    As an example argument of `pygrad.compile` it stays an index: `table[i]`, where `table` is an Array, chooses among
    the elements of the table at each call, by the integers given to that call.

    Raises
    ------
    TypeError
        if the data are not integers
    IndexError
        if one does not fit into 64 bits with a sign

    Examples
    --------
    >>> from pygrad import array, compile
    >>> table = array([[1.0, 2.0], [3.0, 4.0]])
    >>> f = compile(lambda i, x: (table[i] * x).sum(), index(0), np.ones(2))
    >>> f(1, [1.0, 10.0]), f([0, 1], [1.0, 10.0])
    (43.0, array([21., 43.]))
    """
    return Index(as_indices("an index", data.data if isinstance(data, Index) else data))


def as_indices(name: str, x: Any) -> Integers:
    """Return a copy of the integers, in the type that indexes arrays; `name` is for errors."""
    integers = to_ndarray(x)
    if integers.dtype.kind not in "iu" and integers.size:
        raise TypeError(f"{name} must be made of integers of at most 64 bits, not {integers.dtype}")
    if integers.dtype.kind == "u" and integers.size and integers.max() > np.iinfo(np.intp).max:
        raise IndexError(f"{name} must be at most {np.iinfo(np.intp).max}, not {integers.max()}")
    return integers.astype(np.intp)


def has_index(key: Any) -> bool:
    """Whether there is an Index in a key, as in `array[key]`; TypeError if there is a masked array."""
    if type(key) is int:
        return False
    found = False
    for k in key if isinstance(key, tuple) else (key,):
        if isinstance(k, _UNUSUAL):
            refuse_masked(k)
            found = found or isinstance(k, Index)
    return found


def plain_key(key: Any) -> tuple[Any, ...]:
    """The key with integers for each Index: of a traced one, those of the example."""
    return tuple(k._data if isinstance(k, Index) else k for k in _keys(key))


def traced_index(key: Any) -> int | None:
    """The place of the traced Index in a key; None if there is none."""
    keys = _keys(key)
    places = [at for at, k in enumerate(keys) if isinstance(k, Index) and k.is_traced]
    if len(places) > 1:
        raise TypeError("only one traced index at a time: write table[i][j], not table[i, j]")
    if places and keys[places[0]]._lookups.ended:
        raise TypeError("an index was used after the trace that it belongs to; use it only in the traced function")
    return places[0] if places else None


def record_look_up(table: Ids, key: Any, at: int, nodes: Ids, held: tuple[Any, ...]) -> None:
    """Note what `table[key]`, with a traced Index at a place of the key, may choose for each of the nodes."""
    keys = _keys(key)
    traced: Index = keys[at]

    def choose(ids: Any, integers: Any) -> Any:
        return ids[tuple(integers if k is traced else k._data if isinstance(k, Index) else k for k in keys)]

    axis = _axis(keys, at, table.ndim)
    others = (*table.shape[:axis], 1, *table.shape[axis + 1 :])
    columns = np.broadcast_to(np.arange(math.prod(others)).reshape(others), table.shape)
    column = np.ravel(choose(columns, np.zeros(traced.shape, dtype=np.intp)))
    # Which integer chooses which element: the key picks the numbers of the integers themselves out of this array.
    sizes = (*table.shape[:axis], traced.size, *table.shape[axis + 1 :])
    numbers = np.arange(traced.size).reshape(-1, *(1,) * (table.ndim - axis - 1))
    which = choose(np.broadcast_to(numbers, sizes), np.arange(traced.size).reshape(traced.shape))
    inputs = np.asarray(traced._inputs).ravel()[np.ravel(which)]
    lookups: Any = traced._lookups
    lookups.add(nodes.ravel(), inputs, table, axis, column, held)


def _keys(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _axis(keys: tuple[Any, ...], at: int, ndim: int) -> int:
    """The axis that the key at a place is for."""

    def axes(key: Any) -> int:
        if key is None:
            return 0
        mask = np.asarray(key) if isinstance(key, (list, np.ndarray, bool)) else None
        return mask.ndim if mask is not None and mask.dtype == bool else 1

    ellipses = [k for k, key in enumerate(keys) if key is Ellipsis]
    after = sum(axes(key) for key in keys[at:])
    if ellipses and ellipses[0] < at:
        return ndim - after
    return sum(axes(key) for key in keys[:at])
