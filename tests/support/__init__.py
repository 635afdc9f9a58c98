"""Helpers for the tests. This file has those that test files of every kind need."""

import gc
import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

import pygrad

# Systems. A sanitizer maps most of the address space and keeps freed memory for a while.
on_limited_memory = pytest.mark.skipif(
    "PYGRAD_SANITIZED" in os.environ or sys.platform == "win32",
    reason="a sanitizer needs memory of its own, and Windows has no limits of it",
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs modes, links or the shell of POSIX")
with_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")

# Begins code for the fixture `python`: it may use so much more address space. Without a GIL CPython reserves a GiB.
LIMITED = """
import resource
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), resource.RLIM_INFINITY))
"""


def on_cpython(reason: str) -> pytest.MarkDecorator:
    """Skip a test on other interpreters, for a reason that pygrad cannot fix."""
    return pytest.mark.skipif(platform.python_implementation() != "CPython", reason=reason)


# The class in Python releases its node in __del__; the C type has none, nor has the class on PyPy.
on_cffi = pytest.mark.skipif(not hasattr(pygrad.Value, "__del__"), reason="Value has no __del__")
with_matplotlib = on_cpython("matplotlib and scikit-learn have no wheels for PyPy 8")
with_cloudpickle = on_cpython("cloudpickle, which joblib and Dask import, fails on PyPy 8")
frees_at_once = on_cpython("PyPy finalizes a Value when it collects garbage")

has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
frees_functions = pytest.mark.skipif(
    not has_gil and sys.version_info < (3, 14), reason="it frees no function, code or class once a thread has run"
)


def live_nodes() -> int:
    """The number of live nodes after garbage collection; PyPy frees what NumPy's arrays held in a later one."""
    live, unchanged = pygrad.memory_stats().live_nodes, 0
    while unchanged < 4:
        gc.collect()
        pygrad.Value(0).backward()  # a pass frees the closures of dead results
        before, live = live, pygrad.memory_stats().live_nodes
        unchanged = unchanged + 1 if live == before else 0
    return live


def in_threads(work, count=4) -> None:
    """Call work(0), ..., work(count - 1) in as many threads, and raise what the first of these raises."""
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(work, range(count)))
