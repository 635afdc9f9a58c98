"""Neural networks: micrograd's neurons, layers and multi-layer perceptrons, and layers of Arrays.

module.py       Module: what has parameters, and how they are found and named
neurons.py      micrograd's Neuron, Layer and MLP
layers.py       layers of Arrays
containers.py   modules made of modules
sizes.py        the sizes of a module
"""

import random

from pygrad.engine import Value  # which, as `random`, micrograd.nn has
from pygrad.nn.activations import GELU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from pygrad.nn.containers import ModuleList, Sequential
from pygrad.nn.layers import Dropout, Embedding, LayerNorm, Linear, RMSNorm
from pygrad.nn.module import Module
from pygrad.nn.neurons import MLP, Layer, Neuron

__all__ = [
    "GELU",
    "MLP",
    "Dropout",
    "Embedding",
    "Layer",
    "LayerNorm",
    "Linear",
    "Module",
    "ModuleList",
    "Neuron",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "Value",
    "random",
]
