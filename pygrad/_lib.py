"""The door to the core: every other module takes `ffi`, `lib` and what wraps them from here.

The core is csrc/, bound by build_ffi.py as `pygrad._core`. Its functions return a status below 0 when they fail
(enum pg_status of csrc/pygrad.h); `check` turns that into the exception.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import platform
import sys
import sysconfig
from typing import Any

try:
    from pygrad import _core
    from pygrad._core import ffi, lib
except ImportError as missing:
    raise ImportError("pygrad's C core is not built here: run `pip install .` or `pip install -e .` first") from missing

__all__ = ["OPS", "check", "error", "fast", "ffi", "lib", "text"]


def _load_fast() -> Any:
    """The C types of csrc/python/, a second module in the library of the first; None where cffi is all there is.

    That is so on PyPy, on free-threaded CPython, and where the environment says PYGRAD_FACADE=cffi.
    """
    facade = os.environ.get("PYGRAD_FACADE", "")
    if facade not in ("", "c", "cffi"):
        raise ImportError(f"PYGRAD_FACADE is c or cffi, not {facade!r}")
    on_gil = platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    if facade == "cffi" or not on_gil:
        return None
    loader = importlib.machinery.ExtensionFileLoader("pygrad._fast", _core.__file__)
    spec = importlib.util.spec_from_file_location(loader.name, _core.__file__, loader=loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[loader.name] = module
    return module


fast = _load_fast()


def text(chars: Any) -> str:
    """A string of C as Python's."""
    string: bytes = ffi.string(chars)
    return string.decode()


# By symbol and number of operands: `**` with a number and `**` with a Value are two ops.
OPS = {(text(lib.pg_op_symbol(op)), lib.pg_op_arity(op)): op for op in range(lib.pg_op_count())}

_ERRORS: dict[int, tuple[type[Exception], str]] = {
    lib.PG_NO_MEMORY: (MemoryError, "there is no memory for another node; let go of some graphs"),
    lib.PG_STALE: (ReferenceError, "a node that is gone; a Value was used after its __del__"),
    lib.PG_ZERO_DIVISION: (ZeroDivisionError, "a division by zero"),
    lib.PG_OVERFLOW: (OverflowError, "too large for a float"),
    lib.PG_DOMAIN: (ValueError, "not defined there"),
    lib.PG_COMPLEX: (ValueError, "a complex number, and a Value is real"),
}


def error(status: int, what: str) -> Exception:
    """The exception for a status; `what` names the operation that failed."""
    kind, why = _ERRORS[status]
    return kind(f"{what}: {why}")


def check(status: int, what: str) -> int:
    """Return what a function of the core returned, or raise the exception for a status below 0."""
    if status < 0:
        raise error(status, what)
    return status
