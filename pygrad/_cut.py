"""Where programs take numbers of Values into a calculation, and so cut off the gradient: what warnings say of it.

`float(v)` asks for the number, and is no mistake; but `math.exp(v)` and `array[0] = v` call the same `__float__`. The
instruction at which the calling function is tells which it was.
"""

from __future__ import annotations

import dis
import math
import os
import sys
import warnings
from types import CodeType, FrameType
from typing import Any, Callable, NamedTuple

from pygrad._lib import lib

Instruction = tuple[str, tuple[str, ...]]  # its name; for a call, by what its function was found: ("math", "exp")
Place = tuple[str, tuple[str, ...], bool, CodeType]  # its instruction; whether that cuts off no gradient; where it is

_CALLS = (
    "CALL", "CALL_FUNCTION_EX", "CALL_KW", "PRECALL",
    "CALL_FUNCTION", "CALL_FUNCTION_KW", "CALL_METHOD", "CALL_METHOD_KW",  # PyPy's
)  # fmt: skip
# Functions whose result has no gradient to lose.
_WITHOUT_GRADIENT = (math.ceil, math.floor, math.isclose, math.isfinite, math.isinf, math.isnan, math.trunc)
# Methods and functions that store a number in an array.
_STORING = [(name,) for name in ["__setitem__", "append", "copyto", "fill", "insert", "itemset", "put", "setitem"]]


class GradientCutWarning(UserWarning):
    """A calculation took the number of a computed Value, so no gradient goes through it.

    It is shown once for each place, for functions of `math`, as in `math.exp(v)`, and for assignment to elements of
    an array, as in `a[0] = v` and `a.fill(v)`. `float(v)`, printing and formatting do not warn; nor do functions that
    something else calls, as in `map(math.exp, values)`. To turn it off:
    `warnings.simplefilter("ignore", pygrad.GradientCutWarning)`.

    Examples
    --------
    >>> import math, warnings
    >>> from pygrad import Value
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     y = math.sqrt(Value(2.0) * 8)
    >>> y, caught[0].category.__name__
    (4.0, 'GradientCutWarning')
    """


def note_number_taken(value: Any, id: int, depth: int = 0) -> bool:
    """Warn if the function `depth` frames above the caller has cut off the gradient of the node of a Value or Array.

    True if that function cannot do so at the instruction at which it is.
    """
    if not lib.pg_flags_of(id) & lib.PG_INTERIOR:
        return False
    frame = sys._getframe(1 + depth)
    code, offset = frame.f_code, frame.f_lasti
    known = _places.get((_address(code), offset))
    kind, path, harmless, _ = known or _look(code, offset)
    if harmless:
        return True
    if kind == "STORE_SUBSCR" or path[-1:] in _STORING:
        hint = "assigning a Value to an element of an array takes its number, and cuts off its gradient: "
        hint += "keep Values in a list, or write v.data"
    elif (function := _resolve(frame, path)) and getattr(function, "__module__", None) in ("math", "cmath"):
        if function in _WITHOUT_GRADIENT:
            return False
        name = function.__name__
        own = f"v.{name}()" if hasattr(value, name) else "an op of Values"
        hint = f"math.{name}(v) takes the number of a Value, and cuts off its gradient: write {own}, or "
        hint += f"math.{name}(v.data) if only the number is needed"
    else:
        return False
    warnings.warn(hint, GradientCutWarning, stacklevel=2 + depth)
    return False


# The instructions that have been looked at. By address, as a code object takes a microsecond to hash.
_places: dict[tuple[int, int], Place] = {}
_address = id


def _look(code: CodeType, offset: int) -> Place:
    if len(_places) >= 1024:
        _places.clear()
    kind, path = _instruction(code, offset)
    harmless = kind != "STORE_SUBSCR" and path in ((), ("float",))
    place = _places[_address(code), offset] = kind, path, harmless, code
    return place


def _instruction(code: CodeType, offset: int) -> Instruction:
    """The instruction at a place in a function."""
    instructions = list(dis.get_instructions(code))
    at = next((i for i, instruction in enumerate(instructions) if instruction.offset == offset), None)
    if at is None or instructions[at].opname not in _CALLS:
        return "" if at is None else instructions[at].opname, ()
    start = _start_of(instructions[at])
    path: list[str] = []
    for i, instruction in enumerate(instructions[:at]):  # a call starts where the expression does that is called
        if start and _start_of(instruction) == start and isinstance(instruction.argval, str):
            if not _is_attribute(instruction):
                path = []
            elif not path:  # PyPy's call of a method starts at its name
                path = _loaded_before(instructions, i)
            path.append(instruction.argval)
    return "CALL", tuple(path)


def _is_attribute(instruction: dis.Instruction) -> bool:
    return instruction.opname.startswith(("LOAD_ATTR", "LOAD_METHOD"))


def _loaded_before(instructions: list[dis.Instruction], i: int) -> list[str]:
    """By what the object was found that the instructions before number i load; ["", ...] if not by a name."""
    name = instructions[i - 1].argval
    if _is_attribute(instructions[i - 1]):
        return [*_loaded_before(instructions, i - 1), name]
    return [name if isinstance(name, str) else ""]


def is_operator(frame: FrameType) -> bool:
    """Whether the instruction at which a function is is an operator such as `+=`, and no call."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith(("BINARY", "INPLACE"))


def _start_of(instruction: Any) -> Any:
    positions = getattr(instruction, "positions", None)
    return positions and (positions.lineno, positions.col_offset)


def _resolve(frame: FrameType, path: tuple[str, ...]) -> Any:
    name, *attributes = path
    scopes = (frame.f_locals, frame.f_globals, frame.f_builtins)
    found = next((scope[name] for scope in scopes if name in scope), None)
    for attribute in attributes:
        found = getattr(found, attribute, None)
    return found


# What a trace reads ------------------------------------------------------------------------------------------------

_PACKAGE = os.path.dirname(__file__) + os.sep


class Line(NamedTuple):
    """A line of a program, as `warnings.warn_explicit` takes it."""

    filename: str
    lineno: int
    module: str
    registry: dict[Any, Any]


class _FirstRead:
    """The line outside the package that reads or sets a number first, while a function is traced."""

    def __init__(self) -> None:
        self.line: Line | None = None
        self.readers: list[tuple[Any, str, Callable[..., Any], Callable[..., Any]]] = []

    def add_reader(self, owner: Any, name: str, noting: Callable[..., Any] | None = None) -> None:
        """Replace a function that reads by one that calls note() before, while a function is traced."""
        read = getattr(owner, name)

        def note_and_read(*args: Any) -> Any:
            self.note()
            return read(*args)

        self.readers.append((owner, name, read, noting or note_and_read))

    def watch(self) -> None:
        for owner, name, _, noting in self.readers:
            setattr(owner, name, noting)

    def end(self) -> Line | None:
        """Watch no longer; return the line."""
        for owner, name, read, _ in self.readers:
            setattr(owner, name, read)
        line, self.line = self.line, None
        return line

    def note(self) -> None:
        """Note the line from which this was called, if this thread is tracing."""
        if self.line or not lib.pg_tracing():
            return
        frame: FrameType | None = sys._getframe(1)
        while frame and frame.f_code.co_filename.startswith(_PACKAGE):
            frame = frame.f_back
        if frame:
            names = frame.f_globals
            registry = names.setdefault("__warningregistry__", {})
            module = names.get("__name__") or "<string>"  # a warning of the module None would not be shown
            self.line = Line(frame.f_code.co_filename, frame.f_lineno, module, registry)


first_read = _FirstRead()
