"""Lists the workloads on which engines are compared. Each workload has its own file."""

from pygrad.bench.work import Workload
from pygrad.bench.workloads import (
    adam,
    asian,
    attributes,
    basket,
    call,
    chain,
    cluster,
    dots,
    embedding,
    embedding_argument,
    expression,
    forward,
    gpt,
    graph,
    matvec,
    memory,
    moons,
    objects,
    sweep,
    wide_sum,
)

_MODULES = [
    expression,
    forward,
    dots,
    moons,
    gpt,
    chain,
    wide_sum,
    asian,
    basket,
    embedding,
    embedding_argument,
    graph,
    sweep,
    matvec,
    attributes,
    adam,
]
_MODULES += [call, memory, objects, cluster]  # whose processes stay, and disturb what follows
WORKLOADS: dict[str, Workload] = {module.WORKLOAD.name: module.WORKLOAD for module in _MODULES}
