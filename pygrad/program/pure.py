"""Pure functions: a recorded function with its parameters as the first argument."""

from __future__ import annotations

import numpy as np

from pygrad.program import graph
from pygrad.program.arguments import Argument
from pygrad.program.recorded import Recorded, parameters_of
from pygrad.program.signature import new_name
from pygrad.program.structures import Segment


def pure(recorded: Recorded) -> Recorded:
    """The same function with an argument of shape (P,) in front, for its P parameters; see `Program.pure`."""
    count = recorded.parameters.size
    arrays = graph.arrays_of(recorded.pg_program)
    ops, a = arrays["ops"], arrays["a"]
    a[ops == graph.OP_CODES["INPUT"]] += np.uint32(count)
    ops[ops == graph.OP_CODES["PARAMETER"]] = graph.OP_CODES["INPUT"]
    first = Argument(0, Segment((count,), 0), 0, new_name("parameters", {x.name for x in recorded.arguments}))
    others = [x.moved(1, count) for x in recorded.arguments]
    pg_program = graph.program_of(arrays, sum(x.size for x in (first, *others)), np.empty(0, dtype=np.uint32))
    return Recorded(recorded.name, (first, *others), recorded.result, pg_program, parameters_of(pg_program))
