"""The check and the clock: how a workload's engines are measured, in turn. The package's docstring says why so."""

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
Tell = Callable[[str], None]  # what is being done; for the progress display

CHECKS = 3  # calls whose results must be right; of very long ones, two
MANY = {False: 1e-3, True: 0.05}  # seconds that a timing takes at least, the latter with Python's collector in between
LONG, VERY_LONG = 0.1, 0.3  # seconds: if calls are longer, those of the check count, but for the first


class Effort(NamedTuple):
    """How much is measured: in how many rounds, and for how many seconds in each.

    An engine whose call lasts longer is measured for so many `seconds` in all and misses rounds, but for the `fewest`.
    """

    rounds: int
    turn: float
    seconds: float
    fewest: int


QUICK = Effort(rounds=5, turn=0.02, seconds=0.1, fewest=2)
FULL = Effort(rounds=25, turn=0.1, seconds=10.0, fewest=7)
ONCE = Effort(rounds=1, turn=0.0, seconds=0.0, fewest=1)


class Entry:
    """An engine among those that take turns."""

    def __init__(self, name: str, work: Work, effort: Effort) -> None:
        self.name, self.work = name, work
        self.samples: list[float] = []  # seconds, or what else is measured, of one unit
        self.rounds = effort.rounds
        self.calls = 1  # that are timed at a time
        self.wall = self.processor = 0.0  # seconds that all timings took, and in which this program had the processor

    def disagreement(self, expected: Sequence[Numbers]) -> str:
        """What is wrong with its first results, if anything is."""
        for found, right in zip(self.first_results(), expected):
            if wrong := disagreement(found, right[:1] if self.work.value_alone else right):
                return wrong
        return ""

    def first_results(self) -> list[Numbers]:
        """What the first calls give. If they are long, they are measurements, too."""
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
        """Find out how long a call takes, and from that how many are timed at a time, and in how many rounds."""
        if self.samples:
            self.rounds = max(0, effort.fewest - (CHECKS - 1))
            return
        self.wall = self.processor = 0.0
        start = time.perf_counter()
        first = self.once()
        took = time.perf_counter() - start
        if took > LONG and self.work.sample:
            self.samples.append(first)
        while not self.work.sample and took < MANY[ENGINES[self.name].makes_garbage]:
            self.calls *= 2
            took = seconds(self.work.run, self.calls)
        share = max(effort.fewest - len(self.samples), int(effort.seconds / max(took, effort.turn)))
        self.rounds = min(effort.rounds, share)

    def turn(self, least: float) -> None:
        """Measure for as long, at least once, after a call that does not count."""
        end = time.perf_counter() + least
        if not self.work.sample:
            self.work.run()
        with self._watched():
            self.samples.append(self.once())
            while time.perf_counter() < end:
                self.samples.append(self.once())

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """See whether others want the processor, too."""
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor

    def is_due(self, round: int, rounds: int) -> bool:
        """Whether it takes part in this round: an engine that takes part in some takes part at even intervals."""
        return round * self.rounds // rounds < (round + 1) * self.rounds // rounds

    @property
    def row(self) -> Measured:
        lower, median, upper = quartiles(self.samples)
        busy = min(1.0, self.processor / self.wall) if self.wall else 1.0
        return Measured(median, lower, upper, len(self.samples), busy)


def seconds(work: Callable[[], object], calls: int = 1) -> float:
    """How long so many calls take."""
    start = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        work()
    return time.perf_counter() - start


def quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """A quarter, half, and three quarters of the samples are at most as large."""
    if len(samples) == 1:
        return (samples[0],) * 3
    lower, median, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return lower, median, upper


def numbers(result: Any) -> Numbers:
    """All numbers of nested lists, tuples and arrays, in a row."""
    if isinstance(result, (list, tuple)):
        return np.concatenate([np.empty(0), *map(numbers, result)])
    return np.array(result, dtype=float).ravel()  # a copy: arrays are overwritten by later calls


def disagreement(found: Numbers, expected: Numbers) -> str:
    """Where numbers differ from the expected ones, if they do."""
    if found.shape != expected.shape:
        return f"it gives {found.size:,} numbers, and reference {expected.size:,}"
    for i, (x, y) in enumerate(zip(found.tolist(), expected.tolist())):
        if not math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12):
            what = f"its gradient's number {i:,}" if i else "its value"
            return f"{what} is {x!r}, and reference's {y!r}"
    return ""


def measure(
    workload: Workload, names: Sequence[str], seed: int, effort: Effort, rows: dict[str, Row], tell: Tell
) -> None:
    """Check the engines, measure those that are right, and fill in the rows, even if a KeyboardInterrupt ends it."""
    check_size = workload.check_size or workload.size
    problem, small = (workload.problem(np.random.default_rng(seed), size) for size in (workload.size, check_size))
    tell(f"{workload.name}: reference")
    reference = Entry("reference", (workload.reference or workload.engines["reference"])(small), effort)
    _set_aside()
    expected = reference.first_results()
    entries: list[Entry] = []

    def attempt(name: str, action: Callable[[], str | None]) -> bool:
        """Do it; if it fails, or tells what is wrong, that is the engine's row."""
        tell(f"{workload.name}: {ENGINES[name].label}")
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
        """Check an engine, and let it take part if nothing is wrong."""
        ENGINES[name].load()
        make = workload.engines[name]
        entry = Entry(name, make(small), effort) if name != "reference" else reference
        _set_aside()
        if entry is not reference and (wrong := entry.disagreement(expected)):
            return wrong
        entries.append(entry if check_size == workload.size else Entry(name, make(problem), effort))
        return ""

    try:
        for name in workload.engines:
            if name in names:
                attempt(name, functools.partial(admit, name))
        _set_aside()
        _take_turns(entries, seed, ONCE if workload.once else effort, attempt)
    finally:
        _take_back()
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


def _set_aside() -> None:
    """Keep what is in memory now from Python's collector: what the engines need beside their own garbage."""
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy has none
        gc.freeze()
        gc.collect()  # counts what is left, on which depends how often all is looked at


def _take_back() -> None:
    if hasattr(gc, "unfreeze"):
        gc.unfreeze()
