"""Objectives: compiled functions of one vector, for the optimizers of SciPy and for samplers."""

import pickle

import numpy as np
import pytest
from scipy import optimize

import pygrad
from pygrad import Value

FIT = pygrad.compile(lambda w, b, x, y: (w @ x + b - y) ** 2, np.zeros(2), 0.0, np.zeros(2), 0.0)
X, Y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([3.0, 4.0, 5.0])


def rosenbrock(x):
    return ((x[1:] - x[:-1] ** 2) ** 2 * 100).sum() + ((1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "SLSQP", "trust-constr"])
def test_scipy_finds_the_minimum_of_rosenbrock_s_function(method):
    objective = pygrad.compile(rosenbrock, np.zeros(5)).objective()
    start = np.array([1.3, 0.7, 0.8, 1.9, 1.2])
    value, gradient = objective(start)
    assert value == pytest.approx(optimize.rosen(start), rel=1e-14)
    np.testing.assert_allclose(gradient, optimize.rosen_der(start), rtol=1e-12)
    found = optimize.minimize(objective, start, jac=True, method=method)
    np.testing.assert_allclose(found.x, 1, atol=2e-3)


def test_the_fit_of_a_line_has_the_solution_of_least_squares():
    objective = FIT.objective(None, None, X, Y, cotangent=1 / len(Y))
    found = optimize.minimize(objective, objective.pack(np.zeros(2), 0.0), jac=True, tol=1e-12)
    exact, *_ = np.linalg.lstsq(np.c_[X, np.ones(3)], Y, rcond=None)
    np.testing.assert_allclose(found.x, exact, atol=1e-7)
    w, b = objective.unpack(found.x)
    assert FIT(w, b, X, Y).sum() == pytest.approx(0, abs=1e-12)


def test_a_logistic_regression_has_the_known_answer():
    """With one feature that is 0 or 1, the log odds are those of the counts."""

    def loss(w, b, x, y):
        return (1 + (-(w * x + b) * y).exp()).log()

    x, y = np.repeat([0.0, 0.0, 1.0, 1.0], [8, 2, 3, 12]), np.repeat([-1.0, 1.0, -1.0, 1.0], [8, 2, 3, 12])
    objective = pygrad.compile(loss, 0.0, 0.0, 0.0, 1.0).objective(None, None, x, y)
    found = optimize.minimize(objective, np.zeros(2), jac=True, method="L-BFGS-B", options={"ftol": 1e-15})
    b = np.log(2 / 8)
    np.testing.assert_allclose(found.x, [np.log(12 / 3) - b, b], rtol=1e-5)


def test_a_sampler_finds_the_moments_of_a_normal_distribution():
    """By Hamiltonian Monte Carlo (Neal, 2011). The density is of x = (mean + L z), so its moments are known."""
    rng = np.random.default_rng(0)
    mean, factor = np.array([1.0, -2.0]), np.array([[1.0, 0.0], [0.6, 0.8]])
    inverse = np.linalg.inv(factor)
    objective = pygrad.compile(lambda x: ((inverse @ (x - mean)) ** 2).sum() / 2, np.zeros(2)).objective()
    samples = [mean]
    for _ in range(5000):
        x, momentum = samples[-1], rng.normal(size=2)
        (value, gradient), energy = objective(x), momentum @ momentum / 2
        before = value + energy
        for _ in range(6):
            momentum = momentum - 0.15 * gradient
            x = x + 0.3 * momentum
            value, gradient = objective(x)
            momentum = momentum - 0.15 * gradient
        accepted = rng.random() < np.exp(before - value - momentum @ momentum / 2)
        samples.append(x if accepted else samples[-1])
    np.testing.assert_allclose(np.mean(samples, axis=0), mean, atol=0.1)
    np.testing.assert_allclose(np.cov(samples, rowvar=False), factor @ factor.T, atol=0.1)


def test_least_squares_takes_the_jacobian():
    t = np.linspace(0, 1, 20)
    data = 2.5 * np.exp(-1.3 * t)
    residuals = pygrad.compile(lambda p: (pygrad.array(t) * p[1]).exp() * p[0] - data, np.ones(2))
    found = optimize.least_squares(residuals, np.array([1.0, 0.0]), jac=lambda p: residuals.jacobian(p)[0])
    np.testing.assert_allclose(found.x, [2.5, -1.3], rtol=1e-8)


def test_the_parameters_vary_on_request():
    w = pygrad.array([1.0, 2.0])
    f = pygrad.compile(lambda x, y: ((w * x).sum() - y) ** 2, np.zeros(2), 0.0)
    with pytest.raises(TypeError, match=r"<lambda> has 2 parameters: call pure\(\)\.objective"):
        f.objective()
    objective = f.pure().objective(None, X, Y)
    found = optimize.minimize(objective, f.parameters.data, jac=True)
    exact, *_ = np.linalg.lstsq(X, Y, rcond=None)
    np.testing.assert_allclose(found.x, exact, atol=1e-5)
    assert (w.data.tolist(), w.grad.tolist()) == ([1.0, 2.0], [0.0, 0.0])


def test_structures_are_packed_and_unpacked():
    f = pygrad.compile(lambda p, x: (p[0] @ p[1][0] * p[1][1] - x) ** 2, [np.zeros(2), (np.zeros(2), 0.0)], 0.0)
    objective = f.objective(None, 1.0)
    p = [np.array([1.0, 2.0]), (np.array([3.0, 4.0]), 5.0)]
    vector = objective.pack(p)
    assert vector.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    ((first, (second, third)),) = objective.unpack(vector)
    assert (first.tolist(), second.tolist(), third) == ([1.0, 2.0], [3.0, 4.0], 5.0)
    value, gradient = objective(vector)
    expected, ((by_first, (by_second, by_third)), _) = f.value_and_grad(p, 1.0)
    assert (value, gradient.tolist()) == (expected, [*by_first, *by_second, by_third])


@pytest.mark.parametrize("cotangent", [1.0, 0.25, np.array([1.0, 2.0, -3.0])], ids=["1", "1/4", "weights"])
def test_a_batch_counts_with_the_sum_of_its_samples(cotangent):
    objective = FIT.objective(None, None, X, Y, cotangent=cotangent)
    w, b = np.array([0.5, -1.0]), 2.0
    value, gradient = objective(objective.pack(w, b))
    values, (by_w, by_b, *_) = FIT.value_and_grad(w, b, X, Y, cotangent=cotangent)
    assert value == pytest.approx(np.sum(values * cotangent), rel=1e-15)
    assert gradient.tolist() == [*by_w, by_b]


def test_the_gradient_is_that_of_differences():
    objective = FIT.objective(None, None, X, Y)
    assert optimize.check_grad(lambda v: objective(v)[0], lambda v: objective(v)[1], np.array([0.3, 0.1, -2.0])) < 1e-5


def test_it_can_be_pickled():
    objective = FIT.objective(None, None, X, Y)
    again = pickle.loads(pickle.dumps(objective))
    vector = np.array([1.0, 2.0, 3.0])
    assert (again(vector)[0], again(vector)[1].tolist()) == (objective(vector)[0], objective(vector)[1].tolist())


BY_INDEX = pygrad.compile(lambda t, i: t[i] ** 2, np.ones(2), pygrad.index(0))

REFUSED = [
    (lambda: pygrad.compile(lambda x: [x, x], 1.0).objective(), TypeError, "needs a function with one scalar result"),
    (lambda: FIT.objective([1.0, 2.0], 0.0, X, Y), ValueError, "needs an argument that is None"),
    (lambda: pygrad.compile(lambda: Value(1.0)).objective(), ValueError, "needs an argument that is None"),
    (lambda: FIT.objective(None), TypeError, "takes 4 arguments .* got 1"),
    (lambda: FIT.objective(None, None, X, Y[:2]), ValueError, "all batches must have the same size"),
    (lambda: FIT.objective(None, None, "x", Y), TypeError, "argument 2 must consist of real numbers"),
    (lambda: BY_INDEX.objective(), TypeError, "argument 1 is an index, which cannot vary: pass its integers"),
    (lambda: BY_INDEX.objective(None, 2), IndexError, "between 0 and 1, got 2"),
    (lambda: FIT.objective()(np.zeros(5)), ValueError, r"takes a vector of shape \(6,\), got \(5,\)"),
    (lambda: FIT.objective()(np.zeros((2, 3))), ValueError, r"takes a vector of shape \(6,\), got \(2, 3\)"),
    (lambda: FIT.objective()([Value(1.0)] * 6), TypeError, "takes a vector of real numbers, got list"),
    (lambda: FIT.objective()(["a"] * 6), TypeError, "takes real numbers and Values"),
    (lambda: FIT.objective(None, None, X, Y).pack([1.0, 2.0]), TypeError, "takes the 2 arguments that vary, got 1"),
    (lambda: FIT.objective(None, None, X, Y).pack(X, 0.0), ValueError, r"argument 0 must have shape \(2,\), got"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_an_index_is_passed():
    value, gradient = BY_INDEX.objective(None, 1)(np.array([3.0, 4.0]))
    assert (value, gradient.tolist()) == (16.0, [0.0, 8.0])
