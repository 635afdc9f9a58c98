"""Times lookups in a table of 20,000 rows that are parameters: a batch of 2,048 samples, each of which looks up 8."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import pygrad
from pygrad.bench.arrays import ARRAYS
from pygrad.bench.engines import BACKENDS
from pygrad.bench.work import Factory, Work, Workload, each

BATCH, LOOKED_UP, WIDTH = 2048, 8, 16


def squares(i: Any, table: Any) -> Any:
    return (table[i] ** 2).sum(axis=-1).sum(axis=-1)


def problem(rng: np.random.Generator, rows: int) -> list[Any]:
    """The indices, and the table."""
    return [rng.integers(0, rows, (BATCH, LOOKED_UP)), rng.uniform(-1, 1, (rows, WIDTH))]


def on_arrays(engine: str, problem: Any) -> Work:
    indices, table = problem
    return ARRAYS[engine]().function(lambda ops, table: ops.sum(table[indices] ** 2), [table])


def by_parameters(backend: str, gradient: bool, problem: Any) -> Work:
    indices, numbers = problem
    table = pygrad.array(numbers)
    f = pygrad.compile(lambda i: squares(i, table), pygrad.index(indices[0]), backend=backend)
    if not gradient:
        return Work(lambda: f(indices), np.sum, value_alone=True)

    def read(result: Any) -> list[Any]:
        gradient, table.grad = table.grad.copy(), 0.0  # each run adds to it
        return [np.sum(result[0]), gradient]

    return Work(lambda: f.value_and_grad(indices), read)


def by_argument(backend: str, gradient: bool, problem: Any) -> Work:
    indices, table = problem
    f = pygrad.compile(squares, pygrad.index(indices[0]), table, backend=backend)
    if not gradient:
        return Work(lambda: f(indices, table), np.sum, value_alone=True)
    return Work(lambda: f.value_and_grad(indices, table), lambda result: [np.sum(result[0]), result[1][1]])


def engines(compiled: Any) -> dict[str, Factory]:
    """Those of a way to compile, which is run with and without the gradient on each backend, and the others."""
    ways = {"": True, "-value": False}
    return {
        **each(["array", "torch", "jax"], on_arrays),
        **{
            engine + suffix: functools.partial(compiled, backend, gradient)
            for engine, backend in BACKENDS.items()
            for suffix, gradient in ways.items()
        },
    }


def workload(name: str, table: str, compiled: Any) -> Workload:
    title = f"{LOOKED_UP} rows looked up in {table} of 20,000 x {WIDTH}, {BATCH:,} samples: value and gradient"
    factories = engines(compiled)
    return Workload(name, title, "a call", problem, 20_000, factories, check_size=20, reference=factories["array"])


WORKLOAD = workload("embedding", "parameters", by_parameters)
