"""Optimizers with PyTorch's names and update rules; a step is one call of C for each group of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Callable, Union

import numpy as np

from pygrad._parameters import Parameters, refuse_modules
from pygrad.array import Array
from pygrad.engine import Value
from pygrad.optim.checks import count
from pygrad.optim.groups import Group
from pygrad.optim.rules import AdamGroup, AdamWGroup, RMSpropGroup, SGDGroup
from pygrad.optim.schedules import Schedule

Groups = Union[Parameters, Iterable[Mapping[str, Any]]]


class Optimizer:
    """The base class of the optimizers.

    Parameters
    ----------
    params
        Values and Arrays, as from `model.parameters()`; all must be leaves. Or dicts, each with `"params"` and those
        options that are not as for the others: `[{"params": model[0].parameters(), "lr": 0.01}, {"params": ...}]`
    lr
        the learning rate: a number, or a function of the number of steps taken, such as `linear` and `cosine` return

    Attributes
    ----------
    lr, and the other options
        what the next step will use; they may be assigned at any time, to all groups
    param_groups
        a group for each dict, or one: `optimizer.param_groups[0]["lr"] = 0.1` assigns its options
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
    >>> optimizer = SGD([{"params": [Value(1.0)], "lr": 0.5}, {"params": [Value(2.0)]}], momentum=0.9)
    >>> [(group["lr"], group["momentum"]) for group in optimizer.param_groups]
    [(0.5, 0.9), (0.001, 0.9)]
    """

    _GROUP: type[Group] = Group

    def __init__(self, params: Groups, lr: float | Schedule, **options: Any) -> None:
        self._defaults = {"lr": lr, **options}
        self.param_groups: list[Group] = []
        refuse_modules(params)
        given: Any = list(params) if isinstance(params, Iterable) and not isinstance(params, Array) else params
        are_groups = isinstance(given, list) and any(isinstance(part, Mapping) for part in given)
        for group in given if are_groups else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters: a dict with `"params"` and those options that are not as for the others.

        Examples
        --------
        >>> optimizer = SGD([Value(1.0)], lr=0.5)
        >>> optimizer.add_param_group({"params": [Value(2.0)], "lr": 0.25})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.5, 0.25]
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f'a group must be a dict with "params", not {param_group!r}')
        unknown = param_group.keys() - {"params", *self._defaults}
        if unknown:
            name, known = type(self).__name__, ", ".join(self._defaults)
            raise TypeError(f"{name} has no option {min(unknown)!r}; there are {known}")
        group = self._GROUP(**{**self._defaults, **param_group})
        # np.unique, in C++, may abort when Python ends daemon threads: CPython issue 87135
        ids = np.sort(np.concatenate([group.ids, *(other.ids for other in self.param_groups)]))
        if (ids[1:] == ids[:-1]).any():
            raise ValueError("a parameter occurs twice; pass each once")
        group.steps = self.steps
        self.param_groups.append(group)

    @property
    def params(self) -> list[Value | Array]:
        """The parameters of all groups, in a new list."""
        return [parameter for group in self.param_groups for parameter in group.params]

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        lr: float = self._shared("lr")
        return lr

    @lr.setter
    def lr(self, lr: float | Schedule) -> None:
        self._assign("lr", lr)

    @property
    def steps(self) -> int:
        """The number of steps taken, by which a schedule gives the learning rate."""
        return self.param_groups[0].steps if self.param_groups else 0

    @steps.setter
    def steps(self, steps: int) -> None:
        steps = count("steps", steps)
        for group in self.param_groups:
            group.steps = steps

    def _shared(self, name: str) -> Any:
        first, *others = (group[name] for group in self.param_groups)
        if any(x != first for x in others):
            raise ValueError(f"the groups differ in {name}: ask each of optimizer.param_groups for its [{name!r}]")
        return first

    def _assign(self, name: str, x: Any) -> None:
        if name != "lr":
            for group in self.param_groups:
                group.checked({name: x})
        for group in self.param_groups:
            group[name] = x

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the grad of every parameter to 0, as is needed before each backward pass.

        A step skips the parameters that no backward pass has reached since then: PyTorch's grad of `None`, which reads
        0 here. With `set_to_none=False` it takes their grads of 0 as computed.
        """
        for group in self.param_groups:
            group.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the data of every parameter from its grad, but of those that no gradient has reached.

        Such are the parameters whose grads were set to 0, by `zero_grad()` or by assignment, and to which no backward
        pass came since; an Array is one parameter. Neither momentum nor weight decay changes them, as in PyTorch.

        Parameters
        ----------
        closure
            a function that sets the grads and returns the loss; it is called before the update, and its result returned
        """
        loss = None if closure is None else closure()
        groups = self.param_groups
        if len(groups) > 1:
            _ = [group.lr for group in groups]  # a schedule that raises changes no group
        for group in groups:
            group.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept from step to step: `steps`, and under PyTorch's names the options, buffers, and `step`.

        `step` counts the steps that changed the buffers: one number, or one for each leaf where some were skipped. Of
        several groups each has a dict, under "0", "1" and so on.

        >>> SGD([Value(1.0)], lr=0.5, momentum=0.9).state_dict()["momentum_buffer"]
        array([0.])
        """
        states = [group.state_dict() for group in self.param_groups]
        return {"steps": self.steps, **(states[0] if len(states) == 1 else {str(i): x for i, x in enumerate(states)})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()` of the same kind of optimizer with the same number of parameters.

        A learning rate that is a function stays, and goes on from `steps`. Without options and `step`, as older
        versions wrote it, the options stay, and each parameter has taken all `steps`.

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
        groups = self.param_groups
        parts = {name: part for name, part in state.items() if name != "steps"}
        names = [str(i) for i in range(len(groups))]
        if "steps" not in state or (len(groups) > 1 and set(parts) != set(names)):
            raise KeyError(f"the state has {list(state)}, but {type(self).__name__} needs {['steps', *names]}")
        steps = count("steps", state["steps"])
        states = [parts] if len(groups) == 1 else [parts[name] for name in names]
        self.param_groups = [group.loaded(part, steps) for group, part in zip(groups, states)]

    def __repr__(self) -> str:
        groups = self.param_groups
        return f"{type(self).__name__}({repr(groups[0]) if len(groups) == 1 else '; '.join(map(repr, groups))})"


def _option(name: str, doc: str) -> property:
    """An option of all groups."""
    return property(lambda self: self._shared(name), lambda self, x: self._assign(name, x), doc=doc)


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

    _GROUP = SGDGroup

    def __init__(
        self,
        params: Groups,
        lr: float | Schedule = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    momentum = _option("momentum", "The fraction of its velocity that a parameter keeps; may be assigned.")
    dampening = _option("dampening", "The fraction of the gradient left out of the velocity; may be assigned.")
    weight_decay = _option("weight_decay", "This times the parameter is added to the gradient; may be assigned.")
    nesterov = _option("nesterov", "Whether the momentum is Nesterov's; may be assigned.")
    maximize = _option("maximize", "Whether a step goes along the gradient, not against it; may be assigned.")


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

    _GROUP = AdamGroup

    def __init__(
        self,
        params: Groups,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize
        )

    betas = _option("betas", "The fractions that the averages of the gradient and of its square keep; may be assigned.")
    eps = _option("eps", "Added to the denominator, so that gradients of 0 cause no division by 0; may be assigned.")
    weight_decay = _option("weight_decay", "This times the parameter is added to the gradient, by AdamW to the step.")
    amsgrad = _option("amsgrad", "Whether to divide by the largest average so far (Reddi et al., 2018).")
    maximize = _option("maximize", "Whether a step goes along the gradient, not against it; may be assigned.")


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

    _GROUP = AdamWGroup

    def __init__(
        self,
        params: Groups,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton, 2012): gradients over the root of their mean square; see `torch.optim.RMSprop`.

    Examples
    --------
    >>> w = Value(1.0)
    >>> w.grad = 1e6
    >>> RMSprop([w], lr=0.25, alpha=0.75).step()
    >>> round(w.data, 9)
    0.5
    """

    _GROUP = RMSpropGroup

    def __init__(
        self,
        params: Groups,
        lr: float | Schedule = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    alpha = _option("alpha", "The fraction that the average of the squares keeps; may be assigned.")
    eps = _option("eps", "Added to the denominator, so that gradients of 0 cause no division by 0; may be assigned.")
    weight_decay = _option("weight_decay", "This times the parameter is added to the gradient; may be assigned.")
    momentum = _option("momentum", "The fraction of its velocity that a parameter keeps; may be assigned.")
    centered = _option("centered", "Whether to divide by the root of the variance, not of the mean square.")
    maximize = _option("maximize", "Whether a step goes along the gradient, not against it; may be assigned.")
