"""The steps of the optimizers are PyTorch's."""

import inspect
import math
import random

import numpy as np
import pytest

from pygrad import MLP, Value, array
from pygrad.optim import SGD, Adam, AdamW, RMSprop, clip_grad_norm_, cosine
from support.optimizers import KINDS, RULES, far_from_0, flat, set_grads


def follows(name, kind, size, steps=20):
    cls, rule, options = RULES[name]
    rng = np.random.default_rng(size)
    start = far_from_0(rng, size)
    params = KINDS[kind](start)
    np.testing.assert_array_equal(flat(params), start)
    optimizer, expected = cls(params, **options), rule(start, **options)
    next(expected)
    for step in range(steps):
        grads = far_from_0(rng, size) * rng.choice([1e-3, 1, 10])
        set_grads(params, grads)
        optimizer.step()
        np.testing.assert_allclose(
            flat(params), expected.send((grads, None)), rtol=1e-12, atol=1e-14, err_msg=f"step {step}"
        )
        np.testing.assert_array_equal(flat(params, "grad"), grads)
    assert optimizer.steps == steps


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("size", [1, 63, 64, 65, 1000])
def test_a_step_is_torch_s_rule_for_any_number_of_parameters(name, size):
    follows(name, "an Array", size)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_torch_s_rule_for_values_arrays_and_mixtures(name, kind):
    follows(name, kind, 130)
    follows(name, kind, 1, steps=3)


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (SGD, "params lr=0.001 momentum=0.0 dampening=0.0 weight_decay=0.0 nesterov=False maximize=False"),
        (Adam, "params lr=0.001 betas=(0.9, 0.999) eps=1e-08 weight_decay=0.0 amsgrad=False maximize=False"),
        (AdamW, "params lr=0.001 betas=(0.9, 0.999) eps=1e-08 weight_decay=0.01 amsgrad=False maximize=False"),
        (
            RMSprop,
            "params lr=0.01 alpha=0.99 eps=1e-08 weight_decay=0.0 momentum=0.0 centered=False maximize=False",
        ),
        (clip_grad_norm_, "parameters max_norm norm_type=2.0 error_if_nonfinite=False"),
    ],
)
def test_parameters_have_torch_s_names_order_and_defaults(cls, expected):
    found = inspect.signature(cls).parameters.values()
    assert " ".join(f"{p.name}{'' if p.default is p.empty else f'={p.default}'}" for p in found) == expected


def test_a_step_touches_only_the_parameters():
    a = array(np.zeros(100))
    a.grad = 1
    SGD([a[10:20], a[50]], lr=1).step()
    assert np.flatnonzero(a.data).tolist() == [*range(10, 20), 50]
    assert (a.grad == 1).all()


def test_values_and_views_held_elsewhere_see_the_steps():
    a = array([1.0, 2.0])
    v, data = a[1], a.data
    a.grad = 1
    SGD([a], lr=0.5).step()
    assert v.data == 1.5
    assert data.tolist() == [0.5, 1.5]


def test_a_gradient_that_is_not_finite_affects_only_its_own_parameter():
    for cls, _, options in RULES.values():
        a = array(np.ones(130))
        grad = np.ones(130)
        grad[[3, 64, 129]] = [np.nan, np.inf, -np.inf]
        a.grad = grad
        optimizer = cls([a], **options)
        optimizer.step()
        optimizer.step()
        finite = np.isfinite(a.data)
        assert finite[np.isfinite(grad)].all()
        assert options.get("lr") == 0 or not finite[3]


def test_a_model_is_trained():
    random.seed(0)  # with some weights all of its neurons stay off
    model = MLP(2, [8, 1])
    xs = [(x, y) for x in (0.0, 1.0) for y in (0.0, 1.0)]
    optimizer = Adam(model.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        loss = sum((model(x) - (x[0] - 2 * x[1])) ** 2 for x in xs)
        loss.backward()
        optimizer.step()
    assert loss.data < 1e-2


@pytest.mark.parametrize("cls", [SGD, Adam, AdamW])
def test_an_array_is_trained(cls):
    w = array([5.0, -3.0])
    optimizer = cls([w], lr=cosine(0.2, 200))
    for _ in range(200):
        optimizer.zero_grad()
        ((w - [1.0, 2.0]) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(w.data, [1, 2], atol=0.05)


@pytest.mark.parametrize("size", [*range(1, 10), 63, 64, 65])
def test_steps_have_the_bits_of_python_s_floats(size):
    rng = np.random.default_rng(size)
    data, grads = rng.normal(size=size), rng.normal(size=(3, size))
    w = [Value(x) for x in data]
    adam, sgd = Adam(w, 0.1, (0.9, 0.99), 1e-8, 0.01), SGD(w, 0.1, 0.9, 0.2, 0.01, nesterov=False)
    expected = data.tolist()
    mean, square, velocity = [0.0] * size, [0.0] * size, [0.0] * size
    for t, grad in enumerate(grads.tolist(), 1):
        for v, g in zip(w, grad):
            v.grad = g
        adam.step()
        rate, scale = 0.1 / (1 - 0.9**t), 1 / (1 - 0.99**t)
        for i in range(size):
            g = grad[i] + 0.01 * expected[i]
            mean[i] = 0.9 * mean[i] + (1 - 0.9) * g
            square[i] = 0.99 * square[i] + (1 - 0.99) * g * g
            expected[i] = 1 * expected[i] - rate * mean[i] / (math.sqrt(square[i] * scale) + 1e-8)
        sgd.step()
        for i in range(size):
            g = grad[i] + 0.01 * expected[i]
            velocity[i] = g if t == 1 else 0.9 * velocity[i] + (1 - 0.2) * g
            expected[i] -= 0.1 * velocity[i]
        assert [v.data for v in w] == expected
