"""Prices the Asian option of asian_option.py, with a standard error for each Greek, on a Dask cluster.

python examples/dask_asian.py [--paths 1000000] [--workers 2] [--address tcp://...] [--seed 0]

It takes about a minute, and needs `pip install '.[demo,dask]'`.

Without an address it starts workers on this machine. 100 million paths are 200 GB of random numbers. The workers make
them, from a seed for each chunk, and drop them when the chunk is done: a worker's memory stays that of a chunk.
"""

import argparse
import math
import sys
import time

import dask
import dask.array as da
import numpy as np
import psutil
from asian_option import DAYS, RATE, SPOT, VOLS, asian_call, central_differences, closed_form, geometric_call
from dask.array.core import normalize_chunks
from distributed import Client, LocalCluster, progress
from rich.console import Console
from rich.table import Table

import pygrad
import pygrad.dask

ESTIMATES = 50  # from independent paths, whose spread gives the standard errors
CHUNK = 30_000  # paths at most: their normals take 60 MB
MARKET = SPOT, RATE, VOLS
NAMES = "value", "delta", "rho", "vegas"

# Linux's C library reads these: a worker keeps the memory of a chunk for the next one. By Dask's settings it returns it
# to the system, and waits for it again.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 31), "MALLOC_MMAP_MAX_": "0"}


def portfolio(held, of_asian, of_geometric, normals):
    """The payoff on one path of some Asian calls and some geometric ones, each in a market of its own.

    So one gradient has it all: by the numbers of options held, the payoff of each, and by its market, its Greeks.
    """
    return held[0] * asian_call(*of_asian, normals) + held[1] * geometric_call(*of_geometric, normals)


def drawn(seed, i, paths, block_id):
    """The normals of a chunk of the i-th estimate, from a seed of its own."""
    k, _ = block_id
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i, k)))
    return rng.standard_normal((min(CHUNK, paths - k * CHUNK), DAYS))


def estimate(f, seed, i, paths):
    """The gradient of the mean payoff of so many paths, to be computed."""
    chunks = normalize_chunks((CHUNK, DAYS), (paths, DAYS))
    normals = da.map_blocks(drawn, seed, i, paths, chunks=chunks, dtype=float)  # in one task with what takes them
    _, (*gradient, _) = pygrad.dask.value_and_grad(f, np.ones(2), MARKET, MARKET, normals, cotangent=1 / paths)
    return gradient


def statistics(estimates):
    """The mean of the estimates and its standard error: the rows of NAMES for the Asian call and the geometric one."""
    rows = [
        [[value, delta, rho, vegas.sum()] for value, (delta, rho, vegas) in zip(values, markets)]
        for values, *markets in estimates
    ]
    return np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) / math.sqrt(len(rows))


def exact():
    """The price of the geometric option and its Greeks, from the closed form."""
    delta, rho, vegas = central_differences(closed_form, h=1e-4)
    return closed_form(SPOT, RATE, VOLS), delta, rho, vegas.sum()


def peak_memory():
    """The most memory that a worker has had, in MB."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**20
    import resource  # which Windows has not

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description="an Asian call option and its Greeks on a Dask cluster")
    parser.add_argument(
        "--paths", type=int, default=1_000_000, help="the number of simulated paths (default 1,000,000)"
    )
    parser.add_argument("--workers", type=int, default=2, help="the number of workers to start (default 2)")
    parser.add_argument("--address", help="the address of a scheduler: use its cluster, and start no workers")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the random numbers (default 0)")
    options = parser.parse_args()
    each = options.paths // ESTIMATES
    if not each:
        parser.error(f"--paths must be at least {ESTIMATES}, the number of estimates, got {options.paths}")

    console = Console()
    f = pygrad.compile(portfolio, np.ones(2), MARKET, MARKET, np.zeros(DAYS))
    paths, chunks = each * ESTIMATES, math.ceil(each / CHUNK) * ESTIMATES
    estimates = [estimate(f, options.seed, i, each) for i in range(ESTIMATES)]

    dask.config.set({"distributed.nanny.pre-spawn-environ": KEEP_MEMORY})
    cluster = options.address or LocalCluster(
        n_workers=options.workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )
    with Client(cluster) as client:
        console.print(f"{paths:,} paths in {chunks:,} chunks on {len(client.nthreads())} workers")
        start = time.perf_counter()
        running = client.compute(dask.delayed(estimates))
        progress(running, notebook=False)
        means, errors = statistics(running.result())
        seconds, peaks = time.perf_counter() - start, client.run(peak_memory)
    if not options.address:
        cluster.close()

    table = Table(
        "", "price", "± error", "geometric", "± error", "exact", "off by", title="An Asian call, and the geometric one"
    )
    worst = 0.0
    for name, mean, error, of_check, its_error, truth in zip(NAMES, means[0], errors[0], means[1], errors[1], exact()):
        off = abs(of_check - truth) / its_error
        table.add_row(name, *(f"{x:.4f}" for x in (mean, error, of_check, its_error, truth)), f"{off:.2f} errors")
        worst = max(worst, off)
    console.print()
    console.print(table)
    console.print(
        f"{paths / seconds:,.0f} paths a second, of both options with all Greeks. "
        f"No worker had more than {max(peaks.values()):.0f} MB."
    )
    if not worst < 5:
        raise SystemExit("the simulation and the closed form do not agree")


if __name__ == "__main__":
    main()
