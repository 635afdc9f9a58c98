"""Times Python's share of a call of a compiled function: the time of the call without the time spent in C.

The clock is read before and after the C call inside each call of value_and_grad, and the difference is subtracted.
Reading the clock counts as Python's share; the time that cffi takes to pass the arguments does not.
"""

from __future__ import annotations

import functools
import time
from typing import Any
from unittest import mock

import pygrad
from pygrad.bench.work import Work, Workload
from pygrad.bench.workloads import chain
from pygrad.program import executor


def compiled(problem: chain.Chain) -> Work:
    links, numbers = problem
    f = pygrad.compile(lambda *leaves: chain.chain_of(links)(None, *leaves), *numbers)
    clock, run = time.perf_counter, executor.pg_run
    in_c = 0.0

    def timed(*args: Any) -> Any:
        nonlocal in_c
        start = clock()
        status = run(*args)
        in_c += clock() - start
        return status

    def share(calls: int = 50) -> float:
        nonlocal in_c
        in_c = 0.0
        with mock.patch.object(executor, "pg_run", timed):
            start = clock()
            for _ in range(calls):
                f.value_and_grad(*numbers)
            return (clock() - start - in_c) / calls

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
