"""What the functions take."""

from __future__ import annotations

from typing import Any

from pygrad.index import Index, as_indices


def indices(x: Any, name: str) -> Any:
    """Integers as an array; a traced Index unchanged."""
    if isinstance(x, Index) and x.is_traced:
        return x
    return as_indices(f"{name}: an index", x)
