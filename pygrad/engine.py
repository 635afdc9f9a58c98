"""Value: one number of a graph that remembers how it was made, and can send gradients back through it.

The nodes live in C (csrc/), in an arena; a Value is a handle that holds one of them. What an op computes and
what its backward step does stands in csrc/ops.def, and in plain Python in `pygrad.reference`.

After micrograd by Andrej Karpathy (MIT), https://github.com/karpathy/micrograd.
"""

from __future__ import annotations

import functools
import gc
import os
import platform
import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Union

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

from pygrad._lib import OPS, check, error, fast, ffi, lib, text

Number = Union[float, int]  # or whatever else has __float__ or __index__, such as NumPy's scalars


_NONE: tuple[Any, ...] = ()
_leaf = lib.pg_leaf
_get_data, _set_data = lib.pg_data, lib.pg_set_data
_get_grad, _set_grad = lib.pg_grad, lib.pg_set_grad


def _maker(symbol: str, arity: int, with_number: str = "") -> Callable[..., int]:
    """The function of csrc/pygrad.h that makes a node of the op."""
    return getattr(lib, f"pg_make_{text(lib.pg_op_name(OPS[symbol, arity]))}{with_number}")  # type: ignore[no-any-return]


def _unary(symbol: str, doc: str) -> Callable[[Value], Value]:
    """The method of an op of one operand, a row of csrc/ops.def."""
    make = _maker(symbol, 1)

    def method(self: Value) -> Value:
        made = make(self._id)
        if made > 0:
            out = _new(Value)
            out._id = made
            return out
        return _made(made, symbol, self)

    method.__doc__ = doc
    return method


def _binary(
    symbol: str, doc: str, make_with_number: Callable[[int, Number], int] | None = None
) -> Callable[[Value, Value | Number], Value]:
    """The method of an op of two operands, a row of csrc/ops.def. A plain number becomes a leaf."""
    make = _maker(symbol, 2)
    make_with_number = make_with_number or _maker(symbol, 2, "_number")

    def method(self: Value, other: Value | Number) -> Value:
        if isinstance(other, Value):
            made = make(self._id, other._id)
        elif isinstance(other, (float, int)) or _is_number(other):
            made = make_with_number(self._id, other)
        elif symbol.isidentifier():
            raise TypeError(f"{symbol}() takes a Value or a number, not {type(other).__name__!r}")
        else:
            return NotImplemented
        if made > 0:
            out = _new(Value)
            out._id = made
            return out
        return _made(made, symbol, self, other)

    method.__doc__ = doc
    return method


def _power(base: int, exponent: Number) -> int:
    return lib.pg_make_POWER(base, exponent, isinstance(exponent, int))  # type: ignore[no-any-return]


class Value:
    """Stores a single scalar value and its gradient.

    Parameters
    ----------
    data
        The number: anything `float()` takes. It is kept as a float.
    _children
        For an op of your own, as in micrograd's lecture: the Values it was computed from. Then assign a function
        without arguments to `_backward`: it adds to the `grad` of the children.
    _op
        The symbol of that op.
    label
        A name for pictures.

    Examples
    --------
    >>> a, b = Value(2.0), Value(-3.0)
    >>> c = a * b + b**2
    >>> c.backward()
    >>> c.data, a.grad, b.grad
    (3.0, -3.0, -4.0)
    """

    # _pins: the operands' Values, where a Python _backward is among what is below them (see _made).
    # _symbol, _closure: the _op of a node made in Python, and its _backward. _keeper: see _make_findable.
    __slots__ = () if fast else ("__weakref__", "_closure", "_id", "_keeper", "_pins", "_symbol")

    # NumPy's scalars (priority -1e6) leave `np.float64(2) * v` to us; its arrays (priority 0) go element by element.
    __array_priority__ = -1.0

    _id: int
    _keeper: object
    _pins: tuple[object, ...]  # Values and Arrays
    _symbol: str
    _closure: Callable[[], object]

    def __init__(self, data: Any, _children: Iterable[Value] = _NONE, _op: str = "", label: object = "") -> None:
        children = _children if _children is _NONE else tuple(dict.fromkeys(_children))  # each once, as in a set
        if children or _op:
            _init_custom(self, _to_float(data), children, _op)
        else:
            try:
                made = _leaf(data)
            except TypeError:  # not a real number, but float() also takes text
                made = _leaf(_to_float(data))
            if made < 0:
                raise error(made, "Value()")
            self._id = made
        if label != "":
            self.label = label

    if not fast:
        # A handle that goes lets go of its node. `release` is bound here, for it must be there at interpreter exit, too.
        def __del__(self, release: Callable[[int], int] = lib.pg_release) -> None:
            try:
                if not release(self._id):
                    self._id = 0  # "no node", should this be called again
            except AttributeError:  # __init__ raised: there is no node
                pass

    @property
    def data(self) -> float:
        """The number. It may be changed; what was computed from it does not follow."""
        return _get_data(self._id)  # type: ignore[no-any-return]

    @data.setter
    def data(self, data: Any) -> None:
        try:
            _set_data(self._id, data)
        except TypeError:
            _set_data(self._id, _to_float(data))

    @property
    def grad(self) -> float:
        """The derivative of the last `backward()`'s root with respect to this; `backward()` adds to it."""
        return _get_grad(self._id)  # type: ignore[no-any-return]

    @grad.setter
    def grad(self, grad: Any) -> None:
        try:
            _set_grad(self._id, grad)
        except TypeError:
            _set_grad(self._id, _to_float(grad))

    # The primitives: everything below is made of these.

    __add__ = __radd__ = _binary("+", "Return self + other.")
    __mul__ = __rmul__ = _binary("*", "Return self * other.")
    # A number as an exponent is a part of the op (`**3`); a Value is an operand.
    __pow__ = _binary("**", "Return self ** other.", _power)
    relu = _unary("ReLU", "The number if it is not negative, else 0.")

    def backward(self) -> None:
        """Add to the grad of every Value that this one was made of: the derivative of this one by it.

        Reverse-mode differentiation: one sweep over the graph, from this node to its oldest ancestor, each node
        after all that were made of it (Rumelhart, Hinton & Williams, 1986). The time is proportional to the
        graph, and there is no limit to its depth. As in micrograd, only this Value's grad is set (to 1): set the
        others to 0 before a second pass, unless their sum is wanted.

        Raises
        ------
        ZeroDivisionError, OverflowError, ValueError
            where Python raises on the same floats, as for the gradient of `Value(0) ** 0.5`.
        RuntimeError
            when called by a `_backward` function of the pass that is under way. In other threads it waits for that
            pass to end: a `_backward` function must not wait for them.

        Examples
        --------
        >>> x = Value(3.0)
        >>> (x * x).backward()
        >>> x.grad
        6.0
        """
        _backward(self._id)

    def __neg__(self) -> Value:  # -self
        return self * -1.0

    def __sub__(self, other: Value | Number) -> Value:  # self - other
        return self + (-other if isinstance(other, Value) else -_plain(other))

    def __rsub__(self, other: Number) -> Value:  # other - self
        return other + (-self)

    def __truediv__(self, other: Value | Number) -> Value:  # self / other
        return self * (other if isinstance(other, Value) else _plain(other)) ** -1

    def __rtruediv__(self, other: Number) -> Value:  # other / self
        return other * self**-1

    def __rpow__(self, other: Number) -> Value:  # other ** self
        return Value(other) ** self

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    # More than micrograd.

    exp = _unary("exp", "e to the power of self.")
    log = _unary("log", "The natural logarithm.")
    tanh = _unary("tanh", "The hyperbolic tangent.")
    sigmoid = _unary("sigmoid", "The logistic function, 1 / (1 + exp(-self)).")
    sqrt = _unary("sqrt", "The square root.")
    sin = _unary("sin", "The sine of self, in radians.")
    cos = _unary("cos", "The cosine of self, in radians.")
    detach = _unary("detach", "The same number, through which no gradient goes: the backward pass adds 0.")
    abs = __abs__ = _unary("abs", "The absolute value; its gradient at 0 is 0.")
    maximum = _binary("maximum", "The larger of self and other, nan if either is; the gradient of equals is halved.")
    minimum = _binary("minimum", "The smaller of self and other, nan if either is; the gradient of equals is halved.")

    def __float__(self) -> float:
        return self.data

    # One node, one identity: also in the rare case of two handles to one node (see _handle).

    def __eq__(self, other: object) -> bool:
        return self._id == other._id if isinstance(other, Value) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._id)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._prev or hasattr(self, "_closure"):
            raise TypeError(
                f"only a leaf can be pickled or copied, and this Value was made by {self._op!r}: "
                "take Value(v.data), or the leaves it was made of"
            )
        return _leaf_again, (type(self), self.data, self.grad, self._op, self.label), getattr(self, "__dict__", None)

    # The graph, as micrograd shows it.

    @property
    def _prev(self) -> set[Value]:
        """The Values this one was made of: the same objects that the program holds, as long as it holds them."""
        pins = getattr(self, "_pins", ())
        near = {pin._id: pin for pin in pins if isinstance(pin, Value)}
        if hasattr(self, "_symbol"):
            return set(near.values())
        ids = [lib.pg_operand(self._id, which) for which in range(lib.pg_op_arity(lib.pg_op(self._id)))]
        return {near.get(id) or _handle(id, pins) for id in ids}

    @property
    def _op(self) -> str:
        """The op that made this node: `'+'`, `'*'`, `'**3'`, `'ReLU'`, ...; `''` for a leaf."""
        return getattr(self, "_symbol", None) or _symbol(self._id)

    @property
    def label(self) -> str:
        """A name for pictures, as text. It stays with the node, whoever holds it."""
        return _labels.get(self._id)

    @label.setter
    def label(self, label: object) -> None:
        _labels.set(self._id, str(label))

    @property
    def _backward(self) -> Callable[[], object]:
        """A function that does this node's step of the backward pass; assign another to replace it."""
        return getattr(self, "_closure", None) or functools.partial(_backward_one, self)

    @_backward.setter
    def _backward(self, closure: Callable[[], object]) -> None:
        if not callable(closure):
            raise TypeError(f"_backward must be a function without arguments, not {type(closure).__name__!r}")
        self._closure = closure
        was_pinned = lib.pg_flags_of(self._id) & lib.PG_PINNED
        lib.pg_set_flags(self._id, lib.PG_PINNED)  # from here on, results hold this Value
        _make_findable(self)  # by backward(), which then looks for it
        if not was_pinned:
            _late_closures.add_if_used(self)
        lib.pg_set_flags(self._id, lib.PG_CLOSURE | lib.PG_INTERIOR)


if fast:
    Value = fast.derive(Value, "(data, _children=(), _op='', label='')")  # type: ignore[misc]
_new = Value.__new__  # a Value without __init__, for a node that is there already

# Making and naming ------------------------------------------------------------------------------------------------


def _made(made: int, symbol: str, *operands: Any) -> Value:
    """The Value for what a maker of csrc/pygrad.h returned, or the exception."""
    if -lib.PG_FIRST_ID < made <= 0:
        raise error(made, _in_words(symbol, *operands))
    out = _new(Value)
    out._id = abs(made)
    if made < 0:
        # A Python _backward is at or below an operand. It mostly refers to its own Value, a cycle that Python's
        # collector must be able to see whole: so from here up, Values hold Values, as all of micrograd's do.
        out._pins = tuple(v for v in operands if isinstance(v, Value))
    return out


def _init_custom(self: Value, data: float, pins: tuple[Value, ...], op: str) -> None:
    """The node of an op written in Python."""
    for child in pins:
        if not isinstance(child, Value):
            raise TypeError(f"_children must be Values, not {type(child).__name__!r}")
    made = lib.pg_custom(data, [child._id for child in pins], len(pins))
    if made > -lib.PG_FIRST_ID:
        raise error(made, f"Value(..., _op={op!r})")
    self._id = -made
    self._pins = pins
    self._symbol = op


def _leaf_again(cls: type[Value], data: float, grad: float, op: str, label: str) -> Value:
    """What pickle and copy call."""
    leaf = cls.__new__(cls)
    Value.__init__(leaf, data, (), op, label)
    leaf.grad = grad
    return leaf


def _is_number(x: Any) -> TypeGuard[Number]:
    """Whether x is one real number: not an array, not text, and not another engine's Value or tensor."""
    return (hasattr(x, "__float__") or hasattr(x, "__index__")) and not (
        getattr(x, "ndim", 0) or hasattr(x, "backward") or getattr(getattr(x, "dtype", None), "kind", "f") not in "biuf"
    )


def _plain(x: Any) -> Any:
    """A number of NumPy's as Python's own: the negative of an unsigned one is positive, an integer has no inverse."""
    return x.item() if isinstance(x, (np.generic, np.ndarray)) and x.ndim == 0 else x


def _to_float(x: Any) -> float:
    try:
        return float(x)
    except TypeError:
        raise TypeError(f"a Value's data and grad are numbers, and {type(x).__name__!r} is none") from None


def _symbol(id: int) -> str:
    op = lib.pg_op(id)
    symbol, constant = text(lib.pg_op_symbol(op)), lib.pg_operand(id, 1)
    if lib.pg_op_arity(op) != 1 or not constant:
        return symbol
    y = lib.pg_data(constant)
    return f"{symbol}{int(y) if lib.pg_flags_of(constant) & lib.PG_INTEGRAL else y}"


# Errors -----------------------------------------------------------------------------------------------------------


def _in_words(symbol: str, *operands: Any) -> str:
    numbers = [str(float(x)) for x in operands]
    return f"{symbol}({', '.join(numbers)})" if symbol.isidentifier() else f" {symbol} ".join(numbers)


def _formula(id: int) -> str:
    """A node's op and the numbers it has now."""
    operands = [lib.pg_data(operand) for operand in (lib.pg_operand(id, 0), lib.pg_operand(id, 1)) if operand]
    return _in_words(text(lib.pg_op_symbol(lib.pg_op(id))), *operands)


# Handles ----------------------------------------------------------------------------------------------------------

_lock = threading.RLock()  # of the tables below

# The Values that someone had to find by id: those with a closure, and those that _prev has shown.
_handles: weakref.WeakValueDictionary[int, Value] = weakref.WeakValueDictionary()


def _hidden(x: object) -> Any:
    """x in a NumPy array without axes, into which Python's cyclic collector does not look.

    If it did, it would finalize x together with a circle of objects whose own finalizers may still use, or even save,
    what x holds nodes for.
    """
    box = np.empty((), dtype=object)
    box[()] = x
    return box


class _Keeper:
    """Has the hold of a findable Value's node, and lets go of it when no reference to the Value is left."""

    __slots__ = ("_id",)

    def __init__(self, id: int) -> None:
        self._id = id

    def __del__(self, release: Callable[[int], int] = lib.pg_release_kept) -> None:
        release(self._id)


def _make_findable(value: Value) -> None:
    """Enter a Value in the table, unless it has let go of its node.

    While one thread runs a Value's __del__, another can still find it there, and revive it. So its __del__ must not
    let go of the node; the keeper does, which goes with its slots, after the last reference, weak ones included.
    """
    if fast:
        return
    with _lock:
        if not hasattr(value, "_keeper"):
            if lib.pg_keep(value._id):
                return
            value._keeper = _hidden(_Keeper(value._id))
        _handles[value._id] = value


_GENERATIONS: list[tuple[int, ...]] = [()] if platform.python_implementation() == "PyPy" else [(0,), (1,), (2,)]


def _handle(id: int, pins: tuple[object, ...] = ()) -> Value:
    """The Value of a node: the one there is, or else a new one, which must keep the pins (see _made).

    Ops do not enter their results in the table: it would be a quarter of their cost, for the sake of a rare
    question. A node knows whether someone holds it; if so, it is looked for among all objects, the newest first.
    (Objects that gc.freeze() has hidden are not found: such a node gets a second Value, equal to the first.)
    """
    with _lock:
        value = fast.living(id) if fast else _handles.get(id)
        if value is None and not fast and lib.pg_flags_of(id) & lib.PG_HELD:
            for generation in _GENERATIONS:
                for thing in gc.get_objects(*generation):
                    if issubclass(type(thing), Value) and hasattr(thing, "_id") and thing._id not in _handles:
                        _make_findable(thing)
                if value := _handles.get(id):
                    break
        if value is None:
            check(lib.pg_hold(id), "_prev")
            value = _new(Value)
            value._id = id
            if pins and lib.pg_flags_of(id) & lib.PG_PINNED:  # else what they keep is not below this node
                value._pins = pins
            _make_findable(value)
        return value


class _Labels:
    """Labels by node id. An id is used again after its node is gone: what counts is the node's own flag."""

    def __init__(self) -> None:
        self.by_id: dict[int, str] = {}
        self.full = 64

    def get(self, id: int) -> str:
        return self.by_id.get(id, "") if lib.pg_flags_of(id) & lib.PG_LABELLED else ""

    def set(self, id: int, label: str) -> None:
        with _lock:
            lib.pg_set_flags(id, lib.PG_LABELLED)
            self.by_id[id] = label
            if len(self.by_id) > self.full:
                for old in list(self.by_id):
                    if not lib.pg_flags_of(old) & lib.PG_LABELLED:
                        del self.by_id[old]
                self.full = 64 + 2 * len(self.by_id)


class _LateClosures:
    """Values whose _backward was assigned when results had been made of them.

    Those results do not hold them (see _made), so they are held here, until a backward pass finds the results gone.
    A closure that refers to a result keeps it, and itself, for good: Python's collector cannot see that circle. So does
    one that refers to another element of an Array, and that keeps the Array because a Python _backward is below it.
    """

    def __init__(self) -> None:
        self.values: dict[int, Value] = {}

    def add_if_used(self, value: Value) -> None:
        if lib.pg_refs(value._id) > 1:
            self.values[value._id] = value

    def drop_unused(self) -> None:
        for id in reversed(list(self.values)):  # mostly results before their operands
            if lib.pg_refs(id) == 1:  # its own hold
                self.values.pop(id, None)


_labels = _Labels()
_late_closures = _LateClosures()


# The backward pass ------------------------------------------------------------------------------------------------

_SLICE = 1 << 18  # nodes a call, 1 or 2 ms: between calls other threads get the arena, and Ctrl-C is heard
_run_sweep = ffi.addressof(lib, "pg_sweep_run")  # without the GIL: see build_ffi.py


def _backward(root: int) -> None:
    """The backward pass from a node, which must stay held."""
    me = threading.get_ident()
    if _one_sweep.owner == me:
        raise RuntimeError("backward() was called by a _backward function; it must end before another begins")
    with _one_sweep.lock:
        try:
            _one_sweep.owner = me
            _sweep_from(root)
        finally:
            _one_sweep.owner = None


def _sweep_from(root: int) -> None:
    """One sweep, stopping wherever a Python closure is to be run."""
    _late_closures.drop_unused()
    sweep = ffi.new("pg_sweep *")
    check(lib.pg_sweep_begin(sweep, root), "backward()")
    while stop := _run_sweep(sweep, _SLICE):
        if stop < 0:
            raise error(stop, f"the backward step of {_formula(sweep.at)}")
        if stop > lib.PG_MORE:
            _handles[stop]._closure()


def _fail(status: int, id: int) -> None:
    raise error(status, f"the backward step of {_formula(id)}")


if fast:
    _backward = fast.backward_from
    fast.set_hooks(_late_closures.values, _late_closures.drop_unused, _fail)
    os.register_at_fork(after_in_child=fast.after_fork)


class _OneSweep:
    """The arena's right to a sweep: one at a time, and not one inside another."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner: int | None = None


_one_sweep = _OneSweep()


def _backward_one(value: Value) -> None:
    check(lib.pg_backward_one(value._id), f"the backward step of {_formula(value._id)}")


def _after_fork_in_child() -> None:
    """Forget what other threads of the parent held: they are not here to give it back."""
    global _lock, _one_sweep
    _lock = threading.RLock()
    if _one_sweep.owner != threading.get_ident():
        _one_sweep = _OneSweep()


os.register_at_fork(after_in_child=_after_fork_in_child)


# Memory -----------------------------------------------------------------------------------------------------------


class MemoryStats(NamedTuple):
    """What the arena holds; see `memory_stats`."""

    live_nodes: int
    peak_live_nodes: int
    blocks: int
    peak_blocks: int
    reserved_bytes: int
    committed_bytes: int


def memory_stats() -> MemoryStats:
    """Return what the arena holds.

    `live_nodes`, in `blocks` of 256; the most there have been of either; bytes of address space reserved; bytes of
    memory committed, of which the system has handed out what was ever touched.

    Examples
    --------
    >>> before = memory_stats().live_nodes
    >>> v = Value(1.0) + Value(2.0)
    >>> memory_stats().live_nodes - before
    3
    """
    stats = ffi.new("pg_memory *")
    lib.pg_memory_stats(stats)
    return MemoryStats(*(getattr(stats, name) for name in MemoryStats._fields))
