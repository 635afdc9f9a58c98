"""Neurons, layers and multi-layer perceptrons, as micrograd has them.

After micrograd by Andrej Karpathy (MIT), https://github.com/karpathy/micrograd.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Union

from pygrad.engine import Value

Input = Union[Value, float]


class Module:
    """Something with parameters."""

    def zero_grad(self) -> None:
        """Set the grad of every parameter to 0, as before each backward pass."""
        for p in self.parameters():
            p.grad = 0

    def parameters(self) -> list[Value]:
        """Return the Values to be learnt."""
        return []


class Neuron(Module):
    """A weighted sum of `nin` inputs and a bias, with a ReLU unless `nonlin` is false.

    The weights start uniform in -1 to 1, from Python's `random`; the bias starts at 0.
    """

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin

    def __call__(self, x: Sequence[Input]) -> Value:
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons of the same `nin` inputs. A layer of one returns its Value, not a list of one."""

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Sequence[Input]) -> Any:
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    """Layers of `nouts[0]`, `nouts[1]`, ... neurons on `nin` inputs; the last one is linear.

    Examples
    --------
    >>> model = MLP(2, [16, 16, 1])
    >>> len(model.parameters())
    337
    """

    def __init__(self, nin: int, nouts: list[int]) -> None:
        sz = [nin, *nouts]
        self.layers = [Layer(sz[i], sz[i + 1], nonlin=i != len(nouts) - 1) for i in range(len(nouts))]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"
