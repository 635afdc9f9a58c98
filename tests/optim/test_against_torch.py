"""Fifty steps with random options, groups, schedulers and clipping: torch's numbers. It is not installed everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygrad import array, optim
from pygrad.optim import lr_scheduler
from support.effort import examples

torch = pytest.importorskip("torch")

rates, decays = st.floats(1e-4, 0.3), st.floats(0, 0.5)
flags, fractions = st.booleans(), st.floats(0, 0.99)
OPTIONS = {
    "SGD": {"lr": rates, "momentum": fractions, "dampening": fractions, "weight_decay": decays, "nesterov": flags},
    "Adam": {"lr": rates, "betas": st.tuples(fractions, fractions), "weight_decay": decays, "amsgrad": flags},
    "AdamW": {"lr": rates, "betas": st.tuples(fractions, fractions), "weight_decay": decays, "amsgrad": flags},
    "RMSprop": {
        "lr": rates,
        "alpha": st.floats(0.5, 0.99),
        "weight_decay": decays,
        "momentum": fractions,
        "centered": flags,
    },
}
for name, options in OPTIONS.items():
    options["maximize"] = flags
    if name != "SGD":
        options["eps"] = st.floats(1e-3, 1e-1)  # with less, centered divides by the rounding of a difference

# Schedulers: their options, and their steps' argument.
SCHEDULERS = {
    "StepLR": ({"step_size": st.integers(1, 10), "gamma": st.floats(0.1, 1.5)}, None),
    "CosineAnnealingLR": ({"T_max": st.integers(1, 60), "eta_min": st.floats(0, 0.1)}, None),
    "LambdaLR": ({"lr_lambda": st.sampled_from([lambda t: 0.9**t, lambda t: 1 / (1 + t)])}, None),
    "ReduceLROnPlateau": (
        {
            "mode": st.sampled_from(["min", "max"]),
            "factor": st.floats(0.1, 0.9),
            "patience": st.integers(0, 4),
            "threshold": st.floats(0, 0.2),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.floats(0, 0.01),
            "eps": st.floats(0, 1e-3),
        },
        lambda t: 2 + np.cos(t * t),
    ),
}


def test_each_option_and_each_scheduler_is_drawn():
    assert OPTIONS.keys() == {name for name in optim.__all__ if name[0].isupper()} - {"Optimizer"}
    for name, options in OPTIONS.items():
        assert options.keys() | {"eps"} == {"lr", "eps", *getattr(optim, name)._GROUP.OPTIONS}
    made = {
        name for name, x in vars(lr_scheduler).items() if isinstance(x, type) and x.__module__ == lr_scheduler.__name__
    }
    assert SCHEDULERS.keys() == made - {"LRScheduler"}


def drawn(data, options):
    found = {name: data.draw(values) for name, values in options.items()}
    if found.get("nesterov"):
        found["dampening"] = 0.0
        found["nesterov"] = found["momentum"] > 0
    return found


def fifty_steps(name, options, own, grads, scheduler=None):
    """Both optimizers, of two groups, of which the second has options of its own; and the rates of both."""
    start = np.cos(np.arange(6.0))
    arrays = [array(start[:4]), array(start[4:])]
    tensors = [torch.tensor(x.data.copy(), requires_grad=True) for x in arrays]
    ours = getattr(optim, name)([{"params": arrays[:1]}, {"params": arrays[1:], **own}], **options)
    theirs = getattr(torch.optim, name)([{"params": tensors[:1]}, {"params": tensors[1:], **own}], **options)
    schedulers = []
    if scheduler:
        which, given, metric = scheduler
        schedulers = [
            getattr(module, which)(o, **given)
            for module, o in ((lr_scheduler, ours), (torch.optim.lr_scheduler, theirs))
        ]
    for step, grad in enumerate(grads):
        for a, t, g in zip(arrays, tensors, (grad[:4], grad[4:])):
            a.grad, t.grad = g, torch.tensor(g)
        ours.step()
        theirs.step()
        for each in schedulers:
            each.step(*([metric(step)] if metric else []))
        np.testing.assert_allclose(
            [g["lr"] for g in ours.param_groups], [g["lr"] for g in theirs.param_groups], rtol=1e-9, atol=1e-12
        )
    for a, t in zip(arrays, tensors):
        np.testing.assert_allclose(a.data, t.detach().numpy(), rtol=1e-8, atol=1e-10)
    return ours, theirs


@pytest.mark.parametrize("name", OPTIONS)
@examples(25)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_fifty_steps_are_torch_s(name, seed, data):
    options = drawn(data, OPTIONS[name])
    own = {
        option: data.draw(OPTIONS[name][option])
        for option in data.draw(st.sets(st.sampled_from(["lr", "weight_decay"])))
    }
    grads = np.random.default_rng(seed).normal(size=(50, 6))
    ours, theirs = fifty_steps(name, options, own, grads)
    for group, mine in zip(theirs.param_groups, ours.param_groups):
        state = theirs.state[group["params"][0]]
        kept = mine.state_dict()
        for buffer in mine.needed():
            np.testing.assert_allclose(kept[buffer], state[buffer].numpy().ravel(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("which", SCHEDULERS)
@examples(20)
@given(data=st.data())
def test_a_scheduler_s_rates_are_torch_s(which, data):
    options, metric = SCHEDULERS[which]
    grads = np.sin(np.arange(300.0)).reshape(50, 6)
    fifty_steps("SGD", {"lr": 0.2}, {"lr": 0.05}, grads, (which, drawn(data, options), metric))


@examples(50)
@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5),
    st.floats(0, 100),
    st.sampled_from([1.0, 2.0, 3.0, float("inf")]),
)
def test_clipping_is_torch_s(grads, max_norm, norm_type):
    w, t = array(np.zeros(len(grads))), torch.zeros(len(grads), dtype=torch.float64, requires_grad=True)
    w.grad, t.grad = grads, torch.tensor(grads, dtype=torch.float64)
    expected = torch.nn.utils.clip_grad_norm_([t], max_norm, norm_type)
    assert optim.clip_grad_norm_([w], max_norm, norm_type) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(w.grad, t.grad.numpy(), rtol=1e-12, atol=1e-300)
