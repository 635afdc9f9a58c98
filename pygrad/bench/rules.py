"""Implements SGD and Adam for engines without an optimizer, and selects the optimizers of those that have one."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Union

import numpy as np
import numpy.typing as npt

from pygrad import optim

Numbers = npt.NDArray[np.float64]


class SGD(NamedTuple):
    """Stochastic gradient descent."""

    rate: float

    def start(self, p: Any) -> Any:
        """The optimizer state before the first update."""
        return ()

    def update(self, p: Any, grad: Any, state: Any) -> tuple[Any, Any]:
        """The new parameters and state, for arrays with NumPy's interface."""
        return p - self.rate * grad, state

    def on_numbers(self, p: Numbers) -> Callable[[Numbers], None]:
        return _in_place(self, p)

    def on_values(self, leaves: list[Any]) -> Callable[[], None]:
        def update() -> None:
            for leaf in leaves:
                leaf.data -= self.rate * leaf.grad

        return update

    def in_torch(self, leaves: list[Any]) -> Any:
        import torch

        return torch.optim.SGD(leaves, lr=self.rate)

    def in_pygrad(self, leaves: list[Any]) -> Any:
        return optim.SGD(leaves, lr=self.rate)


class Adam(NamedTuple):
    """Adam (Kingma & Ba, 2015)."""

    rate: float = 0.01
    beta1: float = 0.85
    beta2: float = 0.99
    epsilon: float = 1e-8

    def start(self, p: Any) -> Any:
        return 0 * p, 0 * p, 0.0

    def update(self, p: Any, grad: Any, state: Any) -> tuple[Any, Any]:
        mean, square, steps = state
        steps = steps + 1
        mean = self.beta1 * mean + (1 - self.beta1) * grad
        square = self.beta2 * square + (1 - self.beta2) * grad * grad
        unbiased, unbiased_square = mean / (1 - self.beta1**steps), square / (1 - self.beta2**steps)
        return p - self.rate * unbiased / (unbiased_square**0.5 + self.epsilon), (mean, square, steps)

    def on_numbers(self, p: Numbers) -> Callable[[Numbers], None]:
        return _in_place(self, p)

    def on_values(self, leaves: list[Any]) -> Callable[[], None]:
        """A function that updates one leaf after the other."""
        means, squares = [0.0] * len(leaves), [0.0] * len(leaves)
        steps = 0

        def update() -> None:
            nonlocal steps
            steps += 1
            rate, beta1, beta2, epsilon = self
            for i, p in enumerate(leaves):
                grad = p.grad
                means[i] = beta1 * means[i] + (1 - beta1) * grad
                squares[i] = beta2 * squares[i] + (1 - beta2) * grad**2
                mean = means[i] / (1 - beta1**steps)
                square = squares[i] / (1 - beta2**steps)
                p.data -= rate * mean / (square**0.5 + epsilon)

        return update

    def in_torch(self, leaves: list[Any]) -> Any:
        import torch

        return torch.optim.Adam(leaves, lr=self.rate, betas=(self.beta1, self.beta2), eps=self.epsilon)

    def in_pygrad(self, leaves: list[Any]) -> Any:
        return optim.Adam(leaves, lr=self.rate, betas=(self.beta1, self.beta2), eps=self.epsilon)


Rule = Union[SGD, Adam]


def _in_place(rule: Rule, p: Numbers) -> Callable[[Numbers], None]:
    state = rule.start(p)

    def update(grad: Numbers) -> None:
        nonlocal state
        p[:], state = rule.update(p, grad, state)

    return update
