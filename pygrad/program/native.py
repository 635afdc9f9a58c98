"""Native code: C that the core writes, compiled by the system's compiler and kept in a cache on disk.

A file of the cache has the key in its name, a hash of all that the code is made of: its text, the compiler, its
options, and the processor. Behind that is a hash of the contents. A file that does not have it, or that another user
could have written, is not loaded but made anew. So any number of processes may share the cache. Of those that want the
same code at once, one makes it and the others wait.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from pygrad import _system as system
from pygrad._lib import lib, text

# Python's rounding, as in build_ffi.py.
FLAGS = ["-march=native", "-ffp-contract=off", "-fno-builtin-pow", "-fno-math-errno"]
FLAGS += ["-std=gnu11", "-fvisibility=hidden", "-w"]
# GCC takes longer for its -O2, and the code is no faster: what matters besides -O1 is that loops over lanes and sums in
# registers are unrolled.
GCC_FLAGS = ["-O1", "-ftree-slp-vectorize", "-fpeel-loops", "-fno-predictive-commoning"]
# Else much of its time can go into two searches: for what a load reads, through all stores before it, and for what a
# store changes, through all loads before it. Blocks need neither, as they load no slot twice; loops have few stores and
# loads. And messages need not say which macros a word is from.
GCC_FLAGS += ["--param=sccvn-max-alias-queries-per-access=50", "--param=max-cselib-memory-locations=20"]
GCC_FLAGS += ["-ftrack-macro-expansion=0"]
CLANG_FLAGS = ["-O2"]
NO_COMPILER = (
    f"backend='native' needs a C compiler, and there is neither $CC nor {system.COMPILER}: "
    f"install one ({system.INSTALL_COMPILER}), or use backend='kernels'"
)
LIMIT = 1 << 30  # bytes that the cache has at most, unless PYGRAD_CACHE_SIZE says otherwise
_ABANDONED = 24 * 3600  # seconds after which nobody compiles any more
PATIENCE = 2.0  # seconds after which there is a progress bar
_MAY_STAY = True  # Windows does not remove files that are open or loaded
_LINES = 5  # of the compiler's message in an error
_DIGEST = 32  # hexadecimal digits of a hash in a name
_ENTRY = re.compile(rf"[0-9a-f]{{{_DIGEST}}}-[0-9a-f]{{{_DIGEST}}}\.so")


# The compiler -----------------------------------------------------------------------------------------------------


def compiler() -> list[str] | None:
    """The command of the C compiler, or None."""
    command = shlex.split(os.environ.get("CC", "").replace(os.sep, "/")) or [system.COMPILER]
    return command if shutil.which(command[0]) else None


def required_compiler() -> list[str]:
    """The same; RuntimeError if there is none."""
    command = compiler()
    if command is None:
        raise RuntimeError(NO_COMPILER)
    return command


@functools.lru_cache(None)
def _options(*command: str) -> tuple[list[str], bytes]:
    """The command with its options, and what tells it from those of other compilers and for other processors.

    That is all macros that it defines: they name its version, and the instructions that it may use.
    """
    macros = subprocess.run([*command, "-march=native", "-dM", "-E", "-x", "c", os.devnull], capture_output=True).stdout
    flags = (CLANG_FLAGS if b"__clang__" in macros else GCC_FLAGS) + FLAGS + system.FLAGS
    return [*command, *flags], " ".join([*command, *flags]).encode() + macros


# The cache --------------------------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Where native code is kept: PYGRAD_CACHE_DIR, or the platform's folder for caches."""
    chosen = os.environ.get("PYGRAD_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else system.caches() / "pygrad"


def cached() -> list[tuple[Path, os.stat_result]]:
    """The files of the cache with their status, the one used last at the end."""
    found = []
    with contextlib.suppress(OSError):
        for path in cache_folder().iterdir():
            if _ENTRY.fullmatch(path.name) or path.name.startswith("failed-"):
                with contextlib.suppress(OSError):  # another process has removed it
                    found.append((path, path.lstat()))
    return sorted(found, key=lambda entry: entry[1].st_mtime)


def clear_cache() -> list[tuple[Path, os.stat_result]]:
    """Remove all files of the cache, and return them. Windows keeps what a process has loaded."""
    _remove_leftovers()
    removed = []
    for path, status in cached():
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append((path, status))
    return removed


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little") + part)
    return whole.hexdigest()[:_DIGEST]


def _find(folder: Path, key: str) -> Path | None:
    """The file of the cache for a key, if it is as it was written."""
    for path in folder.glob(f"{key}-*.so"):
        with contextlib.suppress(OSError):
            if system.is_private(path) and path.stem == f"{key}-{_digest(path.read_bytes())}":
                os.utime(path)
                return path
            path.unlink()
    return None


def _limit() -> int:
    """How many bytes the cache may have."""
    given = os.environ.get("PYGRAD_CACHE_SIZE") or LIMIT
    try:
        return int(given)
    except ValueError:
        raise ValueError(f"the environment variable PYGRAD_CACHE_SIZE must be in bytes, got {given!r}") from None


def _remove_leftovers() -> None:
    """Remove the folders and locks of processes that were killed while they compiled."""
    for path in cache_folder().glob("compiling-*"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > _ABANDONED:
                remove = shutil.rmtree if path.is_dir() else os.unlink
                remove(path)


def _keep_within_limit(kept: Path, limit: int) -> None:
    """Remove the files that were used least recently, but not this one."""
    _remove_leftovers()
    size = 0
    for path, status in reversed(cached()):
        size += status.st_size
        if size > limit and path != kept:
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """The cache's folder; a temporary one, if that cannot be written or others can write to it."""
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = system.is_private(folder) and os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if usable:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="pygrad-", ignore_cleanup_errors=_MAY_STAY) as temporary:
        yield Path(temporary)


# Compiling --------------------------------------------------------------------------------------------------------


def load(routine: Any, source: str, name: str) -> None:
    """Make the native code of a routine, unless the cache has it, and load it: the routine runs it from now on.

    The source is what pg_emit_native() wrote for it; `name` is that of the function.

    Raises
    ------
    RuntimeError
        if there is no compiler, or it fails
    """
    command, identity = _options(*required_compiler())
    head = text(lib.pg_native_head)
    key = _digest(head.encode(), source.encode(), identity)
    with _folder() as folder:
        path = _find(folder, key)
        if path is None:
            with _one_at_a_time(folder, key):
                path = _find(folder, key) or _compile(folder, key, command, head, source.split("\f"), name)
        if not lib.pg_use_native(routine, os.fsencode(path)):
            raise RuntimeError(f"the native code in {path} cannot be loaded; `pygrad cache --clear` removes it")


@contextlib.contextmanager
def _one_at_a_time(folder: Path, key: str) -> Iterator[None]:
    """Let others that want the same code wait. It saves work, no more: the cache is safe without it."""
    lock = folder / f"compiling-{key}.lock"
    with lock.open("wb") as file:
        with contextlib.suppress(OSError):  # some file systems have no locks
            system.lock(file.fileno())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                lock.unlink()


def _compile(folder: Path, key: str, command: list[str], head: str, parts: list[str], name: str) -> Path:
    """Compile the parts, each as a file, and put the library into the cache."""
    limit = _limit()
    temporary = tempfile.TemporaryDirectory(prefix="compiling-", dir=folder, ignore_cleanup_errors=_MAY_STAY)
    with temporary as directory, _progress(len(parts), name) as done:
        work = Path(directory)
        (work / "native.h").write_text(head, encoding="utf-8")
        for k, part in enumerate(parts):
            (work / f"{k}.c").write_text(f'#include "native.h"\n{part}', encoding="utf-8")
        inputs = [f"{k}.c" for k in range(len(parts))]
        if len(parts) > 1:
            _run_all([[*command, "-c", file] for file in inputs], work, key, done)
            inputs = [f"{k}.o" for k in range(len(parts))]
        _run_all([[*command, "-shared", "-o", "all.so", *inputs, *system.LIBRARIES]], work, key, done)
        library = work / "all.so"
        library.chmod(0o600)
        path = folder / f"{key}-{_digest(library.read_bytes())}.so"
        library.replace(path)
    _keep_within_limit(path, limit)
    return path


def _run_all(commands: list[list[str]], work: Path, key: str, done: Callable[[], None]) -> None:
    """Run commands, as many at a time as there are processors."""
    waiting = list(reversed(commands))
    running: list[tuple[list[str], Path, subprocess.Popen[bytes]]] = []
    try:
        while waiting or running:
            while waiting and len(running) < system.processors():
                running.append(_start(waiting.pop(), work, len(waiting)))
            command, messages, process = running[0]
            if process.wait():
                _fail(command, messages.read_text(errors="replace"), work, key)
            del running[0]
            done()
    finally:
        for _, _, process in running:
            if process.poll() is None:
                system.kill(process)
                process.wait()


def _start(command: list[str], work: Path, number: int) -> tuple[list[str], Path, subprocess.Popen[bytes]]:
    """Start a command as a group of processes, whose temporary files go with the folder."""
    messages = work / f"{number}.log"
    environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
    with messages.open("wb") as file:
        process = subprocess.Popen(command, cwd=work, env=environment, stdout=file, stderr=file, start_new_session=True)
    return command, messages, process


def _fail(command: list[str], message: str, work: Path, key: str) -> None:
    """Raise RuntimeError, and keep the file that the compiler refuses."""
    source = next((word for word in command if word.endswith(".c")), None)
    kept = work.parent / f"failed-{key}.c"
    kept.write_bytes(b"".join((work / file).read_bytes() for file in ("native.h", source) if file))
    lines = message.splitlines()
    shown = "\n".join(lines[:_LINES] + ["..."] * (len(lines) > _LINES))
    raise RuntimeError(f"the C compiler failed: {shlex.join(command)}\n{shown}\nthe file is kept as {kept}")


@contextlib.contextmanager
def _progress(parts: int, name: str) -> Iterator[Callable[[], None]]:
    """A function to be called for each part that is done. If they take long, it shows a bar where rich is installed."""
    start, finished, bar = time.monotonic(), 0, None

    def done() -> None:
        nonlocal finished, bar
        finished += 1
        if bar is None and time.monotonic() - start > PATIENCE and sys.stderr.isatty():
            bar = _bar(parts + 1, name)
        if bar:
            bar.update(bar.task_ids[0], completed=finished)

    try:
        yield done
    finally:
        if bar:
            bar.stop()


def _bar(total: int, name: str) -> Any:
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        return None
    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task(f"compiling {name}", total=total)
    bar.start()
    return bar
