"""Lists the project's performance targets: ratios to peers in the same run, and absolute figures."""

from __future__ import annotations

from typing import NamedTuple

from pygrad.bench.results import Results


class Target(NamedTuple):
    """A target for an engine on a workload: one of `faster`, `within` and `at_most`.

    Attributes
    ----------
    faster
        the engine must be at least this many times as fast as the peer
    within
        the engine may take at most this many times the peer's time
    at_most
        the engine's figure may be at most this, in seconds or bytes
    """

    work: str
    workload: str
    engine: str
    peer: str = ""
    faster: float = 0
    within: float = 0
    at_most: float = 0

    @property
    def engines(self) -> list[str]:
        return [self.engine, *([self.peer] if self.peer else [])]

    def ratio(self, results: Results) -> float | None:
        """How many times as fast as its peer, or as `at_most`, the engine is. None if a figure is missing."""
        table = results.tables.get(self.workload)
        ours, theirs = (table and table.measured(name) for name in (self.engine, self.peer))
        if not ours or (self.peer and not theirs):
            return None
        return (theirs.median if theirs else self.at_most) / ours.median

    @property
    def least(self) -> float:
        """The ratio that must be reached."""
        return self.faster or (1 / self.within if self.within else 1)


TARGETS = [
    Target("micrograd's README expression, compiled", "expression", "compile", "casadi", within=2.5),
    Target("64x64 dot products on Values, forward", "forward", "value", "floats", within=4.5),
    Target("64x64 dot products on Values", "dots", "value", "micrograd", faster=25),
    Target("64x64 dot products, compiled", "dots", "compile", "casadi", faster=6),
    Target("the moons step on Values", "moons", "value", "micrograd", faster=50),
    Target("the moons step with pygrad.nn", "moons", "array", "micrograd", faster=500),
    Target("the moons step, compiled", "moons", "compile", "micrograd", faster=8000),
    Target("the moons step, compiled", "moons", "compile", "torch", faster=6),
    Target("a GPT step on Values", "gpt", "value", "minimal", faster=15),
    Target("a GPT step with Arrays", "gpt", "array", "minimal", faster=100),
    Target("a GPT step, compiled", "gpt", "compile", "minimal", faster=500),
    Target("a GPT step with Adam, as machine code", "gpt", "native", "c", within=1.3),
    Target("the Asian option and all Greeks, compiled", "asian", "compile", "c-value", within=1.5),
    Target("a look-up of parameters, value and gradient", "embedding", "compile", "compile-value", within=3),
    Target("a look-up of parameters, as machine code", "embedding", "native", "native-value", within=3),
    Target("a look-up in an argument, value and gradient", "embedding-argument", "compile", "compile-value", within=3),
    Target("a look-up in an argument, as machine code", "embedding-argument", "native", "native-value", within=3),
    Target("the moons step, compiled, as a pure function", "moons", "pure", "compile", within=1.05),
    Target("the Asian option on two Dask processes", "cluster", "dask", "compile-threads", within=1.15),
    Target("the Asian option on all threads", "asian", "compile-threads", "compile", faster=1.8),
    Target("a Value's attributes", "attributes", "value", "minimal", within=2),
    Target("a step of Adam on Values", "adam", "value", "micrograd", faster=1),
    Target("Adam.step() of 4,192 parameters", "adam", "array", "c", within=2),
    Target("512x512 W @ x with Arrays, a node", "matvec", "array", at_most=12e-9),
    Target("one backward sweep, a node", "sweep", "value", at_most=5e-9),
    Target("memory of a live interior node", "memory", "value", at_most=40),
    Target("memory of a live Value, its node included", "objects", "value", at_most=80),
    Target("Python's share of a compiled call", "call", "compile", at_most=1e-6),
]
