"""How setup.py compiles: by clang-cl on Windows, stripped for users, and with a message where it cannot."""

import runpy
import types
from pathlib import Path

import pytest
import setuptools
from setuptools.errors import PlatformError

ROOT = Path(__file__).parent.parent
OPTIONS = ["-std=c11", "-O2", "-ffp-contract=off"]


@pytest.fixture
def build_ext(monkeypatch):
    """A function that makes setup.py's build_ext, on a compiler of a type and for a platform, and returns it."""
    arguments = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, "setup", lambda **kwargs: arguments.update(kwargs))
    command = runpy.run_path("setup.py")["BuildExt"]

    def make(compiler_type, platform="win-amd64", cc="cl.exe"):
        made = command(setuptools.Distribution())
        made.plat_name, made.editable_mode = platform, False
        made.compiler = types.SimpleNamespace(compiler_type=compiler_type, cc=None, initialized=False)
        made.compiler.initialize = lambda plat_name: setattr(made.compiler, "cc", cc)
        monkeypatch.setattr(setuptools.command.build_ext.build_ext, "build_extension", lambda *args: None)
        return made

    return make


@pytest.fixture
def extension():
    return setuptools.Extension("pygrad._core", [], extra_compile_args=OPTIONS, libraries=["m"])


def executable(path):
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("platform", "host", "target"), [("win-amd64", "x64", "x86_64"), ("win-arm64", "ARM64", "aarch64")]
)
def test_windows_compiles_by_the_clang_of_visual_studio(
    build_ext, extension, tmp_path, monkeypatch, platform, host, target
):
    monkeypatch.setenv("PATH", "")
    clang = executable(tmp_path / "VC" / "Tools" / "Llvm" / host / "bin" / "clang-cl.exe")
    cl = tmp_path / "VC" / "Tools" / "MSVC" / "14.44" / "bin" / "Hostx86" / host / "cl.exe"
    command = build_ext("msvc", platform, str(cl))
    command.build_extension(extension)
    assert command.compiler.cc == str(clang)
    assert extension.libraries == []
    assert extension.extra_compile_args == [
        f"--target={target}-pc-windows-msvc", "/clang:-std=c11", "/clang:-ffp-contract=off",
    ]  # fmt: skip


def test_a_clang_cl_of_the_path_will_do(build_ext, extension, tmp_path, monkeypatch):
    clang = executable(tmp_path / "bin" / "clang-cl")
    monkeypatch.setenv("PATH", str(clang.parent))
    command = build_ext("msvc")
    command.build_extension(extension)
    assert command.compiler.cc == str(clang)


def test_without_clang_cl_the_message_names_the_component(build_ext, extension, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match=r'(?s)clang-cl.exe was not found.*"C\+\+ Clang tools"'):
        build_ext("msvc").build_extension(extension)


def test_32_bit_windows_is_refused_by_name(build_ext, extension):
    with pytest.raises(SystemExit, match="64-bit Windows, and this Python is for win32"):
        build_ext("msvc", "win32").build_extension(extension)


@pytest.mark.parametrize("editable", [False, True])
def test_what_users_get_is_stripped_and_what_developers_get_is_not(build_ext, extension, monkeypatch, editable):
    monkeypatch.setattr("sys.platform", "linux")
    command = build_ext("unix", "linux-x86_64")
    command.editable_mode = editable
    command.build_extension(extension)
    assert extension.extra_link_args == ([] if editable else ["-Wl,-s"])


def test_a_compiler_that_is_missing_is_named_with_what_to_install(build_ext, extension, monkeypatch):
    def missing(self, ext):
        raise PlatformError("cc is missing")

    command = build_ext("unix", "linux-x86_64")
    monkeypatch.setattr(setuptools.command.build_ext.build_ext, "build_extension", missing)
    with pytest.raises(SystemExit, match=r"(?s)cc is missing.*apt install gcc"):
        command.build_extension(extension)
