"""Functions of NumPy that rearrange elements: NumPy's own, applied to the ids of Arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pygrad.array.making import as_array, concatenate
from pygrad.array.nodes import Nodes, hold, make_leaves

if TYPE_CHECKING:
    from pygrad.array.arrays import Array

Function = Callable[..., Any]


def of_one(function: Function) -> Function:
    """A function whose first argument is rearranged."""

    def move(a: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_nodes(function, *args, *kwargs.values())
        x = as_array(a)
        return _moved(function(x._ids, *args, **kwargs), x)

    return move


def _refuse_nodes(function: Function, *args: Any) -> None:
    """Refuse an Array where NumPy takes integers: it would ask the Array to call the function, without end."""
    if any(isinstance(x, Nodes) for x in args):
        raise TypeError(f"np.{function.__name__} of an Array takes integers beside it, not another Array")


def of_several(function: Function) -> Function:
    """A function that rearranges each of its arguments."""

    def move(*arrays: Any, **kwargs: Any) -> Any:
        sources = [as_array(x) for x in arrays]
        return _moved(function(*[x._ids for x in sources], **kwargs), *sources)

    return move


def of_list(function: Function) -> Function:
    """A function that joins a sequence; of np.block, nested lists."""

    def join(arrays: Any, *args: Any, **kwargs: Any) -> Any:
        sources: list[Array] = []

        def ids_of(x: Any) -> Any:
            if function is np.block and type(x) is list:
                return [ids_of(item) for item in x]
            sources.append(as_array(x))
            return sources[-1]._ids

        ids = ids_of(arrays) if function is np.block else [ids_of(x) for x in arrays]
        return _moved(function(ids, *args, **kwargs), *sources)

    return join


def append(arr: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        return concatenate([as_array(arr).ravel(), as_array(values).ravel()])
    return concatenate([arr, values], axis)


def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    _refuse_nodes(np.insert, obj)
    x, new = as_array(arr), as_array(values)
    return _moved(np.insert(x._ids, obj, new._ids, axis), x, new)


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    x = as_array(array)
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap") or kwargs.get("reflect_type") == "odd":
        raise TypeError(f"np.pad of Arrays has the modes constant, edge, reflect, symmetric and wrap, not {mode!r}")
    if mode != "constant":
        return _moved(np.pad(x._ids, pad_width, mode, **kwargs), x)
    ids = np.pad(x._ids, pad_width)
    return _moved(ids, x, absent=np.pad(np.zeros(x.shape), pad_width, **kwargs)[ids == 0])


def _moved(ids: Any, *sources: Array, absent: Any = 0.0) -> Any:
    """What a function of NumPy made of the ids of some Arrays. Where it put a 0, there is a new leaf of a number."""
    if isinstance(ids, (list, tuple)):
        return type(ids)(_moved(part, *sources) for part in ids)
    missing = ids == 0
    if missing.any():
        leaves = make_leaves(np.full(np.count_nonzero(missing), absent, np.float64), plain=True)
        ids = ids.copy()
        ids[missing] = leaves._ids
        return hold(ids, sources)
    return sources[0]._like(ids) if len(sources) == 1 and 0 not in ids.strides else hold(ids, sources)
