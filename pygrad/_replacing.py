"""Writing files: all or nothing, in the place of what the path names, and without leaving anything behind.

A file is written under a temporary name beside its place and then renamed. Only regular files are written that way:
renaming would put a file in the place of a directory, a device or a FIFO.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Union

from pygrad import _system as system

PathLike = Union[str, "os.PathLike[str]"]


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """Open a temporary file beside a file; it replaces that file once it is complete.

    It replaces what a symbolic link points to, and keeps the owner and the mode of the file. What a process that was
    killed has left there is removed.

    Raises
    ------
    OSError
        if the path is anything but a regular file that may be written, or a new name in a folder that exists
    """
    target = Path(os.path.realpath(path))
    try:
        old = _writable(path)
        _remove_leftovers(target)
        beside, file = _new_temporary(target, 0o666 if old is None else 0o600)
    except OSError as error:
        error.filename = os.fspath(path)  # not that of the temporary file
        raise
    try:
        with file:
            yield file
            file.flush()
            if old is not None:
                system.take_over(file.fileno(), old)
            os.fsync(file.fileno())
            system.replace(file, beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _writable(path: PathLike) -> os.stat_result | None:
    """The status of a file that may be replaced; None if there is no such file yet."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(code, f"{os.strerror(code)}: pygrad writes regular files, not {_kind(status.st_mode)}", path)
    if not status.st_mode & 0o222 or not os.access(path, os.W_OK):  # root may write any file, but did not mean this one
        raise PermissionError(errno.EACCES, "The file is read-only: change its mode, or save under another name", path)
    return status


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _temporary_prefix(target: Path) -> str:
    """How the names of all temporary files for a file begin: short, for its own name may be as long as names can be."""
    return f".pygrad-{hashlib.blake2b(os.fsencode(target.name), digest_size=8).hexdigest()}-"


def _new_temporary(target: Path, mode: int) -> tuple[Path, BinaryIO]:
    """A new file beside the target, and its path. It is locked while it is open, which tells it from a leftover."""
    while True:
        beside = target.with_name(_temporary_prefix(target) + secrets.token_hex(4))
        file = open(beside, "xb", opener=lambda path, flags: os.open(path, flags, mode))  # noqa: SIM115
        with contextlib.suppress(OSError):  # some file systems have no locks, and then nobody removes leftovers
            system.lock(file.fileno())
        if beside.exists():  # nobody took it for a leftover before it was locked
            return beside, file
        file.close()


def _remove_leftovers(target: Path) -> None:
    """Remove the temporary files that nobody writes any more, for whoever did was killed."""
    prefix = _temporary_prefix(target)
    try:
        leftovers = [name for name in os.listdir(target.parent) if name.startswith(prefix)]
    except OSError:  # a folder may be written without being readable
        return
    for leftover in map(target.with_name, leftovers):
        with contextlib.suppress(OSError):
            system.remove_unused(leftover)
