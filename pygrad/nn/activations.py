"""Activations as modules; as functions, they are in `functional`."""

from __future__ import annotations

from typing import Any

from pygrad import functional
from pygrad.nn.module import Module


class ReLU(Module):
    """`functional.relu`.

    Examples
    --------
    >>> ReLU()([-1.0, 2.0])
    Array([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        return functional.relu(input)


class Tanh(Module):
    """`functional.tanh`.

    Examples
    --------
    >>> Tanh()([0.0])
    Array([0.])
    """

    def forward(self, input: Any) -> Any:
        return functional.tanh(input)


class Sigmoid(Module):
    """`functional.sigmoid`.

    Examples
    --------
    >>> Sigmoid()([0.0])
    Array([0.5])
    """

    def forward(self, input: Any) -> Any:
        return functional.sigmoid(input)


class GELU(Module):
    """`functional.gelu`.

    Examples
    --------
    >>> GELU()([0.0, 1000.0])
    Array([   0., 1000.])
    """

    def forward(self, input: Any) -> Any:
        return functional.gelu(input)


class SiLU(Module):
    """`functional.silu`.

    Examples
    --------
    >>> SiLU()([0.0, 1000.0])
    Array([   0., 1000.])
    """

    def forward(self, input: Any) -> Any:
        return functional.silu(input)


class Softplus(Module):
    """`functional.softplus`.

    Examples
    --------
    >>> Softplus()([-1000.0, 1000.0])
    Array([   0., 1000.])
    """

    def forward(self, input: Any) -> Any:
        return functional.softplus(input)
