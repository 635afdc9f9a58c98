"""Builds the package: pyproject.toml describes it, and build_ffi.py lists what is compiled."""

import platform
import re
import shutil
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
  Windows           Visual Studio Build Tools, with "Desktop development with C++" and its component "C++ Clang tools":
                    cl.exe has no vector extensions, and clang-cl has
"""
TARGETS = {"win-amd64": "x86_64", "win-arm64": "aarch64"}  # for clang-cl, of which one serves all


class BuildExt(build_ext):
    """A build_ext that uses clang-cl on Windows, strips what users get, and says what to install when it fails."""

    def build_extension(self, ext):
        try:
            if self.compiler.compiler_type == "msvc":
                self.use_clang_cl(ext)
            elif not self.editable_mode:
                ext.extra_link_args.append("-Wl,-x" if sys.platform == "darwin" else "-Wl,-s")
            super().build_extension(ext)
        except (CCompilerError, ExecError, PlatformError) as error:
            raise SystemExit(f"{error}\n{NO_COMPILER}") from error

    def use_clang_cl(self, ext):
        """Put clang-cl in the place of cl.exe, with the options that it takes from clang."""
        compiler, target = self.compiler, TARGETS.get(self.plat_name)
        if target is None:
            raise PlatformError(f"pygrad runs on 64-bit Windows, and this Python is for {self.plat_name}")
        if not compiler.initialized:
            compiler.initialize(self.plat_name)
        tools = [folder for folder in Path(compiler.cc).parents if folder.name == "Tools"]  # of Visual Studio
        places = [tools[0] / "Llvm" / host / "bin" / "clang-cl.exe" for host in ("x64", "ARM64")] if tools else []
        found = [path for path in map(shutil.which, ["clang-cl", *map(str, places)]) if path]
        if not found:
            raise ExecError("clang-cl.exe was not found")
        compiler.cc = found[0]
        ext.extra_compile_args = [
            f"--target={target}-pc-windows-msvc",
            *(f"/clang:{option}" for option in ext.extra_compile_args if option != "-O2"),  # which is /O2
        ]
        ext.libraries = []  # the C library has it all


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
