"""jvp, jacobian, hvp and hessian of a recorded function; `Program` documents them.

jvp is forward mode. hvp is forward over reverse: the tangent of the gradient, at a small multiple of its cost
(Pearlmutter, 1994). jacobian and hessian are a batch of these: one sample for each direction.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from pygrad._lib import Numbers
from pygrad.program.arguments import Argument, Leaf
from pygrad.program.executor import GRADIENT, TANGENTS, Executor, new_rows
from pygrad.program.recorded import BatchedNumbers, Recorded
from pygrad.program.structures import (
    IndexSegment,
    Segment,
    Shape,
    locate,
    map_structure,
    place,
    structured,
    subscript,
)

_HVP = GRADIENT | TANGENTS


def require_tuple(name: str, given: Any) -> None:
    """Raise TypeError unless these are a tuple or list, for the arguments."""
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"{name} must be a tuple with one entry for each argument, got {type(given).__name__!r}")


def jvp(executor: Executor, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """See `Program.jvp`."""
    recorded = executor.recorded
    recorded.require_tangents()
    numbers, batched, batch = _with_tangents(recorded, primals, tangents)
    values, directions = new_rows(batch, recorded.result_size), new_rows(batch, recorded.result_size)
    executor.run((batched, TANGENTS), numbers, batch, [values, directions])
    if executor.check_finite:
        points, where = numbers[: len(recorded.leaves)], functools.partial(place, recorded.result)
        executor.require_finite("a result", values, batch is not None, batch, points, where=where)
        executor.require_finite("a tangent", directions, batch is not None, batch, points, where=where)
    return structured(recorded.result, values), structured(recorded.result, directions)


def jacobian(executor: Executor, args: Sequence[Any], weighted: Executor | None) -> Any:
    """See `Program.jacobian`. With the executor of the weighted function, by reverse mode."""
    recorded = executor.recorded
    if weighted:
        slopes, lead = _of_every_result(executor, args, weighted)
    else:
        slopes, lead = _in_every_direction(executor, args, TANGENTS)

    def by_arguments(segment: Segment) -> tuple[Any, ...]:
        part = slopes[..., segment.start : segment.stop, :].reshape(*lead, *segment.shape, slopes.shape[-1])
        return tuple(structured(a.structure, part[..., a.start : a.stop]) for a in recorded.arguments)

    return map_structure(by_arguments, recorded.result)


def hvp(executor: Executor, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
    """See `Program.hvp`."""
    recorded = executor.recorded
    recorded.require_scalar("hvp")
    numbers, batched, batch = _with_tangents(recorded, primals, tangents)
    n = len(recorded.leaves)
    if batch is not None and any(batched[:n]):  # pg_compile wants all primals batched, or none
        numbers[:n] = [_for_each_sample(leaf, x, batch) for leaf, x in zip(recorded.leaves, numbers)]
        batched = (*(True,) * n, *batched[n:])
    lead = () if batch is None else (batch,)
    products = [np.empty(lead + leaf.shape) for leaf in recorded.leaves]
    executor.run((batched, _HVP), numbers, batch, products)
    if executor.check_finite:
        for leaf, product in zip(recorded.leaves, products):
            what = f"the product for argument {leaf.name}"
            executor.require_finite(what, product, batch is not None, batch, numbers[:n])
    return recorded.by_argument(products)


def hessian(executor: Executor, args: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
    """See `Program.hessian`."""
    recorded = executor.recorded
    recorded.require_scalar("hessian")
    slopes, lead = _in_every_direction(executor, args, _HVP)

    def by_second(first: Argument, second: Argument) -> Any:
        block = slopes[..., first.start : first.stop, second.start : second.stop]

        def of_segment(segment: Segment) -> Any:
            if isinstance(segment, IndexSegment):
                return None
            part = block[..., segment.start : segment.stop, :].reshape(*lead, *segment.shape, second.size)
            return structured(second.structure, part)

        return map_structure(of_segment, first.structure)

    return tuple(tuple(by_second(first, second) for second in recorded.arguments) for first in recorded.arguments)


def _in_every_direction(executor: Executor, args: Sequence[Any], wanted: int) -> tuple[Numbers, Shape]:
    """The derivatives with respect to all numbers of the arguments, and the axes before them, of the samples.

    Those with respect to the numbers are the last axis. The last but one are the results, or for _HVP the gradient.
    """
    recorded = executor.recorded
    leaves = recorded.leaves
    primals, _, batch = recorded.numbers(args)
    n = sum(leaf.size for leaf in leaves)
    samples = 1 if batch is None else batch
    if batch is not None:
        primals = [np.repeat(_for_each_sample(leaf, x, batch), n, axis=0) for leaf, x in zip(leaves, primals)]
    directions = np.tile(np.eye(n), (samples, 1))
    tangents = [np.ascontiguousarray(directions[:, leaf.start : leaf.stop]) for leaf in leaves]
    batched = (*(batch is not None,) * len(primals), *(True,) * len(primals))
    sizes = [leaf.size for leaf in leaves] if wanted == _HVP else [recorded.result_size] * 2
    results = [np.empty((samples * n, size)) for size in sizes]
    executor.run((batched, wanted), primals + tangents, samples * n, results)
    slopes = np.concatenate([np.empty((samples * n, 0)), *results], axis=1) if wanted == _HVP else results[-1]
    if executor.check_finite:
        where = functools.partial(_place, recorded, wanted, batch is not None, n)
        executor.require_finite("a derivative", slopes, batch is not None, samples * n, primals, where=where)
    lead = () if batch is None else (batch,)
    return slopes.reshape(*lead, n, slopes.shape[1]).swapaxes(-1, -2), lead


def _of_every_result(executor: Executor, args: Sequence[Any], weighted: Executor) -> tuple[Numbers, Shape]:
    """The derivatives of all results, the last axis but one, and the axes before them: a gradient for each result."""
    recorded = executor.recorded
    primals, _, batch = recorded.numbers(args)
    samples, m = 1 if batch is None else batch, recorded.result_size
    n = sum(leaf.size for leaf in recorded.leaves)
    primals = [np.repeat(_for_each_sample(leaf, x, samples), m, axis=0) for leaf, x in zip(recorded.leaves, primals)]
    units = np.tile(np.eye(m), (samples, 1))
    leaves = weighted.recorded.leaves
    cotangents = [np.ascontiguousarray(units[:, leaf.start - n : leaf.stop - n]) for leaf in leaves[len(primals) :]]
    gradients = [np.empty((samples * m, leaf.size)) for leaf in leaves]
    results = [np.empty((samples * m, 1)), *gradients, np.empty(weighted.parameter_count)]
    kind = (*(True,) * len(leaves), False), GRADIENT
    weighted.run(kind, [*primals, *cotangents, np.array(1.0)], samples * m, results)
    slopes = np.concatenate([np.empty((samples * m, 0)), *gradients[: len(primals)]], axis=1)
    if executor.check_finite:

        def where(row: int, column: int) -> str:
            return _place(recorded, TANGENTS, batch is not None, n, row // m * n + column, row % m)

        executor.require_finite("a derivative", slopes, True, samples * m, primals, where=where)
    lead = () if batch is None else (batch,)
    return slopes.reshape(*lead, m, n), lead


def _place(recorded: Recorded, wanted: int, batched: bool, n: int, row: int, column: int) -> str:
    """Where a derivative is in what jacobian() or hessian() returns; row and column are those of all derivatives."""
    sample = (row // n,) if batched else ()
    argument, by, by_index = _locate_in_arguments(recorded, row % n)
    if wanted == _HVP:
        first, of, of_index = _locate_in_arguments(recorded, column)
        return f"[{first}][{argument}]{of}{by}{subscript(*sample, *of_index, *by_index)}"
    of, of_index = locate(recorded.result, column)
    return f"{of}[{argument}]{by}{subscript(*sample, *of_index, *by_index)}"


def _locate_in_arguments(recorded: Recorded, number: int) -> tuple[int, str, Shape]:
    """The position of the argument that has a number, and where it is there."""
    argument = next(a for a in recorded.arguments if a.start <= number < a.stop)
    return (argument.position, *locate(argument.structure, number - argument.start))


def _for_each_sample(leaf: Leaf, x: Numbers, batch: int) -> Numbers:
    """The numbers of a leaf of the arguments for each sample."""
    return np.ascontiguousarray(np.broadcast_to(x, (batch, *leaf.shape)))


def _with_tangents(recorded: Recorded, primals: Sequence[Any], tangents: Sequence[Any]) -> BatchedNumbers:
    """The numbers of the primals, then those of the tangents."""
    require_tuple("primals", primals)
    require_tuple("tangents", tangents)
    points, batched, batch = recorded.numbers(primals)
    directions, directed, count = recorded.numbers(tangents, "tangent")
    if batch is not None and count is not None and batch != count:
        raise ValueError(
            f"all batches must have the same size: the primals are a batch of {batch}, the tangents a batch of {count}"
        )
    return points + directions, batched + directed, count if batch is None else batch
