"""Groups of parameters, closures, and what help and repr say."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import pygrad
from pygrad import Value, array, optim
from pygrad.optim import SGD, Adam, AdamW, RMSprop, linear
from support.optimizers import RULES

CLASSES = [SGD, Adam, AdamW, RMSprop]


def test_each_optimizer_has_rules_and_each_option_a_rule_that_uses_it():
    made = {name for name in optim.__all__ if inspect.isclass(getattr(optim, name))} - {"Optimizer"}
    assert made == {cls.__name__ for cls in CLASSES}
    for cls in CLASSES:
        options = {option for rule in RULES.values() if rule[0] is cls for option in rule[2]}
        assert options == {"lr", *cls._GROUP.OPTIONS}


@pytest.mark.parametrize("cls", CLASSES)
def test_a_group_takes_its_own_steps(cls):
    """Two groups are two optimizers."""
    a, b, same_a, same_b = (array([1.0, -2.0]) for _ in range(4))
    both = cls([{"params": [a], "lr": 0.5}, {"params": [b], "weight_decay": 0.25}], lr=0.1)
    alone = cls([same_a], lr=0.5), cls([same_b], lr=0.1, weight_decay=0.25)
    for step in range(3):
        for w in (a, b, same_a, same_b):
            w.grad = [1.0, step]
        assert both.step() is None
        for optimizer in alone:
            optimizer.step()
    assert both.steps == 3
    assert (a.data.tolist(), b.data.tolist()) == (same_a.data.tolist(), same_b.data.tolist())
    both.zero_grad()
    assert not a.grad.any()
    assert not b.grad.any()


def test_groups_are_dicts_whose_options_are_checked():
    v, w = Value(1.0), array([2.0])
    optimizer = SGD([{"params": [v]}, {"params": [w], "lr": 0.5}], lr=linear(1.0, 10), momentum=0.5)
    first, second = optimizer.param_groups
    assert list(first) == ["params", "lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"]
    assert (first["params"], len(second), second["lr"], first["lr"]) == ([v], 7, 0.5, 1.0)
    second["momentum"] = 0.25
    second.update(lr=0.125, weight_decay=0.5)
    assert (first["momentum"], second["momentum"], second["lr"], second["weight_decay"]) == (0.5, 0.25, 0.125, 0.5)
    for wrong, error, message in [
        (lambda: second.__setitem__("momentum", -1), ValueError, "momentum must not be negative"),
        (
            lambda: second.__setitem__("nesterow", True),
            KeyError,
            "'nesterow' is no option here; .* params, lr, ",
        ),
        (lambda: second["betas"], KeyError, "'betas' is no option here"),
        (lambda: second.__setitem__("params", [v]), TypeError, "add_param_group"),
        (lambda: second.pop("lr"), TypeError, "'lr' can be assigned, but not deleted"),
        (
            lambda: optimizer.lr,
            ValueError,
            r"the groups differ in lr: ask .* for its \['lr'\]",
        ),
        (lambda: optimizer.momentum, ValueError, "the groups differ in momentum"),
    ]:
        with pytest.raises(error, match=message):
            wrong()
    optimizer.lr, optimizer.momentum = 0.1, 0.0
    assert (first["lr"], second["lr"], optimizer.lr, optimizer.momentum) == (0.1, 0.1, 0.1, 0.0)


def test_an_option_that_one_group_refuses_is_assigned_to_none():
    optimizer = SGD([{"params": [Value(1.0)]}, {"params": [Value(1.0)], "nesterov": True}], momentum=0.9)
    with pytest.raises(ValueError, match="Nesterov"):
        optimizer.momentum = 0.0
    assert optimizer.momentum == 0.9


def test_a_group_may_be_added_later_and_takes_the_same_steps_of_a_schedule():
    v, w = Value(1.0), Value(1.0)
    optimizer = SGD([v], lr=linear(1.0, 4))
    v.grad = w.grad = 1.0
    optimizer.step()
    optimizer.add_param_group({"params": [w]})
    optimizer.step()
    assert (v.data, w.data) == (1 - 1 - 0.75, 1 - 0.75)
    with pytest.raises(ValueError, match="twice"):
        optimizer.add_param_group({"params": [v]})
    assert len(optimizer.param_groups) == 2


def test_a_schedule_that_raises_changes_no_group():
    v, w = Value(1.0), Value(1.0)
    v.grad = w.grad = 1.0
    optimizer = SGD([{"params": [v]}, {"params": [w], "lr": lambda step: 1 / step}], lr=0.5)
    with pytest.raises(ZeroDivisionError):
        optimizer.step()
    assert (v.data, w.data, optimizer.steps) == (1, 1, 0)


@pytest.mark.parametrize("how", ["state", "saved", "deepcopy", "pickle"])
@pytest.mark.parametrize("name", RULES)
def test_groups_and_their_options_go_on_from_a_state_or_a_copy(name, how, tmp_path):
    cls, _, options = RULES[name]

    def made(*data, **options):
        return cls([{"params": [array(data[0])], "lr": 0.25}, {"params": [array(data[1])]}], **options)

    def steps(optimizer, first, last):
        for step in range(first, last):
            for i, w in enumerate(optimizer.params):
                w.grad = np.cos(np.arange(w.size) + step * (i + 1.0))
            optimizer.step()
        return [w.data.tolist() for w in optimizer.params]

    start = [1.0, -2.0, 0.5], [3.0]
    whole, optimizer = made(*start, **options), made(*start, **options)
    expected = steps(whole, 0, 6)
    halfway = steps(optimizer, 0, 3)
    if how in ("state", "saved"):
        state = optimizer.state_dict()
        if how == "saved":
            pygrad.save(tmp_path / "state.npz", state)
            state = pygrad.load(tmp_path / "state.npz")
        optimizer = made(*halfway)  # the options are in the state
        optimizer.load_state_dict(state)
    else:
        optimizer = copy.deepcopy(optimizer) if how == "deepcopy" else pickle.loads(pickle.dumps(optimizer))
    assert steps(optimizer, 3, 6) == expected
    for ours, theirs in zip(optimizer.param_groups, whole.param_groups):
        assert {k: x for k, x in ours.items() if k != "params"} == {k: x for k, x in theirs.items() if k != "params"}


def test_a_schedule_stays_where_a_state_is_loaded():
    optimizer, other = SGD([Value(1.0)], lr=linear(1.0, 4)), SGD([Value(1.0)], lr=linear(1.0, 4))
    optimizer.steps = 2
    other.load_state_dict(optimizer.state_dict())
    other.steps += 1
    assert other.lr == 0.25


def test_a_closure_sets_the_grads_and_its_loss_is_returned():
    w = array([3.0])
    optimizer = SGD([w], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert [optimizer.step(closure).item() for _ in range(3)] == [9.0, 2.25, 0.5625]


@pytest.mark.parametrize("cls", CLASSES)
def test_help_and_repr_tell_the_options(cls):
    assert ">>>" in cls.__doc__
    assert repr(cls([Value(1.0), array([2.0])])).startswith(f"{cls.__name__}(2 parameters, lr=0.")
    for option in cls._GROUP.OPTIONS:
        assert f"{option}=" in repr(cls([Value(1.0)]))
        assert inspect.getdoc(getattr(cls, option))
    two = repr(SGD([{"params": [Value(1.0)], "lr": 0.5}, {"params": [Value(1.0)]}], lr=0.25))
    assert two.startswith("SGD(1 parameter, lr=0.5, momentum=0.0")
    assert "; 1 parameter, lr=0.25" in two
