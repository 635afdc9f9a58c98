"""A Program that was saved, pickled or copied computes the same bits, and no file can do harm."""

import base64
import concurrent.futures
import contextlib
import copy
import io
import json
import math
import multiprocessing
import pickle
import random
import tracemalloc
import zlib
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_program import RECORDED, bits, function, possible

import pygrad
from pygrad import Program, Value, nn
from pygrad._lib import lib
from pygrad.checkpoint import pack, unpack
from support import live_nodes
from support.hostile import damaged
from support.loops import LOOPS
from support.optimizations import WITHOUT, disabled
from support.programs import programs

rng = np.random.default_rng(0)


def again(f):
    return pickle.loads(pickle.dumps(f))


def dumps(f):
    """The bytes of a pickle, which are those of a file."""
    _, (_, data) = f.__reduce__()
    return data


def unpickled(data):
    """The Program of such bytes."""
    rebuild, (kind, _) = pygrad.compile(lambda x: x, 1.0).__reduce__()
    return rebuild(kind, data)


def everything(f, *args):
    """The bits of all that a Program with a scalar result can compute."""
    f.parameters.grad = 0.0
    values, grads = f.value_and_grad(*args)
    tangents = [None if a.is_index else x for a, x in zip(f._recorded.arguments, args)]
    found = [f(*args), values, grads, f.parameters.grad, f.jvp(args, tangents), f.hvp(args, tangents)]
    return [bits(x) for x in leaves(found)]


def leaves(x):
    if isinstance(x, (list, tuple)):
        return [leaf for item in x for leaf in leaves(item)]
    return [np.float64("nan") if x is None else x]


# The same bits ----------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    programs(RECORDED),
    st.lists(st.floats(-2, 2), min_size=1, max_size=4),
    st.lists(st.floats(-2, 2), max_size=3),
    st.sampled_from(WITHOUT),
)
def test_the_loaded_program_computes_the_same_bits(steps, numbers, parameters, without):
    fn = function(possible(steps[:60], numbers + parameters))
    params = [Value(x) for x in parameters]
    with disabled(without):
        f = pygrad.compile(lambda *args: fn(Value, [*args, *params]), *numbers)
        g = again(f)
    assert str(f) == str(g)
    batch = [rng.uniform(-2, 2, 70) if i % 2 else x for i, x in enumerate(numbers)]
    with np.errstate(all="ignore"):
        assert everything(f, *numbers) == everything(g, *numbers)
        assert everything(f, *batch) == everything(g, *batch)
    assert str(f) == str(g)


@pytest.mark.parametrize("name", LOOPS)
def test_the_loaded_program_of_arrays_computes_the_same_bits(name, tmp_path):
    _, make = LOOPS[name]
    x, y = rng.uniform(0.5, 2, (2, 4, 5))
    f = pygrad.compile(lambda x, y: make(x, y, 0.7), x, y)
    f.save(tmp_path / "f.npz")
    g = Program.load(tmp_path / "f.npz")
    batch = rng.uniform(0.5, 2, (9, 4, 5))
    assert bits(f(x, y)) == bits(g(x, y))
    assert bits(f(batch, y)) == bits(g(batch, y))


def test_indices_and_their_limits_come_back():
    table, narrow = pygrad.array(rng.uniform(-1, 1, (7, 3))), pygrad.array(rng.uniform(-1, 1, 4))

    def fn(i, x, pair, unused):
        return (table[i] * x).sum() + table[pair[0], 0] * narrow[pair[1][0]] * pair[1][1]

    f = pygrad.compile(fn, pygrad.index([0, 1]), np.ones(3), [pygrad.index(0), (pygrad.index(1), 2.0)], pygrad.index(5))
    g = again(f)
    one = [6, 2], np.array([1.0, 2.0, 3.0]), [5, (3, 0.5)], 10**9
    many = rng.integers(0, 7, (70, 2)), one[1], [rng.integers(0, 7, 70), (rng.integers(0, 4, 70), np.ones(70))], 0
    for args in one, many:
        values = [h.value_and_grad(*args) for h in (f, g)]
        assert list(map(bits, leaves(values[0]))) == list(map(bits, leaves(values[1])))
        assert bits(f.parameters.grad) == bits(g.parameters.grad)
    for wrong in [([7, 0], *one[1:]), (*one[:2], [0, (4, 1.0)], 0), (one[0], one[1], [-1, (0, 1.0)], 0)]:
        refusals = []
        for h in f, g:
            with pytest.raises(IndexError, match="must have indices between 0 and") as refusal:
                h(*wrong)
            refusals.append(str(refusal.value))
        assert refusals[0] == refusals[1]
    with pytest.raises(TypeError, match="must have integers"):
        g([0.5, 1.0], *one[1:])


Pair = namedtuple("Pair", "first second")


def test_structures_come_back_and_a_named_tuple_as_a_tuple():
    def fn(x, y):
        keys = {"größe": x, 2: x * 2, 0.5: y[0], True: 1, None: y[1][1].sum()}
        return OrderedDict(a=keys, b=[x, (), [], {}, (x, [y[1][0]])], c=Pair(x, y[1][1]), d=np.zeros((2, 0, 3)))

    f = pygrad.compile(fn, 1.0, [1.0, ([2.0], np.ones((2, 3)))])
    g = again(f)
    one = 2.0, [3.0, ([4.0], np.full((2, 3), 5.0))]
    for args in one, (np.ones(3), [np.ones(3), ([np.ones(3)], np.ones((3, 2, 3)))]):
        ours, other = f(*args), g(*args)
        assert repr(other) == repr({**ours, "c": tuple(ours["c"])})
    assert type(other["c"]) is tuple
    for wrong in [(1.0,), (1.0, [2.0]), (np.ones((2, 2)), [1.0, ([1.0], 1.0)])]:
        refusals = []
        for h in f, g:
            with pytest.raises((TypeError, ValueError)) as refusal:
                h(*wrong)
            refusals.append(repr(refusal.value))
        assert refusals[0] == refusals[1]


@pytest.mark.parametrize(
    "fn", [lambda: [], lambda: 3.0, lambda: {"w": nn.Linear(2, 2).weight}, lambda: [np.zeros(0), {}, ()]]
)
def test_a_function_without_arguments_comes_back(fn):
    f = pygrad.compile(fn)
    assert repr(again(f)()) == repr(f())


def test_what_a_program_was_compiled_with_comes_back():
    def triple(x):
        return 3 * x.log()

    with disabled(lib.PG_FOLDING):
        f = pygrad.compile(triple, 1.0, threads=2, check_finite=True)
        f.threads = np.int64(3)
        g = again(f)
        assert (g.threads, g.check_finite) == (3, True)
        assert repr(g) == repr(f)
        with pytest.raises(FloatingPointError, match="of triple is -inf"):
            g(0.0)
        assert pickle.dumps(again(g)) == pickle.dumps(g) == pickle.dumps(f)


# Parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, again])
def test_the_other_program_has_parameters_of_its_own(how, no_leak):
    w, b = pygrad.array([1.0, 2.0]), Value(3.0)
    f = pygrad.compile(lambda x: (w * x).sum() + b, np.zeros(2))
    w.data[0] = 10.0
    f.value_and_grad([1.0, 1.0])
    g = how(f)
    assert g.parameters.data.tolist() == [10.0, 2.0, 3.0]
    assert g.parameters.grad.tolist() == [0.0] * 3
    w.data[0] = -1.0
    assert (f([1.0, 1.0]), g([1.0, 1.0])) == (4.0, 15.0)
    g.value_and_grad([1.0, 5.0])
    assert g.parameters.grad.tolist() == [1.0, 5.0, 1.0]
    assert w.grad.tolist() == [1.0, 1.0]
    g.parameters.data = [0.0, 0.0, 7.0]
    assert (f([1.0, 1.0]), g([1.0, 1.0])) == (4.0, 7.0)
    del f
    assert g([1.0, 1.0]) == 7
    del g


def test_special_numbers_come_back():
    w = pygrad.array([math.nan, math.inf, -0.0, 5e-324])
    f = pygrad.compile(lambda: [w, np.array([-math.nan, -math.inf, -0.0, 0.1])])
    assert [bits(x) for x in f()] == [bits(x) for x in again(f)()]


def test_a_program_that_was_loaded_trains_on(tmp_path):
    random.seed(0)
    model = nn.MLP(2, [4, 1])
    f = pygrad.compile(lambda x, y: (model(x) - y) ** 2, [0.0, 0.0], 0.0)
    x = rng.uniform(-1, 1, (32, 2))

    def train(f):
        for _ in range(10):
            f.value_and_grad(x, x[:, 0] * x[:, 1])
            f.parameters.data = f.parameters.data - 0.01 * f.parameters.grad
            f.parameters.grad = 0.0

    train(f)
    f.save(str(tmp_path / "run.npz"))
    g = Program.load(str(tmp_path / "run.npz"))
    train(f)
    train(g)
    assert bits(f.parameters.data) == bits(g.parameters.data)


# Other processes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    random.seed(0)
    layers = nn.MLP(2, [4, 1])
    return pygrad.compile(lambda x: layers(x).tanh(), [0.0, 0.0])


BATCHES = list(rng.uniform(-1, 1, (8, 5, 2)))


def test_workers_that_are_spawned_compute_the_same(model):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert [bits(y) for y in pool.map(model, BATCHES)] == [bits(model(x)) for x in BATCHES]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_workers_of_an_executor_compute_the_same(model, method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert [bits(y) for y in pool.map(model, BATCHES)] == [bits(model(x)) for x in BATCHES]


def test_joblib_s_workers_compute_the_same(model):
    joblib = pytest.importorskip("joblib")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(model)(x) for x in BATCHES)
    assert [bits(y) for y in found] == [bits(model(x)) for x in BATCHES]
    assert joblib.hash(model) == joblib.hash(again(model)) != joblib.hash(BATCHES)


# Files ------------------------------------------------------------------------------------------------------------


def packed(arrays):
    file = io.BytesIO()
    pack(file, arrays)
    return file.getvalue()


def load(path, data):
    path.write_bytes(data)
    return Program.load(path)


@pytest.fixture(scope="module")
def small():
    """A Program with a bit of everything."""
    table = pygrad.array([[1.0, 2.0], [3.0, 4.0], [0.5, 0.25]])

    def first(i, x):
        return (table[i] * x[0]).sum() ** 2 + x[1][0].exp() * 3

    return pygrad.compile(first, pygrad.index(1), [np.ones(2), (0.5,)])


ARGUMENTS = 2, [np.array([0.3, -0.7]), (0.1,)]


def test_a_file_is_written_whole_or_not_at_all(small, tmp_path, monkeypatch):
    path = tmp_path / "f.npz"
    small.save(path)
    whole = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *names: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        small.save(path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [whole]
    with pytest.raises(FileNotFoundError):
        Program.load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("key", [(1, 2), b"x", 1j])
def test_a_key_that_json_does_not_have_is_refused(key):
    f = pygrad.compile(lambda x: {key: x}, 1.0)
    assert f(2.0) == {key: 2.0}
    with pytest.raises(TypeError, match="keys that are strings, numbers or None, got "):
        pickle.dumps(f)


def test_a_file_of_another_kind_is_refused(tmp_path):
    pygrad.save(tmp_path / "state", {"w": 1.0})
    with pytest.raises(ValueError, match="not a Program that pygrad saved: it has no description"):
        Program.load(tmp_path / "state")
    with pytest.raises(ValueError, match="a pickled Program is damaged"):
        unpickled(b"")


def edited(f, **entries):
    """The arrays of a Program with other entries in its description."""
    arrays = unpack(dumps(f))
    text = json.dumps({**json.loads(arrays["description"].tobytes()), **entries})
    return {**arrays, "description": np.frombuffer(text.encode(), dtype=np.uint8)}


def test_a_file_from_a_newer_version_is_refused_and_says_so(small, tmp_path):
    newer = {"description": edited(small, format=2, pygrad="9.1")["description"], "more": np.ones(1)}
    with pytest.raises(ValueError, match=r"f' was written by pygrad 9\.1, which pygrad .* cannot read: upgrade"):
        load(tmp_path / "f", packed(newer))
    with pytest.raises(ValueError, match=r"was written by pygrad 9\.1 with the op 'ERF', which pygrad"):
        load(tmp_path / "f", packed(edited(small, pygrad="9.1", ops=["ADD", "ERF"])))


def test_a_damaged_file_is_refused_or_gives_the_same_program(small):
    whole = dumps(small)
    expected = everything(small, *ARGUMENTS)
    refused, before = 0, live_nodes()
    for data in damaged(whole, random.Random(0), 1000):
        try:
            found = unpickled(data)
        except ValueError as error:
            assert "a pickled Program is damaged, or not a Program that pygrad saved: " in str(error)  # noqa: PT017
            refused += 1
        else:
            assert everything(found, *ARGUMENTS) == expected
            del found
    assert refused > len(whole)
    assert live_nodes() == before


# Hostile files: whole, and wrong ------------------------------------------------------------------------------------

OPS = ["ADD", "EXP", "POWER", "INPUT", "PARAMETER", "CONSTANT", "LOOKUP"]
NONE = (1 << 32) - 1
X, W, C = ("INPUT", 0, NONE), ("PARAMETER", 0, NONE), ("CONSTANT", NONE, NONE)
SHAPE = {"shape": []}


def made(*instructions, **other):
    """The bytes of a Program of one input and one parameter, with other arrays, or entries of the description."""
    ops, a, b = zip(*instructions) if instructions else ([], [], [])
    arrays = {
        "ops": np.array([OPS.index(op) for op in ops], dtype=np.uint8),
        "a": np.array(a, dtype=np.uint32),
        "b": np.array(b, dtype=np.uint32),
        "constants": np.ones(sum(op == "CONSTANT" for op in ops)),
        "outputs": np.array([max(len(ops) - 1, 0)], dtype=np.uint32),
        "rows": np.zeros(0, dtype=np.uint32),
        "elements": np.zeros(0, dtype=np.uint32),
        "parameters": np.ones(1),
        "limits": np.zeros(1, dtype=np.uint32),
    }
    description = {"format": 1, "pygrad": "1.0", "name": "f", "ops": OPS, "arguments": [SHAPE], "result": SHAPE}
    description |= {"threads": 1, "check_finite": False}
    for name, value in other.items():
        if name in arrays:
            dtype = value.dtype if isinstance(value, np.ndarray) else arrays[name].dtype
            arrays[name] = np.array(value, dtype=dtype)
        else:
            description[name] = value
    arrays["description"] = np.frombuffer(json.dumps(description).encode(), dtype=np.uint8)
    return packed({name: numbers for name, numbers in arrays.items() if numbers.dtype != object})


def looked_up(*instructions, arguments=({"index": []},), limits=(2,), rows=(2,), elements=(1, 2), **other):
    """The same of a Program that chooses between its parameter and a constant."""
    instructions = instructions or [X, W, C, ("LOOKUP", 0, 0)]
    return made(*instructions, arguments=list(arguments), limits=limits, rows=rows, elements=elements, **other)


def test_what_is_made_by_hand_runs(tmp_path):
    assert load(tmp_path / "f", made(X, W, ("ADD", 0, 1))).value_and_grad(2.0) == (3.0, (1.0,))
    assert load(tmp_path / "f", made(X, C, ("POWER", 0, 1), constants=[3.0])).value_and_grad(2.0) == (8.0, (12.0,))
    f = load(tmp_path / "f", looked_up(constants=[5.0]))
    assert f([0, 1]).tolist() == [1.0, 5.0]
    swapped = {name: x.byteswap().view(x.dtype.newbyteorder()) for name, x in unpack(made(X, W, ("ADD", 0, 1))).items()}
    assert load(tmp_path / "f", packed(swapped)).value_and_grad(2.0) == (3.0, (1.0,))


@pytest.mark.parametrize(
    "data",
    [
        made(X, ("EXP", 1, NONE)),  # of itself
        made(X, ("EXP", 2, NONE), ("EXP", 0, NONE)),  # of a later one
        made(X, ("EXP", NONE, NONE)),
        made(X, ("EXP", 1 << 31, NONE)),
        made(("EXP", 0, NONE)),
        made(X, ("EXP", 0, 0)),  # arity
        made(X, ("ADD", 0, NONE)),
        made(X, ("ADD", 0, 1)),
        made(("INPUT", 1, NONE)),
        made(("INPUT", NONE, NONE)),
        made(("INPUT", 0, 0)),
        made(("PARAMETER", 1, NONE)),
        made(W, parameters=[]),
        made(("CONSTANT", 0, NONE)),
        made(X, ("POWER", 0, 0)),  # an exponent that is no constant
        made(X, W, C, ("LOOKUP", 0, 0)),  # without a table
        looked_up(X, W, C, ("LOOKUP", 0, 1)),
        looked_up(X, W, C, ("LOOKUP", 1, 0)),  # by no input
        looked_up(X, W, C, ("LOOKUP", 3, 0)),
        looked_up(elements=(1, 3)),  # the lookup itself
        looked_up(elements=(1, 4)),
        looked_up(elements=(1, NONE)),
    ],
)
def test_an_instruction_that_cannot_be_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="an instruction has an op or operands that it cannot have"):
        load(tmp_path / "f", data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (made(X, constants=[1.0]), "more or fewer numbers than constants"),
        (made(C, constants=[]), "more or fewer numbers than constants"),
        (made(X, outputs=[1]), "is an instruction that is not there"),
        (made(X, outputs=[NONE]), "is an instruction that is not there"),
        (made(), "is an instruction that is not there"),
        (made(X, rows=[1], elements=[1]), "is an instruction that is not there"),
        (looked_up(rows=[3]), "not of the sizes"),
        (looked_up(rows=[1]), "not of the sizes"),
        (looked_up(rows=[2, 0]), "not of the sizes"),
        (looked_up(rows=[NONE, 3]), "not of the sizes"),
        (looked_up(limits=[3]), "elements that are not in their table"),
        (looked_up(limits=[0], arguments=[SHAPE]), "elements that are not in their table"),
        (looked_up(limits=[0]), "argument 0 has an integer, which does not agree with the limits"),
        (looked_up(arguments=[SHAPE]), "argument 0 has a number, which does not agree with the limits"),
        (made(X, ops=[0, 0]), "'a' must have 2 numbers, got 1"),
        (made(X, ops=[]), "'a' must have 0 numbers, got 1"),
        (made(X, b=[]), "'b' must have 1 numbers, got 0"),
        (made(X, ops=[7]), "an op without a name"),
        (made(X, ops=np.array([[3]], dtype=np.uint8)), "'ops' must be one row of uint8, got 2 axes of uint8"),
        (made(X, a=np.array([0], dtype=np.int32)), "'a' must be one row of uint32, got 1 axes of int32"),
        (
            made(X, constants=np.array([], dtype=np.float32)),
            "'constants' must be one row of float64, got",
        ),
        (made(X, rows=np.array(None)), "its arrays must be"),
        (made(X, format=0), "'format'"),
        (made(X, format=True), "'format'"),
        (made(X, format="1"), "'format'"),
        (made(X, pygrad=None), "'pygrad'"),
        (made(X, name=1), "'name'"),
        (made(X, threads=0), "'threads'"),
        (made(X, threads=1 << 31), "'threads'"),
        (made(X, check_finite=1), "'check_finite'"),
        (made(X, arguments=SHAPE), "'arguments'"),
        (made(X, arguments=[]), "arguments have 0 numbers, but its graph has 1"),
        (made(X, arguments=[SHAPE, SHAPE]), "argument 1 has a number, which does not agree with the limits"),
        (made(X, arguments=[{"shape": [1 << 30, 1 << 30]}]), "does not agree with the limits"),
        (made(X, arguments=[{"dict": [["x", SHAPE]]}]), "got 'dict'"),
        (made(X, result=None), "a structure must be a dict with one entry"),
        (made(X, result={}), "a structure must be a dict with one entry"),
        (made(X, result={"shape": [], "list": []}), "a structure must be a dict with one entry"),
        (made(X, result={"index": []}), "got 'index'"),
        (made(X, result={"set": []}), "got 'set'"),
        (made(X, result={"shape": None}), "must be a list by the name of shape or .*, got 'shape'"),
        (made(X, result={"shape": [-1]}), "a shape must have at most 64 sizes"),
        (made(X, result={"shape": [1.0]}), "a shape must have at most 64 sizes"),
        (made(X, result={"shape": [1 << 31, 0]}), "a shape must have at most 64 sizes"),
        (made(X, result={"shape": [1] * 65}), "a shape must have at most 64 sizes"),
        (made(X, result={"shape": [2]}), "result has 2 numbers, but its graph has 1"),
        (made(X, result={"list": []}), "result has 0 numbers, but its graph has 1"),
        (made(X, result={"dict": [SHAPE]}), "a dict must be a list of pairs"),
        (made(X, result={"dict": [[[], SHAPE]]}), "a dict must be a list of pairs"),
        (packed({"description": np.frombuffer(b"[" * 100_000, dtype=np.uint8)}), "recursion"),
        (packed({"description": np.frombuffer(b"[]", dtype=np.uint8)}), "its description must be a dict"),
        (packed({"description": np.frombuffer(b"{", dtype=np.uint8)}), "Expecting property name"),
        (packed({"description": np.frombuffer(b"\xff", dtype=np.uint8)}), "decode byte"),
        (packed({"description": np.zeros(3)}), "Expecting value|decode"),
    ],
)
def test_what_does_not_go_together_is_refused(data, why, tmp_path):
    with pytest.raises(ValueError, match=rf"(?i)f' is damaged, or not a Program that pygrad saved: .*{why}"):
        load(tmp_path / "f", data)


def deep(levels):
    return {"list": [deep(levels - 1)]} if levels else SHAPE


def test_structures_in_each_other_without_end_are_refused(tmp_path):
    shallow = json.dumps(deep(100))
    assert repr(load(tmp_path / "f", made(X, result=json.loads(shallow)))(1.0)) == "[" * 100 + "1.0" + "]" * 100
    text = made(X, result="HERE")
    arrays = unpack(text)
    deeper = '{"list": [' * 5000 + json.dumps(SHAPE) + "]}" * 5000
    description = arrays["description"].tobytes().replace(b'"HERE"', deeper.encode())
    with pytest.raises(ValueError, match="recursion"):
        load(tmp_path / "f", packed({**arrays, "description": np.frombuffer(description, dtype=np.uint8)}))


@pytest.mark.parametrize(
    "data",
    [
        made(X, result={"list": [{"shape": [0]}] * 20_000}),
        made(X, result={"list": [{"list": []}] * 20_000}),
        made(X, result={"dict": [[i, {"dict": []}] for i in range(20_000)]}),
        packed({"description": np.frombuffer(b"[" + b"[]," * 50_000 + b"[]]", dtype=np.uint8)}),
        packed({"description": np.frombuffer(b"[" + b"{}," * 50_000 + b"{}]", dtype=np.uint8)}),
        made(X, arguments=[{"index": [(1 << 31) - 1]}]),
        made(X, arguments=[{"shape": [(1 << 31) - 1]}]),
        made(X, result={"shape": [(1 << 31) - 1]}),
        looked_up(rows=[NONE]),
        made(*[X] * 100_000, outputs=[1 << 20]),
    ],
)
def test_a_file_takes_no_more_memory_than_its_size_justifies(data, tmp_path):
    (tmp_path / "f").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ValueError, match="not a Program that pygrad saved"):
        Program.load(tmp_path / "f")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * len(data) + 200_000


def mutated(arrays, rng):
    """Arrays of which some numbers are others, near or far, and structures of which some are others."""
    arrays = {name: numbers.copy() for name, numbers in arrays.items()}
    name = rng.choice([name for name in arrays if name not in ("description", "limits")])
    for _ in range(rng.choice([1, 1, 2, 10])):
        numbers = arrays[name]
        if rng.random() < 0.1:
            size = rng.choice([0, max(numbers.size - 1, 0), numbers.size + 1])
            arrays[name] = np.resize(numbers, size) if numbers.size else np.zeros(size, numbers.dtype)
        elif numbers.size:
            numbers[rng.randrange(numbers.size)] = rng.choice([*range(len(arrays["ops"]) + 2), *arrays["ops"], 255])
            if numbers.dtype == np.uint32 and rng.random() < 0.1:
                numbers[rng.randrange(numbers.size)] = rng.choice([NONE, NONE - 1, 1 << 31])
        if rng.random() < 0.3:
            name = rng.choice(["ops", "a", "b", "elements"])
    return arrays


@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_arrays_say_is_refused_or_runs(small, seed):
    rng = random.Random(seed)
    arrays = unpack(dumps(small))
    batch = [0, 2, 1] * 30, [np.ones((90, 2)), (np.ones(90),)]
    ran = 0
    for _ in range(300):
        try:
            f = unpickled(packed(mutated(arrays, rng)))
        except ValueError:
            continue
        with np.errstate(all="ignore"):
            everything(f, *ARGUMENTS)
            everything(f, *batch)
        assert str(f)
        assert pickle.dumps(again(f)) == pickle.dumps(f)
        ran += 1
    assert ran > 10


def test_running_out_of_memory_leaves_all_as_it_was(small, no_leak):
    data = pickle.dumps(small)
    before = live_nodes()
    f = None
    for successes in range(100):
        lib.pg_test_fail_allocations(successes)
        with contextlib.suppress(MemoryError):
            assert pickle.dumps(small) == data  # needs none of C's memory
            f = pickle.loads(data)
        lib.pg_test_fail_allocations(-1)
        if f:
            break
        assert live_nodes() == before
    assert successes > 5
    assert everything(f, *ARGUMENTS) == everything(small, *ARGUMENTS)
    del f


FIRST = (  # as pygrad 0.1.0 saved it: the bytes, compressed, in base 85
    "c-qZY&1(}u6yME96Vp$%>Ol{25u%uuG%c}|LK<uYN!zU2Xr-"
    "32O*YM9vI+ZPEioW?>7j>$mkNpq;<*L=13U>m>7^nl<mj>J!HZJg+nsGQ+g4h;h%ZdueEoLj_h#OE!>8PyF2<Cz%=*pvvrQsCrjsdG)NZ*l&oU"
    "j%GMQxQ$77jM{x-|pW2&K?sAiSWKrr+`?+Jy2p?q1<6hWRYD>)JSuLwm|gnqRkR77Z>kM@NxgoCx<-"
    "%G%2hzG>y@v&?Z!!)_vO)SGxgrXl`1S~>cAS76H>SRj&Pjm+LzJEmr_rOANL2*OzK=Io8P>vAY3<W_gP>@_J=nhgp3ffQVouH3Hq0RF0(ZpJ#S"
    "!VuMvuy5D7(y4#1y_Obk#;-iHc~%EG|CC6pWI=V)r<0HYep-WC0mwNO^~&NIl*AQe_!V5J*;)iThkyzrt%Nbw32J9KP_6#=+(Mb(YHx0l8K8>o"
    "Vf#}PBok%P2}}jZ`>l{2O>&&Zi~eNnYG}^%{@E|H*s2;!IyVWepw7!fPq*POX7hq*gjdroVj2w5{_8H$h(8pnataQ#i|WhRRl#SiJGWv@me8sS"
    "DbL1m{X3k5w|;zsXK_SlkxX)n(wtY-"
    "=1201HiW^m89)6Tq5(9oH)ZiXKrGn&|F@9`f=Lg(hgjV9ZD5VD$5q34VIXTbs+Wk#`+IQDNyBLm6D)w1HqnfkgLqkDnbq#T%^0FJHkPi4A&1k@"
    "{*!z*Z~h2Xisv9;bCl!W=2r)>08O`SV>OssIHFjnQ>zvaXm4b95)9qr^jxLC&r9{k#sth;khZO3d*c*_%439%1LrgypPqXS~ytciju0C0|s-"
    "fM$HjTuM|bw&{WO%!B-"
    "Vg)r*L%aycn$d}5NDRqp7KNIr)DxxC2jvB2KnkCFv&2B#GiQOM!8qtMD0#O&Sayd+B+PR*O=#mz}t0rCX&L~4ABb#=MvSK=}WQoe?Z_0YH<<jr"
    "UY;Y+MeUKU;o^a1{b-"
    "5~f%*&Xr~R+`xjf*IV}S}O(FgfK?sb2}8X<RVFf%@lMUJg6aO+JTsr7D(ptQ^4mCHmw|GM`0$gcG^Or1mN137wkxkwksr-"
    "wo%ASkT&VqYsX^bS|YJ2Kw(30lG}02j>9N{?vJIN!hHvvEoSg3FXnGpAizYx?B|S?egiWr+e-"
)


def test_a_file_of_the_first_format_can_be_read_for_ever(tmp_path):
    f = load(tmp_path / "f", zlib.decompress(base64.b85decode(FIRST)))
    assert repr(f) == "<Program of first: 4 inputs, 6 parameters, 24 instructions>"
    value, (x,) = f(2, [np.array([0.3, -0.7]), (0.1,)])["größe"]
    assert math.isclose(value, (0.5 * 0.3 - 0.25 * 0.7) ** 2 + 3 * math.exp(0.1), rel_tol=1e-15)
    assert x.tolist() == [0.3, -0.7]
    assert f.parameters.data.tolist() == [1.0, 2.0, 3.0, 4.0, 0.5, 0.25]
    assert f.threads == 2


def test_files_of_the_first_version_tell_which_optimizations_they_do_without_and_later_ones_do_not(small, tmp_path):
    assert "without" not in json.loads(unpack(dumps(small))["description"].tobytes())
    f = load(tmp_path / "f", packed(edited(small, without=63)))
    assert everything(f, *ARGUMENTS) == everything(small, *ARGUMENTS)
