"""The losses: torch's numbers and gradients for all options, eager and compiled, of Arrays and of Values."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Array, Value, array
from pygrad import functional as F
from support.effort import examples

REDUCTIONS = ["mean", "sum", "none"]
positive = st.floats(0.05, 3)
reductions = st.sampled_from(REDUCTIONS)

# A loss of numbers: how to draw its targets, given a generator and a shape, and its options.
OF_NUMBERS = {
    "mse_loss": (lambda rng, shape: rng.normal(size=shape), {}),
    "l1_loss": (lambda rng, shape: rng.normal(size=shape), {}),
    "huber_loss": (lambda rng, shape: rng.normal(size=shape), {"delta": positive}),
    "smooth_l1_loss": (lambda rng, shape: rng.normal(size=shape), {"beta": positive | st.just(0.0)}),
    "hinge_loss": (lambda rng, shape: rng.choice([-1.0, 1.0], shape), {"margin": positive}),
    "binary_cross_entropy_with_logits": (lambda rng, shape: rng.uniform(size=shape), {}),
}
OF_CLASSES = ["cross_entropy", "nll_loss"]


def test_each_loss_is_in_a_table():
    losses = {name for name in F.__all__ if "reduction" in inspect.signature(getattr(F, name)).parameters}
    assert losses == {*OF_NUMBERS, *OF_CLASSES}


def agrees(ours, theirs, x, *more):
    """Results and gradients of both, for leaves with the numbers x and more."""
    import torch

    arrays, tensors = [array(a) for a in (x, *more)], [torch.tensor(a, requires_grad=True) for a in (x, *more)]
    out, expected = ours(*arrays), theirs(*tensors)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-12, atol=1e-13)
    weights = np.cos(np.arange(out.size)).reshape(out.shape)
    (out * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    for a, t in zip(arrays, tensors):
        np.testing.assert_allclose(a.grad, t.grad.numpy(), rtol=1e-11, atol=1e-12)
    if out.size:
        compiled = pygrad.compile(lambda *x: (ours(*x) * weights).sum(), *(a.data for a in arrays))
        value, grads = compiled.value_and_grad(*(a.data for a in arrays))
        np.testing.assert_allclose(value, (out.data * weights).sum(), rtol=1e-11, atol=1e-12)
        for a, grad in zip(arrays, grads if isinstance(grads, tuple) else (grads,)):
            np.testing.assert_allclose(grad, a.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in OF_NUMBERS if name != "hinge_loss"])
@examples(25)
@given(seed=st.integers(0, 2**32), shape=st.sampled_from([(), (3,), (2, 3)]), reduction=reductions, data=st.data())
def test_a_loss_of_numbers_is_torch_s(name, seed, shape, reduction, data):
    torch = pytest.importorskip("torch")
    draw, options = OF_NUMBERS[name]
    drawn = {option: data.draw(values) for option, values in options.items()}
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=shape) * 2, draw(rng, shape)
    weights = {}
    if name == "binary_cross_entropy_with_logits":
        given_too = data.draw(st.sets(st.sampled_from(["weight", "pos_weight"])))
        weights = {option: rng.uniform(0.5, 2, shape[-1:]) for option in sorted(given_too)}
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    agrees(
        lambda x, y: ours(x, y, reduction=reduction, **drawn, **weights),
        lambda x, y: theirs(x, y, reduction=reduction, **drawn, **{k: torch.tensor(w) for k, w in weights.items()}),
        x,
        y,
    )


@pytest.mark.parametrize("name", OF_CLASSES)
@examples(60)
@given(
    seed=st.integers(0, 2**32),
    rows=st.sampled_from([None, 1, 4]),
    classes=st.integers(1, 4),
    weighted=st.booleans(),
    ignore_index=st.sampled_from([-100, -1, 0, 2]),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    reduction=reductions,
)
def test_a_loss_of_classes_is_torch_s(name, seed, rows, classes, weighted, ignore_index, smoothing, reduction):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    shape = () if rows is None else (rows,)
    x, target = rng.normal(size=(*shape, classes)) * 3, rng.integers(0, classes, shape)
    target = np.where(rng.uniform(size=shape) < 0.3, ignore_index, target)
    target = np.where((target >= 0) & (target < classes) | (target == ignore_index), target, 0)
    weight = rng.uniform(0.1, 2, classes) if weighted else None
    options = {"ignore_index": ignore_index, "reduction": reduction}
    if name == "cross_entropy":
        options["label_smoothing"] = smoothing
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    if reduction == "mean" and (target == ignore_index).all():  # nan in torch
        with pytest.raises(ZeroDivisionError, match=f"{name}: all targets are ignored"):
            ours(x, target, weight, **options)
        return
    agrees(
        lambda x: ours(x, target, weight, **options),
        lambda x: theirs(x, torch.tensor(target), None if weight is None else torch.tensor(weight), **options),
        x,
    )


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "options", [{}, {"weight": [0.5, 2.0, 1.0]}, {"ignore_index": 1}, {"ignore_index": 1, "weight": [1, 2, 3]}]
)
def test_targets_may_be_an_argument_of_a_compiled_function(name, reduction, options):
    x, loss = np.random.default_rng(3).normal(size=(4, 3)), getattr(F, name)
    targets = np.array([2, 0, 1, 2])
    f = pygrad.compile(
        lambda x, t: pygrad.array(loss(x, t, reduction=reduction, **options)).sum(), x, pygrad.index(targets)
    )
    for chosen in (targets, np.array([0, 0, 2, 1])):
        np.testing.assert_allclose(f(x, chosen), loss(x, chosen, reduction=reduction, **options).data.sum(), rtol=1e-12)


# Known values, which need no torch: of x = (0.5, -2), of classes for each of two targets.
KNOWN = {
    "mse_loss": (lambda: F.mse_loss([0.5, -2.0], [1.0, 1.0], "none"), [0.25, 9.0]),
    "l1_loss": (lambda: F.l1_loss([0.5, -2.0], [1.0, 1.0], "none"), [0.5, 3.0]),
    "l1_loss, sum": (lambda: F.l1_loss([0.5, -2.0], [1.0, 1.0], "sum"), 3.5),
    "huber_loss": (lambda: F.huber_loss([0.5, -2.0], [1.0, 1.0], "none"), [0.125, 2.5]),
    "huber_loss, delta": (lambda: F.huber_loss([0.5, -2.0], [1.0, 1.0], "none", 0.25), [0.09375, 0.71875]),
    "smooth_l1_loss": (lambda: F.smooth_l1_loss([0.5, -2.0], [1.0, 1.0], "none", 0.25), [0.375, 2.875]),
    "smooth_l1_loss, 0": (lambda: F.smooth_l1_loss([0.5, -2.0], [1.0, 1.0], "mean", 0), 1.75),
    "hinge_loss": (lambda: F.hinge_loss([0.5, -2.0], [1.0, 1.0], reduction="none"), [0.5, 3.0]),
    "binary_cross_entropy_with_logits": (
        lambda: F.binary_cross_entropy_with_logits(
            [0.0, 0.0], [1.0, 0.0], pos_weight=3.0, weight=[1, 2], reduction="none"
        ),
        [3 * math.log(2), 2 * math.log(2)],
    ),
    "nll_loss": (lambda: F.nll_loss([[-1.0, -2.0], [-3.0, -4.0]], [0, 1], [1.0, 3.0]), (1 + 3 * 4) / 4),
    "cross_entropy": (lambda: F.cross_entropy([0.0, 0.0], 1, label_smoothing=0.5), math.log(2)),
    "cross_entropy, ignored": (
        lambda: F.cross_entropy([[0.0, 0.0], [9.0, 1.0]], [1, -100], reduction="none"),
        [math.log(2), 0],
    ),
    "cross_entropy, the mean without the ignored": (
        lambda: F.cross_entropy([[0.0, 0.0], [9.0, 1.0]], [1, -100]),
        math.log(2),
    ),
    "logits of 1e3": (
        lambda: F.binary_cross_entropy_with_logits([1e3, -1e3, 1e3, -1e3], [1, 0, 0, 1], reduction="none"),
        [0, 0, 1e3, 1e3],
    ),
    "small costs": (
        lambda: F.binary_cross_entropy_with_logits([40.0, -40.0], [1, 0], reduction="none"),
        [math.exp(-40), math.exp(-40)],
    ),
    "scores of 1e3": (
        lambda: F.cross_entropy([[1e3, -1e3], [1e3, -1e3]], [0, 1], label_smoothing=0.5, reduction="none"),
        [500, 1500],
    ),
    "huber of 1e3": (lambda: F.huber_loss([1e3, -1e3, 1e200], [0.0, 0.0, 0.0], "none"), [999.5, 999.5, 1e200]),
}


def test_each_loss_has_a_known_value():
    assert {*OF_NUMBERS, *OF_CLASSES} <= {name.partition(",")[0] for name in KNOWN}


@pytest.mark.parametrize("name", KNOWN)
def test_a_loss_has_its_known_value_and_finite_gradients(name):
    f, expected = KNOWN[name]
    np.testing.assert_allclose(f().data, expected, rtol=1e-14)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: F.binary_cross_entropy_with_logits(x, [1.0, 0.0, 0.3]),
        lambda x: F.cross_entropy(x, 1, label_smoothing=0.1),
        lambda x: F.huber_loss(x, [0.0] * 3),
    ],
)
@pytest.mark.parametrize("x", [[1e3, 1e3, -1e3], [-1e3, -1e3, 1e3], [1e300, -1e300, 0.0]])
def test_the_gradients_of_extreme_logits_are_finite(f, x):
    a = array(x)
    f(a).backward()
    assert np.isfinite(a.grad).all()
    assert abs(a.grad).max() <= 1


def test_an_ignored_target_gets_no_gradient_whatever_its_scores():
    x = array([[np.inf, 1.0], [0.0, 0.0]])
    F.cross_entropy(x, [-100, 0], weight=[1.0, 2.0]).backward()
    assert x.grad.tolist() == [[0, 0], [-0.5, 0.5]]


@pytest.mark.parametrize("name", OF_NUMBERS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_loss_of_a_value_is_a_value(name, reduction):
    loss, v, a = getattr(F, name), Value(0.7), array([0.7])
    out = loss(v, 1.0, reduction=reduction)
    assert type(out) is Value
    out.backward()
    expected = loss(a, [1.0], reduction="sum")
    expected.backward()
    assert (out.data, v.grad) == (expected.item(), a.grad[0])
    assert type(loss(v, Value(1.0))) is type(loss(v, np.float64(1.0))) is type(loss(v, np.array(1.0))) is Value
    assert type(loss(v, [1.0, -1.0])) is type(loss(v, array([1.0, -1.0]))) is Array
    f = pygrad.compile(lambda x: loss(x, 1.0), 0.7)
    assert f(0.7) == pytest.approx(out.data, rel=1e-14)


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda: F.huber_loss([1.0], [2.0], delta=0), ValueError, "delta must be positive, not 0"),
        (lambda: F.smooth_l1_loss([1.0], [2.0], beta=-1), ValueError, "beta must not be negative, got -1"),
        (
            lambda: F.cross_entropy([1.0], 0, label_smoothing=1.5),
            ValueError,
            "label_smoothing must be from 0 to 1, not 1.5",
        ),
        (lambda: F.cross_entropy([1.0, 2.0], 0, [1.0]), ValueError, r"a weight for each of the 2 classes; .*\(1,\)"),
        (lambda: F.nll_loss([1.0, 2.0], 0, 1.0), ValueError, r"a weight for each of the 2 classes; .*\(\)"),
        (lambda: F.nll_loss([1.0, 2.0], 2), IndexError, "nll_loss: targets must be 0 to 1, not 2"),
        (lambda: F.nll_loss([1.0, 2.0], 0.5), TypeError, "nll_loss: .*integers"),
        (lambda: F.cross_entropy([1.0, 2.0], 0, "sum"), TypeError, "str"),
        (lambda: F.cross_entropy([1.0, 2.0], -100), ZeroDivisionError, "all targets are ignored"),
        (lambda: F.cross_entropy(np.empty((0, 3)), []), ZeroDivisionError, "there are no targets"),
        (lambda: F.nll_loss(np.empty((0, 3)), [], [1.0, 2.0, 3.0]), ZeroDivisionError, "there are no targets"),
        (
            lambda: F.binary_cross_entropy_with_logits([1.0], [1.0], [1.0, 2.0]),
            ValueError,
            r"weight of shape \(2,\).*\(1,\)",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits([1.0, 1.0], [1.0, 0.0], pos_weight=[1] * 3),
            ValueError,
            "pos_weight",
        ),
        (lambda: F.l1_loss(np.ones((4, 1)), np.ones(4)), ValueError, "l1_loss: .* would pair each input"),
        (lambda: F.huber_loss(Value(1.0), 1.0, "avg"), ValueError, "'mean', 'sum' or 'none', not 'avg'"),
    ],
)
def test_wrong_options_are_refused_in_words(f, error, message):
    with pytest.raises(error, match=message):
        f()
