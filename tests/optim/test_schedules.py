"""The learning rate: numbers, schedules, linear() and cosine()."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygrad import Value, array
from pygrad.optim import SGD, Adam, cosine, linear
from support.effort import examples
from support.optimizers import RULES, far_from_0


@pytest.mark.parametrize("name", ["SGD, nesterov and weight_decay", "Adam, weight_decay", "AdamW, all"])
def test_a_schedule_gives_each_step_its_rate(name):
    cls, rule, options = RULES[name]
    options = {key: x for key, x in options.items() if key != "lr"}
    rates = [0.5, 0.1, 0.0, 1e-3, 2.0]
    w, rng = array([1.0, -2.0]), np.random.default_rng(1)
    optimizer, expected = cls([w], lr=rates.__getitem__, **options), rule(w.data.copy(), **options)
    next(expected)
    for step, rate in enumerate(rates):
        assert (optimizer.lr, optimizer.steps) == (rate, step)
        grads = far_from_0(rng, 2)
        w.grad = grads
        optimizer.step()
        np.testing.assert_allclose(w.data, expected.send((grads, rate)), rtol=1e-12)


def test_the_rate_may_be_assigned_at_any_time():
    w = Value(1.0)
    w.grad = 1.0
    optimizer = SGD([w], lr=0.5)
    optimizer.step()
    optimizer.lr = 0.25
    optimizer.step()
    assert (w.data, optimizer.lr) == (0.25, 0.25)
    optimizer.lr = lambda step: step / 16
    assert optimizer.lr == 2 / 16
    optimizer.step()
    assert w.data == 0.125
    for wrong_rate in (-1, math.nan):
        with pytest.raises(ValueError, match="lr must not be negative"):
            optimizer.lr = wrong_rate
    assert optimizer.lr == 3 / 16
    for number in (np.float64(0.5), np.float32(0.5), np.array(0.5), 1, True):
        optimizer.lr = number
        assert optimizer.lr == number
        optimizer.step()


@pytest.mark.parametrize("rate", [-0.5, math.nan])
def test_a_schedule_that_gives_a_wrong_rate_is_a_value_error_and_nothing_is_updated(rate):
    w = Value(1.0)
    w.grad = 1.0
    optimizer = SGD([w], lr=lambda step: rate)
    with pytest.raises(ValueError, match="lr must not be negative"):
        optimizer.step()
    assert (w.data, optimizer.steps) == (1.0, 0)


def test_a_schedule_that_raises_changes_nothing():
    w = Value(1.0)
    w.grad = 1.0
    for cls in [SGD, Adam]:
        for schedule, error in [(lambda step: None, TypeError), (lambda step: 1 / step, ZeroDivisionError)]:
            optimizer = cls([w], lr=schedule)
            with pytest.raises(error):
                optimizer.step()
            assert (w.data, optimizer.steps) == (1.0, 0)


numbers = st.floats(1e-6, 10)


@examples(100)
@given(numbers, st.integers(1, 50), numbers | st.just(0.0))
def test_linear_is_torch_s_linear_lr_in_closed_form(lr, steps, end):
    schedule = linear(lr, steps, end)
    for step in range(2 * steps):
        factor = 1 + (end / lr - 1) * min(steps, step) / steps
        assert schedule(step) == pytest.approx(lr * factor, rel=1e-12, abs=1e-12 * lr)


@examples(100)
@given(numbers, st.integers(1, 50), numbers | st.just(0.0))
def test_cosine_is_torch_s_cosine_annealing_lr_in_closed_form_and_stays_at_the_end(lr, steps, end):
    schedule = cosine(lr, steps, end)
    for step in range(2 * steps):
        t = min(step, steps)
        expected = end + (lr - end) * (1 + math.cos(math.pi * t / steps)) / 2
        assert schedule(step) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("make", [linear, cosine])
def test_a_schedule_begins_and_ends_at_the_given_rates(make):
    schedule = make(0.5, 8)
    assert schedule(0) == 0.5
    assert schedule(4) == pytest.approx(0.25)
    assert schedule(8) == schedule(1000) == 0
    assert all(schedule(step) >= schedule(step + 1) >= 0 for step in range(20))
    assert make(0.1, 7, 1e-3)(7) == pytest.approx(1e-3, rel=1e-12)
    assert make(0.1, 1)(1) == 0
    assert make(lr=1.0, steps=2, end=2.0)(2) == 2
    same = pickle.loads(pickle.dumps(schedule))
    assert same(3) == schedule(3)
    assert repr(same) == repr(schedule) == f"{make.__name__}(0.5, 8, 0.0)"


@pytest.mark.parametrize("make", [linear, cosine])
@pytest.mark.parametrize("steps", [0, -1, math.nan], ids=repr)
def test_a_schedule_needs_steps(make, steps):
    with pytest.raises(ValueError, match=f"steps must be positive, not {steps}"):
        make(0.1, steps)


@pytest.mark.parametrize("make", [linear, cosine])
@pytest.mark.parametrize(
    ("rates", "error"), [({"lr": -0.1}, ValueError), ({"end": -1}, ValueError), ({"lr": "x"}, TypeError)]
)
def test_the_rates_of_a_schedule_are_checked_when_it_is_made(make, rates, error):
    with pytest.raises(error, match=f"{next(iter(rates))} must"):
        make(**{"lr": 0.1, "steps": 10, **rates})
