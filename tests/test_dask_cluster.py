"""pygrad.dask on a cluster of processes: the same bits, also when workers die and come."""

import gc
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, Event, LocalCluster

import pygrad
import pygrad.dask
from pygrad import nn
from pygrad.program import native
from support.compiled import bits
from support.compiler import slow_compiler
from support.effort import long

LINE = pygrad.compile(lambda w, x: (w @ x).tanh(), np.ones(3), np.ones(3))
W = np.array([0.5, -1.0, 2.0])
X = np.random.default_rng(0).normal(size=(1000, 3))
CHUNK = 20


@pytest.fixture(scope="module")
def _cluster():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield cluster, client
    gc.collect()


@pytest.fixture
def cluster(_cluster):
    """A cluster that the tests share, with two workers."""
    cluster, client = _cluster
    scaled(cluster, client, 2)
    with client.as_current():
        yield cluster, client


def slowly(block):
    time.sleep(0.05)
    return block


def after(event, block):
    Event(event).wait(60)
    return slowly(block)


def lazy(step=None):
    x = da.from_array(X, chunks=(CHUNK, 3))
    return pygrad.dask.value_and_grad(LINE, W, x.map_blocks(step, meta=X[:0]) if step else x)


def bits_of(found):
    value, grads = found
    return [bits(x) for x in [value, *grads]]


EXPECTED = bits_of(dask.compute(*lazy(), scheduler="synchronous"))


def test_a_cluster_gives_the_same_bits(cluster):
    assert bits_of(dask.compute(*lazy())) == EXPECTED


def test_an_error_on_a_worker_has_the_message_of_the_call_and_the_place(cluster):
    f = pygrad.compile(lambda x: x.log(), 1.0, check_finite=True)
    x = np.ones(100)
    x[56] = 0.0
    with pytest.raises(FloatingPointError, match=r"at \[6\]: log\(0.0\) is -inf") as caught:
        pygrad.dask.value(f, da.from_array(x, chunks=10)).compute()
    assert caught.value.__notes__ == ["in chunk 5, samples 50 to 59"]


def test_a_block_of_another_shape_than_declared_is_an_error_with_the_place(cluster):
    def made(block_id):
        return np.ones({3: (20, 2), 4: (10, 3)}.get(block_id[0], (20, 3)))

    x = da.map_blocks(made, chunks=((20,) * 5, 3), dtype=float, meta=np.empty((0, 3)))
    with pytest.raises(ValueError, match="argument 1 must have shape") as local:
        LINE(W, made((3,)))
    for block, words in [(3, str(local.value)), (4, "a block of shape (10, 3), where it declares (20, 3)")]:
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            pygrad.dask.value(LINE, W, x).blocks[block].compute()
        assert caught.value.__notes__ == [f"in chunk {block}, samples {20 * block} to {20 * block + 19}"]


@long
def test_a_worker_that_is_killed_changes_no_bit(cluster):
    _, client = cluster
    running = client.compute(dask.delayed(lazy(slowly)))
    time.sleep(0.5)
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert bits_of(running.result(timeout=60)) == EXPECTED


def scaled(cluster, client, workers):
    """The workers, when there are this many."""
    cluster.scale(workers)
    deadline = time.monotonic() + 60
    while len(found := set(client.scheduler_info()["workers"])) != workers and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(found) == workers
    return found


@long
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_bits_do_not_depend_on_the_number_of_workers(cluster, workers):
    scaled(*cluster, workers)
    assert bits_of(dask.compute(*lazy())) == EXPECTED


@long
def test_a_worker_that_comes_late_is_used(cluster):
    cluster, client = cluster
    first = scaled(cluster, client, 2)
    running = dask.persist(*lazy(partial(after, "late")))
    (late,) = scaled(cluster, client, 3) - first
    Event("late").set()
    assert bits_of(dask.compute(*running)) == EXPECTED
    assert client.has_what()[late]


def set_environment(**variables):
    os.environ.update(variables)


@pytest.mark.skipif(native.compiler() is None, reason="there is no C compiler")
def test_workers_on_one_machine_compile_native_code_once(cluster, tmp_path):
    _, client = cluster
    compiler, made = slow_compiler(tmp_path)
    cache = tmp_path / "cache"
    client.run(set_environment, CC=str(compiler), PYGRAD_CACHE_DIR=str(cache))
    f = pygrad.compile(lambda w, x: (w @ x).tanh(), np.ones(3), np.ones(3), backend="native")
    expected = bits(f(W, X))
    found = client.run(f, W, X)  # both at once: which of them gets a chunk is up to Dask
    assert [bits(value) for value in found.values()] == [expected] * 2
    value = pygrad.dask.value(f, W, da.from_array(X, chunks=(CHUNK, 3)))
    assert bits(value.compute()) == expected
    assert made.read_text() == "\n"
    assert len(list(cache.iterdir())) == 1


@pytest.fixture
def remote(tmp_path):
    """A scheduler and a worker as processes of their own, and a client of them."""
    file = tmp_path / "scheduler.json"
    options = ["--scheduler-file", str(file), "--no-dashboard"]

    def start(module, *more):
        command = [sys.executable, "-m", f"distributed.cli.{module}", *options, *more]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # they import this module
        return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    scheduler = start("dask_scheduler", "--port", "0")
    worker = start("dask_worker", "--no-nanny", "--nthreads", "1")
    try:
        with Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
            yield scheduler, client
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
        gc.collect()


@long
def test_a_scheduler_that_is_killed_is_an_error_that_says_so_and_nothing_local_changes(remote):
    scheduler, client = remote
    model = nn.MLP(3, [2, 1])
    f = pygrad.compile(lambda x: model(x), np.ones(3))
    for parameter in model.parameters():
        parameter.grad = 1.5
    parameters = f.parameters.data.copy()
    x = da.from_array(X, chunks=(CHUNK, 3)).map_blocks(slowly, dtype=float)
    asked = pygrad.dask.value_and_grad(f.pure(), parameters, x)
    expected = bits_of(dask.compute(*asked, scheduler="synchronous"))
    running = client.compute(dask.delayed(asked))
    deadline = time.monotonic() + 60
    while not any(client.has_what().values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.status == "pending"
    scheduler.kill()
    with pytest.raises(CancelledError, match=r"scheduler-connection-lost\.\n.*lost the connection to the scheduler"):
        running.result(timeout=60)
    assert bits(f.parameters.data) == bits(parameters)
    assert (f.parameters.grad == 1.5).all()
    with dask.config.set(scheduler="synchronous"):
        assert bits_of(dask.compute(*asked)) == expected
