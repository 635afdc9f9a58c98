"""Many threads at once: each gets the results it gets alone, and the arena stays consistent."""

import random
import sys
import threading
import time

import pytest

import pygrad
from pygrad._lib import ffi, lib
from support import figures, live_nodes
from support.effort import long
from support.jobs import JOBS

THREADS = 16
SEEDS = 20


def at_work(seconds, jobs, expected):
    """How often the threads ran each job until the time was over."""
    end = time.perf_counter() + seconds
    counts, errors = [], []

    def work(k):
        rng, count = random.Random(k), dict.fromkeys(jobs, 0)
        counts.append(count)
        try:
            while time.perf_counter() < end and not errors:
                name, seed = rng.choice(jobs), rng.randrange(SEEDS)
                assert JOBS[name](seed) == expected[name][seed], (name, seed)
                count[name] += 1
                if rng.random() < 0.02:
                    assert lib.pg_check() == ffi.NULL
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return {name: sum(count[name] for count in counts) for name in jobs}


@pytest.fixture
def switching():
    """Make the interpreter switch between threads as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@long
def test_sixteen_threads_give_the_results_of_one_and_keep_the_arena_consistent(full, switching):
    start = time.perf_counter()
    expected = {name: [job(seed) for seed in range(SEEDS)] for name, job in JOBS.items()}
    alone = len(JOBS) * SEEDS / (time.perf_counter() - start)
    before = live_nodes()
    seconds = 60 if full else 3
    counts = at_work(seconds, list(JOBS), expected)
    assert all(counts.values())
    pygrad.Value(1.0).backward()  # a pass frees the closures of dead results
    assert live_nodes() == before
    assert lib.pg_check() == ffi.NULL
    together = sum(counts.values()) / seconds
    figures.note(
        f"{THREADS} threads at mixed work, each result compared with the serial one",
        f"{sum(counts.values()):,} jobs, {together:,.0f} a second (one thread alone: {alone:,.0f})",
    )
