"""Elementwise: the operators, comparisons and functions of Arrays that work element by element."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad import _bulk
from pygrad._handles import formula
from pygrad._lib import OPS, Ids, Numbers, lib
from pygrad._numbers import Number, inverse, is_number, refuse_masked, to_python
from pygrad._ops import define_ops, op
from pygrad.array.making import array
from pygrad.array.nodes import FLOAT64, IDS, Nodes, Operand, as_elements, as_objects, built, make_leaves, wrap
from pygrad.engine import Value

if TYPE_CHECKING:
    from pygrad.array.arrays import Array

_empty = np.empty
_ADD, _MUL, _POWER, _POW = (OPS[key] for key in (("+", 2), ("*", 2), ("**", 1), ("**", 2)))


def _for_any_operand(method: Callable[[Any, Any], Array]) -> Callable[[Any, Operand], Array]:
    """Extend a method for an Array, a Python number or a NumPy array of floats to any operand.

    The scalar loop itself runs for an operand that mixes Values and numbers, and where methods of Values were replaced.
    """

    @functools.wraps(method)
    def of_any(self: Nodes, other: Operand) -> Any:
        if isinstance(other, Nodes) or type(other) is float or type(other) is int:
            pass
        elif isinstance(other, Value):
            other = array(other)
        elif isinstance(other, (list, tuple, np.ndarray)):
            elements = as_elements(other)
            if elements.dtype != object:
                other = elements if elements.ndim else float(elements)
            elif all(isinstance(element, Value) for element in elements.flat):
                other = array(elements)
            else:
                return loop(method.__name__, self, elements)
        elif is_number(other):
            other = other if isinstance(other, int) else float(other)
        elif method.__name__.startswith("__"):
            return NotImplemented
        else:
            refuse_masked(other)
            raise TypeError(f"{method.__name__}() takes an Array, a Value or numbers, not {type(other).__name__!r}")
        try:
            return method(self, other)
        except _bulk.Replaced:
            return loop(method.__name__, self, other)

    return of_any


def loop(name: str, *operands: Any) -> Array:
    """The scalar loop of a method: "__sub__", "__rsub__", "exp", ..."""
    scalar_op = getattr(Value, name)
    if name.startswith("__r"):
        forward = getattr(operator, name.strip("_")[1:])

        def scalar_op(a: Value, b: Any) -> Any:
            return forward(b, a)

    elements = [np.asarray(x) if isinstance(x, Nodes) else x for x in operands]
    return array(np.frompyfunc(scalar_op, len(operands), 1)(*elements))


class Elementwise(Nodes):
    """The part of Array's interface that works element by element."""

    __slots__ = ()

    # The ops of csrc/ops.def, and what is made of them, as in engine.Value.

    @op("+")
    def __add__(self, other: Operand) -> Array:
        """Return self + other, element by element."""

    @op("+")
    def __radd__(self, other: Operand) -> Array:
        """Return other + self, element by element."""

    @op("*")
    def __mul__(self, other: Operand) -> Array:
        """Return self * other, element by element."""

    @op("*")
    def __rmul__(self, other: Operand) -> Array:
        """Return other * self, element by element."""

    @op("ReLU")
    def relu(self) -> Array:
        """Return each number, or 0 where it is negative.

        >>> array([-1.0, 2.0]).relu()
        Array([0., 2.])
        """

    @op("exp")
    def exp(self) -> Array:
        """Return e to the power of each number; OverflowError above 709.78.

        >>> array([0.0]).exp()
        Array([1.])
        """

    @op("log")
    def log(self) -> Array:
        """Return the natural logarithms; ValueError unless all numbers are positive.

        >>> array([1.0]).log()
        Array([0.])
        """

    @op("tanh")
    def tanh(self) -> Array:
        """Return the hyperbolic tangents.

        >>> array([0.0]).tanh()
        Array([0.])
        """

    @op("sigmoid")
    def sigmoid(self) -> Array:
        """Return the logistic function of each number, 1 / (1 + exp(-x)).

        >>> array([0.0]).sigmoid()
        Array([0.5])
        """

    @op("softplus")
    def softplus(self) -> Array:
        """Return log(1 + exp(x)) of each number, a smooth relu (Dugas et al., 2000).

        >>> array([-1000.0, 1000.0]).softplus()
        Array([   0., 1000.])
        """

    @op("sqrt")
    def sqrt(self) -> Array:
        """Return the square roots; ValueError if a number is negative.

        >>> array([4.0]).sqrt()
        Array([2.])
        """

    @op("sin")
    def sin(self) -> Array:
        """Return the sines of angles in radians; ValueError if one is infinite.

        >>> array([0.0]).sin()
        Array([0.])
        """

    @op("cos")
    def cos(self) -> Array:
        """Return the cosines of angles in radians; ValueError if one is infinite.

        >>> array([0.0]).cos()
        Array([1.])
        """

    @op("detach")
    def detach(self) -> Array:
        """Return the same numbers as nodes that pass no gradient on.

        >>> x = array([3.0])
        >>> (x * x.detach()).backward()
        >>> x.grad
        array([3.])
        """

    @op("abs")
    def abs(self) -> Array:
        """Return the absolute values, also written abs(self); their gradient at 0 is 0.

        >>> array([-2.0]).abs()
        Array([2.])
        """

    __abs__ = abs

    @op("maximum")
    def maximum(self, other: Operand) -> Array:
        """Return the larger of self and other, element by element; nan if either is nan.

        >>> array([1.0, 3.0]).maximum(2.0)
        Array([2., 3.])
        """

    @op("minimum")
    def minimum(self, other: Operand) -> Array:
        """Return the smaller of self and other, element by element; nan if either is nan.

        >>> array([1.0, 3.0]).minimum(2.0)
        Array([1., 2.])
        """

    def __pow__(self, other: Operand) -> Array:  # self ** other
        # A number is part of the op, as in Value ** number; ints are shown as ints.
        if isinstance(other, (list, tuple, np.ndarray)):
            refuse_masked(other)
        floats = other if isinstance(other, np.ndarray) and other.dtype.kind == "f" else None
        if floats is None and isinstance(other, (list, tuple, np.ndarray)):
            return loop("__pow__", self, as_objects(other))
        try:
            if floats is not None:
                return _map_binary(_POWER, "**", self, _for_each(floats.astype(np.float64, copy=False), self.shape))
            if isinstance(other, (Nodes, Value)):
                return _map_binary(_POW, "**", self, array(other))
            if is_number(other):
                return map_number(_POWER, "**", self, other)
        except _bulk.Replaced:
            return loop("__pow__", self, array(other) if isinstance(other, Value) else other)
        return NotImplemented

    @_for_any_operand
    def __rpow__(self, other: Any) -> Array:  # other ** self
        x = other if isinstance(other, Nodes) else _for_each(np.asarray(other, dtype=np.float64), self.shape)
        return _map_binary(_POW, "**", x, self)

    def __neg__(self) -> Array:  # -self
        try:
            return map_number(_MUL, "*", self, -1)
        except _bulk.Replaced:
            return loop("__neg__", self)

    @_for_any_operand
    def __sub__(self, other: Any) -> Array:  # self + (-other)
        return _map_binary(lib.PG_SUBTRACT, "-", self, other) if isinstance(other, Nodes) else _plus(self, -other)

    @_for_any_operand
    def __rsub__(self, other: Any) -> Array:  # other + (-self)
        if isinstance(other, np.ndarray):
            other = _for_each(other, self.shape)
        if isinstance(other, Nodes):
            return _map_binary(lib.PG_SUBTRACT, "-", other, self)
        return map_number(lib.PG_SUBTRACT_FROM, "-", self, other, reverse=True)

    @_for_any_operand
    def __truediv__(self, other: Any) -> Array:  # self * other**-1
        if isinstance(other, Nodes):
            return _map_binary(lib.PG_DIVIDE, "/", self, other)
        return _times(self, _inverses(other))

    @_for_any_operand
    def __rtruediv__(self, other: Any) -> Array:  # other * self**-1
        if isinstance(other, np.ndarray):
            other = _for_each(other, self.shape)
        if isinstance(other, Nodes):
            return _map_binary(lib.PG_DIVIDE, "/", other, self)
        return map_number(lib.PG_DIVIDE_INTO, "/", self, other, reverse=True)

    # Operators that round are refused in words: their derivatives are 0 or undefined.

    def __floordiv__(self, other: Operand) -> Any:  # self // other
        return _refuse_rounding("//", other)

    def __mod__(self, other: Operand) -> Any:  # self % other
        return _refuse_rounding("%", other)

    def __divmod__(self, other: Operand) -> Any:  # divmod(self, other)
        return _refuse_rounding("divmod()", other)

    __rfloordiv__, __rmod__, __rdivmod__ = __floordiv__, __mod__, __divmod__

    def clip(self, min: Operand | None = None, max: Operand | None = None) -> Array:
        """Return each element, or the limit that it exceeds; gradients as of `maximum` and `minimum`.

        >>> array([-1.0, 0.5, 2.0]).clip(0, 1)
        Array([0. , 0.5, 1. ])
        """
        x: Any = self if min is None else self.maximum(min)
        return x if max is None else x.minimum(max)  # type: ignore[no-any-return]

    def astype(self, dtype: npt.DTypeLike, *, copy: bool = True) -> Array:
        """Return a copy, as `copy()`; TypeError for any dtype but float64: write `a.data.astype(dtype)`.

        >>> array([1.0]).astype(float)
        Array([1.])
        """
        if np.dtype(dtype) != FLOAT64:
            raise TypeError(
                f"an Array is always of float64, not of {np.dtype(dtype)}: write a.data.astype(...) for its numbers, "
                "through which no gradient flows"
            )
        same: Any = self
        return self.copy() if copy else same

    def copy(self) -> Array:
        """Return new nodes with the same numbers, through which gradients flow; `copy.deepcopy` copies leaves.

        >>> x = array([1.0])
        >>> x.copy().backward()
        >>> x.grad
        array([1.])
        """
        return self * 1

    # In-place operators rebind the name to a new Array, as those of a float do. A module's attribute would then be a
    # computed Array, which is no parameter.

    def __iadd__(self, other: Operand) -> Any:  # self += other
        return self._in_place("+=")

    def __isub__(self, other: Operand) -> Any:  # self -= other
        return self._in_place("-=")

    def __imul__(self, other: Operand) -> Any:  # self *= other
        return self._in_place("*=")

    def __itruediv__(self, other: Operand) -> Any:  # self /= other
        return self._in_place("/=")

    def __ipow__(self, other: Operand) -> Any:  # self **= other
        return self._in_place("**=")

    def __imatmul__(self, other: Operand) -> Any:  # self @= other
        return self._in_place("@=")

    def _in_place(self, operator: str) -> Any:
        if hasattr(self, "_is_parameter"):
            raise TypeError(
                f"{operator} on a parameter would replace it by a computed Array, which is no parameter: "
                f"change its numbers, as in `p.data -= lr * p.grad`"
            )
        return NotImplemented  # Python then takes the operator that is not in place

    # Comparisons: arrays of bools, to which no gradient flows.

    def __eq__(self, other: object) -> Any:  # self == other
        return _compared(np.equal, self, other)

    def __ne__(self, other: object) -> Any:  # self != other
        return _compared(np.not_equal, self, other)

    def __lt__(self, other: Operand) -> Any:  # self < other
        return _compared(np.less, self, other)

    def __le__(self, other: Operand) -> Any:  # self <= other
        return _compared(np.less_equal, self, other)

    def __gt__(self, other: Operand) -> Any:  # self > other
        return _compared(np.greater, self, other)

    def __ge__(self, other: Operand) -> Any:  # self >= other
        return _compared(np.greater_equal, self, other)

    __hash__ = object.__hash__  # by identity, as of PyTorch's tensors: a dict can keep something for each parameter


def _op(name: str, symbol: str, arity: int) -> Any:
    """The method of a row of csrc/ops.def."""
    code = OPS[symbol, arity]

    def unary(self: Nodes) -> Array:
        out = _empty(self._ids.shape, IDS)
        try:
            status, holder = _bulk.map_unary(code, self._ids, out)
        except _bulk.Replaced:
            return loop(name, self)
        if not status:
            return wrap(out, holder)
        return built(status, holder, out, lambda at: formula(symbol, self._number(at)), self)

    if arity == 1:
        return unary
    binary = _mapped(code, symbol)
    binary.__name__ = name
    return _for_any_operand(binary)


def _mapped(code: int, symbol: str) -> Callable[[Any, Any], Array]:
    """The function that applies an op to each element of x and an Array, numbers or a number."""

    def binary(x: Any, y: Any) -> Array:
        if isinstance(y, np.ndarray):
            y = _for_each(y, x.shape)
        return (_map_binary if isinstance(y, Nodes) else map_number)(code, symbol, x, y)

    return binary


def map_number(code: int, symbol: str, x: Nodes, y: Number, reverse: bool = False) -> Array:
    """[op(xi, y) for xi in x], or with y first."""
    out = _empty(x._ids.shape, IDS)
    status, holder = _bulk.map_number(code, x._ids, y, isinstance(y, int), out)
    if not status:
        return wrap(out, holder)
    order = -1 if reverse else 1
    return built(status, holder, out, lambda at: formula(symbol, *(x._number(at), y)[::order]), x)


def _map_binary(code: int, symbol: str, x: Nodes, y: Nodes) -> Array:
    """[op(xi, yi) for xi, yi in zip(x, y)], broadcast."""
    a, b = x._ids, y._ids
    if a.shape != b.shape:
        a, b = _broadcast(a, b)
    out = _empty(a.shape, IDS)
    status, holder = _bulk.map_binary(code, a, b, out)
    if not status:
        return wrap(out, holder)

    def what(at: int) -> str:
        return formula(symbol, lib.pg_data(int(a.flat[at])), lib.pg_data(int(b.flat[at])))

    return built(status, holder, out, what, x, y)


def _broadcast(*arrays: Ids) -> list[Ids]:
    """The ids in one shape, repeated: copies, which C needs, in half the time of numpy.broadcast_arrays."""
    try:
        shape = np.broadcast(*arrays).shape
    except ValueError:
        shapes = " ".join(str(ids.shape) for ids in arrays)
        raise ValueError(f"operands could not be broadcast together with shapes {shapes}") from None
    return [ids if ids.shape == shape else _repeated(ids, shape) for ids in arrays]


def _repeated(ids: Ids, shape: tuple[int, ...]) -> Ids:
    out = _empty(shape, IDS)
    out[...] = ids
    return out


def _for_each(numbers: Numbers, shape: tuple[int, ...]) -> Array:
    """Numbers as the other operand: broadcast first, so that each scalar op gets a leaf of its own."""
    if numbers.shape == shape:
        return make_leaves(numbers, plain=True)
    try:
        return make_leaves(np.broadcast_to(numbers, np.broadcast_shapes(numbers.shape, shape)), plain=True)
    except ValueError:
        raise ValueError(f"operands could not be broadcast together with shapes {shape} {numbers.shape}") from None


_plus, _times = _mapped(_ADD, "+"), _mapped(_MUL, "*")


def _refuse_rounding(symbol: str, other: Any) -> Any:
    if isinstance(other, (Nodes, Value, np.ndarray, list, tuple)) or is_number(other):
        raise TypeError(f"an Array has no {symbol}, whose derivative is 0 or undefined: take the numbers, a.data")
    return NotImplemented


def _compared(holds: Any, x: Nodes, y: Any) -> Any:
    """Where the numbers of x and y are so related; NotImplemented if y has none."""
    if isinstance(y, (Nodes, Value)):
        return holds(x.data, y.data)
    if isinstance(y, (list, tuple, np.ndarray)):
        return holds(x.data, as_elements(y).astype(np.float64, copy=False))
    refuse_masked(y)
    return holds(x.data, to_python(y)) if is_number(y) else NotImplemented


def _inverses(y: Any) -> Any:
    """The inverse of a number, or of each one in an array."""
    return np.reshape([inverse(x) for x in y.ravel().tolist()], y.shape) if isinstance(y, np.ndarray) else inverse(y)


define_ops(Elementwise, _op)
