"""Functions of each number."""

from __future__ import annotations

from pygrad.array import Array, Operand, as_array


def relu(input: Operand) -> Array:
    """Return each number, or 0 where it is negative (Fukushima, 1969).

    Examples
    --------
    >>> relu([-1.0, 2.0])
    Array([0., 2.])
    """
    return as_array(input).relu()


def tanh(input: Operand) -> Array:
    """Return the hyperbolic tangent of each number.

    Examples
    --------
    >>> tanh([0.0])
    Array([0.])
    """
    return as_array(input).tanh()


def sigmoid(input: Operand) -> Array:
    """Return the logistic function of each number, 1 / (1 + exp(-x)).

    Examples
    --------
    >>> sigmoid([0.0])
    Array([0.5])
    """
    return as_array(input).sigmoid()


def softplus(input: Operand) -> Array:
    """Return log(1 + exp(x)) of each number, a smooth relu (Dugas et al., 2000).

    Examples
    --------
    >>> softplus([-1000.0, 1000.0])
    Array([   0., 1000.])
    """
    return as_array(input).softplus()
