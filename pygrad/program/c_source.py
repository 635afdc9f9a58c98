"""A recorded function as a C file that needs no pygrad; `Program.to_c` documents it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pygrad._distribution import VERSION
from pygrad._lib import c_doubles, lib
from pygrad._replacing import PathLike, replacing
from pygrad.program.executor import GRADIENT, VALUES, Executor, Kind
from pygrad.program.recorded import Recorded

_Batched = tuple[bool, ...]  # of each leaf of the arguments


def write_c(executor: Executor, path: PathLike, name: str | None, batch: bool | Sequence[bool]) -> None:
    """See `Program.to_c`."""
    recorded = executor.recorded
    if name is None:
        name = recorded.name if _is_c_name(recorded.name) else "f"
    if not _is_c_name(name):
        raise ValueError(
            f"name must be a name in C, made of letters, digits and _, and not begin with a digit; got {name!r}"
        )
    batched = _batched(recorded, batch)
    source = f"{_comment(recorded, name, batched)}\n{_functions(executor, name, batched)}\n"
    with replacing(path) as file:
        file.write(source.encode())


def _is_c_name(name: str) -> bool:
    return name.isascii() and name.isidentifier()


def _batched(recorded: Recorded, batch: bool | Sequence[bool]) -> _Batched | None:
    """Which leaves are batches in the functions for batches, or None without these."""
    count = len(recorded.arguments)
    if batch is False:
        return None
    of_arguments = [batch] * count if isinstance(batch, bool) else list(batch)
    if len(of_arguments) != count or not any(of_arguments):
        raise ValueError(
            "batch must be True, False, or a bool for each argument, of which one at least is True; "
            f"{recorded.name}() takes {count} argument{'s' * (count != 1)}, got {batch!r}"
        )
    return tuple(bool(given) for a, given in zip(recorded.arguments, of_arguments) for _ in a.leaves)


def _functions(executor: Executor, name: str, batched: _Batched | None) -> str:
    """The functions of the file."""
    recorded = executor.recorded
    kinds: list[Kind] = []
    for leaves, cotangent in [((False,) * len(recorded.leaves), False), (batched, True)]:
        if leaves is not None:
            kinds.append((leaves, VALUES))
        if leaves is not None and recorded.is_scalar:
            kinds.append(((*leaves, cotangent), GRADIENT))
    routines = [executor.new_routine(kind, True) for kind in kinds]
    parameters = c_doubles(np.ascontiguousarray(recorded.parameters.data))
    return _indented(executor.owned_text(lib.pg_emit_c(len(routines), routines, parameters, name.encode())))


def _indented(code: str) -> str:
    """C code that has a line for each brace, with its lines indented."""
    lines, depth = [], 0
    for line in code.splitlines():
        depth = max(depth - line.startswith("}"), 0)
        lines.append("  " * depth + line)
        depth += line.endswith("{") and not line.startswith("extern")
    return "\n".join(lines)


def _comment(recorded: Recorded, name: str, batched: _Batched | None) -> str:
    """The comment at the head of the file."""
    lines = [
        f"Written by pygrad {VERSION}. C99 and C++11; link with -lm.",
        "",
        f"{name}_value writes the {name}_OUTPUTS results to outputs, one after the other, arrays in C order.",
        f"{name}_gradient, which exists if there is one result, also writes the gradient times the",
        "cotangent to input_gradient and parameter_gradient.",
        f"inputs are the {name}_INPUTS numbers of the arguments, one after the other, arrays in C order,",
        f"integers as doubles. If parameters is NULL, {name}_parameters is used.",
        f"work is an array of {name}_WORK doubles; calls at the same time need one each.",
    ]
    if batched is not None:
        lines += [
            "",
            f"{name}_value_batch and {name}_gradient_batch do the same for `batch` samples. arguments are pointers,",
            "one for each argument, argument_gradients likewise. Arguments, results and gradients of a batch have",
            "the numbers of one sample after the other. The gradients by what is shared are sums over the samples.",
            "cotangent has a number for each sample; NULL means 1.",
            f"work is an array of {name}_BATCH_WORK doubles.",
        ]
    inputs = [
        f"  inputs[{x.start}{f' to {x.stop - 1}' if x.size > 1 else ''}]: argument {x.name}, {x.segment!r}"
        for x in recorded.leaves
        if x.size
    ]
    arguments = [
        f"  arguments[{k}]: argument {x.name}, {'a batch' if is_batch else 'shared'}"
        for k, (x, is_batch) in enumerate(zip(recorded.leaves, batched or ()))
    ]
    for described in (inputs, arguments):
        lines += [""] * bool(described) + described
    return "/*" + "\n".join(f" * {line}".rstrip() for line in lines)[2:] + "\n */"
