"""What pygrad accepts as a real number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt
from numpy.ma import MaskedArray

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

Number = Union[float, int]  # or anything else with __float__ or __index__, such as NumPy's scalars


def is_number(x: Any) -> TypeGuard[Number]:
    """Whether x is one real number: no array, no text, and no Value or tensor of another engine."""
    return (hasattr(x, "__float__") or hasattr(x, "__index__")) and not (
        getattr(x, "ndim", 0) != 0
        or _is_node(x)
        or getattr(getattr(x, "dtype", None), "kind", "f") not in "biuf"
        or isinstance(x, MaskedArray)
    )


def _is_node(x: Any) -> bool:
    """Whether x is in the graph of another engine; a tensor without axes that needs no gradient is only a number."""
    return hasattr(x, "backward") and (not hasattr(x, "dtype") or bool(getattr(x, "requires_grad", False)))


def refuse_masked(x: Any) -> None:
    """Raise TypeError for a masked array, or for nested lists that contain one: NumPy would drop the mask."""
    if isinstance(x, MaskedArray):
        raise TypeError(
            "a masked array has no numbers where it is masked: pass np.ma.filled(x, number), or x.compressed()"
        )
    if isinstance(x, (list, tuple)):
        kinds = set(map(type, x))
        if any(issubclass(kind, (list, tuple, MaskedArray)) for kind in kinds):
            for item in x:
                refuse_masked(item)


def to_ndarray(x: Any) -> npt.NDArray[Any]:
    """np.asarray, which refuses masked arrays."""
    refuse_masked(x)
    return np.asarray(x)


def to_python(x: Any) -> Number:
    """Convert a scalar of NumPy or a tensor without axes: -np.uint8(1) is 255, and such integers have no inverse."""
    number: Number = x
    if hasattr(x, "dtype") and getattr(x, "ndim", 0) == 0 and not _is_node(x):
        number = x.item() if hasattr(x, "item") else float(x)
    return number


def to_number(x: Any) -> Number:
    """Convert what is assigned to a Value's data or grad: an int stays one, all else is what `float()` makes of it."""
    refuse_masked(x)
    if _is_node(x):
        raise TypeError(
            f"data and grad must be real numbers, not a {type(x).__name__!r}, whose gradient would be lost: take its "
            "number, x.data, or x.detach()"
        )
    number = to_python(x)
    try:
        return int(number) if isinstance(number, int) else float(number)
    except TypeError:
        hint = "; pygrad.array makes Values of many numbers" if hasattr(x, "__iter__") else ""
        raise TypeError(f"data and grad must be real numbers, not {type(x).__name__!r}{hint}") from None
