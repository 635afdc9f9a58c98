"""Methods for the rows of csrc/ops.def.

A class declares an op as a method that has a docstring and no body, marked `@op("tanh")`. `define_ops` then replaces
each declaration by a function with the same name, signature and docstring, which help(), tracebacks and `inspect` show.
"""

from __future__ import annotations

import functools
import sys
from types import FunctionType
from typing import Any, Callable, TypeVar

from pygrad._handles import formula, new_handle, pins
from pygrad._lib import OPS, error, fast, lib, text
from pygrad._numbers import is_number, refuse_masked, to_python

Method = TypeVar("Method", bound=Callable[..., Any])


def op(symbol: str) -> Callable[[Method], Method]:
    """Declare a method as the op with this symbol."""

    def declare(method: Method) -> Method:
        method.symbol = symbol  # type: ignore[attr-defined]
        return method

    return declare


def define_ops(cls: type[Any], body: Callable[[str, str, int], FunctionType]) -> None:
    """Give a class the functions for its declared ops: `body(name, symbol, number of operands)` makes one."""
    defined: dict[Any, FunctionType] = {}  # a method under two names stays one
    for owner in cls.__mro__:  # the class, or one from which a C type was derived
        for name, method in list(vars(owner).items()):
            if symbol := getattr(method, "symbol", None):
                if method not in defined:
                    defined[method] = _presented_as(method, body(method.__name__, symbol, method.__code__.co_argcount))
                delattr(owner, name)  # PyPy would take it for one that varies: 3 ns an op
                setattr(owner, name, defined[method])


def _presented_as(method: Any, body: FunctionType) -> FunctionType:
    """The body under the name, signature and docstring of a method.

    It also gets the method's globals, by which doctest tells to which module an example belongs; it must not use them.
    """
    names = {"co_name": method.__name__}
    if sys.version_info >= (3, 11):
        names["co_qualname"] = method.__qualname__
    code = body.__code__.replace(**names)
    function = FunctionType(code, method.__globals__, method.__name__, body.__defaults__, body.__closure__)
    functools.update_wrapper(function, method)
    return function


# The ops of Values ------------------------------------------------------------------------------------------------


def value_op(cls: type[Any]) -> Callable[[str, str, int], FunctionType]:
    """What `define_ops` needs for the class of Values; results are instances of the same class."""
    return lambda name, symbol, arity: _unary(cls, symbol) if arity == 1 else _binary(cls, symbol, name)


def _unary(cls: type[Any], symbol: str) -> Any:
    make, finish = _maker(symbol, 1), functools.partial(_finish, symbol)
    new: Callable[..., Any] = cls.__new__

    def method(self: Any) -> Any:
        made = make(self._id)
        if made > 0:
            out = new(cls)
            out._id = made
            return out
        return finish(made, self)

    return method


def _binary(cls: type[Any], symbol: str, name: str) -> Any:
    """The method of an op of two operands; a plain number becomes a leaf, or the constant of `**`."""
    make, finish = _maker(symbol, 2), functools.partial(_finish, symbol)
    new: Callable[..., Any] = cls.__new__
    make_with_number = _maker(symbol, 1) if symbol == "**" else _maker(symbol, 2, "_number")
    is_plain, as_plain, refuse = is_number, _plain, functools.partial(_refuse, symbol)
    in_c = vars(cls)[name] if fast else None
    taken_in_c = (float, int, bool)

    def method(self: Any, other: Any) -> Any:
        if isinstance(other, cls):
            made = make(self._id, other._id)
        elif isinstance(other, (float, int)) or is_plain(other):
            number = other if isinstance(other, (float, int)) else as_plain(other)
            if in_c and type(other) not in taken_in_c:  # where no exception of a signal handler can leak the node
                return in_c(self, int(number) if isinstance(number, int) else float(number))
            made = make_with_number(self._id, number, isinstance(number, int))
        else:
            return refuse(other)
        if made > 0:
            out = new(cls)
            out._id = made
            return out
        return finish(made, self, other)

    return method


def _plain(x: Any) -> float:
    """A number as cffi takes it; on PyPy not one that has only `__index__`."""
    number = to_python(x)
    return number if isinstance(number, (float, int)) else float(number)


def _maker(symbol: str, arity: int, with_number: str = "") -> Callable[..., int]:
    """The function of csrc/pygrad.h that makes a node of the op."""
    make: Callable[..., int] = getattr(lib, f"pg_make_{text(lib.pg_op_name(OPS[symbol, arity]))}{with_number}")
    return make


def _refuse(symbol: str, other: object) -> Any:
    """What a method returns or raises for an operand that it does not take."""
    refuse_masked(other)
    if not symbol.isidentifier():
        return NotImplemented
    raise TypeError(f"{symbol}() takes a Value or a number, not {type(other).__name__!r}")


def _finish(symbol: str, made: int, *operands: Any) -> Any:
    """What a maker of csrc/pygrad.h did not return as a plain id: a status to raise, or a result that needs pins."""
    if made > -lib.PG_FIRST_ID:
        raise error(made, formula(symbol, *operands))
    out = new_handle(-made)
    out._pins = pins(operands)
    return out
