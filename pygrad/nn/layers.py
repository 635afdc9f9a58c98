"""Layers of Arrays, with PyTorch's names."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pygrad import functional
from pygrad.array import Array, Operand, array
from pygrad.nn.module import Module
from pygrad.nn.sizes import checked_size


class Linear(Module):
    """`functional.linear` with a weight of shape (out, in) and a bias of shape (out,).

    It maps an Array of shape (..., in) to one of shape (..., out). Both start uniform in -1/sqrt(in) to 1/sqrt(in).

    Examples
    --------
    >>> Linear(3, 2)(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        bound = checked_size("in_features", in_features, 1) ** -0.5
        checked_size("out_features", out_features, 1)
        self.weight = array([[random.uniform(-bound, bound) for _ in range(in_features)] for _ in range(out_features)])
        self.bias = array([random.uniform(-bound, bound) for _ in range(out_features)]) if bias else None

    def __call__(self, input: Operand) -> Array:
        return functional.linear(input, self.weight, self.bias)

    def __repr__(self) -> str:
        out_features, in_features = self.weight.shape
        return f"Linear(in_features={in_features}, out_features={out_features}, bias={self.bias is not None})"


class Embedding(Module):
    """A row of numbers for each index, which start normally distributed; see `functional.embedding`.

    Examples
    --------
    >>> Embedding(10, 3)([1, 2, 1]).shape
    (3, 3)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        checked_size("num_embeddings", num_embeddings, 1)
        checked_size("embedding_dim", embedding_dim, 1)
        self.weight = array([[random.gauss(0, 1) for _ in range(embedding_dim)] for _ in range(num_embeddings)])

    def __call__(self, input: npt.ArrayLike) -> Array:
        return functional.embedding(input, self.weight)

    def __repr__(self) -> str:
        return "Embedding({}, {})".format(*self.weight.shape)


class RMSNorm(Module):
    """`functional.rms_norm` with weights, which start at 1; without weights if `elementwise_affine` is false.

    Examples
    --------
    >>> RMSNorm(2, eps=0.0)([1.0, 1.0])
    Array([1., 1.])
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        for size in np.atleast_1d(normalized_shape).tolist() or [()]:
            checked_size("normalized_shape", size, 1)
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = array(np.ones(normalized_shape)) if elementwise_affine else None

    def __call__(self, input: Operand) -> Array:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def __repr__(self) -> str:
        return f"RMSNorm({self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None})"
