"""Builds `pygrad._core`: csrc/pygrad.h, the C API, is the cdef. `setup.py` calls this; nothing else does."""

from pathlib import Path

from cffi import FFI

CSRC = Path(__file__).parent / "csrc"
HEADER = (CSRC / "pygrad.h").read_text(encoding="utf-8")

# cffi gives up the GIL around every call and takes it back after. For calls that last a few ns that round trip is
# most of the cost (25 to 45 ns of a 30 to 75 ns call, twice an op), so `lib.f()` keeps the GIL. Calls that may last
# go through `ffi.addressof(lib, "f")`, which cffi calls without it. The arena's own lock needs neither.
KEEP_THE_GIL = """
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
#define Py_BEGIN_ALLOW_THREADS {
#define Py_END_ALLOW_THREADS }
"""

ffibuilder = FFI()
ffibuilder.cdef("\n".join(line for line in HEADER.splitlines() if not line.startswith("#")))
ffibuilder.set_source(
    "pygrad._core",
    '#include "pygrad.h"\n' + KEEP_THE_GIL,
    sources=[f"csrc/{source.name}" for source in sorted(CSRC.glob("*.c"))],
    depends=[f"csrc/{header.name}" for header in sorted([*CSRC.glob("*.h"), *CSRC.glob("*.def")])],
    include_dirs=["csrc"],
    # No contraction: a * b + c rounds twice, as Python's does.
    extra_compile_args=["-std=c11", "-O2", "-ffp-contract=off"],
    libraries=["m", "pthread"],
)
