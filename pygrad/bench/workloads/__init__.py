"""Lists the workloads on which engines are compared. Each workload has its own file."""

from pygrad.bench.work import Workload
from pygrad.bench.workloads import (
    adam,
    asian,
    call,
    chain,
    dots,
    expression,
    gpt,
    graph,
    matvec,
    memory,
    moons,
    sweep,
    wide_sum,
)

_MODULES = [expression, dots, moons, gpt, chain, wide_sum, asian, graph, sweep, matvec, adam, call, memory]
WORKLOADS: dict[str, Workload] = {module.WORKLOAD.name: module.WORKLOAD for module in _MODULES}
