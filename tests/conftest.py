"""What the tests share."""

import gc
import platform
import subprocess
import sys

import pytest

import pygrad


def on_cpython(reason: str) -> pytest.MarkDecorator:
    """Skip a test elsewhere, for a reason that is not ours to mend."""
    return pytest.mark.skipif(platform.python_implementation() != "CPython", reason=reason)


def live_nodes() -> int:
    """Nodes alive once all that can be collected is (PyPy runs a `__del__` only in a later collection)."""
    live = -1
    while live != pygrad.memory_stats().live_nodes:
        live = pygrad.memory_stats().live_nodes
        for _ in range(3):
            gc.collect()
    return live


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
