"""What differs between systems: `pygrad._system` as Windows has it, played on this one."""

import os
import sys

import pytest

# Makes Python take this system for Windows as far as the package can tell: without what only POSIX has, and with a
# msvcrt whose locks are those of fcntl. What the package imports from elsewhere is imported before.
WINDOWS = """if True:
    import asyncio, cffi, fcntl, importlib.metadata, multiprocessing, numpy, os, pathlib, pkgutil, shutil, signal, sys
    import rich.progress, subprocess, sysconfig, tempfile, types, zipfile

    def locking(file, mode, size):
        fcntl.flock(file, fcntl.LOCK_EX)

    for name in ["fork", "fchmod", "fchown", "getuid", "killpg", "register_at_fork", "sched_getaffinity", "sysconf",
                 "O_CLOEXEC", "O_NOFOLLOW"]:  # not O_NONBLOCK, which rmtree() uses from CPython 3.14 on
        delattr(os, name)
    for name in ["SIGKILL", "SIGALRM", "setitimer"]:
        delattr(signal, name)
    sys.modules.update(fcntl=None, resource=None, msvcrt=types.SimpleNamespace(locking=locking, LK_LOCK=1))
    sysconfig.get_config_vars()
    cc = shutil.which("cc")
    shutil.which = lambda name: cc  # which asks Windows from CPython 3.12 on
    sys.platform = "win32"
    import pygrad
    import pygrad._system as system
"""

windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows itself needs no play")


@windows
def test_the_package_imports_and_computes_where_nothing_of_posix_is(python):
    python(
        WINDOWS
        + """
    for module in pkgutil.walk_packages(pygrad.__path__, "pygrad."):
        if "_children" not in module.name and module.name not in ("pygrad.dask", "pygrad.__main__"):
            importlib.import_module(module.name)
    x = pygrad.Value(3.0)
    (x * x).backward()
    assert x.grad == 6
    assert pygrad.compile(lambda x: x * x, 1.0, backend="kernels")(3.0) == 9
    """
    )


@windows
def test_files_are_replaced_there_and_leftovers_removed_after_a_while(python):
    python(
        WINDOWS
        + """
    pygrad.save("w", {"w": 1})
    pygrad.save("other", {"w": 1})
    leftovers = []
    replace = os.replace
    os.replace = lambda *names: leftovers.append(shutil.copy(names[0], names[0].with_name(names[0].name + "0")))
    pygrad.save("w", {"w": 2})
    [leftover] = leftovers
    os.replace = replace
    assert leftover.exists()
    pygrad.save("w", {"w": 3})
    assert leftover.exists()
    os.utime(leftover, (0, 0))
    pygrad.save("w", {"w": 4})
    assert not leftover.exists()
    assert pygrad.load("w")["w"] == 4
    """
    )


@windows
def test_a_file_that_somebody_reads_is_replaced_once_it_is_closed(python):
    python(
        WINDOWS
        + """
    refusals, replace = [3], os.replace
    def replace_later(*names):
        if refusals[0]:
            refusals[0] -= 1
            raise PermissionError(13, "another process has the file open")
        replace(*names)
    os.replace = replace_later
    pygrad.save("w", {"w": 1})
    assert refusals == [0]
    assert pygrad.load("w")["w"] == 1
    """
    )


@windows
def test_native_code_is_kept_in_the_user_s_folder_and_compiled_once(python):
    python(
        WINDOWS
        + """
    from pygrad.program import native
    os.environ.pop("PYGRAD_CACHE_DIR", None)
    os.environ["LOCALAPPDATA"] = os.getcwd()
    system.FLAGS, system.LIBRARIES = ["-fPIC"], ["-lm"]
    os.environ["CC"] = "cc"
    if native.compiler():
        for _ in range(2):
            assert pygrad.compile(lambda x: x * x, 1.0, backend="native")(3.0) == 9
        assert [path.suffix for path in pathlib.Path("pygrad").iterdir()] == [".so"]
        assert len(native.clear_cache()) == 1
    """,
        env={**os.environ, "HOME": "."},
    )
