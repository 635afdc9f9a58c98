"""pygrad.functional: each function and its gradient against a formula in NumPy, with torch's order of arguments."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pygrad import Array, Value, array, compile
from pygrad import functional as F
from support import live_nodes, ops
from support.arrays import check, elements
from support.effort import examples

rng = np.random.default_rng(1)
X, Y, W = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
CUBE = rng.normal(size=(2, 4, 3))
LABELS = np.array([2, 0, 1, 2])


def softmax(x, dim=-1):
    exps = np.exp(x - x.max(axis=dim, keepdims=True))
    return exps / exps.sum(axis=dim, keepdims=True)


def cross_entropy(x, target):
    rows = -np.log(softmax(np.atleast_2d(x)))
    costs = rows[np.arange(len(rows)), np.atleast_1d(target)]
    return costs if x.ndim > 1 else costs[0]


def rms_norm(x, axes, weight=1, eps=2.0**-52):
    return x / np.sqrt((x**2).mean(axis=axes, keepdims=True) + eps) * weight


def layer_norm(x, axes, weight=1, bias=0, eps=1e-5):
    centred = x - x.mean(axis=axes, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + eps) * weight + bias


REDUCE = {"mean": np.mean, "sum": np.sum, "none": lambda x: x}

# name: (the function, its formula, operands)
FORMULAS = {
    **{case.name: (getattr(F, case.method), case.numpy, CUBE * 5) for case in ops.FUNCTIONS},
    "relu of one": (F.relu, lambda x: np.maximum(x, 0), np.array(-0.5)),
    "linear": (F.linear, lambda x, w: x @ w.T, X, W),
    "linear with a bias": (F.linear, lambda x, w, b: x @ w.T + b, X, W, np.arange(5.0)),
    "linear of a vector": (F.linear, lambda x, w, b: x @ w.T + b, X[0], W, np.arange(5.0)),
    "linear of a vector, no bias": (F.linear, lambda x, w: x @ w.T, X[0], W),
    "linear to one": (F.linear, lambda x, w, b: x @ w.T + b, X, W[:1], np.ones(1)),
    "linear of more axes": (F.linear, lambda x, w, b: x @ w.T + b, CUBE, W, np.arange(5.0)),
    "linear of more axes, no bias": (F.linear, lambda x, w: x @ w.T, CUBE[None], W),
    "linear of more axes, of nothing": (F.linear, lambda x, w: x @ w.T, CUBE[:0], W),
    "linear of nothing": (F.linear, lambda x, w, b: x @ w.T + b, X[:0], W, np.arange(5.0)),
    "linear without inputs": (F.linear, lambda x, w, b: x @ w.T + b, X[:, :0], W[:, :0], np.arange(5.0)),
    "embedding": (lambda w: F.embedding([[1, 0, 1], [2, 2, 2]], w), lambda w: w[[[1, 0, 1], [2, 2, 2]]], X),
    "embedding of one": (lambda w: F.embedding(3, w), lambda w: w[3], X),
    "embedding in a cube": (lambda w: F.embedding([1, 1], w), lambda w: w[[1, 1]], CUBE),
    "embedding of none": (lambda w: F.embedding([], w), lambda w: w[[]], X),
    "embedding of np.uint8": (lambda w: F.embedding(np.uint8([3, 1]), w), lambda w: w[[3, 1]], X),
    "mse_loss": (F.mse_loss, lambda x, y: np.mean((x - y) ** 2), X, Y),
    "mse_loss with one number": (lambda x: F.mse_loss(x, 0.5), lambda x: np.mean((x - 0.5) ** 2), CUBE),
    "mse_loss with bytes": (lambda x: F.mse_loss(x, np.uint8([1, 2, 3])), lambda x: np.mean((x - [1, 2, 3]) ** 2), X),
    "hinge_loss": (F.hinge_loss, lambda x, y: np.mean(np.maximum(1 - x * y, 0)), X, np.sign(Y)),
    "hinge_loss, margin": (lambda x, y: F.hinge_loss(x, y, 0.1), lambda x, y: np.maximum(0.1 - x * y, 0).mean(), X, Y),
    **{
        f"{f.__name__}, dim={dim}, of {x.shape}": (
            lambda x, f=f, dim=dim: f(x, dim),
            lambda x, g=g, dim=dim: g(softmax(x, dim)),
            x,
        )
        for f, g in [(F.softmax, lambda p: p), (F.log_softmax, np.log)]
        for x, dims in [(X, (-1, 0, 1)), (CUBE, (0, 1, -1, -2)), (X[0], (0,)), (X[:, :1], (1,))]
        for dim in dims
    },
    "softmax along the last axis by default": (F.softmax, softmax, CUBE),
    "log_softmax along the last axis by default": (F.log_softmax, lambda x: np.log(softmax(x)), CUBE),
    **{
        f"{name}, {reduction}": (
            lambda *xs, f=f, reduction=reduction: f(*xs, reduction=reduction),
            lambda *xs, g=g, reduction=reduction: REDUCE[reduction](g(*xs)),
            *operands,
        )
        for reduction in REDUCE
        for name, f, g, *operands in [
            ("mse_loss", F.mse_loss, lambda x, y: (x - y) ** 2, X, Y),
            ("hinge_loss", F.hinge_loss, lambda x, y: np.maximum(1 - x * y, 0), X, Y),
            (
                "cross_entropy",
                lambda x, reduction: F.cross_entropy(x, LABELS, reduction=reduction),
                lambda x: cross_entropy(x, LABELS),
                X * 3,
            ),
            (
                "cross_entropy of one",
                lambda x, reduction: F.cross_entropy(x, 2, reduction=reduction),
                lambda x: cross_entropy(x, 2),
                X[0],
            ),
        ]
    },
    "cross_entropy is a mean by default": (
        lambda x: F.cross_entropy(x, [2, 0, 1, 2]),
        lambda x: cross_entropy(x, LABELS).mean(),
        X,
    ),
    "silu": (F.silu, lambda x: x / (1 + np.exp(-x)), CUBE * 5),
    "gelu": (F.gelu, lambda x: x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2, CUBE),
    "dropout": (lambda x: F.dropout(x, 0.2, mask=X > 0), lambda x: x * (X > 0) / 0.8, Y),
    "dropout of nothing": (lambda x: F.dropout(x, 0.0), lambda x: x, Y),
    "dropout of all": (lambda x: F.dropout(x, 1.0), lambda x: x * 0, Y),
    "dropout, not in training": (lambda x: F.dropout(x, 0.9, training=False) * 1, lambda x: x, Y),
    "layer_norm": (lambda x: F.layer_norm(x, 3), lambda x: layer_norm(x, -1), X),
    "layer_norm of a tuple, eps": (
        lambda x: F.layer_norm(x, (4, 3), eps=0.5),
        lambda x: layer_norm(x, (1, 2), eps=0.5),
        CUBE,
    ),
    "layer_norm, weights and bias": (
        lambda x, w, b: F.layer_norm(x, 3, w, b),
        lambda x, w, b: layer_norm(x, -1, w, b),
        CUBE,
        X[0],
        X[1],
    ),
    "layer_norm, bias": (lambda x, b: F.layer_norm(x, 3, bias=b), lambda x, b: layer_norm(x, -1, 1, b), X, X[1]),
    "rms_norm": (lambda x: F.rms_norm(x, 3), lambda x: rms_norm(x, -1), X),
    "rms_norm of a tuple": (lambda x: F.rms_norm(x, (3,)), lambda x: rms_norm(x, -1), X),
    "rms_norm of a list": (lambda x: F.rms_norm(x, [4, 3]), lambda x: rms_norm(x, (-2, -1)), CUBE),
    "rms_norm of all": (lambda x: F.rms_norm(x, CUBE.shape), lambda x: rms_norm(x, None), CUBE),
    "rms_norm with eps": (lambda x: F.rms_norm(x, 3, eps=0.5), lambda x: rms_norm(x, -1, eps=0.5), CUBE),
    "rms_norm, weights": (lambda x, w: F.rms_norm(x, 3, w), lambda x, w: rms_norm(x, -1, w), CUBE, X[0]),
    "rms_norm, more weights": (
        lambda x, w: F.rms_norm(x, (4, 3), w, 0.1),
        lambda x, w: rms_norm(x, (1, 2), w, 0.1),
        CUBE,
        X,
    ),
    "rms_norm of a vector": (lambda x, w: F.rms_norm(x, 3, w), lambda x, w: rms_norm(x, -1, w), X[0], X[1]),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_function_equals_its_formula_and_its_gradient_the_slope(name):
    f, formula, *operands = FORMULAS[name]
    check(f, formula, *operands, rtol=1e-11)


@pytest.mark.parametrize("name", FORMULAS)
def test_operands_may_be_views_lists_values_numbers_and_mixtures_of_them(name):
    f, _, *operands = FORMULAS[name]
    expected = f(*operands).data
    for made in [
        lambda x: array(x.T).T,
        lambda x: array(np.stack([x, x], axis=-1))[..., 1],
        lambda x: x.astype(np.longdouble),
        lambda x: array(x) * 1,
        lambda x: array([Value(y) for y in x.ravel()]).reshape(x.shape),
    ]:
        out = f(*map(made, operands))
        assert type(out) is Array
        np.testing.assert_allclose(out.data, expected, rtol=1e-14)
    if all(x.size for x in operands):  # tolist() of an empty array loses its axes
        np.testing.assert_array_equal(f(*(x.tolist() for x in operands)).data, expected)


def values(x):
    """The same numbers in nested lists of Values."""
    return [values(y) for y in x] if np.ndim(x) else Value(x)


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients_reach_values_in_lists(name):
    f, _, *operands = FORMULAS[name]
    if not all(x.size for x in operands):
        return
    arrays = [array(x) for x in operands]
    (f(*arrays) * 2).sum().backward()
    lists = [values(x) for x in operands]
    (array(f(*lists)) * 2).sum().backward()
    for a, x in zip(arrays, lists):
        grads = [v.grad for v in elements(x).ravel()]
        np.testing.assert_allclose(grads, a.grad.ravel(), rtol=1e-12, atol=1e-15)


@examples(100)
@given(hnp.arrays(float, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-50, 50)), st.data())
def test_probabilities_add_up_to_1_along_any_axis(x, data):
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    out = F.softmax(x, dim)
    np.testing.assert_allclose(out.data.sum(dim), 1, rtol=1e-14)
    np.testing.assert_allclose(np.exp(F.log_softmax(x, dim).data), out.data, rtol=1e-13)


# Extreme operands ------------------------------------------------------------------------------------------------

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("x", "expected", "logs"),
    [
        ([1e308, -1e308, 0.0], [1, 0, 0], [0, -INF, -1e308]),
        ([1e308, 1e308], [0.5, 0.5], [-np.log(2)] * 2),
        ([1e308, 1e308 - 1e292], [1, 0], [0, -(1e308 - (1e308 - 1e292))]),
        ([-1e308, -1e308], [0.5, 0.5], [-np.log(2)] * 2),
        ([0.0, -INF], [1, 0], [0, -INF]),
        ([-INF, 2.0, -INF, 2.0], [0, 0.5, 0, 0.5], [-INF, -np.log(2)] * 2),
        ([0.0, -1000.0], [1, 0], [0, -1000]),
        ([0.0, -745.0], [1, 5e-324], [0, -745]),
        ([7.0], [1], [0]),
        ([-INF, -INF], [NAN, NAN], [NAN, NAN]),
        ([INF, 0.0], [NAN, NAN], [NAN, NAN]),
        ([NAN, 0.0], [NAN, NAN], [NAN, NAN]),
        ([0.0, NAN, INF], [NAN] * 3, [NAN] * 3),
    ],
)
def test_extreme_scores_give_torch_s_probabilities_and_no_error(x, expected, logs):
    np.testing.assert_allclose(F.softmax(x).data, expected, rtol=1e-14)
    np.testing.assert_allclose(F.log_softmax(x).data, logs, rtol=1e-14)
    for i, cost in enumerate(logs):
        np.testing.assert_allclose(F.cross_entropy(x, i).item(), -cost, rtol=1e-14)


@pytest.mark.parametrize("f", [F.softmax, F.log_softmax, lambda x: -F.cross_entropy(x, 1, reduction="none")])
@pytest.mark.parametrize("x", [[-INF, 0.5, 1.0], [0.0, 1e308, -1e308], [-1e308, -INF, -INF], [1000.0, 0.0, -INF]])
def test_the_gradients_of_extreme_scores_are_finite(f, x):
    a = array(x)
    out = f(a)
    (out if out.ndim == 0 else out[1]).backward()
    with np.errstate(over="ignore"):
        p = softmax(np.array(x))
    expected = np.array([0, 1, 0]) - p
    if f is F.softmax:
        expected = p[1] * expected
    np.testing.assert_allclose(a.grad, expected, rtol=1e-14, atol=1e-300)


def test_a_masked_score_gets_no_gradient_from_attention():
    scores, v = array(rng.normal(size=(3, 3))), array(rng.normal(size=(3, 2)))
    mask = np.triu(np.full((3, 3), -INF), 1)
    (F.softmax(scores + mask) @ v).sum().backward()
    assert np.isfinite(scores.grad).all()
    assert not scores.grad[mask < 0].any()
    assert scores.grad[1:, 0].all()


@pytest.mark.parametrize("x", [INF, -INF, NAN, 1e308, -1e308, 5e-324, 0.0, -0.0])
def test_functions_of_extreme_numbers_match_numpy(x):
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(F.relu(x).data, np.maximum(x, 0))
        np.testing.assert_array_equal(F.tanh(x).data, np.tanh(x))
        np.testing.assert_array_equal(F.sigmoid(x).data, 1 / (1 + np.exp(-x)))
    for f in [F.relu, F.tanh, F.sigmoid]:
        a = array(x)
        f(a).backward()
        assert np.isnan(a.grad) == np.isnan(x) or f is F.relu
    a = array([x, 1.0])
    assert np.isnan(F.linear(a, [[0.0, 1.0]]).item()) == (not np.isfinite(x))


def test_sigmoids_far_out_are_exact_and_have_slopes():
    a = array([-700.0, -40.0, 40.0])
    out = F.sigmoid(a)
    out.sum().backward()
    np.testing.assert_allclose(out.data, [np.exp(-700), np.exp(-40), 1], rtol=1e-14)
    np.testing.assert_allclose(a.grad[:2], [np.exp(-700), np.exp(-40)], rtol=1e-14)


def test_rms_norm_of_zeros_needs_an_eps():
    x = array([[0.0, 0.0], [3.0, 4.0]])
    out = F.rms_norm(x, 2)
    out.sum().backward()
    assert out.data[0].tolist() == [0, 0]
    np.testing.assert_allclose(x.grad[0], 2.0**26, rtol=1e-14)
    before = live_nodes()
    for weight in [None, [1.0, 2.0]]:
        with pytest.raises(ZeroDivisionError, match=r"eps=0.* at index \(1, 0\)"):
            F.rms_norm(x[::-1], 2, weight, eps=0)
    assert live_nodes() == before


def test_rms_norm_of_extreme_numbers():
    np.testing.assert_array_equal(F.rms_norm([1e200, 1.0], 2).data, [0, 0])  # as in torch: the squares overflow
    assert np.isnan(F.rms_norm([NAN, 1.0], 2).data).all()
    np.testing.assert_array_equal(F.rms_norm([INF, 1.0], 2).data, [NAN, 0])


def test_functions_of_empty_arrays_give_empty_arrays():
    for f in [F.softmax, F.log_softmax, F.relu, lambda x: F.rms_norm(x, x.shape[1])]:
        for shape in [(0, 3), (3, 0), (0, 0)]:
            assert f(np.empty(shape)).shape == shape
    assert F.softmax(np.empty((3, 0)), dim=0).shape == (3, 0)
    assert F.cross_entropy(np.empty((0, 3)), [], reduction="none").shape == (0,)
    assert F.cross_entropy(np.empty((0, 3)), [], reduction="sum").item() == 0
    assert F.linear(np.empty((2, 0)), np.empty((3, 0))).data.tolist() == [[0] * 3] * 2
    for loss in [F.mse_loss, F.hinge_loss]:
        assert loss([], [], reduction="sum").item() == 0
        with pytest.warns(RuntimeWarning, match="Mean of empty slice"):
            assert np.isnan(loss([], []).item())


@pytest.mark.parametrize("f", [F.softmax, F.log_softmax])
@pytest.mark.parametrize("dim", [0, 1])
def test_compiled_functions_of_empty_arrays_give_empty_arrays(f, dim):
    assert compile(lambda x: f(x, dim), np.empty((0, 3)))(np.empty((0, 3))).shape == (0, 3)
    assert compile(lambda x: F.cross_entropy(x, [], reduction="sum"), np.empty((0, 3)))(np.empty((0, 3))) == 0


# Together --------------------------------------------------------------------------------------------------------


def test_a_training_step_lowers_the_loss():
    w, b = array(rng.normal(size=(3, 3))), array(np.zeros(3))
    costs = []
    for _ in range(20):
        cost = F.cross_entropy(F.linear(F.tanh(F.rms_norm(X, 3)), w, b), LABELS)
        w.grad = b.grad = 0
        cost.backward()
        w.data -= 0.5 * w.grad
        b.data -= 0.5 * b.grad
        costs.append(cost.item())
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.7 * costs[0]


# Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda: F.relu("a"), TypeError, "real numbers"),
        (lambda: F.tanh(None), TypeError, "real numbers"),
        (lambda: F.sigmoid([1j]), TypeError, "real numbers"),
        (lambda: F.softmax([[1.0], [1.0, 2.0]]), ValueError, "inhomogeneous"),
        (lambda: F.linear(X, W.T), ValueError, r"linear: .*\(4, 3\), \(3, 5\) and None"),
        (lambda: F.linear(X, W, np.ones(3)), ValueError, r"linear: .*\(4, 3\), \(5, 3\) and \(3,\)"),
        (lambda: F.linear(X, W, 1.0), ValueError, r"and \(\)"),
        (lambda: F.linear(X, W, np.ones((1, 5))), ValueError, r"and \(1, 5\)"),
        (lambda: F.linear(X, W[0]), ValueError, "weight of shape"),
        (lambda: F.linear(1.0, W), ValueError, "input of shape"),
        (lambda: F.linear(CUBE, X.T), ValueError, r"\(2, 4, 3\), \(3, 4\)"),
        (lambda: F.embedding([4], X), IndexError, "index 4 is out of bounds for axis 0 with size 4"),
        (lambda: F.embedding([[0], [7]], X), IndexError, "7"),
        (lambda: F.embedding([0], np.empty((0, 3))), IndexError, "0"),
        (lambda: F.embedding([1.0], X), TypeError, "embedding: .*integers.*float64"),
        (lambda: F.embedding([True], X), TypeError, "embedding: .*bool"),
        (lambda: F.embedding("a", X), TypeError, "embedding"),
        (lambda: F.embedding(array([1.0]), X), TypeError, "embedding"),
        (lambda: F.embedding([[0], [0, 1]], X), ValueError, "inhomogeneous"),
        (lambda: F.embedding([0], 1.0), IndexError, "too many indices"),
        (lambda: F.softmax(X, 2), np.exceptions.AxisError, "axis 2 is out of bounds for array of dimension 2"),
        (lambda: F.log_softmax(X, -3), np.exceptions.AxisError, "axis -3 is out of bounds"),
        (lambda: F.softmax(1.0), np.exceptions.AxisError, "dimension 0"),
        (lambda: F.softmax(X, "a"), TypeError, None),
        (lambda: F.softmax(X, 0.5), TypeError, None),
        (lambda: F.softmax(X, None), TypeError, None),
        (lambda: F.rms_norm(X, 4), ValueError, r"rms_norm: .*\(4, 3\) .*\(4,\)"),
        (lambda: F.rms_norm(X, (3, 4)), ValueError, r"rms_norm: .*\(3, 4\)"),
        (lambda: F.rms_norm(X, ()), ValueError, "rms_norm"),
        (lambda: F.rms_norm(X[0], (4, 3)), ValueError, "rms_norm"),
        (lambda: F.rms_norm(1.0, 1), ValueError, "rms_norm"),
        (lambda: F.rms_norm(X, 3, [1.0, 2.0]), ValueError, r"rms_norm: .*weight.*\(2,\).*\(3,\)"),
        (lambda: F.rms_norm(X, 3, 1.0), ValueError, r"rms_norm: .*weight.*\(\)"),
        (lambda: F.rms_norm(X, 3, eps="a"), TypeError, None),
        (lambda: F.layer_norm(X, 4), ValueError, r"layer_norm: .*\(4, 3\) .*\(4,\)"),
        (lambda: F.layer_norm(X, 3, bias=[1.0, 2.0]), ValueError, r"layer_norm: the bias .*\(2,\).*\(3,\)"),
        (lambda: F.layer_norm(X, 3, eps=-1.0), ValueError, "layer_norm: eps must not be negative"),
        (lambda: F.dropout(X, 1.5), ValueError, "p must be from 0 to 1, not 1.5"),
        (lambda: F.dropout(X, np.nan), ValueError, "p must be from 0 to 1, not nan"),
        (lambda: F.dropout(X, "a"), TypeError, "p must be a number, not 'str'"),
        (lambda: F.dropout(X, 0.5, mask=[1, 0]), ValueError, r"a mask of the input's shape \(4, 3\), not \(2,\)"),
        (lambda: F.cross_entropy(X, [0, 1, 2]), ValueError, r"cross_entropy: .*\(4, 3\) and \(3,\)"),
        (lambda: F.cross_entropy(X, 0), ValueError, r"cross_entropy: .*\(4, 3\) and \(\)"),
        (lambda: F.cross_entropy(X[0], [0]), ValueError, r"cross_entropy: .*\(3,\) and \(1,\)"),
        (lambda: F.cross_entropy(CUBE, [[0] * 4] * 2), ValueError, "cross_entropy"),
        (lambda: F.cross_entropy(1.0, 0), ValueError, "cross_entropy"),
        (
            lambda: F.mse_loss(X, np.ones(7)),
            ValueError,
            r"mse_loss: inputs of shape \(4, 3\) and targets of shape \(7,\)",
        ),
        (lambda: F.hinge_loss([1.0, 2.0], [1.0] * 3), ValueError, r"hinge_loss: .*\(2,\).*\(3,\) cannot be broadcast"),
        (lambda: F.cross_entropy(X, [0, 1, 2, 3]), IndexError, "cross_entropy: .*0 to 2"),
        (lambda: F.cross_entropy(X, [0, 1, 2, -1]), IndexError, "cross_entropy: .*-1"),
        (lambda: F.cross_entropy(X[0], -99), IndexError, "cross_entropy: .*-99"),
        (lambda: F.cross_entropy(X[0], 2**40), IndexError, "cross_entropy"),
        (lambda: F.cross_entropy(X, X), TypeError, "cross_entropy: .*integers.*float64"),
        (lambda: F.cross_entropy(X, [0.0, 1.0, 2.0, 0.0]), TypeError, "integers"),
        (lambda: F.cross_entropy(X, [Value(0)] * 4), TypeError, "integers"),
        (lambda: F.cross_entropy(X, None), TypeError, "integers"),
        (lambda: F.cross_entropy(X, LABELS, reduction="avg"), ValueError, "'mean', 'sum' or 'none', not 'avg'"),
        (lambda: F.mse_loss(X, Y, reduction=None), ValueError, "'mean', 'sum' or 'none', not None"),
        (lambda: F.hinge_loss(X, Y, reduction="Mean"), ValueError, "not 'Mean'"),
        (lambda: F.mse_loss(X, Y[:, :2]), ValueError, "broadcast"),
        (lambda: F.hinge_loss(X, Y[:3]), ValueError, "broadcast"),
        (lambda: F.mse_loss(X, "a"), TypeError, "str"),
        (lambda: F.mse_loss(X, None), TypeError, "None"),
        (lambda: F.hinge_loss(X, None), TypeError, "None"),
        (lambda: F.hinge_loss(X, Y, margin="a"), TypeError, "str"),
    ],
)
def test_wrong_operands_are_refused_with_a_message_and_leak_nothing(f, error, message, no_leak):
    with pytest.raises(error, match=message):
        f()


@pytest.mark.parametrize("index", [-1, np.uint64(2**64 - 1), -4], ids=repr)
def test_an_embedding_of_a_negative_index_is_an_index_error_as_in_torch_and_cross_entropy(index):
    with pytest.raises(IndexError):
        F.embedding(np.array([index]), X)


def test_an_embedding_of_one_number_is_an_array_without_axes():
    out = F.embedding(1, array([1.0, 2.0]))
    assert type(out) is Array
    assert out.shape == ()


def test_normalized_shape_may_be_a_numpy_int():
    assert F.rms_norm(X, np.int64(3)).shape == (4, 3)


def test_normalized_shape_must_be_of_ints():
    with pytest.raises((TypeError, ValueError)):
        F.rms_norm(X, 3.0)


@pytest.mark.parametrize("loss", [F.mse_loss, F.hinge_loss])
def test_a_loss_does_not_pair_each_prediction_with_each_target(loss):
    with pytest.raises(ValueError, match=re.escape("(4,)")):
        loss(np.ones((4, 1)), np.ones(4))


def test_a_negative_eps_is_refused_by_name():
    with pytest.raises(ValueError, match="eps must not be negative"):
        F.rms_norm([0.0, 3.0], 2, eps=-10.0)


@pytest.mark.parametrize(
    ("f", "error"),
    [(lambda: F.softmax(X, (0, 1)), TypeError), (lambda: F.mse_loss(X, Y, reduction=["mean"]), ValueError)],
)
def test_a_list_in_place_of_one_number_is_refused(f, error):
    with pytest.raises(error):
        f()


# Signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        *[(case.method, "input") for case in ops.FUNCTIONS],
        ("linear", "input weight bias=None"),
        ("embedding", "input weight"),
        ("softmax", "input dim=-1"),
        ("log_softmax", "input dim=-1"),
        ("gelu", "input"),
        ("silu", "input"),
        ("dropout", "input p=0.5 training=True mask=None"),
        ("rms_norm", "input normalized_shape weight=None eps=None"),
        ("layer_norm", "input normalized_shape weight=None bias=None eps=1e-05"),
        ("cross_entropy", "input target weight=None ignore_index=-100 reduction='mean' label_smoothing=0.0"),
        ("nll_loss", "input target weight=None ignore_index=-100 reduction='mean'"),
        ("binary_cross_entropy_with_logits", "input target weight=None reduction='mean' pos_weight=None"),
        ("l1_loss", "input target reduction='mean'"),
        ("huber_loss", "input target reduction='mean' delta=1.0"),
        ("smooth_l1_loss", "input target reduction='mean' beta=1.0"),
        ("mse_loss", "input target reduction='mean'"),
        ("hinge_loss", "input target margin=1.0 reduction='mean'"),
    ],
)
def test_parameters_have_torch_s_names_in_torch_s_order(name, parameters):
    found = inspect.signature(getattr(F, name)).parameters.values()
    assert " ".join(f"{p.name}{'' if p.default is p.empty else f'={p.default!r}'}" for p in found) == parameters


# Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*(case.method for case in ops.FUNCTIONS), "gelu", "silu"])
def test_a_function_of_a_value_is_a_value_with_the_bits_of_the_array_s(name):
    f, v, a = getattr(F, name), Value(0.7), array([0.7])
    out = f(v)
    assert type(out) is Value
    out.backward()
    f(a).sum().backward()
    assert (out.data, v.grad) == (f(a).data[0], a.grad[0])
