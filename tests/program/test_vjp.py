"""Program.vjp: the gradient of functions with several results."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Value
from support.compiled import numbers, seeds, some
from support.effort import examples
from support.programs import RECORDED, agree, expected, function, possible, programs


@examples(40)
@given(programs(RECORDED), numbers, seeds, st.sampled_from([None, 1, 7, 65]))
def test_it_is_the_reference_s_gradient_times_the_cotangents(steps, primals, seed, batch):
    rng = np.random.default_rng(seed)
    fn = function(possible(steps[:40], primals))
    f = pygrad.compile(lambda *args: {"twice": [fn(Value, args) * 2], "first": args[0] * 1}, *primals)
    args = [x if batch is None else some(x, batch, rng) for x in primals]
    weights = rng.uniform(-1, 1, (2,) if batch is None else (2, batch))
    results, gradients = f.vjp(args, {"twice": [weights[0]], "first": weights[1]})
    assert str(results) == str(f(*args))
    for k in range(1 if batch is None else batch):
        sample = [float(np.ravel(x)[k]) for x in args]
        truth = expected(fn, sample, 2 * np.ravel(weights[0])[k])
        if truth is None or not np.isfinite(truth[0]).all():
            continue
        (_, *slopes), (_, *off) = truth
        for i, (gradient, slope, error) in enumerate(zip(gradients, slopes, off)):
            plus = np.ravel(weights[1])[k] if i == 0 else 0.0
            agree(np.ravel(gradient)[k], slope + plus, error + 1e-12 * (abs(slope) + abs(plus)))


@pytest.mark.parametrize("backend", ["kernels", "native"])
@pytest.mark.parametrize("batch", [None, 5])
def test_it_is_the_cotangents_times_the_jacobian(batch, backend):
    f = pygrad.compile(lambda x, y: (x @ y, x.exp()), np.ones((2, 3)), np.ones(3), backend=backend)
    rng = np.random.default_rng(0)
    lead = () if batch is None else (batch,)
    x, y, u, v = (rng.uniform(-1, 1, (*lead, *shape)) for shape in [(2, 3), (3,), (2,), (2, 3)])
    _, (by_x, by_y) = f.vjp((x, y), (u, v))
    (ux, uy), (vx, vy) = f.jacobian(x, y)
    np.testing.assert_allclose(by_x, np.einsum("...i,...ijk", u, ux) + np.einsum("...ij,...ijkl", v, vx), 1e-12)
    np.testing.assert_allclose(by_y, np.einsum("...i,...ij", u, uy) + np.einsum("...ij,...ijk", v, vy), 1e-12)


def test_a_shared_argument_and_parameters_get_the_sum_over_the_samples():
    w = Value(2.0)
    f = pygrad.compile(lambda x, y: [w * x, x * y], 1.0, 1.0)
    assert str(f.vjp(([1.0, 2.0], 3.0), [[1.0, 10.0], 1.0])[1]) == str((np.array([5.0, 23.0]), 3.0))
    assert w.grad == 1 * 1 + 10 * 2


def test_one_result_has_the_gradient_of_value_and_grad():
    f = pygrad.compile(lambda x: (x * x).sum(), np.zeros(3))
    value, (gradient,) = f.vjp(([1.0, 2.0, 3.0],), 0.5)
    assert value == 14
    assert gradient.tolist() == f.value_and_grad([1.0, 2.0, 3.0], cotangent=0.5)[1][0].tolist() == [1, 2, 3]


def test_arguments_are_in_the_order_of_the_function_s_parameters_however_they_are_passed():
    f = pygrad.compile(lambda x, *, cotangents, y=3.0: [x * y, cotangents], 1.0, cotangents=1.0, y=3.0)
    assert f.vjp((2.0, 5.0, 3.0), [1.0, 10.0]) == ([6.0, 5.0], (3.0, 10.0, 2.0))


def test_an_index_has_no_gradient():
    f = pygrad.compile(lambda table, i: [table[i], table[0]], np.zeros(3), pygrad.index(1))
    _, (by_table, by_index) = f.vjp(([1.0, 2.0, 3.0], 2), [10.0, 1.0])
    assert by_table.tolist() == [1, 0, 10]
    assert by_index is None


def test_it_follows_the_settings_of_the_program():
    f = pygrad.compile(lambda x: [x.sqrt(), x * 2], 1.0)
    assert f.vjp((0.0,), [1.0, 1.0])[1] == (np.inf,)
    f.check_finite, f.threads = True, 2
    with pytest.raises(FloatingPointError, match=r"the gradient by argument 0 of .* is inf"):
        f.vjp((0.0,), [1.0, 1.0])
    assert f._weighted.threads == 2


@pytest.mark.parametrize(
    ("primals", "cotangents", "error", "message"),
    [
        (1.0, [1.0, 1.0], TypeError, "primals must be a tuple with one entry for each argument, got 'float'"),
        ((1.0, 2.0), [1.0, 1.0], TypeError, "takes 1 argument"),
        ((1.0,), [1.0], ValueError, "argument cotangents must have the structure"),
        ((1.0,), [1.0, [[1.0]]], ValueError, r"argument cotangents\[1\] must have shape"),
        ((1.0,), ["a", 1.0], (TypeError, ValueError), "cotangents"),
    ],
)
def test_what_does_not_fit_is_refused(primals, cotangents, error, message):
    w = Value(2.0)
    f = pygrad.compile(lambda x: [w * x, x * x], 1.0)
    with pytest.raises(error, match=message):
        f.vjp(primals, cotangents)
    assert w.grad == 0


def test_a_function_without_results_is_refused():
    with pytest.raises(TypeError, match=r"vjp\(\) needs a function with a result; .* returns \(\)"):
        pygrad.compile(lambda x: (), 1.0).vjp((1.0,), ())


@pytest.mark.parametrize("backend", ["kernels", "native"])
def test_a_path_ends_at_a_cotangent_of_0(backend):
    f = pygrad.compile(lambda x, y: [x.sqrt(), x * y, y.log()], 1.0, 1.0, backend=backend)
    assert f.vjp((0.0, 2.0), [0.0, 1.0, 0.0])[1] == (2.0, 0.0)
    assert f.vjp((0.0, 0.0), [0.0, 1.0, 0.0])[1] == (0.0, 0.0)
    assert f.vjp(([0.0, 4.0], 2.0), [[0.0, 1.0], 1.0, 0.0])[1][0].tolist() == [2.0, 2.25]
    assert np.isnan(f.vjp((1.0, 1.0), [np.nan, 1.0, 1.0])[1][0])
    f.check_finite = True
    with pytest.raises(FloatingPointError, match="a result of"):
        f.vjp((1.0, 0.0), [0.0, 1.0, 0.0])
