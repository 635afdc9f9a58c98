"""Locks that neither a signal nor a fork leaves taken."""

from __future__ import annotations

import functools
import os
import threading
from typing import Any, Callable, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def after_fork_in_child(renew: Callable[[], object]) -> None:
    """Call a function in the child of each fork, on systems that fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


class Lock:
    """A lock that guards functions. Its thread may take it again.

    `with lock:` is not enough: from CPython 3.14 on, the exception of a signal handler can strike between `__enter__`
    and the block, and then no one releases the lock (https://github.com/python/cpython/issues/148874). Here whether to
    release it is asked of the lock itself, in one call.
    """

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        after_fork_in_child(self._renew)

    def is_mine(self) -> bool:
        """Whether this thread has taken the lock."""
        mine: bool = self._lock._is_owned()
        return mine

    def guards(self, function: Function) -> Function:
        """Decorate a function, which is then called by one thread at a time."""

        @functools.wraps(function)
        def guarded(*args: Any) -> Any:
            lock = self._lock
            if lock._is_owned():  # further out
                return function(*args)
            try:
                try:
                    lock.acquire()
                    return function(*args)
                finally:
                    try:
                        lock.release()
                    except RuntimeError:  # a signal came while this thread waited
                        pass
            except BaseException:
                if lock._is_owned():  # a signal came before release(): PyPy handles them between any two bytecodes
                    lock.release()
                raise

        return cast(Function, guarded)

    def _renew(self) -> None:
        """Replace a lock that another thread of the parent may have held: that thread does not exist in the child."""
        if not self.is_mine():
            self._lock = threading.RLock()
