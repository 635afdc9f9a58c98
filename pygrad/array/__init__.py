"""Array: many Values at once, with NumPy's interface.

The files, each built on those before it:

nodes.py        ids of nodes and what holds them; elements of operands
making.py       `array`, `concatenate`, `stack`, `where`
elementwise.py  operators, comparisons and functions of each element
reductions.py   sums, products and extremes along axes
products.py     the matrix product
shaping.py      shapes, indexing and iteration
copying.py      pickle and copy
arrays.py       the class, put together from these
"""

from pygrad.array.arrays import Array
from pygrad.array.making import array, as_array, concatenate, stack, where
from pygrad.array.nodes import Operand, as_elements, built, hold, make_leaves, normalize_axes
from pygrad.array.products import matmul

__all__ = [
    "Array",
    "Operand",
    "array",
    "as_array",
    "as_elements",
    "built",
    "concatenate",
    "hold",
    "make_leaves",
    "matmul",
    "normalize_axes",
    "stack",
    "where",
]
