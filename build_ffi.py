"""Builds `pygrad._core`: csrc/pygrad.h, the C API, is the cdef. setup.py calls this; nothing else does."""

import platform
import re
import sysconfig
from pathlib import Path

from cffi import FFI

CSRC = Path(__file__).parent / "csrc"
HEADER = (CSRC / "pygrad.h").read_text(encoding="utf-8")
OPS = (CSRC / "ops.def").read_text(encoding="utf-8")


def cdef() -> str:
    """The header as cffi reads it: without its preprocessor lines, and with the makers that these declare."""
    makers = dict(re.findall(r"^#define (PG_\w+)\(name, \.\.\.\) (.*)$", HEADER, re.MULTILINE))
    rows = re.findall(r"^(PG_\w+) *\((\w+),", OPS, re.MULTILINE)
    declared = [re.sub("##name(##)?", name, makers[kind]) for kind, name in rows]
    return re.sub(r"^#.*$", "", HEADER, flags=re.MULTILINE) + "\n".join(declared)


# cffi gives up the GIL around every call, takes it back after, and keeps errno meanwhile. For calls that last a few ns
# that is most of the cost (35 to 55 ns of a 30 to 75 ns call, two calls an op), and our functions set no errno: so
# `lib.f()` does neither. Calls that may last go through `ffi.addressof(lib, "f")`, which cffi makes without the GIL.
# The arena is safe either way: it has a lock of its own.
BRIEF_CALLS = """
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }
#undef _cffi_restore_errno
#undef _cffi_save_errno
#define _cffi_restore_errno() ((void)0)
#define _cffi_save_errno() ((void)0)
"""


def files(*suffixes: str) -> list[str]:
    """The files of the core, as setup.py names them."""
    return sorted(f"csrc/{file.relative_to(CSRC).as_posix()}" for file in CSRC.rglob("*.*") if file.suffix in suffixes)


# The C types of csrc/python/ are for CPython with a GIL. Elsewhere the package does without.
HAS_TYPES = platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED")

ffibuilder = FFI()
ffibuilder.cdef(cdef())
ffibuilder.set_source(
    "pygrad._core",
    '#include "pygrad.h"\n' + BRIEF_CALLS,
    sources=[file for file in files(".c") if HAS_TYPES or not file.startswith("csrc/python/")],
    depends=files(".h", ".def", ".inc"),
    include_dirs=["csrc"],
    # As Python rounds: no contraction, so that a * b + c rounds twice, and pow(x, -1) is a call, not 1 / x.
    # Nobody reads errno, so sqrt() may be an instruction. Nothing but the module's init is exported.
    extra_compile_args=[
        "-std=c11",
        "-O2",
        "-ffp-contract=off",
        "-fno-builtin-pow",
        "-fno-math-errno",
        "-fvisibility=hidden",
    ],
    libraries=["m", "pthread"],
)
