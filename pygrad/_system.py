"""What the package asks of the operating system where systems differ. No other module calls what only some have.

`make lint` checks that with the types of each system. csrc/os/ is the same for the core.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt

    COMPILER, INSTALL_COMPILER = "clang", 'the component "C++ Clang tools" of Visual Studio'
    FLAGS = ["-fms-runtime-lib=dll"]  # whose pow() Python calls, too: that of the static library may have other bits
    LIBRARIES: list[str] = []

    def caches() -> Path:
        """The folder in which this user's programs keep what they can make again."""
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")

    def is_private(path: Path) -> bool:
        """Whether only this user can have written a file or a folder. Windows inherits that from the folder around."""
        return not stat.S_ISLNK(path.lstat().st_mode)

    def lock(file: int) -> None:
        """Lock an open file until it is closed; wait for others who have, but ten seconds at most. May be OSError."""
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)

    def remove_unused(path: Path) -> None:
        """Remove a temporary file unless somebody writes it. May be OSError."""
        if time.time() - path.lstat().st_mtime > 60:  # it may be closed, and not renamed yet
            path.unlink()  # fails if it is open

    def replace(file: BinaryIO, path: Path, target: Path) -> None:
        """Rename an open file, which is closed. No open file can be renamed, and none replaced that somebody reads."""
        file.close()
        for _ in range(100):
            with contextlib.suppress(PermissionError):
                os.replace(path, target)
                return
            time.sleep(0.01)
        os.replace(path, target)

    def take_over(file: int, old: os.stat_result) -> None:
        """Give a file the owner and the mode of the one that it replaces. Windows inherits them from the folder."""

    def kill(process: subprocess.Popen[bytes]) -> None:
        """End a process of which we no longer want anything."""
        process.kill()

else:
    import fcntl

    COMPILER = "cc"
    INSTALL_COMPILER = (
        "Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc; macOS: xcode-select --install"
    )
    FLAGS = ["-fPIC"]
    LIBRARIES = ["-lm"]

    def caches() -> Path:
        """The folder in which this user's programs keep what they can make again."""
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")

    def is_private(path: Path) -> bool:
        """Whether only this user can have written a file or a folder."""
        status = path.lstat()
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return status.st_uid == os.getuid() and not writable and not stat.S_ISLNK(status.st_mode)

    def lock(file: int) -> None:
        """Lock an open file until it is closed; wait for others who have. May be OSError: not all file systems can."""
        fcntl.flock(file, fcntl.LOCK_EX)

    def remove_unused(path: Path) -> None:
        """Remove a temporary file unless somebody has locked it. May be OSError."""
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(file)

    def replace(file: BinaryIO, path: Path, target: Path) -> None:
        """Rename an open file, which stays locked meanwhile."""
        os.replace(path, target)

    def take_over(file: int, old: os.stat_result) -> None:
        """Give a file the owner and the mode of the one that it replaces."""
        new = os.fstat(file)
        if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
            with contextlib.suppress(PermissionError):  # only root may give files away
                os.fchown(file, old.st_uid, old.st_gid)
        os.fchmod(file, stat.S_IMODE(old.st_mode))

    def kill(process: subprocess.Popen[bytes]) -> None:
        """End a process that was started in a session of its own, with its children."""
        os.killpg(process.pid, signal.SIGKILL)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
