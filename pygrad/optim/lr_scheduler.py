"""PyTorch's learning rate schedulers: objects whose `step()` sets the rate of an optimizer's groups.

A function of the number of steps as `lr=`, such as `cosine(0.1, 1000)`, does without: no `step()` is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pygrad.array import Array
from pygrad.engine import Value
from pygrad.optim.checks import not_negative, positive
from pygrad.optim.optimizers import Optimizer


class LRScheduler:
    """The base class of the schedulers whose rate follows from the number of their steps.

    A subclass defines `rate(base, now)`: from the rate at the start and that of now, for step `last_epoch`.

    Raises
    ------
    TypeError
        if `optimizer` is none, or its `lr` is a function, which sets the rate already

    Examples
    --------
    >>> from pygrad.optim import SGD
    >>> scheduler = StepLR(SGD([Value(1.0)], lr=1.0), step_size=2, gamma=0.5)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5]
    """

    _SAVED: tuple[str, ...] = ("last_epoch", "base_lrs")

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = _checked(optimizer)
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._set_rates()

    def rate(self, base: float, now: float) -> float:
        """The rate of a group at step `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} does not say which rate a step sets")

    def step(self) -> None:
        """Set the rates of the next step; call it after `optimizer.step()`."""
        self.last_epoch += 1
        self._set_rates()

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept from step to step; save it with that of the optimizer, which has the rates."""
        return {name: getattr(self, name) for name in self._SAVED}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()` of the same kind of scheduler; KeyError if it has other names."""
        if set(state) != set(self._SAVED):
            raise KeyError(f"the state has {list(state)}, but {type(self).__name__} needs {list(self._SAVED)}")
        for name, x in state.items():
            setattr(self, name, x.tolist() if hasattr(x, "tolist") else x)

    def __repr__(self) -> str:
        known = {name: x for name, x in vars(self).items() if name != "optimizer"} | {"last_lr": self.get_last_lr()}
        return f"{type(self).__name__}({', '.join(f'{name}={x!r}' for name, x in known.items())})"

    def _set_rates(self) -> None:
        for base, group in zip(self.base_lrs, self.optimizer.param_groups):
            group["lr"] = self.rate(base, group["lr"])


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"a scheduler takes an optimizer, not {type(optimizer).__name__!r}")
    if any(group.schedule for group in optimizer.param_groups):
        raise TypeError("the optimizer's lr is a function, which sets the rate already: give it a number")
    return optimizer


class StepLR(LRScheduler):
    """Multiply the rate by `gamma` every `step_size` steps; see `torch.optim.lr_scheduler.StepLR`.

    Examples
    --------
    >>> from pygrad.optim import SGD
    >>> scheduler = StepLR(SGD([Value(1.0)], lr=1.0), step_size=1, gamma=0.5)
    >>> scheduler.step()
    >>> scheduler
    StepLR(step_size=1, gamma=0.5, base_lrs=[1.0], last_epoch=1, last_lr=[0.5])
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = positive("step_size", step_size)
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, now: float) -> float:
        return now * self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else now


class LambdaLR(LRScheduler):
    """Multiply the rate at the start by a function of the number of steps; see `torch.optim.lr_scheduler.LambdaLR`.

    `lr_lambda` is a function, or a list with one for each group.

    Examples
    --------
    >>> from pygrad.optim import SGD
    >>> scheduler = LambdaLR(SGD([Value(1.0)], lr=1.0), lambda step: 0.5**step)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]
    ) -> None:
        groups = len(_checked(optimizer).param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"lr_lambda must be a function for each of {groups} groups, not {len(self.lr_lambdas)}")
        super().__init__(optimizer)

    def _set_rates(self) -> None:
        rates = [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas)]
        for rate, group in zip(rates, self.optimizer.param_groups):
            group["lr"] = rate


class CosineAnnealingLR(LRScheduler):
    """Take the rate along a cosine to `eta_min` in `T_max` steps, and back; see `torch.optim.lr_scheduler`.

    See Loshchilov & Hutter (2017). `cosine(lr, T_max, eta_min)` as `lr=` stays at the end instead.

    Examples
    --------
    >>> from pygrad.optim import SGD
    >>> scheduler = CosineAnnealingLR(SGD([Value(1.0)], lr=1.0), T_max=1)
    >>> scheduler.step()
    >>> scheduler.get_last_lr()
    [0.0]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = positive("T_max", T_max)
        not_negative(eta_min=eta_min)
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, base: float, now: float) -> float:
        if not self.last_epoch:
            return base
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by `factor` when a loss has not improved for more than `patience` steps.

    See `torch.optim.lr_scheduler.ReduceLROnPlateau`. `step(loss)` takes a number, or a Value or an Array of one.

    Parameters
    ----------
    mode
        "min" if a smaller loss is better, or "max"
    threshold, threshold_mode
        the least improvement: in proportion to the best so far if "rel", or "abs"
    cooldown
        how many steps to wait after a reduction before counting again
    min_lr
        the least rate: for all groups, or one each
    eps
        a smaller change is not made

    Examples
    --------
    >>> from pygrad.optim import SGD
    >>> scheduler = ReduceLROnPlateau(SGD([Value(1.0)], lr=1.0), patience=0)
    >>> for loss in (3.0, 3.0):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.1]
    """

    _SAVED = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold_mode must be 'rel' or 'abs', not {threshold_mode!r}")
        if not factor < 1:
            raise ValueError(f"factor must be below 1, not {factor!r}")
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        groups = len(_checked(optimizer).param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, Sequence) else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise ValueError(f"min_lr must have a rate for each of the {groups} groups, not {len(self.min_lrs)}")
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        super().__init__(optimizer)

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Take the loss of a step or an epoch, and reduce the rates if it is time."""
        loss = float(metrics.data if isinstance(metrics, (Value, Array)) else metrics)
        self.last_epoch += 1
        if self._is_better(loss):
            self.best, self.num_bad_epochs = loss, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs):
                rate = max(group["lr"] * self.factor, least)
                group["lr"] = rate if group["lr"] - rate > self.eps else group["lr"]
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _is_better(self, loss: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * loss > sign * self.best * (1 + sign * self.threshold)
        return sign * loss > sign * self.best + self.threshold

    def _set_rates(self) -> None:
        """Leave the rates as they are: a loss sets them."""
