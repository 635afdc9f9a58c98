"""A step skips the parameters that no gradient has reached since their grads were set to 0, as PyTorch's does."""

import copy
import math
import pickle

import numpy as np
import pytest

import pygrad
from pygrad import Value, array
from pygrad.optim import SGD, Adam, AdamW

OPTIMIZERS = {
    "SGD, momentum": (SGD, {"momentum": 0.9}),
    "SGD, momentum, dampening": (SGD, {"momentum": 0.9, "dampening": 0.5}),
    "SGD, nesterov, weight_decay": (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "SGD, weight_decay": (SGD, {"weight_decay": 0.1}),
    "Adam": (Adam, {}),
    "Adam, weight_decay": (Adam, {"weight_decay": 0.1}),
    "AdamW": (AdamW, {}),
    "AdamW, betas": (AdamW, {"betas": (0.5, 0.75), "weight_decay": 0.1}),
}
KINDS = {
    "Values": lambda x: [Value(xi) for xi in x],
    "an Array": lambda x: [array(x)],
    "a matrix": lambda x: [array(np.reshape(x, (2, -1)))],
}
START = np.array([0.5, -1.0, 2.0, 0.25])

# What torch 2.13.0 gives in their place: for used_once(), and for alternating().
TORCH = {
    "SGD, momentum": (0.8, [
        0.3888539400664784, -0.9444269700332393, 1.9722134850166193, 0.027707880132957018,
        0.40936306167706177, -0.4800796172903672, 0.9601592345807344, 0.20468153083853088,
        -0.9037134985079739, 0.6839108126865031, -1.3678216253730062, -0.45185674925398694,
    ]),
    "SGD, momentum, dampening": (0.8, [
        0.1958172259811819, -0.8479086129905907, 1.9239543064952955, -0.35836554803763654,
        0.15474321030482713, -0.5119070987118968, 1.0238141974237935, 0.07737160515241356,
        -0.717960848362992, 0.707129893954626, -1.414259787909252, -0.358980424181496,
    ]),
    "SGD, nesterov, weight_decay": (0.601, [
        -0.1441855978190711, 0.07232878300630247, -0.03663635969668532, -0.2881352115413753,
        0.21611074311319062, -0.1487254230889683, 0.2974508461779366, 0.10805537155659531,
        -0.7237644113730985, 0.17313834754553822, -0.34627669509107645, -0.3618822056865493,
    ]),
    "SGD, weight_decay": (0.7899999999999999, [
        0.20559903214893535, -0.686533933875949, 1.5107358025409379, -0.17253635350361085,
        0.07350258787052692, -0.4594916805827349, 0.9189833611654697, 0.03675129393526346,
        -0.6003585013146585, 0.6279744434354937, -1.2559488868709874, -0.30017925065732926,
    ]),
    "Adam": (0.9000000005, [
        0.21207009689969739, -0.7120700977993916, 1.7120700995987783, -0.03792990355014938,
        0.026461557629551682, -0.723538439540163, 1.223538441157469, -0.09853844196612188,
        -0.5920926192062322, 0.5329073961503392, -1.2829073873751562, -0.404592617012436,
    ]),
    "Adam, weight_decay": (0.9000000004761904, [
        0.22932331159091696, -0.5584583819480242, 0.9709200176535695, 0.01425033621588747,
        0.031585886982483, -0.5257980076445028, 1.0462718276473058, -0.08601701069555306,
        -0.5220324706084752, 0.38974769110738494, -1.1002925530122187, -0.3268815491883462,
    ]),
    "AdamW": (0.8990000005, [
        0.20876363542312737, -0.6964155434488899, 1.6717193595004152, -0.03506231858975386,
        0.026735773995883422, -0.7139452581916484, 1.2077326164242446, -0.09671106476820995,
        -0.5840562699670206, 0.526965297685409, -1.2676463239650855, -0.39888600905357585,
    ]),
    "AdamW, betas": (0.8900000004999999, [
        0.1474639608491462, -0.536620240508048, 1.314932799825851, -0.04711417898030465,
        0.056161891494475064, -0.605503288397629, 1.0466134111974565, -0.05411563854276845,
        -0.5180133991050666, 0.474484388489004, -1.1361495625425093, -0.35259710151264206,
    ]),
}  # fmt: skip


def dot(params, x):
    return (pygrad.concatenate([pygrad.array(p).reshape(-1) for p in params]) * x).sum()


def used_once(name):
    """b, after a step in which it was used and three without it."""
    cls, options = OPTIMIZERS[name]
    a, b = Value(1.0), Value(1.0)
    optimizer = cls([a, b], lr=0.1, **options)
    for step in range(4):
        optimizer.zero_grad()
        (a * 3.0 + b * 2.0 if step == 0 else a * 3.0).backward()
        optimizer.step()
    return b.data


def alternating(name, kind, steps=50):
    """The numbers of a trunk and of two heads, of which each step uses one."""
    cls, options = OPTIMIZERS[name]
    trunk, *heads = (KINDS[kind](START * scale) for scale in (1.0, 0.5, -0.75))
    optimizer = cls([*trunk, *heads[0], *heads[1]], lr=0.05, **options)
    for step in range(steps):
        optimizer.zero_grad()
        x = np.array([1.0, -0.5, 0.25, 2.0]) * math.cos(step)
        ((dot(trunk, x) + dot(heads[step % 2], x[::-1]) - math.sin(step)) ** 2).backward()
        optimizer.step()
    return np.concatenate([np.ravel(pygrad.array(p).data) for p in optimizer.params])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_parameter_that_is_not_used_is_skipped_as_by_torch(name):
    assert used_once(name) == pytest.approx(TORCH[name][0], rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fifty_steps_with_alternating_heads_are_torch_s(name, kind):
    np.testing.assert_allclose(alternating(name, kind), TORCH[name][1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_numbers_above_are_torch_s(name):
    torch = pytest.importorskip("torch")
    cls, options = OPTIMIZERS[name]
    sizes = {"requires_grad": True, "dtype": torch.float64}
    trunk, *heads = (torch.tensor(START * scale, **sizes) for scale in (1.0, 0.5, -0.75))
    optimizer = getattr(torch.optim, cls.__name__)([trunk, *heads], lr=0.05, **options)
    for step in range(50):
        optimizer.zero_grad()
        x = torch.tensor(np.array([1.0, -0.5, 0.25, 2.0]) * math.cos(step))
        (((trunk * x).sum() + (heads[step % 2] * x.flip(0)).sum() - math.sin(step)) ** 2).backward()
        optimizer.step()
    np.testing.assert_allclose(torch.cat([trunk, *heads]).tolist(), TORCH[name][1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_array_is_one_parameter_which_is_reached_if_an_element_is(name):
    cls, options = OPTIMIZERS[name]
    results = []
    for make in (array, lambda x: array([Value(xi) for xi in x])):
        w = make(START)
        optimizer = cls([w], lr=0.1, **options)
        for step in range(4):
            optimizer.zero_grad()
            (w[step % 2] * 3.0).backward()
            optimizer.step()
        results.append(w.data.tolist())
    moved = np.array(results[0]) != START
    assert results[0] == results[1]
    assert moved[:2].all()
    assert moved[2:].all() == bool(options.get("weight_decay") or cls is AdamW)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_with_zeros_for_none_all_parameters_are_updated_as_in_torch(name):
    cls, options = OPTIMIZERS[name]
    used, unused = Value(1.0), Value(1.0)
    same, zero = Value(1.0), Value(1.0)
    optimizer, other = cls([used, unused], lr=0.1, **options), cls([same, zero], lr=0.1, **options)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=False)
        other.zero_grad()
        (used * 2.0).backward()
        (same * 2.0 + zero * 0.0).backward()
        optimizer.step()
        other.step()
    assert (used.data, unused.data) == (same.data, zero.data)
    assert (unused.data != 1) == bool(options.get("weight_decay") or cls is AdamW)


@pytest.mark.parametrize("done", [0, 1, 2, 5])
@pytest.mark.parametrize("how", ["state", "saved", "deepcopy", "pickle"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_continued_optimizer_goes_on_as_if_uninterrupted(name, how, done, tmp_path):
    cls, options = OPTIMIZERS[name]

    def steps(optimizer, first, last):
        for step in range(first, last):
            optimizer.zero_grad()
            sum(p * (i + 1.0) for i, p in enumerate(optimizer.params) if step % (i + 1) == 0).backward()
            optimizer.step()

    whole = cls([Value(x) for x in START], lr=0.1, **options)
    steps(whole, 0, 8)
    optimizer = cls([Value(x) for x in START], lr=0.1, **options)
    steps(optimizer, 0, done)
    if how in ("state", "saved"):
        state = optimizer.state_dict()
        if how == "saved":
            pygrad.save(tmp_path / "state.npz", state)
            state = pygrad.load(tmp_path / "state.npz")
        optimizer = cls([Value(p.data) for p in optimizer.params], lr=0.1, **options)
        optimizer.load_state_dict(state)
    else:
        optimizer = copy.deepcopy(optimizer) if how == "deepcopy" else pickle.loads(pickle.dumps(optimizer))
    steps(optimizer, done, 8)
    assert [p.data for p in optimizer.params] == [p.data for p in whole.params]


@pytest.mark.parametrize("dampening", [0.0, 0.5])
def test_momentum_set_after_plain_steps_starts_with_the_whole_gradient_after_loading_too(dampening):
    results = []
    for interrupted in (False, True):
        w = Value(1.0)
        optimizer = SGD([w], lr=0.1, dampening=dampening)
        for step in range(4):
            if step == 2:
                optimizer.momentum = 0.9
                if interrupted:
                    state = optimizer.state_dict()
                    w = Value(w.data)
                    optimizer = SGD([w], lr=0.1, momentum=0.9, dampening=dampening)
                    optimizer.load_state_dict(state)
            w.grad = 1.0
            optimizer.step()
        results.append(w.data)
    assert results[0] == results[1] == pytest.approx(1 - 0.1 * 3 - 0.1 * (0.9 + 1 - dampening), rel=1e-12)


def test_a_state_of_an_older_version_says_that_all_parameters_took_all_steps():
    optimizer, same = Adam([Value(1.0), Value(2.0)]), Adam([Value(1.0), Value(2.0)])
    state = {"exp_avg": [0.5, -0.5], "exp_avg_sq": [0.25, 0.25]}
    optimizer.load_state_dict({"steps": 3, **state})
    same.load_state_dict({"steps": 3, "step": [3, 3], **state})
    assert optimizer.state_dict()["step"] == same.state_dict()["step"] == 3


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        ([1, 2, 3], ValueError, r"step has shape \(3,\) in the state, but needs \(\) or \(2,\)"),
        (-1, ValueError, "step must not be negative"),
        ([1, -1], ValueError, "step must not be negative"),
        (2**63, ValueError, "step must be below"),
        ([0.5, 1.0], TypeError, None),
        (None, TypeError, None),
        ("x", TypeError, None),
    ],
)
def test_a_wrong_number_of_steps_is_refused_and_nothing_is_changed(step, error, message):
    optimizer = Adam([Value(1.0), Value(2.0)])
    with pytest.raises(error, match=message):
        optimizer.load_state_dict({"steps": 3, "step": step, "exp_avg": [0.5, 0.5], "exp_avg_sq": [0.5, 0.5]})
    assert (optimizer.steps, optimizer.state_dict()["step"], optimizer.state_dict()["exp_avg"].any()) == (0, 0, False)


def test_steps_are_counted_where_all_parameters_are_skipped():
    w = Value(1.0)
    optimizer = AdamW([w, array([])], lr=lambda step: 0.5 / (step + 1))
    optimizer.step()
    assert (w.data, optimizer.steps, optimizer.lr, optimizer.state_dict()["step"]) == (1.0, 1, 0.25, 0)


@pytest.mark.parametrize("zero", [0, 0.0])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_grad_that_is_set_to_0_by_hand_is_skipped(name, zero):
    optimizer, options = OPTIMIZERS[name]
    a, b = Value(1.0), Value(1.0)
    step = optimizer([a, b], lr=0.1, **options)
    (a * 2 + b * 3).backward()
    step.step()
    a.grad = b.grad = zero
    before = b.data
    (a * 2).backward()
    step.step()
    assert b.data == before
