"""pygrad.optim: PyTorch's update rules, as published with torch.optim, in NumPy."""

import copy
import gc
import inspect
import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygrad import MLP, Array, Value, array
from pygrad.optim import SGD, Adam, AdamW, Optimizer, clip_grad_norm_, cosine, linear

# The rules -------------------------------------------------------------------------------------------------------


def sgd(data, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """A generator that is sent the grads of each step (and its lr), and gives the data after it."""
    buffer = None
    while True:
        grad, rate = yield data
        grad = grad + weight_decay * data
        if momentum:
            buffer = grad if buffer is None else momentum * buffer + (1 - dampening) * grad
            grad = grad + momentum * buffer if nesterov else buffer
        data = data - (lr if rate is None else rate) * grad


def adam(data, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    mean, square, t = np.zeros(data.shape), np.zeros(data.shape), 0
    while True:
        grad, rate = yield data
        rate = lr if rate is None else rate
        t += 1
        if decoupled:
            data = data * (1 - rate * weight_decay)
        else:
            grad = grad + weight_decay * data
        mean = betas[0] * mean + (1 - betas[0]) * grad
        square = betas[1] * square + (1 - betas[1]) * grad * grad
        denominator = np.sqrt(square) / np.sqrt(1 - betas[1] ** t) + eps
        data = data - rate / (1 - betas[0] ** t) * mean / denominator


def adamw(data, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    return adam(data, lr, betas, eps, weight_decay, decoupled=True)


RULES = {
    "SGD": (SGD, sgd, {}),
    "SGD, lr": (SGD, sgd, {"lr": 0.5}),
    "SGD, lr 0": (SGD, sgd, {"lr": 0}),
    "SGD, weight_decay": (SGD, sgd, {"lr": 0.1, "weight_decay": 0.3}),
    "SGD, momentum": (SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    "SGD, dampening": (SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.4}),
    "SGD, dampening alone": (SGD, sgd, {"lr": 0.1, "dampening": 0.4}),
    "SGD, momentum and weight_decay": (SGD, sgd, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.1}),
    "SGD, nesterov": (SGD, sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "SGD, nesterov and weight_decay": (SGD, sgd, {"lr": 0.1, "momentum": 0.5, "weight_decay": 1, "nesterov": True}),
    "SGD, momentum above 1": (SGD, sgd, {"lr": 0.01, "momentum": 1.1, "dampening": -0.5}),
    "Adam": (Adam, adam, {}),
    "Adam, lr": (Adam, adam, {"lr": 0.3}),
    "Adam, betas": (Adam, adam, {"lr": 0.01, "betas": (0.5, 0.75)}),
    "Adam, betas of 0": (Adam, adam, {"lr": 0.01, "betas": (0, 0.0)}),
    "Adam, betas in a list": (Adam, adam, {"betas": [0.85, 0.99]}),
    "Adam, eps": (Adam, adam, {"lr": 0.01, "eps": 0.1}),
    "Adam, eps 0": (Adam, adam, {"lr": 0.01, "eps": 0}),
    "Adam, weight_decay": (Adam, adam, {"lr": 0.01, "weight_decay": 0.1}),
    "AdamW": (AdamW, adamw, {}),
    "AdamW, weight_decay": (AdamW, adamw, {"lr": 0.1, "weight_decay": 0.5}),
    "AdamW, no weight_decay": (AdamW, adamw, {"lr": 0.1, "weight_decay": 0}),
    "AdamW, all": (AdamW, adamw, {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 2.0}),
}


def make_values(x):
    return [Value(y) for y in x]


def make_mixture(x):
    """Values; Arrays of one, two and no axes; Arrays of Values; views that are strided, reversed or picked."""
    parts = [part.copy() for part in np.array_split(x, 8)]
    n, reverse = len(parts[3]), array(parts[4][::-1])
    wide = array(np.stack([parts[3]] * 3, axis=-1))
    return [
        *make_values(parts[0]),
        array(parts[1][:, None]),
        array(make_values(parts[2])),
        wide[:, 1] if n else array([]),
        reverse[::-1],
        array(np.r_[parts[5], 7.0])[list(range(len(parts[5])))],
        *[array(y) for y in parts[6]],
        array(parts[7]),
    ]


KINDS = {"Values": make_values, "an Array": lambda x: [array(x)], "a mixture": make_mixture}


def flat(params, part="data"):
    return np.concatenate([np.ravel(getattr(p, part)) for p in params])


def set_grads(params, grads):
    at = 0
    for p in params:
        n = p.size if isinstance(p, Array) else 1
        p.grad = grads[at : at + n].reshape(p.shape) if isinstance(p, Array) else grads[at]
        at += n
    assert at == len(grads)


def far_from_0(rng, n):
    """Numbers of either sign whose sums hardly cancel."""
    return rng.uniform(1, 2, n) * rng.choice([-1, 1], n)


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
        (SGD, "params lr=0.001 momentum=0.0 dampening=0.0 weight_decay=0.0 nesterov=False"),
        (Adam, "params lr=0.001 betas=(0.9, 0.999) eps=1e-08 weight_decay=0.0"),
        (AdamW, "params lr=0.001 betas=(0.9, 0.999) eps=1e-08 weight_decay=0.01"),
        (clip_grad_norm_, "parameters max_norm norm_type=2.0"),
    ],
)
def test_parameters_have_torch_s_names_order_and_defaults(cls, expected):
    found = inspect.signature(cls).parameters.values()
    assert " ".join(f"{p.name}{'' if p.default is p.empty else f'={p.default}'}" for p in found) == expected


def test_nothing_but_the_parameters_is_touched():
    a = array(np.zeros(100))
    a.grad = 1
    SGD([a[10:20], a[50]], lr=1).step()
    assert np.flatnonzero(a.data).tolist() == [*range(10, 20), 50]
    assert (a.grad == 1).all()


def test_values_and_views_that_the_program_holds_see_the_steps():
    a = array([1.0, 2.0])
    v, data = a[1], a.data
    a.grad = 1
    SGD([a], lr=0.5).step()
    assert v.data == 1.5
    assert data.tolist() == [0.5, 1.5]


def test_gradients_that_are_not_finite_stay_with_their_parameters():
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


# Parameters ------------------------------------------------------------------------------------------------------


def test_zero_grad_sets_the_grads_of_the_parameters_and_of_nothing_else():
    v, w, other = Value(1.0), array([1.0, 2.0, 3.0]), Value(2.0)
    for p in (v, w, other):
        p.grad = 7
    SGD([v, w[1:]]).zero_grad()
    assert (v.grad, w.grad.tolist(), other.grad) == (0, [7, 0, 0], 7)
    assert (v.data, w.data.tolist()) == (1, [1, 2, 3])


def test_parameters_may_come_in_any_iterable():
    vs = [Value(1.0), Value(2.0)]
    for params in [vs, tuple(vs), iter(vs), (v for v in vs), dict.fromkeys(vs), np.array(vs), list(array(vs))]:
        optimizer = SGD(params, lr=1)
        vs[0].grad = vs[1].grad = 1
        before = [v.data for v in vs]
        optimizer.step()
        assert [v.data for v in vs] == [x - 1 for x in before]


def test_an_optimizer_keeps_its_parameters_alive():
    optimizer = Adam([Value(1.0), array(np.ones(300)), array([Value(1.0), 2.0])], lr=0.5)
    gc.collect(1)
    others = array(np.zeros(1000))
    set_grads(optimizer.params, np.ones(303))
    optimizer.step()
    np.testing.assert_allclose(flat(optimizer.params), [*[0.5] * 302, 1.5])
    optimizer.zero_grad()
    assert not others.data.any()


def test_optimizers_leave_nothing_behind(no_leak):
    test_an_optimizer_keeps_its_parameters_alive()
    for cls, _, options in RULES.values():
        optimizer = cls([array(np.ones(100))], **options)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    with pytest.raises(ValueError, match="leaf"):
        SGD([array([1.0]) * 2])


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ([], ValueError, "no parameters"),
        ([array([])], ValueError, "no parameters"),
        (iter(()), ValueError, "no parameters"),
        (lambda v, a: [v * 1], ValueError, "leaf"),
        (lambda v, a: [v, a * 1], ValueError, "leaf"),
        (lambda v, a: [a, array([v, v + 1])], ValueError, "leaf"),
        (lambda v, a: [Value(1.0, (v,), "op")], ValueError, "leaf"),
        (lambda v, a: [v, a, v], ValueError, "twice"),
        (lambda v, a: [a, a[1:]], ValueError, "twice"),
        (lambda v, a: [a, a[0]], ValueError, "twice"),
        (lambda v, a: [array([v, v])], ValueError, "twice"),
        (lambda v, a: [a, a], ValueError, "twice"),
        (lambda v, a: v, TypeError, r"\[w\], not w"),
        (lambda v, a: a, TypeError, r"\[w\], not w"),
        ([1.0], TypeError, "Values and Arrays, not 'float'"),
        ([np.ones(2)], TypeError, "not 'ndarray'"),
        (lambda v, a: [[v]], TypeError, "not 'list'"),
        (lambda v, a: [{"params": [v]}], TypeError, "not 'dict'"),
        (lambda v, a: [("name", v)], TypeError, "not 'tuple'"),
        ("ab", TypeError, "not 'str'"),
        (None, TypeError, "NoneType"),
        (3, TypeError, "int"),
        (lambda v, a: MLP(2, [1]), TypeError, "MLP"),
    ],
)
def test_wrong_parameters_are_refused(params, error, message):
    for cls in [SGD, Adam, AdamW]:
        with pytest.raises(error, match=message):
            cls(params(Value(1.0), array([1.0, 2.0])) if callable(params) and not isinstance(params, type) else params)


@pytest.mark.parametrize(
    ("cls", "options", "error", "message"),
    [
        (SGD, {"lr": -0.1}, ValueError, "lr must not be negative, got -0.1"),
        (SGD, {"lr": math.nan}, ValueError, "lr"),
        (Adam, {"lr": -1}, ValueError, "lr"),
        (SGD, {"lr": "0.1"}, TypeError, "lr must be a number, not 'str'"),
        (SGD, {"lr": None}, TypeError, "lr must be a number, not 'NoneType'"),
        (Adam, {"lr": Value(0.1)}, TypeError, "lr must be a number, not 'Value'"),
        (SGD, {"momentum": -0.1}, ValueError, "momentum must not be negative"),
        (SGD, {"momentum": math.nan}, ValueError, "momentum"),
        (SGD, {"weight_decay": -0.1}, ValueError, "weight_decay must not be negative"),
        (SGD, {"nesterov": True}, ValueError, "Nesterov momentum requires a momentum and zero dampening"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, ValueError, "Nesterov"),
        (SGD, {"dampening": "x"}, TypeError, None),
        (Adam, {"eps": -1e-8}, ValueError, "eps must not be negative"),
        (Adam, {"weight_decay": -1}, ValueError, "weight_decay"),
        (AdamW, {"weight_decay": -1}, ValueError, "weight_decay"),
        (Adam, {"betas": (1.0, 0.9)}, ValueError, "betas must be at least 0 and below 1"),
        (Adam, {"betas": (0.9, 1.0)}, ValueError, "betas"),
        (AdamW, {"betas": (-0.1, 0.9)}, ValueError, "betas"),
        (Adam, {"betas": (math.nan, 0.9)}, ValueError, "betas"),
        (Adam, {"betas": 0.9}, TypeError, None),
        (Adam, {"momentum": 0.9}, TypeError, "momentum"),
        (Adam, {"betas": (0.9,)}, ValueError, "betas"),
        (Adam, {"betas": (0.9, 0.99, 0.999)}, ValueError, "betas"),
        (SGD, {"lr": [0.1]}, TypeError, None),
    ],
)
def test_wrong_options_are_refused(cls, options, error, message):
    with pytest.raises(error, match=message):
        cls([Value(1.0)], **options)


def test_a_leaf_with_a_backward_may_be_a_parameter_or_is_refused_for_that():
    v = Value(1.0)
    v._backward = lambda: None
    try:
        SGD([v])
    except ValueError as error:
        assert "_backward" in str(error)  # noqa: PT017


def test_a_node_that_is_no_parameter_is_never_updated_whatever_becomes_of_the_list_of_parameters():
    optimizer = SGD([array(np.ones(600))], lr=1)
    optimizer.params[:] = []
    gc.collect(1)
    others = [array(np.ones(600)) for _ in range(100)]
    for other in others:
        other.grad = 1
    optimizer.step()
    assert all((other.data == 1).all() for other in others)


# Options that are assigned ---------------------------------------------------------------------------------------


def follows_assigned(steps, look=False):
    """As torch's SGD does when its param_groups are edited before each step: momentum, dampening, weight_decay."""
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
    again = AdamW([other], lr=0.1, weight_decay=0.5, eps=0.1)
    again.load_state_dict(optimizer.state_dict())
    optimizer.weight_decay, optimizer.eps = 0.5, 0.1
    assert (optimizer.weight_decay, optimizer.eps) == (0.5, 0.1)
    w.grad = other.grad = far_from_0(rng, 2)
    optimizer.step()
    again.step()
    assert w.data.tolist() == other.data.tolist()


@pytest.mark.parametrize("dampening", [0, 0.5])
def test_a_momentum_of_0_leaves_the_buffer_alone_as_in_torch(dampening):
    follows_assigned([(0.5, dampening, 0), (0.5, dampening, 0), (0, dampening, 0), (0.5, dampening, 0)])


def test_a_look_at_the_state_changes_nothing():
    follows_assigned([(0, 0.5, 0), (0.5, 0.5, 0), (0.5, 0.5, 0)], look=True)


@pytest.mark.parametrize(
    ("cls", "name"), [(SGD, "momentum"), (SGD, "weight_decay"), (Adam, "eps"), (AdamW, "weight_decay")]
)
@pytest.mark.parametrize("number", [-0.1, math.nan])
def test_a_wrong_option_cannot_be_assigned(cls, name, number):
    optimizer = cls([Value(1.0)])
    with pytest.raises(ValueError, match=name):
        setattr(optimizer, name, number)


# The learning rate -----------------------------------------------------------------------------------------------


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


def test_a_schedule_that_raises_leaves_all_as_it_was():
    w = Value(1.0)
    w.grad = 1.0
    for cls in [SGD, Adam]:
        for schedule, error in [(lambda step: None, TypeError), (lambda step: 1 / step, ZeroDivisionError)]:
            optimizer = cls([w], lr=schedule)
            with pytest.raises(error):
                optimizer.step()
            assert (w.data, optimizer.steps) == (1.0, 0)


numbers = st.floats(1e-6, 10)


@settings(deadline=None)
@given(numbers, st.integers(1, 50), numbers | st.just(0.0))
def test_linear_is_torch_s_linear_lr_in_closed_form(lr, steps, end):
    schedule = linear(lr, steps, end)
    for step in range(2 * steps):
        factor = 1 + (end / lr - 1) * min(steps, step) / steps
        assert schedule(step) == pytest.approx(lr * factor, rel=1e-12, abs=1e-12 * lr)


@settings(deadline=None)
@given(numbers, st.integers(1, 50), numbers | st.just(0.0))
def test_cosine_is_torch_s_cosine_annealing_lr_in_closed_form_and_then_stays(lr, steps, end):
    schedule = cosine(lr, steps, end)
    for step in range(2 * steps):
        t = min(step, steps)
        expected = end + (lr - end) * (1 + math.cos(math.pi * t / steps)) / 2
        assert schedule(step) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("make", [linear, cosine])
def test_a_schedule_begins_and_ends_as_it_was_told(make):
    schedule = make(0.5, 8)
    assert schedule(0) == 0.5
    assert schedule(4) == pytest.approx(0.25)
    assert schedule(8) == schedule(1000) == 0
    assert all(schedule(step) >= schedule(step + 1) >= 0 for step in range(20))
    assert make(0.1, 7, 1e-3)(7) == pytest.approx(1e-3, rel=1e-12)
    assert make(0.1, 1)(1) == 0
    assert make(lr=1.0, steps=2, end=2.0)(2) == 2
    assert pickle.loads(pickle.dumps(schedule))(3) == schedule(3)


@pytest.mark.parametrize("make", [linear, cosine])
@pytest.mark.parametrize("steps", [0, -1, math.nan], ids=repr)
def test_a_schedule_needs_steps(make, steps):
    with pytest.raises(ValueError, match=f"steps must be positive, not {steps}"):
        make(0.1, steps)


# State -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("done", [0, 1, 7])
def test_a_state_that_is_loaded_goes_on_as_without_interruption(name, done):
    cls, _, options = RULES[name]
    options = {**options, "lr": linear(0.3, 30)}
    rng = np.random.default_rng(2)
    w, grads = array(far_from_0(rng, 70)), far_from_0(rng, (20, 70))
    optimizer = cls([w], **options)
    for g in grads[:done]:
        w.grad = g
        optimizer.step()
    state, data = optimizer.state_dict(), w.data.copy()
    saved = {key: np.array(x) for key, x in pickle.loads(pickle.dumps(state)).items()}
    for g in grads[done:]:
        w.grad = g
        optimizer.step()
    for loaded in [state, saved, {key: x.tolist() for key, x in saved.items()}]:
        again = [*make_values(data[:30]), array(data[30:].reshape(4, 10))]
        other = cls(again, **options)
        set_grads(again, grads[0])
        other.step()  # what it had before is overwritten
        set_grads(again, np.zeros(70))
        again[-1].data = data[30:].reshape(4, 10)
        for v, x in zip(again, data[:30]):
            v.data = x
        other.load_state_dict(loaded)
        assert (other.steps, other.lr) == (done, optimizer._lr(done))
        for g in grads[done:]:
            set_grads(again, g)
            other.step()
        np.testing.assert_array_equal(flat(again), w.data)


def test_a_state_has_torch_s_names_and_is_a_copy():
    w = array([1.0, 2.0])
    for cls, options, names in [
        (SGD, {}, set()),
        (SGD, {"momentum": 0.9}, {"momentum_buffer"}),
        (Adam, {}, {"exp_avg", "exp_avg_sq"}),
        (AdamW, {}, {"exp_avg", "exp_avg_sq"}),
    ]:
        optimizer = cls([w], **options)
        w.grad = [3.0, 4.0]
        optimizer.step()
        state = optimizer.state_dict()
        assert state.keys() == {"steps", *names}
        assert state["steps"] == 1
        for name in names:
            assert state[name].shape == (2,)
            state[name][:] = 0
            assert optimizer.state_dict()[name].all()
        optimizer.load_state_dict(state)
        optimizer.step()
        assert not any(state[name].any() for name in names)


GOOD = {"steps": 3, "exp_avg": [1.0, 2.0], "exp_avg_sq": [3.0, 4.0]}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: {"steps": 3}, KeyError, "exp_avg"),
        (lambda s: {}, KeyError, "steps"),
        (lambda s: {**s, "momentum_buffer": [0.0, 0.0]}, KeyError, "momentum_buffer"),
        (lambda s: {"exp_avg": [0.0, 0.0], "exp_avg_sq": [0.0, 0.0]}, KeyError, "steps"),
        (lambda s: {**s, "exp_avg": [1.0]}, ValueError, r"exp_avg has shape \(1,\).*\(2,\)"),
        (lambda s: {**s, "exp_avg_sq": 1.0}, ValueError, r"exp_avg_sq has shape \(\)"),
        (lambda s: {**s, "exp_avg_sq": [[1.0, 2.0]]}, ValueError, r"exp_avg_sq has shape \(1, 2\)"),
        (lambda s: {**s, "steps": "x"}, (TypeError, ValueError), None),
        (lambda s: {**s, "steps": None}, TypeError, None),
        (lambda s: {**s, "exp_avg_sq": [1.0, "x"]}, (TypeError, ValueError), None),
        (lambda s: {**s, "exp_avg": [1.0, None]}, (TypeError, ValueError), None),
        (lambda s: {**s, "exp_avg": [1j, 1]}, (TypeError, ValueError), None),
        (lambda s: {**s, "steps": -1}, ValueError, "steps"),
        (lambda s: {**s, "steps": 2**70}, ValueError, r"steps must be below 2\*\*63"),
        (lambda s: {**s, "steps": 2.5}, (TypeError, ValueError), None),
        (lambda s: {**s, 3: 4}, KeyError, "3"),
    ],
)
def test_a_wrong_state_is_refused_and_nothing_is_changed(change, error, message):
    optimizer = Adam([array([1.0, 2.0])])
    optimizer.load_state_dict({"steps": 9, "exp_avg": [5.0, 6.0], "exp_avg_sq": [7.0, 8.0]})
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(change(GOOD))
    state = optimizer.state_dict()
    assert (state["steps"], state["exp_avg"].tolist(), state["exp_avg_sq"].tolist()) == (9, [5, 6], [7, 8])


def test_a_state_of_another_kind_is_a_key_error():
    w = [Value(1.0)]
    for ours, theirs in [(SGD(w), Adam(w)), (SGD(w, momentum=0.9), SGD(w)), (SGD(w), SGD(w, momentum=0.9))]:
        with pytest.raises(KeyError):
            ours.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_an_optimizer_is_copied_with_its_parameters(copied):
    w = array([1.0, 2.0])
    optimizer = SGD([w], lr=0.5, momentum=0.9)
    w.grad = 1
    optimizer.step()
    v, other = copied((w, optimizer))
    v.grad = 1
    other.step()
    assert w.data.tolist() == [0.5, 1.5]
    np.testing.assert_allclose(v.data, [0.5 - 0.5 * 1.9, 1.5 - 0.5 * 1.9])


def test_the_class_that_optimizers_share_takes_no_steps():
    with pytest.raises(NotImplementedError):
        Optimizer([Value(1.0)], 0.1).step()


# Clipping --------------------------------------------------------------------------------------------------------


def clipped(grads, max_norm, norm_type=2.0):
    """torch.nn.utils.clip_grad_norm_."""
    grads = np.array(grads, dtype=float)
    with np.errstate(all="ignore"):
        norm = np.linalg.norm(grads, norm_type)
        return norm, grads * np.minimum(max_norm / (norm + 1e-6), 1.0)


@pytest.mark.parametrize("norm_type", [2.0, 1, 3, 0.5, math.inf, -math.inf, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_grads_are_clipped_as_by_torch(kind, norm_type):
    rng = np.random.default_rng(3)
    for size in [1, 65, 200]:
        grads = far_from_0(rng, size)
        for max_norm in [1e-3, 1, 10, 1e9, 0, np.float64(0.5), math.inf]:
            params = KINDS[kind](far_from_0(rng, size))
            before = flat(params)
            set_grads(params, grads)
            norm, expected = clipped(grads, max_norm, norm_type)
            result = clip_grad_norm_(params, max_norm, norm_type)
            assert type(result) is float
            assert result == pytest.approx(norm, rel=1e-14)
            np.testing.assert_allclose(flat(params, "grad"), expected, rtol=1e-14)
            np.testing.assert_array_equal(flat(params), before)


def test_grads_that_are_small_enough_stay_to_the_bit():
    w = array([0.3, 0.4])
    w.grad = [0.3, 0.4]
    assert clip_grad_norm_([w], 0.51) == 0.5
    assert w.grad.tolist() == [0.3, 0.4]
    clip_grad_norm_([w], 0.5)  # torch takes the norm 1e-6 too large
    np.testing.assert_allclose(w.grad, np.array([0.3, 0.4]) * 0.5 / (0.5 + 1e-6), rtol=1e-15)
    w.grad = 0
    assert clip_grad_norm_([w], 1.0) == 0
    assert w.grad.tolist() == [0, 0]


def test_no_parameters_have_the_norm_0():
    assert clip_grad_norm_([], 1.0) == 0
    assert clip_grad_norm_(iter(()), 1.0) == 0
    assert clip_grad_norm_([array([])], 1.0) == 0


def test_parameters_to_be_clipped_may_come_in_any_iterable_and_be_computed():
    v, w = Value(1.0), array([1.0]) * 2
    v.grad, w.grad = 3, 4
    assert clip_grad_norm_((p for p in (v, w)), 0.5) == 5
    assert v.grad == pytest.approx(0.3, rel=1e-6)


def test_the_norm_to_be_clipped_to_may_be_any_number():
    w = array([3.0, 4.0])
    w.grad = [3.0, 4.0]
    clip_grad_norm_([w], np.float32(0.5))
    np.testing.assert_allclose(w.grad, clipped([3.0, 4.0], 0.5)[1], rtol=1e-14)


@pytest.mark.parametrize(
    ("grads", "norm_type"),
    [([1.0, math.inf], 2), ([1.0, -math.inf], math.inf), ([1e200, 1e200], 2), ([1e200, 1.0], 3), ([1e308, 1e308], 1)],
)
def test_grads_that_are_infinite_or_whose_norm_is_are_clipped_as_by_torch_without_a_warning(grads, norm_type):
    w = array([1.0, 2.0])
    w.grad = grads
    norm, expected = clipped(grads, 1.0, norm_type)
    assert clip_grad_norm_([w], 1.0, norm_type) == norm == math.inf
    np.testing.assert_array_equal(w.grad, expected)


def test_one_grad_that_is_nan_makes_all_nan_as_in_torch():
    w = array([1.0, 2.0])
    w.grad = [100.0, math.nan]
    assert math.isnan(clip_grad_norm_([w], 1.0))
    np.testing.assert_array_equal(w.grad, [math.nan, math.nan])


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (([1.0], 1.0), TypeError),
        (([[Value(1.0)]], 1.0), TypeError),
        ((None, 1.0), TypeError),
        ((3, 1.0), TypeError),
        (([Value(1.0)], None), TypeError),
        (([Value(1.0)], "1"), TypeError),
        (([Value(1.0)], 1.0, "fro"), ValueError),
    ],
)
def test_wrong_arguments_of_clip_grad_norm_are_refused(args, error):
    with pytest.raises(error):
        clip_grad_norm_(*args)


@pytest.mark.parametrize("make", [lambda: Value(1.0), lambda: array(1.0)], ids=["Value", "Array"])
def test_one_parameter_alone_is_clipped_as_in_torch_or_refused_for_what_it_is(make):
    w = make()
    w.grad = 5.0
    try:
        assert clip_grad_norm_(w, 1.0) == 5
    except TypeError as error:
        assert re.search(r"\[w\]|list", str(error))  # noqa: PT017


def test_an_array_alone_is_clipped():
    w = array([1.0, 2.0])
    w.grad = [3.0, 4.0]
    assert clip_grad_norm_(w, 1.0) == 5
