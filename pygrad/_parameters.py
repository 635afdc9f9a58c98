"""Values and Arrays as parameters: their nodes' ids in a row, and all their grads at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, Union

import numpy as np
import numpy.typing as npt

from pygrad._lib import Ids, Numbers, c_doubles, c_ids, c_ids_of, check, fast, ffi, lib
from pygrad.array import Array
from pygrad.engine import Value

Parameters = Iterable[Union[Value, Array]]


def refuse_modules(parameters: Any) -> None:
    """Raise TypeError for a module in place of its parameters."""
    if callable(getattr(parameters, "parameters", None)):
        name = type(parameters).__name__
        raise TypeError(f"pass the parameters of the {name}, model.parameters(), and not the {name} itself")


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
    if isinstance(parameter, Value):
        return lib.pg_all_leaves(1, [parameter._id])
    return lib.pg_all_leaves(parameter.size, c_ids_of(parameter._ids))


def are_leaves(nodes: Iterable[Value | Array]) -> bool:
    """Whether `is_leaf` holds for all of them."""
    ids = node_ids(nodes)
    return lib.pg_all_leaves(ids.size, c_ids(ids))


_PLAIN = frozenset({float, int, bool, complex, str, bytes, type(None)})


def _holds_only_numbers(x: Any, depth: int = 2) -> bool:
    if type(x) in _PLAIN:
        return True
    if type(x) not in (list, tuple) or not depth:
        return False
    return _PLAIN.issuperset(map(type, x)) or all(_holds_only_numbers(item, depth - 1) for item in x)


# Whether x is a number or text, or a list or a tuple of nothing else, or a table of such lists. Models may keep their
# data, and it is searched for parameters at each zero_grad(): so C does it where it can.
holds_only_numbers: Callable[[Any], bool] = fast.holds_only_numbers if fast else _holds_only_numbers


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
