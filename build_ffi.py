"""Builds `pygrad._core`. The C API, csrc/pygrad.h, is the cdef, so nothing is declared twice.

setup.py calls this for the extension. `python build_ffi.py` writes pygrad/_core.pyi, the types of the extension. Run it
whenever the C API changes, or run `make format`, which includes it.
"""

from __future__ import annotations

import json
import keyword
import platform
import re
import sysconfig
from pathlib import Path

from cffi import FFI

CSRC = Path(__file__).parent / "csrc"
HEADER = (CSRC / "pygrad.h").read_text(encoding="utf-8")
OPS = (CSRC / "ops.def").read_text(encoding="utf-8")


def cdef() -> str:
    """The header as cffi reads it: without preprocessor lines, but with the makers of nodes that these declare."""
    makers = dict(re.findall(r"^#define (PG_\w+)\(name, \.\.\.\) (.*)$", HEADER, re.MULTILINE))
    rows = re.findall(r"^(PG_\w+) *\((\w+),", OPS, re.MULTILINE)
    declared = [re.sub("##name(##)?", name, makers[kind]) for kind, name in rows]
    return re.sub(r"^#.*$", "", HEADER, flags=re.MULTILINE) + "\n".join(declared)


def native() -> str:
    """What native code begins with, native.h with the files that it includes: the value of pg_native_head.

    The functions of functions.def, for one number, get other names than those for vectors.
    """

    def text(name: str) -> str:
        if name == "pymath.h":  # which ieee.h replaces
            return ""
        source = (CSRC / name).read_text(encoding="utf-8")
        if name == "functions.def":
            source = re.sub(r"^PG_FUNCTION\((\w+)", r"#define \1 \1_of_one\n\g<0>", source, flags=re.MULTILINE)
        return re.sub(r'^#include "(.*)"$', lambda include: text(include[1]), source, flags=re.MULTILINE)

    lines = re.sub(r"/\*.*?\*/", "", text("routine/native.h"), flags=re.DOTALL).splitlines()
    return "\n".join(f"  {json.dumps(line + chr(10))}" for line in lines if line.strip())


# The types of the extension -----------------------------------------------------------------------------------------

STUB = '''\
"""The types of the extension. Generated from csrc/pygrad.h and csrc/ops.def by `python build_ffi.py`; do not edit."""

# ruff: noqa
# fmt: off

from collections.abc import Callable
from typing import Any, SupportsFloat, SupportsIndex

Integer = SupportsIndex
Real = SupportsFloat | SupportsIndex
Pointer = Any  # a pointer or an array of C, or a list of numbers, from which cffi makes an array for the call

class _FFI:
    NULL: Any
    def new(self, cdecl: Any, init: Any = ...) -> Any: ...
    def cast(self, cdecl: Any, source: Any) -> Any: ...
    def typeof(self, cdecl: Any) -> Any: ...
    def string(self, cdata: Any, maxlen: int = ...) -> bytes: ...
    def buffer(self, cdata: Any, size: int = ...) -> Any: ...
    def from_buffer(self, cdecl: Any, python_buffer: Any, require_writable: bool = ...) -> Any: ...
    def gc(self, cdata: Any, destructor: Any, size: int = ...) -> Any: ...
    def addressof(self, library: _Lib, function: str) -> Callable[..., int]: ...

class _Lib:
    pg_native_head: Any
'''
STUB_END = """
ffi: _FFI
lib: _Lib
"""
INTEGERS = ["int", "unsigned", "size_t", "uint32_t", "uint64_t", "int64_t", "pg_id", "pg_made"]
RETURNED = {"void": "None", "bool": "bool", "double": "float", **dict.fromkeys(INTEGERS, "int")}
PASSED = {"bool": "bool", "double": "Real", **dict.fromkeys(INTEGERS, "Integer")}


def stub() -> str:
    """The text of pygrad/_core.pyi."""
    source = re.sub(r"/\*.*?\*/|//[^\n]*", " ", cdef(), flags=re.DOTALL)
    enums = re.findall(r"\benum\b[^{;]*\{([^}]*)\}", source)
    functions = re.findall(r"([a-z][\w ]*?[\s*]+)(pg_\w+)\(([^)]*)\);", source)
    lines = [f"{constant}: int" for constant in dict.fromkeys(re.findall(r"\bPG_\w+", " ".join(enums)))]
    for type, name, parameters in functions:
        lines.append(f"def {name}({_parameters(parameters)}) -> {_type(type, RETURNED)}: ...")
    return STUB + "".join(f"    {line}\n" for line in lines) + STUB_END


def _parameters(declared: str) -> str:
    """The parameters of a function of C, as Python declares them."""
    parameters = ["self"]
    for type, name, array in re.findall(r"(\w[^,]*?[\s*])(\w+)(\[\d+\])?\s*(?:,|$)", declared):
        name += "_" if keyword.iskeyword(name) else ""
        parameters.append(f"{name}: {'Pointer' if array else _type(type, PASSED)}")
    return ", ".join([*parameters, "/"])


def _type(declared: str, types: dict[str, str]) -> str:
    return "Pointer" if "*" in declared else types[re.sub(r"\bconst\b|\benum pg_\w+", "", declared).strip() or "int"]


# The extension ------------------------------------------------------------------------------------------------------

# Around every call, cffi releases the GIL, takes it again, and saves errno. For a call of a few ns that is most of the
# cost (35 to 55 ns of 30 to 75 ns, and an op makes two calls), and our functions do not set errno: so `lib.f()` does
# none of this. Long calls go through `ffi.addressof(lib, "f")`, for which cffi does release the GIL. The arena is safe
# either way, as it has a lock of its own.
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
    """The files of the core with these suffixes, relative to setup.py."""
    return sorted(f"csrc/{file.relative_to(CSRC).as_posix()}" for file in CSRC.rglob("*.*") if file.suffix in suffixes)


HAS_TYPES = platform.python_implementation() == "CPython"  # those of csrc/python/
HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")

ffibuilder = FFI()
ffibuilder.cdef(cdef() + "\nextern const char pg_native_head[];")
ffibuilder.set_source(
    "pygrad._core",
    f'#include "pygrad.h"\n{BRIEF_CALLS}\nconst char pg_native_head[] =\n{native()};\n',
    sources=[file for file in files(".c") if HAS_TYPES or not file.startswith("csrc/python/")],
    depends=files(".h", ".def", ".inc"),
    include_dirs=["csrc"],
    # Python's rounding: no contraction, so that a * b + c rounds twice, and pow(x, -1) stays a call, not 1 / x. Nothing
    # reads errno, so sqrt() may be an instruction. Only the functions that initialize the modules are exported.
    extra_compile_args=[
        "-std=c11",
        "-O2",
        "-ffp-contract=off",
        "-fno-builtin-pow",
        "-fno-math-errno",
        "-fvisibility=hidden",
        *(["-msse2", "-mfpmath=sse"] if platform.machine() in ("i386", "i686") else []),  # the x87 rounds otherwise
    ],
    # Assertions are for the tests of csrc/: see tests/c/Makefile.
    define_macros=[("NDEBUG", None), *([] if HAS_GIL else [("Py_GIL_DISABLED", "1")])],
    libraries=["m", "pthread", "dl"],
)

if __name__ == "__main__":
    (Path(__file__).parent / "pygrad" / "_core.pyi").write_text(stub(), encoding="utf-8")
