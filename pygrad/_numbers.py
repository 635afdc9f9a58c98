"""What pygrad accepts as a real number."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

Number = Union[float, int]  # or anything else with __float__ or __index__, such as NumPy's scalars


def is_number(x: Any) -> TypeGuard[Number]:
    """Whether x is one real number: no array, no text, and no Value or tensor of another engine."""
    return (hasattr(x, "__float__") or hasattr(x, "__index__")) and not (
        getattr(x, "ndim", 0) != 0
        or _is_node(x)
        or not (getattr(getattr(x, "dtype", None), "kind", "f") in "biuf" or is_real(x.dtype))
        or (isinstance(x, np.ndarray) and is_masked(x))
    )


def is_real(dtype: Any) -> bool:
    """Whether a NumPy dtype is one of real numbers. Those of ml_dtypes, such as bfloat16, have the kind of np.void."""
    real: bool = dtype.kind in "biuf" or (dtype.kind == "V" and dtype.type is not np.void)
    return real


def _is_node(x: Any) -> bool:
    """Whether x is in a graph: an Array, or of another engine. A tensor that needs no gradient is only a number."""
    has_gradient = not hasattr(x, "dtype") or hasattr(x, "_ids") or bool(getattr(x, "requires_grad", False))
    return has_gradient and hasattr(x, "backward")


def is_masked(x: npt.NDArray[Any]) -> bool:
    """Whether an array is masked. It asks for `np.ma`, which takes long to import, for subclasses only."""
    return type(x) is not np.ndarray and isinstance(x, np.ma.MaskedArray)


def refuse_masked(x: Any) -> None:
    """Raise TypeError for a masked array, or for nested lists that contain one: NumPy would drop the mask."""
    if isinstance(x, np.ndarray) and is_masked(x):
        raise TypeError(
            "a masked array has no numbers where it is masked: pass np.ma.filled(x, number), or x.compressed()"
        )
    if isinstance(x, (list, tuple)):
        kinds = set(map(type, x))
        if any(issubclass(kind, (list, tuple, np.ndarray)) for kind in kinds):
            for item in x:
                refuse_masked(item)


def to_ndarray(x: Any) -> npt.NDArray[Any]:
    """np.asarray, which refuses masked arrays, and takes numbers that NumPy cannot convert, such as those of a GPU."""
    refuse_masked(x)
    try:
        return np.asarray(x)
    except Exception:
        plain = _plain(x)
        if plain is x:
            raise
    return np.asarray(plain)


def _plain(x: Any) -> Any:
    """x with Python's numbers in place of all others; x itself if it has none."""
    if isinstance(x, (list, tuple)):
        items = [_plain(item) for item in x]
        return x if all(map(operator.is_, items, x)) else items
    return to_python(x) if is_number(x) else x


def to_python(x: Any) -> Number:
    """Convert a scalar of NumPy or a tensor without axes: -np.uint8(1) is 255, and such integers have no inverse.

    An object that can only be converted is converted, too.
    """
    number: Number = x
    if hasattr(x, "dtype") and getattr(x, "ndim", 0) == 0 and not _is_node(x):
        number = x.item() if hasattr(x, "item") else float(x)
    if not hasattr(number, "__neg__"):
        number = float(x) if hasattr(x, "__float__") else operator.index(x)
    return number


def inverse(x: Number) -> Number:
    """x**-1 as Python computes it: what a division multiplies by. Its ZeroDivisionError is of the division."""
    try:
        return x**-1
    except ZeroDivisionError:
        raise ZeroDivisionError(f"division by zero: / {x}") from None


def to_number(x: Any) -> Number:
    """Convert what is assigned to a Value's data or grad: an int, or what `float()` takes, such as the text "1.5"."""
    if type(x) is float:
        return x
    refuse_masked(x)
    if _is_node(x):
        raise TypeError(
            f"data and grad must be real numbers, not a {type(x).__name__!r}, whose gradient would be lost: take its "
            "number, x.data, or x.detach()"
        )
    try:
        number = to_python(x) if hasattr(x, "__float__") or hasattr(x, "__index__") else x
        return int(number) if isinstance(number, int) else float(number)
    except TypeError:
        hint = "; pygrad.array makes Values of many numbers" if hasattr(x, "__iter__") else ""
        raise TypeError(f"data and grad must be real numbers, not {type(x).__name__!r}{hint}") from None
