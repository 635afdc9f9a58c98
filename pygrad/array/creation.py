"""Arrays of new leaves, by NumPy's names: zeros, ones, full, eye, arange, and random ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, SupportsIndex, Union

import numpy as np
import numpy.typing as npt

from pygrad.array.making import array

if TYPE_CHECKING:
    from pygrad.array.arrays import Array

Shape = Union[SupportsIndex, Sequence[SupportsIndex]]
Rng = Union[None, int, "np.random.Generator"]


def zeros(shape: Shape) -> Array:
    """Make an Array of zeros.

    Examples
    --------
    >>> zeros((2, 2))
    Array([[0., 0.],
           [0., 0.]])
    """
    return array(np.zeros(shape))


def ones(shape: Shape) -> Array:
    """Make an Array of ones.

    Examples
    --------
    >>> ones(3)
    Array([1., 1., 1.])
    """
    return array(np.ones(shape))


def full(shape: Shape, fill_value: npt.ArrayLike) -> Array:
    """Make an Array of one number, or of numbers that are broadcast to the shape.

    Examples
    --------
    >>> full(2, 0.5)
    Array([0.5, 0.5])
    """
    return array(np.full(shape, fill_value, np.float64))


def eye(N: int, M: int | None = None, k: int = 0) -> Array:
    """Make a matrix of N rows and M columns, of zeros but for ones on a diagonal. See `numpy.eye`.

    Examples
    --------
    >>> eye(2)
    Array([[1., 0.],
           [0., 1.]])
    """
    return array(np.eye(N, M, k))


def arange(start: float, stop: float | None = None, step: float = 1) -> Array:
    """Make an Array of evenly spaced numbers from start, or 0 if only a stop is given, to before stop.

    Examples
    --------
    >>> arange(3), arange(1, 2, 0.5)
    (Array([0., 1., 2.]), Array([1. , 1.5]))
    """
    return array(np.arange(0, start, step) if stop is None else np.arange(start, stop, step))


def randn(*shape: SupportsIndex, rng: Rng = None) -> Array:
    """Make an Array of normally distributed numbers with the mean 0 and the variance 1.

    Parameters
    ----------
    rng
        A `numpy.random.Generator`, or a seed for a new one. By default the numbers depend on the state of `random`, as
        the initial weights of `pygrad.nn` do: `random.seed(0)` before makes them the same again.

    Examples
    --------
    >>> randn(2, 3, rng=0).shape
    (2, 3)
    >>> bool((randn(4, rng=0) == randn(4, rng=0)).all())
    True
    """
    return array(_generator(rng).standard_normal(shape))


def uniform(low: float = 0.0, high: float = 1.0, shape: Shape = (), rng: Rng = None) -> Array:
    """Make an Array of numbers that are evenly distributed from low to high; for `rng` see `randn`.

    Examples
    --------
    >>> x = uniform(-1, 1, (2, 3), rng=0)
    >>> x.shape, bool((abs(x) <= 1).all())
    ((2, 3), True)
    """
    return array(_generator(rng).uniform(low, high, shape))


def _generator(rng: Rng) -> np.random.Generator:
    import random  # here, because it takes long, as np.random does

    return np.random.default_rng(random.getrandbits(128) if rng is None else rng)
