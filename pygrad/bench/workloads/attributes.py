"""Times what a training loop in plain Python does with a parameter's attributes: reading, updating and setting them."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad.bench.scalars import SCALARS
from pygrad.bench.work import Work, Workload, each

RATE = 0.1


def problem(rng: np.random.Generator, n: int) -> list[float]:
    return rng.normal(size=n).tolist()  # type: ignore[no-any-return]


def on(engine: str, numbers: list[float]) -> Work:
    leaf = SCALARS[engine]().leaf

    def run() -> list[Any]:
        leaves = [leaf(x) for x in numbers]
        for v in leaves:
            v.grad = v.data
        for v in leaves:
            v.data -= RATE * v.grad
        for v in leaves:
            v.grad = 0.0
        return leaves

    return Work(run, lambda leaves: [v.data for v in leaves], units=len(numbers))


WORKLOAD = Workload(
    "attributes",
    "a Value's attributes: v = Value(x); v.grad = v.data; v.data -= 0.1 * v.grad; v.grad = 0",
    "a Value",
    problem,
    1000,
    each(["reference", "minimal", "value", "micrograd", "micrograd-rust"], on),
)
