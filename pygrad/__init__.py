"""pygrad: micrograd at the speed of C.

>>> from pygrad import Value
>>> x = Value(2.0)
>>> y = (x**2 + 1).relu()
>>> y.backward()
>>> x.grad
4.0
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pygrad import functional, nn, optim
from pygrad._cut import GradientCutWarning
from pygrad._lib import VERSION
from pygrad.array import (
    Array,
    arange,
    array,
    concatenate,
    eye,
    full,
    ones,
    randn,
    stack,
    uniform,
    where,
    zeros,
)  # fmt: skip
from pygrad.checkpoint import load, save
from pygrad.dropin import as_micrograd
from pygrad.engine import Value
from pygrad.gradcheck import GradcheckError, gradcheck
from pygrad.index import Index, index
from pygrad.memory import MemoryStats, memory_stats
from pygrad.nn import MLP, Layer, Module, Neuron
from pygrad.program import Program, TraceWarning, compile, custom_vjp

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "MLP",
    "Array",
    "GradcheckError",
    "GradientCutWarning",
    "Index",
    "Layer",
    "MemoryStats",
    "Module",
    "Neuron",
    "Program",
    "TraceWarning",
    "Value",
    "arange",
    "array",
    "as_micrograd",
    "compile",
    "concatenate",
    "custom_vjp",
    "eye",
    "full",
    "functional",
    "gradcheck",
    "index",
    "load",
    "memory_stats",
    "nn",
    "ones",
    "optim",
    "randn",
    "save",
    "stack",
    "uniform",
    "where",
    "zeros",
]
__version__ = VERSION

_LAZY = ("reference", "viz")  # modules that few programs use: imported when they are first asked for


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"pygrad.{name}")
    raise AttributeError(f"module 'pygrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
