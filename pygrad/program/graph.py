"""The graph of a recorded function as arrays, and back: see pg_serialized in csrc/pygrad.h."""

from __future__ import annotations

from typing import Any

import numpy as np

from pygrad._lib import Ids, c_ids_of, ffi, lib, text
from pygrad.checkpoint import Arrays

# The arrays of pg_serialized: the type in C, the type in NumPy, and the member of pg_serialized that has the size.
_SERIALIZED = {
    "ops": ("uint8_t[]", np.uint8, "instruction_count"),
    "a": ("uint32_t[]", np.uint32, "instruction_count"),
    "b": ("uint32_t[]", np.uint32, "instruction_count"),
    "constants": ("double[]", np.float64, "constant_count"),
    "outputs": ("uint32_t[]", np.uint32, "output_count"),
    "rows": ("uint32_t[]", np.uint32, "table_count"),
    "elements": ("uint32_t[]", np.uint32, "element_count"),
}
TYPES = {name: dtype for name, (_, dtype, _) in _SERIALIZED.items()}
OP_NAMES = {op: text(name) for op in range(256) if (name := lib.pg_recorded_name(op))}
OP_CODES = {name: op for op, name in OP_NAMES.items()}


def arrays_of(pg_program: Any) -> Arrays:
    """The arrays of a recorded program in C."""
    serialized = ffi.new("pg_serialized *")
    lib.pg_program_serialize(pg_program, serialized)  # sets the counts
    arrays = {name: np.empty(getattr(serialized, count), dtype) for name, (_, dtype, count) in _SERIALIZED.items()}
    _point(serialized, arrays)
    lib.pg_program_serialize(pg_program, serialized)
    return arrays


def program_of(arrays: Arrays, inputs: int, parameters: Ids) -> Any:
    """The program in C of such arrays, with so many inputs and these leaves as parameters.

    ValueError if the arrays do not agree with each other, as those of a damaged file may not.
    """
    counts = {"input_count": inputs, "parameter_count": parameters.size}
    for name, (_, _, count) in _SERIALIZED.items():
        if counts.setdefault(count, arrays[name].size) != arrays[name].size:
            raise ValueError(f"its array {name!r} must have {counts[count]} numbers, got {arrays[name].size}")
    serialized = ffi.new("pg_serialized *", counts)
    _point(serialized, arrays)
    serialized.parameters = c_ids_of(parameters)
    fault = ffi.new("const char **")
    pg_program = lib.pg_program_deserialize(serialized, fault)
    if not pg_program:
        if fault[0]:
            raise ValueError(text(fault[0]))
        raise MemoryError("there is not enough memory for another Program")
    return ffi.gc(pg_program, lib.pg_program_free)


def _point(serialized: Any, arrays: Arrays) -> None:
    """Set the pointers of a pg_serialized to the arrays."""
    for name, (ctype, _, _) in _SERIALIZED.items():
        setattr(serialized, name, ffi.from_buffer(ctype, arrays[name]))
