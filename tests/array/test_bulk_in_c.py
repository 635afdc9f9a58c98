"""The bulk builders and holders of csrc/python/arrays.c do what their twins in Python do, and refuse other arrays."""

import gc
import itertools
import weakref

import numpy as np
import pytest

import pygrad
from pygrad import _bulk
from pygrad._lib import OPS, fast, lib
from pygrad.array import built
from support import live_nodes

pytestmark = pytest.mark.skipif(fast is None, reason="there are no C types here")

ADD, MUL, EXP, LOG = OPS["+", 2], OPS["*", 2], OPS["exp", 1], OPS["log", 1]


def numbers(*shape):
    return np.random.default_rng(len(shape)).uniform(0.5, 1.5, shape)


def both(name, make):
    """The data that the builder in C and its twin in Python make."""
    found = []
    for builder in (getattr(fast, name), getattr(_bulk, f"_{name}")):
        out, call = make()
        status, holder = call(builder, out)
        assert (holder is None) == (status < 0)
        holder = holder.item() if isinstance(holder, np.ndarray) else holder  # that of Python
        found.append((status, built(status, holder, out, str).data if status >= 0 else out.flat[0]))
    return found


LAYOUTS = {
    "in C order": lambda ids: ids,
    "transposed": lambda ids: ids.T,
    "every other": lambda ids: ids[::2, ::-1],
    "repeated": lambda ids: np.broadcast_to(ids[0], (4, *ids[0].shape)),
    "empty": lambda ids: ids[:0],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_builders_in_c_are_those_in_python(layout, no_leak):
    x, y = pygrad.array(numbers(6, 4)), pygrad.array(numbers(6, 4) + 1)
    a, b = layout(x._ids), layout(y._ids)
    n = a.shape[-1]

    def of(shape, call):
        return lambda: (np.empty(shape, np.uint32), call)

    calls = {
        "map_unary": of(a.shape, lambda f, out: f(EXP, a, out)),
        "map_binary": of(a.shape, lambda f, out: f(MUL, a, b, out)),
        "map_number": of(a.shape, lambda f, out: f(lib.PG_DIVIDE_INTO, a, 3.5, False, out)),
        "reduce": of(a.shape[:-1], lambda f, out: f(ADD, n, a, out)),
        "softmax": of(a.shape, lambda f, out: f(n, a, out)),
        "log_softmax": of(a.shape, lambda f, out: f(n, a, out)),
        "rms_norm": of(a.shape, lambda f, out: f(n, a, b[0] if len(b) else None, 1e-5, out)),
        "cross_entropy": of(a.shape[:-1], lambda f, out: f(n, a, np.ones(out.shape, np.uint32), out)),
        "matmul": of((len(a), len(b)), lambda f, out: f(len(a), n, len(b), a, n, 1, b, 1, n, None, out)),
    }
    for name, make in calls.items():
        (status, in_c), (expected, in_python) = both(name, make)
        assert status == expected, name
        assert in_c.tobytes() == in_python.tobytes(), name


def test_a_builder_in_c_that_fails_says_at_which_element(no_leak):
    x = pygrad.array([1.0, 2.0, -1.0])
    (status, at), expected = both("map_unary", lambda: (np.empty(3, np.uint32), lambda f, out: f(LOG, x._ids, out)))
    assert (status, at) == expected == (lib.PG_DOMAIN, 2)


def test_leaves_in_c_are_those_in_python(no_leak):
    arrays = [numbers(6, 4), numbers(6, 4).T, numbers(3)[::-1], np.float64(2.0).reshape(()), numbers(0)]
    for data, plain in itertools.product(arrays, [False, True]):
        (status, in_c), (expected, in_python) = both(
            "leaves",
            lambda data=data, plain=plain: (np.empty(data.shape, np.uint32), lambda f, out: f(plain, data, out)),
        )
        assert status == expected == 0
        assert in_c.tobytes() == in_python.tobytes() == np.ascontiguousarray(data).tobytes()


WRONG = {
    "a list": [1],
    "signed": np.zeros(3, np.int32),
    "64 bits": np.zeros(3, np.uint64),
    "floats": np.zeros(3),
    "objects": np.zeros(3, object),
    "another byte order": np.zeros(3, np.dtype(np.uint32).newbyteorder()),
    "None": None,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_no_array_of_ids_is_refused(wrong, no_leak):
    x = pygrad.array([1.0, 2.0, 3.0])
    out = np.empty(3, np.uint32)
    for call in (
        lambda: fast.map_unary(EXP, wrong, out),
        lambda: fast.map_unary(EXP, x._ids, wrong),
        lambda: fast.hold_all(wrong),
    ):
        with pytest.raises((TypeError, AttributeError)):
            call()


def test_arrays_of_other_sizes_are_refused():
    x = pygrad.array([1.0, 2.0, 3.0])
    two, three = np.empty(2, np.uint32), np.empty(3, np.uint32)
    read_only = np.empty(3, np.uint32)
    read_only.flags.writeable = False
    for call in (
        lambda: fast.map_unary(EXP, x._ids, two),
        lambda: fast.map_binary(MUL, x._ids, x._ids[:2], three),
        lambda: fast.map_number(MUL, x._ids, 1.0, False, two),
        lambda: fast.reduce(ADD, 2, x._ids, np.empty((), np.uint32)),
        lambda: fast.matmul(1, 3, 1, x._ids, 3, 1, x._ids, 1, 1, x._ids, np.empty(1, np.uint32)),
        lambda: fast.rms_norm(3, x._ids, x._ids[:2], 0.0, three),
        lambda: fast.leaves(False, np.zeros(3), two),
    ):
        with pytest.raises(ValueError, match="sizes"):
            call()
    for call in (
        lambda: fast.map_unary(EXP, x._ids, read_only),
        lambda: fast.map_unary(EXP, x._ids, np.empty(6, np.uint32)[::2]),
        lambda: fast.map_unary(EXP, x._ids),
        lambda: fast.map_number(MUL, x._ids, "1", False, three),
    ):
        with pytest.raises(TypeError):
            call()


def test_a_holder_releases_its_nodes_and_keeps_its_array_of_ids():
    before = live_nodes()
    ids = np.empty(3, np.uint32)
    status, holder = fast.leaves(False, np.zeros(3), ids)
    assert status == 0
    assert holder.ids is ids
    assert holder.leaves
    assert not gc.is_tracked(holder)
    gone = weakref.ref(ids)
    del ids
    assert gone() is not None
    assert live_nodes() == before + 3
    del holder
    assert gone() is None
    assert live_nodes() == before
    with pytest.raises(TypeError):
        type(pygrad.array([1.0])._holder)()


def test_without_memory_for_a_holder_no_node_leaks(no_leak):
    x = pygrad.array([1.0, 2.0, 3.0])
    calls = [x.exp, lambda: x + x, lambda: x @ x, lambda: pygrad.array(np.ones(3)), lambda: x[[0, 1]]]
    calls += [lambda: pygrad.functional.softmax(x), lambda: pygrad.functional.cross_entropy(x, 0)]
    try:
        for call in calls:
            fast.test_fail_objects(0)
            with pytest.raises(MemoryError):
                call()
            fast.test_fail_objects(-1)
            call()
    finally:
        fast.test_fail_objects(-1)
