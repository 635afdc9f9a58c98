"""A Program that was saved, pickled or copied computes the same bits, also in other processes."""

import concurrent.futures
import copy
import math
import multiprocessing
import pickle
import random
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Program, Value, nn
from pygrad._lib import lib
from support import with_cloudpickle
from support.compiled import bits
from support.effort import examples
from support.loops import LOOPS
from support.optimizations import WITHOUT, disabled
from support.programs import RECORDED, function, possible, programs
from support.saved import again, everything, leaves, rng


@examples(100)
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


def test_indices_and_their_limits_are_saved():
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


def test_structures_are_saved():
    def fn(x, y):
        keys = {"größe": x, 2: x * 2, 0.5: y[0], True: 1, None: y[1][1].sum()}
        return OrderedDict(a=keys, b=[x, (), [], {}, (x, [y[1][0]])], c=Pair(x, y[1][1]), d=np.zeros((2, 0, 3)))

    f = pygrad.compile(fn, 1.0, [1.0, ([2.0], np.ones((2, 3)))])
    g = again(f)
    one = 2.0, [3.0, ([4.0], np.full((2, 3), 5.0))]
    for args in one, (np.ones(3), [np.ones(3), ([np.ones(3)], np.ones((3, 2, 3)))]):
        ours, other = f(*args), g(*args)
        assert repr(other) == repr(ours)
    assert type(other["c"]) is Pair
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
def test_a_function_without_arguments_can_be_saved(fn):
    f = pygrad.compile(fn)
    assert repr(again(f)()) == repr(f())


def test_the_options_of_compile_are_saved():
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


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, again])
def test_the_loaded_program_has_its_own_parameters(how, no_leak):
    w, b = pygrad.array([1.0, 2.0]), Value(3.0)
    f = pygrad.compile(lambda x: (w * x).sum() + b, np.zeros(2))
    w.data[0] = 10.0
    f.value_and_grad([1.0, 1.0])
    g = how(f)
    assert g.parameters.data.tolist() == [10.0, 2.0, 3.0]
    assert g.parameters.grad.tolist() == [1.0, 1.0, 1.0]  # as in copies of Arrays
    g.parameters.grad = 0
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


def test_special_numbers_are_saved():
    w = pygrad.array([math.nan, math.inf, -0.0, 5e-324])
    f = pygrad.compile(lambda: [w, np.array([-math.nan, -math.inf, -0.0, 0.1])])
    assert [bits(x) for x in f()] == [bits(x) for x in again(f)()]


def test_a_loaded_program_can_be_trained_further(tmp_path):
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


@pytest.fixture(scope="module")
def model():
    random.seed(0)
    layers = nn.MLP(2, [4, 1])
    return pygrad.compile(lambda x: layers(x).tanh(), [0.0, 0.0])


BATCHES = list(rng.uniform(-1, 1, (8, 5, 2)))


def test_spawned_workers_compute_the_same(model):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert [bits(y) for y in pool.map(model, BATCHES)] == [bits(model(x)) for x in BATCHES]


@pytest.mark.parametrize("method", sorted({*multiprocessing.get_all_start_methods()} - {"fork"}))
def test_the_workers_of_an_executor_compute_the_same(model, method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert [bits(y) for y in pool.map(model, BATCHES)] == [bits(model(x)) for x in BATCHES]


@with_cloudpickle
def test_joblib_s_workers_compute_the_same(model):
    joblib = pytest.importorskip("joblib")
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(model)(x) for x in BATCHES)
    assert [bits(y) for y in found] == [bits(model(x)) for x in BATCHES]
    assert joblib.hash(model) == joblib.hash(again(model)) != joblib.hash(BATCHES)
