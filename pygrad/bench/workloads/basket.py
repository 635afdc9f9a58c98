"""Times an Asian call option on a basket of 8 stocks and its 237 Greeks, by Monte Carlo, with local volatilities.

The volatility of a stock depends on the time and on its price: level + skew y + SMILE y^2 where y is the logarithm of
the price over the first one, with a level and a skew for each stock and each of 12 periods. The stocks move together:
their normal random numbers are multiplied by a matrix.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

import pygrad
from pygrad.bench import scalars
from pygrad.bench.arrays import PygradArray
from pygrad.bench.engines import BACKENDS
from pygrad.bench.limit import library, pointer
from pygrad.bench.work import Work, Workload, each

STOCKS, DAYS, PERIODS = 8, 126, 12
DT = 1 / 252
RATE, STRIKE, SMILE = 0.03, 100.0, 0.1
PATHS = 1000
FEW = 2  # paths for scalar engines


class Basket(NamedTuple):
    """The prices, the levels and skews of shape (PERIODS, STOCKS), the matrix, and normals of shape (paths, ...)."""

    spots: Any
    levels: Any
    skews: Any
    matrix: Any
    normals: Any


def problem(rng: np.random.Generator, paths: int) -> Basket:
    correlation = 0.4 + 0.6 * np.eye(STOCKS)
    normals = rng.standard_normal((paths, DAYS, STOCKS))
    normals[0] = np.abs(normals[0]) / 4  # this path pays
    return Basket(
        rng.uniform(90, 110, STOCKS),
        rng.uniform(0.15, 0.35, (PERIODS, STOCKS)),
        rng.uniform(-0.2, 0.0, (PERIODS, STOCKS)),
        np.linalg.cholesky(correlation),
        normals,
    )


def payoff(ops: Any, spots: Any, rate: Any, levels: Any, skews: Any, matrix: Any, normals: Any) -> Any:
    """The discounted payoff on one path. Only the lower triangle of the matrix counts."""
    ys, total = [0.0] * STOCKS, 0.0
    for day in range(DAYS):
        period = day * PERIODS // DAYS
        for i in range(STOCKS):
            y, normal = ys[i], sum(matrix[i][k] * normals[day][k] for k in range(i + 1))
            vol = levels[period][i] + (skews[period][i] + SMILE * y) * y
            ys[i] = y + (rate - vol * vol * 0.5) * DT + vol * normal * math.sqrt(DT)
            total = total + spots[i] * ops.exp(ys[i])
    return ops.relu(total * (1 / (DAYS * STOCKS)) - STRIKE) * ops.exp(-rate * (DAYS * DT))


def on_scalars(engine: str, basket: Basket) -> Work:
    paths = basket.normals[:FEW].tolist()
    sizes = STOCKS, 1, PERIODS * STOCKS, PERIODS * STOCKS, STOCKS * STOCKS

    def mean(ops: Any, *numbers: Any) -> Any:
        ends = np.cumsum(sizes).tolist()
        spots, (rate,), *tables = (list(numbers[end - size : end]) for end, size in zip(ends, sizes))
        levels, skews, matrix = ([table[i : i + STOCKS] for i in range(0, len(table), STOCKS)] for table in tables)
        return sum(payoff(ops, spots, rate, levels, skews, matrix, path) for path in paths) * (1 / len(paths))

    spots, levels, skews, matrix, _ = basket
    numbers = [*spots, RATE, *levels.ravel(), *skews.ravel(), *matrix.ravel()]
    return scalars.SCALARS[engine]().function(mean, [float(x) for x in numbers])._replace(units=len(paths))


def compiled(backend: str, basket: Basket) -> Work:
    """A Program of one path, run on the batch of all paths."""
    ops, (spots, levels, skews, matrix, normals) = PygradArray(), basket
    arguments = spots, RATE, levels, skews, matrix
    program = pygrad.compile(lambda *x: payoff(ops, *x), *arguments, normals[0], backend=backend)

    def run() -> Any:
        return program.value_and_grad(*arguments, normals, cotangent=1 / len(normals))

    def read(result: Any) -> list[Any]:
        values, (*greeks, _) = result
        return [values.mean(), greeks]

    return Work(run, read, units=len(normals))


def value_in_c(basket: Basket) -> Work:
    spots, levels, skews, matrix, normals = map(np.ascontiguousarray, basket)
    arguments = len(normals), RATE, *map(pointer, (spots, levels, skews, matrix, normals))
    f = library().basket_value
    return Work(lambda: f(*arguments), units=len(normals), value_alone=True)


WORKLOAD = Workload(
    "basket",
    f"an Asian option on {STOCKS} stocks by Monte Carlo, {DAYS} days, {PATHS:,} paths: value and all Greeks",
    "a path",
    problem,
    PATHS,
    {
        **each(["reference", "value"], on_scalars),
        **{engine: functools.partial(compiled, backend) for engine, backend in BACKENDS.items()},
        "c-value": value_in_c,
    },
    check_size=FEW,
)
