"""Times Python's share of a call of a compiled function: the time of the call without that of the run in C.

What the call runs is run alone, too, through cffi, and its time is subtracted. The time that cffi itself takes for that
is measured by a function that does nothing.
"""

from __future__ import annotations

import functools
import time
from typing import Any, Callable

import numpy as np

import pygrad
from pygrad._lib import c_doubles, ffi, lib
from pygrad.bench.work import Work, Workload
from pygrad.bench.workloads import chain

CALLS = 50


def took(call: Callable[..., Any], *args: Any) -> float:
    """The time of a call in seconds."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call(*args)
    return (time.perf_counter() - start) / CALLS


def compiled(problem: chain.Chain) -> Work:
    links, numbers = problem
    f = pygrad.compile(lambda *leaves: chain.chain_of(links)(None, *leaves), *numbers)
    inputs, results = len(numbers), 1 + len(numbers)
    routine = f._executor.routine(((False,) * (inputs + 1), lib.PG_GRADIENT))
    arrays = [np.array(x) for x in [*numbers, 1.0]] + [np.empty(1) for _ in range(results)] + [np.empty(0)]
    pointers = ffi.new("double*[]", [c_doubles(x) for x in arrays])

    def share(keep: Any = arrays) -> float:
        whole, alone = took(f.value_and_grad, *numbers), took(lib.pg_run, routine, 1, pointers, 1)
        return whole - (alone - took(lib.pg_op_arity, 0))

    return Work(lambda: f.value_and_grad(*numbers), sample=share)


WORKLOAD = Workload(
    "call",
    "Python's share of a call of a compiled function of 1,000 nodes, with its gradient",
    "a call",
    chain.problem,
    500,
    {"compile": compiled},
    reference=functools.partial(chain.on_scalars, "reference"),
)
