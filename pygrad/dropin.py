"""Run unmodified micrograd code on pygrad: `as_micrograd()` in a notebook, `python -m pygrad run` for a script.

A finder in front of Python's makes the package micrograd, when it is first imported, of two things: the modules that
pygrad replaces, and the rest of the micrograd that Python would have found.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import runpy
import sys
import warnings
import zipfile
from collections.abc import Collection, Iterable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType, ModuleType

# What pygrad has in place of micrograd's modules, and the hash of each one's code in micrograd 0.1.0.
_PARTS = {"engine": "2d8838781cd026e5", "nn": "70ebda150d6ef674"}
# What `from micrograd import ...` finds, too, as the __init__.py of many copies of micrograd has it.
_NAMES = {"engine": ["Value"], "nn": ["Module", "Neuron", "Layer", "MLP"]}
_CHOICE = "PYGRAD_REPLACE"  # the environment variable that tells child processes what to replace


def as_micrograd(replace: Iterable[str] | None = None) -> None:
    """Make `import micrograd` import pygrad from now on, in this process.

    `micrograd.engine` is `pygrad.engine`, and `micrograd.nn` is `pygrad.nn`. A micrograd that Python finds keeps all
    its other modules. Where it is not micrograd 0.1.0 but a changed copy, a warning names what has changed: its engine
    is replaced all the same, and its nn is kept, on pygrad's engine.

    Parameters
    ----------
    replace
        Which of "engine" and "nn" to replace, changed or not, without a warning. The command has `--replace engine`.

    Examples
    --------
    >>> as_micrograd()
    >>> from micrograd.engine import Value
    >>> Value.__module__
    'pygrad.engine'
    """
    chosen = None if replace is None else frozenset(replace)
    if unknown := (chosen or frozenset()) - _PARTS.keys():
        raise ValueError(f"replace must name 'engine' or 'nn', not {min(unknown)!r}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "micrograd"]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    sys.meta_path.insert(0, _Finder(chosen))


def run(script: str, args: Sequence[str] = (), is_module: bool = False, replace: Collection[str] | None = None) -> None:
    """Run what `python script args...` or `python -m script args...` runs, but with pygrad in place of micrograd.

    The same holds for the processes that it starts, unless they are started without the environment. For `replace` see
    `as_micrograd`.

    Raises
    ------
    FileNotFoundError
        if there is no such script or module.

    Examples
    --------
    The command `python -m pygrad run script.py args...` calls this.
    """
    path = Path(script)
    if not is_module and not (path.is_file() or (path / "__main__.py").is_file()):
        raise FileNotFoundError(f"there is no script {script!r}")
    as_micrograd(replace)
    _lead_children(replace)
    sys.argv = [script, *args]
    if is_module:
        sys.path[0] = os.getcwd()
        if not _is_found(script):
            raise FileNotFoundError(f"there is no module {script!r}")
        runpy.run_module(script, run_name="__main__", alter_sys=True)
    elif path.is_dir() or path.suffix == ".pyc" or zipfile.is_zipfile(path):
        del sys.path[0]
        runpy.run_path(script, run_name="__main__")
    else:
        sys.path[0] = str(path.resolve().parent)
        _run_source(os.path.abspath(path))


def _run_source(file: str) -> None:
    """Run a file as `__main__`, which it stays, for what runs at exit; runpy would change sys.argv, too."""
    main = ModuleType("__main__")
    loader = importlib.machinery.SourceFileLoader("__main__", file)
    vars(main).update(__file__=file, __loader__=loader, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = main
    exec(loader.source_to_code(loader.get_data(file), file), vars(main))


def _is_found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:  # of one of the packages around it
        if error.name and f"{module}.".startswith(f"{error.name}."):
            return False
        raise


# Child processes --------------------------------------------------------------------------------------------------


def _lead_children(replace: Collection[str] | None) -> None:
    """Let processes that this one starts run on pygrad, by a sitecustomize, which Python imports first."""
    folder = str(Path(__file__).parent / "_children")
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != folder]
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, *paths])
    os.environ.pop(_CHOICE, None)
    if replace is not None:
        os.environ[_CHOICE] = ",".join(replace)


def in_child() -> None:
    """What a child process calls when it imports micrograd."""
    chosen = os.environ.get(_CHOICE)
    as_micrograd(None if chosen is None else [part for part in chosen.split(",") if part])


# Importing micrograd ----------------------------------------------------------------------------------------------


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the package micrograd, and leaves its modules to the other finders."""

    def __init__(self, chosen: frozenset[str] | None) -> None:
        self._chosen = chosen

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "micrograd":
            return None
        found = _found(name, None)
        spec = ModuleSpec(name, _Loader(found, self._chosen), origin=found.origin if found else None, is_package=True)
        spec.submodule_search_locations = list(found.submodule_search_locations or []) if found else []
        return spec


def _found(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """What Python would import without the finder."""
    for finder in sys.meta_path:
        if not isinstance(finder, _Finder) and (spec := finder.find_spec(name, path)):
            return spec
    return None


class _Loader(importlib.abc.Loader):
    """Makes the package of pygrad's modules and those of the package that was found, if one was."""

    def __init__(self, found: ModuleSpec | None, chosen: frozenset[str] | None) -> None:
        self._found, self._chosen = found, chosen

    def exec_module(self, module: ModuleType) -> None:
        for part in self._replaced(module.__path__):
            replacement = importlib.import_module(f"pygrad.{part}")
            sys.modules[f"micrograd.{part}"] = replacement
            setattr(module, part, replacement)
        if self._found and self._found.submodule_search_locations and self._found.origin and self._found.loader:
            self._found.loader.exec_module(module)
        for part in _PARTS:
            for name in _NAMES[part] if f"micrograd.{part}" in sys.modules else []:
                module.__dict__.setdefault(name, getattr(sys.modules[f"micrograd.{part}"], name, None))

    def _replaced(self, folders: Sequence[str]) -> Collection[str]:
        """The parts to replace. Warns about those that are no longer micrograd's."""
        if self._chosen is not None:
            return self._chosen
        if self._found and not self._found.submodule_search_locations:
            _warn(f"{self._found.origin} is not micrograd 0.1.0: pygrad is used in its place")
            return _PARTS
        changed = {part: file for part in _PARTS if (file := _changed(part, folders))}
        if "engine" in changed:
            _warn(
                f"{changed['engine']} is not the engine of micrograd 0.1.0: pygrad.engine is used in its place. "
                "If that is meant, say --replace engine; to keep the file, --replace nn"
            )
        if "nn" in changed:
            _warn(
                f"{changed['nn']} is not the nn of micrograd 0.1.0: it is used as it is, on pygrad's engine. "
                "If that is meant, say --replace engine; for pygrad.nn in its place, --replace engine --replace nn"
            )
        return [part for part in _PARTS if part == "engine" or part not in changed]


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=_importing_frame())


def _importing_frame() -> int:
    """The stacklevel, for the caller of warnings.warn, of the code that imports micrograd."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and (frame.f_code.co_filename == __file__ or _is_import(frame)):
        frame = frame.f_back
        level += not _is_import(frame)  # warnings.warn skips these
    return level


def _is_import(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return "importlib" in file and "_bootstrap" in file


def _changed(part: str, folders: Sequence[str]) -> str | None:
    """The file of a module of micrograd that is not that of micrograd 0.1.0; None if it is, or if there is none."""
    spec = _found(f"micrograd.{part}", folders) if folders else None
    if spec is None or spec.origin is None:
        return None
    try:
        source = Path(spec.origin).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return spec.origin
    return None if _hash_of(source) == _PARTS[part] else spec.origin


def _hash_of(source: str) -> str:
    """A hash of the code, whatever its comments, blank lines and ends of lines."""
    lines = [re.sub("#.*", "", line).rstrip() for line in source.splitlines()]
    return hashlib.sha256("\n".join(filter(None, lines)).encode()).hexdigest()[:16]
