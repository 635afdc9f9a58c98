"""compile: record the graph of a function once, and run it many times on other numbers in C, without Python.

The recorded graph is a Program. What a call computes is in csrc/program/ and csrc/routine/; what goes in and comes out
is here:

    trace.py        calls the function on Values and records its graph
    structures.py   structures of numbers: trees of lists, dicts, named tuples, dataclasses
    arguments.py    what a Program accepts as its arguments
    signature.py    how calls bind to these
    recorded.py     what both make: the record of a function
    native.py       native code: the compiler, and the cache
    executor.py     runs it: routines, locks and fork, Ctrl-C, the search for inf and nan
    derivatives.py  jvp, jacobian, hvp and hessian
    graph.py        the recorded graph as arrays, and back
    custom.py       custom_vjp: functions with a backward of their own
    compose.py      calls on Values, and in other functions that are being compiled
    pure.py         the record with the parameters as an argument
    weighted.py     the record of the sum of all results, each with a weight
    objective.py    a function of one vector, for other optimizers
    files.py        save, load and pickle
    c_source.py     to_c
    program.py      compile and Program, over these
"""

from pygrad.program.custom import custom_vjp
from pygrad.program.program import Program, compile
from pygrad.program.trace import TraceWarning

__all__ = ["Program", "TraceWarning", "compile", "custom_vjp"]
