"""Functions of each number: of a Value they give a Value, of anything else an Array."""

from __future__ import annotations

import math
from typing import Any

from pygrad.array import Operand
from pygrad.functional.operands import operand


def relu(input: Operand) -> Any:
    """Return each number, or 0 where it is negative (Fukushima, 1969).

    Examples
    --------
    >>> relu([-1.0, 2.0])
    Array([0., 2.])
    """
    return operand(input).relu()


def tanh(input: Operand) -> Any:
    """Return the hyperbolic tangent of each number.

    Examples
    --------
    >>> tanh([0.0])
    Array([0.])
    """
    return operand(input).tanh()


def sigmoid(input: Operand) -> Any:
    """Return the logistic function of each number, 1 / (1 + exp(-x)).

    Examples
    --------
    >>> sigmoid([0.0])
    Array([0.5])
    """
    return operand(input).sigmoid()


def softplus(input: Operand) -> Any:
    """Return log(1 + exp(x)) of each number, a smooth relu (Dugas et al., 2000).

    Examples
    --------
    >>> softplus([-1000.0, 1000.0])
    Array([   0., 1000.])
    """
    return operand(input).softplus()


def silu(input: Operand) -> Any:
    """Return x * sigmoid(x) of each number, also called swish (Elfwing et al., 2018).

    Examples
    --------
    >>> silu([0.0, 1000.0])
    Array([   0., 1000.])
    """
    x = operand(input)
    return x * x.sigmoid()


def gelu(input: Operand) -> Any:
    """Return x times about the probability that a normally distributed number is below x (Hendrycks & Gimpel, 2016).

    It is PyTorch's `approximate="tanh"`: x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2.

    Examples
    --------
    >>> gelu([0.0, 1000.0])
    Array([   0., 1000.])
    """
    x = operand(input)
    return x * (2 * math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))).sigmoid()
