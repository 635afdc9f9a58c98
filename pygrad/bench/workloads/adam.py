"""Times a step of Adam: only the update, for a given gradient."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import pygrad
from pygrad.bench.limit import library, pointer
from pygrad.bench.rules import Adam
from pygrad.bench.scalars import SCALARS
from pygrad.bench.work import Work, Workload, each


def problem(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    """Parameters and their gradients."""
    return rng.normal(size=n), rng.normal(size=n)


def on_scalars(name: str, problem: tuple[Any, Any]) -> Work:
    parameters, gradient = problem
    ops = SCALARS[name]()
    leaves = [ops.leaf(x) for x in parameters.tolist()]
    for leaf, grad in zip(leaves, gradient.tolist()):
        leaf.grad = grad
    return Work(ops.updater(Adam(), leaves), lambda _: [leaf.data for leaf in leaves])


def on_array(problem: tuple[Any, Any]) -> Work:
    parameters, gradient = problem
    w = pygrad.array(parameters)
    w.grad = gradient
    return Work(Adam().in_pygrad([w]).step, lambda _: w.data)


def in_torch(problem: tuple[Any, Any]) -> Work:
    import torch

    parameters, gradient = map(torch.tensor, problem)
    parameters.grad = gradient
    return Work(Adam().in_torch([parameters]).step, lambda _: parameters)


def in_c(problem: tuple[Any, Any]) -> Work:
    parameters, gradient = problem[0].copy(), problem[1]
    moments = np.zeros((2, parameters.size))
    arrays = [pointer(x) for x in (parameters, gradient, *moments)]
    step, f = itertools.count(1), library().adam
    return Work(lambda: f(parameters.size, *arrays, Adam().rate, next(step)), lambda _: parameters)


WORKLOAD = Workload(
    "adam",
    "a step of Adam on 4,192 parameters",
    "a step",
    problem,
    4192,
    {
        **each(["reference", "minimal", "value", "micrograd"], on_scalars),
        "array": on_array,
        "torch": in_torch,
        "c": in_c,
    },
)
