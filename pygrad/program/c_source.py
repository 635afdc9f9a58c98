"""A recorded function as a C file that needs no pygrad; `Program.to_c` documents it."""

from __future__ import annotations

import numpy as np

from pygrad._lib import VERSION, c_doubles, lib
from pygrad._replacing import PathLike, replacing
from pygrad.program.executor import GRADIENT, VALUES, Executor, Kind


def write_c(executor: Executor, path: PathLike, name: str | None) -> None:
    """See `Program.to_c`."""
    recorded = executor.recorded
    if name is None:
        name = recorded.name if _is_c_name(recorded.name) else "f"
    if not _is_c_name(name):
        raise ValueError(
            f"name must be a name in C, made of letters, digits and _, and not begin with a digit; got {name!r}"
        )
    source = f"{_comment(executor, name)}\n{_functions(executor, name)}\n"
    with replacing(path) as file:
        file.write(source.encode())


def _is_c_name(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _functions(executor: Executor, name: str) -> str:
    """The functions of the file."""
    recorded = executor.recorded
    shared = (False,) * len(recorded.leaves)
    kinds: list[Kind] = [(shared, VALUES)]
    if recorded.is_scalar:
        kinds.append(((*shared, False), GRADIENT))
    routines = [executor.portable_routine(kind) for kind in kinds]
    parameters = c_doubles(np.ascontiguousarray(recorded.parameters.data))
    return executor.owned_text(lib.pg_emit_c(len(routines), routines, parameters, name.encode()))


def _comment(executor: Executor, name: str) -> str:
    """The comment at the head of the file."""
    inputs = [
        f" *   inputs[{x.start}{f' to {x.stop - 1}' if x.size > 1 else ''}]: argument {x.name}, {x.segment!r}"
        for x in executor.recorded.leaves
        if x.size
    ]
    return "\n".join(
        [
            f"/* Written by pygrad {VERSION}. C99; link with -lm.",
            " *",
            f" * {name}_value writes the {name}_OUTPUTS results to outputs, one after the other, arrays in C order.",
            f" * {name}_gradient, which exists if there is one result, also writes the gradient times the",
            " * cotangent to input_gradient and parameter_gradient.",
            f" * inputs are the {name}_INPUTS numbers of the arguments, one after the other, arrays in C order,",
            f" * integers as doubles. If parameters is NULL, {name}_parameters is used.",
            f" * work is an array of {name}_WORK doubles; calls at the same time need one each.",
            *([" *", *inputs] if inputs else []),
            " */",
        ]
    )
