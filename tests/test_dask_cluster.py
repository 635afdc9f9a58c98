"""pygrad.dask on a cluster of processes: the same bits, also when workers die and come."""

import gc
import os
import signal
import time

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import pygrad
import pygrad.dask
from support.compiled import bits

LINE = pygrad.compile(lambda w, x: (w @ x).tanh(), np.ones(3), np.ones(3))
W = np.array([0.5, -1.0, 2.0])
X = np.random.default_rng(0).normal(size=(1000, 3))
CHUNK = 20


@pytest.fixture
def cluster():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield cluster, client
    gc.collect()


def slowly(block):
    time.sleep(0.05)
    return block


def lazy(wait=False):
    x = da.from_array(X, chunks=(CHUNK, 3))
    return pygrad.dask.value_and_grad(LINE, W, x.map_blocks(slowly, dtype=float) if wait else x)


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


def test_a_worker_that_is_killed_changes_no_bit(cluster):
    _, client = cluster
    running = client.compute(dask.delayed(lazy(wait=True)))
    time.sleep(0.5)
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert bits_of(running.result(timeout=60)) == EXPECTED


def test_a_worker_that_comes_late_is_used(cluster):
    cluster, client = cluster
    first = set(client.scheduler_info()["workers"])
    running = client.persist(lazy(wait=True)[0])
    cluster.scale(3)
    client.wait_for_workers(3, timeout=60)
    assert bits(running.compute()) == EXPECTED[0]
    (late,) = set(client.scheduler_info()["workers"]) - first
    assert client.has_what()[late]


def test_a_scheduler_that_is_lost_is_an_error_and_the_program_stays(cluster):
    cluster, client = cluster
    running = client.compute(dask.delayed(lazy(wait=True)))
    cluster.close()
    with pytest.raises(Exception, match=r"(?i)cancelled|closed|lost|scheduler"):
        running.result(timeout=60)
    with dask.config.set(scheduler="synchronous"):
        assert bits_of(dask.compute(*lazy())) == EXPECTED
