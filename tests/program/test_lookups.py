"""Lookups in tables: they cost what is looked up, and give what the same keys give without compile."""

import itertools
import re

import numpy as np
import pytest

import pygrad
from pygrad import Value, array
from pygrad._parameters import node_ids, reached
from pygrad.program.graph import arrays_of
from support.compiled import BACKENDS

ROWS, COLUMNS, LOOKED_UP = 40, 3, 2
BATCHES = [1, 3, 64, 65, 700]  # the last ones add up more than the table has: each chunk has sums of its own


def rows(i, table, other, x):
    return ((table[i] * x).tanh() ** 2).sum()


def rows_and_head(i, table, other, x):
    """A tied embedding, which is read otherwise, too."""
    return ((table[i].sum(0) - table[0] * x) ** 2).sum() + (table @ other[0]).sum()


def overlapping(i, table, other, x):
    return (table[i] * table[:ROWS][i[::-1]] * table[::-1][i]).sum() * x


def computed(i, table, other, x):
    return ((table * other)[i].sin() * x).sum()


def computed_of_the_sample(i, table, other, x):
    return ((table * x)[i] * other[i]).sum() + (x * x) * other[i[0], 1]


def mixed(i, table, other, x):
    """Parameters, arguments, constants and what is computed, in one table."""
    return (array([table[0, 0], Value(5.0), x * x, other[0, 0], *table[1:ROWS, 1]])[i] * x).sum()


def by_row(i, table, other, x):
    return (table[i] * x).max(axis=1).sum()


FUNCTIONS = [rows, rows_and_head, overlapping, computed, computed_of_the_sample, mixed, by_row]


def graph(fn, i, table, other, x):
    """The value of one sample, and the gradients by two arrays and a number, by backward()."""
    arrays, number = (array(table), array(other)), Value(x)
    out = fn(pygrad.index(i), *arrays, number)
    out.backward()
    return float(out), arrays[0].grad.copy(), arrays[1].grad.copy(), number.grad


def of_batch(fn, i, table, other, x):
    samples = [graph(fn, ik, table, other, xk) for ik, xk in zip(i, x)]
    values, *gradients = ([sample[k] for sample in samples] for k in range(4))
    return np.array(values), sum(gradients[0]), sum(gradients[1]), np.array(gradients[2])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fn", FUNCTIONS)
def test_the_gradient_of_a_lookup_is_that_of_the_graph(fn, backend):
    rng = np.random.default_rng(0)
    table, other = rng.normal(size=(2, ROWS, COLUMNS))
    weights = array(table)
    example = pygrad.index([0] * LOOKED_UP)
    by_arguments = pygrad.compile(fn, example, table, other, 1.0, backend=backend)
    by_parameters = pygrad.compile(lambda i, b, x: fn(i, weights, b, x), example, other, 1.0, backend=backend)
    for batch in BATCHES:
        i, x = rng.integers(0, ROWS, (batch, LOOKED_UP)), rng.normal(size=batch)
        expected = of_batch(fn, i, table, other, x)
        value, (_, *gradients) = by_arguments.value_and_grad(i, table, other, x)
        for found, true in zip((value, *gradients), expected):
            np.testing.assert_allclose(found, true, rtol=1e-10, atol=1e-11)
        before = weights.grad = rng.normal(size=table.shape)
        value, (_, by_other, by_x) = by_parameters.value_and_grad(i, other, x)
        for found, true in zip((value, weights.grad - before, by_other, by_x), expected):
            np.testing.assert_allclose(found, true, rtol=1e-10, atol=1e-11)
        by_parameters.check_finite = True  # where the gradient is an array first
        weights.grad = 0.0
        by_parameters.value_and_grad(i, other, x)
        np.testing.assert_allclose(weights.grad, expected[1], rtol=1e-10, atol=1e-11)
        by_parameters.check_finite = False
    value, (_, *gradients) = by_arguments.value_and_grad(i[0], table, other, x[0])
    for found, true in zip((value, *gradients), graph(fn, i[0], table, other, x[0])):
        np.testing.assert_allclose(found, true, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [100, 5000])
@pytest.mark.parametrize("fn", FUNCTIONS)
def test_any_number_of_threads_gives_the_same_bits(fn, batch, backend):
    rng = np.random.default_rng(1)
    table, other = rng.normal(size=(2, ROWS, COLUMNS))
    weights = array(table)
    i, x = rng.integers(0, ROWS, (batch, LOOKED_UP)), rng.normal(size=batch)
    f = pygrad.compile(lambda i, b, x: fn(i, weights, b, x), pygrad.index(i[0]), other, 1.0, backend=backend)
    results = []
    for threads in (1, 2, 7):
        f.threads = threads
        weights.grad = 0.0
        _, gradients = f.value_and_grad(i, other, x)
        results.append([weights.grad.tobytes(), *(g.tobytes() for g in gradients[1:])])
    assert results[0] == results[1] == results[2]


def slots(f):
    """How many slots of one number, and of one a sample, the code for the newest kind of call has."""
    found = re.findall(r"(\d+) slots of one number \(s\), (\d+) of one a sample \(b\)", str(f))[-1]
    return int(found[0]), int(found[1])


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("fn", [rows, computed])
def test_a_sample_has_no_slots_for_the_elements_of_a_table(fn, batched):
    found = []
    for size in (10, 1000):
        table = np.ones((size, COLUMNS))
        f = pygrad.compile(fn, pygrad.index([0, 1]), table, table, 1.0)
        f.value_and_grad([[0, 1]] if batched else [0, 1], table, table, [1.0])
        found.append(slots(f)[1])
    assert found[0] == found[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_there_are_no_more_loops_for_a_longer_row(backend):
    found = []
    for columns in (3, 30):
        table = np.ones((ROWS, columns))
        f = pygrad.compile(lambda i, t: (t[i] ** 2).sum(), pygrad.index([0, 1]), table, backend=backend)
        f.value_and_grad([[0, 1]], table)
        code = str(f).partition("code for")[2]
        found.append([len(re.findall(f"= {op}.*{{", code)) for op in ("lookup", "scatter")])
    assert found[0] == found[1]
    assert found[0][1] == 1  # rows are added whole


@pytest.mark.parametrize("batch", BATCHES)
def test_a_gradient_reaches_those_parameters_that_are_looked_up(batch):
    rng = np.random.default_rng(2)
    values = [Value(x) for x in range(50)]
    f = pygrad.compile(lambda i, x: array(values)[i] * x, pygrad.index(0), 1.0)
    i = rng.choice([3, 7, 20], batch)
    f.value_and_grad(i, 0.0)  # by a gradient of 0, too
    assert set(np.flatnonzero(reached(node_ids(values), np.ones(50, np.uint32)))) == set(i)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", [None, 1, 65, 700])
@pytest.mark.parametrize("order", ["in order", "backward", "by column", "every other", "at random"])
def test_the_parameters_of_a_row_may_lie_anywhere(order, batch, backend):
    rng = np.random.default_rng(4)
    size = 1000, 5  # more elements than are looked up, and fewer, for the larger batches
    data, made = rng.normal(size=size), array(np.zeros((2 * size[0], size[1])))
    table = {
        "in order": made[: size[0]],
        "backward": made[: size[0]][::-1, ::-1],
        "by column": array(np.zeros(size[::-1])).T,
        "every other": made[::2],
        "at random": array(rng.permutation([v for row in made[: size[0]] for v in row]).reshape(size)),
    }[order]
    table.data = data
    i, before = rng.integers(0, size[0], (batch or 1, 7)), rng.normal(size=size)
    table.grad = before
    f = pygrad.compile(lambda i: (table[i] ** 2).sum(), pygrad.index(i[0]), backend=backend)
    value, _ = f.value_and_grad(i if batch else i[0])
    expected = before.copy()
    np.add.at(expected, i, 2 * data[i])
    np.testing.assert_allclose(value if batch else [value], (data[i] ** 2).sum((1, 2)), rtol=1e-12)
    np.testing.assert_allclose(table.grad, expected, rtol=1e-11, atol=1e-12)


def test_tangents_go_through_the_tables_that_have_some():
    rng = np.random.default_rng(3)
    table, w = rng.normal(size=(6, 2)), array(rng.normal(size=(6, 2)))
    f = pygrad.compile(lambda i, t, x: (t[i] * w[i]).sum() * x, pygrad.index([0, 0]), table, 1.0)
    i, direction = [4, 1], rng.normal(size=(6, 2))
    _, slope = f.jvp((i, table, 2.0), (None, direction, 0.5))
    expected = 2 * (direction[i] * w.data[i]).sum() + 0.5 * (table[i] * w.data[i]).sum()
    assert slope == pytest.approx(expected, rel=1e-12)
    assert f.jvp((i, table, 2.0), (None, 0 * direction, 1.0))[1] == pytest.approx((table[i] * w.data[i]).sum())


def test_a_lookup_reads_what_a_parameter_has_now():
    w = array([[1.0, 2.0], [3.0, 4.0]])
    f = pygrad.compile(lambda i: w[i].sum(), pygrad.index(0))
    assert f(1) == 7.0
    w.data = [[1.0, 2.0], [30.0, 4.0]]
    assert f([0, 1]).tolist() == [3.0, 34.0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("i", [0, 1, [0, 1, 0, 2], [0, 1, 2] * 100])
def test_a_pole_in_a_branch_that_is_not_taken_has_the_gradient_0(i, backend):
    table = np.array([0.0, 4.0, 0.25])
    w = array(table)
    expected = np.where(np.arange(3) == 1, 0.25, 0.0) * np.bincount(np.ravel(i), minlength=3)
    f = pygrad.compile(lambda i: w[i].sqrt().maximum(1.0), pygrad.index(0), backend=backend)
    w.grad = 1.0
    f.value_and_grad(i)
    assert w.grad.tolist() == (1 + expected).tolist()
    g = pygrad.compile(lambda i, t: (t * 1.0)[i].sqrt().maximum(1.0), pygrad.index(0), table, backend=backend)
    assert g.value_and_grad(i, table)[1][1].tolist() == expected.tolist()


@pytest.mark.parametrize("at_once", [True, False])
def test_tracing_an_embedding_takes_the_table_once(at_once, tracemalloc):
    rows, width, tokens = 2000, 4, 256
    table = pygrad.array(np.arange(rows * width, dtype=float).reshape(rows, width))

    def embed(i):
        return table[i].sum() if at_once else sum([table[i[k]].sum() for k in range(tokens)])

    example = pygrad.index(np.arange(tokens))
    tracemalloc.start()
    f = pygrad.compile(embed, example)
    peak = tracemalloc.get_traced_memory()[1]
    assert arrays_of(f._recorded.pg_program)["elements"].size == rows * width
    assert peak < 100 * (rows * width + tokens * width * 10)
    i = np.arange(tokens)[::-1] * 7
    assert f(i) == table.data[i].sum()


def test_a_table_may_be_indexed_along_any_of_its_axes_again_and_again():
    table = pygrad.array(np.arange(24.0).reshape(2, 3, 4))

    def look_up(i, j):
        return [table[i], table[i, :, 1], table[:, j], table[..., i], table[0].T[..., j], table[::-1][i, 2]]

    def expected(i, j):
        t = table.data
        return [t[i], t[i, :, 1], t[:, j], t[..., i], t[0].T[..., j], t[::-1][i, 2]]

    f = pygrad.compile(look_up, pygrad.index(0), pygrad.index(2))
    for i, j in itertools.product(range(2), range(3)):
        for ours, theirs in zip(f(i, j), expected(i, j)):
            np.testing.assert_array_equal(ours, theirs)
