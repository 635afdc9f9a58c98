"""Values and Arrays as parameters: their nodes' ids in a row, and all their grads at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from pygrad._lib import Ids, Numbers, c_doubles, c_ids, c_ids_of, check, fast, ffi, lib
from pygrad.array import Array
from pygrad.engine import Value


def node_ids(nodes: Iterable[Any]) -> Ids:
    """The ids of all nodes of Values and Arrays, in a row."""
    if fast:
        nodes = list(nodes)
        if (all_ids := fast.ids_of(nodes)) is not None:
            return np.frombuffer(all_ids, np.uint32)
    ids: list[Ids] = [np.empty(0, dtype=np.uint32)]
    values: list[int] = []
    for item in nodes:
        if isinstance(item, Value):
            values.append(item._id)
        elif isinstance(item, Array):
            ids += [np.array(values, dtype=np.uint32), item._ids.ravel()]
            values = []
        else:
            raise TypeError(f"parameters must be Values and Arrays, not {type(item).__name__!r}")
    return np.concatenate([*ids, np.array(values, dtype=np.uint32)])


def is_leaf(parameter: Value | Array) -> bool:
    """Whether none of the nodes was computed from others."""
    ids = parameter._ids if isinstance(parameter, Array) else np.array([parameter._id], dtype=np.uint32)
    return lib.pg_all_leaves(ids.size, c_ids_of(ids))


def set_grads(ids: Ids, grads: float | Numbers) -> None:
    """Set the grads of nodes, whose ids come from node_ids, to one number or to one each."""
    if isinstance(grads, float):
        status = lib.pg_fill(lib.PG_GRAD, ids.size, c_ids(ids), grads)
    else:
        status = lib.pg_write(lib.PG_GRAD, ids.size, c_ids(ids), c_doubles(grads))
    check(status, "a parameter")


def reached(ids: Ids, sizes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Which parameters a gradient has reached since their grads were set to 0; parameter k has the next sizes[k] ids.

    A leaf is reached where a backward pass or a program came to it, whatever that added, or where its grad is not 0. A
    parameter is if one of its leaves is.
    """
    out = np.empty(sizes.size, dtype=np.bool_)
    pointers = ffi.from_buffer("uint32_t[]", sizes), c_ids(ids), ffi.from_buffer("bool[]", out)
    check(lib.pg_reached(sizes.size, *pointers), "a parameter")
    return out


def grads_of(ids: Ids) -> Numbers:
    """The grads of nodes, whose ids come from node_ids."""
    grads = np.empty(ids.size)
    check(lib.pg_read(lib.PG_GRAD, ids.size, c_ids(ids), c_doubles(grads)), "a parameter")
    return grads
