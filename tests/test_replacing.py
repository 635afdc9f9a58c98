"""Files that pygrad writes: what stands at a path is replaced as a whole, stays what it is, or is refused."""

import contextlib
import functools
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest

import pygrad
from support.interrupts import interrupted_at

fcntl = pytest.importorskip("fcntl", reason="links, modes, owners and kinds of files are those of POSIX")

WRITERS = {
    "pygrad.save": lambda path, number: pygrad.save(path, {"w": number}),
    "Program.save": lambda path, number: pygrad.compile(lambda x: x * number, 1.0).save(path),
    "Program.to_c": lambda path, number: pygrad.compile(lambda x: x * number, 1.0).to_c(path, "f"),
}


@pytest.fixture(params=WRITERS.values(), ids=WRITERS)
def write(request):
    """Write a file whose contents depend on a number."""
    return request.param


@pytest.fixture
def contents(write, tmp_path_factory):
    """What `write` writes for a number."""
    folder = tmp_path_factory.mktemp("contents")

    def contents(number):
        write(folder / "file", number)
        return (folder / "file").read_bytes()

    return contents


@pytest.fixture
def umask():
    """Set the umask during a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# What is written --------------------------------------------------------------------------------------------------


def symbolic_link(folder):
    (folder / "file").write_text("old")
    (folder / "link").symlink_to("file")
    return folder / "link", folder / "file"


def link_to_a_link(folder):
    link, file = symbolic_link(folder)
    (folder / "other").symlink_to(link.name)
    return folder / "other", file


def link_to_another_folder(folder):
    (folder / "there").mkdir()
    (folder / "link").symlink_to(folder / "there" / "file")
    return folder / "link", folder / "there" / "file"


def folder_that_is_a_link(folder):
    (folder / "there").mkdir()
    (folder / "here").symlink_to("there")
    return folder / "here" / "file", folder / "there" / "file"


PLACES = [
    symbolic_link,
    link_to_a_link,
    link_to_another_folder,
    folder_that_is_a_link,
    *(
        pytest.param(lambda folder, name=name: (folder / name, folder / name), id=f"{len(os.fsencode(name))} bytes")
        for name in ("x" * 243, "x" * 244, "x" * 255, "ü" * 127, ".x")
    ),
]


@pytest.mark.parametrize("place", PLACES)
def test_a_file_is_written_where_the_path_leads(tmp_path, write, contents, place):
    path, file = place(tmp_path)
    links = {path for path in tmp_path.iterdir() if path.is_symlink()}
    for number in (2.0, 3.0):
        write(path, number)
        assert file.read_bytes() == contents(number)
        assert {path for path in tmp_path.iterdir() if path.is_symlink()} == links
    assert not list(tmp_path.rglob(".pygrad-*"))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o666, 0o755])
def test_a_file_keeps_its_mode(tmp_path, write, mode):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(mode)
    write(path, 2.0)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() != b"old"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path, write, umask, mask, mode):
    umask(mask)
    write(tmp_path / "file", 2.0)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_nobody_else_can_read_a_private_file_while_it_is_written(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    modes = set()
    replace, write_array = os.replace, pygrad.checkpoint.np.lib.format.write_array

    def look(function, *args, **kwargs):
        modes.update(stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir())
        return function(*args, **kwargs)

    monkeypatch.setattr("os.replace", lambda *args: look(replace, *args))
    monkeypatch.setattr("numpy.lib.format.write_array", lambda *args, **kwargs: look(write_array, *args, **kwargs))
    pygrad.save(path, {"w": 1})
    assert modes == {0o600}


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_a_file_keeps_its_owner(tmp_path, write):
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 1234, 2345)
    path.chmod(0o640)
    write(path, 2.0)
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o640)


# What is refused --------------------------------------------------------------------------------------------------


def directory(path):
    path.mkdir()


def bound_socket(path):
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as listener:  # its path must be short
        listener.bind(path.name)


def read_only(path):
    path.write_text("old")
    path.chmod(0o444)


def link_to(make):
    def link(path):
        make(path.with_name("target"))
        path.symlink_to("target")

    return link


REFUSED = [
    (directory, IsADirectoryError, "not a directory"),
    (os.mkfifo, OSError, "not a FIFO"),
    (bound_socket, OSError, "not a socket"),
    (lambda path: path.symlink_to("/dev/null"), OSError, "not a device"),
    (read_only, PermissionError, "read-only: change its mode"),
    (link_to(directory), IsADirectoryError, "not a directory"),
    (link_to(os.mkfifo), OSError, "not a FIFO"),
    (link_to(read_only), PermissionError, "read-only"),
    (lambda path: path.symlink_to(path.name), OSError, "symbolic links"),
    (lambda path: path.symlink_to("nowhere/file"), FileNotFoundError, "No such file"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_what_is_no_file_to_be_written_is_refused_and_stays(tmp_path, write, make, error, message):
    path = tmp_path / "file"
    make(path)
    before = {name: os.lstat(tmp_path / name) for name in names(tmp_path)}
    with pytest.raises(error, match=message) as caught:
        write(path, 2.0)
    assert caught.value.filename == str(path)
    after = {name: os.lstat(tmp_path / name) for name in names(tmp_path)}
    assert {name: (s.st_ino, s.st_mode, s.st_size) for name, s in before.items()} == {
        name: (s.st_ino, s.st_mode, s.st_size) for name, s in after.items()
    }


@pytest.mark.parametrize(
    ("name", "error"), [("missing/file", FileNotFoundError), ("x" * 256, OSError), ("file/file", NotADirectoryError)]
)
def test_a_path_that_cannot_be_is_named_as_it_was_given(tmp_path, write, name, error):
    (tmp_path / "file").write_text("old")
    with pytest.raises(error) as caught:
        write(tmp_path / name, 2.0)
    assert caught.value.filename == str(tmp_path / name)
    assert names(tmp_path) == ["file"]


def test_the_null_device_stays_one(write):
    before = os.stat(os.devnull)
    with pytest.raises(OSError, match="not a device"):
        write(os.devnull, 2.0)
    assert os.stat(os.devnull).st_ino == before.st_ino


# Interrupts -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="raises at bytecodes of CPython")
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning",  # between open() and `with`, it is left to the collector to close
    "ignore:Exception ignored .* <zipfile",  # of which not all was made, from CPython 3.13 on
)
def test_an_interrupt_at_any_moment_is_reported_as_such_and_the_next_save_works(tmp_path):
    path = tmp_path / "file"
    pygrad.save(path, {"w": 0})
    saved, event = 0, 1
    while interrupted_at(event, functools.partial(pygrad.save, path, {"w": event})):
        found = int(pygrad.load(path)["w"])
        assert found in (saved, event)
        saved = found
        event += 1 + event // 40
    assert event > 1000
    assert pygrad.load(path)["w"] == event
    assert names(tmp_path) == ["file"]


KILLED = """
import os, signal, sys
import numpy as np
import pygrad

replace = os.replace
os.replace = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
pygrad.save(sys.argv[1], {"w": np.ones(1000)})
"""


def test_what_a_killed_save_leaves_is_removed_by_the_next(tmp_path):
    path = tmp_path / "file"
    pygrad.save(path, {"w": 1})
    pygrad.save(tmp_path / "other", {"w": 1})
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, path], timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert len(names(tmp_path)) == 3
        assert pygrad.load(path)["w"] == 1
    pygrad.save(tmp_path / "other", {"w": 2})
    assert len(names(tmp_path)) == 3
    pygrad.save(path, {"w": 2})
    assert names(tmp_path) == ["file", "other"]


def test_a_file_that_is_being_written_is_not_taken_for_a_leftover(tmp_path, monkeypatch):
    """A save within another, as of a handler of SIGTERM that writes the checkpoint once more."""
    path, replace = tmp_path / "file", os.replace

    def save_again(*args):
        monkeypatch.setattr("os.replace", replace)
        pygrad.save(path, {"w": 1})
        replace(*args)

    monkeypatch.setattr("os.replace", save_again)
    pygrad.save(path, {"w": 2})
    assert pygrad.load(path)["w"] == 2
    assert names(tmp_path) == ["file"]


def test_saves_at_the_same_time_all_succeed(tmp_path):
    path, failed = tmp_path / "file", []

    def save(number):
        try:
            for _ in range(30):
                pygrad.save(path, {"w": number})
                assert pygrad.load(path)["w"] < 4
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert names(tmp_path) == ["file"]


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    def no_locks(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    pygrad.save(tmp_path / "file", {"w": 1})
    assert names(tmp_path) == ["file"]
