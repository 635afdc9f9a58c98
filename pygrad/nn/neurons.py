"""micrograd's Neuron, Layer and MLP: lists of Values, which build micrograd's graph.

`@one_call` does the work of a whole call in C where it can; what is written below it shows what that is, and runs where
the module or its input is something else.

After micrograd by Andrej Karpathy (MIT), https://github.com/karpathy/micrograd.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence, Sized
from typing import Any, Callable, Union

from pygrad import functional
from pygrad._mlp import WatchedList, inputs, one_call
from pygrad.engine import Value
from pygrad.nn.module import Module
from pygrad.nn.sizes import checked_size

Input = Union[Value, float]
Activation = Union[str, Callable[[Any], Any]]

_ACTIVATIONS = {  # functions of functional, and what the repr of a neuron calls them
    "relu": "ReLU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "gelu": "GELU",
    "silu": "SiLU",
}


class Neuron(Module):
    """A weighted sum of `nin` inputs plus a bias, with an activation unless `nonlin` is false.

    Called with one sample, `nin` Values or numbers in order, it returns a Value. For many samples write
    `[model(x) for x in X]`; or pass an Array of each input's numbers, which gives an Array.

    The weights start uniform in -1 to 1, drawn from Python's `random`; the bias starts at 0.

    Parameters
    ----------
    nin
        the number of inputs, and of weights
    nonlin
        whether there is an activation
    activation
        micrograd's "relu", or "tanh" as in its lecture, "sigmoid", "softplus", "gelu", "silu", or a function of a Value

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

    activation: Activation = "relu"

    def __init__(self, nin: int, nonlin: bool = True, activation: Activation = "relu") -> None:
        self.activation = _checked_activation(activation)
        self.w = WatchedList(Value(random.uniform(-1, 1)) for _ in range(checked_size("nin", nin)))
        self.b = Value(0)
        self.nonlin = nonlin

    def forward(self, x: Iterable[Input]) -> Any:
        act = sum((wi * xi for wi, xi in zip(self.w, inputs(x, len(self.w)))), self.b)
        return _function(self.activation)(act) if self.nonlin else act

    __call__ = one_call("neuron", forward)

    def parameters(self) -> list[Value]:
        return [*self.w, self.b] if self.requires_grad else []

    def __repr__(self) -> str:
        return f"{_name(self.activation) if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons with the same `nin` inputs. It returns a list of Values; with one neuron, the Value itself.

    Parameters
    ----------
    nin, nout
        the number of inputs, and that of neurons
    **kwargs
        `nonlin` and `activation` of the neurons

    Examples
    --------
    >>> len(Layer(3, 2)([1.0, 2.0, 3.0]))
    2
    """

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        checked_size("nin", nin)
        self.neurons = WatchedList(Neuron(nin, **kwargs) for _ in range(checked_size("nout", nout)))

    def forward(self, x: Iterable[Input]) -> Any:
        x = x if isinstance(x, Sized) else list(x)  # an iterator is read once, for all neurons
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    __call__ = one_call("layer", forward)

    def parameters(self) -> list[Value]:
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    """A multi-layer perceptron: layers of `nouts[0]`, `nouts[1]`, ... neurons on `nin` inputs; the last is linear.

    Called with one sample, as a Neuron is, it returns what its last layer returns.

    Parameters
    ----------
    nin
        the number of inputs
    nouts
        the number of neurons of each layer
    activation
        that of the neurons before the last layer, as for a Neuron

    Examples
    --------
    >>> model = MLP(2, [16, 16, 1], activation="tanh")
    >>> len(model.parameters())
    337
    """

    def __init__(self, nin: int, nouts: Sequence[int], activation: Activation = "relu") -> None:
        _checked_activation(activation)
        sz = [checked_size("nin", nin), *(checked_size(f"nouts[{i}]", nout) for i, nout in enumerate(nouts))]
        self.layers = WatchedList(
            Layer(sz[i], sz[i + 1], nonlin=i != len(nouts) - 1, activation=activation) for i in range(len(nouts))
        )

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    __call__ = one_call("mlp", forward)

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def _checked_activation(activation: Any) -> Activation:
    if not callable(activation) and activation not in _ACTIVATIONS:
        raise ValueError(
            f"activation must be {', '.join(map(repr, _ACTIVATIONS))} or a function of a Value, not {activation!r}"
        )
    result: Activation = activation
    return result


def _function(activation: Activation) -> Callable[[Any], Any]:
    return activation if callable(activation) else getattr(functional, activation)


def _name(activation: Activation) -> str:
    """What the repr of a neuron begins with."""
    if isinstance(activation, str):
        return _ACTIVATIONS[activation]
    name: str = getattr(activation, "__name__", type(activation).__name__)
    return _ACTIVATIONS.get(name, name)
