"""Layers of Arrays, with PyTorch's names."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pygrad import functional
from pygrad._lib import Numbers, lib
from pygrad.array import Array, Operand, array
from pygrad.functional.layers import check_probability, draw_mask
from pygrad.functional.operands import operand, shape_of
from pygrad.nn.module import Module
from pygrad.nn.sizes import checked_size, checked_sizes


class Linear(Module):
    """`functional.linear` with a weight of shape (out, in) and a bias of shape (out,).

    It maps an Array of shape (..., in) to one of shape (..., out). Both start uniform in -1/sqrt(in) to 1/sqrt(in).

    Parameters
    ----------
    in_features, out_features
        the sizes: how many numbers come in, and how many go out
    bias
        whether there is one; otherwise it is None

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

    def forward(self, input: Operand) -> Array:
        return functional.linear(input, self.weight, self.bias)

    def __repr__(self) -> str:
        out_features, in_features = self.weight.shape
        return f"Linear(in_features={in_features}, out_features={out_features}, bias={self.bias is not None})"


class Embedding(Module):
    """A row of numbers for each index, which start normally distributed; see `functional.embedding`.

    Parameters
    ----------
    num_embeddings
        how many rows there are: an index is below it
    embedding_dim
        how many numbers a row has

    Examples
    --------
    >>> Embedding(10, 3)([1, 2, 1]).shape
    (3, 3)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        checked_size("num_embeddings", num_embeddings, 1)
        checked_size("embedding_dim", embedding_dim, 1)
        self.weight = array([[random.gauss(0, 1) for _ in range(embedding_dim)] for _ in range(num_embeddings)])

    def forward(self, input: npt.ArrayLike) -> Array:
        return functional.embedding(input, self.weight)

    def __repr__(self) -> str:
        return "Embedding({}, {})".format(*self.weight.shape)


class RMSNorm(Module):
    """`functional.rms_norm` with weights, which start at 1; without weights if `elementwise_affine` is false.

    Parameters
    ----------
    normalized_shape
        the sizes of the last axes, over which the mean is taken; an int if it is one axis
    eps
        added to the mean square; see `functional.rms_norm`
    elementwise_affine
        whether there are weights

    Examples
    --------
    >>> RMSNorm(2, eps=0.0)([1.0, 1.0])
    Array([1., 1.])
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        checked_sizes("normalized_shape", normalized_shape)
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = array(np.ones(normalized_shape)) if elementwise_affine else None

    def forward(self, input: Operand) -> Array:
        return functional.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def __repr__(self) -> str:
        return f"RMSNorm({self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None})"


class LayerNorm(Module):
    """`functional.layer_norm` with weights, which start at 1, and a bias, which starts at 0.

    Parameters
    ----------
    normalized_shape
        the sizes of the last axes, over which the mean is taken; an int if it is one axis
    eps
        added to the variance
    elementwise_affine
        whether there are weights and a bias
    bias
        whether there is a bias beside the weights

    Examples
    --------
    >>> LayerNorm(2, eps=0.0)([1.0, 3.0])
    Array([-1.,  1.])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        checked_sizes("normalized_shape", normalized_shape)
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = array(np.ones(normalized_shape)) if elementwise_affine else None
        self.bias = array(np.zeros(normalized_shape)) if elementwise_affine and bias else None

    def forward(self, input: Operand) -> Array:
        return functional.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def __repr__(self) -> str:
        affine, bias = self.weight is not None, self.bias is not None
        return f"LayerNorm({self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={bias})"


class Dropout(Module):
    """`functional.dropout` while the module is trained; after `eval()` it changes nothing.

    It draws from a generator of its own, that of `seed`, or of a seed from Python's `random`. A compiled function needs
    a mask as an argument, as what is drawn while it is traced would be the same in each call.

    Parameters
    ----------
    p
        the probability with which a number is set to 0
    seed
        of the generator; the same seed gives the same masks

    Examples
    --------
    >>> from pygrad import compile
    >>> dropout = Dropout(0.5)
    >>> dropout([1.0, 2.0], mask=[0, 1])
    Array([0., 4.])
    >>> f = compile(lambda x, mask: dropout(x, mask).sum(), np.ones(8), dropout.mask(8))
    >>> f(np.ones(8), dropout.mask(8)) in range(0, 17, 2)
    True
    >>> dropout.eval()([1.0, 2.0])
    Array([1., 2.])
    """

    def __init__(self, p: float = 0.5, seed: int | None = None) -> None:
        check_probability(p)
        self.p = p
        self._generator = np.random.default_rng(random.getrandbits(64) if seed is None else seed)

    def forward(self, input: Any, mask: Any = None) -> Any:
        x = operand(input)
        if mask is None and self.training and not lib.pg_tracing():
            mask = self.mask(shape_of(x))
        return functional.dropout(x, self.p, self.training, mask)

    def mask(self, shape: int | tuple[int, ...]) -> Numbers:
        """Draw a mask: 0 with probability p, else 1.

        >>> Dropout(0.0).mask((2, 2))
        array([[1., 1.],
               [1., 1.]])
        """
        return draw_mask(self._generator, shape, self.p)

    def __repr__(self) -> str:
        return f"Dropout(p={self.p})"
