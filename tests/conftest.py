"""Fixtures and options of the tests."""

import gc
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from pygrad._lib import ffi, lib, pypy
from support import figures, live_nodes
from support.interrupts import Interrupt

# Files of tests that import what does not load on PyPy 8, and why not.
NOT_ON_PYPY = {
    "cloudpickle, which Dask imports, fails": ["test_dask.py", "test_dask_cluster.py", "trust/test_dask_memory.py"],
    "matplotlib has no wheels": [
        "test_asian_option.py", "test_docs.py", "test_rumelhart1986.py", "trust/test_graph_frames.py", "viz",
    ],
    "SciPy has no wheels": ["program/test_objective.py"],
    "rpds-py, which nbformat needs, has no wheels": ["test_notebooks.py"],
}  # fmt: skip
collect_ignore = [file for files in NOT_ON_PYPY.values() for file in files] if pypy else []

settings.register_profile("patient", settings.default, deadline=None)  # other programs may slow an example down
settings.load_profile("patient")


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="run tests/trust at full length and print a page of figures")
    parser.addoption("--page", metavar="FILE", help="write the page of figures to FILE if all tests pass")


def pytest_configure(config):
    """Heed Ctrl-C, which child processes then do, too: a shell's background jobs ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def alarms():
    """A function that has a signal handler raise Interrupt, once, after some seconds.

    No garbage is collected in the meantime: the collector calls functions, as one of Hypothesis, and swallows what is
    raised there.
    """
    if not hasattr(signal, "setitimer"):
        pytest.skip("needs an interval timer")

    def interrupt(*_):
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    gc.disable()
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    gc.enable()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def full(request) -> bool:
    """Whether to run the long form of a test, as `make trust` does."""
    return request.config.getoption("--full")


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    for reason, files in NOT_ON_PYPY.items() if pypy else ():
        terminalreporter.write_line(f"not collected: {', '.join(files)}: {reason} on PyPy")
    if config.getoption("--full"):
        terminalreporter.section("trust")
        terminalreporter.write_line(figures.page())
    if config.getoption("--page") and exitstatus == 0:
        Path(config.getoption("--page")).write_text(figures.page(), encoding="utf-8")


@pytest.fixture(autouse=True, scope="module")
def few_objects():
    """Freeze the objects made before a file's tests: collecting garbage among all of them takes 20 times as long."""
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy has not
        gc.freeze()


@pytest.fixture(autouse=True)
def sound_arena():
    """Check the invariants of the whole arena after each test."""
    yield
    broken = lib.pg_check()
    assert not broken, "the arena breaks the rule that " + ffi.string(broken).decode()


@pytest.fixture
def no_leak():
    """Check that the test leaks no node."""
    before = live_nodes()
    yield
    assert live_nodes() == before


@pytest.fixture
def tracemalloc():
    """The module, where the interpreter has one (PyPy has not); it is stopped after the test."""
    module = pytest.importorskip("tracemalloc")
    yield module
    module.stop()


@pytest.fixture
def python(tmp_path):
    """A function that runs Python code in a new process, which must succeed, and returns its output."""

    def run(code: str, **options: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=tmp_path, **options
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
