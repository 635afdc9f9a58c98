"""Prices the Asian option of asian_option.py, with a standard error for each Greek, on a Dask cluster.

python examples/dask_asian.py [--paths 1000000] [--workers 2] [--address tcp://...] [--seed 0]

It takes about a minute, and needs `pip install '.[demo,dask]'`.

Without an address it starts workers on this machine. 100 million paths are 200 GB of random numbers. The workers make
them, from a seed for each chunk, and drop them when the chunk is done: a worker's memory stays that of a few chunks.
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
from distributed import Client, LocalCluster, progress
from rich.console import Console
from rich.table import Table

import pygrad
import pygrad.dask

CHUNK = 20_000  # paths: their normals take 40 MB
NAMES = "value", "delta", "rho", "vegas"


def statistics(f, normals):
    """The means over all paths of the payoff and its Greeks, and their standard errors, to be computed.

    All arguments are batches, so that there are Greeks of each path.
    """
    paths, (chunks, _) = len(normals), normals.chunks
    spots, rates = (da.full(paths, x, chunks=(chunks,)) for x in (SPOT, RATE))
    curves = da.broadcast_to(VOLS, (paths, DAYS), chunks=normals.chunks)
    payoffs, (deltas, rhos, vegas, _) = pygrad.dask.value_and_grad(f, spots, rates, curves, normals)
    table = da.stack([payoffs, deltas, rhos, vegas.sum(axis=1)], axis=1)
    table = table.rechunk((chunks, -1))  # a chunk is one block, whose mean is one task
    return table.mean(axis=0), table.std(axis=0, ddof=1) / math.sqrt(paths)


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
    if options.paths < 2:
        parser.error(f"--paths must be at least 2 for a standard error, got {options.paths}")

    console = Console()
    example = SPOT, RATE, VOLS, np.zeros(DAYS)
    arithmetic, geometric = (pygrad.compile(payoff, *example) for payoff in (asian_call, geometric_call))
    normals = da.random.default_rng(options.seed).standard_normal((options.paths, DAYS), chunks=(CHUNK, DAYS))

    cluster = options.address or LocalCluster(
        n_workers=options.workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )
    with Client(cluster) as client:
        console.print(f"{options.paths:,} paths in {normals.numblocks[0]:,} chunks on {len(client.nthreads())} workers")
        start = time.perf_counter()
        running = client.compute(dask.delayed([statistics(f, normals) for f in (arithmetic, geometric)]))
        progress(running, notebook=False)
        of_arithmetic, of_geometric = running.result()
        seconds, peaks = time.perf_counter() - start, client.run(peak_memory)
    if not options.address:
        cluster.close()

    table = Table(
        "", "price", "± error", "geometric", "± error", "exact", "off by", title="An Asian call, and the geometric one"
    )
    worst = 0.0
    for name, mean, error, of_check, its_error, truth in zip(NAMES, *of_arithmetic, *of_geometric, exact()):
        off = abs(of_check - truth) / its_error
        table.add_row(name, *(f"{x:.4f}" for x in (mean, error, of_check, its_error, truth)), f"{off:.2f} errors")
        worst = max(worst, off)
    console.print()
    console.print(table)
    console.print(
        f"{options.paths / seconds:,.0f} paths a second, of both options with all Greeks of each path. "
        f"No worker had more than {max(peaks.values()):.0f} MB."
    )
    if not worst < 5:
        raise SystemExit("the simulation and the closed form do not agree")


if __name__ == "__main__":
    main()
