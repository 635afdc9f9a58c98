"""The C types where every single allocation of Python's fails in turn, and how much memory each operation leaves."""

import pytest

from pygrad import Program, Value, array
from pygrad._lib import fast
from support.effort import long

pytestmark = pytest.mark.skipif(fast is None, reason="there are no C types here")

# By type: what is needed, and statements that make its objects and use them. (CPython 3.11 itself leaks the arguments
# of a function whose inner functions use them, where it has no memory for that: so here these are global names.)
OPERATIONS = {
    "Value": (
        "a, b = Value(0.5), Value(2.0)",
        [
            "Value(1.0)",
            "a + b",
            "1 - a * 2.0",
            "a / b",
            "a.maximum(other=b)",
            "a.tanh().data",
            "(a * b)._prev",
            "(a * b).backward()",
            "a.data = a.grad = 0.5",
            "float(a * b)",
            "repr(a * b)",
            "a == b, hash(a), a < b",
            "weakref.ref(a * b)",
            "copy.copy(a)",
            "pickle.dumps(a)",
            "Leaf(1.0)",
            "custom(a)",
            "custom(a).backward()",
        ],
    ),
    "attribute": (
        "a, b = Value(0.5), Leaf(1.0); a.color = b.color = Value(1.0).color = 'red'",
        [
            "Value(1.0).color = 'blue'",
            "Leaf(1.0).color = 'blue'",
            "a.color = 'blue'",
            "a.color",
            "getattr(Value(1.0), 'color', None)",
            "a.relu = 1; del a.relu",
            "vars(a)",
            "copy.copy(a)",
            "fast.attribute('name')",
        ],
    ),
    "Program": (
        "f = pygrad.compile(lambda x, y: (x * 2).sum() + y, np.ones(3), 1.0); x, xs = np.ones(3), np.ones((4, 3))",
        [
            "f(x, 1.0)",
            "f(x, 2)",
            "f(xs, 1.0)",
            "f.value_and_grad(x, 1.0)",
            "f.value_and_grad(xs, np.float64(1.0), cotangent=2.0)",
            "f([1.0, 2.0, 3.0], 1.0)",
            "f.check_finite = True; f(x, 1.0)",
            "weakref.ref(f)",
        ],
    ),
    "Program of indices": (
        "w = pygrad.array(np.ones((4, 2))); f = pygrad.compile(lambda i, j: (w[i] * w[j, 0]).sum(), pygrad.index(0),"
        "pygrad.index([0, 1])); i, j, js = pygrad.index(3), np.array([1, 3]), np.ones((5, 2), np.uint8)",
        [
            "f(1, j)",
            "f(np.int64(1), js)",
            "f(i, j)",
            "f.value_and_grad(i, j)",
            "f.value_and_grad(2, js)",
            "f.check_finite = True; f.value_and_grad(2, js)",
        ],
    ),
    "Holder": (
        "x = pygrad.array([1.0, 2.0, 3.0])",
        [
            "pygrad.array([1.0, 2.0])",
            "x + x",
            "x.exp()",
            "x * 2.0",
            "x @ x",
            "x.sum()",
            "x[1], x[[0, 1]]",
            "x.sum().backward()",
        ],
    ),
}

CODE = """
import copy, gc, pickle, sys, weakref
import _testcapi
import numpy as np
import pygrad
from pygrad import Value
from pygrad._lib import fast

class Leaf(Value):
    pass

def custom(a):
    out = Value(a.data, (a,), "custom")
    def _backward():
        a.grad += out.grad
    out._backward = _backward
    return out

def live():
    gc.collect()
    return pygrad.memory_stats().live_nodes

def fails(n):
    # Just this allocation: with more, CPython 3.11 may loop for ever.
    _testcapi.set_nomemory(n, n + 1)
    try:
        work()
    except (MemoryError, pickle.PicklingError):
        return True
    finally:
        _testcapi.remove_mem_hooks()
    return False

def check(statement):
    exec(f"def work(): {statement}", globals())
    work()
    before, n, end = live(), 0, 20
    while n < end:
        if fails(n):
            end = n + 20
        n += 1
        assert live() == before, f"{statement}: nodes have leaked where allocation {n} failed"

def left_by(statement):
    left = []
    for _ in range(8):  # the first rounds fill what is kept for reuse
        before = sys.getallocatedblocks()
        for _ in range(200):
            work()
        gc.collect()
        left.append(sys.getallocatedblocks() - before)
    return min(left)

gc.disable()
"""


@long
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_allocation_may_fail_and_nothing_is_left_behind(name, python):
    pytest.importorskip("_testcapi")
    given, statements = OPERATIONS[name]
    code = [CODE, given, f"for statement in {statements!r}:"]
    code += ["    check(statement)", "    left = left_by(statement)", "    assert left < 100, (statement, left)"]
    python("\n".join(code))


def test_the_table_names_every_c_type():
    array([1.0])
    Value(1.0).color = "red"
    own = [cls for cls in object.__subclasses__() if cls.__module__ == "pygrad._fast"]
    assert {cls.__name__ for cls in [Value, Program, *own]} == {name.split()[0] for name in OPERATIONS}
