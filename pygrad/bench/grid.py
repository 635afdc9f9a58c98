"""Sweeps compiled functions over one property at a time, and finds cliffs: `pygrad bench --sweep`.

Each axis is a family of functions of one size: nodes, batch, arguments, and so on. At each of its points the same
function runs on the eager graph, compiled for both backends, and in hand-written C where limit.c has it. A cliff is a
point where compiling does not pay: kernels are slower than the eager graph by more than the cost of a call, or native
code is slower than kernels by more than noise. To add an axis, add a row to AXES.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
from rich.table import Table as Grid

import pygrad
from pygrad.bench.arrays import Compiled, Native, PygradArray
from pygrad.bench.compare import Change
from pygrad.bench.report import digits, figure
from pygrad.bench.results import Measured, Results, Table
from pygrad.bench.scalars import flat
from pygrad.bench.work import Factory, Work, Workload
from pygrad.bench.workloads import chain, dots, embedding, wide_sum

Function = Callable[..., Any]
CALL = 1e-6  # seconds; what Python's share of a compiled call may be, as in targets.py
WIDTH = 16  # the numbers in an array of one sample, or in a row of a table
ROWS = 20_000  # of a table, where the axis is not its size
BATCH = 256  # samples, where the axis is not the batch


class Problem(NamedTuple):
    """A function at one point of an axis, and the numbers for it.

    Attributes
    ----------
    size
        where on the axis the point is
    f
        takes the arguments, and then the parameters
    arguments
        doubles, arrays of doubles, and arrays of integers that are indices
    batched
        how many of the arguments, the first ones, have a leading axis for the batch
    parameters
        numbers and arrays that a compiled function does not take as arguments
    gradient
        whether to compute the gradient, too
    """

    size: int
    f: Function
    arguments: Sequence[Any]
    batched: int = 0
    parameters: Sequence[Any] = ()
    gradient: bool = True


class Axis(NamedTuple):
    """A property to vary: its points, the problem at each, and what runs it besides compiled functions."""

    name: str
    title: str
    sizes: Sequence[int]
    problem: Callable[[np.random.Generator, int], Problem]
    eager: str = "array"  # or "value", if it is written on Values
    in_c: Callable[[Problem], Work] | None = None


def eagerly(problem: Problem) -> Work:
    """Build the graph at each call."""
    leaf = PygradArray().leaf
    leaves = [x if _is_index(x) else leaf(x) for x in problem.arguments]
    parameters = [leaf(x) for x in problem.parameters]
    inputs = [x for x in leaves if not isinstance(x, np.ndarray)]

    def gradient() -> Any:
        for x in inputs:
            x.grad = 0.0
        result = problem.f(*leaves, *parameters)
        (result.sum() if problem.batched else result).backward()
        return result.data

    def read(value: Any) -> Any:
        return [np.sum(value), [x.grad for x in [*inputs, *parameters]]]

    if problem.gradient:
        return Work(gradient, read)
    return Work(lambda: problem.f(*leaves, *parameters), lambda results: [result.data for result in results])


def compiled(backend: str, problem: Problem) -> Work:
    """Call the compiled function."""
    parameters = [PygradArray().leaf(x) for x in problem.parameters]
    examples = [x[0] if i < problem.batched else x for i, x in enumerate(problem.arguments)]
    program = pygrad.compile(
        lambda *leaves: problem.f(*leaves, *parameters),
        *(pygrad.index(x) if _is_index(x) else x for x in examples),
        backend=backend,
    )

    def read(result: Any) -> Any:
        value, gradient = result
        return [np.sum(value), [g for g in gradient if g is not None], [p.grad for p in parameters]]

    if problem.gradient:
        return Work(functools.partial(program.value_and_grad, *problem.arguments), read)
    return Work(functools.partial(program, *problem.arguments))


def _is_index(x: Any) -> bool:
    return np.asarray(x).dtype.kind == "i"


def _of_size(rng: np.random.Generator, n: int) -> Problem:
    return Problem(n, lambda w, x: ((w @ x) ** 2).sum(), dots.problem(rng, n))


def _of_depth(rng: np.random.Generator, links: int) -> Problem:
    return Problem(links, functools.partial(chain.chain_of(links), None), chain.problem(rng, links)[1])


def _of_batch(rng: np.random.Generator, samples: int) -> Problem:
    return Problem(samples, lambda x: (x * x).sum(axis=-1), [rng.uniform(-1, 1, (samples, WIDTH))], batched=1)


def _of_batched_arguments(rng: np.random.Generator, batched: int) -> Problem:
    shapes = [(BATCH, WIDTH)] * batched + [(WIDTH,)] * (4 - batched)
    arguments = [rng.uniform(-1, 1, shape) for shape in shapes]
    return Problem(batched, lambda a, b, c, d: ((a * b + c) * d).sum(axis=-1), arguments, batched)


def _of_arguments(rng: np.random.Generator, count: int) -> Problem:
    return Problem(count, functools.partial(wide_sum.wide_sum, None), rng.uniform(-1, 1, count).tolist())


def _of_outputs(rng: np.random.Generator, count: int) -> Problem:
    shifts = rng.uniform(-1, 1, count).tolist()
    arguments = rng.uniform(-1, 1, 2).tolist()
    return Problem(count, lambda x, y: [x * (y + shift) for shift in shifts], arguments, gradient=False)


def _of_constants(rng: np.random.Generator, count: int) -> Problem:
    constants = rng.uniform(-1, 1, count).tolist()
    return Problem(count, lambda x: sum((x - c) ** 2 for c in constants), [rng.uniform(-1, 1)])


def _of_fan_out(rng: np.random.Generator, users: int) -> Problem:
    return Problem(users, lambda x, w: (x * x * w).sum(), [rng.uniform(-1, 1), rng.uniform(-1, 1, users)])


def _of_table(rng: np.random.Generator, rows: int) -> Problem:
    table = rng.uniform(-1, 1, (rows, WIDTH))
    return Problem(rows, lambda i, table: (table[i] ** 2).sum(), [rng.integers(0, rows, 8)], parameters=[table])


def _of_table_argument(rng: np.random.Generator, rows: int) -> Problem:
    problem = _of_table(rng, rows)
    return problem._replace(arguments=[*problem.arguments, *problem.parameters], parameters=[])


def _of_lookups(rng: np.random.Generator, samples: int) -> Problem:
    table, indices = rng.uniform(-1, 1, (ROWS, WIDTH)), rng.integers(0, ROWS, (samples, 8))
    return Problem(samples, embedding.squares, [indices], 1, [table])


def _of_parameters(rng: np.random.Generator, count: int) -> Problem:
    weights = rng.uniform(-1, 1, count).tolist()
    return Problem(count, lambda x, *ws: sum(w * x for w in ws), [rng.uniform(-1, 1)], parameters=weights)


def _sum_in_c(problem: Problem) -> Work:
    return wide_sum.WORKLOAD.engines["c"]([np.array(flat(problem.arguments))])


AXES = {
    axis.name: axis
    for axis in [
        Axis(
            "size", "n x n dot products of Arrays, 2n² + 2n nodes", (2, 8, 32, 128, 256), _of_size,
            in_c=lambda problem: dots.WORKLOAD.engines["c"](problem.arguments),
        ),
        Axis(
            "depth", "a chain of n links, 2n nodes", (1, 10, 100, 1000, 5000), _of_depth, "value",
            lambda problem: chain.in_c((problem.size, list(problem.arguments))),
        ),
        Axis(
            "batch", f"a batch of n samples of {WIDTH} numbers", (1, 8, 64, 65, 512, 4096), _of_batch,
            in_c=_sum_in_c,
        ),
        Axis(
            "batched", f"n of 4 arguments batched, {BATCH} samples, the others shared", (1, 2, 3, 4),
            _of_batched_arguments,
        ),
        Axis("arguments", "n arguments, each a number", (1, 10, 100, 1000), _of_arguments, "value", _sum_in_c),
        Axis("outputs", "n outputs, each a number, without gradient", (1, 10, 100, 1000), _of_outputs, "value"),
        Axis("constants", "n constants, each a number", (1, 10, 100, 1000), _of_constants, "value"),
        Axis("fan-out", "one node that n others use", (1, 10, 100, 1000, 10_000), _of_fan_out),
        Axis("parameters", "n parameters, each a number", (1, 10, 100, 1000), _of_parameters, "value"),
        Axis("table", "8 rows looked up in a parameter of n rows", (8, 100, 1000, 10_000), _of_table),
        Axis("table-argument", "8 rows looked up in an argument of n rows", (8, 100, 1000, 10_000), _of_table_argument),
        Axis("lookups", f"a batch of n samples, each looks up 8 of {ROWS:,} rows", (1, 16, 256, 2048), _of_lookups),
    ]
}  # fmt: skip


def workloads(axes: Iterable[str]) -> list[Workload]:
    """The points of these axes."""
    return [_workload(AXES[name], size) for name in axes for size in AXES[name].sizes]


def _workload(axis: Axis, size: int) -> Workload:
    engines: dict[str, Factory] = {
        axis.eager: eagerly,
        "compile": functools.partial(compiled, Compiled.backend),
        "native": functools.partial(compiled, Native.backend),
        **({"c": axis.in_c} if axis.in_c else {}),
    }
    return Workload(_key(axis, size), axis.title, "a call", axis.problem, size, engines, reference=eagerly)


def _key(axis: Axis, size: int) -> str:
    return f"{axis.name} {size}"


Points = list[tuple[int, Table]]


def measured(found: Results) -> list[tuple[Axis, Points]]:
    """The axes of a run, with the points that were measured."""
    axes = []
    for axis in AXES.values():
        tables = [(size, found.tables.get(_key(axis, size))) for size in axis.sizes]
        if points := [(size, table) for size, table in tables if table and table.rows]:
            axes.append((axis, points))
    return axes


def cliff(axis: Axis, point: Table) -> str:
    """What is wrong at this point, or an empty string."""
    eager, kernels, native = (point.measured(engine) for engine in (axis.eager, "compile", "native"))
    if eager and kernels and _is_slower(kernels, _later(eager, CALL)):
        return "kernels slower than eager"
    if kernels and native and _is_slower(native, kernels):
        return "native slower than kernels"
    return ""


def _later(row: Measured, seconds: float) -> Measured:
    median, lower, upper = (x + seconds for x in (row.median, row.lower, row.upper))
    return dataclasses.replace(row, median=median, lower=lower, upper=upper)


def _is_slower(row: Measured, than: Measured) -> bool:
    """Whether by more than noise."""
    return Change("", "", "s", than, row).verdict == "slower"


def table(axis: Axis, points: Points) -> Grid:
    """A row for each point: each engine's time, and its ratio to the time of the eager graph."""
    grid = Grid("n")
    for heading in ("eager", "kernels", "/ eager", "native", "/ eager", "C", "/ eager"):
        grid.add_column(heading, justify="right")
    grid.add_column("cliff", style="red")
    for size, point in points:
        eager, *others = (point.measured(engine) for engine in (axis.eager, "compile", "native", "c"))
        cells = [cell for row in others for cell in (_time(row), _ratio(row, eager))]
        grid.add_row(f"{size:,}", _time(eager), *cells, cliff(axis, point))
    return grid


def summary(found: Results) -> str:
    """Where the cliffs are, and how many points were measured."""
    every = [(_key(axis, size), cliff(axis, point)) for axis, points in measured(found) for size, point in points]
    cliffs = [f"{key}: {what}" for key, what in every if what]
    if not cliffs:
        return f"[green]No cliffs at {len(every)} points."
    return f"[red]Cliffs at {len(cliffs)} of {len(every)} points:[/red] {'; '.join(cliffs)}"


def list_of_axes() -> Grid:
    """The axes that `--sweep --only` accepts."""
    grid = Grid("--only", "what varies", "n", title="Axes of --sweep", title_justify="left")
    for axis in AXES.values():
        grid.add_row(axis.name, axis.title, ", ".join(f"{size:,}" for size in axis.sizes))
    return grid


def _time(row: Measured | None) -> str:
    return "~ " * row.is_noisy + figure(row.median, "s") if row else ""


def _ratio(row: Measured | None, eager: Measured | None) -> str:
    return digits(row.median / eager.median) if row and eager else ""
