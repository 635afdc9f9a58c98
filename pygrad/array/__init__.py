"""Array: many Values at once, with NumPy's interface.

The files, each built on those before it:

nodes.py        ids of nodes and what holds them; elements of operands
making.py       `array`, `concatenate`, `stack`, `where`
creation.py     `zeros`, `ones`, `randn`, ...
elementwise.py  operators, comparisons and functions of each element
shaping.py      shapes, indexing and iteration
reductions.py   sums, products and extremes along axes
products.py     the matrix product
copying.py      pickle and copy
functions.py    functions of NumPy that are made of these
moves.py        functions of NumPy that rearrange elements
protocol.py     the tables by which NumPy's functions take Arrays
arrays.py       the class, put together from these
"""

from pygrad.array.arrays import Array
from pygrad.array.creation import arange, eye, full, ones, randn, uniform, zeros
from pygrad.array.making import array, as_array, concatenate, stack, where
from pygrad.array.nodes import Operand, as_elements, built, hold, make_leaves, normalize_axes
from pygrad.array.products import matmul

__all__ = [
    "Array",
    "Operand",
    "arange",
    "array",
    "as_array",
    "as_elements",
    "built",
    "concatenate",
    "eye",
    "full",
    "hold",
    "make_leaves",
    "matmul",
    "normalize_axes",
    "ones",
    "randn",
    "stack",
    "uniform",
    "where",
    "zeros",
]
