"""Pure Programs: the parameters are the first argument."""

import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Program, Value, nn
from pygrad.program import native
from support import live_nodes, on_cpython
from support.compiled import BATCHES, bits, numbers, seeds
from support.effort import examples
from support.programs import RECORDED, function, possible, programs
from support.saved import ARGUMENTS, again, everything


@on_cpython("PyPy computes x ** 2 as x * x")
@examples(100)
@given(
    programs(RECORDED),
    numbers,
    st.lists(st.floats(-2, 2), min_size=1, max_size=3),
    seeds,
    st.sampled_from([None, *BATCHES]),
)
def test_a_pure_program_gives_the_same_bits(steps, numbers, parameters, seed, batch):
    random.seed(seed)
    fn = function(possible(steps[:40], numbers + parameters))
    leaves = [Value(x) for x in parameters]
    rng = np.random.default_rng(seed)
    f = pygrad.compile(lambda *args: fn(Value, [*args, *leaves]) + leaves[0], *numbers)
    args = [x if batch is None or rng.random() < 0.3 else rng.uniform(-2, 2, batch) for x in numbers]
    value, grads = f.value_and_grad(*args)
    of_pure, (by_parameters, *others) = f.pure().value_and_grad(f.parameters.data, *args)
    assert [bits(x) for x in [of_pure, *others]] == [bits(x) for x in [value, *grads]]
    assert bits(by_parameters + 0.0) == bits(f.parameters.grad)  # as 0.0 + -0.0 is 0.0


def test_it_reads_no_value_and_changes_no_grad():
    w = pygrad.array([1.0, 2.0])
    f = pygrad.compile(lambda x: (w * x).sum(), np.zeros(2))
    pure = f.pure()
    value, (by_w, by_x) = pure.value_and_grad([3.0, 4.0], [5.0, 6.0])
    assert (value, by_w.tolist(), by_x.tolist()) == (39.0, [5.0, 6.0], [3.0, 4.0])
    assert w.grad.tolist() == [0.0, 0.0]
    w.data = 100.0
    assert pure([3.0, 4.0], [5.0, 6.0]) == 39.0
    assert pure.parameters.size == 0


def test_the_order_is_that_of_the_parameters():
    a, b = Value(2.0), Value(3.0)
    f = pygrad.compile(lambda x: b * x + 10 * a, 1.0)
    _, (by_parameters, _) = f.pure().value_and_grad(f.parameters.data, 7.0)
    f.value_and_grad(7.0)
    assert by_parameters.tolist() == f.parameters.grad.tolist()


def test_a_program_without_parameters_is_pure():
    f = pygrad.compile(lambda x: 2 * x, 1.0)
    assert f.pure() is f


def test_a_batch_of_parameters_gives_gradients_per_sample():
    w = pygrad.array([0.5, -1.0])
    f = pygrad.compile(lambda x: (w @ x).tanh(), np.zeros(2))
    rng = np.random.default_rng(0)
    ws, x = rng.normal(size=(9, 2)), [1.0, 2.0]
    values, (by_w, _) = f.pure().value_and_grad(ws, x)
    for sample, value, gradient in zip(ws, values, by_w):
        w.data, w.grad = sample, 0.0
        assert (value, gradient.tolist()) == (f.value_and_grad(x)[0], w.grad.tolist())


def test_every_method_works_on_it(small, tmp_path):
    pure = small.pure()
    args = [small.parameters.data, *ARGUMENTS]
    assert pure(*args) == small(*ARGUMENTS)
    assert everything(again(pure), *args) == everything(pure, *args)
    pure.save(tmp_path / "pure.npz")
    assert everything(Program.load(tmp_path / "pure.npz"), *args) == everything(pure, *args)
    pure.to_c(tmp_path / "pure.c")
    assert re.search(r"PARAMETERS\W+0\b|PARAMETERS = 0", (tmp_path / "pure.c").read_text())
    assert type(pure) is type(small)
    by_parameters = pure.hessian(*args)[0][0]
    np.testing.assert_array_equal(by_parameters, by_parameters.T)
    np.testing.assert_allclose(pure.jacobian(*args)[0], pure.value_and_grad(*args)[1][0], rtol=1e-12)


def test_the_settings_are_kept():
    w = Value(2.0)
    f = pygrad.compile(lambda x: w * x.log(), 1.0, threads=2, check_finite=True, backend="auto").pure()
    assert (f.threads, f.check_finite, f.backend) == (2, True, "auto")
    with pytest.raises(FloatingPointError, match="log"):
        f([2.0], 0.0)


def test_it_holds_no_node(no_leak):
    leaves = [Value(2.0)]
    pure = pygrad.compile(lambda x: leaves[0] * x, 1.0).pure()
    leaves.clear()
    before = live_nodes()
    assert (pure([2.0], 3.0), live_nodes()) == (6.0, before)


@pytest.mark.skipif(native.compiler() is None, reason="there is no C compiler")
@pytest.mark.parametrize("batch", [None, 70])
def test_native_code_runs_it(batch, tmp_path, monkeypatch):
    monkeypatch.setenv("PYGRAD_CACHE_DIR", str(tmp_path))
    model = nn.MLP(2, [4, 1])
    f = pygrad.compile(lambda x: model(x).tanh(), np.zeros(2), backend="native")
    x = np.random.default_rng(0).normal(size=(2,) if batch is None else (batch, 2))
    value, (by_x,) = f.value_and_grad(x)
    of_pure, (by_parameters, by_its_x) = f.pure().value_and_grad(f.parameters.data, x)
    np.testing.assert_allclose(of_pure, value, rtol=1e-12)
    np.testing.assert_allclose(by_its_x, by_x, rtol=1e-12)
    np.testing.assert_allclose(by_parameters, f.parameters.grad, rtol=1e-12)


def test_all_derivatives_by_parameters_are_those_of_the_pure_function():
    w = pygrad.array([0.5, -1.5])
    f = pygrad.compile(lambda x: (w[0] * x.exp() + w[1] * w[0] * x) ** 2, 1.0)
    g = pygrad.compile(lambda w, x: (w[0] * x.exp() + w[1] * w[0] * x) ** 2, np.zeros(2), 1.0).pure()
    data, x, direction = f.parameters.data, 0.75, np.array([1.0, -2.0])
    pure = f.pure()
    for ours, theirs in [
        (pure.jacobian(data, x), g.jacobian(data, x)),
        (pure.hessian(data, x)[0], g.hessian(data, x)[0]),
        (pure.jvp((data, x), (direction, 0.0)), g.jvp((data, x), (direction, 0.0))),
        (pure.hvp((data, x), (direction, 0.0)), g.hvp((data, x), (direction, 0.0))),
    ]:
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a, b)
    assert pygrad.gradcheck(f, x)
