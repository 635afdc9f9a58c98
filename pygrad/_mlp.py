"""One call of C for a whole call of a Neuron, a Layer or an MLP: when that is possible, and how it is done.

A module keeps a plan of its call: the parameters and sizes that C needs. The plan holds until something is edited:
modules call `edited` whenever an attribute is set, and keep their parts in a WatchedList, which calls it, too.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Set, Sized
from typing import Any, Callable, TypeVar

import numpy as np

from pygrad._bulk import own_methods
from pygrad._handles import new_handles
from pygrad._lib import NULL, OPS, check, error, fast, ffi, lib
from pygrad._numbers import is_number, to_number
from pygrad.array import Array
from pygrad.engine import Value

Call = TypeVar("Call", bound=Callable[..., Any])

PLAN = "_plan"  # the attribute of a module that keeps its plan; no parameter, and not pickled

_last_edit = object()  # of all modules and watched lists; threads might lose counts of them


def edited() -> None:
    """Note that a module or a list of modules or parameters has changed."""
    global _last_edit
    _last_edit = object()


class WatchedList(list):  # type: ignore[type-arg]
    """A list that notes its edits."""


def _noted(name: str) -> Callable[..., Any]:
    edit = getattr(list, name)

    @functools.wraps(edit)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return edit(self, *args, **kwargs)
        finally:
            edited()

    return method


_EDITS = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"]
for _name in [*_EDITS, "__delitem__", "__iadd__", "__imul__", "__setitem__"]:
    setattr(WatchedList, _name, _noted(_name))


def inputs(x: Any, n: int) -> Any:
    """The inputs of a neuron with n weights: as many, in order. TypeError or ValueError for anything else."""
    if isinstance(x, Set):
        raise TypeError(f"the inputs of a neuron have an order, but a {type(x).__name__!r} has none: pass a list")
    x = x if isinstance(x, Sized) else list(x)
    shape = getattr(x, "shape", None) or (len(x),)
    if shape != (n,):
        given = len(x) if len(shape) == 1 else f"an array of shape {tuple(shape)}"
        raise ValueError(
            f"a neuron takes one input for each weight, {n}, not {given}: for many samples, [model(x) for x in X]"
        )
    return x


# Calls ------------------------------------------------------------------------------------------------------------

# What each of these is a list of, and where.
_SUBMODULES = {"mlp": ("layers", "layer"), "layer": ("neurons", "neuron")}
_kinds: dict[Any, str] = {}  # by __call__, as one_call has made it, and forward: "mlp", "layer" or "neuron"

_ADD = OPS["+", 2]
_ACTIVATIONS = {"relu": OPS["ReLU", 1], "tanh": OPS["tanh", 1]}  # those that C knows


def one_call(kind: str, forward: Call) -> Call:
    """The `__call__` of a module: one call of C, or where that does not do, `forward`, written as in micrograd."""

    @functools.wraps(forward)
    def call(self: Any, x: Any) -> Any:
        plan = self.__dict__.get(PLAN)
        if plan is None or not plan.holds():
            plan = self.__dict__[PLAN] = _Plan(self, kind)
        out = plan(x) if plan.neurons else None
        if out is None:
            return self.forward(x)
        return out[0] if len(out) == 1 else out

    call.__name__, call.__qualname__ = "__call__", forward.__qualname__.replace("forward", "__call__")
    _kinds[call, forward] = kind
    return call  # type: ignore[return-value]


class _Plan:
    """What C needs to know of a module while the module stays as it is.

    Lists that replaced watched ones are compared with what they were, element by element, by identity.

    There are no `neurons` unless the module is a plain stack of layers: no __call__ or forward overridden, one
    activation that C knows, all weights Values, a weight for each input, and more than one neuron in each inner layer,
    as the result of one neuron is not a list.
    """

    def __init__(self, module: Any, kind: str) -> None:
        self.last_edit = _last_edit
        self.methods: dict[type[Any], tuple[Any, Any, Any]] = {}  # each class here, its __call__ and its forward
        self.unwatched: list[tuple[list[Any], list[Any]]] = []  # lists, and what they contain
        self.parameters: list[Value] = []
        self.activation = 0  # the op of all neurons that have one
        self.neurons = 0
        self.inputs: list[int] = []
        layers = self._layers(module, kind)
        neurons = [n for layer in layers for n in layer]
        if neurons and all(map(self._add, neurons)) and self._fit([len(layer) for layer in layers]):
            self.neurons, self.width = len(neurons), len(layers[-1])
            self.arrays = [  # `mlp` has only their addresses
                ffi.new("uint32_t[]", [len(layer) for layer in layers]),
                ffi.new("uint32_t[]", self.inputs),
                ffi.new("bool[]", [bool(n.nonlin) for n in neurons]),
                ffi.new("pg_id[]", [p._id for p in self.parameters]),
            ]
            self.mlp = ffi.new("pg_mlp *", [len(layers), *self.arrays, self.activation])
            self.address = int(ffi.cast("uintptr_t", self.mlp))

    def holds(self) -> bool:
        """Whether nothing has changed."""
        if self.last_edit is not _last_edit:
            return False
        for cls, call, forward in self.methods.values():
            if cls.__call__ is not call or cls.forward is not forward:
                return False
        return not self.unwatched or all(
            len(items) == len(before) and all(map(operator.is_, items, before)) for items, before in self.unwatched
        )

    def _fit(self, widths: list[int]) -> bool:
        """Whether each neuron has a weight for each result of the layer before, all in the first have as many."""
        needed = [n for n, width in zip([self.inputs[0], *widths], widths) for _ in range(width)]
        return min(widths[:-1], default=2) > 1 and self.inputs == needed

    def _layers(self, module: Any, kind: str) -> list[list[Any]]:
        """The neurons of each layer; none if a method is overridden or a part is something else."""
        if kind == "neuron":
            return [[module]]
        if kind == "layer":
            return [self._parts(module, kind)]
        return [self._parts(layer, "layer") for layer in self._parts(module, kind)]

    def _parts(self, module: Any, kind: str) -> list[Any]:
        name, part = _SUBMODULES[kind]
        items = vars(module).get(name)
        plain = self._is_plain(module, kind) and isinstance(items, list) and all(self._is_plain(i, part) for i in items)
        return self._watched(items) if plain else []

    def _is_plain(self, module: Any, kind: str) -> bool:
        cls = type(module)
        if not hasattr(cls, "forward") or not callable(module):
            return False
        _, *methods = self.methods[cls] = cls, cls.__call__, cls.forward
        return _kinds.get(tuple(methods)) == kind and "forward" not in vars(module)

    def _watched(self, items: Any) -> list[Any]:
        """What is in a list now."""
        now = list(items)
        if type(items) is not WatchedList:
            self.unwatched.append((items, now))
        return now

    def _add(self, neuron: Any) -> bool:
        """Add the parameters of a neuron; False if they are not what C needs."""
        attributes = vars(neuron)
        w, b = attributes.get("w"), attributes.get("b")
        if not self._is_plain(neuron, "neuron") or not isinstance(w, list) or "nonlin" not in attributes:
            return False
        if neuron.nonlin and not self._use(neuron.activation):
            return False
        now = self._watched(w)
        self.inputs.append(len(now))
        self.parameters += [*now, b]
        return bool(now) and all(type(p) is Value for p in (*now, b))

    def _use(self, activation: Any) -> bool:
        """Whether C knows the activation, and other neurons have no other."""
        op = _ACTIVATIONS.get(activation) if isinstance(activation, str) else None
        self.activation = self.activation or op or 0
        return op == self.activation

    def __call__(self, x: Any) -> list[Value] | None:
        """The results for one sample x; None if an input is neither a Value nor a number, or their number is wrong.

        The C type of Value does this for lists and tuples of Values, floats and ints.
        """
        if isinstance(x, (Array, np.ndarray)) and x.ndim == 1:
            x = x.tolist()
        elif not isinstance(x, (list, tuple)):
            return None
        made = self._in_c(x) if fast else None
        if made is not None:
            return made
        x = tuple(x)  # a list may change meanwhile
        if len(x) != self.inputs[0] or not own_methods.are_there(_ADD, self.activation):
            return None
        ids = [xi._id if type(xi) is Value else 0 for xi in x]
        numbers: Any = NULL
        integral: Any = NULL
        if 0 in ids:
            if not all(xi._id if type(xi) is Value else is_number(xi) for xi in x):
                return None
            numbers = [0.0 if type(xi) is Value else to_number(xi) for xi in x]
            integral = [isinstance(number, int) for number in numbers]
        if fast:
            return self._in_c([xi if type(xi) is Value else to_number(xi) for xi in x])
        out = ffi.new("pg_id[]", self.neurons)
        status = check(lib.pg_mlp_forward(self.mlp, len(ids), ids, numbers, integral, out), "a model's call")
        results = new_handles(out[self.neurons - self.width : self.neurons])
        if status:  # PG_SOME_PINNED: see _handles
            for result in results:
                result._pins = (*x, *self.parameters)
        return results

    def _in_c(self, x: Any) -> list[Value] | None:
        """The same in one call, so that no interrupt leaks a node; None unless all are Values, floats or ints."""
        made = fast.call_mlp(self.address, self.neurons, self.width, self.parameters, x)
        if isinstance(made, int):
            raise error(made, "a model's call")
        result: list[Value] | None = made
        return result
