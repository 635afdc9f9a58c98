"""Functions on Arrays, with the names and the argument order of torch.nn.functional.

Each takes Arrays, or whatever `pygrad.array` accepts: Values, numbers, NumPy arrays, nested lists.

    activations.py   functions of each number
    layers.py        what the layers of nn compute
    rows.py          functions of rows: softmax and norms
    losses.py        what a model's results cost
    operands.py      what the functions take
"""

from pygrad.functional.activations import relu, sigmoid, softplus, tanh
from pygrad.functional.layers import embedding, linear
from pygrad.functional.losses import cross_entropy, hinge_loss, mse_loss
from pygrad.functional.rows import log_softmax, rms_norm, softmax

__all__ = [
    "cross_entropy",
    "embedding",
    "hinge_loss",
    "linear",
    "log_softmax",
    "mse_loss",
    "relu",
    "rms_norm",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]
