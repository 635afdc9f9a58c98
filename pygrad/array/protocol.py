"""NumPy's functions on Arrays: `__array_function__` and `__array_ufunc__`, and the tables by which they go.

A function that is in no table is refused, in words that say what to use instead.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import sys
from typing import Any

import numpy as np

from pygrad._cut import is_operator
from pygrad.array import creation, functions, making, moves
from pygrad.array.elementwise import Elementwise
from pygrad.array.making import as_array
from pygrad.array.moves import Function
from pygrad.array.nodes import Nodes, as_elements
from pygrad.array.reductions import Reductions
from pygrad.array.shaping import Shaping
from pygrad.engine import Value

_words = str.split

# Functions that go by the numbers: through their results no gradient could flow. An element, a Value, is true as any
# object is, and equal to itself only.
BY_NUMBER = _words("""
    all allclose any argmax argmin argpartition argsort argwhere around array2string array_equal array_equiv array_repr
    array_str can_cast common_type count_nonzero digitize empty_like fix flatnonzero full_like histogram
    histogram_bin_edges imag isclose iscomplex iscomplexobj isin isneginf isposinf isreal isrealobj lexsort
    may_share_memory min_scalar_type ndim nonzero ones_like result_type round save savetxt savez savez_compressed
    searchsorted shape shares_memory size unique unique_all unique_counts unique_inverse unique_values zeros_like
    ceil equal floor greater greater_equal isfinite isinf isnan less less_equal logical_and logical_not logical_or
    logical_xor not_equal rint sign signbit trunc
""")


def has_nodes(x: Any) -> bool:
    """Whether x is or contains an Array or a Value."""
    if isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.dtype == object):
        return any(map(has_nodes, x.flat if isinstance(x, np.ndarray) else x))
    return isinstance(x, (Nodes, Value))


def numbers_of(x: Any) -> Any:
    """The arguments of a function of NumPy, with its numbers in place of each Array and Value."""
    if isinstance(x, (Nodes, Value)):
        return x.data
    if type(x) in (list, tuple):
        return type(x)(map(numbers_of, x))
    if isinstance(x, np.ndarray) and has_nodes(x):
        return as_elements(x).astype(np.float64)
    return {name: numbers_of(item) for name, item in x.items()} if isinstance(x, dict) else x


_MISSING: Any = object()


# These take a condition, which goes by the numbers, and elements, which may be numbers only.


def _compress(condition: Any, a: Any, axis: Any = None) -> Any:
    truth = numbers_of(condition)
    return moves.of_one(lambda ids: np.compress(truth, ids, axis))(a) if has_nodes(a) else np.compress(truth, a, axis)


def _extract(condition: Any, arr: Any) -> Any:
    truth = numbers_of(condition)
    return moves.of_one(lambda ids: np.extract(truth, ids))(arr) if has_nodes(arr) else np.extract(truth, arr)


def _where(condition: Any, x: Any = _MISSING, y: Any = _MISSING, /) -> Any:
    truth, choices = numbers_of(condition), [choice for choice in (x, y) if choice is not _MISSING]
    if len(choices) == 2 and has_nodes(choices):
        return making.where(truth, x, y)
    return np.where(truth, *numbers_of(choices))


def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    truths = numbers_of(condlist)
    if has_nodes((choicelist, default)):
        return functions.select(truths, choicelist, default)
    return np.select(truths, choicelist, default)


# Of each function that gives Arrays, what stands for it. Its parameters have NumPy's names.
FUNCTIONS: dict[str, Function] = {
    **{
        name: getattr(Reductions, name)
        for name in _words("cumprod cumsum max mean min prod std sum var")
    },
    **{
        name: getattr(Shaping, name)
        for name in _words("diagonal ravel reshape squeeze swapaxes take transpose")
    },
    **{
        name: getattr(functions, name)
        for name in _words("""
            average clip cross cumulative_prod cumulative_sum diff dot einsum inner outer ptp sort tensordot trace vdot
        """)
    },
    **{
        f"linalg.{name}": getattr(functions, name)
        for name in _words("""
            cross matmul matrix_norm matrix_power multi_dot norm outer tensordot vecdot vector_norm
        """)
    },
    **{name: getattr(creation, name) for name in _words("arange eye full ones zeros")},
    **{name: getattr(moves, name) for name in _words("append insert pad")},
    "amax": Reductions.max, "amin": Reductions.min, "array": making.array, "asarray": making.array,
    "astype": Elementwise.astype, "compress": _compress, "copy": Elementwise.copy, "extract": _extract,
    "matrix_transpose": functions.matrix_transpose, "real": as_array, "select": _select, "where": _where,
    "linalg.diagonal": functions.linalg_diagonal, "linalg.matrix_transpose": functions.matrix_transpose,
    "linalg.trace": functions.linalg_trace,
}  # fmt: skip

# Functions that rearrange elements, by what they take.
MOVES = {
    moves.of_one: """
        array_split broadcast_to delete diag diagflat dsplit expand_dims flip fliplr flipud hsplit moveaxis permute_dims
        repeat resize roll rollaxis rot90 split take_along_axis tile tril triu unstack vsplit fft.fftshift fft.ifftshift
    """,
    moves.of_several: "atleast_1d atleast_2d atleast_3d broadcast_arrays meshgrid",
    moves.of_list: "block column_stack concat concatenate dstack hstack stack vstack",
}


def _operator(name: str) -> Function:
    def apply(x: Any, y: Any) -> Any:
        out = getattr(x, f"__{name}__")(y) if isinstance(x, Nodes) else getattr(y, f"__r{name}__")(x)
        if out is NotImplemented:
            kinds = f"{type(x).__name__!r} and {type(y).__name__!r}"
            raise TypeError(f"NumPy's functions of Arrays take Arrays, Values and numbers, not {kinds}")
        return out

    return apply


def _method(name: str) -> Function:
    return lambda x, *others: getattr(as_array(x), name)(*others)


def _times(factor: float) -> Function:
    return lambda x: x * factor


UFUNCS: dict[str, Function] = {
    **{
        name: _method(name)
        for name in _words("cos exp log maximum minimum sin sqrt tanh")
    },
    "add": _operator("add"), "divide": _operator("truediv"), "float_power": _operator("pow"),
    "matmul": _operator("matmul"), "multiply": _operator("mul"), "power": _operator("pow"),
    "subtract": _operator("sub"),
    "absolute": operator.abs, "conjugate": operator.pos, "fabs": operator.abs, "negative": operator.neg,
    "positive": operator.pos, "reciprocal": lambda x: x**-1, "square": lambda x: x**2,
    "cosh": lambda x: (x.exp() + (-x).exp()) / 2, "exp2": lambda x: 2.0**x, "hypot": functions.hypot,
    "log10": lambda x: x.log() / math.log(10), "log2": lambda x: x.log() / math.log(2),
    "logaddexp": functions.logaddexp, "tan": lambda x: x.sin() / x.cos(),
    "deg2rad": _times(math.pi / 180), "degrees": _times(180 / math.pi), "rad2deg": _times(180 / math.pi),
    "radians": _times(math.pi / 180),
    "matvec": functions.matvec, "vecdot": functions.vecdot, "vecmat": functions.vecmat,
}  # fmt: skip

# What `reduce` and `accumulate` of a function do.
REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}
ACCUMULATIONS = {"add": "cumsum", "multiply": "cumprod"}

# What to use instead of functions that are not there.
_HINTS = {
    "copyto fill_diagonal place put put_along_axis putmask": "elements cannot be replaced: use np.where, or set a.data",
    "nan_to_num nancumprod nancumsum nanmax nanmean nanmin nanprod nanstd nansum nanvar": (
        "use np.where(np.isnan(x), 0.0, x) before, or where=~np.isnan(x) of a reduction"
    ),
    "median nanmedian nanpercentile nanquantile partition percentile quantile sort_complex": (
        "use np.sort(x), and index the result"
    ),
    "divmod floor_divide fmod remainder": "its derivative is 0 or undefined: use it on a.data",
    "bitwise_and bitwise_or bitwise_xor invert": "use it on comparisons, which are arrays of bools: (x > 0) & (x < 1)",
    "geomspace linspace logspace": "use a + (b - a) * np.linspace(0, 1, n)",
    "apply_along_axis apply_over_axes": "use methods of the Array, which have axis=",
    "choose piecewise": "use np.select, or np.where",
    "convolve correlate": "use np.stack of shifted slices, and @",
    "ediff1d gradient": "use np.diff(x)",
    "arcsinh": "use np.log(x + np.sqrt(x**2 + 1))",
    "arctanh": "use np.log((1 + x) / (1 - x)) / 2",
    "cbrt": "use x ** (1 / 3), of positive numbers",
    "corrcoef cov": "use d = x - x.mean(1, keepdims=True), and d @ d.T / (x.shape[1] - 1)",
    "expm1": "use np.exp(x) - 1, which loses digits near 0",
    "fmax": "use np.maximum(x, y), which is nan where one of them is",
    "fmin": "use np.minimum(x, y), which is nan where one of them is",
    "kron": "use np.einsum('ij,kl->ikjl', x, y), and reshape the result",
    "log1p": "use np.log(1 + x), which loses digits near 0",
    "logaddexp2": "use np.log2(np.exp2(x) + np.exp2(y))",
    "polyval": "use sum(c * x**i for i, c in enumerate(reversed(p)))",
    "sinc": "use np.sin(np.pi * x) / (np.pi * x)",
    "sinh": "use (np.exp(x) - np.exp(-x)) / 2, which loses digits near 0",
    "trapezoid": "use ((y[1:] + y[:-1]) / 2 * np.diff(x)).sum()",
    "vander": "use x[:, None] ** np.arange(n)",
}
HINTS = {name: hint for names, hint in _HINTS.items() for name in names.split()}

_REASONS = {
    "axis": "move the axis to the end by np.moveaxis",
    "dtype": "Arrays are always of float64",
    "out": "the elements of an Array, and nodes in an array of NumPy, cannot be replaced: take the result",
    "where": "use np.where on the result",
}


def find(name: str) -> Any:
    """The function np.`name`; None if this version of NumPy has none."""
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _implementations() -> dict[Any, Function]:
    """Of each function of NumPy that takes Arrays, what stands for it."""
    found = {find(name): implementation for name, implementation in (FUNCTIONS | UFUNCS).items() if find(name)}
    for kind, names in MOVES.items():
        found |= {find(name): kind(find(name)) for name in names.split() if find(name)}
    return found


_REFUSED = {"casting", "dtype", "out", "subok"}

_implementation_of = _implementations()
_by_number = {find(name) for name in BY_NUMBER}


def name_of(function: Any) -> str:
    """The name of a function of NumPy behind `np.`."""
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{function.__name__}".removeprefix("numpy.")


def _refusal(function: Any) -> TypeError:
    name = name_of(function)
    hint = HINTS.get(name, f"use np.{name}(a.data) for numbers alone, through which no gradient flows")
    return TypeError(f"np.{name} is not there for Arrays: {hint}")


def _refuse(function: Any, parameter: str) -> None:
    reason = _REASONS.get(parameter, f"leave it out, or call np.{name_of(function)} on a.data")
    raise TypeError(f"np.{name_of(function)} of Arrays has no {parameter}=: {reason}")


@functools.cache
def _taken(function: Any) -> tuple[inspect.Signature, int, set[str]]:
    """The signature of a function of NumPy, how many arguments it needs, and which names its implementation takes."""
    signature = inspect.signature(function)
    parameters = inspect.signature(_implementation_of[function]).parameters
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    needed = sum(parameter.default is inspect.Parameter.empty for parameter in signature.parameters.values())
    return signature, needed, set(signature.parameters if takes_all else parameters) - _REFUSED


def _call(function: Any, args: Any, kwargs: Any) -> Any:
    """Call what stands for a function of NumPy, and refuse parameters that this has not, unless left at defaults."""
    signature, needed, names = _taken(function)
    if len(args) <= needed and names.issuperset(kwargs):
        return _implementation_of[function](*args, **kwargs)
    bound = signature.bind(*args, **kwargs)
    for name, given in list(bound.arguments.items()):
        default = signature.parameters[name].default
        if default is inspect.Parameter.empty or name in names:
            continue
        left_out = given is None or given is default or (isinstance(given, str) and given == default)
        if not left_out and not (name == "dtype" and np.dtype(given) == np.float64):
            _refuse(function, name)
        del bound.arguments[name]
    return _implementation_of[function](*bound.args, **bound.kwargs)


class NumpyProtocol(Nodes):
    """The part of Array's interface by which NumPy's functions take Arrays."""

    __slots__ = ()

    @property
    def _data(self) -> Any:  # masked arrays of NumPy take it for that of another masked array
        raise TypeError(
            "an Array takes no masked array, which has no numbers where it is masked: pass np.ma.filled(x, number)"
        )

    def __array_function__(self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a function of NumPy does, or raise a TypeError that says what to use instead."""
        if not all(issubclass(kind, (Nodes, np.ndarray)) for kind in types):
            return NotImplemented
        if function in _by_number:
            return function(*numbers_of(args), **numbers_of(kwargs))
        if function not in _implementation_of:
            raise _refusal(function)
        return _call(function, args, kwargs)

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Do what a function of NumPy does element by element, or raise a TypeError that says what to use instead."""
        apply = _implementation_of.get(function)
        if apply and method == "__call__" and not kwargs:  # first what operators of NumPy's arrays call
            return apply(*inputs)
        if function in _by_number:
            return getattr(function, method)(*numbers_of(inputs), **numbers_of(kwargs))
        if apply is None:
            raise _refusal(function)
        out = kwargs.pop("out", (None,))
        # `x += a` of an array of NumPy makes x an Array, as operators of Python do.
        if out[0] is not None and not (out[0] is inputs[0] and method == "__call__" and is_operator(sys._getframe(1))):
            _refuse(function, "out")
        if method in ("reduce", "accumulate"):
            return _reduce(function, method, inputs[0], kwargs)
        for name, given in kwargs.items():
            if given is not None and not (name == "dtype" and np.dtype(given) == np.float64):
                _refuse(function, name)
        if method == "outer":
            x, y = map(as_array, inputs)
            return apply(x[(..., *[None] * y.ndim)], y)
        if method != "__call__":
            raise TypeError(
                f"np.{name_of(function)}.{method} is not there for Arrays: index them, and reduce the parts"
            )
        return apply(*inputs)


def _reduce(function: np.ufunc, method: str, x: Any, kwargs: dict[str, Any]) -> Any:
    """Call np.sum for np.add.reduce, and so on; the axis is 0 if it is not given."""
    known = REDUCTIONS if method == "reduce" else ACCUMULATIONS
    name = name_of(function)
    if name not in known:
        raise TypeError(f"np.{name}.{method} is not there for Arrays: that of {', '.join(known)} is")
    return getattr(np, known[name])(as_array(x), **{"axis": 0, **kwargs})
