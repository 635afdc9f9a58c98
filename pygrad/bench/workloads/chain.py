"""A deep chain: each link needs the one before, so that nothing can be done at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad.bench import limit, scalars
from pygrad.bench.arrays import ARRAYS, Jax
from pygrad.bench.scalars import SCALARS, Function
from pygrad.bench.work import Work, Workload, each

Chain = tuple[int, list[float]]  # how many links, and the numbers x, w, b


def problem(rng: np.random.Generator, links: int) -> Chain:
    return links, [rng.uniform(-1, 1), rng.uniform(0.999, 1), rng.uniform(-1, 1)]


def chain_of(links: int) -> Function:
    """The function of so many links: two nodes each."""

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
    """In a loop of JAX's own: compiling a loop that is unrolled takes it minutes."""
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
        **each(["compile", "autograd", "casadi"], on_arrays),
        "jax": in_jax,
        "c": in_c,
    },
)
