"""micrograd's Neuron, Layer and MLP: lists of Values, which build micrograd's graph.

`@one_call` does the work of a whole call in C where it can; what is written below it shows what that is, and runs where
the module or its input is something else.

After micrograd by Andrej Karpathy (MIT), https://github.com/karpathy/micrograd.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence, Sized
from typing import Any, Union

from pygrad._mlp import WatchedList, inputs, one_call
from pygrad.engine import Value
from pygrad.nn.module import Module
from pygrad.nn.sizes import checked_size

Input = Union[Value, float]


class Neuron(Module):
    """A weighted sum of `nin` inputs plus a bias, with a ReLU unless `nonlin` is false.

    Called with one sample, `nin` Values or numbers in order, it returns a Value. For many samples write
    `[model(x) for x in X]`; or pass an Array of each input's numbers, which gives an Array.

    The weights start uniform in -1 to 1, drawn from Python's `random`; the bias starts at 0.

    Raises
    ------
    ValueError
        if a size is negative, or a call has more or fewer inputs than weights, or a matrix

    Examples
    --------
    >>> neuron = Neuron(2, nonlin=False)
    >>> neuron.w[0].data, neuron.w[1].data = 2.0, 3.0
    >>> neuron([10.0, 1.0])
    Value(data=23.0, grad=0)
    """

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w = WatchedList(Value(random.uniform(-1, 1)) for _ in range(checked_size("nin", nin)))
        self.b = Value(0)
        self.nonlin = nonlin

    @one_call("neuron")
    def __call__(self, x: Iterable[Input]) -> Value:
        act = sum((wi * xi for wi, xi in zip(self.w, inputs(x, len(self.w)))), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons with the same `nin` inputs. It returns a list of Values; with one neuron, the Value itself.

    Examples
    --------
    >>> len(Layer(3, 2)([1.0, 2.0, 3.0]))
    2
    """

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        checked_size("nin", nin)
        self.neurons = WatchedList(Neuron(nin, **kwargs) for _ in range(checked_size("nout", nout)))

    @one_call("layer")
    def __call__(self, x: Iterable[Input]) -> Any:
        x = x if isinstance(x, Sized) else list(x)  # an iterator is read once, for all neurons
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    """A multi-layer perceptron: layers of `nouts[0]`, `nouts[1]`, ... neurons on `nin` inputs; the last is linear.

    Called with one sample, as a Neuron is, it returns what its last layer returns.

    Examples
    --------
    >>> model = MLP(2, [16, 16, 1])
    >>> len(model.parameters())
    337
    """

    def __init__(self, nin: int, nouts: Sequence[int]) -> None:
        sz = [checked_size("nin", nin), *(checked_size(f"nouts[{i}]", nout) for i, nout in enumerate(nouts))]
        self.layers = WatchedList(Layer(sz[i], sz[i + 1], nonlin=i != len(nouts) - 1) for i in range(len(nouts)))

    @one_call("mlp")
    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"
