"""Run unmodified micrograd code on pygrad: `as_micrograd()` in a notebook, `python -m pygrad run` for a script."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


def as_micrograd() -> None:
    """Make `import micrograd` import pygrad from now on, in this process.

    Examples
    --------
    >>> as_micrograd()
    >>> from micrograd.engine import Value
    >>> Value.__module__
    'pygrad.engine'
    """
    from pygrad import engine, nn

    package = ModuleType("micrograd", "pygrad, under micrograd's name.")
    package.__path__ = []  # a package without further modules
    package.engine, package.nn = engine, nn  # type: ignore[attr-defined]
    sys.modules.update({"micrograd": package, "micrograd.engine": engine, "micrograd.nn": nn})


def run(script: str, args: Sequence[str] = ()) -> None:
    """Run a script as `python script args...` does, except that its `import micrograd` imports pygrad.

    Raises
    ------
    FileNotFoundError
        if there is no such script.

    Examples
    --------
    The command `python -m pygrad run script.py args...` calls this.
    """
    if not (Path(script).is_file() or (Path(script) / "__main__.py").is_file()):
        raise FileNotFoundError(f"there is no script {script!r}")
    as_micrograd()
    sys.argv = [script, *args]
    sys.path[0] = str(Path(script).resolve().parent)
    runpy.run_path(script, run_name="__main__")
