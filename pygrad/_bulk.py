"""The bulk builders of csrc/graph/bulk.c, for NumPy arrays of ids; the C of csrc/python/arrays.c does the same.

Each builds a loop over scalars in one call, and writes the ids of the results to `out`. It returns its status, and what
holds the results, None if it failed: in C that is one call, so no exception of a signal handler can come in between and
leak the nodes. The ids of operands may be in any order in memory; `out` is in C order.

Where a program has assigned other methods to Value than those of the loop, a builder raises Replaced, and the caller
runs the loop itself.
"""

from __future__ import annotations

import operator
from typing import Any, Callable

import numpy as np

from pygrad._holders import holder_of
from pygrad._lib import NULL, OPS, Ids, Numbers, c_doubles, c_ids, c_ids_of, fast, ffi, lib, text

Held = tuple[int, Any]
Replaced = NotImplementedError

_ADD, _EXP, _LOG = OPS["+", 2], OPS["exp", 1], OPS["log", 1]
_OPERATORS = (
    "__add__", "__mul__", "__pow__", "__neg__", "__sub__", "__truediv__",
    "__radd__", "__rmul__", "__rpow__", "__rsub__", "__rtruediv__",
)  # fmt: skip


class _OwnMethods:
    """The methods of Values as they are in pygrad."""

    def __init__(self) -> None:
        self.methods: dict[int, tuple[Callable[[Any], Any], Any]] = {}

    def note(self, cls: type[Any]) -> None:
        """Note those that each op stands for: its own method or, where it is an operator, all operators."""
        self.cls = cls
        for op in OPS.values():
            name = text(lib.pg_op_name(op)).lower()
            get = operator.attrgetter(name) if hasattr(cls, name) else operator.attrgetter(*_OPERATORS)
            self.methods[op] = get, get(cls)

    def are_there(self, *ops: int) -> bool:
        """Whether the class has these methods, and no program has assigned others."""
        try:
            for op in ops:
                get, own = self.methods.get(op) or self.methods[_ADD]
                if get(self.cls) != own:
                    return False
        except AttributeError:  # it was deleted
            return False
        return True


own_methods = _OwnMethods()


def _need_own(*ops: int) -> None:
    if not own_methods.are_there(*ops):
        raise Replaced


def _held(status: int, out: Ids, leaves: bool = False) -> Held:
    return status, holder_of(out, leaves) if status >= 0 else None


def _map_unary(op: int, a: Ids, out: Ids) -> Held:
    _need_own(op)
    return _held(lib.pg_map_unary(op, out.size, c_ids_of(a), c_ids(out)), out)


def _map_binary(op: int, a: Ids, b: Ids, out: Ids) -> Held:
    _need_own(op)
    return _held(lib.pg_map_binary(op, out.size, c_ids_of(a), c_ids_of(b), c_ids(out)), out)


def _map_number(op: int, a: Ids, y: float, integral: bool, out: Ids) -> Held:
    _need_own(op)
    return _held(lib.pg_map_number(op, out.size, c_ids_of(a), float(y), integral, c_ids(out)), out)


def _reduce(op: int, n: int, a: Ids, out: Ids) -> Held:
    _need_own(op)
    return _held(lib.pg_reduce(op, out.size, n, c_ids_of(a), c_ids(out)), out)


def _matmul(
    rows: int, n: int, columns: int, a: Ids, a_row: int, a_column: int, b: Ids, b_row: int, b_column: int,
    bias: Ids | None, out: Ids,
) -> Held:  # fmt: skip
    _need_own(_ADD)
    start = NULL if bias is None else c_ids_of(bias)
    a, b = c_ids_of(a), c_ids_of(b)
    return _held(lib.pg_matmul(rows, n, columns, a, a_row, a_column, b, b_row, b_column, start, c_ids(out)), out)


def _softmax(n: int, a: Ids, out: Ids) -> Held:
    _need_own(_ADD, _EXP, _LOG)
    return _held(lib.pg_softmax(out.size // n if n else 0, n, c_ids_of(a), c_ids(out)), out)


def _log_softmax(n: int, a: Ids, out: Ids) -> Held:
    _need_own(_ADD, _EXP, _LOG)
    return _held(lib.pg_log_softmax(out.size // n if n else 0, n, c_ids_of(a), c_ids(out)), out)


def _rms_norm(n: int, a: Ids, weights: Ids | None, eps: float, out: Ids) -> Held:
    _need_own(_ADD)
    given = NULL if weights is None else c_ids_of(weights)
    return _held(lib.pg_rms_norm(out.size // n if n else 0, n, c_ids_of(a), given, eps, c_ids(out)), out)


def _cross_entropy(n: int, a: Ids, targets: Ids, out: Ids) -> Held:
    _need_own(_ADD, _EXP, _LOG)
    scratch = ffi.new("pg_id[]", n)
    return _held(lib.pg_cross_entropy(out.size, n, c_ids_of(a), c_ids_of(targets), scratch, c_ids(out)), out)


def _leaves(plain: bool, data: Numbers, out: Ids) -> Held:
    ids = np.arange(out.size, dtype=np.uint32)  # allocated first: if this fails, no nodes leak
    make = lib.pg_plain_leaves if plain else lib.pg_leaves
    first = make(out.size, c_doubles(np.ascontiguousarray(data)))
    if first < 0:
        return first, None
    out[...] = (ids + np.uint32(first)).reshape(out.shape)
    return _held(lib.PG_OK, out, True)


def _hold_all(ids: Ids) -> Held:
    return _held(lib.pg_hold_all(ids.size, c_ids(ids)), ids)


map_unary: Callable[[int, Ids, Ids], Held] = fast.map_unary if fast else _map_unary
map_binary: Callable[[int, Ids, Ids, Ids], Held] = fast.map_binary if fast else _map_binary
map_number: Callable[[int, Ids, float, bool, Ids], Held] = fast.map_number if fast else _map_number
reduce: Callable[[int, int, Ids, Ids], Held] = fast.reduce if fast else _reduce
matmul: Callable[..., Held] = fast.matmul if fast else _matmul
softmax: Callable[[int, Ids, Ids], Held] = fast.softmax if fast else _softmax
log_softmax: Callable[[int, Ids, Ids], Held] = fast.log_softmax if fast else _log_softmax
rms_norm: Callable[[int, Ids, Ids | None, float, Ids], Held] = fast.rms_norm if fast else _rms_norm
cross_entropy: Callable[[int, Ids, Ids, Ids], Held] = fast.cross_entropy if fast else _cross_entropy
leaves: Callable[[bool, Numbers, Ids], Held] = fast.leaves if fast else _leaves
hold_all: Callable[[Ids], Held] = fast.hold_all if fast else _hold_all
