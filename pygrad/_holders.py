"""What holds the nodes of Arrays, and lets NumPy read and write leaves in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad._lib import Ids, Numbers, c_ids, ffi, lib


class Holder:
    """Holds nodes: takes over one hold on each, and releases these at its end. Arrays hide it: see _handles.hidden."""

    __slots__ = ("ids",)

    def __init__(self, ids: Ids) -> None:
        self.ids = ids

    # The defaults are there because globals may be gone at interpreter exit.
    def __del__(self, release: Any = lib.pg_release_all, c_ids: Any = c_ids) -> None:
        release(self.ids.size, c_ids(self.ids))


class LeafHolder(Holder):
    """Holds leaves with consecutive ids, whose data and grads therefore lie evenly spaced in memory."""

    __slots__ = ()

    def view(self, ids: Ids, field: int) -> Numbers:
        """The data or the grads of some of the leaves, in place; `ids` is a view of self.ids."""
        if not ids.size:
            return np.empty(ids.shape)
        address = int(ffi.cast("uintptr_t", lib.pg_data_at(int(ids[(0,) * ids.ndim])) + field))
        strides = tuple(s // ids.itemsize * lib.PG_NODE_BYTES for s in ids.strides)
        return np.asarray(_Memory(self, address, ids.shape, strides))


class _Memory:
    """Memory in the form that NumPy reads. The array that NumPy makes keeps this object, and so the nodes."""

    def __init__(self, holder: LeafHolder, address: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.holder = holder
        self.__array_interface__ = {
            "version": 3, "typestr": np.dtype(float).str, "data": (address, False), "shape": shape, "strides": strides,
        }  # fmt: skip
