"""lr_scheduler: known rates, states, and what is refused."""

import inspect
import pickle
import re

import pytest

import pygrad
from pygrad import Value, array
from pygrad.optim import SGD, linear, lr_scheduler
from pygrad.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

LOSSES = [3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]

# name: (make it, the rates of the first group after each step from a rate of 1)
KNOWN = {
    "StepLR": (lambda o: StepLR(o, 2, gamma=0.5), [1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]),
    "CosineAnnealingLR": (lambda o: CosineAnnealingLR(o, 2, eta_min=0.5), [0.75, 0.5, 0.75, 1, 0.75, 0.5, 0.75, 1]),
    "LambdaLR": (lambda o: LambdaLR(o, lambda t: 1 / (t + 1)), [1 / (t + 2) for t in range(8)]),
    "LambdaLR, for each group": (lambda o: LambdaLR(o, [lambda t: 1, lambda t: t]), [1] * 8),
    "ReduceLROnPlateau": (lambda o: ReduceLROnPlateau(o, factor=0.5, patience=1), [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]),
    "ReduceLROnPlateau, cooldown": (
        lambda o: ReduceLROnPlateau(o, factor=0.5, patience=0, cooldown=1, min_lr=0.2),
        [1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2],
    ),
    "ReduceLROnPlateau, max": (
        lambda o: ReduceLROnPlateau(o, mode="max", factor=0.5, patience=2, threshold_mode="abs"),
        [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25],
    ),
}


def optimizer(lr=1.0):
    return SGD([{"params": [Value(1.0)]}, {"params": [Value(1.0)], "lr": 0.1}], lr=lr)


def step(scheduler, i):
    scheduler.step(*([LOSSES[i]] if isinstance(scheduler, ReduceLROnPlateau) else []))
    return scheduler.get_last_lr()[0]


@pytest.mark.parametrize("name", KNOWN)
def test_a_scheduler_gives_the_known_rates(name):
    make, expected = KNOWN[name]
    scheduler = make(optimizer())
    assert [step(scheduler, i) for i in range(8)] == pytest.approx(expected, rel=1e-12)


# name: what the repr shows before and after the rates at the start, after two steps
REPRS = {
    "StepLR": ("step_size=2, gamma=0.5", "last_epoch=2, last_lr=[0.5, 0.05]"),
    "CosineAnnealingLR": ("T_max=2, eta_min=0.5", "last_epoch=2, last_lr=[0.5, 0.5]"),
    "LambdaLR": ("lr_lambdas=[<function ...>]", "last_epoch=2, last_lr=[0.3333333333333333, 0.03333333333333333]"),
    "ReduceLROnPlateau": (
        "mode='min', factor=0.5, patience=1, cooldown=0, eps=1e-08, threshold=0.0001, threshold_mode='rel', "
        "min_lrs=[0.0, 0.0], best=2.0, num_bad_epochs=0, cooldown_counter=0",
        "last_epoch=2, last_lr=[1.0, 0.1]",
    ),
}


def test_each_scheduler_has_a_row():
    classes = inspect.getmembers(lr_scheduler, lambda x: inspect.isclass(x) and issubclass(x, LRScheduler))
    assert REPRS.keys() == {name for name, _ in classes} - {"LRScheduler"}


@pytest.mark.parametrize("name", REPRS)
def test_help_shows_an_example_and_repr_the_options_and_the_rates(name):
    cls = getattr(lr_scheduler, name)
    assert ">>>" in cls.__doc__
    for method, x in inspect.getmembers(cls, inspect.isfunction):
        assert inspect.getdoc(x) or method.startswith("_"), method
    scheduler = KNOWN[name][0](optimizer())
    for i in range(2):
        step(scheduler, i)
    options, state = REPRS[name]
    shown = re.sub("<function .*>", "<function ...>", repr(scheduler))
    assert shown == f"{name}({options}, base_lrs=[1.0, 0.1], {state})"


@pytest.mark.parametrize("how", ["state", "saved", "pickled"])
@pytest.mark.parametrize("name", KNOWN)
def test_a_scheduler_goes_on_from_a_state(name, how, tmp_path):
    make, expected = KNOWN[name]
    scheduler = make(optimizer())
    for i in range(4):
        step(scheduler, i)
    if how == "pickled" and "Lambda" not in name:
        scheduler = pickle.loads(pickle.dumps(scheduler))
    else:
        state = {"scheduler": scheduler.state_dict(), "optimizer": scheduler.optimizer.state_dict()}
        if how == "saved":
            pygrad.save(tmp_path / "state.npz", state)
            state = pygrad.load(tmp_path / "state.npz")
        scheduler = make(optimizer())
        scheduler.optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
    assert [step(scheduler, i) for i in range(4, 8)] == pytest.approx(expected[4:], rel=1e-12)


def test_a_loss_may_be_a_value_or_an_array():
    scheduler = ReduceLROnPlateau(optimizer(), patience=0)
    for loss in (Value(1.0), array(1.0)):
        scheduler.step(loss)
    assert scheduler.get_last_lr() == pytest.approx([0.1, 0.01])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: StepLR([Value(1.0)], 2), TypeError, "a scheduler takes an optimizer, not 'list'"),
        (lambda: StepLR(optimizer(linear(1.0, 10)), 2), TypeError, "lr is a function, which sets the rate already"),
        (lambda: ReduceLROnPlateau(optimizer(linear(1.0, 10))), TypeError, "give it a number"),
        (lambda: StepLR(optimizer(), 0), ValueError, "step_size must be positive, not 0"),
        (lambda: CosineAnnealingLR(optimizer(), -1), ValueError, "T_max must be positive"),
        (lambda: CosineAnnealingLR(optimizer(), 1, -1), ValueError, "eta_min must not be negative"),
        (lambda: LambdaLR(optimizer(), [abs]), ValueError, "a function for each of 2 groups, not 1"),
        (lambda: LambdaLR(optimizer(), lambda t: -1), ValueError, "lr must not be negative"),
        (lambda: ReduceLROnPlateau(optimizer(), "less"), ValueError, "mode must be 'min' or 'max', not 'less'"),
        (
            lambda: ReduceLROnPlateau(optimizer(), threshold_mode="x"),
            ValueError,
            "must be 'rel' or 'abs', not 'x'",
        ),
        (lambda: ReduceLROnPlateau(optimizer(), factor=1.0), ValueError, "factor must be below 1"),
        (lambda: ReduceLROnPlateau(optimizer(), min_lr=[0.1]), ValueError, "a rate for each of the 2 groups, not 1"),
        (lambda: LRScheduler(optimizer()), NotImplementedError, "LRScheduler does not say which rate"),
        (lambda: StepLR(optimizer(), 1).load_state_dict({"best": 1}), KeyError, "needs .*last_epoch"),
    ],
)
def test_wrong_arguments_are_refused_in_words(make, error, message):
    with pytest.raises(error, match=message):
        make()
