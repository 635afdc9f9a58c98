"""Malicious files of Programs are refused."""

import contextlib
import json
import pickle
import random

import numpy as np
import pytest

from pygrad import Program
from pygrad._lib import lib
from pygrad.checkpoint import unpack
from support import live_nodes
from support.effort import long
from support.saved import ARGUMENTS, again, dumps, everything, load, packed, unpickled

OPS = ["ADD", "EXP", "POWER", "INPUT", "PARAMETER", "CONSTANT", "LOOKUP", "ROW"]
NONE = (1 << 32) - 1
X, W, C = ("INPUT", 0, NONE), ("PARAMETER", 0, NONE), ("CONSTANT", NONE, NONE)
SHAPE = {"shape": []}


def made(*instructions, **other):
    """A saved Program of one input and one parameter, with other arrays or entries of its description."""
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
    """The same for a Program that looks up its parameter or a constant."""
    instructions = instructions or [X, W, C, ("LOOKUP", 0, 0)]
    return made(*instructions, arguments=list(arguments), limits=limits, rows=rows, elements=elements, **other)


def test_programs_made_by_hand_run(tmp_path):
    assert load(tmp_path / "f", made(X, W, ("ADD", 0, 1))).value_and_grad(2.0) == (3.0, (1.0,))
    assert load(tmp_path / "f", made(X, C, ("POWER", 0, 1), constants=[3.0])).value_and_grad(2.0) == (8.0, (12.0,))
    f = load(tmp_path / "f", looked_up(constants=[5.0]))
    assert f([0, 1]).tolist() == [1.0, 5.0]
    swapped = {name: x.byteswap().view(x.dtype.newbyteorder()) for name, x in unpack(made(X, W, ("ADD", 0, 1))).items()}
    assert load(tmp_path / "f", packed(swapped)).value_and_grad(2.0) == (3.0, (1.0,))


@pytest.mark.parametrize(
    "data",
    [
        made(X, ("EXP", 1, NONE)),  # its operand is itself
        made(X, ("EXP", 2, NONE), ("EXP", 0, NONE)),  # its operand comes later
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
        made(X, ("POWER", 0, 0)),  # an exponent that is not a constant
        made(X, W, C, ("LOOKUP", 0, 0)),  # without a table
        looked_up(X, W, C, ("LOOKUP", 0, 1)),
        looked_up(X, W, C, ("LOOKUP", 1, 0)),  # the index is not an input
        looked_up(X, W, C, ("LOOKUP", 3, 0)),
        made(X, W, C, ("ROW", 0, 0)),  # without a table
        looked_up(X, W, C, ("ROW", 3, 0)),
        looked_up(X, W, C, ("ROW", 0, 1)),
        looked_up(X, W, C, ("ROW", 0, 0), elements=(1, 3)),
        looked_up(elements=(1, 3)),  # the lookup itself
        looked_up(elements=(1, 4)),
        looked_up(elements=(1, NONE)),
    ],
)
def test_an_invalid_instruction_is_refused(data, tmp_path):
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
        (made(X, ops=[len(OPS)]), "an op without a name"),
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
        (made(X, arguments=[{"dict": [["x", None]]}]), "a structure must be a dict with one entry"),
        (made(X, arguments=[{"fields": ["P", [["x", SHAPE]], 3]}]), "too many values"),
        (made(X, arguments=[{"fields": ["P", [["x", SHAPE], ["x", SHAPE]]]}]), "does not agree with|has 2 numbers"),
        (made(X, arguments=[{"fields": ["import os", [["x", SHAPE]]]}]), "must be valid identifiers"),
        (made(X, arguments=[{"fields": [["P"], [["x", SHAPE]]]}]), "must be valid identifiers"),
        (made(X, arguments=[{"none": []}]), "arguments have 0 numbers"),
        (made(X, signature=[]), "1 arguments, but names of 0"),
        (made(X, signature=[["x", 0]]), "not enough values"),
        (made(X, signature=[["x y", 0, None]]), "not a valid parameter name"),
        (made(X, signature=[["x", 2, None]]), "the kind of an argument must be one of 0, 1, 3, got 2"),
        (made(X, signature=[["x", [0], None]]), "kind of an argument"),
        (made(X, signature=[["x", 9, None]]), "one of 0, 1, 3, got 9"),
        (made(X, signature=[["x", 0, [1.0, 2.0]]]), "has 1 numbers, but its default has the shape"),
        (made(X, signature=[["x", 0, "x"]]), "could not convert"),
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
        (packed({"description": np.frombuffer(b"[" * 100_000, dtype=np.uint8)}), "recursion|overflow"),
        (packed({"description": np.frombuffer(b"[]", dtype=np.uint8)}), "its description must be a dict"),
        (packed({"description": np.frombuffer(b"{", dtype=np.uint8)}), "Expecting property name|Key name must be"),
        (packed({"description": np.frombuffer(b"\xff", dtype=np.uint8)}), "decode byte"),
        (packed({"description": np.zeros(3)}), "Expecting value|decode|Unexpected"),
    ],
)
def test_inconsistent_arrays_and_descriptions_are_refused(data, why, tmp_path):
    with pytest.raises(ValueError, match=rf"(?i)f' is damaged, or not a Program that pygrad saved: .*{why}"):
        load(tmp_path / "f", data)


def deep(levels):
    return {"list": [deep(levels - 1)]} if levels else SHAPE


def test_structures_nested_too_deeply_are_refused(tmp_path):
    shallow = json.dumps(deep(100))
    assert repr(load(tmp_path / "f", made(X, result=json.loads(shallow)))(1.0)) == "[" * 100 + "1.0" + "]" * 100
    text = made(X, result="HERE")
    arrays = unpack(text)
    deeper = '{"list": [' * 5000 + json.dumps(SHAPE) + "]}" * 5000
    description = arrays["description"].tobytes().replace(b'"HERE"', deeper.encode())
    with pytest.raises(ValueError, match=r"recursion|overflow"):
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
def test_a_file_takes_no_more_memory_than_its_size_justifies(data, tmp_path, tracemalloc):
    (tmp_path / "f").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ValueError, match="not a Program that pygrad saved"):
        Program.load(tmp_path / "f")
    _, peak = tracemalloc.get_traced_memory()
    assert peak < 32 * len(data) + 200_000


def mutated(arrays, rng):
    """Arrays with some numbers changed, a little or a lot, and with some structures changed."""
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


@long
@pytest.mark.parametrize("seed", range(10))
def test_mutated_arrays_are_refused_or_run(small, seed):
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


def test_running_out_of_memory_while_loading_changes_nothing(small, no_leak):
    data = pickle.dumps(small)
    before = live_nodes()
    f = None
    for successes in range(100):
        lib.pg_test_fail_allocations(successes)
        with contextlib.suppress(MemoryError):
            assert pickle.dumps(small) == data  # makes no allocation in C
            f = pickle.loads(data)
        lib.pg_test_fail_allocations(-1)
        if f:
            break
        assert live_nodes() == before
    assert successes > 5
    assert everything(f, *ARGUMENTS) == everything(small, *ARGUMENTS)
    del f
