"""Builds the package: pyproject.toml describes it, and build_ffi.py lists what is compiled."""

import platform
import re
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, ExecError, PlatformError

NO_COMPILER = """
pygrad's C core could not be compiled; the message above says why.
If a compiler or Python.h is missing, install it and try again:

  Debian, Ubuntu    apt install gcc libc6-dev python3-dev
  Fedora, RHEL      dnf install gcc python3-devel
  Alpine            apk add gcc musl-dev python3-dev
  macOS             xcode-select --install
"""


class BuildExt(build_ext):
    """A build_ext that says what to install when the compiler fails."""

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except (CCompilerError, ExecError, PlatformError) as error:
            raise SystemExit(f"{error}\n{NO_COMPILER}") from error


def readme():
    """README.md for PyPI, which has no other file of the repository: without pictures, and with links to pages only."""
    text = Path("README.md").read_text(encoding="utf-8")
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    return re.sub(r"\[([^\]]*)\]\((?!https://)[^)]*\)", r"\1", text)


# One binary serves every CPython from 3.11 on. PyPy and free-threaded CPython have no stable ABI.
abi3 = (
    platform.python_implementation() == "CPython"
    and sys.version_info >= (3, 11)
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)

setup(
    long_description=readme(),
    long_description_content_type="text/markdown",
    cffi_modules=["build_ffi.py:ffibuilder"],
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if abi3 else {},
)
