"""Neural networks: micrograd's neurons, layers and multi-layer perceptrons, and layers of Arrays.

Neuron, Layer and MLP hold lists of Values and build micrograd's graph, but a whole model's call is one call of C.

After micrograd by Andrej Karpathy (MIT), https://github.com/karpathy/micrograd.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, Union

import numpy as np
import numpy.typing as npt

from pygrad import functional
from pygrad._lib import check, ffi, lib
from pygrad.array import Array, Numbers, Operand, array, is_leaf, node_ids, set_grads
from pygrad.engine import Value, _is_number

Input = Union[Value, float]


# Noticing edits ---------------------------------------------------------------------------------------------------

_edits = 0  # of all modules and their lists


def _edited() -> None:
    global _edits
    _edits += 1


class _List(list):  # type: ignore[type-arg]
    """A list of Values, neurons or layers that notices its edits."""


def _noticed(name: str) -> Callable[..., Any]:
    edit = getattr(list, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return edit(self, *args, **kwargs)
        finally:
            _edited()

    return method


_EDITS = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"]
for _name in [*_EDITS, "__delitem__", "__iadd__", "__imul__", "__setitem__"]:
    setattr(_List, _name, _noticed(_name))


# micrograd's modules ----------------------------------------------------------------------------------------------


class Module:
    """Something with parameters: the leaves among its attributes, and those of the modules among them.

    Examples
    --------
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    >>> len(Line().parameters())
    2
    """

    def zero_grad(self) -> None:
        """Set the grad of every parameter to 0, as before each backward pass."""
        set_grads(node_ids(self.parameters()), 0.0)

    def parameters(self) -> list[Any]:
        """Return the Values and Arrays to be learnt, each once."""
        found: dict[int, Value | Array] = {}
        for _, leaves in _leaves_in("", self, set()):
            for leaf in leaves if isinstance(leaves, list) else [leaves]:
                found.setdefault(id(leaf), leaf)
        return list(found.values())

    def state_dict(self) -> dict[str, Numbers]:
        """Return copies of the parameters' numbers, by name: `"layers.0.weight"`. A list of Values is one array.

        Examples
        --------
        >>> {name: numbers.shape for name, numbers in Neuron(3).state_dict().items()}
        {'w': (3,), 'b': ()}
        """
        return {name: np.array(array(leaves).data) for name, leaves in _leaves_in("", self, set())}

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Set the parameters to the numbers of a `state_dict()`.

        Raises
        ------
        KeyError
            if names are missing, or there are others
        ValueError
            if a shape is not the parameter's
        TypeError
            if anything is not made of real numbers

        In each case nothing has been changed.
        """
        own = {name: array(leaves) for name, leaves in _leaves_in("", self, set())}
        missing, unknown = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or unknown:
            raise KeyError(f"the state lacks {sorted(missing)}, and the module lacks {sorted(unknown)}")
        numbers = {name: np.asarray(state[name]) for name in own}
        for name, leaves in own.items():
            if numbers[name].shape != leaves.shape:
                raise ValueError(f"{name} has shape {leaves.shape}, and the state's has {numbers[name].shape}")
            if numbers[name].dtype.kind not in "biuf":
                raise TypeError(f"{name} is not made of real numbers in the state, but of {numbers[name].dtype}")
        for name, leaves in own.items():
            leaves.data = numbers[name]

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        _edited()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        _edited()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_plan"}


class Neuron(Module):
    """A weighted sum of `nin` inputs and a bias, with a ReLU unless `nonlin` is false.

    The weights start uniform in -1 to 1, from Python's `random`; the bias starts at 0.
    """

    def __init__(self, nin: int, nonlin: bool = True) -> None:
        self.w = _List(Value(random.uniform(-1, 1)) for _ in range(nin))
        self.b = Value(0)
        self.nonlin = nonlin

    def __call__(self, x: Sequence[Input]) -> Value:
        out = _in_bulk(self, x)
        if out is not None:
            return out[0]
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)
        return act.relu() if self.nonlin else act

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """`nout` neurons of the same `nin` inputs. A layer of one returns its Value, not a list of one."""

    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = _List(Neuron(nin, **kwargs) for _ in range(nout))

    def __call__(self, x: Sequence[Input]) -> Any:
        out = _in_bulk(self, x) or [n(x) for n in self.neurons]
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
        self.layers = _List(Layer(sz[i], sz[i + 1], nonlin=i != len(nouts) - 1) for i in range(len(nouts)))

    def __call__(self, x: Any) -> Any:
        out = _in_bulk(self, x)
        if out is not None:
            return out[0] if len(out) == 1 else out
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"


def _leaves_in(name: str, thing: Any, seen: set[int]) -> Iterator[tuple[str, Value | Array | list[Value]]]:
    """The leaves of a module, by name: Arrays and Values, and lists of nothing but Values as wholes."""
    if isinstance(thing, (Value, Array)):
        if is_leaf(thing):
            yield name, thing
        return
    if isinstance(thing, (list, tuple)) and thing and all(isinstance(item, Value) for item in thing):
        if all(map(is_leaf, thing)):
            yield name, list(thing)
        return
    items: dict[Any, Any]
    if isinstance(thing, Module):
        items = {key: item for key, item in vars(thing).items() if key != "_plan"}
    elif isinstance(thing, dict):
        items = thing
    elif isinstance(thing, (list, tuple)):
        items = dict(enumerate(thing))
    else:
        return
    if id(thing) not in seen:
        seen.add(id(thing))
        for key, item in items.items():
            yield from _leaves_in(f"{name}.{key}" if name else str(key), item, seen)


# ... in bulk ------------------------------------------------------------------------------------------------------

_CALLS: dict[type[Any], Any] = {cls: cls.__call__ for cls in (Neuron, Layer, MLP)}  # what they are here


def _in_bulk(module: Any, x: Any) -> list[Value] | None:
    """The results of a call, made by one call of C; None if it must go the long way."""
    plan = module.__dict__.get("_plan")
    if plan is None or not plan.holds():
        plan = module.__dict__["_plan"] = _Plan(module)
    return plan(x) if plan.neurons else None


class _Plan:
    """What C needs to know of a module, for as long as the module stays as it is.

    Modules notice edits of themselves and of the lists that they were made with. Lists that were put in the place of
    those are compared with what they were, by `==`, which is quick where the elements are the same objects.

    There are no `neurons` unless the module is a plain stack of layers: no __call__ overridden, all weights Values,
    and no inner layer of one neuron, whose result is no list.
    """

    def __init__(self, module: Any) -> None:
        self.edits = _edits
        self.calls: dict[type[Any], Any] = {}
        self.unnoticed: list[tuple[list[Any], list[Any]]] = []
        self.parameters: list[Value] = []
        self.neurons = 0
        self.inputs: list[int] = []
        layers = self._layers(module)
        neurons = [n for layer in layers for n in layer]
        if neurons and all(len(layer) > 1 for layer in layers[:-1]) and all(map(self._add, neurons)):
            self.neurons, self.width = len(neurons), len(layers[-1])
            self.arrays = [  # `mlp` holds only their addresses
                ffi.new("uint32_t[]", [len(layer) for layer in layers]),
                ffi.new("uint32_t[]", self.inputs),
                ffi.new("bool[]", [bool(n.nonlin) for n in neurons]),
                ffi.new("pg_id[]", [p._id for p in self.parameters]),
            ]
            self.mlp = ffi.new("pg_mlp *", [len(layers), *self.arrays])

    def holds(self) -> bool:
        """Whether nothing has changed."""
        if self.edits != _edits:
            return False
        for cls, call in self.calls.items():
            if cls.__call__ is not call:
                return False
        return all(items == before for items, before in self.unnoticed)

    def _layers(self, module: Any) -> list[list[Any]]:
        """The neurons of each layer; nothing where something is overridden."""
        if isinstance(module, Neuron):
            return [[module]]
        if isinstance(module, Layer):
            return [self._elements(module, Layer, "neurons", Neuron)]
        return [
            self._elements(layer, Layer, "neurons", Neuron) for layer in self._elements(module, MLP, "layers", Layer)
        ]

    def _elements(self, module: Any, cls: type[Any], name: str, element: type[Any]) -> list[Any]:
        items = vars(module).get(name)
        plain = self._is_plain(module, cls) and isinstance(items, list) and all(isinstance(i, element) for i in items)
        return self._watched(items) if plain else []

    def _is_plain(self, module: Any, cls: type[Any]) -> bool:
        self.calls[type(module)] = type(module).__call__
        return type(module).__call__ is _CALLS[cls]

    def _watched(self, items: list[Any]) -> list[Any]:
        """What is in the list now."""
        now = list(items)
        if type(items) is not _List:
            self.unnoticed.append((items, now))
        return now

    def _add(self, neuron: Any) -> bool:
        """Adds the parameters of a neuron, if they are what they should be."""
        attributes = vars(neuron)
        w, b = attributes.get("w"), attributes.get("b")
        if not self._is_plain(neuron, Neuron) or not isinstance(w, list) or "nonlin" not in attributes:
            return False
        now = self._watched(w)
        self.inputs.append(len(now))
        self.parameters += [*now, b]
        return bool(now) and all(type(p) is Value for p in (*now, b))

    def __call__(self, x: Any) -> list[Value] | None:
        if isinstance(x, (list, tuple)):
            x = tuple(x)  # whatever becomes of a list meanwhile
        elif isinstance(x, (Array, np.ndarray)) and x.ndim == 1:
            x = tuple(x.tolist())
        else:
            return None
        ids = [xi._id if type(xi) is Value else 0 for xi in x]
        numbers: Any = ffi.NULL
        if 0 in ids:
            if not all(xi._id if type(xi) is Value else _is_number(xi) for xi in x):
                return None
            numbers = [0.0 if type(xi) is Value else float(xi) for xi in x]
        if not x:
            return None
        out = ffi.new("pg_id[]", self.neurons)
        status = check(lib.pg_mlp_forward(self.mlp, len(ids), ids, numbers, out), "a model's call")
        results = []
        for id in out[self.neurons - self.width : self.neurons]:
            result: Value = Value.__new__(Value)
            result._id = id
            if status:  # a Python _backward is below: see engine._made
                result._pins = (*x, *self.parameters)
            results.append(result)
        return results


# Modules of Arrays ------------------------------------------------------------------------------------------------


class Linear(Module):
    """`functional.linear` with a weight and a bias of its own, uniform in -1/sqrt(in) to 1/sqrt(in).

    Examples
    --------
    >>> Linear(3, 2)(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        bound = in_features**-0.5
        self.weight = array([[random.uniform(-bound, bound) for _ in range(in_features)] for _ in range(out_features)])
        self.bias = array([random.uniform(-bound, bound) for _ in range(out_features)]) if bias else None

    def __call__(self, input: Operand) -> Array:
        return functional.linear(input, self.weight, self.bias)

    def __repr__(self) -> str:
        out_features, in_features = self.weight.shape
        return f"Linear(in_features={in_features}, out_features={out_features}, bias={self.bias is not None})"


class Embedding(Module):
    """A row of numbers for each index, normally distributed at first; see `functional.embedding`.

    Examples
    --------
    >>> Embedding(10, 3)([1, 2, 1]).shape
    (3, 3)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        self.weight = array([[random.gauss(0, 1) for _ in range(embedding_dim)] for _ in range(num_embeddings)])

    def __call__(self, input: npt.ArrayLike) -> Array:
        return functional.embedding(input, self.weight)

    def __repr__(self) -> str:
        return "Embedding({}, {})".format(*self.weight.shape)


class RMSNorm(Module):
    """`functional.rms_norm`, with weights of its own that begin at 1 unless `elementwise_affine` is false.

    Examples
    --------
    >>> RMSNorm(2, eps=0.0)([1.0, 1.0])
    Array([1., 1.])
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = array(np.ones(normalized_shape)) if elementwise_affine else None

    def __call__(self, input: Operand) -> Array:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def __repr__(self) -> str:
        return f"RMSNorm({self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None})"


class Sequential(Module):
    """Modules, or functions, each of which takes the result of the one before.

    Examples
    --------
    >>> model = Sequential(Linear(2, 8), functional.relu, Linear(8, 1))
    >>> model([1.0, 2.0]).shape, len(model.parameters())
    ((1,), 4)
    """

    def __init__(self, *modules: Callable[[Any], Any]) -> None:
        self.modules = list(modules)

    def __call__(self, input: Any) -> Any:
        for module in self.modules:
            input = module(input)
        return input

    def __getitem__(self, index: int) -> Any:
        return self.modules[index]

    def __len__(self) -> int:
        return len(self.modules)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(getattr(m, '__name__', None) or repr(m) for m in self.modules)})"
