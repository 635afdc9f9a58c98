"""The door to the core: every other module takes `ffi`, `lib` and what wraps them from here.

The core is csrc/, bound by build_ffi.py as `pygrad._core`. Its functions return a status below 0 when they fail
(enum pg_status of csrc/pygrad.h); `check` turns that into the exception.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

try:
    from pygrad._core import ffi, lib
except ImportError as missing:
    raise ImportError("pygrad's C core is not built: run `pip install .` or `pip install -e .` first") from missing

__all__ = ["NULL", "OPS", "Ids", "Numbers", "c_doubles", "c_ids", "c_ids_of", "check", "error", "ffi", "lib", "text"]

Ids = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.float64]

NULL = ffi.NULL

# Arrays as C takes them; they must be in C order. The result keeps the array alive.
c_doubles: Callable[[Numbers], Any] = functools.partial(ffi.from_buffer, ffi.typeof("double[]"))
c_ids: Callable[[Ids], Any] = functools.partial(ffi.from_buffer, ffi.typeof("pg_id[]"))


def c_ids_of(ids: Ids) -> Any:
    """Ids as C takes them: a copy if they are not in C order."""
    return c_ids(ids if ids.flags.c_contiguous else np.ascontiguousarray(ids))


def text(chars: Any) -> str:
    """Return a string of C as a str."""
    string: bytes = ffi.string(chars)
    return string.decode()


# By symbol and number of operands: `**` with a number and `**` with a Value are two ops.
OPS = {(text(lib.pg_op_symbol(op)), lib.pg_op_arity(op)): op for op in range(lib.pg_op_count())}

_ERRORS: dict[int, tuple[type[Exception], str]] = {
    lib.PG_NO_MEMORY: (MemoryError, "out of memory for nodes; delete Values and Arrays that are no longer needed"),
    lib.PG_STALE: (ReferenceError, "the node was freed; a Value was used after its __del__"),
    lib.PG_ZERO_DIVISION: (ZeroDivisionError, "division by zero"),
    lib.PG_OVERFLOW: (OverflowError, "the result is too large for a float"),
    lib.PG_DOMAIN: (ValueError, "the function is not defined for this number"),
    lib.PG_COMPLEX: (ValueError, "the result is complex, but a Value must be real"),
}


def error(status: int, what: str) -> Exception:
    """Return the exception for a status; `what` names the operation that failed."""
    kind, why = _ERRORS[status]
    return kind(f"{what}: {why}")


def check(status: int, what: str) -> int:
    """Return what a function of the core returned, or raise the exception for a status below 0."""
    if status < 0:
        raise error(status, what)
    return status
