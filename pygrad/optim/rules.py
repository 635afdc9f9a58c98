"""The update rules: which options and buffers each has, and its function of C."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pygrad._lib import lib
from pygrad.optim.checks import not_negative, refuse_unless_number
from pygrad.optim.groups import Group


class SGDGroup(Group):
    """Parameters of SGD."""

    RULE = "pg_sgd *"
    OPTIONS = ("momentum", "dampening", "weight_decay", "nesterov", "maximize")
    BUFFERS = ("momentum_buffer",)

    def check(self, options: Mapping[str, Any]) -> None:
        not_negative(momentum=options["momentum"], weight_decay=options["weight_decay"])
        refuse_unless_number("dampening", options["dampening"])
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def store(self, name: str, x: Any) -> None:
        super().store(name, x)
        self.counts = self._rule.momentum != 0

    def needed(self) -> tuple[str, ...]:
        return self.BUFFERS if self._rule.momentum else ()

    def run(self, rule: Any, taken: int, args: tuple[Any, ...]) -> int:
        rule.first = not taken
        status: int = lib.pg_sgd_step(rule, *args)
        return status


class AdamGroup(Group):
    """Parameters of Adam."""

    RULE = "pg_adam *"
    OPTIONS = ("betas", "eps", "weight_decay", "amsgrad", "maximize")
    BUFFERS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    DECOUPLED = False

    amsgrad = False  # C knows it by the third buffer

    def check(self, options: Mapping[str, Any]) -> None:
        not_negative(eps=options["eps"], weight_decay=options["weight_decay"])
        betas = options["betas"]
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be at least 0 and below 1, two of them, got {betas}")

    def store(self, name: str, x: Any) -> None:
        self._rule.decoupled = self.DECOUPLED
        if name == "betas":
            self._rule.beta1, self._rule.beta2 = x
        elif name == "amsgrad":
            self.amsgrad = bool(x)
        else:
            super().store(name, x)

    def read(self, name: str) -> Any:
        if name == "betas":
            return self._rule.beta1, self._rule.beta2
        return self.amsgrad if name == "amsgrad" else super().read(name)

    def needed(self) -> tuple[str, ...]:
        return self.BUFFERS if self.amsgrad else self.BUFFERS[:2]

    def run(self, rule: Any, taken: int, args: tuple[Any, ...]) -> int:
        status: int = lib.pg_adam_step(rule, taken + 1, *args)
        return status


class AdamWGroup(AdamGroup):
    """Parameters of AdamW."""

    DECOUPLED = True


class RMSpropGroup(Group):
    """Parameters of RMSprop."""

    RULE = "pg_rmsprop *"
    OPTIONS = ("alpha", "eps", "weight_decay", "momentum", "centered", "maximize")
    BUFFERS = ("square_avg", "grad_avg", "momentum_buffer")

    centered = False  # C knows it by the second buffer

    def check(self, options: Mapping[str, Any]) -> None:
        not_negative(**{name: options[name] for name in ("alpha", "eps", "weight_decay", "momentum")})

    def store(self, name: str, x: Any) -> None:
        if name == "centered":
            self.centered = bool(x)
        else:
            super().store(name, x)

    def read(self, name: str) -> Any:
        return self.centered if name == "centered" else super().read(name)

    def needed(self) -> tuple[str, ...]:
        uses = {"square_avg": True, "grad_avg": self.centered, "momentum_buffer": self._rule.momentum}
        return tuple(name for name in self.BUFFERS if uses[name])

    def run(self, rule: Any, taken: int, args: tuple[Any, ...]) -> int:
        status: int = lib.pg_rmsprop_step(rule, *args)
        return status
