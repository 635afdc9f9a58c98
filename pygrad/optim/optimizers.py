"""Optimizers with PyTorch's names and update rules; a step is one call of C."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pygrad._lib import NULL, Ids, Numbers, c_doubles, c_ids, check, ffi, lib
from pygrad._numbers import to_ndarray
from pygrad._parameters import Parameters, node_ids
from pygrad._parameters import reached as are_reached
from pygrad.array import Array, as_elements
from pygrad.engine import Value
from pygrad.optim.checks import count, not_negative, refuse_unless_number
from pygrad.optim.schedules import Schedule


class Optimizer:
    """The base class of the optimizers.

    Parameters
    ----------
    params
        Values and Arrays, as from `model.parameters()`; all must be leaves
    lr
        the learning rate: a number, or a function of the number of steps taken, such as `linear` and `cosine` return

    Attributes
    ----------
    lr
        the learning rate of the next step; it may be assigned at any time
    steps
        the number of steps taken

    Raises
    ------
    ValueError
        if there are no parameters, one is not a leaf, or one occurs twice
    TypeError
        if a parameter is neither a Value nor an Array

    Examples
    --------
    >>> from pygrad.optim import linear
    >>> optimizer = SGD([Value(1.0)], lr=linear(0.5, 10))
    >>> optimizer.lr, optimizer.steps, optimizer.params
    (0.5, 0, [Value(data=1.0, grad=0)])
    """

    _RULE: str  # the struct of csrc/pygrad.h with the options
    _OPTIONS: tuple[str, ...] = ()  # their names in Python
    _counts = True  # whether a step changes the buffers

    def __init__(self, params: Parameters, lr: float | Schedule, **options: Any) -> None:
        if isinstance(params, (Value, Array)):
            raise TypeError("parameters must be in a list or another iterable: pass [w], not w")
        self._params = tuple(params)  # they hold the nodes
        self._ids = node_ids(self._params)
        if not self._ids.size:
            raise ValueError("there are no parameters to optimize")
        if not lib.pg_all_leaves(self._ids.size, c_ids(self._ids)):
            raise ValueError("every parameter must be a leaf, but one was computed or has a _backward of its own")
        ids = np.sort(self._ids)  # np.unique, in C++, may abort when Python ends daemon threads: CPython issue 87135
        if (ids[1:] == ids[:-1]).any():
            raise ValueError("a parameter occurs twice; pass each once")
        self.lr = lr
        self.steps = 0
        # How many steps each parameter has taken that changed its buffers: one number, or one for each leaf.
        self._taken: int | npt.NDArray[np.int64] = 0
        self._assign(**options)

    @property
    def params(self) -> list[Value | Array]:
        """The parameters, in a new list."""
        return list(self._params)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        if type(self._lr) is float:  # it was checked when it was assigned
            return self._lr
        lr = self._lr(self.steps) if callable(self._lr) else self._lr
        not_negative(lr=lr)
        return lr

    @lr.setter
    def lr(self, lr: float | Schedule) -> None:
        if not callable(lr):
            not_negative(lr=lr)
        self._lr = lr

    @property
    def steps(self) -> int:
        """The number of steps taken, by which a schedule gives the learning rate."""
        return self._steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._steps = count("steps", steps)

    def _assign(self, **options: Any) -> None:
        """Set options, which are checked together with the others."""
        self._check({name: options[name] if name in options else getattr(self, name) for name in self._OPTIONS})
        for name, x in options.items():
            self._store(name, x)
        vars(self).pop("_c_args", None)  # SGD's momentum needs a buffer

    def _check(self, options: Mapping[str, Any]) -> None:
        """Raise TypeError or ValueError for wrong options."""

    def _store(self, name: str, x: Any) -> None:
        setattr(self._rule, name, x)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the grad of every parameter to 0, as is needed before each backward pass.

        A step skips the parameters that no backward pass has reached since then: PyTorch's grad of `None`, which reads
        0 here. With `set_to_none=False` it takes their grads of 0 as computed.
        """
        n, ids = self._c_args[:2]
        check(lib.pg_fill(lib.PG_GRAD, n, ids, 0.0), "a parameter")
        if not set_to_none:
            check(lib.pg_add_grads(n, ids, c_doubles(self._buffer())), "a parameter")

    def step(self) -> None:
        """Update the data of every parameter from its grad, but of those that no gradient has reached.

        Such are the parameters whose grads were set to 0, by `zero_grad()` or by assignment, and to which no backward
        pass came since; an Array is one parameter. Neither momentum nor weight decay changes them, as in PyTorch.
        """
        rule, taken = self._rule, self._taken
        rule.lr = self.lr
        if type(taken) is int and self._update(rule, taken, self._c_args) == lib.PG_OK:
            self._taken = taken + self._counts
        else:
            self._step_where_reached()
        self._steps += 1

    def _step_where_reached(self) -> None:
        """The same where they differ: one update for those that were reached and have taken as many steps."""
        reached = np.repeat(are_reached(self._ids, self._sizes), self._sizes)
        taken = np.array(np.broadcast_to(self._taken, reached.shape))
        buffers = list(self._buffers().values())
        rule = ffi.new(self._RULE, self._rule[0])
        rule.parameters = 0  # all that are given, were reached
        left = reached.copy()
        while left.any():
            t = int(taken[left.argmax()])
            at = np.flatnonzero(left & (taken == t))
            parts = [buffer[at] for buffer in buffers]
            check(self._update(rule, t, self._args(self._ids[at], parts)), "step()")
            for buffer, part in zip(buffers, parts):
                buffer[at] = part
            left[at] = False
        taken[reached] += self._counts
        self._taken = _uniform(taken)

    def _update(self, rule: Any, taken: int, args: tuple[Any, ...]) -> int:
        """Update leaves whose parameters have taken so many steps; return a status of C."""
        raise NotImplementedError

    def _args(self, ids: Ids, buffers: list[Numbers]) -> tuple[Any, ...]:
        """Leaves and their buffers as C takes them."""
        return (ids.size, c_ids(ids), *map(c_doubles, buffers))

    @functools.cached_property
    def _sizes(self) -> npt.NDArray[np.uint32]:
        """How many leaves each parameter has."""
        sizes = [1 if isinstance(p, Value) else p.size for p in self._params]
        return np.array([size for size in sizes if size], dtype=np.uint32)

    @functools.cached_property
    def _rule(self) -> Any:
        if not hasattr(self, "_RULE"):
            raise NotImplementedError(f"{type(self).__name__} does not say how step() updates parameters")
        rule = ffi.new(self._RULE)
        rule.parameters, rule.sizes = self._sizes.size, ffi.from_buffer("uint32_t[]", self._sizes)
        return rule

    # What C takes is made once, as that takes longer than a step of few parameters.
    @functools.cached_property
    def _c_args(self) -> tuple[Any, ...]:
        return self._args(self._ids, list(self._buffers().values()))

    def _buffer(self) -> Numbers:
        return np.zeros(self._ids.size)

    def _buffers(self) -> dict[str, Numbers]:
        """The arrays kept from step to step, with one number for each parameter."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept from step to step: `steps`, and under PyTorch's names copies of the buffers, and `step`.

        `step` counts the steps that changed the buffers: one number, or one for each leaf where some were skipped.

        >>> Adam([Value(1.0)]).state_dict()
        {'steps': 0, 'step': 0, 'exp_avg': array([0.]), 'exp_avg_sq': array([0.])}
        """
        buffers = {name: buffer.copy() for name, buffer in self._buffers().items()}
        taken = {"step": self._taken if isinstance(self._taken, int) else self._taken.copy()} if buffers else {}
        return {"steps": self.steps, **taken, **buffers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()` of the same kind of optimizer with the same number of parameters.

        Without `step`, as older versions wrote it, each parameter has taken all `steps`.

        Raises
        ------
        KeyError, ValueError, TypeError
            if a name is missing or unknown, a shape differs, or an entry is not a number; then nothing has changed

        Examples
        --------
        >>> one, other = Adam([Value(1.0)]), Adam([Value(1.0)])
        >>> one.step()
        >>> other.load_state_dict(one.state_dict())
        >>> other.steps
        1
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"a state must be a dict, as from state_dict(), not {type(state).__name__!r}")
        buffers = self._buffers()
        needed = ["steps", "step", *buffers] if buffers else ["steps"]
        if not {"steps", *buffers} <= set(state) <= set(needed):
            raise KeyError(f"the state has {list(state)}, but {type(self).__name__} needs {needed}")
        new = {name: as_elements(state[name]).astype(np.float64) for name in buffers}
        for name, buffer in buffers.items():
            if new[name].shape != buffer.shape:
                raise ValueError(f"{name} has shape {new[name].shape} in the state, but needs {buffer.shape}")
        steps = count("steps", state["steps"])
        taken = self._taken_in(state.get("step", steps)) if buffers else 0
        self._steps, self._taken = steps, taken
        for name, buffer in buffers.items():
            buffer[...] = new[name]

    def _taken_in(self, steps: Any) -> int | npt.NDArray[np.int64]:
        """The `step` of a state, checked."""
        counts = to_ndarray(steps)
        if not counts.ndim:
            return count("step", steps)
        if counts.shape != self._ids.shape:
            raise ValueError(f"step has shape {counts.shape} in the state, but needs () or {self._ids.shape}")
        return _uniform(np.array([count("step", x) for x in counts.tolist()], dtype=np.int64))

    def __getstate__(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in self._OPTIONS}
        made_again = ("_c_args", "_ids", "_rule", "_sizes")
        return {**{name: x for name, x in vars(self).items() if name not in made_again}, "_options": options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        options = state.pop("_options")
        vars(self).update(state, _ids=node_ids(state["_params"]))
        self._assign(**options)


def _uniform(counts: npt.NDArray[np.int64]) -> int | npt.NDArray[np.int64]:
    """One number if all are equal."""
    return counts if (counts != counts[0]).any() else int(counts[0])


def _option(name: str, doc: str) -> property:
    """An attribute that is stored in the struct of C."""
    return property(lambda self: getattr(self._rule, name), lambda self, x: self._assign(**{name: x}), doc=doc)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak, 1964; Sutskever et al., 2013); see `torch.optim.SGD`.

    Examples
    --------
    >>> w = Value(1.0)
    >>> w.grad = 2.0
    >>> SGD([w], lr=0.25).step()
    >>> w.data
    0.5
    """

    _RULE = "pg_sgd *"
    _OPTIONS = ("momentum", "dampening", "weight_decay", "nesterov")

    def __init__(
        self,
        params: Parameters,
        lr: float | Schedule = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self._velocity: Numbers | None = None
        super().__init__(
            params, lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov
        )

    momentum = _option("momentum", "The fraction of its velocity that a parameter keeps; may be assigned.")
    dampening = _option("dampening", "The fraction of the gradient left out of the velocity; may be assigned.")
    weight_decay = _option("weight_decay", "This times the parameter is added to the gradient; may be assigned.")
    nesterov = _option("nesterov", "Whether the momentum is Nesterov's; may be assigned.")

    def _check(self, options: Mapping[str, Any]) -> None:
        not_negative(momentum=options["momentum"], weight_decay=options["weight_decay"])
        refuse_unless_number("dampening", options["dampening"])
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def _store(self, name: str, x: Any) -> None:
        super()._store(name, x)
        self._counts = self.momentum != 0

    def _update(self, rule: Any, taken: int, args: tuple[Any, ...]) -> int:
        rule.first = not taken
        status: int = lib.pg_sgd_step(rule, *args)
        return status

    def _args(self, ids: Ids, buffers: list[Numbers]) -> tuple[Any, ...]:
        return (ids.size, c_ids(ids), c_doubles(buffers[0]) if self.momentum else NULL)

    def _buffers(self) -> dict[str, Numbers]:
        if self.momentum and self._velocity is None:
            self._velocity = self._buffer()
        return {} if self._velocity is None else {"momentum_buffer": self._velocity}


class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015); see `torch.optim.Adam`. `weight_decay` times the parameter is added to the gradient.

    Examples
    --------
    >>> w = Value(1.0)
    >>> w.grad = 1e6
    >>> Adam([w], lr=0.25).step()
    >>> round(w.data, 9)
    0.75
    """

    _RULE = "pg_adam *"
    _OPTIONS = ("betas", "eps", "weight_decay")
    _DECOUPLED = False

    def __init__(
        self,
        params: Parameters,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)
        self._mean, self._square = self._buffer(), self._buffer()

    weight_decay = _option("weight_decay", "This times the parameter is added to the gradient, by AdamW to the step.")
    eps = _option("eps", "Added to the denominator, so that gradients of 0 cause no division by 0; may be assigned.")

    @property
    def betas(self) -> tuple[float, float]:
        """The fractions that the averages of the gradient and of its square keep; may be assigned."""
        return self._rule.beta1, self._rule.beta2

    @betas.setter
    def betas(self, betas: tuple[float, float]) -> None:
        self._assign(betas=betas)

    def _check(self, options: Mapping[str, Any]) -> None:
        not_negative(eps=options["eps"], weight_decay=options["weight_decay"])
        betas = options["betas"]
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be at least 0 and below 1, two of them, got {betas}")

    def _store(self, name: str, x: Any) -> None:
        self._rule.decoupled = self._DECOUPLED
        if name == "betas":
            self._rule.beta1, self._rule.beta2 = x
        else:
            super()._store(name, x)

    def _update(self, rule: Any, taken: int, args: tuple[Any, ...]) -> int:
        status: int = lib.pg_adam_step(rule, taken + 1, *args)
        return status

    def _buffers(self) -> dict[str, Numbers]:
        return {"exp_avg": self._mean, "exp_avg_sq": self._square}


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019); see `torch.optim.AdamW`.

    Examples
    --------
    >>> w = Value(1.0)
    >>> w.grad = 1e-9
    >>> AdamW([w], lr=0.5, weight_decay=0.5, eps=1.0).step()
    >>> round(w.data, 6)
    0.75
    """

    _DECOUPLED = True

    def __init__(
        self,
        params: Parameters,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
