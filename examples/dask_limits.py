"""Prints what 10, 100 and 1,000 workers would do to a step of dask_training.py, from figures that it measures.

python examples/dask_limits.py [--samples 100000] [--tasks 1000] [--workers 2]

It takes about ten seconds, and needs `pip install '.[demo,dask]'`.

A step over W chunks, one on each worker, takes about samples * t / W + k * W / r seconds, where t is the time of a
sample, k the number of tasks of a chunk, and r the number of tasks a second of the scheduler. More workers than
sqrt(samples * t * r / k) make it slower.
"""

import argparse
import itertools
import math
import pickle
import random
import statistics
import time

import dask
import dask.array as da
import numpy as np
from dask.callbacks import Callback
from dask.task_spec import Alias
from dask_training import loss_of
from distributed import Client, LocalCluster
from rich.console import Console
from rich.table import Table

import pygrad.dask
from pygrad import nn


class Tasks(Callback):
    """The serialized tasks that the scheduler runs; an alias is none of them."""

    def __init__(self):
        super().__init__()
        self.bytes = []

    def _pretask(self, key, graph, state):
        if not isinstance(graph[key], Alias):
            self.bytes.append(len(pickle.dumps(graph[key])))


def block(block_id):
    return np.zeros((4, 2))


def tasks_of(pure, parameters, chunks):
    """The bytes of the tasks of a step over this many chunks, which the workers make or hold."""
    points = da.map_blocks(block, chunks=((4,) * chunks, 2), dtype=float)
    values, (gradient, *_) = pygrad.dask.value_and_grad(pure, parameters, points, np.ones(4 * chunks))
    with Tasks() as tasks:
        dask.compute(values.mean(), gradient, scheduler="synchronous")
    return tasks.bytes


def median_time(work, repeats=3):
    """The processor time of this process, where the scheduler runs: on a cluster it has a core of its own."""

    def once():
        start = time.process_time()
        work()
        return time.process_time() - start

    return statistics.median(once() for _ in range(repeats))


def identity(x):
    return x


def tasks_a_second(client, count):
    runs = itertools.count()

    def run():
        names = [f"{next(runs)}-{k}" for k in range(count)]
        client.get({**dict.fromkeys(names, (identity, 0)), "all": (len, names)}, "all")

    return count / median_time(run)


def main():
    parser = argparse.ArgumentParser(description="what more workers would do to a step of training")
    parser.add_argument(
        "--samples", type=int, default=100_000, help="the number of samples of a step (default 100,000)"
    )
    parser.add_argument(
        "--tasks", type=int, default=1000, help="the number of tasks to measure the scheduler with (default 1000)"
    )
    parser.add_argument("--workers", type=int, default=2, help="the number of workers to start (default 2)")
    options = parser.parse_args()

    random.seed(0)
    pure, parameters = loss_of(nn.MLP(2, [16, 16, 1]))
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(options.samples, 2)), np.sign(rng.normal(size=options.samples))
    of_sample = median_time(lambda: pure.value_and_grad(parameters.data, points, labels)) / options.samples
    few, many = (tasks_of(pure, parameters.data, chunks) for chunks in (64, 128))
    tasks, size = (len(many) - len(few)) / 64, (sum(many) - sum(few)) / 64
    with (
        LocalCluster(options.workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        rate = tasks_a_second(client, options.tasks)

    console = Console()
    console.print(f"a sample {of_sample * 1e6:.2f} µs; the scheduler {rate:,.0f} tasks a second")
    console.print(f"a chunk {tasks:.1f} tasks, together {size:,.0f} bytes")
    console.print(f"so a chunk takes {tasks / rate * 1e3:.1f} ms of the scheduler's time")
    console.print(f"a gradient {8 * parameters.size:,} bytes")
    console.print(f"a worker gets the Program once: {len(pickle.dumps(pure)):,} bytes")
    table = Table("workers", "tasks a step", "bytes a step", "depth", "work, ms", "scheduling, ms", "step, ms")
    for workers in (1, 10, 100, 1000):
        work, scheduling = options.samples * of_sample / workers, tasks * workers / rate
        table.add_row(
            f"{workers:,}",
            f"{tasks * workers:,.0f}",
            f"{(size + 2 * 8 * parameters.size) * workers:,.0f}",  # parameters to each worker, a gradient from it
            str(math.ceil(round(math.log(workers, 8), 9))),
            *(f"{seconds * 1e3:,.1f}" for seconds in (work, scheduling, work + scheduling)),
        )
    console.print(table)
    best = math.sqrt(options.samples * of_sample * rate / tasks)
    console.print(f"More than sqrt(samples * t * r / k) = {best:.1f} workers make a step slower.")


if __name__ == "__main__":
    main()
