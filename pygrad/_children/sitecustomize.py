"""What Python imports at the start of each process that a script under `python -m pygrad run` starts.

It costs such a process nothing until it imports micrograd: then pygrad takes over, where it is installed.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys


class _Finder(importlib.abc.MetaPathFinder):
    """Puts pygrad in the place of micrograd, once."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != "micrograd":
            return None
        sys.meta_path.remove(self)
        try:
            from pygrad.dropin import in_child
        except ImportError:  # another Python
            return None
        in_child()
        return importlib.util.find_spec(name)


def _import_the_next() -> None:
    """Import the sitecustomize that this one is in front of."""
    this, folder = sys.modules.pop(__name__), os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != folder]
    try:
        importlib.import_module(__name__)
    except ModuleNotFoundError as error:
        if error.name != __name__:
            raise
    sys.modules.setdefault(__name__, this)


sys.meta_path.insert(0, _Finder())
if __name__ == "sitecustomize":
    _import_the_next()
