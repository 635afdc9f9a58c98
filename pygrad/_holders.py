"""What holds the nodes of Arrays, and lets NumPy read and write leaves in place."""

from __future__ import annotations

import weakref
from typing import Any, Callable

import numpy as np

from pygrad import _pressure
from pygrad._handles import hidden
from pygrad._lib import Ids, Numbers, c_ids, fast, ffi, lib, pypy

_runs: set[weakref.ref[Holder]] = set()  # the holders of leaves


class Holder:
    """Holds nodes: takes over one hold on each, and releases these at its end.

    `leaves` says that the nodes are leaves with consecutive ids, whose data and grads lie evenly spaced in memory.
    There is a C type, too, which csrc/python/arrays.c defines.
    """

    __slots__ = ("__weakref__", "ids", "leaves")

    def __init__(self, ids: Ids, leaves: bool) -> None:
        self.ids, self.leaves = ids, leaves
        if leaves:
            _runs.add(weakref.ref(self, _runs.discard))
        if _pressure.report:
            _pressure.report()

    # The defaults are there because globals may be gone at interpreter exit.
    def __del__(self, release: Any = lib.pg_release_all, c_ids: Any = c_ids) -> None:
        release(self.ids.size, c_ids(self.ids))


def holder_of(ids: Ids, leaves: bool) -> Any:
    """A holder as Arrays keep it: the collector must not see it (see _handles.hidden), nor does it see the C type."""
    return hidden(Holder(ids, leaves))


def _show(box: Any) -> Any:
    return box.item()


def _run_of(id: int) -> Any:
    for found in list(_runs):
        run = found()
        if run is not None and run.ids.size and 0 <= id - run.ids.item(0) < run.ids.size:
            return run
    return None


def _as_it_is(holder: Any) -> Any:
    return holder


# Returns the holder itself.
shown: Callable[[Any], Any] = _as_it_is if fast or pypy else _show
# Makes of the holder itself what Arrays keep.
as_holder: Callable[[Any], Any] = _as_it_is if fast else hidden
# Returns the holder of leaves that has a node; None if there is none. It looks at each.
run_of: Callable[[int], Any] = fast.run_of if fast else _run_of

if fast:
    fast.set_in_c_order(np.ascontiguousarray)


def leaf_view(holder: Any, ids: Ids, field: int) -> Numbers:
    """Return the data or the grads of some of the leaves, in place; `ids` is a view of the holder's ids."""
    if not ids.size:
        return np.empty(ids.shape)
    address = int(ffi.cast("uintptr_t", lib.pg_data_at(int(ids[(0,) * ids.ndim])) + field))
    strides = tuple(s // ids.itemsize * lib.PG_NODE_BYTES for s in ids.strides)
    return np.asarray(_Memory(holder, address, ids.shape, strides))


class _Memory:
    """Memory in the form that NumPy reads. The array that NumPy makes keeps this object, and so the nodes."""

    def __init__(self, holder: Any, address: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.holder = holder
        self.__array_interface__ = {
            "version": 3, "typestr": np.dtype(float).str, "data": (address, False), "shape": shape, "strides": strides,
        }  # fmt: skip
