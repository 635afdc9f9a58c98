"""The door to the core: every other module takes `ffi`, `lib` and what wraps them from here.

The core is csrc/, bound by build_ffi.py as `pygrad._core`. Its functions return a status below 0 when they fail
(enum pg_status of csrc/pygrad.h); `check` turns that into the exception.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import os
import sys
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

try:
    import pygrad._core as core
    from pygrad._core import ffi, lib
except ImportError as missing:
    raise ImportError("pygrad's C core is not built: run `pip install .` or `pip install -e .` first") from missing

__all__ = [
    "NULL",
    "OPS",
    "Ids",
    "Numbers",
    "c_doubles",
    "c_ids",
    "c_ids_of",
    "check",
    "error",
    "fast",
    "ffi",
    "lib",
    "pypy",
    "text",
    "traced_functions",
]


def _load_fast() -> Any:
    """Load the C types of csrc/python/, a second module in the same library; None where Python does their work.

    That is so on PyPy, and where the environment says PYGRAD_FACADE=cffi.
    """
    facade = os.environ.get("PYGRAD_FACADE", "")
    if facade not in ("", "c", "cffi"):
        raise ImportError(f"the environment variable PYGRAD_FACADE must be c, cffi or empty, not {facade!r}")
    if facade == "cffi" or sys.implementation.name != "cpython":
        return None
    name, path = "pygrad._fast", core.__file__
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module
    return module


fast = _load_fast()
pypy = sys.implementation.name == "pypy"

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
    lib.PG_UNKNOWN: (
        NotImplementedError,
        "a function that is being compiled must leave the gradient of a custom_vjp to the Program: "
        "return the result, and call the Program's value_and_grad()",
    ),
    lib.PG_ESCAPED: (
        RuntimeError,
        "a Value or Array that was made while compile() called {0}() has the numbers of the example only; "
        "make it before compile(), or return it from {0}() and use what the Program returns",
    ),
}

traced_functions: dict[int, str] = {}  # their names, by the number of the trace


def error(status: int, what: str) -> Exception:
    """Return the exception for a status; `what` names the operation that failed."""
    kind, why = _ERRORS[status]
    if status == lib.PG_ESCAPED:
        why = why.format(traced_functions.get(lib.pg_escaped_from(), "a function"))
    return kind(f"{what}: {why}")


def check(status: int, what: str) -> int:
    """Return what a function of the core returned, or raise the exception for a status below 0."""
    if status < 0:
        raise error(status, what)
    return status
