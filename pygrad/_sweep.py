"""The backward pass: sweeps over the graph in C, which stop wherever a Python function does a node's step."""

from __future__ import annotations

import weakref
from typing import Any, Callable

from pygrad._handles import closure_of, formula_of, late_closures
from pygrad._lib import check, error, fast, ffi, lib
from pygrad._locks import Lock, after_fork_in_child

_SLICE = 1 << 18  # nodes a call, 1 to 2 ms: between calls other threads use the arena, and Python handles Ctrl-C
_SWEEP = ffi.typeof("pg_sweep *")
_run_sweep = ffi.addressof(lib, "pg_sweep_run")  # releases the GIL: see build_ffi.py


def _no_sweep() -> None:
    pass


# Only one thread at a time sweeps. The exception of a signal handler may leave this as it was: a sweep has ended when
# its object has gone.
_lock = Lock()
_sweep: Callable[[], Any] = _no_sweep  # or a weak reference to the sweep that runs


def backward_from(root: int) -> None:
    """Run the backward pass from a node, which the caller must hold until it ends.

    A `_backward` function, a signal handler or a destructor may call it during a pass, which is paused meanwhile.
    """
    if fast:
        fast.backward_from(root)
    else:
        _backward_from(root)


@_lock.guards
def _backward_from(root: int) -> None:
    global _sweep
    sweep, outer = ffi.new(_SWEEP), _sweep()
    if outer:
        pending = ffi.new("pg_id[]", lib.pg_sweep_pending(outer, ffi.NULL))
        count = lib.pg_sweep_pending(outer, pending)
    try:
        _sweep = weakref.ref(sweep)
        _sweep_from(root, sweep)
    finally:
        _sweep = weakref.ref(outer) if outer else _no_sweep
        if outer:
            lib.pg_sweep_resume(outer, count, pending)


def _sweep_from(root: int, sweep: Any) -> None:
    if late_closures.values:
        late_closures.drop_unused()
    check(lib.pg_sweep_begin(sweep, root), "backward()")
    while stop := _run_sweep(sweep, _SLICE):
        if stop < 0:
            _fail(stop, sweep.at)
        if stop > lib.PG_MORE:
            closure_of(stop)()


def _fail(status: int, id: int) -> None:
    concerns_root = status in (lib.PG_STALE, lib.PG_ESCAPED)
    raise error(status, "backward()" if concerns_root else f"the backward step of {formula_of(id)}")


def backward_step(id: int) -> None:
    """Run one node's step of the backward pass: add its share to the grads of its operands."""
    if status := lib.pg_backward_one(id):
        _fail(status, id)


def _after_fork_in_child() -> None:
    """Forget the sweep of a thread that does not exist here."""
    global _sweep
    if not _lock.is_mine():
        _sweep = _no_sweep


after_fork_in_child(_after_fork_in_child)

if fast:
    fast.set_hooks(late_closures.values, late_closures.drop_unused, _fail)
    after_fork_in_child(fast.after_fork)
