"""Group: parameters that a step updates with the same options, and what is kept for them from step to step."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pygrad._lib import NULL, Ids, Numbers, c_doubles, c_ids, check, ffi, lib
from pygrad._numbers import to_ndarray
from pygrad._parameters import Parameters, node_ids, refuse_modules
from pygrad._parameters import reached as are_reached
from pygrad.array import Array, as_elements
from pygrad.engine import Value
from pygrad.optim.checks import count, not_negative
from pygrad.optim.schedules import Schedule

Self = TypeVar("Self", bound="Group")


class Group(MutableMapping[str, Any]):
    """Parameters with the options of their updates, which are its items: `group["lr"] = 0.1`.

    An optimizer has one for each dict that it is made with, in `param_groups`. Each optimizer has a class of groups
    of its own, which knows the update rule.
    """

    RULE: str  # the struct of csrc/pygrad.h with the options
    OPTIONS: tuple[str, ...] = ()  # their names in Python
    BUFFERS: tuple[
        str, ...
    ] = ()  # what may be kept from step to step, by PyTorch's names, in the order of C's arguments
    counts = True  # whether a step changes the buffers

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __init__(self, params: Parameters, lr: float | Schedule, **options: Any) -> None:
        refuse_modules(params)
        if isinstance(params, Array) or not isinstance(params, Iterable):
            kind = type(params).__name__
            raise TypeError(f"parameters must be in a list or another iterable, not {kind!r}: pass [w], not w")
        self.params = tuple(params)  # they hold the nodes
        self.ids = node_ids(self.params)
        if not self.params:
            raise ValueError("there are no parameters to optimize")
        if not lib.pg_all_leaves(self.ids.size, c_ids(self.ids)):
            raise ValueError("every parameter must be a leaf, but one was computed or has a _backward of its own")
        # How many steps each parameter has taken that changed its buffers: one number, or one for each leaf.
        self.taken: int | npt.NDArray[np.int64] = 0
        self.steps = 0  # of the optimizer, for a schedule
        self._kept: dict[str, Numbers] = {}
        self["lr"] = lr
        self.assign(options)

    # Options

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        if type(self._lr) is float:  # it was checked when it was assigned
            return self._lr
        lr: float = self._lr(self.steps) if callable(self._lr) else self._lr
        not_negative(lr=lr)
        return lr

    @property
    def schedule(self) -> Schedule | None:
        """The learning rate as it was given, if that is a function of the number of steps."""
        return self._lr if callable(self._lr) else None

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options with these among them; TypeError or ValueError if they do not go together."""
        self.check(all_options := {name: options.get(name, self[name]) for name in self.OPTIONS})
        return all_options

    def assign(self, options: Mapping[str, Any]) -> None:
        """Set options, which are checked together with the others."""
        self.checked(options)
        for name, x in options.items():
            self.store(name, x)
        vars(self).pop("_c_args", None)  # a momentum needs a buffer

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise TypeError or ValueError for wrong options."""

    def store(self, name: str, x: Any) -> None:
        """Put an option into the struct of C."""
        setattr(self._rule, name, x)

    def read(self, name: str) -> Any:
        """An option from there."""
        return getattr(self._rule, name)

    def __getitem__(self, name: str) -> Any:
        if name == "params":
            return list(self.params)
        if name == "lr":
            return self.lr
        self._refuse_unknown(name)
        return self.read(name)

    def __setitem__(self, name: str, x: Any) -> None:
        if name == "lr":
            if not callable(x):
                not_negative(lr=x)
            self._lr = x
            return
        if name == "params":
            raise TypeError("a group keeps its parameters; add_param_group() adds others to an optimizer")
        self._refuse_unknown(name)
        self.assign({name: x})

    def _refuse_unknown(self, name: str) -> None:
        if name not in self.OPTIONS:
            raise KeyError(f"{name!r} is no option here; there are {', '.join(list(self))}")

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"a group needs each of its options: {name!r} can be assigned, but not deleted")

    def __iter__(self) -> Iterator[str]:
        return iter(("params", "lr", *self.OPTIONS))

    def __len__(self) -> int:
        return 2 + len(self.OPTIONS)

    def __repr__(self) -> str:
        n = len(self.params)
        options = ", ".join(
            f"{name}={self.schedule or x if name == 'lr' else x!r}" for name, x in self._options().items()
        )
        return f"{n} parameter{'s' if n != 1 else ''}, {options}"

    def _options(self) -> dict[str, Any]:
        return {name: x for name, x in self.items() if name != "params"}

    # Steps

    def zero_grad(self, set_to_none: bool) -> None:
        """See `Optimizer.zero_grad`."""
        n, ids = self.ids.size, self._c_args[1]
        check(lib.pg_fill(lib.PG_GRAD, n, ids, 0.0), "a parameter")
        if not set_to_none:
            check(lib.pg_add_grads(n, ids, c_doubles(np.zeros(n))), "a parameter")

    def step(self) -> None:
        """See `Optimizer.step`."""
        rule, taken, lr = self._rule, self.taken, self._lr
        rule.lr = lr if type(lr) is float else self.lr
        if type(taken) is int and self.run(rule, taken, self._c_args) == lib.PG_OK:
            self.taken = taken + self.counts
        else:
            self._step_where_reached()
        self.steps += 1

    def _step_where_reached(self) -> None:
        """The same where they differ: one update for those that were reached and have taken as many steps."""
        reached = np.repeat(are_reached(self.ids, self._sizes), self._sizes)
        taken = np.array(np.broadcast_to(self.taken, reached.shape))
        needed = {name: self._buffer(name) for name in self.needed()}
        rule = ffi.new(self.RULE, self._rule[0])
        rule.parameters = 0  # all that are given, were reached
        left = reached.copy()
        while left.any():
            t = int(taken[left.argmax()])
            at = np.flatnonzero(left & (taken == t))
            parts = {name: buffer[at] for name, buffer in needed.items()}
            check(self.run(rule, t, self._args(self.ids[at], parts)), "step()")
            for name, part in parts.items():
                needed[name][at] = part
            left[at] = False
        taken[reached] += self.counts
        self.taken = _uniform(taken)

    def run(self, rule: Any, taken: int, args: tuple[Any, ...]) -> int:
        """Update leaves whose parameters have taken so many steps; return a status of C."""
        raise NotImplementedError

    def needed(self) -> tuple[str, ...]:
        """The buffers that the options need."""
        return self.BUFFERS

    def _buffer(self, name: str) -> Numbers:
        return self._kept.setdefault(name, np.zeros(self.ids.size))

    def _args(self, ids: Ids, buffers: Mapping[str, Numbers]) -> tuple[Any, ...]:
        """Leaves and their buffers as C takes them."""
        return (ids.size, c_ids(ids), *(c_doubles(buffers[name]) if name in buffers else NULL for name in self.BUFFERS))

    @functools.cached_property
    def _sizes(self) -> npt.NDArray[np.uint32]:
        """How many leaves each parameter has."""
        sizes = [1 if isinstance(p, Value) else p.size for p in self.params]
        return np.array([size for size in sizes if size], dtype=np.uint32)

    @functools.cached_property
    def _rule(self) -> Any:
        if not hasattr(self, "RULE"):
            raise NotImplementedError("this optimizer does not say how step() updates parameters")
        rule = ffi.new(self.RULE)
        rule.parameters, rule.sizes = self._sizes.size, ffi.from_buffer("uint32_t[]", self._sizes)
        return rule

    # What C takes is made once, as that takes longer than a step of few parameters.
    @functools.cached_property
    def _c_args(self) -> tuple[Any, ...]:
        return self._args(self.ids, {name: self._buffer(name) for name in self.needed()})

    # States

    def state_dict(self) -> dict[str, Any]:
        """The options, copies of the buffers, and the steps that changed them, by PyTorch's names."""
        buffers = {name: self._buffer(name).copy() for name in self.BUFFERS if name in {*self.needed(), *self._kept}}
        taken = {"step": self.taken if isinstance(self.taken, int) else self.taken.copy()} if buffers else {}
        return {**self._options(), **taken, **buffers}

    def loaded(self: Self, state: Mapping[str, Any], steps: int) -> Self:
        """A group of the same parameters in another state."""
        names = ("lr", *self.OPTIONS)
        options = {name: _plain(state[name]) if name in state else self[name] for name in names}
        options["lr"] = self.schedule or options["lr"]
        new = type(self)(self.params, **options)
        needed = [name for name in new.BUFFERS if name in new.needed() or name in state]
        allowed = [*names, *(["step", *needed] if needed else [])]
        if not set(needed) <= state.keys() <= set(allowed):
            raise KeyError(f"the state of a group has {list(state)}, but needs {allowed}")
        for name in needed:
            buffer, numbers = new._buffer(name), as_elements(state[name]).astype(np.float64)
            if numbers.shape != buffer.shape:
                raise ValueError(f"{name} has shape {numbers.shape} in the state, but needs {buffer.shape}")
            buffer[...] = numbers
        new.steps, new.taken = steps, new._taken_in(state.get("step", steps)) if needed else 0
        return new

    def _taken_in(self, steps: Any) -> int | npt.NDArray[np.int64]:
        """The `step` of a state, checked."""
        counts = to_ndarray(steps)
        if not counts.ndim:
            return count("step", steps)
        if counts.shape != self.ids.shape:
            raise ValueError(f"step has shape {counts.shape} in the state, but needs () or {self.ids.shape}")
        return _uniform(np.array([count("step", x) for x in counts.tolist()], dtype=np.int64))

    def __getstate__(self) -> dict[str, Any]:
        made_again = ("_c_args", "ids", "_rule", "_sizes")
        options = {name: self[name] for name in self.OPTIONS}
        return {**{name: x for name, x in vars(self).items() if name not in made_again}, "_options": options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        options = state.pop("_options")
        vars(self).update(state, ids=node_ids(state["params"]))
        self.assign(options)


def _plain(x: Any) -> Any:
    """An option of a state: a number, a bool or a tuple, which may have become an array in a file."""
    numbers = to_ndarray(x)
    return x if numbers.dtype == object else tuple(numbers.tolist()) if numbers.ndim else numbers.item()


def _uniform(counts: npt.NDArray[np.int64]) -> int | npt.NDArray[np.int64]:
    """One number if all are equal."""
    return counts if (counts != counts[0]).any() else int(counts[0])
