"""Times the lookups of `embedding` in a table that is an argument: its gradient is an array of its shape."""

from pygrad.bench.workloads.embedding import by_argument, workload

WORKLOAD = workload("embedding-argument", "an argument", by_argument)
