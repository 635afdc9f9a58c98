"""Times the price of an Asian call option and its 254 Greeks, by Monte Carlo: see examples/asian_option.py.

Scalar engines compute a few paths in each run, other engines all paths. The figures are for one path.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

import pygrad
from pygrad._system import processors
from pygrad.bench import scalars
from pygrad.bench.arrays import ARRAYS, Casadi, PygradArray
from pygrad.bench.limit import library, pointer
from pygrad.bench.work import Factory, Work, Workload, each

DAYS = 252
DT = 1 / DAYS
SPOT, RATE, STRIKE = 100.0, 0.03, 100.0
PATHS = 10_000
FEW = 3  # paths for scalar engines
SOME = 200  # paths for Array, where each node takes 32 bytes


class Option(NamedTuple):
    """A curve of volatilities, and normal random numbers of shape (paths, days)."""

    vols: Any
    normals: Any


def curve() -> Any:
    """A year's volatilities: calm, with one turbulent season."""
    return 0.2 + 0.1 * np.exp(-(((np.arange(DAYS) - 90) / 30) ** 2))


def problem(rng: np.random.Generator, paths: int) -> Option:
    normals = rng.standard_normal((paths, DAYS))
    normals[0] = np.abs(normals[0])  # this path pays, so that the gradient of the first paths is not zero
    return Option(curve(), normals)


def payoff(ops: Any, spot: Any, rate: Any, vols: Any, normals: Any) -> Any:
    """The discounted payoff on one path, or on all paths if `normals` holds an array of all paths for each day."""
    x, total = ops.log(spot), 0
    for vol, normal in zip(vols, normals):
        x = x + (rate - vol * vol / 2) * DT + vol * math.sqrt(DT) * normal
        total = total + ops.exp(x)
    return ops.relu(total / DAYS - STRIKE) * ops.exp(-rate)


def on_scalars(engine: str, option: Option) -> Work:
    rows = option.normals[:FEW].tolist()

    def mean(ops: Any, spot: Any, rate: Any, *vols: Any) -> Any:
        return sum(payoff(ops, spot, rate, vols, row) for row in rows) * (1 / len(rows))

    work = scalars.SCALARS[engine]().function(mean, [SPOT, RATE, *option.vols.tolist()])
    return work._replace(units=len(rows))


def on_array(option: Option) -> Work:
    """One Array per day, with all paths."""
    normals = [pygrad.array(day) for day in option.normals[:SOME].T]

    def mean(ops: Any, spot: Any, rate: Any, vols: Any) -> Any:
        return payoff(ops, spot, rate, vols, normals).mean()

    return PygradArray().function(mean, [SPOT, RATE, option.vols])._replace(units=len(normals[0]))


def compiled(threads: int, backend: str = "kernels") -> Factory:
    """A Program of one path, run on the batch of all paths."""

    def factory(option: Option) -> Work:
        ops, (vols, normals) = PygradArray(), option
        program = pygrad.compile(
            lambda *arguments: payoff(ops, *arguments),
            *(SPOT, RATE, vols, normals[0]),
            threads=threads,
            backend=backend,
        )

        def run() -> Any:
            return program.value_and_grad(SPOT, RATE, vols, normals, cotangent=1 / len(normals))

        def read(result: Any) -> list[Any]:
            values, (*greeks, _) = result
            return [values.mean(), greeks]

        return Work(run, read, units=len(normals))

    return factory


def mean_of_arrays(ops: Any, spot: Any, rate: Any, vols: Any, normals: Any) -> Any:
    x = ops.log(spot) + ((rate - vols * vols / 2) * DT + vols * math.sqrt(DT) * normals).cumsum(1)
    return (ops.relu(ops.exp(x).mean(1) - STRIKE) * ops.exp(-rate)).mean()


def on_arrays(engine: str, option: Option) -> Work:
    work = ARRAYS[engine]().function(mean_of_arrays, [SPOT, RATE, option.vols], [option.normals])
    return work._replace(units=len(option.normals))


def on_casadi(option: Option) -> Work:
    """An SX Function of one path, mapped over all paths."""
    ops, paths = Casadi(), len(option.normals)
    sx = ops.casadi.SX.sym
    spot, rate, vols, normals = symbols = sx("spot"), sx("rate"), sx("vols", DAYS), sx("normals", DAYS)
    value = payoff(ops, spot, rate, *map(ops.casadi.vertsplit, (vols, normals))) / paths
    f = ops.casadi.Function("f", symbols, [value, *[ops.casadi.gradient(value, x) for x in symbols[:3]]])
    shared, summed = [0, 1, 2], [0, 1, 2, 3]
    inputs = [np.array([SPOT]), np.array([RATE]), option.vols, option.normals.ravel()]
    return Work(ops.bound(f.map("paths", "serial", paths, shared, summed), inputs), units=paths)


def in_c(option: Option) -> Work:
    by_spot, by_rate, by_vols = np.zeros(1), np.zeros(1), np.zeros(DAYS)
    arguments = *_arguments(option), *map(pointer, (by_spot, by_rate, by_vols))
    f = library().asian
    return Work(lambda: f(*arguments), lambda value: [value, by_spot, by_rate, by_vols], units=len(option.normals))


def value_in_c(option: Option) -> Work:
    arguments, f = _arguments(option), library().asian_value
    return Work(lambda: f(*arguments), units=len(option.normals), value_alone=True)


def _arguments(option: Option) -> tuple[Any, ...]:
    return len(option.normals), DAYS, STRIKE, SPOT, RATE, pointer(option.vols), pointer(option.normals)


WORKLOAD = Workload(
    "asian",
    f"an Asian option by Monte Carlo, {DAYS} days, {PATHS:,} paths: value and all Greeks",
    "a path",
    problem,
    PATHS,
    {
        **each(scalars.USUAL, on_scalars),
        "array": on_array,
        "compile": compiled(1),
        "native": compiled(1, "native"),
        **({"compile-threads": compiled(processors())} if processors() > 1 else {}),
        **each(["torch", "jax", "autograd"], on_arrays),
        "casadi": on_casadi,
        "c": in_c,
        "c-value": value_in_c,
    },
    check_size=FEW,
)
