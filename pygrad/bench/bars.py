"""What pygrad must reach: ratios to peers in the same run, and figures."""

from __future__ import annotations

from typing import NamedTuple

from pygrad.bench.results import Results


class Bar(NamedTuple):
    """An engine on a workload, and either what its figure may be `at_most`, or how it must compare with a peer's.

    `faster`: at least so many times; `within`: at most so many times the peer's time.
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
        """How many times faster than its peer, or than it must be, if both were measured."""
        table = results.tables.get(self.workload)
        ours, theirs = (table and table.measured(name) for name in (self.engine, self.peer))
        if not ours or (self.peer and not theirs):
            return None
        return (theirs.median if theirs else self.at_most) / ours.median

    @property
    def least(self) -> float:
        """What the ratio must be."""
        return self.faster or (1 / self.within if self.within else 1)


BARS = [
    Bar("64x64 dot products on Values", "dots", "value", "micrograd", faster=5),
    Bar("64x64 dot products, compiled", "dots", "compile", "casadi", faster=4),
    Bar("the moons step on Values", "moons", "value", "micrograd", faster=13),
    Bar("the moons step with pygrad.nn", "moons", "array", "micrograd", faster=200),
    Bar("the moons step, compiled", "moons", "compile", "micrograd", faster=8000),
    Bar("the moons step, compiled", "moons", "compile", "torch", faster=6),
    Bar("a GPT step on Values", "gpt", "value", "minimal", faster=5),
    Bar("a GPT step with Arrays", "gpt", "array", "minimal", faster=100),
    Bar("a GPT step, compiled", "gpt", "compile", "minimal", faster=500),
    Bar("the Asian option and all Greeks, compiled", "asian", "compile", "c-value", within=1.5),
    Bar("the Asian option on all threads", "asian", "compile-threads", "compile", faster=1.8),
    Bar("Adam.step() of 4,192 parameters", "adam", "array", at_most=20e-6),
    Bar("512x512 W @ x with Arrays, a node", "matvec", "array", at_most=12e-9),
    Bar("one backward sweep, a node", "sweep", "value", at_most=5e-9),
    Bar("memory of a live interior node", "memory", "value", at_most=40),
    Bar("Python's share of a compiled call", "call", "compile", at_most=10e-6),
]
