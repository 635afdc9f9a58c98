"""Functions on Arrays, with the names and the argument order of torch.nn.functional.

Each takes Arrays, or whatever `pygrad.array` accepts: Values, numbers, NumPy arrays, nested lists. What a function of
numbers gives for a Value is a Value.

    activations.py   functions of each number
    layers.py        what the layers of nn compute
    rows.py          functions of rows: softmax and norms
    losses.py        what a model's results cost
    operands.py      what the functions take
"""

from pygrad.functional.activations import gelu, relu, sigmoid, silu, softplus, tanh
from pygrad.functional.layers import dropout, embedding, linear
from pygrad.functional.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    huber_loss,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from pygrad.functional.rows import layer_norm, log_softmax, rms_norm, softmax

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "embedding",
    "gelu",
    "hinge_loss",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]
