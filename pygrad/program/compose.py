"""A Program called on Values: it makes the nodes that its function would make, in the same order, so the same bits.

So it is part of a larger graph: of an eager one, with backward(), or of a function that is being compiled.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np

from pygrad._lib import lib, text
from pygrad.array import Array, array
from pygrad.engine import Value
from pygrad.index import Index, index
from pygrad.program import graph
from pygrad.program.arguments import Leaf
from pygrad.program.custom import connected, replayed
from pygrad.program.recorded import Recorded
from pygrad.program.signature import spread
from pygrad.program.structures import IndexSegment, Segment, map_structure, parts_of

_PLAIN = {float, int}
_OPERATORS = {"+": operator.add, "*": operator.mul, "**": operator.pow, "ReLU": Value.relu}


def _function(op: int) -> Callable[..., Value]:
    symbol = text(lib.pg_op_symbol(op))
    found: Any = _OPERATORS.get(symbol) or getattr(Value, symbol)
    return found  # type: ignore[no-any-return]


# Of an op of two nodes, or of a number and its constant: a function of these.
_FUNCTIONS = {name: _function(op) for op, name in graph.OP_NAMES.items() if lib.pg_op_arity(op)}
_OF_BACKWARD = {"PRIMAL", "COTANGENT", "PULLBACK"}
_UNARY = {name for op, name in graph.OP_NAMES.items() if lib.pg_op_arity(op) == 1 and name != "POWER"}


def is_composed(recorded: Recorded, args: Sequence[Any]) -> bool:
    """Whether a call makes nodes: of Values, and of parameters in a function that is being compiled."""
    return (bool(recorded.parameters.size) and lib.pg_tracing()) or any(map(_has_nodes, args))


def _has_nodes(x: Any) -> bool:
    if isinstance(x, (Value, Array)) or (isinstance(x, Index) and x.is_traced):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype == object and any(map(_has_nodes, x.flat))
    if isinstance(x, (list, tuple)):  # long ones of plain numbers are common
        return not _PLAIN.issuperset(map(type, x)) and any(map(_has_nodes, x))
    return any(_has_nodes(part) for _, part in parts_of(x) or ())


def call(program: Any, args: Sequence[Any]) -> Any:
    """Values and Arrays in the structure of the result."""
    recorded: Recorded = program._recorded
    return _replayed(recorded, args) if lib.pg_tracing() or not recorded.has_pullbacks else _as_one_op(program, args)


def _as_one_op(program: Any, args: Sequence[Any]) -> Any:
    """The same of a Program with pullbacks, which only traces have as nodes."""
    recorded: Recorded = program._recorded
    numbers = [map_structure(_plain, arg) for arg in args]
    positional, named = spread(recorded.arguments, numbers)
    result = program(*positional, **named)
    return connected(recorded.name, args, result, lambda g: program.vjp(numbers, map_structure(_plain, g))[1])


def _plain(x: Any) -> Any:
    return x.data if isinstance(x, (Value, Array)) else array(x).data if _has_nodes(x) else x


def _replayed(recorded: Recorded, args: Sequence[Any]) -> Any:
    nodes = [_nodes(leaf, part) for leaf, part in recorded.parts(args)]
    batched, batch = recorded.batch_of([x.shape for x in nodes])
    replay = _Replay(recorded)
    samples = [
        replay([value for x, is_batch in zip(nodes, batched) for value in _row(x[k] if is_batch else x)])
        for k in range(1 if batch is None else batch)
    ]

    def of(segment: Segment) -> Any:
        if batch is None and not segment.shape:
            return samples[0][segment.start]
        values = [sample[segment.start : segment.stop] for sample in samples]
        return _array(values, segment.shape if batch is None else (batch, *segment.shape))

    return map_structure(of, recorded.result)


def _nodes(leaf: Leaf, x: Any) -> Array | Index:
    """What is passed for a leaf."""
    nodes: Array | Index
    if not isinstance(leaf.segment, IndexSegment):
        nodes = array(x)
    elif isinstance(x, Index) and x.is_traced:
        nodes = x
    else:
        nodes = index(leaf.numbers(x).astype(np.intp))
    leaf.require_shape(nodes.shape)
    return nodes


def _row(x: Any) -> list[Any]:
    """The Values or Indices in order."""
    return [x] if isinstance(x, Value) else list(x.ravel())


def _array(values: list[list[Value]], shape: tuple[int, ...]) -> Array:
    row = [value for of_sample in values for value in of_sample]
    elements = np.empty(len(row), dtype=object)
    elements[:] = row
    return array(elements.reshape(shape)) if row else array(np.zeros(shape))


class _Replay:
    """Makes the nodes of a recorded graph."""

    def __init__(self, recorded: Recorded) -> None:
        arrays = graph.arrays_of(recorded.pg_program)
        names = [graph.OP_NAMES[op] for op in arrays["ops"].tolist()]
        self._instructions = list(zip(names, arrays["a"].tolist(), arrays["b"].tolist()))
        constants = [k for k, name in enumerate(names) if name == "CONSTANT"]
        self._numbers = dict(zip(constants, arrays["constants"].tolist()))
        self._outputs = arrays["outputs"].tolist()
        self._tables = [part.tolist() for part in np.split(arrays["elements"], np.cumsum(arrays["rows"])[:-1])]
        self._parameters = list(recorded.parameters)

    def __call__(self, inputs: list[Any]) -> list[Value]:
        """The results for one sample, of the Values and Indices of its arguments."""
        made: list[Any] = []
        tables: dict[int, Array] = {}

        def elements(table: int) -> Array:
            if table not in tables:
                values = [made[k] for k in self._tables[table]]
                tables[table] = _array([values], (len(values),))
            return tables[table]

        for k, (name, a, b) in enumerate(self._instructions):
            if name == "INPUT":
                made.append(inputs[a])
            elif name == "PARAMETER":
                made.append(self._parameters[a])
            elif name == "CONSTANT":
                made.append(Value(self._numbers[k]))
            elif name == "LOOKUP":
                made.append(elements(b)[made[a]])
            elif name == "ROW":
                row = elements(b)[::-1]  # the last one comes first in the table
                made.append(row.max() if self._instructions[a][0] == "MAXIMUM" else row.min())
            elif name == "POWER":
                made.append(made[a] ** self._numbers[b])
            elif name in _OF_BACKWARD:
                made.append(replayed(name.lower(), *(made[k] for k in (a, b) if k < len(made))))
            elif name in _UNARY:
                made.append(_FUNCTIONS[name](made[a]))
            else:
                made.append(_FUNCTIONS[name](made[a], made[b]))
        return [made[k] for k in self._outputs]
