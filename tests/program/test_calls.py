"""A call in C and the inherited one in Python are the same: results, types, bits, gradients and errors."""

import array
import collections
import contextlib
import copy
import decimal
import enum
import fractions
import gc
import inspect
import pickle
import random
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Program, Value
from pygrad._lib import fast, lib
from pygrad.program.executor import Executor
from support import live_nodes
from support.compiled import BATCHES, bits, numbers, seeds, some
from support.effort import examples
from support.interrupts import Interrupt
from support.programs import RECORDED, function, possible, programs

pytestmark = pytest.mark.skipif(fast is None, reason="there is no C type of Program here")

In_Python = Program.__base__


def outcome(result):
    """All that can be told of a result, but what arrays share."""
    if isinstance(result, dict):
        return [dict, *((key, outcome(item)) for key, item in result.items())]
    if isinstance(result, (list, tuple)):
        return [type(result), *map(outcome, result)]
    if isinstance(result, np.ndarray):
        return type(result), result.dtype, result.shape, result.strides, result.flags.writeable, bits(result)
    if isinstance(result, (Value, pygrad.Array)):
        return type(result), np.shape(result.data), bits(np.asarray(result.data, dtype=float))
    return type(result), bits(result) if isinstance(result, float) else result


def attempt(way, f, parameters, args, kwargs):
    """The outcome of a call, or what it raises; and what it has added to the grads of the parameters."""
    parameters.grad = 0.5
    try:
        with np.errstate(all="ignore"):
            found = outcome(way(f, *args, **kwargs))
    except Exception as error:
        found = type(error), str(error)
    return found, bits(parameters.grad)


def alike(f, *args, **kwargs):
    """Check that calls in C and in Python are alike; return what they give."""
    both = []
    for name in ("__call__", "value_and_grad"):
        if name == "__call__" and kwargs:
            continue
        truth = attempt(getattr(In_Python, name), f, f.parameters, args, kwargs)
        for way in (getattr(Program, name), lambda f, *args, name=name, **kwargs: getattr(f, name)(*args, **kwargs)):
            for _ in range(3):  # the first call of a kind compiles it, and the second finds that
                assert attempt(way, f, f.parameters, args, kwargs) == truth
        assert name != "__call__" or attempt(lambda f, *a: f(*a), f, f.parameters, args, kwargs) == truth
        both.append(truth)
    return both


@pytest.fixture
def straight(monkeypatch):
    """A function that tells whether a call of a kind that is compiled goes the C way alone."""
    counted = []
    run = Executor.run
    monkeypatch.setattr(Executor, "run", lambda *args, **options: (counted.append(1), run(*args, **options))[1])

    def goes(way, *args, **kwargs):
        way(*args, **kwargs)
        counted.clear()
        way(*args, **kwargs)
        return not counted

    return goes


# The same results ------------------------------------------------------------------------------------------------

KINDS = [float, np.float64, np.float32, np.array, lambda x: round(x), lambda x: x > 0, lambda x: np.int64(round(x))]


@examples(300)
@given(programs(RECORDED), numbers, st.lists(st.floats(-2, 2), max_size=3), seeds, st.sampled_from([None, *BATCHES]))
def test_any_program_gives_the_same(steps, numbers, parameters, seed, batch):
    random.seed(seed)
    rng = np.random.default_rng(seed)
    steps = possible(steps[:40], numbers + parameters)
    leaves = [Value(x) for x in parameters]
    f = pygrad.compile(
        lambda *args: function(steps)(Value, [*args, *leaves]), *numbers, check_finite=rng.random() < 0.3
    )
    args = [rng.choice(KINDS)(x) if batch is None or rng.random() < 0.3 else some(x, batch, rng) for x in numbers]
    alike(f, *args)
    alike(f, *args, cotangent=rng.choice(KINDS)(rng.uniform(-2, 2)))
    alike(f, *args, cotangent=rng.uniform(-2, 2, batch or 3))


w = Value(1.5)
rows, pair = pygrad.array(np.arange(8.0).reshape(4, 2)), pygrad.index([0, 1])
Pair = collections.namedtuple("Pair", "first second")
FUNCTIONS = {
    "number": (lambda x: w * x * x, [1.0]),
    "numbers": (lambda x, y: x * y + w, [1.0, 2.0]),
    "array": (lambda x: x * w, [np.ones(3)]),
    "sum": (lambda x: (x * w).sum(), [np.ones(3)]),
    "matrix": (lambda x, y: ((x @ y) ** 2).sum(), [np.ones((2, 3)), np.ones(3)]),
    "structure": (lambda x, y: {"a": x * y, "b": [x, (y, 3.0, w)]}, [np.ones(3), 1.0]),
    "list of numbers": (lambda x: [x, x * w], [1.0]),
    "of a list": (lambda xs: xs[0] * xs[1] * w, [[1.0, 2.0]]),
    "of an index": (lambda i, x: pygrad.array([x, x * w])[i] * x, [pygrad.index(1), 2.0]),
    "of indices": (lambda i, x, j: (rows[i] * x).sum() * w + rows[j[::-1], 0].sum(), [pygrad.index(1), 2.0, pair]),
    "of an unused index": (lambda i, x: x * w, [pygrad.index([[1], [2]]), 2.0]),
    "of no integers": (lambda i, x: rows[i].sum() * x, [pygrad.index(np.ones((0, 2), int)), 2.0]),
    "elements by an index": (lambda i: [rows[i], {"w": w * rows[i].sum()}], [pygrad.index(1)]),
    "named": (lambda x, y: Pair(x, [Pair(y * x, w * x.sum()), ()]), [np.ones(3), 1.0]),
    "named numbers": (lambda x, y: {1: Pair(x, [Pair(y * x, w)]), 2: {}}, [2.0, 1.0]),
    "only constants": (lambda: [1.0, (2.0,)], []),
    "nothing": (lambda: w * 2, []),
    "no numbers": (lambda x: (x * w).sum(), [np.ones((0, 2))]),
    "what is unused": (lambda x, y: w * 1, [1.0, np.ones(2)]),
    "many": (lambda *xs: sum(xs) * w, [1.0] * 70),
}


class Mine(float):
    pass


class Whole(int):
    pass


class Few(enum.IntEnum):
    ONE = 1


class Arrays(np.ndarray):
    pass


frozen = np.arange(3.0)
frozen.flags.writeable = False
ARGUMENTS = {
    "float": 0.5,
    "-0.0": -0.0,
    "nan": float("nan"),
    "inf": float("inf"),
    "int": 3,
    "long": 2**70 + 1,
    "rounded": 2**53 + 1,
    "2**64": 2**64 - 1,
    "too large": 10**400,
    "bool": True,
    **{np.dtype(kind).name: np.dtype(kind).type(1) for kind in "?bBhHiIqQefdgF"},
    "datetime": np.datetime64("2020-01-01"),
    "timedelta64": np.timedelta64(1, "s"),
    "np.str_": np.str_("1"),
    "large uint64": np.uint64(2**64 - 1),
    "large int64": np.int64(2**62 + 1),
    "float subclass": Mine(2.0),
    "int subclass": Whole(2),
    "enum": Few.ONE,
    "fraction": fractions.Fraction(1, 3),
    "decimal": decimal.Decimal("0.1"),
    "str": "1",
    "bytes": b"1",
    "None": None,
    "complex": 1j,
    "object": object(),
    "Value": Value(2.0),
    "Array": pygrad.array([1.0, 2.0, 3.0]),
    "index": pygrad.index(1),
    "index of a batch": pygrad.index([[0, 1], [3, 2]]),
    "part of an index": pygrad.index([0, 1, 2, 3])[::2],
    "index too large": pygrad.index([0, 4]),
    "-1": -1,
    "4": 4,
    "2**31": 2**31,
    **{f"[0 1] of {kind}": np.array([0, 1], kind) for kind in "bBhHiIlLqQfd?O"},
    **{f"[0 4] of {kind}": np.array([0, 4], kind) for kind in "bBhHiIlLqQ"},
    **{f"[-1 1] of {kind}": np.array([-1, 1], kind) for kind in "bhilq"},
    "[1 2**64-1]": np.array([1, 2**64 - 1], np.uint64),
    "batches of integers": np.array([[0, 1], [3, 2], [1, 1]]),
    "a batch of integers in Fortran's order": np.array([[0, 1], [3, 2], [1, 1]], order="F"),
    "integers too large in a batch": np.array([[0, 1], [3, 4]]),
    "no batch of integers": np.zeros((0, 2), int),
    "no integers": np.zeros((5, 0, 2), int),
    "0-d int": np.array(3),
    "0-d -1": np.array(-1),
    "swapped integers": np.array([0, 1], ">i8"),
    "unaligned integers": np.frombuffer(b"\0" * 17, dtype="u1")[1:].view("i8"),
    "subclass with integers": np.array([0, 1]).view(Arrays),
    "masked integers": np.ma.array([0, 1], mask=[0, 1]),
    "list of integers": [0, 1],
    "items of no bytes": np.zeros(2, "V0"),
    "list": [1.0, 2.0, 3.0],
    "pair": [1.0, 2.0],
    "tuple": (1.0, 2.0, 3.0),
    "ragged": [[1.0], 2.0],
    "empty list": [],
    "0-d": np.array(2.0),
    "0-d float32": np.array(2.0, np.float32),
    **{f"shape {shape}": np.arange(float(np.prod(shape))).reshape(shape) for shape in [(3,), (1,), (2,), (0,), (4, 3)]},
    **{f"shape {shape}": np.ones(shape) for shape in [(2, 3), (5, 2, 3), (0, 3), (0, 2), (7, 0, 2), (1, 1, 1, 1)]},
    "float32": np.ones(3, np.float32),
    "ints": np.arange(3),
    "bools": np.array([True, False, True]),
    "objects": np.array([1.0, 2.0, 3.0], object),
    "Values": np.array([Value(1.0), 2.0, 3.0], object),
    "strided": np.arange(6.0)[::2],
    "reversed": np.arange(3.0)[::-1],
    "transposed": np.ones((3, 2)).T,
    "in Fortran's order": np.ones((4, 3), order="F"),
    "broadcast": np.broadcast_to(1.0, (3,)),
    "frozen": frozen,
    "swapped": np.arange(3.0).astype(">f8"),
    "unaligned": np.frombuffer(b"\0" * 25, dtype="u1")[1:].view("f8"),
    "subclass": np.ones(3).view(Arrays),
    "masked": np.ma.ones(3),
    "fields": np.ones(3, dtype=[("x", "f8")]),
    "array.array": array.array("d", [1, 2, 3]),
    "memoryview": memoryview(np.ones(3)),
}


@pytest.fixture(scope="module")
def compiled():
    return {name: pygrad.compile(fn, *examples) for name, (fn, examples) in FUNCTIONS.items()}


@pytest.mark.parametrize("argument", ARGUMENTS.values(), ids=ARGUMENTS)
def test_any_argument_is_treated_alike(argument, compiled):
    for name, (_, inputs) in FUNCTIONS.items():
        f = compiled[name]
        for k in range(min(len(inputs), 3)):
            alike(f, *inputs[:k], argument, *inputs[k + 1 :])
        alike(f, *[argument] * len(inputs))
        alike(f, *inputs, cotangent=argument)


def batch_like(x, batch, rng):
    shape = (batch, *np.shape(x))
    return rng.integers(0, 2, shape) if isinstance(x, pygrad.Index) else rng.uniform(-1, 1, shape)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_batches_and_what_they_share_are_treated_alike(name, compiled):
    f, (_, examples) = compiled[name], FUNCTIONS[name]
    rng = np.random.default_rng(0)
    for mask in range(1 << min(len(examples), 3)):
        for batch in (1, 5, 64, 129):
            args = [
                batch_like(x, batch, rng) if mask >> k & 1 else x
                for k, x in enumerate(examples)
                if not isinstance(x, list)
            ]
            if len(args) == len(examples):
                alike(f, *args)
                alike(f, *args, cotangent=rng.uniform(-1, 1, batch))
                alike(f, *args, cotangent=rng.uniform(-1, 1, batch + 1))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_wrong_numbers_of_arguments_and_keywords_are_refused_alike(name, compiled):
    f, (_, examples) = compiled[name], FUNCTIONS[name]
    alike(f, *examples, 1.0)
    alike(f, *examples[1:])
    for wrong in ({"x": 1.0}, {"cotangent": 1.0, "x": 1.0}, {"cotangent": None}, {"Cotangent": 1.0}):
        truth = attempt(In_Python.value_and_grad, f, f.parameters, examples, wrong)
        assert attempt(Program.value_and_grad, f, f.parameters, examples, wrong) == truth
        for way in (Program.__call__, lambda f, *args, **kwargs: f(*args, **kwargs)):
            found, _ = attempt(way, f, f.parameters, examples, wrong)
            assert found[0] is TypeError


# Of integers: as an array, as a number if they are one, and as an index.
FORMS = [lambda x: x, lambda x: x[()], lambda x: x.tolist(), lambda x: pygrad.index(x.astype(np.int64))]


@examples(100)
@given(seeds, st.sampled_from([None, *BATCHES]), st.booleans())
def test_any_lookup_gives_the_same(seed, batch, check_finite):
    rng = np.random.default_rng(seed)
    shapes = [tuple(rng.integers(1, 4, rng.integers(0, 3))) for _ in range(2)]
    table = pygrad.array(rng.normal(size=(5, 2)))
    f = pygrad.compile(
        lambda i, j, other, x: (table[i] * x).sum() ** 2 + other[j.ravel()].tanh().sum(),
        *(pygrad.index(np.zeros(shape, int)) for shape in shapes),
        *(np.zeros(3), 1.0),
        check_finite=check_finite,
    )

    def leading():
        return () if batch is None or rng.random() < 0.4 else (batch,)

    for _ in range(3):
        low, high = rng.choice([0, 0, 0, -1]), rng.choice([3, 3, 5])
        integers = [rng.integers(low, high, (*leading(), *shape)) for shape in shapes]
        integers = [x.astype(rng.choice(list("bhilqBHILQ"))) for x in integers]
        integers = [FORMS[rng.integers(len(FORMS))](x) for x in integers]
        others = [rng.normal(size=(*leading(), *shape)) for shape in ((3,), ())]
        alike(f, *integers, *others)
        alike(f, *integers, *others, cotangent=rng.uniform(-2, 2, leading()))


def test_an_index_in_a_trace_is_treated_alike(compiled):
    f = compiled["of an index"]
    f(0, 1.0)
    for way in (f, f.__call__, lambda *args: In_Python.__call__(f, *args)):
        assert pygrad.compile(lambda i, way=way: way(i, 1.0), pygrad.index(0))(1) == f(1, 1.0)
    for way in (f.value_and_grad, lambda *args: In_Python.value_and_grad(f, *args)):
        with pytest.raises(TypeError, match="the number of an index is not known while a function is traced"):
            pygrad.compile(lambda i, way=way: way(i, 1.0), pygrad.index(0))


@pytest.mark.parametrize("name", ["number", "sum", "matrix", "structure"])
@pytest.mark.parametrize("batch", [None, 3])
def test_what_is_not_finite_is_refused_alike(name, batch, compiled):
    fn, examples = FUNCTIONS[name]
    f = pygrad.compile(fn, *examples, check_finite=True)
    for k in range(len(examples)):
        for bad in (np.nan, np.inf, 1e200, 0.0):
            args = [np.array(x, float) if batch is None else np.ones((batch, *np.shape(x))) for x in examples]
            args[k].flat[-1] = bad
            alike(f, *args)
            alike(f, *args, cotangent=bad)


# Which way ------------------------------------------------------------------------------------------------------


def test_plain_numbers_and_arrays_go_straight_to_the_core(straight):
    f = pygrad.compile(lambda x, y: (x * y).sum() * w, np.ones(3), 1.0)
    for way in (f, f.value_and_grad):
        for x in (np.ones(3), np.ones((4, 3)), frozen):
            for y in (1.0, 2, True, np.float64(1), np.float32(1), np.int64(3), np.array(1.0), np.bool_(1)):
                assert straight(way, x, y)
        assert straight(way, np.ones(3), np.ones(4))
        assert straight(way, np.ones((4, 3)), np.ones(4))
        assert not straight(way, [1.0, 2.0, 3.0], 1.0)
        assert not straight(way, np.arange(3), 1.0)
        assert not straight(way, np.ones((0, 3)), 1.0)
    assert straight(f.value_and_grad, np.ones(3), 1.0, cotangent=2)
    assert straight(f.value_and_grad, np.ones(3), 1.0, cotangent=np.ones(5))
    assert straight(f.value_and_grad, np.ones((5, 3)), 1.0, cotangent=np.ones(5))


def test_indices_go_straight_to_the_core(straight):
    one = pygrad.compile(lambda i: rows[i].sum() * w, pygrad.index(1))
    two = pygrad.compile(lambda i, x: rows[i].sum() * x, pair, 1.0)
    for way in (one, one.value_and_grad):
        for i in (2, np.int64(2), np.uint8(2), np.array(2), np.array([0, 3, 2]), pygrad.index(2), pygrad.index([1, 2])):
            assert straight(way, i)
        for i in ([0, 1], np.array([0, 1, 2])[::2], Whole(1)):
            assert not straight(way, i)
    for way in (two, two.value_and_grad):
        for i in (np.array([0, 1]), np.array([[0, 1]] * 5, np.int32), np.array([[0, 1]] * 5, np.uint64), pair):
            for x in (1.0, np.ones(5)):
                assert straight(way, i, x)


def test_results_in_a_structure_go_straight_to_the_core(straight):
    f = pygrad.compile(lambda x: {"a": x, "b": [x * 2, (x.sum(),)]}, np.ones(3))
    assert straight(f, np.ones(3))
    assert straight(f, np.ones((2, 3)))


def test_long_runs_go_the_way_on_which_signals_are_heard(straight):
    f = pygrad.compile(lambda x: sum((x * i).exp() for i in range(100)), 1.0)
    assert straight(f, np.ones(1000))
    assert not straight(f, np.ones(200_000))


def test_settings_hold_from_the_next_call_on(straight):
    f = pygrad.compile(lambda x: x.log(), 1.0)
    assert straight(f, 0.0)
    f.check_finite = True
    with pytest.raises(FloatingPointError):
        f(0.0)
    f.check_finite = False
    assert f(0.0) == -np.inf
    with pytest.raises(ValueError, match="threads"):
        f.threads = 0
    f.threads = 2
    assert straight(f, 1.0)
    f.__init__(pygrad.compile(lambda x, y: x * y, 1.0, 1.0)._recorded)
    assert f(2.0, 3.0) == 6
    assert f(2.0, 3.0) == 6


def test_a_result_is_the_caller_s_own():
    f = pygrad.compile(lambda x: x * 2, np.ones(3))
    x = np.ones(3)
    first = f(x)
    first = f(x)
    kept, second = first.copy(), f(x * 2)
    assert first is not second
    assert not np.shares_memory(first, second)
    assert (first == kept).all()
    first[:] = 7
    assert f(x).tolist() == [2, 2, 2]
    _, (gradient,) = pygrad.compile(lambda x: (x * x).sum(), np.ones(3)).value_and_grad(x)
    gradient *= 2
    assert x.tolist() == [1, 1, 1]


# The same class --------------------------------------------------------------------------------------------------


def test_it_looks_like_the_class_in_python():
    assert (Program.__name__, Program.__qualname__, Program.__module__) == (
        In_Python.__name__,
        In_Python.__qualname__,
        In_Python.__module__,
    )
    assert repr(Program) == repr(In_Python)
    assert Program.__doc__ == In_Python.__doc__
    assert "class Program" in inspect.getsource(Program)
    assert list(inspect.signature(Program).parameters) == ["recorded", "threads", "check_finite", "backend"]
    for name in [name for name in dir(In_Python) if not name.startswith("_")] + ["__call__"]:
        assert inspect.getdoc(getattr(Program, name)) == inspect.getdoc(getattr(In_Python, name))
        if callable(getattr(Program, name)):
            mine, theirs = (inspect.signature(getattr(cls, name)).parameters for cls in (Program, In_Python))
            assert [(p.name, p.kind, p.default) for p in mine.values()][1:] == [
                (p.name, p.kind, p.default) for p in theirs.values()
            ][1:]
    f = pygrad.compile(lambda x: x, 1.0)
    assert str(inspect.signature(f)) == "(x)"
    assert callable(f)
    assert sorted(vars(f)) == ["__signature__", "_executor", "_recorded"]


class Logged(Program):
    """Counts its calls."""

    calls = 0

    def __call__(self, *args):
        self.calls += 1
        return super().__call__(*args)


class Slotted(Program):
    __slots__ = ("more",)


def test_subclasses_attributes_copies_and_pickles(no_leak):
    f = pygrad.compile(lambda x: x * Value(2.0), 1.0)
    f.name = "f"
    assert f.name == "f"
    with contextlib.suppress(AttributeError):
        del f.name
    for cls in (Logged, Slotted, Program):
        g = cls(f._recorded)
        for h in (g, copy.copy(g), copy.deepcopy(g), pickle.loads(pickle.dumps(g))):
            assert type(h) is cls
            for x in (1.0, 2.0, 3.0, [1.0]):
                assert np.all(h(x) == np.multiply(x, 2.0))
                assert np.all(h.value_and_grad(x)[1][0] == 2)
    g = Logged(f._recorded)
    g(1.0)
    assert g.calls == 1
    h = Slotted(f._recorded)
    h.more = 1
    assert weakref.ref(h)() is h


def test_an_assigned_method_is_called(monkeypatch):
    f = pygrad.compile(lambda x: x * 2, 1.0)
    original = Program.__call__
    monkeypatch.setattr(Program, "__call__", lambda self, *args: ("patched", original(self, *args)))
    monkeypatch.setattr(Program, "value_and_grad", lambda self, *args: "patched")
    assert f(1.0) == ("patched", 2.0)
    assert f.value_and_grad(1.0) == "patched"
    monkeypatch.undo()
    assert f(1.0) == 2.0
    assert f.value_and_grad(1.0) == (2.0, (2.0,))


def test_what_lacks_its_attributes_raises_as_in_python():
    f = Program.__new__(Program)
    for call in (f, f.value_and_grad):
        with pytest.raises(AttributeError, match="_recorded"):
            call(1.0)


# Memory ----------------------------------------------------------------------------------------------------------


def test_calls_survive_each_allocation_that_fails(no_leak):
    v = Value(2.0)
    x, xs = np.ones(3), np.ones((5, 3))
    calls = [
        lambda f: f(x, 1.0),
        lambda f: f(xs, 1.0),
        lambda f: f.value_and_grad(x, 1.0),
        lambda f: f.value_and_grad(xs, np.ones(5), cotangent=np.ones(5)),
    ]
    for check_finite in (False, True):
        for call in calls:
            f = pygrad.compile(lambda x, y: (x * v).sum() * y, np.ones(3), 1.0, check_finite=check_finite)
            v.grad = 0.0
            truth, step = outcome(call(f)), v.grad
            call(f)
            for successes in range(100):
                f.check_finite = check_finite  # it forgets all that it has allocated
                v.grad = 0.0
                lib.pg_test_fail_allocations(successes)
                try:
                    found = outcome(call(f))
                except MemoryError:
                    assert v.grad == 0
                    found = None
                finally:
                    lib.pg_test_fail_allocations(-1)
                if found:
                    assert found == truth
                    assert v.grad == step
            assert found


def test_calls_leave_no_references():
    v = Value(2.0)
    f = pygrad.compile(lambda x, y: {"a": (x * v).sum() * y}, np.ones(3), 1.0)
    g = pygrad.compile(lambda x, y: (x * v).sum() * y, np.ones(3), 1.0, check_finite=True)
    x, y, xs, wrong, one = np.ones(3), np.float64(2), np.ones((4, 3)), object(), 1234.5

    def work():
        for call in (f, g, g.value_and_grad):
            call(x, y), call(xs, one), call(x, xs[:, 0].copy())
            for bad in [(x,), (x, wrong), (wrong, y), (xs, x), (x, 10**400), (x, y, y), (x, "1")]:
                with contextlib.suppress(TypeError, ValueError, OverflowError):
                    call(*bad)
        with contextlib.suppress(FloatingPointError):
            g(x, np.inf)
        g.value_and_grad(x, y, cotangent=one)
        with contextlib.suppress(ValueError):
            g.value_and_grad(x, y, cotangent=xs)
        f.threads = 1

    work()
    work()
    objects = [f, g, x, y, xs, wrong, one, Program, np.ndarray, np.empty, None, f._executor, g._executor]
    before, live = [sys.getrefcount(o) for o in objects], live_nodes()
    blocks = sys.getallocatedblocks()
    for _ in range(200):
        work()
    assert [n - sys.getrefcount(o) for o, n in zip(objects, before) if abs(n - sys.getrefcount(o)) > 20] == []
    assert live_nodes() == live
    assert sys.getallocatedblocks() - blocks < 200


def test_programs_in_cycles_are_collected(no_leak):
    for called in (False, True):
        f = pygrad.compile(lambda x: x * Value(2.0), 1.0)
        f.itself = f
        if called:
            f(1.0), f(1.0), f.value_and_grad(2.0), f.value_and_grad(2.0)
        ref = weakref.ref(f)
        del f
        gc.collect()
        assert ref() is None


def test_programs_that_come_and_go_leave_nothing(no_leak):
    def make():
        f = pygrad.compile(lambda x: (x * Value(2.0)).sum(), np.ones(3))
        for g in (f, Logged(f._recorded), Slotted(f._recorded)):
            for _ in range(3):
                g(np.ones(3)), g.value_and_grad(np.ones((2, 3)))

    for _ in range(1000):  # until Python's and our own caches are full
        make()
    gc.collect()
    classes = [Program, Logged, Slotted, In_Python]
    before, held = sys.getallocatedblocks(), [sys.getrefcount(cls) for cls in classes]
    for _ in range(1000):
        make()
    gc.collect()
    assert sys.getallocatedblocks() - before < 500
    assert [sys.getrefcount(cls) for cls in classes] == held


# Threads and interrupts ------------------------------------------------------------------------------------------


def test_many_threads_call_one_program_while_its_settings_change():
    v = Value(2.0)
    f = pygrad.compile(lambda x, y: ((x * v).tanh() * y).sum(), np.ones(3), 1.0)
    rng = np.random.default_rng(0)
    cases = [(rng.uniform(-1, 1, 3), 2.0), (rng.uniform(-1, 1, (700, 3)), 0.5), (np.ones(3), rng.uniform(-1, 1, 90))]
    truths = [[outcome(In_Python.__call__(f, *c)), outcome(In_Python.value_and_grad(f, *c))] for c in cases]
    errors, stop = [], threading.Event()

    def work(k):
        try:
            while not stop.is_set():
                for case, truth in zip(cases, truths):
                    assert [outcome(f(*case)), outcome(f.value_and_grad(*case))] == truth
                with pytest.raises(ValueError, match="shape"):
                    f(np.ones(2), 1.0)
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for i in range(200):
        f.threads = 1 + i % 3
        f.check_finite = i % 2 == 0
        threading.Event().wait(0.002)
    stop.set()
    for worker in workers:
        worker.join()
    assert not errors


def test_parameters_get_the_gradients_of_all_threads():
    v = Value(2.0)
    f = pygrad.compile(lambda x: x * v, 1.0)
    f.value_and_grad(1.0)
    v.grad = 0.0
    workers = [threading.Thread(target=lambda: [f.value_and_grad(1.0) for _ in range(5000)]) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert v.grad == 20_000


@pytest.mark.parametrize("check_finite", [False, True])
@pytest.mark.parametrize("method", ["plan", "address"])
def test_what_a_signal_handler_raises_is_raised(method, check_finite, monkeypatch):
    v = Value(2.0)
    f = pygrad.compile(lambda x: x * v, 1.0, check_finite=check_finite)

    def interrupted(*_):
        raise TimeoutError

    f.value_and_grad(1.0)
    f.threads = 1
    v.grad = 0.0
    monkeypatch.setattr(Executor, method, interrupted)
    for call in (f, f.value_and_grad, f.__call__):
        with pytest.raises(TimeoutError):
            call(1.0)
    assert v.grad == 0
    monkeypatch.undo()
    assert f.value_and_grad(1.0) == (2.0, (2.0,))


def test_settings_that_change_while_a_call_asks_for_them_hold(monkeypatch):
    f = pygrad.compile(lambda x: x.log(), 1.0)
    plan = Executor.plan

    def late(self):
        found = plan(self)
        f.check_finite = True
        return found

    monkeypatch.setattr(Executor, "plan", late)
    with pytest.raises(FloatingPointError):
        f(0.0)
    monkeypatch.undo()
    with pytest.raises(FloatingPointError):
        f(0.0)


def test_an_interrupt_between_calls_loses_nothing(alarms):
    v = Value(2.0)
    f = pygrad.compile(lambda x: (x * v).sum(), np.ones(3))
    x = np.ones((50, 3))
    f.value_and_grad(x)
    f(x)  # compiled before it may be interrupted
    live, heard = live_nodes(), 0
    for i in range(400):
        v.grad = 0.0
        setting = "threads" if i % 2 else "note"  # after a change of threads, the calls ask Python again
        try:
            alarms(1e-4 + i * 1e-6)
            while True:  # without an `if`, at which CPython 3.14 does not heed `except` (python/cpython#130279)
                f.value_and_grad(x)
                f(x)
                setattr(f, setting, 1)
        except Interrupt:
            heard += 1
        assert v.grad % 150 == 0
    assert heard == 400
    assert live_nodes() == live
