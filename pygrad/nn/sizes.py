"""The sizes of a module, checked when it is made."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def checked_size(name: str, size: Any, least: int = 0) -> int:
    """The size, an int; TypeError or ValueError if it is none."""
    try:
        n = operator.index(size)
    except TypeError:
        raise TypeError(f"{name} must be an int, not {size!r}") from None
    if n < least:
        raise ValueError(f"{name} must be at least {least}, not {size!r}")
    return n


def checked_sizes(name: str, sizes: Any) -> None:
    """Raise TypeError or ValueError unless each size, or the only one, is an int of at least 1."""
    for size in np.atleast_1d(sizes).tolist() or [()]:
        checked_size(name, size, 1)
