"""The node that a picture begins at."""

from __future__ import annotations

from pygrad.array import Array
from pygrad.engine import Value


def single_value(root: Value | Array) -> Value:
    """Return the Value that is the result of a graph, given as itself or as an Array without axes."""
    if isinstance(root, Array) and root.ndim:
        raise ValueError(f"root must be one Value, got an Array of shape {root.shape}; pass one element or the sum")
    if isinstance(root, Array):
        root = root[()]
    if not isinstance(root, Value):
        raise TypeError(f"root must be a Value or an Array without axes, not {type(root).__name__!r}")
    return root
