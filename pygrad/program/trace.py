"""Tracing: call a function on Values once, and record the graph that it makes."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from pygrad._cut import Line, first_read
from pygrad._lib import Ids, c_ids, c_ids_of, check, ffi, lib, traced_functions
from pygrad._numbers import is_number, is_real, refuse_masked
from pygrad.array import Array, array, make_leaves
from pygrad.engine import Value
from pygrad.index import Index, Lookups
from pygrad.program.arguments import Argument
from pygrad.program.recorded import Recorded, parameters_of
from pygrad.program.signature import bind_examples, spread
from pygrad.program.structures import IndexSegment, Segment, Shape, map_structure, parts_of

_NO_LIMIT = np.iinfo(np.int32).max  # of an index that the function does not use


class TraceWarning(UserWarning):
    """`pygrad.compile` warns of a function that reads numbers of its Values: in the Program they are constants.

    Examples
    --------
    >>> import warnings
    >>> from pygrad import compile
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     f = compile(lambda x: x if x.data > 0 else -x, 1.0)
    >>> caught[0].category.__name__, f(-2.0)
    ('TraceWarning', -2.0)
    """


# One trace at a time ----------------------------------------------------------------------------------------------

_TRACE = ffi.typeof("pg_trace *")
_WAIT = 1e-3  # seconds


def _begin(trace: Any, name: str) -> None:
    """Begin a trace in this thread, after that of another thread ends. No lock is left locked, whatever is raised."""
    while (status := lib.pg_trace_begin(trace)) == lib.PG_BUSY:
        if lib.pg_tracing():
            raise RuntimeError(
                "compile() was called by a function that is being compiled; compile the inner function first"
            )
        time.sleep(_WAIT)
    check(status, f"compile({name})")
    if len(traced_functions) % 64 == 63:
        for number in list(traced_functions):
            if not lib.pg_has_nodes_of_trace(number):
                del traced_functions[number]
    traced_functions[trace.number] = name


# Tracing ----------------------------------------------------------------------------------------------------------


def trace(fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Recorded, int, Line | None]:
    """Record a function, and count how often it read or set numbers of Values; with the line that did so first."""
    name = _name_of(fn)
    examples = bind_examples(fn, name, args, kwargs)
    shapes = [_shape_of(example) for _, example in examples]  # raises for wrong ones before anything is traced
    traced: list[_TracedArgument] = []
    outputs, lookups = _Outputs(name), Lookups()
    # It ends with this object at the latest, for a signal handler may raise an exception at the start of `finally`.
    pg_trace = ffi.gc(ffi.new(_TRACE), lib.pg_trace_end)
    try:
        _begin(pg_trace, name)
        for position, ((parameter, example), shape) in enumerate(zip(examples, shapes)):
            start = traced[-1].argument.stop if traced else 0
            traced.append(_TracedArgument(position, parameter, example, shape, start, lookups))
        arguments = tuple([x.argument for x in traced])
        positional, by_keyword = spread(arguments, [x.passed for x in traced])
        first_read.watch()
        returned = fn(*positional, **by_keyword)
        result = outputs.add_all(returned)
        lookups.ended = True
        inputs = _in_a_row([argument.end_trace(lookups) for argument in traced])
        pg_program = _record(name, inputs, outputs.ids(), lookups)
    finally:
        line = first_read.end()
        lib.pg_trace_end(pg_trace)
    # The parameters are held before the traced graph goes, since nothing else may hold them.
    return Recorded(name, arguments, result, pg_program, parameters_of(pg_program)), pg_trace.reads, line


def _name_of(fn: Callable[..., Any]) -> str:
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__


def _shape_of(example: Any) -> Shape | None:
    """The shape of an example as one argument of numbers; None for lists that are not nested lists of plain numbers."""
    parts = parts_of(example)
    if parts is not None:
        shapes: set[Shape | None] = {_shape_of(part) for _, part in parts}
        is_array = type(example) in (list, tuple) and not any(isinstance(x, (np.ndarray, Index)) for x in example)
        if len(shapes) > 1 or None in shapes or not is_array:
            return None
        return (len(example), *(shapes.pop() or ())) if shapes else (0,)
    refuse_masked(example)
    if isinstance(example, Index) or (isinstance(example, np.ndarray) and is_real(example.dtype)):
        return tuple(example.shape)
    if isinstance(example, np.ndarray) or not is_number(example):
        given = f"an array of {example.dtype}" if isinstance(example, np.ndarray) else repr(type(example).__name__)
        raise TypeError(
            "an example must be a number, a NumPy array of numbers, a pygrad.index, or a list, tuple, dict or "
            f"dataclass of these, got {given}"
        )
    return ()


class _TracedArgument:
    """An argument while the function is traced.

    Attributes
    ----------
    passed
        what the function receives: the example with a Value, Array or Index in place of each number, array or index
    argument
        what calls of the Program will accept
    """

    def __init__(
        self,
        position: int,
        parameter: inspect.Parameter,
        example: Any,
        shape: Shape | None,
        start: int,
        lookups: Lookups,
    ) -> None:
        self._start, self._size = start, 0
        self._traced: list[tuple[Segment, Any]] = []
        structure = map_structure(lambda x: self._add(x, lookups), example)
        nodes = iter(self._traced)
        self.passed = map_structure(lambda _: next(nodes)[1], structure)
        if shape is not None and not isinstance(structure, Segment):  # lists that make one array
            structure = Segment(shape, 0)
        self.argument = Argument(position, structure, start, parameter.name, parameter.kind)
        self._default = parameter.default

    def _add(self, x: Any, lookups: Lookups) -> Segment:
        """The segment of a number, an array or an index of the example, of which the nodes are made here."""
        segment = (IndexSegment if isinstance(x, Index) else Segment)(getattr(x, "shape", ()), self._size)
        self._size = segment.stop
        node: Any
        if isinstance(x, Index):
            inputs = self._start + np.arange(segment.start, segment.stop).reshape(segment.shape)
            node = Index(x._data, inputs, lookups)
        elif isinstance(x, np.ndarray):
            node = make_leaves(x.astype(np.float64))
        else:
            node = Value(x)
        self._traced.append((segment, node))
        return segment

    def end_trace(self, lookups: Lookups) -> Ids:
        """Set what is known now: the limits of indices, the default. Return the ids of the nodes: 0 for an index."""
        ids = np.zeros(self._size, dtype=np.uint32)
        for segment, node in self._traced:
            if isinstance(segment, IndexSegment):
                inputs = range(self._start + segment.start, self._start + segment.stop)
                limits = [lookups.limits.get(i, _NO_LIMIT) for i in inputs]
                segment.limits = np.array(limits).reshape(segment.shape)
            else:
                ids[segment.start : segment.stop] = _ids_of(node)
        if self._default is not inspect.Parameter.empty:
            self.argument.take_default(self._default)
        return ids


class _Outputs:
    """The Values and Arrays that a function returned, in order."""

    def __init__(self, name: str) -> None:
        self._name, self._size = name, 0
        self._nodes: list[Value | Array] = []

    def add_all(self, returned: Any) -> Any:
        """The structure of what the function returned."""
        return self._add(returned) if returned is None else map_structure(self._add, returned)

    def _add(self, x: Any) -> Segment:
        node = self._node(x)
        segment = Segment(node.shape if isinstance(node, Array) else (), self._size)
        self._nodes.append(node)
        self._size = segment.stop
        return segment

    def _node(self, x: Any) -> Value | Array:
        if isinstance(x, (Value, Array)):
            return x
        if isinstance(x, np.ndarray):
            return array(x)
        refuse_masked(x)
        if not is_number(x):
            raise TypeError(
                f"{self._name}() must return Values, Arrays, numbers, or lists, tuples, dicts or dataclasses of these, "
                f"got {type(x).__name__!r}"
            )
        return Value(x)

    def ids(self) -> Ids:
        """The ids of all nodes."""
        return _in_a_row([_ids_of(node) for node in self._nodes])


def _ids_of(node: Value | Array) -> Ids:
    return node._ids.ravel() if isinstance(node, Array) else np.array([node._id], dtype=np.uint32)


def _in_a_row(ids: list[Ids]) -> Ids:
    return np.concatenate([np.zeros(0, dtype=np.uint32), *ids])


def _record(name: str, inputs: Ids, outputs: Ids, lookups: Lookups) -> Any:
    """The pg_program of the graph from the inputs to the outputs. It reads the arena and keeps the GIL."""
    if any(lib.pg_flags_of(id) & lib.PG_PINNED for id in set(outputs.tolist())):
        raise TypeError(
            f"{name}() uses Values with a _backward in Python, which a Program cannot run: use pygrad's own ops, or "
            "give the op by pygrad.custom_vjp"
        )
    nodes, indices, tables, rows, elements = lookups.arrays()
    pointers = [c_ids(x) for x in (nodes, indices, tables, rows, elements)]
    described = ffi.new("pg_lookups *", [nodes.size, *pointers[:3], rows.size, *pointers[3:]])
    status = ffi.new("int *")
    pg_program = lib.pg_record(inputs.size, c_ids_of(inputs), outputs.size, c_ids_of(outputs), described, status)
    check(status[0], f"the result of {name}")
    return ffi.gc(pg_program, lib.pg_program_free)
