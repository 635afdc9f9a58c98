"""Workers of a Dask cluster stay below their memory limit, with many times more data than that."""

import os
import re
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import pygrad
import pygrad.dask
from support import figures, on_limited_memory, on_linux
from support.effort import long

pytestmark = [on_limited_memory, on_linux]

LIMIT = 250_000_000  # bytes; Python with NumPy, Dask and pygrad takes 90 MB
SIZE, ROWS = 64, 8000  # of a chunk, 4 MB
DOT = pygrad.compile(lambda w, x: w @ x, np.zeros(SIZE), np.zeros(SIZE))


def block(block_id):
    return np.full((ROWS, SIZE), float(block_id[0]))


def process_and_peak():
    """The number of a worker's process and the most bytes that it has had."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return os.getpid(), int(kilobytes) * 1024


@long
def test_memory_stays_below_the_limits_of_workers(full):
    times = 100 if full else 2
    count = times * LIMIT // (ROWS * SIZE * 8) + 1
    with (
        LocalCluster(2, threads_per_worker=1, memory_limit=LIMIT, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        before = client.run(process_and_peak)
        x = da.map_blocks(block, chunks=((ROWS,) * count, SIZE), dtype=float)
        values, (by_w, _) = pygrad.dask.value_and_grad(DOT, np.ones(SIZE), x)
        highest, by_w = dask.compute(values.max(), by_w)
        after = client.run(process_and_peak)
    assert x.nbytes > times * LIMIT
    assert highest == SIZE * (count - 1)
    assert by_w.tolist() == [ROWS * count * (count - 1) / 2] * SIZE  # integers, of which no sum is rounded
    assert {worker: process for worker, (process, _) in before.items()} == {
        worker: process for worker, (process, _) in after.items()
    }, "Dask has ended a worker"
    peak = max(peak for _, peak in after.values())
    assert peak < LIMIT
    figures.note(f"memory of a Dask worker, with {times} times its limit of data", f"{peak / LIMIT:.0%} of the limit")
