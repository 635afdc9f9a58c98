"""How `make cross` runs the tests in Python on another processor, but for the emulator: tests/c/cross_python.py."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from support import on_posix

CROSS = runpy.run_path(str(Path(__file__).parent / "c" / "cross_python.py"))
SOME = """
import pytest

@pytest.mark.parametrize("name", ["a", "the root", "[b]"])
def test_passes(name):
    pass

def test_is_skipped():
    pytest.skip("passed, or failed")

@pytest.mark.parametrize("name", ["the root"])
def test_fails(name):
    raise ValueError("FAILED - 7 passed")

@pytest.fixture
def broken():
    raise ValueError

def test_has_no_fixture(broken):
    pass
"""


def test_pytest_s_output_tells_how_many_pass_and_which_fail(tmp_path):
    (tmp_path / "test_some.py").write_text(SOME)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "--quiet", "-p", "no:cacheprovider", "test_some.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    failed = ["test_some.py::test_has_no_fixture", "test_some.py::test_fails[the root]"]
    assert CROSS["read"](done.stdout) == (3, failed)


def test_of_tests_that_cannot_be_imported_none_pass():
    assert CROSS["read"]("ERROR tests/test_some.py - SyntaxError\n1 error in 0.1s\n") == (0, ["tests/test_some.py"])


@on_posix
def test_the_compiler_is_called_as_on_that_processor(tmp_path):
    script = CROSS["as_if_there"]("printf %s,", tmp_path)
    given = ["-march=native", "-o", "a file", '"$HOME"', "-march=native.c"]
    expected = '-march=armv8-a,-o,a file,"$HOME",-march=native.c,'
    assert subprocess.check_output([script, *given], text=True) == expected


def test_what_the_machine_lacks_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CROSS["MissingError"], match="needs Debian's apt and dpkg"):
        CROSS["unpack_python"](["qemu-aarch64"], tmp_path)


def test_what_cannot_be_fetched_is_said_by_the_last_line():
    with pytest.raises(CROSS["MissingError"], match=r"^there is no such package$"):
        CROSS["output"]([sys.executable, "-c", "print('wait'); exit('there is no such package')"])
