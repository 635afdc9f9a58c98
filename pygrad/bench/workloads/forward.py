"""Times the dot products of `dots` without the backward pass, beside the same loop on plain floats."""

from __future__ import annotations

from typing import Any

from pygrad.bench.scalars import SCALARS, flat
from pygrad.bench.work import Work, Workload, each
from pygrad.bench.workloads.dots import dots, problem


def on(engine: str, problem: list[Any]) -> Work:
    return SCALARS[engine]().building(dots, flat(problem), nodes=1)


WORKLOAD = Workload(
    "forward",
    "64x64 dot products and squares: value alone, on Values and on plain floats",
    "a call",
    problem,
    64,
    each(["floats", "reference", "minimal", "value", "micrograd", "micrograd-rust", "torch-scalars", "xad"], on),
)
