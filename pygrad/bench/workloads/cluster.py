"""Times the Asian option on a Dask cluster of two processes on this machine, against two threads of one process.

The random numbers are part of the work, and both draw them on two cores: in one process two threads draw the halves of
a chunk, which is then one call on two threads; each worker draws chunks of its own.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, NamedTuple

import numpy as np

import pygrad
from pygrad.bench.arrays import PygradArray
from pygrad.bench.work import Work, Workload, each
from pygrad.bench.workloads import asian

PATHS, ALL_PATHS, CHUNK = 1_000_000, 10_000_000, 10_000
PROCESSES = 2


class Chunks(NamedTuple):
    """A curve of volatilities, the seed of all normals, and the number of paths of each chunk."""

    vols: Any
    seed: int
    sizes: list[int]


def problem(rng: np.random.Generator, paths: int) -> Chunks:
    sizes = [min(CHUNK, paths - start) for start in range(0, paths, CHUNK)]
    return Chunks(asian.curve(), int(rng.integers(1 << 32)), sizes)


def normals(seed: int, k: int, paths: int, run: Callable[..., Iterable[Any]] = map) -> Any:
    """The random numbers of the k-th chunk. Its halves have seeds of their own, so that `run` can draw both at once."""
    z = np.empty((paths, asian.DAYS))

    def draw(i: int, half: Any) -> None:
        np.random.default_rng([seed, k, i]).standard_normal(out=half)

    list(run(draw, range(2), np.array_split(z, 2)))
    return z


def drawn(seed: int, block_info: Any) -> Any:
    """The random numbers of a block of a Dask array."""
    (k, _), (paths, _) = (block_info[None][key] for key in ("chunk-location", "chunk-shape"))
    return normals(seed, k, paths)


def program(chunks: Chunks, threads: int) -> pygrad.program.Program:
    ops, example = PygradArray(), np.zeros(asian.DAYS)
    return pygrad.compile(
        lambda *arguments: asian.payoff(ops, *arguments),
        *(asian.SPOT, asian.RATE, chunks.vols, example),
        threads=threads,
    )


def in_threads(chunks: Chunks) -> Work:
    f, paths = program(chunks, PROCESSES), sum(chunks.sizes)

    def run() -> list[Any]:
        totals: list[Any] = [0.0] * 4
        with ThreadPoolExecutor(PROCESSES) as pool:
            for k, size in enumerate(chunks.sizes):
                z = normals(chunks.seed, k, size, pool.map)
                values, (*greeks, _) = f.value_and_grad(asian.SPOT, asian.RATE, chunks.vols, z, cotangent=1 / paths)
                totals = [total + part for total, part in zip(totals, [values.sum() / paths, *greeks])]
        return totals

    return Work(run, units=paths)


@functools.lru_cache(None)
def client() -> Any:
    """A client of a cluster that lives until close() or the end of this process.

    Its workers keep the memory of a chunk for the next one, as this process does, not Dask's setting of malloc.
    """
    import dask
    from distributed import Client, LocalCluster

    atexit.register(close)
    with dask.config.set({"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}):
        return Client(LocalCluster(n_workers=PROCESSES, threads_per_worker=1, dashboard_address=":0", silence_logs=50))


def close() -> None:
    """Close the cluster, if there is one: its scheduler runs in this process."""
    if client.cache_info().currsize:
        cluster = client().cluster
        client().close()
        cluster.close()
        client.cache_clear()


def on_cluster(chunks: Chunks) -> Work:
    import dask
    import dask.array as da

    import pygrad.dask

    f, paths = program(chunks, 1), sum(chunks.sizes)

    def run() -> Any:
        z = da.map_blocks(drawn, chunks.seed, chunks=(tuple(chunks.sizes), asian.DAYS), dtype=float)
        lazy = pygrad.dask.value_and_grad(f, asian.SPOT, asian.RATE, chunks.vols, z, cotangent=1 / paths)
        values, (*greeks, _) = lazy
        (found,) = dask.compute([values.mean(), *greeks], scheduler=client().get)
        return found

    return Work(run, units=paths)


def on_scalars(engine: str, chunks: Chunks) -> Work:
    """The first paths, which are in the first chunk: those of all chunks do not fit in memory."""
    return asian.on_scalars(engine, asian.Option(chunks.vols, normals(chunks.seed, 0, chunks.sizes[0])))


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
