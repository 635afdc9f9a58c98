"""Operations of every kind in any order: Values, Arrays and Programs beside the model, `pygrad.reference`.

Each operation is applied to both, and after each step all held numbers must have the same bits.
"""

import copy
import gc
import math
import pickle
import sys
import threading
from collections import Counter

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import pygrad
from pygrad import Value, optim, reference
from pygrad._lib import lib
from support import figures, on_cpython
from support.loops import LOOPS
from support.programs import EDGES, STEPS, bits, run

ERRORS = (ArithmeticError, ValueError)
SHAPE = (2, 3)  # of all Arrays
MOST = 40  # of each kind

# PURE steps make a Value from others and change nothing else; the edits are separate rules.
EDITS = {"backward", "data", "forget", "grad", "hook", "step"}
PURE = {name: step for name, step in STEPS.items() if name not in EDITS}
UNHOOKED = {name: step for name, step in STEPS.items() if name != "hook"}  # a hook may keep its result alive

# Functions to compile, of two arguments and two parameters.
FUNCTIONS = [
    lambda x, y, w, b: (x * w + b).tanh() * y,
    lambda x, y, w, b: (x - y) ** 2 * w + b.sigmoid(),
    lambda x, y, w, b: (w * x).sin().maximum(b * y) + x / (1 + y * y),
    lambda x, y, w, b: (x.exp() + y.exp()).log() + w * 0.5 + b.relu(),
]

numbers = st.floats(-2, 2) | st.sampled_from(EDGES)
places = st.integers(0, 1 << 16)
short_programs = st.lists(st.tuples(st.sampled_from(sorted(UNHOOKED)), places, places, numbers), max_size=30)


class BoomError(Exception):
    """What some `_backward` functions raise."""


def outcome(work):
    """The result of work(), and the type of its exception."""
    try:
        return work(), None
    except ERRORS as error:
        return None, type(error)
    except (BoomError, TypeError) as error:
        return None, type(error)


def flat(rows):
    return [v for row in rows for v in row]


def close(x, y):
    return math.isclose(x, y, rel_tol=1e-10, abs_tol=1e-10) or (math.isnan(x) and math.isnan(y))


def moderate(x):
    """Whether the number is small enough that rounding does not decide the result."""
    return abs(x) < 1e3


class Machine(RuleBasedStateMachine):
    """Pairs of pygrad's and the reference's objects: Values, Arrays and rows of Values, Programs and functions."""

    steps = 0

    def __init__(self):
        super().__init__()
        gc.collect()
        self.before = pygrad.memory_stats().live_nodes
        self.values, self.arrays, self.programs = [], [], []
        self.hooks = 0

    @initialize(x=numbers, y=numbers)
    def begin(self, x, y):
        self.make(x)
        self.make(y)

    def at(self, pairs, i):
        return pairs[-1 - i % len(pairs)]

    def keep(self, ours, theirs):
        self.values.append((ours, theirs))
        del self.values[: len(self.values) - MOST]

    def both(self, work):
        """Run work(V, k) for both engines, where k is the index into a pair, and compare the exceptions."""
        results = [outcome(lambda V=V, k=k: work(V, k)) for k, V in enumerate((Value, reference.Value))]
        (ours, raised), (theirs, expected) = results
        assert raised == expected
        return ours, theirs

    # Values

    @rule(x=numbers)
    def make(self, x):
        self.keep(Value(x), reference.Value(x))

    @rule(name=st.sampled_from(sorted(PURE)), i=places, j=places, x=numbers)
    def compute(self, name, i, j, x):
        a, b = self.at(self.values, i), self.at(self.values, j)
        ours, theirs = self.both(lambda V, k: PURE[name](V, a[k], b[k], x))
        if isinstance(ours, Value):
            self.keep(ours, theirs)

    @rule(name=st.sampled_from(sorted(PURE)), i=places, j=places, x=numbers)
    def compute_without_memory(self, name, i, j, x):
        """The step may still succeed if a block has room."""
        a, b = self.at(self.values, i), self.at(self.values, j)
        lib.pg_test_fail_allocations(0)
        try:
            made = outcome(lambda: PURE[name](Value, a[0], b[0], x))
        except MemoryError:
            return
        finally:
            lib.pg_test_fail_allocations(-1)
        theirs, expected = outcome(lambda: PURE[name](reference.Value, a[1], b[1], x))
        assert made[1] == expected
        if isinstance(made[0], Value):
            self.keep(made[0], theirs)

    @rule(i=places, part=st.sampled_from(["data", "grad"]), x=numbers)
    def edit(self, i, part, x):
        for v in self.at(self.values, i):
            setattr(v, part, x)

    @rule(i=places)
    def backward(self, i):
        pair = self.at(self.values, i)
        self.both(lambda V, k: pair[k].backward())

    @rule(i=places)
    def one_step(self, i):
        pair = self.at(self.values, i)
        self.both(lambda V, k: pair[k]._backward() and None)

    @rule(i=places, j=places, x=numbers)
    def hook(self, i, j, x):
        """Replace a _backward with one that also adds to the grad of an older node.

        Skip older nodes that keep an Array, which might hold the newer node: no collector sees such a cycle.
        """
        newer, older = sorted([self.at(self.values, i), self.at(self.values, j)], key=lambda p: -p[1]._created)
        if any(isinstance(pin, pygrad.Array) for pin in getattr(older[0], "_pins", ())):
            return
        self.hooks += 1
        for a, b in zip(newer, older):
            STEPS["hook"](type(a), a, b, x)

    @rule(i=places)
    def fail_in_a_closure(self, i):
        """Run backward() through an op whose _backward raises: earlier additions stay."""

        def work(V, k):
            out = V(1.0, (pair[k],), "boom")

            def _backward():
                pair[k].grad += out.grad
                raise BoomError

            out._backward = _backward
            (out * 2 + pair[k]).backward()

        pair = self.at(self.values, i)
        self.both(work)

    @rule(i=places, way=st.sampled_from([copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]))
    def copy_a_value(self, i, way):
        pair = self.at(self.values, i)
        ours, theirs = self.both(lambda V, k: way(pair[k]))
        if ours is not None:
            self.keep(ours, theirs)

    @rule(i=places)
    def look_at_operands(self, i):
        ours, theirs = self.at(self.values, i)
        found, expected = ours._prev, theirs._prev
        assert Counter(bits(v.data) for v in found) == Counter(bits(v.data) for v in expected)
        assert ours._op == theirs._op
        assert all(any(v is w for w in found) for v, _ in self.values if v in found)  # the same objects

    @rule(i=places)
    @precondition(lambda self: len(self.values) > 2)
    def forget(self, i):
        del self.values[-1 - i % len(self.values)]

    @rule(indices=st.lists(places, min_size=1, max_size=6), lr=st.floats(0, 1))
    def train(self, indices, lr):
        chosen = {id(v): (v, w) for v, w in (self.at(self.values, i) for i in indices) if not w._prev}
        chosen = {v._id: (v, w) for v, w in chosen.values() if lib.pg_all_leaves(1, [v._id])}
        if chosen:
            optim.SGD([v for v, _ in chosen.values()], lr=lr).step()
            for _, w in chosen.values():
                w.data = w.data - lr * w.grad

    # Arrays

    @rule(xs=st.lists(numbers, min_size=6, max_size=6))
    def make_an_array(self, xs):
        rows = np.reshape(xs, SHAPE).tolist()
        self.keep_array(pygrad.array(rows), [[reference.Value(x) for x in row] for row in rows])

    @rule(indices=st.lists(places, min_size=6, max_size=6))
    def join_values(self, indices):
        pairs = [self.at(self.values, i) for i in indices]
        ours, theirs = ([[pairs[r * 3 + c][k] for c in range(3)] for r in range(2)] for k in (0, 1))
        self.keep_array(pygrad.array(ours), theirs)

    def keep_array(self, ours, theirs):
        self.arrays.append((ours, theirs))
        del self.arrays[: len(self.arrays) - MOST // 8]

    @rule(name=st.sampled_from(sorted(LOOPS)), i=places, j=places, c=st.floats(-2, 2))
    @precondition(lambda self: self.arrays)
    def compute_with_arrays(self, name, i, j, c):
        x, y = self.at(self.arrays, i), self.at(self.arrays, j)
        loop, make = LOOPS[name]
        (ours, raised), (theirs, expected) = (
            outcome(lambda: make(x[0], y[0], c)),
            outcome(lambda: loop(reference.Value, x[1], y[1], c)),
        )
        assert (raised is None) == (expected is None)
        if raised is None and ours.shape == SHAPE:
            self.keep_array(ours, theirs)
        elif raised is None:
            for pair in zip(ours.ravel().tolist(), flat(theirs)):
                self.keep(*pair)

    @rule(i=places, row=st.integers(0, 1), column=st.integers(0, 2))
    @precondition(lambda self: self.arrays)
    def take_an_element(self, i, row, column):
        ours, theirs = self.at(self.arrays, i)
        self.keep(ours[row, column], theirs[row][column])

    @rule(i=places, part=st.sampled_from(["data", "grad"]), xs=st.lists(numbers, min_size=6, max_size=6))
    @precondition(lambda self: self.arrays)
    def edit_an_array(self, i, part, xs):
        ours, theirs = self.at(self.arrays, i)
        setattr(ours, part, np.reshape(xs, SHAPE))
        for v, x in zip(flat(theirs), xs):
            setattr(v, part, x)

    @rule(i=places)
    @precondition(lambda self: self.arrays)
    def backward_from_an_array(self, i):
        ours, theirs = self.at(self.arrays, i)
        self.both(lambda V, k: (sum(v for row in theirs for v in row) if k else ours.sum()).backward())

    @rule(i=places, way=st.sampled_from([copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]))
    @precondition(lambda self: self.arrays)
    def copy_an_array(self, i, way):
        ours, theirs = self.at(self.arrays, i)
        copied, raised = outcome(lambda: way(ours))
        if raised is None:
            memo = {}
            for v in flat(theirs):
                memo[v] = reference.Value(v.data)
                memo[v].grad = v.grad
            self.keep_array(copied, [[memo[v] for v in row] for row in theirs])

    @rule(i=places)
    @precondition(lambda self: self.arrays)
    def forget_an_array(self, i):
        del self.arrays[-1 - i % len(self.arrays)]

    # Programs

    @rule(fn=st.sampled_from(FUNCTIONS), i=places, j=places, threads=st.sampled_from([1, 2]))
    def compile(self, fn, i, j, threads):
        w, b = self.at(self.values, i), self.at(self.values, j)
        compiled, raised = outcome(
            lambda: pygrad.compile(lambda x, y: fn(x, y, w[0], b[0]), 0.5, 0.25, threads=threads)
        )
        if raised is None:
            self.programs.append((compiled, fn, w, b))
            del self.programs[: len(self.programs) - MOST // 8]

    @rule(i=places, xs=st.lists(st.floats(-2, 2), min_size=1, max_size=3) | st.just([0.1] * 130), y=st.floats(-2, 2))
    @precondition(lambda self: self.programs)
    def call(self, i, xs, y):
        """Compare with the model where the parameters are moderate leaves; it computes with leaves of the same data."""
        compiled, fn, (w, rw), (b, rb) = self.at(self.programs, i)
        before = [p.grad for p in compiled.parameters.tolist()]
        z, (by_x, by_y) = compiled.value_and_grad(np.array(xs), y)
        assert z.tobytes() == compiled(np.array(xs), y).tobytes()
        if not (rw._prev or rb._prev) and moderate(rw.data) and moderate(rb.data):
            x, y = [reference.Value(x) for x in xs], reference.Value(y)
            parameters = {rw: reference.Value(rw.data), rb: reference.Value(rb.data)}
            results = [fn(v, y, parameters[rw], parameters[rb]) for v in x]
            for result in results:
                result.backward()
            expected = [v.data for v in results] + [v.grad for v in (*x, y)]
            assert all(map(close, [*z, *by_x, by_y], expected))
            for ours, theirs in {w: rw, b: rb}.items():
                assert not moderate(theirs.grad) or close(ours.grad - theirs.grad, parameters[theirs].grad)
        for p, grad in zip(compiled.parameters.tolist(), before):  # the model's differ by rounding
            p.grad = grad

    # Anything else

    @rule()
    def collect(self):
        gc.collect()

    @rule(work=st.lists(short_programs, min_size=2, max_size=4))
    def compute_in_threads(self, work):
        found = [None] * len(work)

        def thread(k):
            found[k] = run(Value, work[k])

        threads = [threading.Thread(target=thread, args=(k,)) for k in range(len(work))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for (ours, raised), program in zip(found, work):
            theirs, expected = run(reference.Value, program)
            assert raised == expected
            assert [(bits(v.data), bits(v.grad)) for v in ours] == [(bits(v.data), bits(v.grad)) for v in theirs]

    @invariant()
    def all_numbers_have_the_same_bits(self):
        Machine.steps += 1
        for ours, theirs in self.values:
            assert (bits(ours.data), bits(ours.grad)) == (bits(theirs.data), bits(theirs.grad))
        for ours, theirs in self.arrays:
            for part in ("data", "grad"):
                found = [bits(x) for x in getattr(ours, part).ravel().tolist()]
                assert found == [bits(getattr(v, part)) for row in theirs for v in row]

    def teardown(self):
        del self.values, self.arrays, self.programs
        if sys.exc_info()[0]:  # the frames of the traceback still hold Values
            return
        for _ in range(self.hooks + 2):  # a pass frees the closures of dead results
            (Value(1.0) * 2).backward()
            gc.collect()
            if pygrad.memory_stats().live_nodes <= self.before:
                return
        raise AssertionError(f"{pygrad.memory_stats().live_nodes - self.before} nodes leaked")


@on_cpython("PyPy computes x ** 2 as x * x")
def test_any_sequence_of_operations_gives_the_reference_s_bits(full):
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=600 if full else 25,
            stateful_step_count=60,
            suppress_health_check=list(HealthCheck),
        ),
    )
    figures.note("steps of the state machine, each compared with the reference", f"{Machine.steps:,}")
