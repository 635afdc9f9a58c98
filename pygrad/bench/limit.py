"""Compiles the hand-written C of limit.c with the system's compiler when it is needed, and calls it through cffi.

Its times include the call from Python, as for all engines: 0.2 to 1 microseconds.
"""

from __future__ import annotations

import functools
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable

import numpy as np
from cffi import FFI

from pygrad.bench.work import Factory, Work

FLAGS = ["-O3", "-march=native", "-fno-math-errno"]  # without errno, sqrt() can be one instruction
NO_COMPILER = "apt install gcc  # Fedora: dnf install gcc, macOS: xcode-select --install"
SOURCE = Path(__file__).with_name("limit.c")

ffi = FFI()
ffi.cdef(SOURCE.with_suffix(".h").read_text(encoding="utf-8"))


def compiler() -> str | None:
    """The path of the C compiler, or None."""
    return shutil.which("cc")


def compiler_version() -> str:
    """The first line of the compiler's version, or "none"."""
    path = compiler()
    if path is None:
        return "none"
    done = subprocess.run([path, "--version"], capture_output=True, text=True)
    return done.stdout.partition("\n")[0]


@functools.lru_cache(None)
def library() -> Any:
    """limit.c, compiled and loaded.

    Raises
    ------
    RuntimeError
        with the compiler's message, if compilation fails
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:  # Windows keeps files that are loaded
        path = f"{directory}/limit.so"
        command = [compiler() or "cc", *FLAGS, "-std=c11", "-shared", "-fPIC", "-o", path, str(SOURCE), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr}")
        return ffi.dlopen(path)


def pointer(x: Any) -> Any:
    """A C pointer to the data of an array. It keeps the array alive."""
    return ffi.from_buffer("int[]" if x.dtype == np.int32 else "double[]", x)


def function(name: str, size: Callable[[Any], int] | None = None) -> Factory:
    """The factory of a function of limit.c that takes a size (if given), inputs, and pointers for their gradients."""

    def factory(problem: Any) -> Work:
        inputs = [np.ascontiguousarray(x, dtype=float) for x in problem]
        gradient = [np.empty(x.shape) for x in inputs]
        f = getattr(library(), name)
        arguments = [*([] if size is None else [size(problem)]), *map(pointer, inputs + gradient)]
        return Work(lambda: f(*arguments), read=lambda value: [value, gradient])

    return factory
