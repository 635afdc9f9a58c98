"""The arena under threads, forks, finalizers and signals."""

import gc
import os
import random
import sys
import threading

from pygrad import Value
from support import frees_at_once, live_nodes, on_cffi, on_cpython, with_fork
from support.interrupts import Interrupt


def in_threads(n, work):
    """Run work(i) in n threads, with the shortest switch interval, and raise the first exception."""
    errors = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=guarded, args=(i,)) for i in range(n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def test_eight_threads_can_share_parameters():
    shared = [Value(i) for i in range(1, 9)]
    before = live_nodes()

    def work(i):
        rng = random.Random(i)
        for step in range(150):
            xs = [rng.randint(-3, 3) for _ in shared]
            total = sum(p * x for p, x in zip(shared, xs))
            assert total.data == sum(p.data * x for p, x in zip(shared, xs))
            total.backward()
            if step % 30 == 0:
                assert (total * 2)._prev >= {total}

    in_threads(8, work)
    assert live_nodes() == before
    expected = [0.0] * 8
    for i in range(8):
        rng = random.Random(i)
        for _ in range(150):
            expected = [e + rng.randint(-3, 3) for e in expected]
    assert [p.grad for p in shared] == expected  # small integers: exact in any order


def test_threads_with_closures_take_turns():
    x = Value(2)

    def work(i):
        for _ in range(100):
            y = Value(4, (x,), "square")
            y._backward = lambda y=y: setattr(x, "grad", x.grad + 4 * y.grad)
            z = sum(y * k for k in range(20))
            z.backward()
            assert y.grad == sum(range(20))

    in_threads(8, work)
    assert x.grad == 8 * 100 * 4 * sum(range(20))


@with_fork
def test_fork_works_while_other_threads_are_busy():
    shared = Value(3)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            v = shared
            for _ in range(200):
                v = v * 1 + 0
            y = Value(v.data, (v,), "same")
            y._backward = lambda: None
            (y + 1).backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    try:
        for _ in range(20):
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    a = Value(5)
                    (a * shared + a).backward()
                    status = 0 if a.grad == 4 and Value(1)._prev == set() else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        stop.set()
        for t in threads:
            t.join()


@with_fork
def test_fork_inside_a_closure_continues_in_both_processes():
    x = Value(2)
    y = Value(4, (x,), "square")
    forked = []

    def _backward():
        forked.append(os.fork())
        x.grad += 4 * y.grad

    y._backward = _backward
    (y * 3 + x).backward()
    passed = x.grad == 13
    if forked[0] == 0:
        (x * 2).backward()
        os._exit(0 if passed and x.grad == 15 else 1)
    assert passed
    assert os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]) == 0


def test_values_outlive_the_interpreter_s_exit(python):
    assert python("from pygrad import Value; a = Value(1); b = [a * 2]; b.append(b); print('ok')") == "ok\n"


@on_cffi
@on_cpython("PyPy's gc has no freeze()")
def test_a_second_value_of_a_node_does_not_replace_the_first():
    v, other = Value(3), Value(1)
    y = v * 2
    gc.freeze()
    try:
        (second,) = (w for w in y._prev if w.data == 3)
    finally:
        gc.unfreeze()
    assert second == v
    assert second is not v
    second._backward = lambda: seen.append("second")
    seen = []
    assert other in (other * 2)._prev  # searches all Values
    y.backward()
    assert seen == ["second"]


class Found(Value):
    """A Value that is looked up through a result of it while its __del__ runs, as another thread might do."""

    def __del__(self):
        self.results[0] += [v for v in self.results[1]._prev if v is self]
        if hasattr(Value, "__del__"):
            super().__del__()


@frees_at_once
def test_a_value_found_while_its_del_runs_keeps_its_node():
    before = live_nodes()
    x = Found(3)
    y = x * 2
    assert x in (x * 3)._prev  # which makes it findable, and goes
    x.results = [found := [], y]
    del x
    (x,) = found
    del x.results, y
    assert x.data == 3
    assert live_nodes() == before + 1
    del found[:], x
    assert live_nodes() == before


@on_cpython("a signal arrives at another time")
def test_an_exception_from_a_signal_handler_leaves_backward_usable(alarms):
    x = Value(2)
    y = x * 3
    for _ in range(5000):
        try:
            alarms(random.uniform(1e-5, 1e-4))
            while True:
                y.backward()
        except Interrupt:
            pass
    x.grad = y.grad = 0
    y.backward()
    assert x.grad == 3
