"""Saving and loading states: round trips, failures, damaged and malicious files."""

import io
import random
import struct
import zipfile

import numpy as np
import pytest

import pygrad
from pygrad import nn, optim
from pygrad.checkpoint import unpack
from support.effort import long, share
from support.hostile import damaged, entries, npy, zipped

STATE = {
    "w": np.array([[1.0, np.inf], [np.nan, -0.0]]),
    "b": 0.1,
    "step": 3,
    "deep": {"er": {"mask": np.array([True, False]), "empty": np.zeros((0, 2))}},
}


def nested(depth):
    return {"deeper": nested(depth - 1)} if depth else 1.0


def assert_equal(x, y):
    if isinstance(x, dict):
        assert x.keys() == y.keys()
        for name in x:
            assert_equal(x[name], y[name])
    else:
        np.testing.assert_array_equal(x, y, strict=True)


def test_a_state_is_loaded_as_it_was_saved(tmp_path):
    pygrad.save(tmp_path / "state", STATE)
    loaded = pygrad.load(tmp_path / "state")
    assert_equal({**STATE, "b": np.array(0.1), "step": np.array(3)}, loaded)
    assert [file.name for file in tmp_path.iterdir()] == ["state"]


def test_a_model_and_its_optimizer_resume_exactly(tmp_path):
    def step(model, optimizer):
        optimizer.zero_grad()
        (model([1.0, 2.0]) ** 2).sum().backward()
        optimizer.step()

    model = nn.Linear(2, 2)
    optimizer = optim.Adam(model.parameters())
    step(model, optimizer)
    pygrad.save(str(tmp_path / "run.npz"), {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    step(model, optimizer)

    state = pygrad.load(str(tmp_path / "run.npz"))
    again = nn.Linear(2, 2)
    again.load_state_dict(state["model"])
    other = optim.Adam(again.parameters())
    other.load_state_dict(state["optimizer"])
    step(again, other)
    assert np.array_equal(again.weight.data, model.weight.data)


@pytest.mark.parametrize("fails", ["numpy.lib.format.write_array", "os.fsync", "os.replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, fails):
    path = tmp_path / "state.npz"
    pygrad.save(path, {"w": 1})

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fails, fail)
    with pytest.raises(OSError, match="No space left"):
        pygrad.save(path, {"w": 2})
    monkeypatch.undo()
    assert pygrad.load(path)["w"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_values_and_arrays_are_saved_by_their_numbers(tmp_path):
    w = pygrad.array([[1.0, 2.0], [3.0, 4.0]])
    pygrad.save(tmp_path / "w.npz", {"w": w, "inner": {"row": w[1], "v": w[0, 1], "computed": (w * w).sum()}})
    state = pygrad.load(tmp_path / "w.npz")
    assert state["w"].tolist() == [[1, 2], [3, 4]]
    assert {name: x.tolist() for name, x in state["inner"].items()} == {"row": [3, 4], "v": 2, "computed": 30}
    with pytest.raises(TypeError, match=r"a/ws must be made of numbers.*pygrad.array"):
        pygrad.save(tmp_path / "w.npz", {"a": {"ws": [w[0, 0], 1.0]}})


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"w": "text"}, TypeError),
        ({"w": [None]}, TypeError),
        ({"a/b": 1}, ValueError),
        ({"a\0b": 1}, ValueError),
        ({1: 1}, ValueError),
        (nested(33), ValueError),
        ({"x" * 70_000: 1}, ValueError),
        ({"x" * 40_000: {"y" * 40_000: 1}}, ValueError),
        ({"a": {}}, ValueError),
        ([1], TypeError),
    ],
)
def test_unsupported_objects_are_refused(tmp_path, state, error):
    with pytest.raises(error):
        pygrad.save(tmp_path / "state", state)
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kind_or_a_damaged_one_is_a_value_error(tmp_path):
    path = tmp_path / "state.npz"
    pygrad.save(path, {"w": np.arange(1000.0)})
    whole = path.read_bytes()
    for data in (
        b"",
        b"text",
        whole[:100],
        whole[:-10],
        whole.replace(b"NUMPY", b"NUMPI"),
        whole[:500] + b"?" + whole[501:],
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="not a file that"):
            pygrad.load(path)
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "objects.npz", x=np.array([None]))
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("x", "text")
    for name in ("array.npy", "objects.npz", "text.zip"):
        with pytest.raises(ValueError, match="not a file that"):
            pygrad.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        pygrad.load(tmp_path / "nothing.npz")


def test_a_name_may_be_any_other_text(tmp_path):
    state = {"file": 1, "allow_pickle": 2, "": 3, "größe": {"": 4, ".npy": 5}, "x" * 1000: 6, **nested(31)}
    pygrad.save(tmp_path / "state", state)
    assert_equal(state, pygrad.load(tmp_path / "state"))


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f2", "f4", ">f8", "g"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (0, 2, 0)])
def test_numbers_of_every_kind_come_back_writable(tmp_path, dtype, shape):
    numbers = np.asfortranarray(np.random.default_rng(0).integers(0, 2, shape)).astype(dtype)
    pygrad.save(tmp_path / "state", {"x": numbers})
    loaded = pygrad.load(tmp_path / "state")["x"]
    np.testing.assert_array_equal(loaded, numbers, strict=True)
    loaded[...] = 1


@long
def test_a_file_may_have_more_than_65535_arrays(tmp_path):
    state = {str(i): i for i in range(66_000)}
    pygrad.save(tmp_path / "state", state)
    assert pygrad.load(tmp_path / "state") == state


def test_numpy_reads_and_writes_these_files_too(tmp_path):
    pygrad.save(tmp_path / "ours.npz", {"w": np.ones(3), "deep": {"b": 2.0}})
    with np.load(tmp_path / "ours.npz") as theirs:
        assert theirs["w"].tolist() == [1.0] * 3
        assert theirs["deep/b"] == 2
    np.savez(tmp_path / "theirs.npz", w=np.ones(3))
    assert pygrad.load(tmp_path / "theirs.npz")["w"].tolist() == [1.0] * 3


# Hostile files ----------------------------------------------------------------------------------------------------


def load_bytes(path, data):
    path.write_bytes(data)
    return pygrad.load(path)


@pytest.mark.parametrize("state", [{"w": np.arange(6.0).reshape(2, 3), "größe": {"b": 1}}, {}])
def test_a_damaged_file_is_refused_or_loads_what_was_saved(tmp_path, state):
    pygrad.save(tmp_path / "state", state)
    whole = (tmp_path / "state").read_bytes()
    saved, refused = unpack(whole), 0
    for data in damaged(whole, random.Random(0), 1000):
        try:
            found = unpack(data)
        except ValueError:
            refused += 1
        else:
            assert_equal(saved, found)
    assert refused > share(len(whole))


ONE = npy("<f8", (1,), b"\0" * 8)
HOSTILE = {
    "a shape larger than the file": zipped({"x.npy": npy("<f8", (1 << 40,), b"")}),
    "a shape whose size overflows": zipped({"x.npy": npy("<f8", (1 << 61, 8), b"")}),
    "a shape that is no shape": zipped({"x.npy": npy("<f8", (1 << 70, 0), b"")}),
    "a shape of many sizes": zipped({"x.npy": npy("<f8", (1,) * 100, b"\0" * 8)}),
    "a smaller shape than there are numbers": zipped({"x.npy": npy("<f8", (1,), b"\0" * 16)}),
    "objects": zipped({"x.npy": npy("|O", (1,), b"\x80\x04N.")}),
    "a record": zipped({"x.npy": npy([("a", "<f8")], (1,), b"\0" * 8)}),
    "numbers of three bytes": zipped({"x.npy": npy("<f3", (1,), b"\0" * 3)}),
    "a header that is an expression": zipped({"x.npy": ONE.replace(b"(1,)", b"-~1,")}),
    "a header that is nested": zipped({"x.npy": ONE.replace(b"(1,)", b"(" * 500 + b")" * 500)}),
    "a header that does not end": zipped({"x.npy": ONE.replace(b"}", b" ")}),
    "a negative size": zipped({"x.npy": npy("<f8", (-1,), b"")}),
    "a zip bomb": zipped({"x.npy": npy("<f8", (1 << 20,), b"\0" * (1 << 23))}, zipfile.ZIP_DEFLATED),
    "no array": zipped({"x.npy": b""}),
    "another name": zipped({"x.txt": ONE}),
    "a folder": zipped({"x/": b""}),
    "an array in an array": zipped({"x.npy": ONE, "x/y.npy": ONE}),
    "an array in place of a folder": zipped({"x/y.npy": ONE, "x.npy": ONE}),
    "many folders": zipped({"/" * 30_000 + ".npy": ONE}),
    "two of a name": zipped([("x.npy", ONE), ("x.npy", ONE)]),
    "something before it": b"#!/bin/sh\n" + zipped({"x.npy": ONE}),
    "arrays that overlap": entries([f"{i}.npy" for i in range(1000)], 1 << 20),
    "many names for one array": entries(["x.npy"] * 60_000, 0),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_and_takes_no_more_memory_than_its_size_justifies(tmp_path, data, tracemalloc):
    (tmp_path / "x").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ValueError, match="not a file that"):
        pygrad.load(tmp_path / "x")
    _, peak = tracemalloc.get_traced_memory()
    assert peak < 32 * len(data) + 200_000


def test_a_large_file_takes_little_more_memory_than_twice_its_size(tmp_path, tracemalloc):
    pygrad.save(tmp_path / "x", {f"w{i}": np.zeros(100_000) for i in range(20)})
    tracemalloc.start()
    state = pygrad.load(tmp_path / "x")
    _, peak = tracemalloc.get_traced_memory()
    assert peak < 2.3 * sum(w.nbytes for w in state.values())


def test_a_directory_that_omits_members_is_refused(tmp_path):
    """The sizes at the end of a zip file have no checksum: a size of 0 makes any file look empty."""
    whole = bytearray(zipped({"x.npy": ONE}))
    at = whole.rindex(b"PK\5\6")
    struct.pack_into("<L", whole, at + 12, 0)
    assert zipfile.ZipFile(io.BytesIO(whole)).namelist() == []
    with pytest.raises(ValueError, match="does not begin with its first array"):
        load_bytes(tmp_path / "x", whole)
