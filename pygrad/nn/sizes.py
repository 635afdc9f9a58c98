"""The sizes of a module, checked when it is made."""

from __future__ import annotations

import operator
from typing import Any


def checked_size(name: str, size: Any, least: int = 0) -> int:
    """The size, an int; TypeError or ValueError if it is none."""
    try:
        n = operator.index(size)
    except TypeError:
        raise TypeError(f"{name} must be an int, not {size!r}") from None
    if n < least:
        raise ValueError(f"{name} must be at least {least}, not {size!r}")
    return n
