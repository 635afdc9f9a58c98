"""Values and Arrays as parameters: their nodes' ids in a row, and all their grads at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pygrad._lib import Ids, Numbers, c_doubles, c_ids, c_ids_of, check, fast, lib
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


def grads_of(ids: Ids) -> Numbers:
    """The grads of nodes, whose ids come from node_ids."""
    grads = np.empty(ids.size)
    check(lib.pg_read(lib.PG_GRAD, ids.size, c_ids(ids), c_doubles(grads)), "a parameter")
    return grads
