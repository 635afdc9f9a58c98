"""Neural networks: micrograd's neurons, layers and multi-layer perceptrons, and layers of Arrays.

module.py       Module: what has parameters, and how they are found and named
neurons.py      micrograd's Neuron, Layer and MLP
layers.py       layers of Arrays
containers.py   modules made of modules
sizes.py        the sizes of a module
"""

import random

from pygrad.engine import Value
from pygrad.nn.containers import Sequential
from pygrad.nn.layers import Embedding, Linear, RMSNorm
from pygrad.nn.module import Module
from pygrad.nn.neurons import MLP, Layer, Neuron

__all__ = [
    "MLP",
    "Embedding",
    "Layer",
    "Linear",
    "Module",
    "Neuron",
    "RMSNorm",
    "Sequential",
    "Value",
    "random",
]
