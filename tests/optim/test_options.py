"""Options of an optimizer may be assigned between steps."""

import copy
import math
import pickle

import numpy as np
import pytest

from pygrad import Value, array
from pygrad.optim import SGD, Adam, AdamW
from support.optimizers import far_from_0


def follows_assigned(steps, look=False):
    """Compare with torch's SGD when its param_groups are edited before each step: momentum, dampening, weight_decay."""
    rng = np.random.default_rng(4)
    data, buffer = far_from_0(rng, 70), None
    w = array(data)
    optimizer = SGD([w], lr=0.1)
    for momentum, dampening, weight_decay in steps:
        optimizer.momentum, optimizer.dampening, optimizer.weight_decay = momentum, dampening, weight_decay
        if look:
            optimizer.state_dict()
        grad = far_from_0(rng, 70)
        w.grad = grad
        optimizer.step()
        grad = grad + weight_decay * data
        if momentum:
            buffer = grad if buffer is None else momentum * buffer + (1 - dampening) * grad
            grad = buffer
        data = data - 0.1 * grad
        np.testing.assert_allclose(w.data, data, rtol=1e-12)
    assert (optimizer.momentum, optimizer.dampening, optimizer.weight_decay) == steps[-1]


def test_options_may_be_assigned_between_steps_as_in_torch_s_param_groups():
    follows_assigned([(0, 0, 0), (0, 0, 0.1), (0.5, 0, 0.1), (0.9, 0, 0), (0.9, 0.5, 0), (0.7, 0, 0.2)], look=True)
    follows_assigned([(0, 0.5, 0), (0.5, 0.5, 0), (0.9, 0.25, 0)])


def test_options_of_adam_may_be_assigned_between_steps():
    rng, w = np.random.default_rng(5), array([1.0, -2.0])
    optimizer = AdamW([w], lr=0.1, weight_decay=0)
    w.grad = [1.0, -1.0]
    optimizer.step()
    other = array(w.data)
    again = AdamW([other], lr=0.1)
    again.load_state_dict({**optimizer.state_dict(), "weight_decay": 0.5, "eps": 0.1})
    optimizer.weight_decay, optimizer.eps = 0.5, 0.1
    assert (optimizer.weight_decay, optimizer.eps) == (0.5, 0.1)
    w.grad = other.grad = far_from_0(rng, 2)
    optimizer.step()
    again.step()
    assert w.data.tolist() == other.data.tolist()


@pytest.mark.parametrize("dampening", [0, 0.5])
def test_a_momentum_of_0_leaves_the_buffer_alone_as_in_torch(dampening):
    follows_assigned([(0.5, dampening, 0), (0.5, dampening, 0), (0, dampening, 0), (0.5, dampening, 0)])


def test_reading_the_state_changes_nothing():
    follows_assigned([(0, 0.5, 0), (0.5, 0.5, 0), (0.5, 0.5, 0)], look=True)


# Options, and a wrong value of each.
WRONG = [
    (SGD, {}, "lr", -1, ValueError),
    (SGD, {}, "lr", "0.1", TypeError),
    (SGD, {}, "momentum", -2, ValueError),
    (SGD, {}, "momentum", None, TypeError),
    (SGD, {}, "dampening", "x", TypeError),
    (SGD, {}, "weight_decay", -0.1, ValueError),
    (SGD, {}, "nesterov", True, ValueError),
    (SGD, {"momentum": 0.9, "dampening": 0.5}, "nesterov", True, ValueError),
    (SGD, {"momentum": 0.9, "nesterov": True}, "momentum", 0, ValueError),
    (SGD, {"momentum": 0.9, "nesterov": True}, "dampening", 0.5, ValueError),
    (Adam, {}, "betas", (1.0, 0.9), ValueError),
    (Adam, {}, "betas", (0.9,), ValueError),
    (Adam, {}, "betas", 0.9, TypeError),
    (Adam, {}, "eps", -1e-8, ValueError),
    (AdamW, {}, "weight_decay", -1, ValueError),
    (AdamW, {}, "betas", (-0.1, 0.9), ValueError),
]


@pytest.mark.parametrize(("cls", "options", "name", "wrong", "error"), WRONG)
def test_an_option_that_is_assigned_is_checked_as_when_it_is_given(cls, options, name, wrong, error):
    optimizer = cls([Value(1.0)], **options)
    before = pickle.dumps(optimizer)
    with pytest.raises(error) as given:
        cls([Value(1.0)], **{**options, name: wrong})
    with pytest.raises(error) as assigned:
        setattr(optimizer, name, wrong)
    assert str(assigned.value) == str(given.value)
    assert pickle.dumps(optimizer) == before


@pytest.mark.parametrize("steps", [-1, 2**63, 0.5, "x", None])
def test_a_wrong_number_of_steps_cannot_be_assigned(steps):
    optimizer = SGD([Value(1.0)])
    with pytest.raises((TypeError, ValueError)):
        optimizer.steps = steps
    optimizer.steps = np.int64(5)
    assert (optimizer.steps, type(optimizer.steps)) == (5, int)


@pytest.mark.parametrize("copied", [lambda x: x, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_options_that_are_assigned_take_effect(copied):
    rng, x = np.random.default_rng(6), far_from_0(np.random.default_rng(7), 5)
    for cls, options in [
        (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        (Adam, {"betas": (0.5, 0.75), "eps": 0.1}),
        (AdamW, {"betas": [0.5, 0.75], "weight_decay": 0.3}),
    ]:
        assigned, given = cls([array(x)], lr=0.1), cls([array(x)], lr=0.1, **options)
        for name, option in options.items():
            setattr(assigned, name, option)
        assigned = copied(assigned)
        for _ in range(3):
            grad = far_from_0(rng, 5)
            for optimizer in (assigned, given):
                optimizer.params[0].grad = grad
                optimizer.step()
        assert assigned.params[0].data.tolist() == given.params[0].data.tolist()
        assert [getattr(assigned, name) for name in options] == [getattr(given, name) for name in options]


@pytest.mark.parametrize(
    ("cls", "name"), [(SGD, "momentum"), (SGD, "weight_decay"), (Adam, "eps"), (AdamW, "weight_decay")]
)
@pytest.mark.parametrize("number", [-0.1, math.nan])
def test_a_wrong_option_cannot_be_assigned(cls, name, number):
    optimizer = cls([Value(1.0)])
    with pytest.raises(ValueError, match=name):
        setattr(optimizer, name, number)
