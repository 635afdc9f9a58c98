"""What a backward pass does at each node of a graph: its local derivatives, and what it adds to its operands."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from pygrad._handles import symbol_of
from pygrad._lib import lib
from pygrad._numbers import Number, to_number
from pygrad.engine import Value, shares

_MOST = 2**53  # a sum of ints from here on is a float


class Step(NamedTuple):
    """The step of one node, with an entry for each of its operands. A local derivative may be unknown: None.

    Attributes
    ----------
    slopes
        the derivatives of the node's number by those of its operands
    products
        the slopes times the node's grad, which the step adds to the grads of the operands
    """

    slopes: Sequence[Number | None]
    products: Sequence[Number]


def operands_of(value: Value) -> tuple[Value, ...]:
    """What a node passes its gradient to, in order: to the elements of a row, if it is the row's `max()` or `min()`."""
    elements: list[Value] = []
    while lib.pg_flags_of(value._id) & lib.PG_AFTER_LINK:
        value, element = value._children
        elements.append(element)
    children: tuple[Value, ...] = value._children
    if hasattr(value, "_closure") and not hasattr(value._closure, "local_grads"):
        children = tuple(dict.fromkeys(children))  # a function in Python adds to a grad, not to an edge
    return (*children, *reversed(elements))


def backward_pass(
    values: Sequence[Value], operands: Sequence[Sequence[int]], roots: Collection[int]
) -> list[Step | None]:
    """The steps of the backward pass from some of the nodes; None for those that it does not come to.

    The nodes are from the oldest to the youngest. Their grads stay what they are. Functions that were assigned to
    `_backward` are called.
    """
    kept = [value.grad for value in values]
    try:
        return _steps(values, operands, roots)
    finally:
        for value, grad in zip(values, kept):
            value.grad = grad


def _steps(values: Sequence[Value], operands: Sequence[Sequence[int]], roots: Collection[int]) -> list[Step | None]:
    reached = set(roots)
    grads: list[Number] = [1 if at in reached else 0 for at in range(len(values))]
    steps: list[Step | None] = [None] * len(values)
    for at in reversed(range(len(values))):
        if at in reached and operands[at]:
            step = steps[at] = _step(values[at], [values[operand] for operand in operands[at]], grads[at])
            for operand, product in zip(operands[at], step.products):
                grads[operand] = _sum(grads[operand], product)
            reached.update(() if _detaches(values[at]) else operands[at])
    return steps


def _detaches(value: Value) -> bool:
    return symbol_of(value._id) == "detach" and not hasattr(value, "_closure")


def _step(value: Value, operands: Sequence[Value], grad: Number) -> Step:
    if lib.pg_flags_of(value._id) & lib.PG_AFTER_LINK:
        return _step_of_row(value, operands, grad)
    closure = getattr(value, "_closure", None)
    slopes = getattr(closure, "local_grads", None)
    if slopes is not None:
        return Step(slopes, [to_number(slope * grad) for slope in slopes])
    if hasattr(value, "_closure"):
        return _step_of_function(value, operands, grad, closure)
    if not lib.pg_op_arity(lib.pg_op(value._id)):  # made in Python, without a step
        return Step([0] * len(operands), [0] * len(operands))
    return Step(shares(value, 1, plain=True), shares(value, grad, plain=True))


def _step_of_row(value: Value, elements: Sequence[Value], grad: Number) -> Step:
    """That of an Array's `max()` or `min()`: the elements that equal it get equal shares."""
    ties = [element.data == value.data for element in elements]
    slopes = [1 / sum(ties) if tie else 0.0 for tie in ties]
    return Step(slopes, [slope * grad if slope and grad else 0.0 for slope in slopes])


def _step_of_function(value: Value, operands: Sequence[Value], grad: Number, function: Any) -> Step:
    """That of a function in Python: what it adds is known once it has been called."""
    value.grad = grad
    for operand in operands:
        operand.grad = 0
    try:
        function()
    except Exception:  # a pass would end here; the picture shows where
        return Step([None] * len(operands), [math.nan] * len(operands))
    products = [operand.grad for operand in operands]
    return Step([product / grad if grad else None for product in products], products)


def _sum(x: Number, y: Number) -> Number:
    total = x + y
    return total if isinstance(total, float) or abs(total) < _MOST else float(total)
