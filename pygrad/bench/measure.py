"""Checks the engines of a workload and times them in turn. The package's docstring explains the method."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt

from pygrad.bench.engines import ENGINES, MissingError
from pygrad.bench.results import Failed, Measured, Missing, Row
from pygrad.bench.work import Work, Workload

Numbers = npt.NDArray[np.float64]
Report = Callable[[str], None]  # takes the current activity, for the progress display

CHECKS = 3  # the calls whose results are checked; two if they are very long
LEAST_TIMING = {False: 1e-3, True: 0.05}  # the shortest timing in seconds, by whether the engine makes garbage
LONG, VERY_LONG = 0.1, 0.3  # seconds; if calls are longer, those of the check count as measurements, except the first


class Effort(NamedTuple):
    """How much to measure.

    Attributes
    ----------
    rounds
        the number of rounds
    turn
        the shortest turn of an engine, in seconds
    seconds
        the total time of an engine; if its calls are long, it skips rounds to stay within this time
    fewest
        the smallest number of measurements, even if they take longer
    """

    rounds: int
    turn: float
    seconds: float
    fewest: int


QUICK = Effort(rounds=5, turn=0.02, seconds=0.1, fewest=2)
FULL = Effort(rounds=25, turn=0.1, seconds=10.0, fewest=7)
ONCE = Effort(rounds=1, turn=0.0, seconds=0.0, fewest=1)


class Entry:
    """An engine that takes part in a measurement."""

    def __init__(self, name: str, work: Work, effort: Effort) -> None:
        self.name, self.work = name, work
        self.samples: list[float] = []  # seconds or bytes per unit
        self.rounds = effort.rounds
        self.calls = 1  # the number of calls in a timing
        self.warms_up = not work.sample  # whether a turn starts with a call that does not count
        self.wall = self.processor = 0.0  # seconds of wall time and of processor time of all timings

    def disagreement(self, expected: Sequence[Numbers]) -> str:
        """How its first results differ from the expected ones, or an empty string."""
        for found, right in zip(self.first_results(), expected):
            if wrong := disagreement(found, right[:1] if self.work.value_alone else right):
                return wrong
        return ""

    def first_results(self) -> list[Numbers]:
        """The results of the first calls. If the calls are long, their times count as measurements."""
        results = []
        for call in range(CHECKS):
            with self._watched():
                start = time.perf_counter()
                result = self.work.run()
                took = time.perf_counter() - start
            results.append(numbers(self.work.read(result)))
            if call and took > LONG and not self.work.sample:
                self.samples.append(took / self.work.units)
                if took > VERY_LONG:
                    break
        return results

    def once(self) -> float:
        """One measurement of one unit."""
        if self.work.sample:
            return self.work.sample()
        return seconds(self.work.run, self.calls) / self.calls / self.work.units

    def get_ready(self, effort: Effort) -> None:
        """Time a call, and choose from that the calls per timing and the number of rounds."""
        if self.samples:
            self.rounds = max(0, effort.fewest - (CHECKS - 1))
            return
        self.wall = self.processor = 0.0
        start = time.perf_counter()
        first = self.once()
        took = time.perf_counter() - start
        if took > LONG and self.work.sample:
            self.samples.append(first)
        if took > VERY_LONG:
            self.warms_up = False
        while not self.work.sample and took < LEAST_TIMING[ENGINES[self.name].makes_garbage]:
            self.calls *= 2
            took = seconds(self.work.run, self.calls)
        share = max(effort.fewest - len(self.samples), int(effort.seconds / max(took, effort.turn)))
        self.rounds = min(effort.rounds, share)

    def turn(self, least: float) -> None:
        """Measure for at least this many seconds and at least once, after a warm-up call unless calls are very long."""
        end = time.perf_counter() + least
        if self.warms_up:
            self.work.run()
        with self._watched():
            self.samples.append(self.once())
            while time.perf_counter() < end:
                self.samples.append(self.once())

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Record wall and processor time, to detect whether other programs use the processor.

        Meanwhile the garbage collector is off, unless the engine needs it to free its nodes.
        """
        collects = ENGINES[self.name].makes_garbage
        wall, processor = time.perf_counter(), time.process_time()
        if not collects:
            gc.disable()
        try:
            yield
        finally:
            gc.enable()
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor

    def is_due(self, round: int, rounds: int) -> bool:
        """Whether it takes part in this round. Its rounds are evenly spaced among all rounds."""
        return round * self.rounds // rounds < (round + 1) * self.rounds // rounds

    @property
    def row(self) -> Measured:
        lower, median, upper = quartiles(self.samples)
        busy = min(1.0, self.processor / self.wall) if self.wall else 1.0
        return Measured(median, lower, upper, len(self.samples), busy)


def seconds(work: Callable[[], object], calls: int = 1) -> float:
    """The time in seconds of this many calls."""
    start = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        work()
    return time.perf_counter() - start


def quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    if len(samples) == 1:
        return (samples[0],) * 3
    lower, median, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return lower, median, upper


def numbers(result: Any) -> Numbers:
    """All numbers in nested lists, tuples and arrays, as a flat array."""
    if isinstance(result, (list, tuple)):
        return np.concatenate([np.empty(0), *map(numbers, result)])
    return np.array(result, dtype=float).ravel()  # a copy, because later calls overwrite arrays


def disagreement(found: Numbers, expected: Numbers) -> str:
    """The first difference from the expected numbers, or an empty string."""
    if found.shape != expected.shape:
        return f"it returns {found.size:,} numbers, but the reference {expected.size:,}"
    for i, (x, y) in enumerate(zip(found.tolist(), expected.tolist())):
        if not math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12):
            name = f"element {i:,} of its gradient" if i else "its value"
            return f"{name} is {x!r}, but the reference's is {y!r}"
    return ""


def measure(
    workload: Workload, names: Sequence[str], seed: int, effort: Effort, rows: dict[str, Row], report: Report
) -> None:
    """Check the engines, measure those that agree, and fill in the rows, even if Ctrl-C interrupts the measurement."""
    check_size = workload.check_size or workload.size
    problem, small = (workload.problem(np.random.default_rng(seed), size) for size in (workload.size, check_size))
    report(f"{workload.name}: reference")
    reference = Entry("reference", (workload.reference or workload.engines["reference"])(small), effort)
    _freeze_garbage_collection()
    expected = reference.first_results()
    entries: list[Entry] = []

    def attempt(name: str, action: Callable[[], str | None]) -> bool:
        """Run the action. If it raises or returns a complaint, store that as the engine's row."""
        report(f"{workload.name}: {ENGINES[name].label}")
        try:
            wrong = action()
        except MissingError as missing:
            rows[name] = Missing(str(missing))
        except Exception as error:
            rows[name] = Failed(f"{type(error).__name__}: {str(error).strip() or 'no message'}")
        else:
            if not wrong:
                return True
            rows[name] = Failed(wrong)
        return False

    def admit(name: str) -> str:
        """Check an engine. If its results are right, it takes part."""
        ENGINES[name].load()
        make = workload.engines[name]
        entry = Entry(name, make(small), effort) if name != "reference" else reference
        _freeze_garbage_collection()
        if entry is not reference and (wrong := entry.disagreement(expected)):
            return wrong
        entries.append(entry if check_size == workload.size else Entry(name, make(problem), effort))
        return ""

    try:
        for name in workload.engines:
            if name in names:
                attempt(name, functools.partial(admit, name))
        _freeze_garbage_collection()
        _take_turns(entries, seed, ONCE if workload.once else effort, attempt)
    finally:
        _unfreeze_garbage_collection()
        rows.update({entry.name: entry.row for entry in entries if entry.samples and entry.name not in rows})


def _take_turns(
    entries: list[Entry], seed: int, effort: Effort, attempt: Callable[[str, Callable[[], None]], bool]
) -> None:
    rng = np.random.default_rng(seed)
    for entry in list(entries):
        if not attempt(entry.name, functools.partial(entry.get_ready, effort)):
            entries.remove(entry)
    for round in range(effort.rounds):
        for i in rng.permutation(len(entries)):
            entry = entries[i]
            if entry.is_due(round, effort.rounds):
                if not attempt(entry.name, functools.partial(entry.turn, effort.turn)):
                    entry.rounds = 0
                gc.collect()


def _freeze_garbage_collection() -> None:
    """Hide the objects that exist now from Python's collector, so that it scans only the engines' garbage."""
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy does not have it
        gc.freeze()
        gc.collect()  # update the collector's object counts, which determine how often it runs


def _unfreeze_garbage_collection() -> None:
    if hasattr(gc, "unfreeze"):
        gc.unfreeze()
