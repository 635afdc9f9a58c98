"""Copying: what pickle and copy make of Arrays; and what is made again of that."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pygrad._handles import labels, value_of
from pygrad._holders import as_holder, run_of, shown
from pygrad._lib import Ids, Numbers, c_ids_of, lib
from pygrad.array.nodes import IDS, Nodes, hold, make_leaves, wrap

if TYPE_CHECKING:
    from pygrad.array.arrays import Array


class Copying(Nodes):
    """The part of Array's interface that copies leaves."""

    __slots__ = ()

    def __copy__(self: Any) -> Array:
        copied: Array = copy.deepcopy(self)  # copy.copy would make a view
        return copied

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
    ids: Ids = np.ndarray(shape, IDS, run.ids, at * size, [step * size for step in strides])
    view = wrap(ids, as_holder(run))
    view.data, view.grad = data, grad
    for place, label in named.items():
        labels.set(int(ids.flat[place]), label)
    return view


def _joined_again(parts: list[Any], places: npt.NDArray[Any]) -> Array:
    """The same for leaves that other objects have, too."""
    ids = [part._ids.ravel() if isinstance(part, Nodes) else [part._id] for part in parts]
    return hold(np.concatenate(ids).astype(IDS)[places])


def _shared_parts(ids: Ids) -> list[Any]:
    """Leaves, in the order of their ids: views of the runs that they are in, and else Values."""
    parts: list[Any] = []
    while ids.size:
        run, n = run_of(int(ids[0])), 1
        if run is not None:
            at = int(ids[0]) - int(run.ids.flat[0])
            beside = np.flatnonzero(ids != ids[0] + np.arange(ids.size, dtype=np.uint32))
            n = min(int(beside[0]) if beside.size else ids.size, run.ids.size - at)
            parts.append(wrap(run.ids.reshape(-1)[at : at + n], as_holder(run)))
        else:
            parts.append(value_of(int(ids[0])))
        ids = ids[n:]
    return parts
