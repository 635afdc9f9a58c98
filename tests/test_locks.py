import os
import threading
import time

import pytest

from pygrad._locks import Lock
from support import with_fork
from support.interrupts import Interrupt


class StruckLock:
    """An RLock during whose acquire() a signal comes: before it is taken, or, as in CPython 3.14, after that."""

    def __init__(self, taken):
        self._lock, self._taken = threading.RLock(), taken
        self.release, self._is_owned = self._lock.release, self._lock._is_owned

    def acquire(self):
        if self._taken:
            self._lock.acquire()
        raise Interrupt


def is_free(lock):
    """Whether another thread can take a lock."""
    taken = []
    thread = threading.Thread(target=lock.guards(lambda: taken.append(True)), daemon=True)
    thread.start()
    thread.join(10)
    return bool(taken)


@pytest.mark.parametrize("taken", [False, True])
def test_an_interrupt_while_it_is_taken_leaves_a_lock_free(taken):
    lock = Lock()
    lock._lock = StruckLock(taken)
    with pytest.raises(Interrupt):
        lock.guards(lambda: pytest.fail("the function was called"))()
    lock._lock = lock._lock._lock
    assert is_free(lock)


def test_a_function_may_call_another_of_the_same_lock():
    lock = Lock()
    inner = lock.guards(lock.is_mine)
    assert lock.guards(lambda: (inner(), lock.is_mine()))() == (True, True)
    assert not lock.is_mine()


def test_an_exception_frees_the_lock():
    lock = Lock()
    with pytest.raises(ZeroDivisionError):
        lock.guards(lambda: 1 / 0)()
    assert is_free(lock)


def test_one_thread_at_a_time_is_in_guarded_functions():
    lock, inside, most = Lock(), [], []

    @lock.guards
    def work(name):
        inside.append(name)
        time.sleep(1e-4)
        most.append(len(inside))
        inside.remove(name)

    threads = [threading.Thread(target=lambda name=name: [work(name) for _ in range(20)]) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 80


def test_no_signal_leaves_a_lock_taken(alarms, full):
    lock, work = Lock(), []
    guarded = lock.guards(lambda: work.append(1))
    for delay in range(20_000 if full else 1_000):
        try:
            alarms(1e-6 * (1 + delay % 50))
            while True:
                guarded()
        except Interrupt:
            pass
        assert not lock.is_mine()
    assert is_free(lock)


@with_fork
def test_the_child_of_a_fork_gets_a_free_lock():
    lock, holds, done = Lock(), threading.Event(), threading.Event()

    @lock.guards
    def hold():
        holds.set()
        done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait()
    child = os.fork()
    if not child:
        os._exit(0 if lock.guards(lambda: True)() else 1)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
