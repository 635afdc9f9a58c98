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
from typing import TYPE_CHECKING, Any

from pygrad._cut import GradientCutWarning
from pygrad._distribution import VERSION
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
from pygrad.engine import Value
from pygrad.index import Index, index
from pygrad.memory import MemoryStats, memory_stats

if TYPE_CHECKING:  # what _LAZY imports
    from pygrad import functional, nn, optim
    from pygrad.checking import GradcheckError, gradcheck
    from pygrad.checkpoint import load, save
    from pygrad.dropin import as_micrograd
    from pygrad.nn import MLP, Layer, Module, Neuron
    from pygrad.program import Program, TraceWarning, compile, custom_vjp

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

# Modules, and the names that they have here, that are imported when they are first asked for: `import pygrad` is quick.
_LAZY = {
    "checking": "GradcheckError gradcheck",
    "checkpoint": "load save",
    "dropin": "as_micrograd",
    "functional": "",
    "nn": "MLP Layer Module Neuron",
    "optim": "",
    "program": "Program TraceWarning compile custom_vjp",
    "reference": "",
    "viz": "",
}


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name == module or name in names.split():
            found = importlib.import_module(f"pygrad.{module}")
            return globals().setdefault(name, found if name == module else getattr(found, name))
    raise AttributeError(f"module 'pygrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LAZY})
