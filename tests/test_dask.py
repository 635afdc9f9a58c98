"""pygrad.dask: the same numbers as calls, the same bits on every scheduler, errors with the place of the chunk."""

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from dask.base import tokenize
from dask.callbacks import Callback
from dask.task_spec import Alias
from hypothesis import given
from hypothesis import strategies as st

import pygrad
import pygrad.dask
from pygrad import Value
from support.compiled import bits, numbers, seeds
from support.effort import examples
from support.programs import RECORDED, function, possible, programs

LINE = pygrad.compile(lambda w, b, x: (w @ x + b).tanh(), np.ones(3), 0.0, np.ones(3))
MANY = pygrad.compile(lambda p, x: {"a": [p[0] * x, p[1][0]], "b": x.exp()}, [0.0, (np.zeros(2),)], np.ones(2))
EMBEDDING = pygrad.compile(lambda t, i, x: (t[i] * x).sum() ** 2, np.ones((4, 2)), pygrad.index(0), np.ones(2))

rng = np.random.default_rng(0)
W, X, WEIGHTS = rng.normal(size=3), rng.normal(size=(1000, 3)), rng.normal(size=1000)


@pytest.fixture(autouse=True, scope="module")
def _in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def chunked(x, size, rng):
    """A Dask array in chunks of random sizes of at most `size`."""
    cuts = np.unique(rng.integers(0, len(x), rng.integers(0, max(2, len(x) // size))))
    sizes = np.diff([0, *cuts, len(x)])
    return da.from_array(x, chunks=(tuple(sizes[sizes > 0].tolist()), *x.shape[1:]))


@examples(25)
@given(programs(RECORDED), numbers, seeds, st.sampled_from([1, 2, 7, 64]))
def test_the_results_are_those_of_a_call(steps, numbers, seed, batch):
    rng = np.random.default_rng(seed)
    fn = function(possible(steps[:20], numbers))
    f = pygrad.compile(lambda *args: fn(Value, list(args)), *numbers)
    args = [x if i and rng.random() < 0.3 else rng.uniform(-2, 2, batch) for i, x in enumerate(numbers)]
    weights = rng.uniform(-2, 2, batch)
    value, grads = f.value_and_grad(*args, cotangent=weights)
    lazy = [x if np.ndim(x) == 0 else chunked(x, 3, rng) for x in args]
    found, found_grads = dask.compute(*pygrad.dask.value_and_grad(f, *lazy, cotangent=weights))
    with np.errstate(all="ignore"):
        for ours, expected in zip([found, *found_grads], [value, *grads]):
            np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(pygrad.dask.value(f, *lazy).compute(), f(*args), rtol=1e-12)
        np.testing.assert_allclose(
            pygrad.dask.jacobian(f, *lazy)[0].compute(), f.jacobian(*args)[0], rtol=1e-9, atol=1e-9
        )


def test_chunks_that_differ_are_aligned():
    values, (by_w, by_b, by_x) = pygrad.dask.value_and_grad(
        LINE, W, da.from_array(WEIGHTS, chunks=300), da.from_array(X, chunks=(70, 2)), cotangent=0.5
    )
    assert values.shape == (1000,)
    assert by_x.shape == X.shape
    assert set(np.cumsum(values.chunks[0])) == {*range(70, 1001, 70), 300, 600, 900, 1000}
    expected, (of_w, of_b, of_x) = LINE.value_and_grad(W, WEIGHTS, X, cotangent=0.5)
    for ours, theirs in zip(dask.compute(values, by_w, by_b, by_x), (expected, of_w, of_b, of_x)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_structures_stay_structures():
    x = da.from_array(X[:, :2], chunks=(250, 2))
    p = [2.0, (da.from_array(X[:, 1:], chunks=(400, 2)),)]
    found = dask.compute(pygrad.dask.value(MANY, p, x))[0]
    expected = MANY([2.0, (X[:, 1:],)], X[:, :2])
    assert found.keys() == expected.keys()
    assert [bits(a) for a in [*found["a"], found["b"]]] == [bits(a) for a in [*expected["a"], expected["b"]]]
    slopes = dask.compute(pygrad.dask.jacobian(MANY, p, x))[0]
    theirs = MANY.jacobian([2.0, (X[:, 1:],)], X[:, :2])
    assert bits(slopes["a"][0][0][1][0]) == bits(theirs["a"][0][0][1][0])
    assert bits(slopes["b"][1]) == bits(theirs["b"][1])


def test_an_index_has_no_gradient():
    i = rng.integers(0, 4, 1000)
    table, ones = rng.normal(size=(4, 2)), np.ones(2)
    lazy = pygrad.dask.value_and_grad(EMBEDDING, table, da.from_array(i, chunks=100), ones)
    values, (by_table, by_index, by_x) = dask.compute(*lazy)
    expected, (of_table, none, of_x) = EMBEDDING.value_and_grad(table, i, ones)
    assert by_index is none is None
    assert bits(values) == bits(expected)
    np.testing.assert_allclose(by_table, of_table, rtol=1e-12)
    np.testing.assert_allclose(by_x, of_x, rtol=1e-12)


def test_shared_dask_arrays_and_batches_of_numpy_work():
    lazy = pygrad.dask.value(LINE, da.from_array(W, chunks=2), WEIGHTS, da.from_array(X, chunks=(300, 3)))
    assert bits(lazy.compute()) == bits(LINE(W, WEIGHTS, X))


def test_an_empty_batch_gives_zeros():
    lazy = pygrad.dask.value_and_grad(LINE, W, 0.0, da.zeros((0, 3), chunks=(5, 3)))
    values, (by_w, by_b, by_x) = dask.compute(*lazy)
    assert (values.shape, by_w.tolist(), by_b, by_x.shape) == ((0,), [0, 0, 0], 0, (0, 3))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10, 65, 100])
def test_the_gradient_by_what_is_shared_is_summed_in_a_tree(count):
    x = X[: 10 * count]
    lazy = pygrad.dask.value_and_grad(LINE, W, 0.0, da.from_array(x, chunks=(10, 3)))[1][0]
    parts = [LINE.value_and_grad(W, 0.0, part)[1][0] for part in np.split(x, count)]
    while len(parts) > 1:
        parts = [sum(parts[k : k + 2][1:], parts[k]) for k in range(0, len(parts), 2)]
    assert bits(lazy.compute()) == bits(parts[0])


def test_nothing_is_computed_before_it_is_asked_for():
    def fail(block):
        raise AssertionError("computed")

    x = da.from_array(X, chunks=(100, 3)).map_blocks(fail, dtype=float, meta=np.empty((0, 3)))
    lazy = pygrad.dask.value(LINE, W, 0.0, x)
    with pytest.raises(AssertionError, match="computed"):
        lazy.compute()


def test_equal_programs_have_equal_tokens():
    def f(x):
        return x**2

    assert tokenize(pygrad.compile(f, 1.0)) == tokenize(pygrad.compile(f, 1.0))
    assert tokenize(pygrad.compile(f, 1.0)) != tokenize(pygrad.compile(lambda x: x**3, 1.0))
    first, second = (pygrad.dask.value(pygrad.compile(f, 1.0), da.ones(10, chunks=5)) for _ in range(2))
    assert first.name == second.name


def graph_of(count):
    """The tasks of a mean and a gradient by what is shared, for chunks that are made on the workers."""
    x = da.map_blocks(block, chunks=((10,) * count, 3), dtype=float)
    values, (by_w, *_) = pygrad.dask.value_and_grad(LINE, W, 0.0, x)
    with Tasks() as tasks:
        dask.compute(values.mean(), by_w)
    return tasks.done


def block(block_id):
    return np.full((10, 3), float(block_id[0]))


class Tasks(Callback):
    """The tasks that the scheduler runs; an alias is none of them."""

    def __init__(self):
        super().__init__()
        self.done = []

    def _pretask(self, key, graph, state):
        if not isinstance(graph[key], Alias):
            self.done.append(graph[key])


def test_a_chunk_is_one_task_and_one_for_each_of_its_results():
    assert len(graph_of(256)) - len(graph_of(128)) <= 3.5 * 128  # an eighth of a sum, and means in groups of their own


class Counted:
    """A block that counts how often it is made."""

    def __init__(self):
        self.times = 0

    def __call__(self, block):
        self.times += 1
        return block


ASKED = [  # what is asked for, how often a chunk is made
    (lambda value, by_w: dask.compute(value, by_w), 1),
    (lambda value, by_w: dask.compute(*dask.persist(value, by_w)), 1),
    (lambda value, by_w: dask.compute(dask.delayed([value, by_w])), 1),
    (lambda value, by_w: (value.compute(), by_w.compute()), 2),
    (lambda value, by_w: dask.compute(*dask.optimize(value, by_w)), 2),
]


@pytest.mark.parametrize(("ask", "times"), ASKED)
def test_a_chunk_runs_once_for_all_results_that_are_computed_together(ask, times):
    made = Counted()
    x = da.from_array(X, chunks=(100, 3)).map_blocks(made, dtype=float, meta=np.empty((0, 3)))
    value, (by_w, *_) = pygrad.dask.value_and_grad(LINE, W, 0.0, x)
    ask(value, by_w)
    assert made.times == 10 * times


def test_no_task_grows_with_the_number_of_chunks():
    few, many = ([len(pickle.dumps(task)) for task in graph_of(count) if task.dependencies] for count in (64, 512))
    assert max(many) < max(few) + 100


def test_the_program_is_one_object_in_the_graph():
    lazy = pygrad.dask.value(LINE, W, 0.0, da.from_array(X, chunks=(10, 3)))
    assert sum(key.startswith("Program-") for key in lazy.dask if isinstance(key, str)) == 1


SLOPE = Value(2.0)
BATCH = da.from_array(X, chunks=(300, 3))


def misdeclared(made):
    """A batch of which the fifth block has another shape than declared."""
    return da.map_blocks(
        lambda block_id: np.ones(made if block_id[0] == 4 else (100, 3)),
        chunks=((100,) * 10, 3),
        dtype=float,
        meta=np.empty((0, 3)),
    )


MADE = [  # the block, the message
    ((100, 2), r"argument 2 must have shape \(3,\)"),
    ((100,), r"argument 2 must have shape \(3,\)"),
    ((100, 3, 1), r"argument 2 must have shape \(3,\)"),
    ((50, 3), r"a block of shape \(50, 3\), where it declares \(100, 3\)"),  # a batch for a call
    ((0, 3), r"a block of shape \(0, 3\), where it declares \(100, 3\)"),
    ((3,), r"a block of shape \(3,\), where it declares \(100, 3\)"),  # one sample for a call
    ((), r"a block of shape \(\), where it declares \(100, 3\)"),
]
REFUSED = [
    (lambda: pygrad.dask.value(lambda x: x, BATCH), TypeError, "takes what pygrad.compile returns, got 'function'"),
    (
        lambda: pygrad.dask.value(pygrad.compile(lambda x: SLOPE * x, 1.0), BATCH),
        TypeError,
        r"has 1 parameters, .* pass f\.pure\(\), and f\.parameters\.data",
    ),
    (lambda: pygrad.dask.value(LINE, W, 0.0, X), ValueError, "needs a batch: a Dask array with one more leading axis"),
    (lambda: pygrad.dask.value(LINE, W, 0.0), TypeError, r"takes 3 arguments .* got 2"),
    (lambda: pygrad.dask.value(LINE, W, 0.0, BATCH[:, :2]), ValueError, r"argument 2 must have shape \(3,\)"),
    (lambda: pygrad.dask.value(LINE, W, "b", BATCH), TypeError, "argument 1 must consist of real numbers"),
    (lambda: pygrad.dask.value(LINE, W, 0.0, BATCH.astype(complex)), TypeError, "argument 2 must consist of real"),
    (lambda: pygrad.dask.value(LINE, W, WEIGHTS[:10], BATCH), ValueError, "argument 1 is a batch of 10"),
    (lambda: pygrad.dask.value(LINE, W, 0.0, BATCH[BATCH[:, 0] > 0]), ValueError, "call compute_chunk_sizes"),
    (lambda: pygrad.dask.value_and_grad(MANY, [0.0, (W[:2],)], BATCH[:, :2]), TypeError, "one scalar result"),
    (lambda: pygrad.dask.value_and_grad(LINE, W, 0.0, BATCH, cotangent=W), ValueError, "cotangent is a batch of 3"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused_at_the_call(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_an_error_has_the_message_of_the_call_and_the_place_of_the_chunk():
    f = pygrad.compile(lambda x: x.log(), 1.0, check_finite=True)
    x = np.ones(1000)
    x[456] = 0.0
    with pytest.raises(
        FloatingPointError, match=r"a result of <lambda> is -inf, at \[56\]: log\(0.0\) is -inf"
    ) as caught:
        pygrad.dask.value(f, da.from_array(x, chunks=100)).compute()
    assert caught.value.__notes__ == ["in chunk 4, samples 400 to 499"]


@pytest.mark.parametrize("call", [pygrad.dask.value, pygrad.dask.value_and_grad, pygrad.dask.jacobian])
@pytest.mark.parametrize(("made", "words"), MADE)
def test_a_block_of_another_shape_than_declared_is_an_error(made, words, call):
    lazy = call(LINE, W, 0.0, misdeclared(made))
    with pytest.raises(ValueError, match=words) as caught:
        dask.compute(lazy, scheduler="threads", num_workers=2)
    assert caught.value.__notes__ == ["in chunk 4, samples 400 to 499"]


def test_a_shared_array_that_turns_out_to_be_a_batch_is_an_error():
    w = da.map_blocks(lambda: np.ones((100, 3)), chunks=((3,),), dtype=float, meta=np.empty(0))
    by_w, *_ = pygrad.dask.value_and_grad(LINE, w, 0.0, BATCH)[1]
    with pytest.raises(ValueError, match=r"a block of shape \(100, 3\), where it declares \(3,\)"):
        by_w.compute()


@pytest.mark.parametrize("made", [(100, 2), (100,), (100, 3, 1)])
def test_a_wrong_shape_of_samples_has_the_message_of_the_call(made):
    with pytest.raises(ValueError, match="argument 2") as local:
        LINE(W, 0.0, np.ones(made))
    with pytest.raises(ValueError, match="argument 2") as caught:
        pygrad.dask.value(LINE, W, 0.0, misdeclared(made)).compute()
    assert str(caught.value) == str(local.value)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_a_scheduler_gives_the_same_bits(scheduler):
    lazy = pygrad.dask.value_and_grad(LINE, W, 0.0, BATCH)
    expected = dask.compute(*lazy)
    found = dask.compute(*lazy, scheduler=scheduler, num_workers=2)
    assert [bits(x) for x in [found[0], *found[1]]] == [bits(x) for x in [expected[0], *expected[1]]]
