"""What the tests share."""

import gc
import os
import platform
import subprocess
import sys
from pathlib import Path

import figures
import pytest

import pygrad
from pygrad._lib import fast, ffi, lib

on_cffi = pytest.mark.skipif(fast is not None, reason="of the class in Python only: the C type releases nodes without")

# Sanitizers map most of the address space, and keep what is freed for a while.
on_limited_memory = pytest.mark.skipif("PYGRAD_SANITIZED" in os.environ, reason="a sanitizer needs memory of its own")


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="tests/trust at full length, and a page of figures")
    parser.addoption("--page", metavar="FILE", help="where to write the page of figures, if all tests pass")


@pytest.fixture
def full(request) -> bool:
    """Whether to test at the length that `make trust` does."""
    return request.config.getoption("--full")


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    if config.getoption("--full"):
        terminalreporter.section("trust")
        terminalreporter.write_line(figures.page())
    if config.getoption("--page") and exitstatus == 0:
        Path(config.getoption("--page")).write_text(figures.page(), encoding="utf-8")


def on_cpython(reason: str) -> pytest.MarkDecorator:
    """Skip a test elsewhere, for a reason that is not ours to mend."""
    return pytest.mark.skipif(platform.python_implementation() != "CPython", reason=reason)


@pytest.fixture(autouse=True, scope="module")
def few_objects():
    """What a file's tests collect is their own garbage: with all that was there before, it takes 20 times as long."""
    if not hasattr(gc, "freeze"):  # PyPy
        yield
        return
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def live_nodes() -> int:
    """Nodes alive once all that can be collected is (PyPy runs a `__del__` only in a later collection)."""
    live = -1
    while live != pygrad.memory_stats().live_nodes:
        live = pygrad.memory_stats().live_nodes
        for _ in range(3):
            gc.collect()
    return live


@pytest.fixture(autouse=True)
def sound_arena():
    """After each test the whole arena is as it should be."""
    yield
    broken = lib.pg_check()
    assert not broken, "the arena breaks the rule that " + ffi.string(broken).decode()


@pytest.fixture
def no_leak():
    """The test leaves as many live nodes as it found."""
    before = live_nodes()
    yield
    assert live_nodes() == before


@pytest.fixture
def python(tmp_path):
    """A function that runs Python code in a process of its own and returns what it printed; it must succeed."""

    def run(code: str, **options: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=tmp_path, **options
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
