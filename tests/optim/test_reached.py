"""Which parameters a gradient has reached since their grads were set to 0: optimizers leave the others alone."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import pytest

import pygrad
from pygrad import Value, array
from pygrad._parameters import node_ids, reached


def are_reached(*parameters: Any) -> list[bool]:
    sizes = np.array([getattr(p, "size", 1) for p in parameters], dtype=np.uint32)
    found: list[bool] = reached(node_ids(parameters), sizes).tolist()
    return found


def closure(x: Value) -> None:
    """An op in Python, as in micrograd's lecture, whose derivative is 0."""
    out = Value(1.0, (x,), "zero")

    def _backward() -> None:
        x.grad += 0.0 * out.grad

    out._backward = _backward
    out.backward()


def compiled(x: Value) -> None:
    pygrad.compile(lambda y: x * 0.0 + y, 1.0).value_and_grad(1.0)


def set_by_name(x: Value) -> None:
    x.grad = 0.5


REACHES: dict[str, Callable[[Value], Any]] = {
    "a pass": lambda x: (x * 3.0).backward(),
    "a pass from the leaf": lambda x: x.backward(),
    "a pass that adds 0": lambda x: (x * 0.0).backward(),
    "a relu that is 0": lambda x: (x * -1.0).relu().backward(),
    "one step": lambda x: (x * 0.0)._backward(),
    "a closure that adds 0": closure,
    "a compiled function": compiled,
    "a grad that is assigned": set_by_name,
}


@pytest.mark.parametrize("reach", REACHES.values(), ids=REACHES)
def test_a_parameter_is_reached_by_any_gradient_until_its_grad_is_set_to_0(reach: Callable[[Value], Any]) -> None:
    x, other = Value(2.0), Value(3.0)
    assert are_reached(x, other) == [False, False]
    reach(x)
    assert are_reached(x, other) == [True, False]
    x.grad = 0
    assert are_reached(x, other) == [False, False]


@pytest.mark.parametrize("detached", [lambda x: x.detach(), lambda x: (x * 2.0).detach() * 3.0])
def test_no_gradient_reaches_what_is_detached(detached: Callable[[Any], Any]) -> None:
    x, w, y = Value(2.0), array([1.0, 2.0]), Value(3.0)
    (detached(x) * y).backward()
    detached(w).sum().backward()
    assert are_reached(x, w, y) == [False, False, True]


ZEROED: dict[str, Callable[[pygrad.Array], Any]] = {
    "grad = 0": lambda w: setattr(w, "grad", 0),
    "an optimizer's zero_grad()": lambda w: pygrad.optim.SGD([w]).zero_grad(),
    "a module's zero_grad()": lambda w: _module(w).zero_grad(),
}


def _module(w: pygrad.Array) -> pygrad.nn.Module:
    module = pygrad.nn.Module()
    module.w = w  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize("zero", ZEROED.values(), ids=ZEROED)
def test_an_array_is_reached_as_a_whole(zero: Callable[[pygrad.Array], Any]) -> None:
    w, x = array([[1.0, 2.0], [3.0, 4.0]]), Value(1.0)
    (w[1, 1] * 0.0).backward()
    assert are_reached(x, w) == [False, True]
    zero(w)
    assert are_reached(x, w) == [False, False]
    w.grad[0, 1] = 1.0  # through the view
    assert are_reached(w, x) == [True, False]
