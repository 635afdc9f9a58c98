"""`pygrad.index`: a lookup in a Program gives what the same index selects without compile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Value, array
from pygrad import functional as F
from pygrad._lib import pypy
from support.effort import examples
from support.optimizations import WITHOUT, disabled

KEYS = {
    "a row": lambda i: i,
    "a row, and all of it": lambda i: (i, slice(None)),
    "a column": lambda i: (slice(None), i),
    "an element": lambda i: (i, 1),
    "of the last axis": lambda i: (..., i),
    "of the first, before an ellipsis": lambda i: (i, ...),
    "a new axis": lambda i: (None, i),
    "after a new axis": lambda i: (None, slice(1, 3), i),
    "beside another array": lambda i: (np.arange(2), i),
    "behind a mask": lambda i: (np.array([True, False, True, True]), i),
    "backwards": lambda i: (slice(None, None, -1), i),
}


def shapes_of(key):
    return [(2,)] if key == "beside another array" else [(3,)] if "mask" in key else [(), (2,), (2, 3)]


CASES = [(key, shape) for key in KEYS for shape in shapes_of(key)]


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize(("key", "shape"), CASES)
def test_a_lookup_gives_the_values_and_gradients_of_the_same_key_without_compile(key, shape, without):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(4, 4))
    table, x = array(data), rng.normal(size=(4, 4))
    weights = rng.normal(size=np.shape(data[KEYS[key](np.zeros(shape, dtype=int))]))

    def fn(i, x):
        return array(((table * x).tanh() + table)[KEYS[key](i)] * weights).sum()

    with disabled(without):
        f = pygrad.compile(fn, pygrad.index(np.zeros(shape, dtype=int)), x)
    for _ in range(3):
        i = rng.integers(0, 4, shape)
        table.grad = 0.0
        value, (none, by_x) = f.value_and_grad(i, x)
        by_table = table.grad.copy()
        table.grad = 0.0
        inputs = array(x)
        true = fn(pygrad.index(i), inputs)
        true.backward()
        assert none is None
        np.testing.assert_allclose(value, true.data, rtol=1e-13)
        np.testing.assert_allclose(by_x, inputs.grad, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(by_table, table.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("without", WITHOUT)
@pytest.mark.parametrize("batch", [1, 7, 64, 65, 300])
@examples(8)
@given(st.integers(0, 1 << 32), st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_batch_of_lookups_gives_each_sample_s_result(batch, without, seed, shared):
    rng = np.random.default_rng(seed)
    w = array(rng.normal(size=(5, 2)))

    def fn(i, j, x):
        scores = w @ x
        return F.cross_entropy(scores, j) * scores[i].sum() + (scores[i[0]] - w[i[1], 0]) ** 2

    with disabled(without):
        f = pygrad.compile(fn, pygrad.index([0, 0]), pygrad.index(0), np.zeros(2))
    args = [rng.integers(0, 5, (batch, 2)), rng.integers(0, 5, batch), rng.normal(size=(batch, 2))]
    args = [x[0] if s else x for x, s in zip(args, shared)]
    values, (_, _, by_x) = f.value_and_grad(*args)
    by_w = w.grad.copy()
    w.grad = 0.0
    samples = [[x if s else x[k] for x, s in zip(args, shared)] for k in range(1 if all(shared) else batch)]
    truths = []
    for i, j, x in samples:
        inputs = array(x)
        out = fn(pygrad.index(i), pygrad.index(j), inputs)
        out.backward()
        truths.append((out.item(), inputs.grad.copy()))
    np.testing.assert_allclose(np.ravel(values), [value for value, _ in truths], rtol=1e-12, atol=1e-13)
    true = [gradient for _, gradient in truths]
    np.testing.assert_allclose(by_x, sum(true) if shared[2] else true, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(by_w, w.grad, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("without", WITHOUT)
def test_a_table_may_mix_constants_parameters_and_arguments(without):
    w = Value(2.0)
    with disabled(without):
        f = pygrad.compile(lambda i, x: array([w * 3, 5.0, x * x, w])[i] * x, pygrad.index(0), 1.0)
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    values, (_, by_x) = f.value_and_grad([0, 1, 2, 3, 2], x)
    assert values.tolist() == [6.0, 10.0, 27.0, 8.0, 125.0]
    assert by_x.tolist() == [6.0, 5.0, 27.0, 2.0, 75.0]
    assert w.grad == 3 * 1 + 4
    assert f(3, 7.0) == 14


def test_embedding_and_cross_entropy_take_an_index():
    rng = np.random.default_rng(1)
    table, out = array(rng.normal(size=(6, 3))), array(rng.normal(size=(6, 3)))

    def loss(tokens, targets):
        return F.cross_entropy(F.linear(F.embedding(tokens, table), out), targets)

    f = pygrad.compile(loss, pygrad.index([0] * 4), pygrad.index([0] * 4))
    tokens, targets = [5, 0, 0, 2], [1, 1, 3, 5]
    value, grads = f.value_and_grad(tokens, targets)
    ours = table.grad.copy(), out.grad.copy()
    table.grad = out.grad = 0.0
    true = loss(tokens, targets)
    true.backward()
    assert grads == (None, None)
    np.testing.assert_allclose(value, true.item(), rtol=1e-13)
    np.testing.assert_allclose(ours[0], table.grad, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(ours[1], out.grad, rtol=1e-12, atol=1e-15)


def test_an_index_may_be_part_of_an_argument():
    f = pygrad.compile(lambda p: p[0][p[1]] * p[2][0], (np.zeros(3), pygrad.index(0), [1.0]))
    value, (by_p,) = f.value_and_grad(([1.0, 2.0, 3.0], 2, [10.0]))
    assert value == 30
    assert by_p[0].tolist() == [0.0, 0.0, 10.0]
    assert by_p[1:] == (None, [3.0])
    assert f((np.ones((2, 3)), [0, 1], [[1.0, 2.0]])).tolist() == [1.0, 2.0]
    with pytest.raises(IndexError, match=r"argument 0\[1\] must have indices between 0 and 2, got 3"):
        f(([1.0, 2.0, 3.0], 3, [10.0]))


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_adds_up_the_same(threads):
    table = array(np.linspace(0, 1, 7))
    f = pygrad.compile(lambda i: table[i].exp(), pygrad.index(0), threads=threads)
    i = np.random.default_rng(0).integers(0, 7, 5000)
    f.value_and_grad(i)
    np.testing.assert_allclose(table.grad, np.bincount(i) * np.exp(table.data), rtol=1e-11)


# Outside of a trace -----------------------------------------------------------------------------------------------


def test_an_index_outside_of_a_trace_selects_like_its_integers():
    x = array(np.arange(6.0).reshape(3, 2))
    i = pygrad.index([2, 0])
    assert np.array_equal(x[i].data, x.data[[2, 0]])
    assert np.array_equal(x[:, pygrad.index(1)].data, x.data[:, 1])
    assert x[pygrad.index(1), pygrad.index(0)].data == 2
    assert [1, 2, 3][pygrad.index(1)] == 2
    assert np.arange(5)[i].tolist() == [2, 0]
    assert (i.shape, i.ndim, i.size, len(i)) == ((2,), 1, 2, 2)
    assert [int(k.data) for k in i] == [2, 0]
    assert i.reshape(1, 2).ravel().data.tolist() == [2, 0]
    assert (i == [2, 1]).tolist() == [True, False]
    assert pygrad.index(i).data.tolist() == [2, 0]
    assert repr(i) == "Index([2, 0])"
    assert F.cross_entropy(x, pygrad.index([0, 1, 0])).data == F.cross_entropy(x, [0, 1, 0]).data


@pytest.mark.parametrize("x", [1.0, "1", [0.5], None, True, Value(1.0)])
def test_an_index_must_be_made_of_integers(x):
    with pytest.raises(TypeError, match="an index must be made of integers"):
        pygrad.index(x)


@pytest.mark.parametrize("x", [2**63, np.array([0, 2**64 - 1], np.uint64)])
def test_an_index_does_not_wrap_around(x):
    with pytest.raises(IndexError, match=r"an index must be at most 9223372036854775807, not \d+"):
        pygrad.index(x)
    with pytest.raises(IndexError, match="cross_entropy: an index must be at most"):
        F.cross_entropy(array(np.zeros((np.size(x), 3))).reshape(*np.shape(x), 3), x)


# Refusals ---------------------------------------------------------------------------------------------------------


def test_other_arguments_than_integers_in_range_are_refused():
    x = array(np.arange(4.0))
    f = pygrad.compile(lambda i: x[i].sum() + x[:3][i[0]], pygrad.index([0, 1]))
    assert f([2, 3]) == 7
    with pytest.raises(IndexError, match="argument 0 must have indices between 0 and 3, got 4"):
        f([0, 4])
    with pytest.raises(IndexError, match="argument 0 must have indices between 0 and 2, got 3"):
        f([[0, 0], [3, 0]])
    with pytest.raises(IndexError, match="got -1"):
        f([0, -1])
    with pytest.raises(TypeError, match="argument 0 must have integers for an index, got float64"):
        f([0.0, 1.0])
    with pytest.raises(ValueError, match=r"argument 0 must have shape \(2,\), or for a batch \(B, 2\)"):
        f([0, 1, 2])
    with pytest.raises(ValueError, match=r"shape \(\)"):
        f(0)


def test_an_unused_index_may_have_any_value():
    f = pygrad.compile(lambda i, x: x, pygrad.index(0), 1.0)
    assert f(10**6, 2.0) == 2
    assert f.value_and_grad(5, 2.0) == (2.0, (None, 1.0))


def test_the_number_of_a_traced_index_cannot_be_read():
    values = [Value(1.0), Value(2.0)]
    uses = {
        "a list": lambda i: values[i],
        "its data": lambda i: Value(float(i.data)),
        "a comparison": lambda i: Value(1.0 if i == 0 else 2.0),
        "an array": lambda i: Value(np.arange(3)[i]),
        "a loop": lambda i: sum(values[:i]),
    }
    message = "not known while a function is traced: index an Array with it"
    if pypy:  # where lists have messages of their own
        message += "|(list|slice) indices must be integers or"
    for use in uses.values():
        with pytest.raises(TypeError, match=message):
            pygrad.compile(use, pygrad.index(0))
    with pytest.raises(TypeError, match="only one traced index at a time"):
        pygrad.compile(lambda i: array(np.ones((2, 2)))[i, i], pygrad.index(0))
    with pytest.raises(IndexError):
        pygrad.compile(lambda i: array(np.ones(2))[i], pygrad.index(5))


def test_an_index_ends_with_its_trace():
    kept = []
    pygrad.compile(lambda i: (kept.append(i), Value(1.0))[1], pygrad.index(0))
    with pytest.raises(TypeError, match="after the trace that it belongs to"):
        array(np.ones(2))[kept[0]]


def test_lookups_leak_no_node(no_leak):
    table = array(np.arange(12.0).reshape(4, 3))
    f = pygrad.compile(lambda i: (table * 2)[i].sum(), pygrad.index(0))
    assert f.value_and_grad([0, 3])[0].tolist() == [6.0, 60.0]
    with pytest.raises(ZeroDivisionError):
        pygrad.compile(lambda i: 1 / table[i].sum() / 0, pygrad.index(0))
