"""Optimizers with PyTorch's names and update rules; a step is one call of C.

>>> from pygrad import array
>>> w = array([1.0, -2.0])
>>> optimizer = SGD([w], lr=0.25)
>>> for _ in range(20):
...     optimizer.zero_grad()
...     (w * w).sum().backward()
...     optimizer.step()
>>> bool(abs(w.data).max() < 1e-5)
True
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any, Callable, Union

import numpy as np

from pygrad._lib import NULL, Numbers, c_doubles, c_ids, check, ffi, lib
from pygrad._numbers import is_number, refuse_masked, to_ndarray
from pygrad._parameters import grads_of, is_leaf, node_ids, set_grads
from pygrad.array import Array, as_elements
from pygrad.engine import Value

Schedule = Callable[[int], float]
Parameters = Iterable[Union[Value, Array]]


def linear(lr: float, steps: int, end: float = 0.0) -> Schedule:
    """Return a schedule that goes from `lr` to `end` in a straight line over `steps` steps, and then stays there.

    Raises
    ------
    ValueError
        if `steps` is not positive

    Examples
    --------
    >>> schedule = linear(1.0, 10)
    >>> schedule(0), schedule(5), schedule(10), schedule(11)
    (1.0, 0.5, 0.0, 0.0)
    """
    return functools.partial(_linear, lr, _positive("steps", steps), end)


def cosine(lr: float, steps: int, end: float = 0.0) -> Schedule:
    """Return a schedule that goes from `lr` to `end` along half a cosine over `steps` steps, and then stays there.

    See Loshchilov & Hutter (2017).

    Raises
    ------
    ValueError
        if `steps` is not positive

    Examples
    --------
    >>> schedule = cosine(1.0, 10)
    >>> schedule(0), round(schedule(5), 12), schedule(10)
    (1.0, 0.5, 0.0)
    """
    return functools.partial(_cosine, lr, _positive("steps", steps), end)


def _linear(lr: float, steps: int, end: float, step: int) -> float:
    return lr + (end - lr) * min(step, steps) / steps


def _cosine(lr: float, steps: int, end: float, step: int) -> float:
    return end + (lr - end) * (1 + math.cos(math.pi * min(step, steps) / steps)) / 2


def _positive(name: str, x: Any) -> Any:
    _refuse_unless_number(name, x)
    if not x > 0:
        raise ValueError(f"{name} must be positive, not {x!r}")
    return x


def _refuse_unless_number(name: str, x: Any) -> None:
    refuse_masked(x)
    if not is_number(x):
        raise TypeError(f"{name} must be a number, not {type(x).__name__!r}")


def _not_negative(**numbers: float) -> None:
    for name, x in numbers.items():
        _refuse_unless_number(name, x)
        if not x >= 0:
            raise ValueError(f"{name} must not be negative, got {x!r}")


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
    >>> optimizer = SGD([Value(1.0)], lr=linear(0.5, 10))
    >>> optimizer.lr, optimizer.steps, optimizer.params
    (0.5, 0, [Value(data=1.0, grad=0)])
    """

    _RULE: str  # the struct of csrc/pygrad.h with the options
    _rule: Any

    def __init__(self, params: Parameters, lr: float | Schedule) -> None:
        if isinstance(params, (Value, Array)):
            raise TypeError("parameters must be in a list or another iterable: pass [w], not w")
        self._params = tuple(params)  # they hold the nodes
        self._ids = node_ids(self._params)
        if not self._ids.size:
            raise ValueError("there are no parameters to optimize")
        if not all(map(is_leaf, self._params)):
            raise ValueError("every parameter must be a leaf, but one was computed or has a _backward of its own")
        ids = np.sort(self._ids)  # np.unique, in C++, may abort when Python ends daemon threads: CPython issue 87135
        if (ids[1:] == ids[:-1]).any():
            raise ValueError("a parameter occurs twice; pass each once")
        self.lr = lr
        self.steps = 0

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
        _not_negative(lr=lr)
        return lr

    @lr.setter
    def lr(self, lr: float | Schedule) -> None:
        if not callable(lr):
            _not_negative(lr=lr)
        self._lr = lr

    def zero_grad(self) -> None:
        """Set the grad of every parameter to 0, as is needed before each backward pass."""
        check(lib.pg_fill(lib.PG_GRAD, self._ids.size, self._c_ids, 0.0), "a parameter")

    def step(self) -> None:
        """Update the data of every parameter from its grad."""
        raise NotImplementedError

    # Arrays as C takes them (_c_ids, _c_buffers) are made once, as that takes longer than a step of few parameters.
    @functools.cached_property
    def _c_ids(self) -> Any:
        return c_ids(self._ids)

    def _buffer(self) -> Numbers:
        return np.zeros(self._ids.size)

    def _buffers(self) -> dict[str, Numbers]:
        """The arrays kept from step to step, with one number for each parameter."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept from step to step: `steps`, and copies of the buffers under PyTorch's names.

        >>> Adam([Value(1.0)]).state_dict()
        {'steps': 0, 'exp_avg': array([0.]), 'exp_avg_sq': array([0.])}
        """
        return {"steps": self.steps, **{name: buffer.copy() for name, buffer in self._buffers().items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()` of the same kind of optimizer with the same number of parameters.

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
        buffers = self._buffers()
        if set(state) != {"steps", *buffers}:
            raise KeyError(f"the state has {list(state)}, but {type(self).__name__} needs {['steps', *buffers]}")
        new = {name: as_elements(state[name]).astype(np.float64) for name in buffers}
        for name, buffer in buffers.items():
            if new[name].shape != buffer.shape:
                raise ValueError(f"{name} has shape {new[name].shape} in the state, but needs {buffer.shape}")
        steps = operator.index(to_ndarray(state["steps"])[()])
        _not_negative(steps=steps)
        if steps >= 1 << 63:
            raise ValueError(f"steps must be below 2**63, not {steps}")
        self.steps = steps
        for name, buffer in buffers.items():
            buffer[...] = new[name]

    def __getstate__(self) -> dict[str, Any]:
        rule = {name: getattr(self._rule, name) for name, _ in ffi.typeof(self._rule).item.fields}
        state = {name: value for name, value in vars(self).items() if not name.startswith("_c_")}
        return {**state, "_rule": rule, "_ids": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _ids=node_ids(state["_params"]), _rule=ffi.new(self._RULE, state["_rule"]))


def _option(name: str, doc: str) -> property:
    """An attribute that is stored in the struct of C."""

    def assign(self: Any, x: float) -> None:
        if name != "dampening":
            _not_negative(**{name: x})
        setattr(self._rule, name, x)

    return property(lambda self: getattr(self._rule, name), assign, doc=doc)


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

    def __init__(
        self,
        params: Parameters,
        lr: float | Schedule = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr)
        _not_negative(momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        self._rule = ffi.new(
            self._RULE,
            {"momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov},
        )
        self._velocity: Numbers | None = None
        self._moving = False  # whether there was a step with momentum

    momentum = _option("momentum", "The fraction of its velocity that a parameter keeps; may be assigned.")
    dampening = _option("dampening", "The fraction of the gradient left out of the velocity; may be assigned.")
    weight_decay = _option("weight_decay", "This times the parameter is added to the gradient; may be assigned.")

    def step(self) -> None:
        rule = self._rule
        moves = rule.momentum != 0
        rule.lr = self.lr
        rule.first = not self._moving
        check(lib.pg_sgd_step(rule, self._ids.size, self._c_ids, self._c_velocity if moves else NULL), "step()")
        self._moving = self._moving or moves
        self.steps += 1

    @functools.cached_property
    def _c_velocity(self) -> Any:
        return c_doubles(self._buffers()["momentum_buffer"])

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._moving = self.steps > 0

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
    _decoupled = False

    def __init__(
        self,
        params: Parameters,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        _not_negative(eps=eps, weight_decay=weight_decay)
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be at least 0 and below 1, two of them, got {betas}")
        self._rule = ffi.new(
            self._RULE,
            {
                "beta1": betas[0], "beta2": betas[1], "eps": eps,
                "weight_decay": weight_decay, "decoupled": self._decoupled,
            },
        )  # fmt: skip
        self._mean, self._square = self._buffer(), self._buffer()

    weight_decay = _option("weight_decay", "This times the parameter is added to the gradient, by AdamW to the step.")
    eps = _option("eps", "Added to the denominator, so that gradients of 0 cause no division by 0; may be assigned.")

    def step(self) -> None:
        self._rule.lr = self.lr
        check(lib.pg_adam_step(self._rule, self.steps + 1, self._ids.size, self._c_ids, *self._c_buffers), "step()")
        self.steps += 1

    @functools.cached_property
    def _c_buffers(self) -> list[Any]:
        return [c_doubles(buffer) for buffer in (self._mean, self._square)]

    def _buffers(self) -> dict[str, Numbers]:
        return {"exp_avg": self._mean, "exp_avg_sq": self._square}


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019); see `torch.optim.AdamW`.

    Examples
    --------
    >>> w = Value(1.0)
    >>> AdamW([w], lr=0.5, weight_decay=0.5).step()
    >>> w.data
    0.75
    """

    _decoupled = True

    def __init__(
        self,
        params: Parameters,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)


def clip_grad_norm_(parameters: Parameters | Value | Array, max_norm: float, norm_type: float = 2.0) -> float:
    """Scale all grads so that their norm as one vector is at most `max_norm`; return the norm before that.

    Smaller gradients are left alone. As in PyTorch, 1e-6 is added to the norm; see `torch.nn.utils.clip_grad_norm_`.

    Examples
    --------
    >>> w = Value(1.0)
    >>> w.grad = 10.0
    >>> clip_grad_norm_([w], 5.0)
    10.0
    >>> round(w.grad, 5)
    5.0
    """
    ids = node_ids([parameters] if isinstance(parameters, (Value, Array)) else parameters)
    grads = grads_of(ids)
    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm(grads, norm_type)) if ids.size else 0.0
        scale = float(max_norm + 0) / (norm + 1e-6)
        if not scale >= 1:  # nan included
            set_grads(ids, grads * scale)
    return norm
