"""Processes: forked while threads are busy, made by multiprocessing, and ended with everything alive and running.

Each test runs in a new process with a time limit: nothing may hang or crash.
"""

import os
import signal
from pathlib import Path

import pytest

from support import figures, on_cpython
from support.effort import long

TESTS = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork()")

# What the other threads are doing.
BUSY = """
import os, random, signal, sys, threading, time, warnings
import numpy as np
import pygrad
from pygrad import Value, array
from support.jobs import JOBS, do, shared, use

warnings.simplefilter("ignore", DeprecationWarning)  # about forks in a process with threads
x = array(np.linspace(0.1, 2, 100_000))
graph = (x**1.5).tanh().sum()
batch = np.linspace(-1, 1, 100_000 * 3).reshape(-1, 3)
slow = pygrad.compile(lambda a, b: ((a * b).sin() + a).sum(), np.zeros(3), 0.5, threads=2)
halt = False

def run():
    while not halt:
        slow.value_and_grad(batch, 0.5)

def sweep():
    while not halt:
        graph.backward()

def build():
    while not halt:
        (x * 2 + 1).exp()

def scalars():
    while not halt:
        do(("values", random.randrange(100)))

def trace():
    while not halt:
        do(("compiling", random.randrange(100)))

def train():
    while not halt:
        do(("model", random.randrange(100)))

BUSY = [run, sweep, build, scalars, trace, train]

def start(works=BUSY, daemon=False):
    threads = [threading.Thread(target=work, daemon=daemon) for work in works]
    for t in threads:
        t.start()
    time.sleep(0.05)
    return threads
"""


@pytest.fixture
def busy(python):
    """A function that runs code in a new process after BUSY."""
    already = filter(None, [os.environ.get("PYTHONPATH")])  # of a core built with a sanitizer
    path = os.pathsep.join([str(TESTS), *already])

    def run(code, **options):
        return python(BUSY + code, env={**os.environ, "PYTHONPATH": path}, **options)

    return run


FORK = """
jobs = [(name, seed) for name in JOBS for seed in range(3)]
expected = [do(job) for job in jobs]

def fork():
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(100)
            status = 0 if [do(job) for job in jobs] == expected else 2
            old = x.grad.copy()
            (x * 2).sum().backward()
            status = status or (0 if (x.grad == old + 2).all() else 3)
        finally:
            os._exit(status)
    return child

def check(child):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, status
"""


@long
def test_a_child_forked_while_threads_are_busy_computes_what_its_parent_does(busy, full):
    """It is forked from the main thread, and from another one."""
    rounds = 30 if full else 2
    for works in (
        ["[run]", "[sweep]", "[build]", "[scalars]", "[trace]", "[train]", "BUSY"] if full else ["[run]", "BUSY"]
    ):
        busy(
            FORK
            + f"""
start({works})
try:
    for _ in range({rounds}):
        time.sleep(random.uniform(0, 0.01))
        check(fork())
        other = threading.Thread(target=lambda: check(fork()))
        other.start()
        other.join()
finally:
    halt = True
"""
        )
    figures.note(
        "children forked in the middle of other threads' work, each of which did all work", f"{7 * 2 * rounds}"
    )


CODE = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pygrad import nn

jobs = [(name, seed) for name in JOBS for seed in range(5)]
expected = [do(job) for job in jobs]
things = [Value(3.0), array([1.0, 2.0]), nn.MLP(3, [4, 1]), shared]
used = [use(thing) for thing in things]
"""


@long
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_gives_the_parent_s_results(busy, method):
    busy(
        CODE
        + f"""
shared(np.ones((300, 3)), 0.5)  # starts threads, which the children do not have
with multiprocessing.get_context({method!r}).Pool(2) as pool:
    assert pool.map(do, jobs) == expected
    assert pool.map(use, things) == used
    assert pool.apply(use, [things[1]]) == used[1]
"""
    )


def test_executors_give_the_caller_s_results(busy):
    busy(
        CODE
        + """
with ProcessPoolExecutor(2) as processes, ThreadPoolExecutor(8) as threads:
    by_processes, by_threads = processes.map(do, jobs), threads.map(do, jobs)
    assert list(by_processes) == list(by_threads) == expected
    assert list(processes.map(use, things)) == used
"""
    )


ENDS = {
    "the end of the script": "",
    "sys.exit": "sys.exit(0)",
    "a pool that is still at work": """
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(4)
futures = [pool.submit(do, (name, 1)) for name in JOBS for _ in range(5)]
""",
    "atexit": "import atexit; atexit.register(lambda: print(do(('compiling', 1)) == expected))",
    "a module that is gone": "del sys.modules['pygrad'], sys.modules['pygrad.engine']",
}


@long
@on_cpython("PyPy ends daemon threads in another way")
@pytest.mark.parametrize("end", ENDS)
def test_the_interpreter_exits_with_everything_alive_and_running(busy, full, end):
    for _ in range(10 if full else 1):
        busy(
            f"""
from pygrad import nn, optim
expected = do(("compiling", 1))
v, model = Value(2.0, label="v"), nn.MLP(3, [4, 1])
out = Value(v.data * 2, (v,), "double")
out._backward = lambda: setattr(v, "grad", v.grad + 2 * out.grad)  # a cycle
adam = optim.Adam(model.parameters())
alive = [v * 2 + 1, x * 2, x.data, x[0], model, adam, shared, slow, out, (out + 1)._prev]
alive.append(alive)
start(daemon=True)
{ENDS[end]}
"""
        )


@on_cpython("a signal arrives at another time")
def test_a_signal_ends_a_process_whose_threads_are_busy(busy):
    for sent in ("SIGINT", "SIGTERM"):
        out = busy(
            f"""
child = os.fork()
if child == 0:
    signal.alarm(100)
    start(daemon=True)
    run()
time.sleep(0.5)
begun = time.perf_counter()
os.kill(child, signal.{sent})
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), time.perf_counter() - begun)
"""
        )
        status, seconds = map(float, out.split())
        assert status in (1, -signal.SIGINT, -signal.SIGTERM)
        assert seconds < 10
        figures.note(f"a process with seven busy threads ends upon {sent}", f"after {seconds * 1e3:.0f} ms")
