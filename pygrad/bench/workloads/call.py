"""Times Python's share of a call of a compiled function: the time of the call without that of the run in C.

What the call runs is run alone, too, through cffi, and its time is subtracted. The time that cffi itself takes for that
is measured by a function that does nothing. The share is about one part in fifty of the call, less than the drift of
the machine between two loops. So the calls alternate, and the result is the difference of their medians.
"""

from __future__ import annotations

import functools
import statistics
import time
from typing import Any, Callable

import numpy as np

import pygrad
from pygrad._lib import c_doubles, ffi, lib
from pygrad.bench.work import Work, Workload
from pygrad.bench.workloads import chain

ROUNDS = 200
RESOLUTION = time.get_clock_info("perf_counter").resolution  # seconds; a share that is lost in noise reads as this


def medians(*calls: Callable[[], object]) -> list[float]:
    """The median time of each of these calls in seconds, with the time of reading the clock. The calls alternate."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, took in zip(calls, times):
            start = time.perf_counter()
            call()
            took.append(time.perf_counter() - start)
    return [statistics.median(took) for took in times]


def compiled(problem: chain.Chain) -> Work:
    links, numbers = problem
    f = pygrad.compile(lambda *leaves: chain.chain_of(links)(None, *leaves), *numbers)
    inputs, results = len(numbers), 1 + len(numbers)
    routine = f._executor.new_routine(((False,) * (inputs + 1), lib.PG_GRADIENT), False)
    arrays = [np.array(x) for x in [*numbers, 1.0]] + [np.empty(1) for _ in range(results)] + [np.empty(0)]
    pointers = ffi.new("double*[]", [c_doubles(x) for x in arrays])
    calls = (
        functools.partial(f.value_and_grad, *numbers),
        functools.partial(lib.pg_run, routine, 1, pointers, 1),
        functools.partial(lib.pg_op_arity, 0),
        functools.partial(int),
    )

    def share(keep: Any = arrays) -> float:
        whole, alone, boundary, nothing = medians(*calls)
        return max(whole - alone + boundary - nothing, RESOLUTION)

    return Work(functools.partial(f.value_and_grad, *numbers), sample=share)


WORKLOAD = Workload(
    "call",
    "Python's share of a call of a compiled function of 1,000 nodes, with its gradient",
    "a call",
    chain.problem,
    500,
    {"compile": compiled},
    reference=functools.partial(chain.on_scalars, "reference"),
)
