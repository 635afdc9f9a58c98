"""Ctrl-C during a long operation: KeyboardInterrupt at once, and a consistent state."""

import gc
import json
import pickle

import numpy as np
import pytest

import pygrad
from pygrad import _handles, _sweep
from pygrad._lib import fast, ffi, lib
from pygrad.optim import groups
from pygrad.program import executor
from pygrad.program.recorded import Recorded
from support import figures, live_nodes, on_cpython, with_fork
from support.effort import long
from support.interrupts import interrupted_at

LIMIT = 0.1  # seconds

# Interrupts `work` once a round, each time a little later, and prints how long it took to react.
INTERRUPT = """
import json, os, signal, threading, time, traceback
import numpy as np
import pygrad
from pygrad import Value, array, compile

def interrupted(work, rounds):
    work()  # compiles
    start = time.perf_counter()
    work()
    length, latencies = time.perf_counter() - start, []
    for i in range(rounds):
        sent = []
        def send():
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        timer = threading.Timer(length * 0.5 * (i + 1) / rounds, send)
        try:
            timer.start()
            work()
            timer.join()
            time.sleep(0.01)
        except KeyboardInterrupt as error:
            heard = time.perf_counter()
            frames = {frame.name for frame in traceback.extract_tb(error.__traceback__)}
            if frames & {"_run_heeding_signals", "_sweep_from", "backward_from"}:  # otherwise the work was done already
                latencies.append(heard - sent[0])
                check(i)
        timer.join()
    print(json.dumps([length, latencies]))
"""

WORKS = {
    "a backward pass": """
x = array(np.full(1_000_000, 1.01))

def build():
    y = x
    for _ in range(3):
        y = y**1.5 * x
    return y.sum()

def gradient():
    x.grad = 0
    build().backward()
    return x.grad[:3].tolist()

total = build()
part = (Value(3.0) * 2).tanh()
expected = gradient()

def check(i):
    part.backward()
    if i == 0:
        assert gradient() == expected

interrupted(total.backward, {rounds})
""",
    "a compiled run of a million samples": """
w = Value(0.5)

def fn(x):
    for i in range(50):
        x = (x * w + 0.1).sin()
    return x

f = compile(fn, 0.3, threads={threads})
X = np.linspace(-1, 1, 1_200_000)
expected = f(X[:100])

def check(i):
    assert w.grad == before
    assert (f(X[:100]) == expected).all()

def work():
    global before
    before = w.grad
    f.value_and_grad(X)

interrupted(work, {rounds})
""",
    "one sample of a program of a million ops": """
def fn(x):
    for _ in range(1_000_000):
        x = x.sin()
    return x

f = compile(fn, 0.3)
expected = f(0.3)

def check(i):
    if i == 0:
        assert f(0.3) == expected

interrupted(lambda: f(0.3), {rounds})
""",
    "a hessian": """
f = compile(lambda x: ((x[:, None] * x).sin() ** 2).sum(), np.ones(60))
X = np.random.default_rng(0).uniform(-1, 1, (40, 60))
expected = f.hessian(X[0])[0][0]

def check(i):
    assert (f.hessian(X[0])[0][0] == expected).all()

interrupted(lambda: f.hessian(X), {rounds})
""",
}
CASES = [
    (name, threads) for name in WORKS for threads in ([1, 2] if name == "a compiled run of a million samples" else [1])
]


@long
@pytest.mark.parametrize(("name", "threads"), CASES, ids=lambda x: str(x))
def test_an_interrupt_stops_a_long_operation_at_once(python, full, name, threads):
    code = WORKS[name].format(threads=threads, rounds=20 if full else 3)
    length, latencies = json.loads(python(INTERRUPT + code))
    assert latencies
    # The machine may be busy now and then; an interrupt that had to wait for the end would always be late.
    assert sorted(latencies)[len(latencies) // 2] < LIMIT
    on = f" on {threads} threads" if threads > 1 else ""
    figures.note(
        f"Ctrl-C in {name}{on}, which takes {length * 1e3:,.0f} ms",
        f"heard after {max(latencies) * 1e3:.1f} ms at most, of {len(latencies)}",
    )


@with_fork
def test_a_run_whose_signal_handler_forks_ends_in_the_parent_only(python):
    out = python(
        """
import os, signal
import numpy as np
from pygrad import compile

f = compile(lambda x: sum(((x * i).sin() for i in range(100)), x), 0.3)
X = np.linspace(-1, 1, 300_000)
f.value_and_grad(X[:9])
child = None

def fork(number, frame):
    global child
    if frame.f_code.co_name == "_run_heeding_signals":
        child = os.fork()
    else:
        signal.setitimer(signal.ITIMER_REAL, 0.02)  # the run has not begun

signal.signal(signal.SIGALRM, fork)
signal.setitimer(signal.ITIMER_REAL, 0.02)
try:
    f.value_and_grad(X)
except RuntimeError as error:
    print(error, flush=True)
    os._exit(child)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert out.splitlines() == [
        "a signal handler forked during this run, which only the parent process can finish",
        "0",
    ]


def test_a_second_interrupt_during_the_first_does_no_harm(python):
    python(
        """
import signal
import numpy as np
from pygrad import compile

f = compile(lambda x: sum(((x * i).sin() for i in range(100)), x), 0.3, threads=2)
X = np.linspace(-1, 1, 100_000)
expected = f(X[:9])

def work():
    f.value_and_grad(X)

def interrupt(number, frame):
    global left
    while frame and frame.f_code is not work.__code__:
        frame = frame.f_back
    left -= frame is not None
    signal.setitimer(signal.ITIMER_REAL, delay if left else 0)
    if frame:  # otherwise the work is over
        raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
rounds, caught = range(1, 101), 0
for i in rounds:
    delay, left = i * 1e-6, 3
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while left:
        try:
            work()
        except KeyboardInterrupt:
            caught += 1
    assert (f(X[:9]) == expected).all()
assert len(rounds) <= caught < 3 * len(rounds)  # some struck during another
"""
    )


def test_a_long_run_works_where_no_thread_can_be_started(python):
    """In other threads, and at interpreter exit."""
    out = python(
        """
import atexit, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from pygrad import compile

f = compile(lambda x: sum((x * i).sin() for i in range(100)), 0.3)
X = np.linspace(-1, 1, 200_000)
expected = f(X)
with ThreadPoolExecutor(2) as pool:
    assert all((y == expected).all() for y in pool.map(f, [X, X]))
atexit.register(lambda: print((f(X) == expected).all()))
"""
    )
    assert out == "True\n"


def test_a_long_run_raises_its_own_exception(python):
    python(
        """
import numpy as np
from pygrad import Value, compile
from pygrad._lib import lib

w = Value(2.0)
f = compile(lambda x: sum((x * i * w).sin() for i in range(100)), 0.3)
X = np.linspace(-1, 1, 200_000)
f(X[:1])
held = f.parameters
lib.pg_release_all(1, [w._id]), lib.pg_release_all(1, [w._id])
try:
    f(X)
except ReferenceError:
    print("ReferenceError")
"""
    )


# Where an exception of a signal handler strikes, nothing stays behind -------------------------------------------------

# Interrupts each of these works many times, and prints how many of these exceptions were swallowed, and how often nodes
# leaked.
INTERRUPTED = """
import gc, random, signal, sys, time
import numpy as np
import pygrad
from pygrad import Value, array, compile, nn, optim
from pygrad import functional as F

class Interrupt(Exception):
    pass

def interrupt(*_):
    raise Interrupt

def swallow(error):
    swallowed.append(error)
    if error.exc_type is Interrupt:  # again
        signal.setitimer(signal.ITIMER_REAL, 0.02)

swallowed = []
signal.signal(signal.SIGALRM, interrupt)
sys.unraisablehook = swallow
rng = random.Random(0)
a, x, w, model = Value(2.0), array(np.ones(20)), array(np.ones((4, 20))), nn.MLP(3, [4, 1])
optimizer = optim.Adam([w], lr=0.1)

def values():
    y = a
    for _ in range(10):
        y = y * 1.01 + a - 1 / a
    y.backward()

def arrays():
    y = F.softmax((w @ x).exp() * 2 + x[:4])
    F.cross_entropy(y, 1).backward()
    array(list(x)) + x[2:5].reshape(3, 1).T.max()

def a_model():
    model([1.0, a, np.float64(2)]).backward()

def programs():
    f = compile(lambda x: (w @ x).sum() + a, np.ones(20))
    f.value_and_grad(np.ones((3, 20)))

def steps():
    optimizer.zero_grad()
    (w @ x).sum().backward()
    optimizer.step()

def live():
    gc.collect()
    return pygrad.memory_stats().live_nodes

for work in values, arrays, a_model, programs, steps:
    work()
    start = time.perf_counter()
    work()
    length, leaks = time.perf_counter() - start, 0
    for _ in range({rounds}):
        before = live()
        try:
            signal.setitimer(signal.ITIMER_REAL, 1e-5 + rng.random() * 3 * length)
            while True:
                work()
        except Interrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
        leaks += live() != before
    work()
    print(work.__name__, len(swallowed), leaks)
"""


def test_an_interrupt_is_raised_and_leaks_no_node(python, full):
    lines = python(INTERRUPTED.replace("{rounds}", "300" if full else "40")).splitlines()
    assert len(lines) == 5
    if fast:  # in Python, a destructor may be interrupted
        assert [line for line in lines if not line.endswith(" 0 0")] == []


def at_every_moment(work, check, step):
    """Interrupt a work at its first bytecode, then at later ones until it comes to its end; check after each."""
    event = 1
    while interrupted_at(event, work):
        check()
        event += 1 + event // step
    return event


W = pygrad.array([1.0, 2.0])
MODEL = pygrad.nn.MLP(2, [3, 1])
STEP = pygrad.optim.Adam([W], lr=0.01)
ACTIONS = {
    "compile": lambda: pygrad.compile(lambda x: (W * x).sum() * 2, np.ones(2)),
    "a first call": lambda: pygrad.compile(lambda x: W[0] * x, 1.0).value_and_grad([1.0, 2.0]),
    "derivatives": lambda: pygrad.compile(lambda p: p[0] * p[1].sum(), [1.0, np.ones(2)]).hessian([1.0, np.ones(2)]),
    "backward": lambda: (W * 2).exp().sum().backward(),
    "a model": lambda: MODEL([1.0, pygrad.Value(2.0)]).backward(),
    "a step": lambda: (STEP.zero_grad(), W.sum().backward(), STEP.step()),
    "a _backward": lambda: with_closure(pygrad.Value(1.0)).backward(),
    "a pickle": lambda: pickle.loads(pickle.dumps(pygrad.compile(lambda x: W.sum() * x, 1.0))),
}


def with_closure(x):
    out = pygrad.Value(2.0, (x,), "op")
    out._backward = lambda: setattr(x, "grad", x.grad + out.grad)
    return out


SWALLOWED = "error" if fast else "ignore"  # in Python, a destructor may be interrupted


def locks():
    """Ours, and those that CPython 3.11 has for each cached_property."""
    yield from (lock._lock for lock in (_handles._lock, _sweep._lock, executor._compiling))
    for cls in (Recorded, pygrad.Program, groups.Group):
        yield from (member.lock for member in vars(cls).values() if hasattr(member, "lock"))


@pytest.fixture
def unlocked():
    """Releases locks that this test leaves taken: no signal strikes there."""
    yield
    for lock in locks():
        while lock._is_owned():
            lock.release()


@on_cpython("raises at bytecodes of CPython")
@pytest.mark.usefixtures("unlocked")
@pytest.mark.filterwarnings(
    f"{SWALLOWED}::pytest.PytestUnraisableExceptionWarning",
    "ignore:Exception ignored .* <zipfile",  # of which not all was made, from CPython 3.13 on
)
@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_everything_works_after_an_interrupt_at_any_bytecode(action, full):
    def check():
        assert not lib.pg_tracing()
        x = pygrad.Value(3.0)
        (x * x).backward()
        assert x.grad == 6
        assert pygrad.compile(lambda y: y * x, 1.0)(2.0) == 6
        assert lib.pg_check() == ffi.NULL

    action()
    live = live_nodes()
    assert at_every_moment(action, check, 400 if full else 20) > 50
    action()
    gc.collect()
    if fast:
        assert live_nodes() == live
