"""Adapts the engines that are used scalar by scalar, like micrograd.

A workload writes its function once, as `f(ops, *leaves)`, with Python's operators and methods of `ops` such as
`ops.exp(x)`. `functions(f)` returns the Work of each engine.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np

import pygrad
from pygrad import reference
from pygrad.bench import minimal
from pygrad.bench.rules import Rule
from pygrad.bench.work import Factory, Work, each

Function = Callable[..., Any]
DEEP = 1 << 20 if sys.version_info >= (3, 11) else 12_000  # calls; before 3.11 each uses some of the C stack


class Scalars:
    """An engine with a class like micrograd's Value."""

    cyclic = False  # whether nodes form reference cycles, which only the garbage collector frees
    leaf: Function
    constant: Function
    exp: Function
    log: Function
    relu: Function

    def __init__(self, Value: Any) -> None:
        self.leaf = self.constant = Value
        self.exp, self.log, self.relu = Value.exp, Value.log, Value.relu

    def largest(self, xs: Sequence[Any]) -> Any:
        """The largest of the numbers, as a constant."""
        return max(x.data for x in xs)

    def number(self, x: Any) -> Any:
        return x.data

    def zero(self, leaves: Sequence[Any]) -> None:
        for leaf in leaves:
            leaf.grad = 0.0

    def build(self, f: Function, leaves: Sequence[Any]) -> Any:
        """Build the function's graph and return its root."""
        return f(self, *leaves)

    def backward(self, root: Any) -> None:
        root.backward()

    def gradient(self, f: Function, leaves: Sequence[Any]) -> Any:
        """Return the function's value and leave its gradient in the leaves."""
        self.zero(leaves)
        root = self.build(f, leaves)
        self.backward(root)
        return self.number(root)

    def grads(self, leaves: Sequence[Any]) -> list[Any]:
        return [leaf.grad for leaf in leaves]

    def updater(self, rule: Rule, leaves: list[Any]) -> Callable[[], None]:
        """A function that updates the leaves by their gradients, in plain Python."""
        return rule.on_values(leaves)

    def function(self, f: Function, numbers: Sequence[float]) -> Work:
        """The Work of the function's value and gradient."""
        leaves = [self.leaf(x) for x in numbers]
        return Work(lambda: self.gradient(f, leaves), lambda value: [value, self.grads(leaves)])

    def training(self, loss: Function, numbers: Sequence[float], rule: Rule) -> Work:
        """The Work of a training step: loss, gradient and update. The numbers are the initial parameters."""
        leaves = [self.leaf(x) for x in numbers]
        update = self.updater(rule, leaves)

        def step() -> Any:
            value = self.gradient(loss, leaves)
            update()
            return value

        return Work(step, lambda value: [value, self.grads(leaves)])

    def building(self, f: Function, numbers: Sequence[float], nodes: int) -> Work:
        """The Work of building the function's graph and freeing it."""
        leaves = [self.leaf(x) for x in numbers]

        def build() -> Any:
            value = self.number(self.build(f, leaves))
            if self.cyclic:
                gc.collect()
            return value

        return Work(build, units=nodes, value_alone=True)


class Floats(Scalars):
    """Python's floats: what a Value adds to them is an engine's cost."""

    def __init__(self) -> None:
        self.leaf = self.constant = float
        self.exp, self.log, self.relu = math.exp, math.log, lambda x: max(x, 0.0)

    def number(self, x: Any) -> Any:
        return x


class Reference(Scalars):
    """pygrad.reference."""

    cyclic = True

    def __init__(self) -> None:
        super().__init__(reference.Value)


class Micrograd(Scalars):
    """micrograd, with exp and log added as in its lecture."""

    cyclic = True

    def __init__(self) -> None:
        from micrograd.engine import Value

        self.leaf = self.constant = Value
        self.exp, self.log, self.relu = self._exp, self._log, Value.relu

    def _exp(self, x: Any) -> Any:
        out = self.leaf(math.exp(x.data), (x,), "exp")

        def _backward() -> None:
            x.grad += out.data * out.grad

        out._backward = _backward
        return out

    def _log(self, x: Any) -> Any:
        out = self.leaf(math.log(x.data), (x,), "log")

        def _backward() -> None:
            x.grad += out.grad / x.data

        out._backward = _backward
        return out

    def backward(self, root: Any) -> None:
        with deep_recursion():
            root.backward()


class MicrogradRust(Scalars):
    """micrograd-rust, which has neither log nor relu."""

    def __init__(self) -> None:
        from micrograd_rust import Value

        self.leaf = self.constant = Value
        self.exp = Value.exp


@contextlib.contextmanager
def deep_recursion() -> Iterator[None]:
    """Raise the recursion limit, because micrograd's backward() recurses as deep as the graph."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(DEEP)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


class TorchScalars(Scalars):
    """PyTorch, with one tensor per number."""

    def __init__(self) -> None:
        import torch

        self.leaf = functools.partial(torch.tensor, dtype=torch.float64, requires_grad=True)
        self.constant = functools.partial(torch.tensor, dtype=torch.float64)
        self.exp, self.log, self.relu = torch.exp, torch.log, torch.relu

    def number(self, x: Any) -> Any:
        return x.detach()

    def zero(self, leaves: Sequence[Any]) -> None:
        for leaf in leaves:
            leaf.grad = None

    def grads(self, leaves: Sequence[Any]) -> list[Any]:
        return [0.0 if leaf.grad is None else leaf.grad for leaf in leaves]

    def updater(self, rule: Rule, leaves: list[Any]) -> Callable[[], None]:
        return rule.in_torch(leaves).step  # type: ignore[no-any-return]


class Xad(Scalars):
    """XAD, which records its tape at each call."""

    def __init__(self) -> None:
        import xad.adj_1st
        import xad.math

        self.leaf = self.constant = xad.adj_1st.Real
        self.tape = xad.adj_1st.Tape()
        self.exp, self.log = xad.math.exp, xad.math.log
        self.relu = lambda x, max=xad.math.max: max(x, 0.0)

    def largest(self, xs: Sequence[Any]) -> Any:
        return max(x.value for x in xs)

    def number(self, x: Any) -> Any:
        return x.value

    def _activate(self) -> None:
        """Activate this tape. Only one tape can be active in a thread."""
        active = type(self.tape).getActive()
        if active is not self.tape:
            if active is not None:
                active.deactivate()
            self.tape.activate()

    def zero(self, leaves: Sequence[Any]) -> None:
        """Do nothing: a new recording starts with gradients of 0."""

    def build(self, f: Function, leaves: Sequence[Any]) -> Any:
        self._activate()
        self.tape.registerInputs(leaves)
        self.tape.newRecording()
        return f(self, *leaves)

    def backward(self, root: Any) -> None:
        self.tape.registerOutput(root)
        root.derivative = 1.0
        self.tape.computeAdjoints()

    def grads(self, leaves: Sequence[Any]) -> list[Any]:
        return [leaf.derivative for leaf in leaves]

    def training(self, loss: Function, numbers: Sequence[float], rule: Rule) -> Work:
        """The Work of a training step. The update creates new leaves, because a Real is immutable."""
        parameters = np.array(numbers)
        update = rule.on_numbers(parameters)
        leaves = [self.leaf(x) for x in numbers]

        def step() -> Any:
            value = self.gradient(loss, leaves)
            grads = np.array(self.grads(leaves))
            update(grads)
            leaves[:] = map(self.leaf, parameters.tolist())
            return value, grads

        return Work(step)


SCALARS: dict[str, Callable[[], Scalars]] = {
    "reference": Reference,
    "value": lambda: Scalars(pygrad.Value),
    "micrograd": Micrograd,
    "torch-scalars": TorchScalars,
    "xad": Xad,
    "minimal": lambda: Scalars(minimal.Value),
    "floats": Floats,
    "micrograd-rust": MicrogradRust,
}
USUAL = ("reference", "value", "micrograd", "torch-scalars", "xad")


def functions(f: Function, engines: Sequence[str] = USUAL) -> dict[str, Factory]:
    """The Work of a function of all numbers in the problem's arrays, for each engine."""
    return each(engines, lambda engine, problem: SCALARS[engine]().function(f, flat(problem)))


def flat(arrays: Sequence[Any]) -> list[float]:
    """The numbers in all arrays, as a flat list."""
    return [number for x in arrays for number in np.ravel(x).tolist()]
