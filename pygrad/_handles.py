"""Handles: which Value stands for a node, and what Python keeps for one: labels, closures, operands.

A node lives in C while something holds it; a Value is a handle that holds one node, an Array holds many. The modules of
this package share the attributes of both that begin with an underscore (`value._id`, `array._ids`, `_pins`).

This module does not import the class of Values: engine registers it here.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterable, MutableMapping
from typing import Any, Callable, TypeVar

import numpy as np

from pygrad import _pressure
from pygrad._lib import check, error, fast, ffi, lib, pypy, text
from pygrad._locks import Lock
from pygrad._numbers import Number

_handle_type: type[Any]  # engine.Value
_new: Callable[[type[Any]], Any] = object.__new__  # makes a handle without calling __init__

_lock = Lock()  # guards the tables below


class Handle:
    """What Value derives from: it has the attributes of a handle, and releases its node.

    Where there is a C type of Value (csrc/python/), the type does both, and this class is empty.

    `_closure` and `_symbol` are the `_backward` and the `_op` that were assigned; `_shown` is the set that `_prev` has
    returned, so that what it contains lives as long as the handle. For `_pins` see below, for `_keeper` see
    `_make_findable`.
    """

    __slots__ = () if fast else ("__dict__", "__weakref__", "_closure", "_id", "_keeper", "_pins", "_shown", "_symbol")

    _id: int
    _keeper: Any
    _pins: tuple[object, ...]  # Values and Arrays
    _shown: set[Any]
    _symbol: str
    _closure: Callable[[], object] | None

    if not (fast or pypy):
        # `release` is a default argument because globals may be gone at interpreter exit.
        def __del__(self, release: Callable[[int], int] = lib.pg_release) -> None:
            try:
                if not release(self._id):
                    self._id = 0  # "no node", in case this is called again
            except AttributeError:  # __init__ raised: there is no node
                pass


Class = TypeVar("Class", bound=type[Handle])


def register(cls: Class) -> Class:
    """Return the class whose instances handles are from now on: this one, or the C type derived from it."""
    global _handle_type
    _handle_type = fast.derive(cls, "(data, _children=(), _op='', label='')") if fast else cls
    return _handle_type


def new_handle(id: int) -> Any:
    """Return a Value for a node, which takes over one hold on it from the caller."""
    if fast:
        return fast.new_handle(id)
    value = _new(_handle_type)
    value._id = id
    return value


def new_handles(ids: Any) -> list[Any]:
    """Return Values for the nodes in an array of C; each takes over one hold from the caller."""
    values: list[Any] = fast.new_handles(ffi.buffer(ids)) if fast else [new_handle(id) for id in ids]
    if _pressure.report:
        _pressure.report()
    return values


# Attributes that programs add ---------------------------------------------------------------------------------------


def own_attributes(value: Any) -> dict[str, Any]:
    """The attributes that were added to a Value, or to an instance of a subclass; perhaps not the dict itself."""
    if not fast:
        dict_of: dict[str, Any] = vars(Handle)["__dict__"].__get__(value)
        return dict_of
    return getattr(value, "_attributes", None) or _dict_of_subclass(value)


def _dict_of_subclass(value: Any) -> dict[str, Any]:
    for cls in type(value).__mro__:
        if cls is _handle_type:
            break
        if "__dict__" in vars(cls):
            dict_of: dict[str, Any] = vars(cls)["__dict__"].__get__(value)
            return dict_of
    return {}


class Attributes(dict[str, Any]):
    """What `vars(v)` returns: the attributes of micrograd's Values as they are now, and those that were added.

    What is assigned to an item is assigned to the attribute.
    """

    def __init__(self, value: Any, names: Iterable[str]) -> None:
        super().__init__({name: getattr(value, name) for name in names}, **own_attributes(value))
        self._value = value

    def __setitem__(self, name: str, to: Any) -> None:
        setattr(self._value, name, to)
        super().__setitem__(name, to)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        delattr(self._value, name)
        super().__delitem__(name)

    # dict's own methods would change the copy alone.
    clear, pop, popitem = MutableMapping.clear, MutableMapping.pop, MutableMapping.popitem
    setdefault, update = MutableMapping.setdefault, MutableMapping.update

    def __ior__(self, other: Any) -> Attributes:  # type: ignore[override,misc]
        self.update(other)
        return self


@_lock.guards
def _declare_attribute(name: str) -> bool:
    """Give the C type a descriptor for an attribute that it has no place for; False if it must not have one."""
    found = [vars(cls)[name] for cls in _handle_type.__mro__ if name in vars(cls)][:1]
    if any(isinstance(attribute, _ATTRIBUTE) for attribute in found):  # another thread was first
        return True
    special = name.startswith("__") and name.endswith("__")
    if special or any(hasattr(type(attribute), "__set__") for attribute in found):
        return False
    setattr(_handle_type, name, fast.attribute(sys.intern(name), *found))
    return True


if fast:
    _ATTRIBUTE = type(fast.attribute(""))
    fast.set_declare_attribute(_declare_attribute)


def _init_leaf(value: Any, data: Number, integral: bool) -> int:
    made = lib.pg_leaf(data, integral)
    if made > 0:
        _give(value, made)
    return made


def _give(value: Any, id: int) -> None:
    """Give a node to a handle; __init__ may run twice, and the handle has one already."""
    had, kept = getattr(value, "_id", 0), hasattr(value, "_keeper")
    value._id = id
    if kept:
        _findable.pop(had, None)
        if not pypy:
            del value._keeper
        _make_findable(value)
    elif had:
        lib.pg_release(had)


# Make a leaf, and give it to a new handle. Returns a status below 0 if it fails. In C no exception of a signal handler
# can come in between.
init_leaf: Callable[[Any, Number, bool], int] = fast.init_leaf if fast else _init_leaf


# Nodes with a Python function as their backward step ---------------------------------------------------------------
#
# Such a function (a closure) mostly refers to its own Value. That is a reference cycle, which Python's collector can
# free only if it sees all of it. So wherever a closure is at or below a node (PG_PINNED), handles keep their operands'
# handles alive in `_pins`, as all of micrograd's Values do. Other handles need no pins: the arena holds the nodes.


def init_custom(value: Any, data: Number, children: tuple[Any, ...], op: str) -> None:
    """Make the node of an op written in Python, and give it to a handle, which may have another."""
    children = _distinct("_children", children)
    made = _init_custom(value, data, isinstance(data, int), [child._id for child in children], children, op)
    if made > -lib.PG_FIRST_ID:
        raise error(made, f"Value(..., _op={op!r})")


def _distinct(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    """Each of the Values once; TypeError for anything else."""
    values = tuple(values)
    for value in values:
        if not isinstance(value, _handle_type):
            raise TypeError(f"{name} must be Values, not {type(value).__name__!r}")
    return tuple(dict.fromkeys(values))


def _init_custom_in_python(
    value: Any, data: Number, integral: bool, ids: list[int], children: tuple[Any, ...], op: str
) -> int:
    made = lib.pg_custom(data, integral, ids, len(ids))
    if made <= -lib.PG_FIRST_ID:
        _give(value, -made)
        value._pins = children
        value._symbol = op
    return made


_init_custom = fast.init_custom if fast else _init_custom_in_python


def pins(operands: Iterable[Any]) -> tuple[Any, ...]:
    """Those operands of an op that are handles."""
    return tuple(x for x in operands if isinstance(x, _handle_type))


def set_closure(value: Any, closure: Callable[[], object] | None) -> None:
    """Let a backward pass call a Python function at this Value's node; None fails there, as in micrograd."""
    if closure is not None and not callable(closure):
        raise TypeError(f"_backward must be a function without arguments, not {type(closure).__name__!r}")
    value._closure = closure
    was_pinned = lib.pg_flags_of(value._id) & lib.PG_PINNED
    lib.pg_set_flags(value._id, lib.PG_PINNED)  # from here on, results keep this Value
    _make_findable(value)  # the backward pass looks for it
    if not was_pinned:
        late_closures.add_if_used(value)
    lib.pg_set_flags(value._id, lib.PG_CLOSURE | lib.PG_INTERIOR)


def set_operands(value: Any, assigned: Iterable[Any] | None, step: Callable[[int], None]) -> None:
    """Let backward passes go from a Value to these Values, in place of its operands.

    Its own step stays what it was: it still adds to the grads of the operands that it was computed from. `step` does
    that of a node of the op table.
    """
    new, old = _distinct("_prev", assigned or ()), operands(value)
    if set(new) != set(old):
        if lib.pg_flags_of(value._id) & lib.PG_LINK or (new and lib.pg_refs(value._id) > 1):
            raise ValueError(
                "_prev of a Value from which others were computed can only be cut off, by an empty set: "
                "assign other Values before you use it"
                if new
                else "_prev of a part of an Array's max() or min() cannot be assigned: take that of the result"
            )
        if old:
            _cut(value, step)
        if new:
            _replace_by_custom(value, new)
    value._shown = assigned


def _cut(value: Any, step: Callable[[int], None]) -> None:
    """Let backward passes end at a Value."""
    value._symbol = value._op
    moved = new_handle(check(lib.pg_cut(value._id), "_prev"))
    moved._pins = getattr(value, "_pins", ())
    value._pins = ()
    if not hasattr(value, "_closure") and lib.pg_op_arity(lib.pg_op(moved._id)):

        def _backward() -> None:
            moved.grad = value.grad
            step(moved._id)

        set_closure(value, _backward)


def _replace_by_custom(value: Any, children: tuple[Any, ...]) -> None:
    """Give a Value, whose node nothing else holds, that of an op written in Python."""
    late_closures.values.pop(value._id, None)
    grad, label = value.grad, labels.get(value._id)
    init_custom(value, value.data, children, value._op)
    value.grad = grad
    if label:
        labels.set(value._id, label)
    if hasattr(value, "_closure"):
        set_closure(value, value._closure)


class _LateClosures:
    """Values whose _backward was assigned after results had been computed from them.

    Those results do not pin them, so they are kept here until a backward pass finds the results gone. A closure that
    refers to a result keeps it, and itself, for good: Python's collector cannot see that cycle. The same holds for a
    closure that refers to another element of an Array which keeps the Array.
    """

    def __init__(self) -> None:
        self.values: dict[int, Any] = {}

    def add_if_used(self, value: Any) -> None:
        if lib.pg_refs(value._id) > 1:
            self.values[value._id] = value

    def drop_unused(self) -> None:
        for id in reversed(list(self.values)):  # mostly results before their operands
            if lib.pg_refs(id) == 1:  # its own hold
                self.values.pop(id, None)


late_closures = _LateClosures()


# Finding the Value of a node --------------------------------------------------------------------------------------

# The Values that something had to find by id: those with a closure, and those that _prev has returned.
_findable: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def hidden(x: object) -> Any:
    """x in a NumPy array without axes, whose contents Python's cyclic collector does not visit.

    If it did, it would finalize x together with a cycle of objects whose own finalizers may still use, or even
    resurrect, what x holds nodes for. PyPy's collector finalizes x after those objects.
    """
    if pypy:
        return x
    box = np.empty((), dtype=object)
    box[()] = x
    return box


class _Keeper:
    """Owns the hold of a findable Value, and releases it after the last reference to the Value."""

    __slots__ = ("_id",)

    def __init__(self, id: int) -> None:
        self._id = id

    def __del__(self, release: Callable[[int], int] = lib.pg_release_kept) -> None:
        release(self._id)


if pypy:
    # Its collector finalizes an object first, and what that refers to in a later collection: one Value each time, of a
    # chain of them with a __del__. So keepers, which refer to nothing, own the holds of all Values.

    def _id_of(value: Handle) -> int:
        id: int = value._keeper._id
        return id

    def _set_id(value: Handle, id: int) -> None:
        value._keeper = _Keeper(id)

    Handle._id = property(_id_of, _set_id)  # type: ignore[assignment]


def _make_findable(value: Any) -> None:
    """Enter a Value in the table, unless it has released its node.

    While one thread runs a Value's __del__, another can still find it in the table, and resurrect it. So its __del__
    must not release the node; the keeper does. It goes with the Value's slots, after the last reference, weak ones
    included. (The C type enters each Value in a table of its own, and releases the node after all that.)
    """
    if not fast:
        _enter(value)


@_lock.guards
def _enter(value: Any) -> None:
    if not hasattr(value, "_keeper"):
        if lib.pg_keep(value._id):
            return
        value._keeper = hidden(_Keeper(value._id))
    _findable[value._id] = value


_GENERATIONS: list[tuple[int, ...]] = [()] if pypy else [(0,), (1,), (2,)]


def value_of(id: int, pins: tuple[object, ...] = ()) -> Any:
    """The Value of a node: the existing one, or else a new one, which keeps the pins if a closure is below it.

    The C type finds the existing one in a table that it keeps. Ops in Python do not enter their results in one: that
    would be a quarter of their cost, and the question is rare. There a node knows whether a handle holds it; if so, the
    handle is searched for among all objects, the newest first. (Objects that gc.freeze() has hidden are not found: such
    a node gets a second Value, equal to the first.)
    """
    return fast.value_for(id, pins) if fast else _found_or_made(id, pins)


@_lock.guards
def _found_or_made(id: int, pins: tuple[object, ...]) -> Any:
    value = _findable.get(id)
    if value is None and lib.pg_flags_of(id) & lib.PG_HELD:
        value = _search(id)
    if value is None:
        check(lib.pg_hold(id), "_prev")
        value = new_handle(id)
        if pins and lib.pg_flags_of(id) & lib.PG_PINNED:
            value._pins = pins
        _make_findable(value)
    return value


def _search(id: int) -> Any:
    for generation in _GENERATIONS:
        for thing in gc.get_objects(*generation):
            if issubclass(type(thing), _handle_type) and hasattr(thing, "_id") and thing._id not in _findable:
                _make_findable(thing)
        value = _findable.get(id)
        if value is not None:  # whatever the truth of a Value is
            return value
    if pypy:
        gc.collect()  # the handle is garbage; so are many, perhaps, each of which would be searched for
    return None


def closure_of(id: int) -> Any:
    """The `_backward` of a node that has one in Python."""
    closure: Any = _findable[id]._closure
    return closure


def operands(value: Any) -> tuple[Any, ...]:
    """The Values that a Value was computed from: the same objects as elsewhere in the program, while these exist."""
    pins = getattr(value, "_pins", ())
    arity = lib.pg_op_arity(lib.pg_op(value._id))
    ids = [lib.pg_operand(value._id, which) for which in range(arity)]
    if not pins:
        return tuple(map(value_of, ids))
    near = {pin._id: pin for pin in pins if isinstance(pin, _handle_type)}
    if not arity:  # made in Python
        return tuple(near.values())
    return tuple(near.get(id) or value_of(id, pins) for id in ids)


# What a node is called --------------------------------------------------------------------------------------------


class _Labels:
    """Labels by node id. An id may be reused after its node is freed: the node's PG_LABELLED flag decides."""

    def __init__(self) -> None:
        self.by_id: dict[int, str] = {}
        self.full = 64

    def get(self, id: int) -> str:
        label = self.by_id.get(id, "")  # mostly there is none, which is known without C
        return label if label and lib.pg_flags_of(id) & lib.PG_LABELLED else ""

    @_lock.guards
    def set(self, id: int, label: str) -> None:
        lib.pg_set_flags(id, lib.PG_LABELLED)
        self.by_id[id] = label
        if len(self.by_id) > self.full:
            for old in list(self.by_id):
                if not lib.pg_flags_of(old) & lib.PG_LABELLED:
                    del self.by_id[old]
            self.full = 64 + 2 * len(self.by_id)


labels = _Labels()


def symbol_of(id: int) -> str:
    """The op that made a node, as micrograd writes it: '+', '**3', 'ReLU'; '' for a leaf."""
    op = lib.pg_op(id)
    symbol, constant = text(lib.pg_op_symbol(op)), lib.pg_operand(id, 1)
    if lib.pg_op_arity(op) != 1 or not constant:
        return symbol
    y = lib.pg_data(constant)
    return f"{symbol}{y if lib.pg_flags_of(constant) & lib.PG_FLOAT else int(y)}"


def formula(symbol: str, *operands: Any) -> str:
    """An op and its numbers, for messages: "exp(1000.0)", "2.0 / 0.0"."""
    numbers = [str(float(x)) for x in operands]
    return f"{symbol}({', '.join(numbers)})" if symbol.isidentifier() else f" {symbol} ".join(numbers)


def formula_of(id: int) -> str:
    """The op that made a node, and the numbers its operands have now."""
    numbers = [lib.pg_data(operand) for operand in (lib.pg_operand(id, 0), lib.pg_operand(id, 1)) if operand]
    return formula(text(lib.pg_op_symbol(lib.pg_op(id))), *numbers)
