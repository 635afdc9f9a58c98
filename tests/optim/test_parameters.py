"""The parameters that optimizers take, and the options they refuse."""

import gc
import math

import numpy as np
import pytest

from pygrad import MLP, Value, array
from pygrad.optim import SGD, Adam, AdamW, RMSprop, clip_grad_norm_
from support.optimizers import RULES, flat, set_grads


def test_zero_grad_touches_only_the_parameters():
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


@pytest.mark.parametrize("cls", [SGD, Adam, AdamW, RMSprop])
def test_parameters_may_have_no_elements(cls):
    empty, w = array(np.empty((0, 3))), array([1.0])
    optimizer = cls([{"params": [empty]}, {"params": [w]}], lr=0.1)
    (w * 2).sum().backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert empty.shape == (0, 3)
    assert w.item() < 1
    assert clip_grad_norm_([empty], 1.0) == 0


def test_an_optimizer_keeps_its_parameters_alive():
    optimizer = Adam([Value(1.0), array(np.ones(300)), array([Value(1.0), 2.0])], lr=0.5)
    gc.collect(1)
    others = array(np.zeros(1000))
    set_grads(optimizer.params, np.ones(303))
    optimizer.step()
    np.testing.assert_allclose(flat(optimizer.params), [*[0.5] * 302, 1.5])
    optimizer.zero_grad()
    assert not others.data.any()


def test_optimizers_leak_no_node(no_leak):
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
        (lambda v, a: [{"params": [v]}, {"params": [a, v]}], ValueError, "twice"),
        (lambda v, a: [{"params": [v]}, a], TypeError, 'a group must be a dict with "params", not Array'),
        (lambda v, a: [v, {"params": [a]}], TypeError, 'a group must be a dict with "params", not Value'),
        (lambda v, a: [{"lr": 0.1}], TypeError, 'a group must be a dict with "params"'),
        (lambda v, a: [{"params": []}], ValueError, "no parameters"),
        (lambda v, a: [{"params": v}], TypeError, r"\[w\], not w"),
        (lambda v, a: [{"params": [v], "momentun": 0.9}], TypeError, "no option 'momentun'; there are lr, "),
        (lambda v, a: [{"params": [v], "lr": -1}], ValueError, "lr must not be negative"),
        (lambda v, a: [{"params": MLP(2, [1])}], TypeError, r"MLP, model.parameters\(\), and not the MLP"),
        (lambda v, a: [("name", v)], TypeError, "not 'tuple'"),
        ("ab", TypeError, "not 'str'"),
        (None, TypeError, "must be in a list or another iterable, not 'NoneType'"),
        (3, TypeError, "must be in a list or another iterable, not 'int'"),
        (
            lambda v, a: MLP(2, [1]),
            TypeError,
            r"pass the parameters of the MLP, model.parameters\(\), and not the MLP itself",
        ),
    ],
)
def test_wrong_parameters_are_refused(params, error, message):
    for cls in [SGD, Adam, AdamW, RMSprop]:
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


def test_a_leaf_with_a_backward_is_accepted_or_refused_with_that_reason():
    v = Value(1.0)
    v._backward = lambda: None
    try:
        SGD([v])
    except ValueError as error:
        assert "_backward" in str(error)  # noqa: PT017


def test_emptying_the_list_of_parameters_never_updates_other_nodes():
    optimizer = SGD([array(np.ones(600))], lr=1)
    optimizer.params[:] = []
    gc.collect(1)
    others = [array(np.ones(600)) for _ in range(100)]
    for other in others:
        other.grad = 1
    optimizer.step()
    assert all((other.data == 1).all() for other in others)
