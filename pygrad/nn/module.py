"""Module: what has parameters, and how they are found and named."""

from __future__ import annotations

import dataclasses
import itertools
import reprlib
from collections import UserList, deque
from collections.abc import Iterator, Mapping, Set, ValuesView
from types import SimpleNamespace
from typing import Any, Callable, TypeVar

import numpy as np
import numpy.typing as npt

from pygrad._holders import shown
from pygrad._lib import Ids, Numbers
from pygrad._mlp import PLAN, edited
from pygrad._numbers import is_real, to_ndarray
from pygrad._parameters import are_leaves, holds_only_numbers, is_leaf, node_ids, set_grads
from pygrad.array import Array, array
from pygrad.engine import Value

Self = TypeVar("Self", bound="Module")


class Module:
    """A part of a model. Its parameters are the leaves among its attributes, and those of the modules among these.

    Lists, tuples, deques, dicts, dataclasses and arrays of objects among the attributes are searched, too. A set of
    parameters is a TypeError, as it has no order. A subclass defines `forward`, which a call runs, or `__call__`, as in
    micrograd. It may override `parameters()`.

    Attributes
    ----------
    training
        whether the module is trained, which matters to Dropout; see `train` and `eval`
    requires_grad
        whether `parameters()` has its parameters; see `requires_grad_`

    Examples
    --------
    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope, self.offset = Value(2.0), Value(1.0)
    ...
    ...     def forward(self, x):
    ...         return self.slope * x + self.offset
    >>> line = Line()
    >>> line(3.0).data, len(line.parameters())
    (7.0, 2)
    """

    training = True
    requires_grad = True
    forward: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what `forward` does.

        Raises
        ------
        NotImplementedError
            if the class defines neither `forward` nor `__call__`
        """
        try:
            forward = self.forward
        except AttributeError:
            raise NotImplementedError(
                f"{type(self).__name__} cannot be called: define {type(self).__name__}.forward(self, x)"
            ) from None
        return forward(*args, **kwargs)

    def zero_grad(self) -> None:
        """Set the grad of whatever `parameters()` returns to 0, as is needed before each backward pass.

        >>> from pygrad.nn import Linear
        >>> line = Linear(1, 1)
        >>> line([1.0]).backward()
        >>> line.zero_grad()
        >>> line.bias.grad
        array([0.])
        """
        parameters = list(self.parameters())
        ids = _ids_of(parameters)
        if ids is not None:
            set_grads(ids, 0.0)
        else:
            for parameter in parameters:
                parameter.grad = 0

    def parameters(self) -> list[Any]:
        """Return the Values and Arrays to be learnt, each once; views of one before it are left out.

        So are those of modules that `requires_grad_(False)` has frozen.

        >>> from pygrad.nn import Linear, Sequential
        >>> len(Sequential(Linear(2, 8), Linear(8, 1)).parameters())
        4
        """
        found: dict[int, Value | Array] = {}
        held: dict[int, Array] = {}  # by what holds the nodes: its views have the same
        for _, _, leaves in _leaves_in(self, frozen=False):
            for leaf in leaves if isinstance(leaves, list) else [leaves]:
                if isinstance(leaf, Array) and id(leaf) not in found:
                    before = held.setdefault(id(shown(leaf._holder)), leaf)
                    if before is not leaf and np.isin(leaf._ids, before._ids).all():
                        continue
                found.setdefault(id(leaf), leaf)
        return list(found.values())

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield what `parameters()` returns with names; those of a list of Values are numbered.

        Examples
        --------
        >>> from pygrad.nn import Neuron
        >>> [name for name, _ in Neuron(2).named_parameters()]
        ['w.0', 'w.1', 'b']
        """
        left = {id(parameter) for parameter in self.parameters()}
        for name, _, leaves in _leaves_in(self, frozen=False):
            numbered = (
                {f"{name}.{i}": leaf for i, leaf in enumerate(leaves)} if isinstance(leaves, list) else {name: leaves}
            )
            for leaf_name, leaf in numbered.items():
                if id(leaf) in left:
                    left.remove(id(leaf))
                    yield leaf_name, leaf

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of this module and all in it, and return the module: `False` freezes them.

        An optimizer goes on with the parameters that it was made with: make it after this.

        Examples
        --------
        >>> from pygrad.nn import Linear, Sequential
        >>> model = Sequential(Linear(2, 8), Linear(8, 1))
        >>> _ = model[0].requires_grad_(False)
        >>> [name for name, _ in model.named_parameters()]
        ['modules.1.weight', 'modules.1.bias']
        """
        return self._set_all("requires_grad", requires_grad)

    def train(self: Self, mode: bool = True) -> Self:
        """Set `training` of this module and all in it to `mode`, and return the module.

        >>> from pygrad.nn import Dropout, Sequential
        >>> Sequential(Dropout(0.5)).train()[0].training
        True
        """
        return self._set_all("training", mode)

    def eval(self: Self) -> Self:
        """Set `training` of this module and all in it to false: Dropout then changes nothing.

        >>> from pygrad.nn import Dropout, Sequential
        >>> Sequential(Dropout(0.5)).eval()([1.0, 2.0])
        Array([1., 2.])
        """
        return self.train(False)

    def _set_all(self: Self, name: str, to: bool) -> Self:
        modules = [part for _, _, part in _parts_below("", type(self).__name__, self, {}) if isinstance(part, Module)]
        for module in modules:
            setattr(module, name, bool(to))
        return self

    def state_dict(self) -> dict[str, Numbers]:
        """Return copies of the parameters' numbers by name, such as `"layers.0.weight"`; a list of Values is one array.

        Raises
        ------
        ValueError
            if two parameters have the same name, such as those of `{1: Value(1), "1": Value(2)}`

        Examples
        --------
        >>> from pygrad.nn import Neuron
        >>> {name: numbers.shape for name, numbers in Neuron(3).state_dict().items()}
        {'w': (3,), 'b': ()}
        """
        return {name: np.array(array(leaves).data) for name, leaves in self._named_leaves().items()}

    def load_state_dict(self, state: Mapping[str, npt.ArrayLike]) -> None:
        """Set the parameters to the numbers of a `state_dict()`. If it raises, no parameter has changed.

        Raises
        ------
        KeyError
            if a name is missing or unknown
        ValueError
            if a shape differs from the parameter's
        TypeError
            if the state is no dict, or an entry is not made of real numbers

        Examples
        --------
        >>> from pygrad.nn import Neuron
        >>> one, other = Neuron(3), Neuron(3)
        >>> other.load_state_dict(one.state_dict())
        >>> other.w[0].data == one.w[0].data
        True
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"a state must be a dict, as from state_dict(), not {type(state).__name__!r}")
        own = {name: array(leaves) for name, leaves in self._named_leaves().items()}
        missing, unknown = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or unknown:
            raise KeyError(f"the state lacks {sorted(missing)}, the module lacks {sorted(unknown)}")
        numbers = {name: to_ndarray(state[name]) for name in own}
        for name, leaves in own.items():
            if numbers[name].shape != leaves.shape:
                raise ValueError(f"{name} has shape {leaves.shape}, but {numbers[name].shape} in the state")
            if not is_real(numbers[name].dtype):
                raise TypeError(f"{name} must be real numbers in the state, not {numbers[name].dtype}")
        for name, leaves in own.items():
            leaves.data = numbers[name]

    def _named_leaves(self) -> dict[str, Value | Array | list[Value]]:
        """The leaves by name, frozen or not; ValueError if two have the same."""
        found: dict[str, Any] = {}
        places: dict[str, str] = {}
        for name, place, leaves in _leaves_in(self):
            if name in found:
                raise ValueError(
                    f"the state would have two entries {name!r}, for {places[name]} and for {place}: give one another "
                    "name"
                )
            found[name], places[name] = leaves, place
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Array):
            _mark_or_refuse(name, vars(self).get(name), value)
        super().__setattr__(name, value)
        edited()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        edited()

    @reprlib.recursive_repr()
    def __repr__(self) -> str:
        parts = {name: x for name, x in vars(self).items() if any(isinstance(y, Module) for y in (x, *_listed(x)))}
        return f"{type(self).__name__}({', '.join(f'{name}={x!r}' for name, x in parts.items())})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != PLAN}


def _ids_of(parameters: list[Any]) -> Ids | None:
    """The ids of parameters; None if they are not all Values and Arrays, or of a subclass, which may change `grad`."""
    if (Value.__subclasses__() or Array.__subclasses__()) and not set(map(type, parameters)) <= {Value, Array}:
        return None
    try:
        return node_ids(parameters)
    except TypeError:
        return None


def _mark_or_refuse(name: str, old: Any, new: Array) -> None:
    """Mark an Array of leaves as a parameter; TypeError if a computed one is to take a parameter's place."""
    if is_leaf(new):
        new._is_parameter = True
    elif isinstance(old, Array) and is_leaf(old):
        raise TypeError(
            f"{name} is a parameter; a computed Array is none, and cannot take its place. To train it, change its "
            f"numbers: m.{name}.data -= lr * m.{name}.grad. To replace it all the same, delete it first: del m.{name}"
        )


def _leaves_in(module: Module, frozen: bool = True) -> Iterator[tuple[str, str, Value | Array | list[Value]]]:
    """The leaves of a module: Arrays, Values, and lists of Values as a whole; with the state's name and the place."""
    parts = _parts_below("", type(module).__name__, module, {}, frozen)
    return (part for part in parts if not isinstance(part[2], Module))


def _parts_below(name: str, place: str, thing: Any, seen: dict[int, Any], frozen: bool = True) -> Iterator[Any]:
    """The leaves and the modules of anything; without those that are frozen, if so asked."""
    if isinstance(thing, (Value, Array)):
        if is_leaf(thing):
            if isinstance(thing, Array):
                thing._is_parameter = True
            yield name, place, thing
        return
    if isinstance(thing, Set):
        inside = list(_parts_below(name, place, tuple(thing), {}, frozen))
        if not all(isinstance(part, Module) for _, _, part in inside):
            raise TypeError(
                f"{place} is a {type(thing).__name__!r}, which has no order, and so its parameters would have none: "
                "keep them in a list or a dict"
            )
        yield from inside
        return
    if isinstance(thing, Module) and id(thing) not in seen:
        if not (frozen or thing.requires_grad):
            return
        yield name, place, thing
    items = _items_of(thing)
    named = isinstance(items, dict)
    parts = list(items.values()) if named else items
    if holds_only_numbers(parts):
        return
    if parts and not named and all(isinstance(part, Value) for part in parts) and are_leaves(parts):
        yield name, place, list(parts)
        return
    if id(thing) in seen:
        return
    seen[id(thing)] = thing  # kept, so that nothing else gets its id
    for key, part in zip(items if named else itertools.count(), parts):
        is_attribute = named and not isinstance(thing, Mapping)
        below = f"{name}.{key}" if name else str(key), place + (_attribute(key) if is_attribute else f"[{key!r}]")
        yield from _parts_below(*below, part, seen, frozen)


def _attribute(name: str) -> str:
    return f".{name}" if name.isidentifier() else f".__dict__[{name!r}]"


def _listed(thing: Any) -> Any:
    return thing.values() if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple)) else ()


def _items_of(thing: Any) -> Any:
    """What a container holds: in a dict if it has names for it, else in a list or a tuple. Nothing if it is none."""
    if isinstance(thing, (deque, UserList, ValuesView)):
        return list(thing)
    if isinstance(thing, (Module, SimpleNamespace)):
        return {name: item for name, item in vars(thing).items() if name != PLAN}
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        return {field.name: getattr(thing, field.name, None) for field in dataclasses.fields(thing)}
    if isinstance(thing, Mapping):
        return dict(thing)
    if isinstance(thing, np.ndarray) and thing.dtype == object:
        return thing.reshape(-1).tolist() if thing.ndim == 0 else thing.tolist()
    return thing if isinstance(thing, (list, tuple)) else ()
