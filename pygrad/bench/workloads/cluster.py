"""Times the Asian option on a Dask cluster of two processes on this machine, against two threads of one process.

The random numbers are part of the work, and both draw them on two cores. One process draws a block of paths, a half on
each of two threads, and then calls the function on it with two threads. A worker's task takes a chunk of a few blocks.
Each has the size that is fastest for it: a block stays in the memory of the last one, and what Dask adds to a task is
several milliseconds.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, NamedTuple

import numpy as np

import pygrad
from pygrad.bench.arrays import PygradArray
from pygrad.bench.work import Work, Workload, each
from pygrad.bench.workloads import asian

PATHS, ALL_PATHS = 2_000_000, 10_000_000
BLOCK, BLOCKS = 10_000, 3  # paths in a block, blocks in a chunk
PROCESSES = 2
MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 31), "MALLOC_MMAP_MAX_": "0"}  # variables that glibc reads


class Paths(NamedTuple):
    """A curve of volatilities, the seed of all normals, and the number of paths."""

    vols: Any
    seed: int
    number: int


def problem(rng: np.random.Generator, count: int) -> Paths:
    return Paths(asian.curve(), int(rng.integers(1 << 32)), count)


def sizes(count: int, most: int) -> list[int]:
    """Equal parts of so many paths, but the last may be smaller."""
    return [min(most, count - start) for start in range(0, count, most)]


def draw(z: Any, seed: int, k: int, run: Callable[..., Iterable[Any]] = map) -> None:
    """Fill z with the normals of the k-th block. Its halves have their own seeds: `run` can draw both at once."""

    def draw_half(i: int, half: Any) -> None:
        np.random.default_rng([seed, k, i]).standard_normal(out=half)

    list(run(draw_half, range(2), np.array_split(z, 2)))


def chunk(seed: int, block_info: Any) -> Any:
    """The normals of a chunk of a Dask array."""
    (number, _), shape = (block_info[None][key] for key in ("chunk-location", "chunk-shape"))
    z = np.empty(shape)
    for k, start in enumerate(range(0, len(z), BLOCK)):
        draw(z[start : start + BLOCK], seed, number * BLOCKS + k)
    return z


def program(paths: Paths, threads: int) -> pygrad.program.Program:
    ops, example = PygradArray(), np.zeros(asian.DAYS)
    return pygrad.compile(
        lambda *arguments: asian.payoff(ops, *arguments),
        *(asian.SPOT, asian.RATE, paths.vols, example),
        threads=threads,
    )


def in_threads(paths: Paths) -> Work:
    f = program(paths, PROCESSES)

    def run() -> list[Any]:
        totals: list[Any] = [0.0] * 4
        with ThreadPoolExecutor(PROCESSES) as pool:
            for k, size in enumerate(sizes(paths.number, BLOCK)):
                z = np.empty((size, asian.DAYS))
                draw(z, paths.seed, k, pool.map)
                values, (*greeks, _) = f.value_and_grad(
                    asian.SPOT, asian.RATE, paths.vols, z, cotangent=1 / paths.number
                )
                totals = [total + part for total, part in zip(totals, [values.sum() / paths.number, *greeks])]
        return totals

    return Work(run, units=paths.number)


@functools.lru_cache(None)
def client() -> Any:
    """A client of a cluster that lives until close() or the end of this process.

    By MALLOC its workers keep the memory of a chunk for the next one: Dask has them return it to the system.
    """
    import dask
    from distributed import Client, LocalCluster

    atexit.register(close)
    before = dict(os.environ)
    with dask.config.set({"distributed.nanny.pre-spawn-environ": MALLOC}):
        cluster = LocalCluster(n_workers=PROCESSES, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
    for name in MALLOC.keys() - before.keys():
        del os.environ[name]  # where Dask leaves what it starts workers with
    return Client(cluster)


def close() -> None:
    """Close the cluster, if there is one: its scheduler runs in this process."""
    if client.cache_info().currsize:
        cluster = client().cluster
        client().close()
        cluster.close()
        client.cache_clear()


def on_cluster(paths: Paths) -> Work:
    import dask
    import dask.array as da

    import pygrad.dask

    f = program(paths, 1)
    chunks = tuple(sizes(paths.number, BLOCK * BLOCKS)), asian.DAYS

    def run() -> Any:
        z = da.map_blocks(chunk, paths.seed, chunks=chunks, dtype=float)
        lazy = pygrad.dask.value_and_grad(f, asian.SPOT, asian.RATE, paths.vols, z, cotangent=1 / paths.number)
        values, (*greeks, _) = lazy
        (found,) = dask.compute([values.mean(), *greeks], scheduler=client().get)
        return found

    return Work(run, units=paths.number)


def on_scalars(engine: str, paths: Paths) -> Work:
    """The first paths, which are in the first block: those of all blocks do not fit in memory."""
    z = np.empty((min(BLOCK, paths.number), asian.DAYS))
    draw(z, paths.seed, 0)
    return asian.on_scalars(engine, asian.Option(paths.vols, z))


WORKLOAD = Workload(
    "cluster",
    f"an Asian option, {PATHS:,} paths ({ALL_PATHS:,} with --full), random numbers included: two threads, or two "
    "processes of Dask, which draw on two cores, too",
    "a path",
    problem,
    PATHS,
    {**each(["reference"], on_scalars), "compile-threads": in_threads, "dask": on_cluster},
    check_size=asian.FEW,
    full_size=ALL_PATHS,
)
