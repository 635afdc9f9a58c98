"""Learning rates as functions of the number of steps taken."""

from __future__ import annotations

import functools
import math
from typing import Callable

from pygrad.optim.checks import not_negative, positive

Schedule = Callable[[int], float]


def linear(lr: float, steps: int, end: float = 0.0) -> Schedule:
    """Return a schedule that goes from `lr` to `end` in a straight line over `steps` steps, and then stays there.

    Raises
    ------
    ValueError
        if `steps` is not positive, or a rate is negative

    Examples
    --------
    >>> schedule = linear(1.0, 10)
    >>> schedule(0), schedule(5), schedule(10), schedule(11)
    (1.0, 0.5, 0.0, 0.0)
    """
    not_negative(lr=lr, end=end)
    return _Schedule(_linear, lr, positive("steps", steps), end)


def cosine(lr: float, steps: int, end: float = 0.0) -> Schedule:
    """Return a schedule that goes from `lr` to `end` along half a cosine over `steps` steps, and then stays there.

    See Loshchilov & Hutter (2017).

    Raises
    ------
    ValueError
        if `steps` is not positive, or a rate is negative

    Examples
    --------
    >>> schedule = cosine(1.0, 10)
    >>> schedule(0), round(schedule(5), 12), schedule(10)
    (1.0, 0.5, 0.0)
    """
    not_negative(lr=lr, end=end)
    return _Schedule(_cosine, lr, positive("steps", steps), end)


class _Schedule(functools.partial[float]):
    """One whose repr is the call that made it."""

    def __repr__(self) -> str:
        return f"{self.func.__name__.strip('_')}{self.args}"


def _linear(lr: float, steps: int, end: float, step: int) -> float:
    return lr + (end - lr) * min(step, steps) / steps


def _cosine(lr: float, steps: int, end: float, step: int) -> float:
    return end + (lr - end) * (1 + math.cos(math.pi * min(step, steps) / steps)) / 2
