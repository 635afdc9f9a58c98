"""Executor: runs a recorded function, and compiles it for each kind of call when the first such call comes.

Any number of threads may run one. Compiling takes a lock, and fork() waits for it. A long run from the main thread
can be interrupted.
"""

from __future__ import annotations

import _thread
import functools
import operator
import os
import threading
from typing import Any, Callable

import numpy as np

from pygrad._handles import formula
from pygrad._lib import Numbers, c_doubles, c_ids_of, check, ffi, lib, text
from pygrad._locks import Lock
from pygrad.program import native
from pygrad.program.recorded import Recorded
from pygrad.program.signature import KEYWORD_ONLY
from pygrad.program.structures import Segment, has_dataclass, map_structure, structured, subscript

Kind = tuple[tuple[bool, ...], int]  # of a call: which of the arguments of pg_compile are batches, and what it computes

VALUES, GRADIENT, TANGENTS = lib.PG_VALUES, lib.PG_GRADIENT, lib.PG_TANGENTS

BACKENDS = ("kernels", "native", "auto")
_WORTHWHILE = range(1_000, 200_001)  # instructions of a graph that "auto" makes native code for

# These give up the GIL: see build_ffi.py.
_pg_run = ffi.addressof(lib, "pg_run")
_pg_run_and_add_grads = ffi.addressof(lib, "pg_run_and_add_grads")
_pg_run_until = ffi.addressof(lib, "pg_run_until")

_POINTERS = ffi.typeof("double*[]")
_LONG = 60e6  # ns: a run that may take longer can be interrupted, which costs it 50 µs

_compiling = Lock()  # threads that make the same kind of call for the first time compile it once


def thread_count(threads: int) -> int:
    """The number of threads as an int; ValueError if C does not accept it."""
    count = operator.index(threads)
    if not 1 <= count < 1 << 31:
        raise ValueError(f"threads must be between 1 and 2**31 - 1, got {threads}")
    return count


def backend_name(backend: str | None) -> str:
    """The name of a backend, by default that in PYGRAD_BACKEND; ValueError if there is no such backend."""
    given = backend
    if backend is None:
        backend, given = os.environ.get("PYGRAD_BACKEND") or "kernels", "the environment variable PYGRAD_BACKEND"
    if backend not in BACKENDS:
        what = "backend" if given == backend else given
        raise ValueError(f"{what} must be one of {', '.join(map(repr, BACKENDS))}, got {backend!r}")
    return backend


def new_rows(batch: int | None, size: int) -> Numbers:
    """An array for `size` numbers of one sample, or of each sample of a batch."""
    return np.empty(size if batch is None else (batch, size))


class Executor:
    """Runs a recorded function.

    Attributes
    ----------
    recorded
        the function
    check_finite
        whether callers are to call require_finite()
    backend
        one of BACKENDS
    """

    def __init__(self, recorded: Recorded, threads: int, check_finite: bool, backend: str) -> None:
        self.recorded, self.check_finite, self.backend = recorded, check_finite, backend
        self.threads = threads
        self._what = f"a run of {recorded.name}"
        self.parameter_count = recorded.parameters.size
        self._parameter_ids = recorded.parameters._ids
        self._parameter_pointer = c_ids_of(self._parameter_ids)
        self._routines: dict[Kind, tuple[Any, float, bool]] = {}  # the batch from which on a run is long; is native

    @property
    def threads(self) -> int:
        """How many threads share the work on a batch."""
        return self._threads

    @threads.setter
    def threads(self, threads: int) -> None:
        self._threads = thread_count(threads)

    # Running ----------------------------------------------------------------------------------------------------------

    def run(
        self, kind: Kind, arguments: list[Numbers], batch: int | None, results: list[Numbers], to_grads: bool = False
    ) -> None:
        """Compute the results in place. Arguments and results are those of pg_run for this kind of call.

        With `to_grads`, the last result, the gradient by the parameters, is added to their grads. It is undefined then.
        """
        if batch == 0:
            for result in results:
                result.fill(0)
        else:
            routine, long_from, _ = self._routines.get(kind) or self._compiled(kind)
            numbers = ffi.new(_POINTERS, [c_doubles(x) for x in arguments + results])
            short = (batch or 1) < long_from
            add, to_grads = to_grads and short, to_grads and not short
            run = _pg_run_and_add_grads if add else _pg_run
            run = run if short else functools.partial(_run_heeding_signals, arguments, results)
            check(run(routine, batch or 1, numbers, self._threads), self._what)
        if to_grads:
            self.add_to_parameters(results[-1])

    @_compiling.guards
    def _compiled(self, kind: Kind) -> tuple[Any, float, bool]:
        if kind not in self._routines:
            is_native = self.backend == "native" or (self.backend == "auto" and self._is_worthwhile())
            routine = self.new_routine(kind, is_native)
            if is_native:
                native.load(routine, self.owned_text(lib.pg_emit_native(routine)), self.recorded.name)
            self._routines[kind] = routine, lib.pg_long_batch(routine, _LONG), is_native
        return self._routines[kind]

    def new_routine(self, kind: Kind, is_native: bool) -> Any:
        """A pg_routine for a kind of call: for the kernels, or for native code and C."""
        batched, wanted = kind
        sizes = [leaf.size for leaf in self.recorded.leaves]
        wanted |= lib.PG_NATIVE if is_native else 0
        routine = lib.pg_compile(self.recorded.pg_program, len(sizes), sizes, batched, wanted)
        if not routine:
            raise MemoryError(f"there is not enough memory to compile {self.recorded.name}()")
        return ffi.gc(routine, lib.pg_routine_free)

    def _is_worthwhile(self) -> bool:
        """Whether "auto" means native code here: a compiler is found, and the graph is neither small nor huge."""
        return lib.pg_program_size(self.recorded.pg_program) in _WORTHWHILE and native.compiler() is not None

    # For csrc/python/call.c, which runs calls without the methods above -----------------------------------------------

    def plan(self) -> tuple[Any, ...]:
        """What a call takes and returns, for which the C type asks when the settings have changed.

        The shape of each argument, or None for a structure, or what is passed by keyword. The limits of each index, or
        None for other arguments. The shape of the result: that of all numbers, if it is a structure. Then the same
        structure with the place of each number, and the Segment of each array; False, if C cannot make it; or None for
        an array. Then a function that makes the structure from all numbers. The ids of the parameters. Whether the
        result is one number; `check_finite`; and the number of threads.
        """
        recorded, result = self.recorded, self.recorded.result
        is_array = type(result) is Segment
        return (
            tuple([None if a.kind is KEYWORD_ONLY else a.shape for a in recorded.arguments]),
            tuple([None if a.kind is KEYWORD_ONLY else a.limits for a in recorded.arguments]),
            result.shape if is_array else (recorded.result_size,),
            None if is_array else not has_dataclass(result) and map_structure(_outline, result),
            functools.partial(structured, result),
            np.ascontiguousarray(self._parameter_ids),
            recorded.is_scalar,
            self.check_finite,
            self._threads,
        )

    def address(self, *kind: Any) -> tuple[int, float] | None:
        """The address of the pg_routine for a kind of call, and the batch from which on a run is long, or None.

        The executor keeps the routine.
        """
        found = self._routines.get(kind)
        return found and (int(ffi.cast("uintptr_t", found[0])), found[1])

    def add_to_parameters(self, gradient: Numbers) -> None:
        """Add to the grads of the parameters."""
        status = lib.pg_add_grads(gradient.size, self._parameter_pointer, c_doubles(gradient))
        check(status, "a parameter")

    # Searching for inf and nan ----------------------------------------------------------------------------------------

    def require_finite(
        self,
        what: str,
        numbers: Numbers,
        batched: bool,
        batch: int | None,
        arguments: list[Numbers],
        *cotangent: Any,
        where: Callable[..., str] = subscript,
    ) -> None:
        """Raise FloatingPointError if one of the numbers is not finite, and name the op that made it.

        `batched` says whether the first axis of the numbers is that of the samples. With a cotangent, the op may be
        one of the backward pass. `where` makes the place for the message of an index in the numbers.
        """
        finite = np.isfinite(numbers)
        if finite.all():
            return
        at = tuple(np.argwhere(~finite)[0].tolist())
        found = where(*at)
        place = f", at {found}" if found else ""
        origins = (self._origin(i, arguments, *cotangent) for i in ([at[0]] if batched else range(batch or 1)))
        origin = next((f": {words}" for words in origins if words), "")
        raise FloatingPointError(f"{what} of {self.recorded.name} is {numbers[at]}{place}{origin}")

    def _origin(self, sample: int, arguments: list[Numbers], *cotangent: Numbers) -> str | None:
        """Describe the first op of a sample that makes inf or nan from finite numbers; None if there is none."""
        recorded = self.recorded
        shapes = [*(leaf.shape for leaf in recorded.leaves), ()]
        of_sample = [x if x.shape == shape else x[sample] for x, shape in zip([*arguments, *cotangent], shapes)]
        inputs = np.concatenate([np.zeros(0), *map(np.ravel, of_sample)])
        symbol, found = ffi.new("const char **"), ffi.new("double[3]")
        count = lib.pg_find_not_finite(recorded.pg_program, c_doubles(inputs), bool(cotangent), symbol, found)
        check(count, f"the search for inf and nan in {recorded.name}")
        *operands, result = list(found)[:count] or [None]
        words = text(symbol[0]) if count else ""
        return f"{formula(words, *operands) if operands else words} is {result}" if count else None

    # Listings ---------------------------------------------------------------------------------------------------------

    @_compiling.guards
    def graph_listing(self) -> str:
        """The graph as it was recorded."""
        return self.owned_text(lib.pg_program_text(self.recorded.pg_program))

    @_compiling.guards
    def code_listings(self) -> list[str]:
        """The code for each kind of call so far."""
        return [
            f"{'native code' if is_native else 'code'} for {kind}:\n{self.owned_text(lib.pg_routine_text(routine))}"
            for kind, (routine, _, is_native) in self._routines.items()
        ]

    def owned_text(self, chars: Any) -> str:
        """A text that C has allocated for the caller, who frees it here."""
        if not chars:
            raise MemoryError(f"there is not enough memory for the text of {self.recorded.name}()")
        return text(ffi.gc(chars, lib.pg_text_free)).rstrip()


def _outline(segment: Segment) -> Any:
    return segment if segment.shape else segment.start


# Signals ----------------------------------------------------------------------------------------------------------


def _run_heeding_signals(arguments: list[Numbers], results: list[Numbers], *run: Any) -> int:
    """Run in another thread while the main thread waits, since Python handles signals in the main thread, outside C.

    The thread is not a threading.Thread: the interpreter would wait for it at exit, and for ever if a second signal
    had interrupted its join().
    """
    status: int
    if threading.current_thread() is not threading.main_thread():
        status = _pg_run(*run)
        return status
    process = os.getpid()
    stop = ffi.new("bool *")
    statuses: list[int] = []
    running = threading.Lock()
    running.acquire()

    def work(*numbers: list[Numbers]) -> None:  # its arguments keep the arrays until the run has stopped
        try:
            statuses.append(_pg_run_until(*run, stop))
        finally:
            running.release()

    try:
        try:
            _thread.start_new_thread(work, (arguments, results))
        except RuntimeError:  # no thread can be started: there are too many, or the interpreter exits
            status = _pg_run(*run)
            return status
        while not running.acquire(timeout=0.1):  # Windows starts signal handlers between waits
            if os.getpid() != process:
                raise RuntimeError("a signal handler forked during this run, which only the parent process can finish")
    except BaseException:
        lib.pg_stop(stop)
        raise
    return statuses[0]
