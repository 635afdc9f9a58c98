"""Shaping: the shapes of Arrays, their elements, and views of them."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from pygrad._handles import value_of
from pygrad.array.nodes import Axis, Nodes, normalize_axes
from pygrad.index import Index, has_index, plain_key, record_look_up, traced_index

if TYPE_CHECKING:
    from pygrad.array.arrays import Array


class Shaping(Nodes):
    """The part of Array's interface that rearranges elements and takes them out."""

    __slots__ = ()

    @property
    def T(self) -> Array:
        """The same elements with the axes in reverse order."""
        return self.transpose()

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

    @property
    def mT(self) -> Array:
        """The same elements with the last two axes interchanged: matrices transposed."""
        if self.ndim < 2:
            raise ValueError("matrix transpose with ndim < 2 is undefined")
        return self.swapaxes(-1, -2)

    def reshape(self, *shape: Any, order: str = "C") -> Array:
        """Return the same elements in another shape; one size may be -1, which is then worked out.

        With order "F" the first index varies fastest, not the last.

        >>> array([1.0, 2.0, 3.0, 4.0]).reshape(2, -1).shape
        (2, 2)
        """
        return self._like(self._ids.reshape(*shape, order=_order(order)))

    def ravel(self, order: str = "C") -> Array:
        """Return the elements on one axis; with order "F", as those of the transposed Array.

        >>> array([[1.0, 2.0]]).ravel()
        Array([1., 2.])
        """
        return self._like(self._ids.ravel(_order(order)))

    flatten = ravel

    @property
    def flat(self) -> Array:
        """The elements on one axis, to iterate over and to index."""
        return self.ravel()

    def squeeze(self, axis: Axis = None) -> Array:
        """Return the same elements without the axes of size 1, or without those named.

        >>> array([[1.0, 2.0]]).squeeze().shape
        (2,)
        """
        return self._like(self._ids.squeeze(axis))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
        """Return the elements of diagonals, along a last axis; see `numpy.diagonal`.

        >>> array([[1.0, 2.0], [3.0, 4.0]]).diagonal()
        Array([1., 4.])
        """
        return self._like(self._ids.diagonal(offset, axis1, axis2))

    def take(self, indices: Any, axis: SupportsIndex | None = None, *, mode: Any = "raise") -> Array:
        """Return the elements that integers choose, along an axis or of all in a row; see `numpy.take`.

        >>> array([1.0, 2.0, 3.0]).take([2, 0])
        Array([3., 1.])
        """
        if isinstance(indices, Index):
            x, (at,) = (self.ravel(), (0,)) if axis is None else (self, normalize_axes(operator.index(axis), self.ndim))
            chosen: Array = x[(slice(None),) * at + (indices, ...)]
            return chosen
        return self._like(np.asarray(self._ids.take(indices, axis, mode=mode)))

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
        ids = nodes._ids if isinstance(nodes, Nodes) else np.array(nodes._id, dtype=np.uint32)
        record_look_up(self._ids, key, at, ids, held=(self, nodes))
        return nodes

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "an Array does not support item assignment, as its elements are nodes of graphs: set numbers by "
            "a.data[...] = x, or make another Array by pygrad.where"
        )

    def __delitem__(self, key: Any) -> None:
        raise TypeError("an Array does not support item deletion: index those that remain")

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
        if not self.ndim:
            return self[()]
        return [element.tolist() if isinstance(element, Shaping) else element for element in self]


def _order(order: str) -> Any:
    if order not in ("C", "F"):
        raise ValueError(f"order must be 'C' or 'F', not {order!r}: an Array has no order in memory")
    return order
