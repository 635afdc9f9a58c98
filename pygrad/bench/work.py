"""What a workload is, and what an engine makes of it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple

import numpy as np


def _as_it_is(result: Any) -> Any:
    return result


class Work(NamedTuple):
    """One engine's way of doing a workload.

    `run` does it once. `read` makes, of what `run` returned, the value and the gradient to be checked: numbers, arrays,
    and lists and tuples of these; it is not timed. `units` is how many units of the workload one run is: an engine that
    is slow may do fewer. `sample`, if it is given, measures one unit where the time of `run` is not what is wanted.
    """

    run: Callable[[], Any]
    read: Callable[[Any], Any] = _as_it_is
    units: float = 1
    sample: Callable[[], float] | None = None
    value_alone: bool = False  # there is no gradient to be checked


Factory = Callable[[Any], Work]


def each(engines: Iterable[str], make: Callable[[str, Any], Work]) -> dict[str, Factory]:
    """A factory for each engine, which calls make(engine, problem)."""
    return {engine: functools.partial(make, engine) for engine in engines}


class Workload(NamedTuple):
    """Work that engines are compared by.

    `problem` draws the numbers of a size, and each factory in `engines` makes an engine's Work of them. Engines are
    checked at `check_size` and timed at `size`.
    """

    name: str
    title: str
    unit: str  # what one figure is of: "a step", "a node"
    problem: Callable[[np.random.Generator, int], Any]
    size: int
    engines: Mapping[str, Factory]
    check_size: int = 0  # 0: as `size`
    quantity: str = "s"  # or "B"
    once: bool = False  # whether one measurement says it all
    reference: Factory | None = None  # what the engines are checked against, if not engines["reference"]
