"""Folds a graph by the modules of a model: which nodes a module makes, and the graph of what is left to draw."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pygrad.array import Array
from pygrad.engine import Value
from pygrad.nn import Module
from pygrad.viz.layout import uses_of


class Parameter(NamedTuple):
    """A parameter's name, such as `layers.0.w.1`, and the modules that it is in, such as `layers` and `layers.0`."""

    name: str
    modules: tuple[str, ...]


class Box(NamedTuple):
    """What a folded graph has in place of nodes: a module with its nodes, or a node alone, which has no module."""

    module: str
    members: list[int]


def parameters_of(model: Module) -> dict[int, Parameter]:
    """The parameters of a model by the id of their node, those that are frozen included."""
    if not isinstance(model, Module):
        raise TypeError(f"model must be a Module, not {type(model).__name__!r}: pass what has the parameters")
    found: dict[int, Parameter] = {}
    for name, leaves in model._named_leaves().items():
        modules = _modules_of(name)
        for place, id in _places(leaves):
            found.setdefault(id, Parameter(name + place, modules))
    return found


def _places(leaves: Value | Array | list[Value]) -> Iterable[tuple[str, int]]:
    if isinstance(leaves, Value):
        yield "", leaves._id
    elif isinstance(leaves, list):
        yield from ((f".{place}", leaf._id) for place, leaf in enumerate(leaves))
    else:
        for place, id in np.ndenumerate(leaves._ids):
            yield f"[{', '.join(map(str, place))}]" if place else "", int(id)


def _modules_of(name: str) -> tuple[str, ...]:
    """The modules that a parameter is in: `layers.0` and `layers.0.neurons.1` for `layers.0.neurons.1.b`."""
    parts = name.split(".")[:-1]
    ends = [end for end in range(1, len(parts) + 1) if not parts[end : end + 1] or not parts[end].isdigit()]
    return tuple(".".join(parts[:end]) for end in ends)


def makers(
    operands: Sequence[Sequence[int]], owners: Sequence[tuple[str, ...]], zeros: Container[int]
) -> list[tuple[str, ...]]:
    """The modules that made each node, given those that own it, if it is a parameter. `zeros` are leaves that are 0.

    The graph does not say; the code of most models is such that the result of an op with a parameter belongs to the
    parameter's modules, and so does what is computed from such results alone.
    """
    made = list(owners)
    for node, its in enumerate(operands):
        used = {made[operand] for operand in its if owners[operand]}
        used = used or {made[operand] for operand in its if operand not in zeros}
        if len(used) == 1:
            (made[node],) = used
    return made


def folded(operands: Sequence[Sequence[int]], modules: Sequence[str]) -> list[Box]:
    """The boxes of a graph in topological order, given the module of each node, which is "" outside of all.

    What is between nodes of a module is in its box, and so is a leaf that is used once, and there. Where modules would
    be operands of each other, the one that spans most of the graph stays unfolded.
    """
    modules = _with_leaves(operands, _with_nodes_between(operands, modules))
    while True:
        boxes = _boxes(modules)
        its = box_operands(operands, boxes)
        order = topological(its, [box.members[-1] for box in boxes])
        if len(order) == len(boxes):
            return [boxes[at] for at in order]
        free = {*order, *topological(uses_of(its), range(len(boxes)))}
        cyclic = [box for at, box in enumerate(boxes) if at not in free and box.module]
        widest = max(cyclic, key=lambda box: box.members[-1] - box.members[0]).module
        modules = ["" if module == widest else module for module in modules]


def _boxes(modules: Sequence[str]) -> list[Box]:
    boxes: dict[object, Box] = {}
    for node, module in enumerate(modules):
        boxes.setdefault(module or node, Box(module, [])).members.append(node)
    return list(boxes.values())


def box_operands(operands: Sequence[Sequence[int]], boxes: Sequence[Box]) -> list[list[int]]:
    """The boxes that each box has operands in, but for itself."""
    box_of = {node: at for at, box in enumerate(boxes) for node in box.members}
    return [
        sorted({box_of[operand] for node in box.members for operand in operands[node]} - {at})
        for at, box in enumerate(boxes)
    ]


def topological(operands: Sequence[Sequence[int]], key: Sequence[int]) -> list[int]:
    """The order in which operands come before results, and small keys first. Cycles, and what follows, are left out."""
    uses = uses_of(operands)
    missing = [len(set(its)) for its in operands]
    ready = [(key[at], at) for at, count in enumerate(missing) if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        order.append(heapq.heappop(ready)[1])
        for use in uses[order[-1]]:
            missing[use] -= 1
            if not missing[use]:
                heapq.heappush(ready, (key[use], use))
    return order


def _with_nodes_between(operands: Sequence[Sequence[int]], modules: Sequence[str]) -> list[str]:
    """The modules, with those that are both before and after a node that has none. Sets of modules are bits of ints."""
    names = list(dict.fromkeys(filter(None, modules)))
    own = [1 << names.index(module) if module else 0 for module in modules]
    before, after = own.copy(), own.copy()
    for node, its in enumerate(operands):
        for operand in its:
            before[node] |= before[operand]
    for node in reversed(range(len(operands))):
        for operand in operands[node]:
            after[operand] |= after[node]
    between = [b & a for b, a in zip(before, after)]
    return [
        module or (names[(both & -both).bit_length() - 1] if both else "") for module, both in zip(modules, between)
    ]


def _with_leaves(operands: Sequence[Sequence[int]], modules: Sequence[str]) -> list[str]:
    uses = Counter(operand for its in operands for operand in its)
    found = list(modules)
    for node, its in enumerate(operands):
        for operand in its:
            if uses[operand] == 1 and not operands[operand]:
                found[operand] = modules[node]
    return found
