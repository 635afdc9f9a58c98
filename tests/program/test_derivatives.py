"""`jvp`, `jacobian`, `hvp` and `hessian` of a Program, compared with the reference."""

import random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import pygrad
from pygrad import Value, nn, reference
from pygrad._lib import lib
from support import on_cpython
from support.compiled import numbers, seeds, some, tangent_of_gradient
from support.effort import examples
from support.optimizations import WITHOUT, disabled
from support.programs import RECORDED, SMOOTH, agree, expected, function, possible, programs

moderate = st.floats(0.1, 2) | st.floats(-2, -0.1)


# First derivatives ------------------------------------------------------------------------------------------------


@on_cpython("PyPy computes x ** 2 as x * x")
@pytest.mark.parametrize("without", WITHOUT)
@examples(40)
@given(programs(RECORDED), numbers, seeds, st.sampled_from([None, 1, 7, 65]))
def test_jvp_is_the_reference_s_gradient_times_the_tangent(without, steps, primals, seed, batch):
    random.seed(seed)
    rng = np.random.default_rng(seed)
    steps = possible(steps[:40], primals)
    fn = function(steps)
    with disabled(without):
        f = pygrad.compile(lambda *args: fn(Value, args), *primals)
    args = [x if batch is None or rng.random() < 0.3 else some(x, batch, rng) for x in primals]
    tangents = [rng.uniform(-1, 1, None if batch is None or rng.random() < 0.3 else batch) for _ in primals]
    values, directions = f.jvp(args, tangents)
    shape = np.broadcast_shapes(*(np.shape(x) for x in [*args, *tangents]))
    assert np.shape(values) == np.shape(directions) == shape
    samples = np.array([np.broadcast_to(x, shape).ravel() for x in [*args, *tangents]]).T
    for sample, value, direction in zip(samples.tolist(), np.ravel(values), np.ravel(directions)):
        truth = expected(fn, sample[: len(primals)], 1.0)
        if truth is None or not np.isfinite(truth[0]).all():
            continue
        (y, *gradient), (y_off, *off) = truth
        along = np.array(sample[len(primals) :])
        agree(value, y, y_off)
        agree(
            direction,
            np.dot(gradient, along),
            np.dot(off, np.abs(along)) + 1e-12 * np.dot(np.abs(gradient), np.abs(along)),
        )


@pytest.mark.parametrize("batch", [None, 3])
def test_a_jacobian_has_the_derivatives_of_each_result_by_each_argument(batch):
    def fn(x, y, z):
        return {"dot": x @ y, "outer": [z * x, y[0] ** 2]}

    f = pygrad.compile(fn, np.zeros(2), np.zeros(2), 1.0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, *(() if batch is None else (batch,)), 2))
    z = 1.5
    jacobian = f.jacobian(x, y, z)
    lead = () if batch is None else (batch,)
    zero, one = np.zeros((*lead, 2)), np.ones(lead)
    for ours, true in zip(jacobian["dot"], (y, x, 0 * one)):
        np.testing.assert_allclose(ours, true, rtol=1e-15)
    by_x, by_y, by_z = jacobian["outer"][0]
    np.testing.assert_allclose(by_x, np.broadcast_to(z * np.eye(2), (*lead, 2, 2)))
    assert np.array_equal(by_y, np.zeros((*lead, 2, 2)))
    np.testing.assert_allclose(by_z, x)
    by_x, by_y, by_z = jacobian["outer"][1]
    assert np.array_equal(by_x, zero)
    np.testing.assert_allclose(by_y, np.stack([2 * y[..., 0], 0 * one], axis=-1))
    assert np.array_equal(by_z, 0 * one)


def test_a_jacobian_is_in_the_structure_of_the_argument():
    f = pygrad.compile(lambda p: p[0] * p[1][1].sum(), (2.0, [1.0, np.ones(2)]))
    (by_p,) = f.jacobian((3.0, [1.0, [4.0, 5.0]]))
    assert by_p[:1] == (9.0,)
    assert by_p[1][0] == 0
    assert by_p[1][1].tolist() == [3.0, 3.0]


def test_a_function_without_arguments_has_no_derivatives():
    w = Value(3.0)
    f = pygrad.compile(lambda: w * w)
    assert f.jvp((), ()) == (9.0, 0.0)
    assert f.jacobian() == ()
    assert f.hvp((), ()) == ()
    assert f.hessian() == ()


# Second derivatives -----------------------------------------------------------------------------------------------


def raises_zero(steps, numbers):
    """Whether a step is a power of 0: its second derivative is 0 * inf, which is nan, as in JAX."""
    values = [reference.Value(x) for x in numbers]
    for name, i, j, x in steps:
        a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
        if name == "**x" and a.data == 0:
            return True
        values.append(RECORDED[name](reference.Value, a, b, x))
    return False


@pytest.mark.parametrize("without", WITHOUT)
@examples(40)
@given(programs(SMOOTH), st.lists(moderate, min_size=1, max_size=3), seeds)
def test_hvp_is_the_difference_of_the_reference_s_gradients(without, steps, primals, seed):
    steps = possible(steps[:12], primals)
    assume(
        all(number == 0 or 1e-50 < abs(number) < 1e50 for *_, number in steps)
    )  # second derivatives over- or underflow
    fn = function(steps)
    x, direction = np.array(primals), np.random.default_rng(seed).uniform(-1, 1, len(primals))
    fine, size = tangent_of_gradient(fn, x, direction)
    assume(fine is not None and not raises_zero(steps, primals))
    with disabled(without):
        f = pygrad.compile(lambda *args: fn(Value, args), *primals)
    product = f.hvp(primals, direction.tolist())
    if without & (lib.PG_FOLDING | lib.PG_REDUCTION):  # x**1 at 0 becomes 0 * 0**-1, not 0
        assume(np.isfinite(product).all())
    np.testing.assert_allclose(product, fine, atol=1e-5 * size, rtol=1e-5)
    rows = np.array(f.hessian(*primals), dtype=float)
    np.testing.assert_allclose(rows @ direction, fine, atol=1e-5 * size, rtol=1e-5)
    np.testing.assert_allclose(rows, rows.T, rtol=1e-9, atol=1e-9 * np.abs(rows).max() + 1e-12 * size)


@pytest.mark.parametrize("without", WITHOUT)
def test_the_hessian_of_a_power_of_two_values_is_correct(without):
    with disabled(without):
        f = pygrad.compile(lambda x, y: x**y, 1.0, 1.0)
    x, y = np.array([[0.5, 1.0, 2.5], [3.0, -1.5, 0.25]])
    z, log = x**y, np.log(x)
    (xx, xy), (yx, yy) = f.hessian(x, y)
    np.testing.assert_allclose(xx, y * (y - 1) * x ** (y - 2), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(xy, x ** (y - 1) * (1 + y * log), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(yx, xy, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(yy, z * log**2, rtol=1e-12, atol=1e-15)


def rosenbrock(x):
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(len(x) - 1))


@pytest.mark.parametrize("batch", [None, 1, 70])
def test_the_hessian_of_rosenbrock_s_function_is_correct(batch):
    n = 5
    x = np.random.default_rng(1).uniform(-2, 2, (batch or 1, n))
    true = np.zeros((batch or 1, n, n))
    for i in range(n - 1):
        true[:, i, i] += 1200 * x[:, i] ** 2 - 400 * x[:, i + 1] + 2
        true[:, i + 1, i + 1] += 200
        true[:, i, i + 1] = true[:, i + 1, i] = -400 * x[:, i]
    f = pygrad.compile(rosenbrock, np.zeros(n))
    ((hessian,),) = f.hessian(x if batch else x[0])
    np.testing.assert_allclose(hessian, true if batch else true[0], rtol=1e-12, atol=1e-9)
    v = np.linspace(-1, 1, n)
    (product,) = f.hvp((x if batch else x[0],), (v,))
    np.testing.assert_allclose(product, (true if batch else true[0]) @ v, rtol=1e-11, atol=1e-9)


def test_many_directions_at_one_point_are_a_batch():
    f = pygrad.compile(rosenbrock, np.zeros(3))
    x = np.array([0.5, -1.0, 2.0])
    (rows,) = f.hvp((x,), (np.eye(3),))
    ((hessian,),) = f.hessian(x)
    np.testing.assert_allclose(rows, hessian, rtol=1e-14)
    values, slopes = f.jvp((x,), (np.eye(3),))
    np.testing.assert_allclose(slopes, f.value_and_grad(x)[1][0], rtol=1e-13)
    assert values.shape == (3,)


def test_a_shared_argument_has_a_product_for_each_sample():
    f = pygrad.compile(lambda x, y: x**3 * y**2, 1.0, 1.0)
    x = np.array([1.0, 2.0, 3.0])
    by_x, by_y = f.hvp((x, 2.0), (0.0, 1.0))
    np.testing.assert_allclose(by_x, 3 * x**2 * 4)
    np.testing.assert_allclose(by_y, 2 * x**3)


def test_the_hessian_by_arguments_of_any_structure_is_in_both_structures():
    f = pygrad.compile(lambda p, x: p[0] * x[0] * x[1] ** 2, (2.0, [1.0]), np.ones(2))
    h = f.hessian((3.0, [4.0]), [5.0, 6.0])
    (a_a, a_b), by_x = h[0][0], h[0][1]
    assert (a_a, a_b) == ((0.0, [0.0]), [(0.0, [0.0])])
    assert by_x[0].tolist() == [36.0, 60.0]
    assert by_x[1][0].tolist() == [0.0, 0.0]
    assert h[1][0][0].tolist() == [36.0, 60.0]
    assert h[1][1].tolist() == [[0.0, 36.0], [36.0, 30.0]]


def test_second_derivatives_of_a_model_do_not_change_its_grads():
    random.seed(0)
    model = nn.MLP(2, [4, 1])
    f = pygrad.compile(lambda x: model(x).tanh(), np.zeros(2))
    x = np.random.default_rng(0).normal(size=(9, 2))
    ((hessian,),) = f.hessian(x)
    assert hessian.shape == (9, 2, 2)
    assert all(p.grad == 0 for p in model.parameters())
    _, (by_x,) = pygrad.compile(lambda x: model(x).tanh(), np.zeros(2)).value_and_grad(x)
    h = 1e-6
    for i in range(2):
        step = h * np.eye(2)[i]
        ahead, behind = (f.value_and_grad(x + d)[1][0] for d in (step, -step))
        kinks = np.abs((ahead - by_x) - (by_x - behind)).max(axis=1) > 1e-5
        np.testing.assert_allclose(hessian[~kinks, i], ((ahead - behind) / (2 * h))[~kinks], atol=1e-6)


def test_second_derivatives_pass_through_lookups():
    table = pygrad.array(np.arange(1.0, 7.0).reshape(3, 2))
    f = pygrad.compile(lambda i, x: (table[i] * x).sum() ** 2 * x[i], pygrad.index(0), np.ones(2))
    i, x = 1, np.array([0.5, -2.0])
    h = f.hessian(i, x)
    assert h[0] == (None, None)
    assert h[1][0] is None
    t = table.data[i]
    s, e = t @ x, np.eye(2)[i]
    true = 2 * np.outer(t, t) * x[i] + 2 * s * (np.outer(t, e) + np.outer(e, t))
    np.testing.assert_allclose(h[1][1], true, rtol=1e-13)


# Threads, refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [65, 1000])
def test_any_number_of_threads_gives_the_same_derivatives(batch):
    x = np.random.default_rng(0).normal(size=(batch, 3))
    found = set()
    for threads in (1, 2, 5):
        f = pygrad.compile(rosenbrock, np.zeros(3), threads=threads)
        ((hessian,),) = f.hessian(x)
        found.add((f.jacobian(x)[0].tobytes(), hessian.tobytes()))
    assert len(found) == 1


def test_an_empty_batch_has_empty_derivatives():
    f = pygrad.compile(rosenbrock, np.zeros(3))
    none = np.empty((0, 3))
    assert f.jvp((none,), (np.ones(3),))[1].shape == (0,)
    assert f.jacobian(none)[0].shape == (0, 3)
    assert f.hvp((none,), (none,))[0].shape == (0, 3)
    assert f.hessian(none)[0][0].shape == (0, 3, 3)


def test_tangents_of_another_shape_are_refused():
    f = pygrad.compile(lambda x, y: x.sum() * y, np.zeros(3), 1.0)
    primals = np.zeros(3), 1.0
    with pytest.raises(
        ValueError, match=r"tangent 0 must have shape \(3,\), or for a batch \(B, 3\); got shape \(1,\)"
    ):
        f.jvp(primals, ([1.0], 1.0))
    with pytest.raises(TypeError, match=r"<lambda>\(\) takes 2 tangents \(shapes \(3,\), \(\)\), got 1"):
        f.jvp(primals, (np.zeros(3),))
    with pytest.raises(TypeError, match="tangents must be a tuple with one entry for each argument, got 'ndarray'"):
        f.hvp(primals, np.zeros(3))
    with pytest.raises(TypeError, match="primals must be a tuple"):
        f.jvp(1.0, (1.0,))
    with pytest.raises(ValueError, match="the primals are a batch of 2, the tangents a batch of 4"):
        f.jvp((np.zeros((2, 3)), 1.0), (np.zeros((4, 3)), 1.0))
    with pytest.raises(TypeError, match="tangent 1 must consist of real numbers"):
        f.jvp(primals, (np.zeros(3), None))
    g = pygrad.compile(lambda x, i: x[i], np.zeros(3), pygrad.index(0))
    with pytest.raises(TypeError, match="tangent 1 must be None for an index, got 1"):
        g.jvp((np.zeros(3), 1), (np.zeros(3), 1))


@pytest.mark.parametrize("method", ["hvp", "hessian"])
def test_second_derivatives_require_a_scalar_result(method):
    f = pygrad.compile(lambda x: [x, x], 1.0)
    args = ((1.0,), (1.0,)) if method == "hvp" else (1.0,)
    with pytest.raises(TypeError, match=rf"{method}\(\) needs a function with one scalar result"):
        getattr(f, method)(*args)


def test_check_finite_raises_for_derivatives_that_are_not_finite():
    f = pygrad.compile(lambda x: x.sqrt(), 1.0, check_finite=True)
    with pytest.raises(FloatingPointError, match="a tangent of <lambda> is inf"):
        f.jvp((0.0,), (1.0,))
    with pytest.raises(FloatingPointError, match="a derivative of <lambda> is inf"):
        f.jacobian([1.0, 0.0])
    with pytest.raises(FloatingPointError, match=r"the product for argument 0 of <lambda> is (-inf|nan), at \[1\]"):
        f.hvp(([1.0, 0.0],), (1.0,))


def logs_and_inverses(p):
    return {"a": p[0].log(), "b": [p[1], (p[1] * p[1][1, 0]) ** -1]}


def their_sum(p):
    return logs_and_inverses(p)["a"].sum() + logs_and_inverses(p)["b"][1].sum()


# What raises, and what of the results is named, whose expression the message has.
CHECKED = {
    "a result": (logs_and_inverses, lambda p, x, t: p(x)),
    "a result of jvp": (logs_and_inverses, lambda p, x, t: p.jvp([x], [t])[0]),
    "a derivative by jacobian": (logs_and_inverses, lambda p, x, t: p.jacobian(x)),
    "a derivative by hessian": (their_sum, lambda p, x, t: p.hessian(x)),
    "the product for argument 0": (their_sum, lambda p, x, t: p.hvp([x], [t])[0]),
}


@pytest.mark.parametrize("lead", [(), (3,)], ids=["one", "batch"])
@pytest.mark.parametrize(("fn", "call"), CHECKED.values(), ids=CHECKED)
def test_check_finite_names_the_place_in_what_the_method_returns(fn, call, lead):
    f = pygrad.compile(fn, (np.ones(3), np.ones((2, 2))), check_finite=True)
    rng = np.random.default_rng(0)
    for trial in range(20):
        x, t = ([rng.uniform(1, 2, (*lead, 3)), rng.uniform(1, 2, (*lead, 2, 2))] for _ in range(2))
        x[trial % 2].flat[rng.integers(x[trial % 2].size)] = 0
        f.check_finite = True
        with pytest.raises(FloatingPointError) as raised:
            call(f, x, t)
        f.check_finite = False
        message = str(raised.value).partition(":")[0]
        what, _, place = message.partition(", at ")
        leaf = what.split()[4][1:] if "product" in what else ""
        number = eval(f"found{leaf}{place}", {"found": call(f, x, t)})
        assert np.shape(number) == ()
        assert what.endswith(f" is {number}")
        assert not np.isfinite(number)


def test_an_index_among_other_arguments_of_a_structure_has_no_tangent():
    f = pygrad.compile(lambda p: (p[0] * p[1])[p[2]], (np.zeros(2), 1.0, pygrad.index(0)))
    values, slopes = f.jvp((([3.0, 4.0], 2.0, 1),), ((np.eye(2), [0.0, 0.0], None),))
    assert values.tolist() == [8.0, 8.0]
    assert slopes.tolist() == [0.0, 2.0]
