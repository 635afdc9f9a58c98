"""Times a deep chain: each link depends on the one before, so nothing can be done in parallel."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad.bench import limit, scalars
from pygrad.bench.arrays import ARRAYS, Jax
from pygrad.bench.scalars import SCALARS, Function
from pygrad.bench.work import Work, Workload, each

Chain = tuple[int, list[float]]  # the number of links, and the values of x, w, b


def problem(rng: np.random.Generator, links: int) -> Chain:
    return links, [rng.uniform(-1, 1), rng.uniform(0.999, 1), rng.uniform(-1, 1)]


def chain_of(links: int) -> Function:
    """The function that applies this many links, of two nodes each."""

    def chain(ops: Any, x: Any, w: Any, b: Any) -> Any:
        for _ in range(links):
            x = x * w + b
        return x

    return chain


def on_scalars(engine: str, problem: Chain) -> Work:
    links, numbers = problem
    return SCALARS[engine]().function(chain_of(links), numbers)


def on_arrays(engine: str, problem: Chain) -> Work:
    links, numbers = problem
    return ARRAYS[engine]().function(chain_of(links), numbers)


def in_jax(problem: Chain) -> Work:
    """Use JAX's own loop, because compiling an unrolled loop takes minutes."""
    links, numbers = problem

    def chain(ops: Jax, x: Any, w: Any, b: Any) -> Any:
        return ops.jax.lax.scan(lambda x, _: (x * w + b, None), x, None, length=links)[0]

    return Jax().function(chain, numbers)


def in_c(problem: Chain) -> Work:
    links, numbers = problem
    return limit.function("chain", lambda numbers: links)(numbers)


WORKLOAD = Workload(
    "chain",
    "a chain, 10,000 nodes deep: value and gradient",
    "a call",
    problem,
    5000,
    {
        **each(scalars.USUAL, on_scalars),
        **each(["compile", "native", "autograd", "casadi"], on_arrays),
        "jax": in_jax,
        "c": in_c,
    },
)
