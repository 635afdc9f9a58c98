"""Adapts the engines that take whole arrays: pygrad's Array and compile, and libraries with NumPy's interface.

A workload writes its function once, as `f(ops, *arrays)`, with operators, `@`, and methods of `ops` such as
`ops.exp(x)` and `ops.sum(x)`. `functions(f)` returns the Work of each engine. An input of the problem is a number or an
array of doubles.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import methodcaller
from typing import Any, Callable

import numpy as np

import pygrad
from pygrad.bench.rules import Rule
from pygrad.bench.work import Factory, Work, each

Function = Callable[..., Any]


class Arrays:
    """An engine: its functions, under common names."""

    exp: Function
    log: Function
    relu: Function
    sum: Function = methodcaller("sum")

    def function(self, f: Function, arrays: Sequence[Any], constants: Sequence[Any] = ()) -> Work:
        """The value of f(ops, *arrays, *constants) and its gradient with respect to the arrays."""
        raise NotImplementedError

    def training(self, loss: Function, arrays: Sequence[Any], rule: Rule, constants: Sequence[Any] = ()) -> Work:
        """A training step: loss(ops, *arrays, *constants), its gradient, and an update of the arrays."""
        raise NotImplementedError


class PygradArray(Arrays):
    """pygrad's Array. A number becomes a Value."""

    def __init__(self) -> None:
        self.exp, self.log, self.relu = map(methodcaller, ("exp", "log", "relu"))

    def leaf(self, x: Any) -> Any:
        return pygrad.array(x) if np.ndim(x) else pygrad.Value(x)

    def function(self, f: Function, arrays: Sequence[Any], constants: Sequence[Any] = ()) -> Work:
        leaves = [self.leaf(x) for x in arrays]

        def run() -> float:
            for leaf in leaves:
                leaf.grad = 0.0
            root = f(self, *leaves, *constants)
            root.backward()
            return float(root)

        return Work(run, lambda value: [value, [leaf.grad for leaf in leaves]])

    def training(self, loss: Function, arrays: Sequence[Any], rule: Rule, constants: Sequence[Any] = ()) -> Work:
        leaves = [self.leaf(x) for x in arrays]
        optimizer = rule.in_pygrad(leaves)

        def step() -> float:
            optimizer.zero_grad()
            root = loss(self, *leaves, *constants)
            root.backward()
            optimizer.step()
            return float(root)

        return Work(step, lambda value: [value, [leaf.grad for leaf in leaves]])


class Compiled(PygradArray):
    """pygrad.compile: a Program traced from the code that PygradArray runs."""

    backend = "kernels"

    def function(self, f: Function, arrays: Sequence[Any], constants: Sequence[Any] = ()) -> Work:
        program = pygrad.compile(lambda *leaves: f(self, *leaves, *constants), *arrays, backend=self.backend)
        return Work(lambda: program.value_and_grad(*arrays))

    def training(self, loss: Function, arrays: Sequence[Any], rule: Rule, constants: Sequence[Any] = ()) -> Work:
        leaves = [self.leaf(x) for x in arrays]
        optimizer = rule.in_pygrad(leaves)
        program = pygrad.compile(lambda: loss(self, *leaves, *constants), backend=self.backend)

        def step() -> Any:
            optimizer.zero_grad()
            value, _ = program.value_and_grad()
            optimizer.step()
            return value

        return Work(step, lambda value: [value, [leaf.grad for leaf in leaves]])


class Native(Compiled):
    """The same as machine code."""

    backend = "native"


class Torch(Arrays):
    """PyTorch, eager."""

    def __init__(self) -> None:
        import torch

        self.tensor, self.float64 = torch.tensor, torch.float64
        self.exp, self.log, self.relu = torch.exp, torch.log, torch.relu

    def leaf(self, x: Any) -> Any:
        return self.tensor(x, dtype=self.float64, requires_grad=True)

    def constant(self, x: Any) -> Any:
        return self.tensor(x, dtype=self.float64)

    def function(self, f: Function, arrays: Sequence[Any], constants: Sequence[Any] = ()) -> Work:
        leaves, fixed = [self.leaf(x) for x in arrays], [self.constant(x) for x in constants]

        def run() -> Any:
            for leaf in leaves:
                leaf.grad = None
            root = f(self, *leaves, *fixed)
            root.backward()
            return root.detach()

        return Work(run, lambda value: [value, [leaf.grad for leaf in leaves]])

    def training(self, loss: Function, arrays: Sequence[Any], rule: Rule, constants: Sequence[Any] = ()) -> Work:
        leaves, fixed = [self.leaf(x) for x in arrays], [self.constant(x) for x in constants]
        optimizer = rule.in_torch(leaves)

        def step() -> Any:
            optimizer.zero_grad()
            root = loss(self, *leaves, *fixed)
            root.backward()
            optimizer.step()
            return root.detach()

        return Work(step, lambda value: [value, [leaf.grad for leaf in leaves]])


class Jax(Arrays):
    """JAX, compiled by its jit. Inputs are on its device beforehand, and each call waits for the results."""

    def __init__(self) -> None:
        import jax

        self.jax, self.np = jax, jax.numpy
        self.exp, self.log, self.relu = self.np.exp, self.np.log, jax.nn.relu

    def gradient(self, f: Function, arrays: int) -> Function:
        """The function with its gradient with respect to the first `arrays` arguments."""
        return self.jax.value_and_grad(lambda *x: f(self, *x), argnums=tuple(range(arrays)))  # type: ignore[no-any-return]

    def function(self, f: Function, arrays: Sequence[Any], constants: Sequence[Any] = ()) -> Work:
        inputs = [self.np.asarray(x) for x in (*arrays, *constants)]
        compiled, wait = self.jax.jit(self.gradient(f, len(arrays))), self.jax.block_until_ready
        return Work(lambda: wait(compiled(*inputs)))

    def training(self, loss: Function, arrays: Sequence[Any], rule: Rule, constants: Sequence[Any] = ()) -> Work:
        gradient, wait = self.gradient(loss, len(arrays)), self.jax.block_until_ready
        fixed = [self.np.asarray(x) for x in constants]
        parameters = [self.np.asarray(x) for x in arrays]
        states = [rule.start(p) for p in parameters]

        def update(parameters: list[Any], states: list[Any]) -> Any:
            value, grads = gradient(*parameters, *fixed)
            updated = [rule.update(*each) for each in zip(parameters, grads, states)]
            return value, grads, [p for p, _ in updated], [state for _, state in updated]

        compiled = self.jax.jit(update)

        def step() -> Any:
            nonlocal parameters, states
            value, grads, parameters, states = wait(compiled(parameters, states))
            return value, grads

        return Work(step)


class Autograd(Arrays):
    """autograd, on NumPy."""

    def __init__(self) -> None:
        import autograd
        import autograd.numpy

        self.value_and_grad, self.np = autograd.value_and_grad, autograd.numpy
        self.exp, self.log = self.np.exp, self.np.log
        self.relu = lambda x: self.np.maximum(x, 0.0)

    def gradient(self, f: Function, arrays: int) -> Function:
        """The function with its gradient with respect to the first `arrays` arguments."""
        return self.value_and_grad(lambda *x: f(self, *x), argnum=tuple(range(arrays)))  # type: ignore[no-any-return]

    def function(self, f: Function, arrays: Sequence[Any], constants: Sequence[Any] = ()) -> Work:
        gradient = self.gradient(f, len(arrays))
        return Work(lambda: gradient(*arrays, *constants))

    def training(self, loss: Function, arrays: Sequence[Any], rule: Rule, constants: Sequence[Any] = ()) -> Work:
        gradient = self.gradient(loss, len(arrays))
        parameters = [np.array(x) for x in arrays]
        updates = [rule.on_numbers(p) for p in parameters]

        def step() -> Any:
            value, grads = gradient(*parameters, *constants)
            for update, grad in zip(updates, grads):
                update(grad)
            return value, grads

        return Work(step)


class Casadi(Arrays):
    """CasADi: an SX Function of value and gradient, called through its buffers, which is its fastest interface."""

    def __init__(self) -> None:
        import casadi

        self.casadi = casadi
        self.exp, self.log = casadi.exp, casadi.log
        self.relu = lambda x: casadi.fmax(x, 0.0)
        self.sum = casadi.sum1

    def constant(self, x: float) -> float:
        return x

    def largest(self, xs: Sequence[Any]) -> float:
        """0: the exponents are small here, and a softmax does not depend on what is subtracted from all of them."""
        return 0.0

    def call(self, inputs: Sequence[Any], symbols: Sequence[Any], outputs: Sequence[Any]) -> Function:
        """A function that computes and returns the outputs for these input arrays."""
        return self.bound(self.casadi.Function("f", symbols, outputs), inputs)

    def bound(self, f: Any, inputs: Sequence[Any]) -> Function:
        """A function that calls a CasADi Function. Each call reads the inputs, column by column, from these arrays."""
        buffer, run = f.buffer()
        results: list[Any] = [np.empty(f.nnz_out(i)) for i in range(f.n_out())]
        for i, x in enumerate(inputs):
            buffer.set_arg(i, memoryview(x))
        for i, result in enumerate(results):
            buffer.set_res(i, memoryview(result))

        kept = buffer, f, inputs  # `run` holds only pointers to these

        def call(kept: Any = kept) -> list[Any]:
            run()
            return results

        return call

    def function(self, f: Function, arrays: Sequence[Any], constants: Sequence[Any] = ()) -> Work:
        shapes = [np.shape(x) for x in arrays]
        symbols = [self.casadi.SX.sym("x", *shape) for shape in shapes]
        value = f(self, *symbols, *constants)
        outputs = [value, *[self.casadi.gradient(value, x) for x in symbols]]
        call = self.call([np.ravel(x, order="F").astype(float) for x in arrays], symbols, outputs)

        def read(results: list[Any]) -> list[Any]:
            value, *gradient = results
            return [value, [g.reshape(shape, order="F") for g, shape in zip(gradient, shapes)]]

        return Work(call, read)

    def training_of_numbers(self, loss: Function, numbers: Sequence[float], rule: Rule) -> Work:
        """A training step with a loss written scalar by scalar, as for `scalars.Scalars.training`."""
        x = self.casadi.SX.sym("x", len(numbers))
        value = loss(self, *self.casadi.vertsplit(x))
        parameters = np.array(numbers)
        call, update = (
            self.call([parameters], [x], [value, self.casadi.gradient(value, x)]),
            rule.on_numbers(parameters),
        )

        def step() -> Any:
            results = call()
            update(results[1])
            return results

        return Work(step)


ARRAYS: dict[str, Callable[[], Arrays]] = {
    "array": PygradArray,
    "compile": Compiled,
    "native": Native,
    "torch": Torch,
    "jax": Jax,
    "autograd": Autograd,
    "casadi": Casadi,
}
USUAL = ("array", "compile", "native", "torch", "jax", "autograd", "casadi")


def functions(f: Function, engines: Sequence[str] = USUAL) -> dict[str, Factory]:
    """The Work of a function of the problem's arrays, for each engine."""
    return each(engines, lambda engine, problem: ARRAYS[engine]().function(f, problem))
