"""Value: one number of a graph that remembers how it was computed, and sends gradients back through it.

A Value is a handle: the graph itself lives in C (csrc/graph/). The methods marked `@op` have no body here: csrc/ops.def
defines what each op computes and what it adds to the grads of its operands, and `pygrad.reference` does so in Python.

After micrograd by Andrej Karpathy (MIT), https://github.com/karpathy/micrograd.
"""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable
from typing import Any, Callable

from pygrad._bulk import own_methods
from pygrad._cut import first_read, note_number_taken
from pygrad._handles import (
    Attributes,
    Handle,
    init_custom,
    init_leaf,
    labels,
    operands,
    own_attributes,
    register,
    set_closure,
    set_operands,
    symbol_of,
)
from pygrad._lib import check, fast, lib, text
from pygrad._numbers import Number, inverse, is_number, refuse_masked, to_number, to_python
from pygrad._ops import define_ops, op, value_op
from pygrad._runs import place_of, value_at
from pygrad._sweep import backward_from, backward_step

__all__ = ["Value"]  # `from micrograd.engine import *` must not replace names of a script

_NO_CHILDREN: tuple[Value, ...] = ()
_PLAIN = (float, int)  # the types that C takes as they are; float() also accepts text
_get_data, _set_data = lib.pg_data, lib.pg_set_data  # a look-up less for each call
_get_grad, _set_grad = lib.pg_grad, lib.pg_set_grad
_is_int, _DATA, _GRAD = lib.pg_is_int, lib.PG_DATA, lib.PG_GRAD


@register
class Value(Handle):
    """Stores a single scalar value and its gradient.

    Parameters
    ----------
    data
        The number: anything `float()` accepts but a Value. Below 2**53 in size an int stays an int, and so do sums,
        products and powers of ints, as in Python; all else is a float.
    _children
        For an op written in Python, as in micrograd's lecture: the Values it was computed from. Then assign to
        `_backward` a function without arguments that adds to the `grad` of the children.
    _op
        The symbol of that op. In its place you can give the local gradients, as in microgpt: a number for each child,
        the derivative of `data` by that child. Then no `_backward` is needed.
    label
        A name to show in pictures.

    Examples
    --------
    >>> a, b = Value(2.0), Value(-3.0)
    >>> c = a * b + b**2
    >>> c.backward()
    >>> c.data, a.grad, b.grad
    (3.0, -3.0, -4.0)

    `<`, `<=`, `>` and `>=` compare the numbers; `==` and `!=` tell whether two Values are the same node.

    >>> a > b, sorted([a, b]), Value(2.0) == a
    (True, [Value(data=-3.0, grad=-4.0), Value(data=2.0, grad=-3.0)], False)
    """

    __slots__ = ()

    # NumPy's scalars (priority -1e6) leave `np.float64(2) * v` to us; its arrays (priority 0) go element by element.
    __array_priority__ = -1.0

    def __init__(
        self, data: Any, _children: Iterable[Value] = _NO_CHILDREN, _op: str | Iterable[Number] = "", label: object = ""
    ) -> None:
        children = _children if _children is _NO_CHILDREN else tuple(_children)
        if not isinstance(_op, str):
            _init_with_local_grads(self, to_number(data), children, _op)
        elif children or _op:
            init_custom(self, to_number(data), children, _op)
        else:
            number = data if type(data) in _PLAIN else to_number(data)
            check(init_leaf(self, number, isinstance(number, int)), "Value()")
        if label != "":
            self.label = label

    @op("+")
    def __add__(self, other: Value | Number) -> Value:
        """Return self + other."""

    @op("*")
    def __mul__(self, other: Value | Number) -> Value:
        """Return self * other."""

    @op("**")
    def __pow__(self, other: Value | Number) -> Value:
        """Return self ** other: a number is part of the op, as in `**3`, and a Value is an operand."""

    @op("ReLU")
    def relu(self) -> Value:
        """Return the number, or 0 if it is negative.

        >>> Value(-2.0).relu().data, Value(2.0).relu().data
        (0, 2.0)
        """

    def backward(self) -> None:
        """Add the derivative of this Value to the grad of every Value it was computed from.

        This is reverse-mode differentiation (Rumelhart, Hinton & Williams, 1986): one sweep over the graph, from this
        node to the oldest, in time proportional to the graph and without a limit on its depth. As in micrograd, it
        sets this Value's own grad to 1 and adds to all others: set them to 0 before a second pass.

        A `_backward` function or a signal handler may call backward() during a pass, which is paused meanwhile. Another
        thread waits for the pass to end, so a `_backward` function must not wait for a thread that calls backward().

        Raises
        ------
        ZeroDivisionError, OverflowError, ValueError
            where Python raises it for the same floats, as for the gradient of `Value(0) ** 0.5`.

        Examples
        --------
        >>> x = Value(3.0)
        >>> (x * x).backward()
        >>> x.grad
        6.0
        """
        backward_from(self._id)

    def __neg__(self) -> Value:  # -self
        return self * -1

    def __radd__(self, other: Number) -> Value:  # other + self
        return self.__add__(other)

    def __pos__(self) -> Value:  # +self
        return self

    def __sub__(self, other: Value | Number) -> Value:  # self - other
        if isinstance(other, Value):
            return self + (-other)
        if is_number(other):
            return self + (-to_python(other))
        refuse_masked(other)
        return NotImplemented

    def __rsub__(self, other: Number) -> Value:  # other - self
        return other + (-self)

    def __rmul__(self, other: Number) -> Value:  # other * self
        return self.__mul__(other)

    def __truediv__(self, other: Value | Number) -> Value:  # self / other
        if isinstance(other, Value):
            return self * other**-1
        if is_number(other):
            return self * inverse(to_python(other))
        refuse_masked(other)
        return NotImplemented

    def __rtruediv__(self, other: Number) -> Value:  # other / self
        return other * self**-1

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    # Numbers: attributes in micrograd, stored in the node here.

    @property
    def data(self) -> Number:
        """The number. Assigning another one does not recompute what was computed from it."""
        number = _get_data(self._id)
        return int(number) if not number % 1 and _is_int(_DATA, self._id) else number

    @data.setter
    def data(self, data: Any) -> None:
        number = data if type(data) in _PLAIN else to_number(data)
        _set_data(self._id, number, isinstance(number, int))

    @property
    def grad(self) -> Number:
        """The derivative of the Value that `backward()` was called on, by this one; 0 before the first call.

        Assigning None, as in PyTorch, is assigning 0.
        """
        number = _get_grad(self._id)
        return int(number) if not number % 1 and _is_int(_GRAD, self._id) else number

    @grad.setter
    def grad(self, grad: Any) -> None:
        number = grad if type(grad) in _PLAIN else 0 if grad is None else to_number(grad)
        _set_grad(self._id, number, isinstance(number, int))

    def __float__(self) -> float:
        note_number_taken(self, self._id, depth=1)
        return float(self.data)

    def __bool__(self) -> bool:  # true like micrograd's, which has no such method; a trace notes the question
        if lib.pg_flags_of(self._id) & lib.PG_TRACED:
            _ = self.data
        return True

    def __int__(self) -> int:
        return int(self.data)

    __trunc__ = __int__

    def __round__(self, digits: int | None = None) -> float:  # a plain number, as of float() and int()
        return round(self.data, digits)

    def __format__(self, spec: str) -> str:  # f"{v:.4f}" formats the number, f"{v}" is repr(v)
        return format(self.data, spec) if spec else str(self)

    def __floordiv__(self, other: Number) -> Any:  # self // other
        return _refuse_floor("//", self, other)

    def __mod__(self, other: Number) -> Any:  # self % other
        return _refuse_floor("%", self, other)

    def __divmod__(self, other: Number) -> Any:  # divmod(self, other)
        return _refuse_floor("divmod()", self, other)

    __rfloordiv__, __rmod__, __rdivmod__ = __floordiv__, __mod__, __divmod__

    # More ops than micrograd has.

    def __rpow__(self, other: Number) -> Value:  # other ** self
        if not is_number(other):
            return NotImplemented
        base = Value(other)
        lib.pg_set_flags(base._id, lib.PG_PLAIN)
        return base**self

    @op("exp")
    def exp(self) -> Value:
        """Return e to the power of self; OverflowError above 709.78.

        >>> Value(0.0).exp().data
        1.0
        """

    @op("log")
    def log(self) -> Value:
        """Return the natural logarithm; ValueError unless self is positive.

        >>> Value(1.0).log().data
        0.0
        """

    @op("tanh")
    def tanh(self) -> Value:
        """Return the hyperbolic tangent.

        >>> Value(0.0).tanh().data
        0.0
        """

    @op("sigmoid")
    def sigmoid(self) -> Value:
        """Return the logistic function, 1 / (1 + exp(-self)).

        >>> Value(0.0).sigmoid().data
        0.5
        """

    @op("softplus")
    def softplus(self) -> Value:
        """Return log(1 + exp(self)), a smooth relu (Dugas et al., 2000).

        >>> Value(0.0).softplus().data == Value(2.0).log().data
        True
        """

    @op("sqrt")
    def sqrt(self) -> Value:
        """Return the square root; ValueError if self is negative.

        >>> Value(4.0).sqrt().data
        2.0
        """

    @op("sin")
    def sin(self) -> Value:
        """Return the sine of self in radians; ValueError if self is infinite.

        >>> Value(0.0).sin().data
        0.0
        """

    @op("cos")
    def cos(self) -> Value:
        """Return the cosine of self in radians; ValueError if self is infinite.

        >>> Value(0.0).cos().data
        1.0
        """

    @op("detach")
    def detach(self) -> Value:
        """Return the same number as a node that passes no gradient on.

        >>> x = Value(3.0)
        >>> (x * x.detach()).backward()
        >>> x.grad
        3.0
        """

    @op("abs")
    def abs(self) -> Value:
        """Return the absolute value, also written abs(self); its gradient at 0 is 0.

        >>> Value(-2.0).abs().data
        2.0
        """

    __abs__ = abs

    @op("maximum")
    def maximum(self, other: Value | Number) -> Value:
        """Return the larger of self and other, nan if either is nan; equal operands get half the gradient each.

        >>> Value(2.0).maximum(3.0).data
        3.0
        """

    @op("minimum")
    def minimum(self, other: Value | Number) -> Value:
        """Return the smaller of self and other, nan if either is nan; equal operands get half the gradient each.

        >>> Value(2.0).minimum(3.0).data
        2.0
        """

    # The graph, as micrograd shows it.

    @property
    def _prev(self) -> set[Value]:
        """The Values this one was computed from: the same objects as elsewhere in the program, while these exist.

        It is the same set each time, and this Value keeps what it contains. Backward passes go by another that is
        assigned: none goes below this Value after `v._prev = set()`. What is added to the set is only shown.
        """
        if not hasattr(self, "_shown"):
            # Meanwhile the garbage collector, or another thread, may run code that assigns others.
            try:
                shown = set(operands(self))
            except ReferenceError:
                if not hasattr(self, "_shown"):
                    raise
            else:
                self._shown = getattr(self, "_shown", shown)
        return self._shown

    @_prev.setter
    def _prev(self, values: Iterable[Value] | None) -> None:
        set_operands(self, values, backward_step)

    @property
    def _children(self) -> tuple[Value, ...]:
        """The operands in order, as in microgpt: those of `x * x` are `(x, x)`."""
        children: tuple[Value, ...] = getattr(getattr(self, "_closure", None), "children", ()) or operands(self)
        return children

    @property
    def _local_grads(self) -> tuple[Number, ...]:
        """The derivatives of this number by those of `_children`, as in microgpt."""
        local_grads = getattr(getattr(self, "_closure", None), "local_grads", None)
        return shares(self, 1) if local_grads is None else local_grads

    @property
    def _op(self) -> str:
        """The op that made this node: `'+'`, `'*'`, `'**3'`, `'ReLU'`, ...; `''` for a leaf. Assign another to show."""
        return self._symbol if hasattr(self, "_symbol") else symbol_of(self._id)

    @_op.setter
    def _op(self, symbol: str) -> None:
        self._symbol = symbol

    @property
    def label(self) -> str:
        """A name to show in pictures; anything assigned becomes text. It belongs to the node, not to this object."""
        return labels.get(self._id)

    @label.setter
    def label(self, label: object) -> None:
        labels.set(self._id, str(label))

    @property
    def _backward(self) -> Callable[[], object]:
        """A function that does this node's step of the backward pass; assign another to replace it."""
        return self._closure if hasattr(self, "_closure") else _own_step(self)  # type: ignore[return-value]

    @_backward.setter
    def _backward(self, closure: Callable[[], object] | None) -> None:
        set_closure(self, closure)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return Attributes(self, ("data", "grad", "_backward", "_prev", "_op"))

    # The order of Values is that of their numbers, to which the results are not connected. `==` is identity, as in
    # micrograd, where Values are kept in sets.

    def __lt__(self, other: Value | Number) -> bool:  # self < other
        return _compared(operator.lt, self, other)

    def __le__(self, other: Value | Number) -> bool:  # self <= other
        return _compared(operator.le, self, other)

    def __gt__(self, other: Value | Number) -> bool:  # self > other
        return _compared(operator.gt, self, other)

    def __ge__(self, other: Value | Number) -> bool:  # self >= other
        return _compared(operator.ge, self, other)

    # The handle. Two Values of one node are rare, but possible (see _handles.value_of): they are equal.

    def __eq__(self, other: object) -> bool:
        return self._id == other._id if isinstance(other, Value) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._id)

    def __copy__(self) -> Value:
        make, args, attributes = _alone(self)
        copied: Value = make(*args)
        for name, x in (attributes or {}).items():
            setattr(copied, name, x)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:  # what pickle and copy.deepcopy make it of: see _runs
        alone = _alone(self)
        place = place_of(self._id)
        return alone if place is None else (_element_again, (*place, self.data, self.grad, self.label), alone[-1])


def _refuse_floor(symbol: str, value: Value, other: object) -> Any:
    """What an operator that rounds returns or raises: it has no useful derivative."""
    if isinstance(other, Value) or is_number(other):
        raise TypeError(f"a Value has no {symbol}, whose derivative is 0 or undefined: take the number, v.data")
    return NotImplemented


def _compared(holds: Callable[[Any, Any], bool], value: Value, other: Any) -> bool:
    """What an operator that compares numbers returns: NotImplemented if the other operand has none."""
    if isinstance(other, Value):
        return holds(value.data, other.data)
    if is_number(other):
        number = to_python(other)
        return holds(value.data, number if isinstance(number, (float, int)) else float(number))
    refuse_masked(other)
    return NotImplemented  # type: ignore[no-any-return]


def _own_step(out: Value) -> Callable[[], object]:
    """What `_backward` is where nothing was assigned: a function that holds the Value, as micrograd's."""

    def _backward() -> None:
        backward_step(out._id)

    _backward.__qualname__ = f"Value.{_method_of(out) or '__init__'}.<locals>._backward"
    return _backward


def _method_of(value: Value) -> str:
    """The method that made a node; "" for a leaf, and what was made in Python."""
    return _METHODS.get(text(lib.pg_op_symbol(lib.pg_op(value._id))), "")


def _init_with_local_grads(out: Value, data: Number, children: tuple[Value, ...], local_grads: Any) -> None:
    """Make an op whose derivatives are given with it."""
    if isinstance(local_grads, bytes) or not isinstance(local_grads, Iterable):
        raise TypeError(
            "the third argument of Value() is the symbol of an op, a str, or the local gradients, a number for each "
            f"child; not {type(local_grads).__name__!r}"
        )
    slopes = tuple(map(to_number, local_grads))
    if len(slopes) != len(children):
        raise ValueError(f"Value() needs a local gradient for each of the {len(children)} children, not {len(slopes)}")
    if not children:
        check(init_leaf(out, data, isinstance(data, int)), "Value()")
        return
    init_custom(out, data, children, "")
    set_closure(out, _LocalStep(out, children, slopes))


class _LocalStep:
    """The `_backward` of an op whose derivatives were given with it."""

    __slots__ = ("children", "local_grads", "out")

    def __init__(self, out: Value, children: tuple[Value, ...], local_grads: tuple[float, ...]) -> None:
        self.out, self.children, self.local_grads = out, children, local_grads

    def __call__(self) -> None:
        grad = self.out.grad
        for child, slope in zip(self.children, self.local_grads):
            child.grad += slope * grad


def _number_of(id: int) -> Number:
    number = _get_data(id)
    return int(number) if _is_int(_DATA, id) else number


def shares(value: Value, grad: Number, plain: bool = False) -> tuple[Number, ...]:
    """What an op's backward step adds to its operands at this grad: that of the same op of leaves with their numbers.

    Where Python cannot compute a share, that raises; or it is nan, if the leaves are plain numbers.
    """
    children = value._children
    method, constant = _method_of(value), lib.pg_operand(value._id, 1)
    if children and (hasattr(value, "_closure") or not method):
        raise AttributeError("the local gradients of an op with a _backward in Python are not known")
    leaves = [_stand_in(child, plain) for child in children]
    if leaves:
        exponent = [_number_of(constant)] if constant and len(leaves) == 1 else []
        out = getattr(Value, method)(*leaves, *exponent)
        for leaf, child in zip(leaves, children):
            leaf.data = child.data
        out.data, out.grad = value.data, grad
        backward_step(out._id)
    return tuple(leaf.grad for leaf in leaves)


def _stand_in(child: Value, plain: bool) -> Value:
    """A leaf for an operand; or a node, if that is one, as a power treats an exponent that passes gradients on."""
    leaf = Value(1.0)  # any op has a result of 1, and perhaps none of the operand's number, if edited
    lib.pg_set_flags(leaf._id, lib.PG_PLAIN if plain else 0)
    return leaf * 1 if lib.pg_flags_of(child._id) & lib.PG_INTERIOR else leaf


def _alone(value: Value) -> tuple[Any, ...]:
    """What a copy of a leaf is made of: a function, its arguments, and attributes."""
    if operands(value) or hasattr(value, "_closure"):
        raise TypeError(
            f"only a leaf can be pickled or copied, but {value._op!r} made this Value: "
            "copy Value(v.data), or the leaves it was computed from"
        )
    args = type(value), value.data, value.grad, value._op, value.label
    return _leaf_again, args, own_attributes(value) or None


def _leaf_again(cls: type[Value], data: float, grad: float, op: str, label: str) -> Value:
    """What pickle and copy call."""
    leaf = cls.__new__(cls)
    Value.__init__(leaf, data, (), op, label)
    leaf.grad = grad
    return leaf


def _element_again(run: Any, place: int, data: float, grad: float, label: str) -> Value:
    """The same for an element of an Array."""
    element: Value = value_at(run, place)
    element.data, element.grad = data, grad
    if label:
        element.label = label
    return element


define_ops(Value, value_op(Value))
_METHODS: dict[str, str] = {
    method.symbol: method.__name__
    for cls in Value.__mro__
    for method in vars(cls).values()
    if hasattr(method, "symbol")
}
own_methods.note(Value)
if fast:
    fast.set_note_number_taken(note_number_taken)
    fast.set_note_read(first_read.note)
else:
    for _name in ("_get_data", "_set_data", "_get_grad"):
        first_read.add_reader(sys.modules[__name__], _name)
