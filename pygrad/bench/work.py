"""Defines Workload, a task on which engines are compared, and Work, one engine's implementation of it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple

import numpy as np


def _unchanged(result: Any) -> Any:
    return result


class Work(NamedTuple):
    """One engine's implementation of a workload.

    Attributes
    ----------
    run
        does the work once; this is timed
    read
        converts the result of `run` to the value and the gradient to check: numbers, arrays, and lists and tuples of
        these; this is not timed
    units
        how many of the workload's units one run does; slow engines may do fewer
    sample
        measures one unit, if the time of `run` is not the figure to report
    value_alone
        whether there is no gradient to check
    """

    run: Callable[[], Any]
    read: Callable[[Any], Any] = _unchanged
    units: float = 1
    sample: Callable[[], float] | None = None
    value_alone: bool = False


Factory = Callable[[Any], Work]


def each(engines: Iterable[str], make: Callable[[str, Any], Work]) -> dict[str, Factory]:
    """A factory for each engine that calls make(engine, problem)."""
    return {engine: functools.partial(make, engine) for engine in engines}


class Workload(NamedTuple):
    """A task on which engines are compared.

    `problem` draws the numbers for a size. Each factory in `engines` makes an engine's Work from them. Engines are
    checked at `check_size` and timed at `size`, or at `full_size` by `--full`.
    """

    name: str
    title: str
    unit: str  # the unit of the figures: "a step", "a node"
    problem: Callable[[np.random.Generator, int], Any]
    size: int
    engines: Mapping[str, Factory]
    check_size: int = 0  # 0 means `size`
    full_size: int = 0  # 0 means `size`
    quantity: str = "s"  # "s" for seconds or "B" for bytes
    once: bool = False  # whether one measurement is enough
    reference: Factory | None = None  # the engine to check against, if not engines["reference"]

    @property
    def full(self) -> Workload:
        """The workload that is timed at `full_size`."""
        return self._replace(size=self.full_size or self.size)
