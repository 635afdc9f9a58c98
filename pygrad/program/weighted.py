"""Weighted functions: the sum of a recorded function's results, each times a number of one more argument."""

from __future__ import annotations

import functools

import numpy as np

from pygrad.program import graph
from pygrad.program.arguments import Argument
from pygrad.program.recorded import Recorded, parameters_of
from pygrad.program.signature import KEYWORD_ONLY, new_name
from pygrad.program.structures import Segment

_NONE = np.iinfo(np.uint32).max  # an operand that an op does not have


def weighted(recorded: Recorded) -> Recorded:
    """The function whose gradient is the product of the weights with the Jacobian; see `Program.vjp`.

    The weights are its last argument, in the structure of the result. TypeError if there is no result.
    """
    if not recorded.result_size:
        raise TypeError(f"vjp() needs a function with a result; {recorded.name}() returns {recorded.result!r}")
    arrays = graph.arrays_of(recorded.pg_program)
    first = sum(argument.size for argument in recorded.arguments)
    name = new_name("cotangents", {argument.name for argument in recorded.arguments})
    weights = Argument(len(recorded.arguments), recorded.result, first, name, KEYWORD_ONLY)
    count = arrays["ops"].size
    instructions: list[tuple[str, int, int]] = []
    constants: list[float] = []

    def emit(op: str, a: int = _NONE, b: int = _NONE) -> int:
        instructions.append((op, a, b))
        return count + len(instructions) - 1

    def constant(number: float) -> int:
        constants.append(number)
        return emit("CONSTANT")

    zero, one, minus = (constant(x) for x in (0.0, 1.0, -1.0))

    def product(k: int, output: int) -> int:
        """A result times its weight, where no path leads to it if the weight is 0."""
        weight = emit("INPUT", first + k)
        is_zero = emit("EQUAL", weight, zero)
        gate = emit("GATE", emit("ADD", one, emit("MUL", is_zero, minus)), output)
        return emit("MUL", gate, weight)

    products = [product(k, output) for k, output in enumerate(arrays["outputs"].tolist())]
    total = functools.reduce(lambda sum, product: emit("ADD", sum, product), products)
    ops, a, b = zip(*instructions)
    added = {"ops": [graph.OP_CODES[op] for op in ops], "a": a, "b": b, "constants": constants}
    arrays |= {name: np.concatenate([arrays[name], np.array(x, graph.TYPES[name])]) for name, x in added.items()}
    arrays["outputs"] = np.array([total], graph.TYPES["outputs"])
    pg_program = graph.program_of(arrays, weights.stop, recorded.parameters._ids)
    return Recorded(
        recorded.name, (*recorded.arguments, weights), Segment((), 0), pg_program, parameters_of(pg_program)
    )
