"""pygrad: micrograd at the speed of C.

>>> from pygrad import Value
>>> x = Value(2.0)
>>> y = (x**2 + 1).relu()
>>> y.backward()
>>> x.grad
4.0
"""

from importlib.metadata import version

from pygrad.dropin import as_micrograd
from pygrad.engine import MemoryStats, Value, memory_stats
from pygrad.nn import MLP, Layer, Module, Neuron

__all__ = ["MLP", "Layer", "MemoryStats", "Module", "Neuron", "Value", "as_micrograd", "memory_stats"]
__version__ = version("pygrad")
