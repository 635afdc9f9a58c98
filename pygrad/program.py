"""compile: record the graph of a function once, and run it again and again on other numbers, without Python.

The recorded graph is a Program. Turning it into code for one kind of arguments, and running that, is C: csrc/program.c,
lower.c and kernels.c. Here is what goes in and what comes out.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad._handles import formula
from pygrad._lib import Ids, Numbers, c_ids_of, check, error, ffi, lib, text
from pygrad._numbers import is_number
from pygrad.arguments import Shape, _Argument, _IndexLeaf, _Leaf, _map, _shape_of
from pygrad.array import Array, array, as_elements, hold
from pygrad.checkpoint import PathLike, replacing
from pygrad.engine import Value
from pygrad.index import Lookups

Kind = tuple[tuple[bool, ...], int]  # of a call: which of pg_compile's arguments are batches, and what is wanted

_from_buffer = ffi.from_buffer
# Recording reads the arena, and compiling sorts by a table of its own: both keep the GIL. See build_ffi.py.
_record, _compile, _run = lib.pg_record, lib.pg_compile, ffi.addressof(lib, "pg_run")
_run_until = ffi.addressof(lib, "pg_run_until")
_DOUBLES, _POINTERS = ffi.typeof("double[]"), ffi.typeof("double*[]")
_FLOAT64 = np.dtype(np.float64)
_VALUES, _GRADIENT, _TANGENTS = lib.PG_VALUES, lib.PG_GRADIENT, lib.PG_TANGENTS
_HVP = _GRADIENT | _TANGENTS
_C_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class TraceWarning(UserWarning):
    """A function read numbers while it was traced; in the Program they are constants."""


def compile(
    fn: Callable[..., Any], *example_args: Any, threads: int = 1, check_finite: bool = False, _without: int = 0
) -> Program:
    """Call a function of Values once, and return a Program that computes the same from other numbers.

    Parameters
    ----------
    fn
        Takes Values and Arrays, and returns a Value, an Array, a number, or lists, tuples and dicts of these. What it
        does must not depend on the numbers: where there is an `if` on a number, the Program goes the example's way.
    example_args
        One for each argument: a number is a `Value` to the function, a NumPy array an `Array`, a list or tuple the same
        nested lists or tuples of these. The Program keeps their structure and shapes.
    threads
        How many threads share the work on a batch. The results are the same bits whatever their number.
    check_finite
        Whether a result or a gradient that is inf or nan raises FloatingPointError. Else nothing does: programs
        compute inf and nan as NumPy does.

    Returns
    -------
    Program
        See there how to call it. Leaves that were there before, such as the weights of a model, are its parameters,
        whose numbers are read anew at each call. Numbers that the function makes Values of are constants.

    Raises
    ------
    TypeError
        if an example or a result is none of the above, or the function uses a Value with a `_backward` in Python
    Exception
        whatever the function raises for the examples

    Warns
    -----
    TraceWarning
        if the function reads the `data` or `grad` of Values that depend on its arguments, or that it made, or sets
        their `data`.

    Examples
    --------
    >>> slope = Value(3.0)
    >>> f = compile(lambda x: slope * x**2, 1.0)
    >>> f(2.0), f([1.0, 2.0, 3.0])
    (12.0, array([ 3., 12., 27.]))
    >>> f.value_and_grad(2.0), slope.grad
    ((12.0, (12.0,)), 4.0)
    """
    program = Program(fn, example_args, threads, check_finite, _without)
    if program._reads:
        warnings.warn(
            f"{program._name} read or set the numbers of {program._reads:,} traced Values; in the Program what it read "
            "is a constant, and nothing is set",
            TraceWarning,
            stacklevel=2,
        )
    return program


# Tracing ----------------------------------------------------------------------------------------------------------

_one_trace = threading.RLock()
_tracer: int | None = None  # the thread that traces


@contextlib.contextmanager
def _tracing() -> Iterator[list[int]]:
    """Nodes made here are traced. Gives a list, to which it adds at the end how often their data was read."""
    global _tracer
    reads: list[int] = []
    with _one_trace:
        if _tracer is not None:
            raise RuntimeError("compile() was called by a function that is being compiled")
        _tracer = threading.get_ident()
        lib.pg_trace_begin()
        try:
            yield reads
        finally:
            reads.append(lib.pg_trace_end())
            _tracer = None


def _after_fork_in_child() -> None:
    """Forget the trace of another thread of the parent: it is not here to end it."""
    global _one_trace, _tracer
    if _tracer != threading.get_ident():
        _one_trace, _tracer = threading.RLock(), None
        lib.pg_trace_end()


os.register_at_fork(after_in_child=_after_fork_in_child)


class _Nodes:
    """The Values and Arrays of a structure, one after the other."""

    def __init__(self) -> None:
        self.nodes: list[Value | Array] = []
        self.size = 0

    def add(self, node: Value | Array) -> _Leaf:
        """The place of another one."""
        leaf = _Leaf(node.shape if isinstance(node, Array) else (), self.size)
        self.nodes.append(node)
        self.size = leaf.stop
        return leaf

    def ids(self) -> Ids:
        """The ids of all, in a row."""
        return _in_a_row([n._ids.ravel() if isinstance(n, Array) else np.array([n._id]) for n in self.nodes])


def _in_a_row(ids: list[Any]) -> Ids:
    return np.concatenate([[], *ids]).astype(np.uint32)


def _traced_result(name: str, x: Any) -> Value | Array:
    """What a function returned, as nodes."""
    if isinstance(x, (Value, Array)):
        return x
    if isinstance(x, np.ndarray):
        return array(x)
    if not is_number(x):
        raise TypeError(
            f"{name} must return Values, Arrays, numbers, or lists, tuples or dicts of these, not {type(x).__name__!r}"
        )
    return Value(x)


# A pg_program is for one thread at a time, and compiling keeps the GIL: so one lock does for all of them. fork() waits
# for it.
_one_compiles = threading.RLock()
os.register_at_fork(
    before=_one_compiles.acquire, after_in_parent=_one_compiles.release, after_in_child=_one_compiles.release
)


# Programs ---------------------------------------------------------------------------------------------------------


class Program:
    """A function's graph, to be run on other numbers than those it was recorded with; `pygrad.compile` makes one.

    `f(*args)` gives what the function would return, with numbers in place of Values: a Python float for a Value, a
    NumPy array for an Array, in the same lists, tuples and dicts. An argument with the shape of its example is one
    sample. With one more leading axis it is a batch: a sample for each index, all batches of the same size. Both kinds
    mix: what is not a batch is shared by all samples. The results have the leading axis if any argument does.

    `print(f)` lists the graph as it was recorded, and for each kind of call so far the code that it has become: `s` are
    slots of numbers that all samples share, `b` of one a sample; i, j and t count results, rows of results, and terms
    of sums.

    A Program can be saved and loaded, pickled and copied; it needs the function no more. The other one computes the
    same, to the last bit. Its parameters are its own, with the numbers that these have now and no gradient.

    Attributes
    ----------
    check_finite
        as given to `pygrad.compile`; it may be assigned

    Examples
    --------
    >>> from pygrad import compile
    >>> f = compile(lambda x, y: {"sum": x + y, "dot": x @ y}, np.zeros(2), np.zeros(2))
    >>> f([1.0, 2.0], [3.0, 4.0])
    {'sum': array([4., 6.]), 'dot': 11.0}
    >>> f([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]])["dot"]
    array([11., 17.])
    """

    def __init__(
        self, fn: Callable[..., Any], examples: Sequence[Any], threads: int, check_finite: bool, without: int
    ) -> None:
        name = getattr(fn, "__name__", None)
        self._name = name if isinstance(name, str) else type(fn).__name__
        self.threads, self.check_finite = threads, check_finite
        _shape_of(examples)  # raises what there is to raise before anything is traced
        outputs, lookups = _Nodes(), Lookups()
        with _tracing() as reads:
            self._arguments: list[_Argument] = []
            for index, example in enumerate(examples):
                before = self._arguments[-1].first + self._arguments[-1].size if index else 0
                self._arguments.append(_Argument(index, example, before, lookups))
            result = fn(*[argument.given for argument in self._arguments])
            self._tree = _map(lambda x: outputs.add(_traced_result(self._name, x)), result)
        lookups.ended = True
        (self._reads,) = reads
        self._outputs = outputs.size
        held = [argument.traced for argument in self._arguments], result  # until the graph is recorded
        inputs = _in_a_row([argument.end_trace(lookups) for argument in self._arguments])
        # It holds the parameters before the traced graph goes, which may be all that does.
        self._take(_recorded(self._name, inputs, outputs.ids(), lookups, without), without)
        del held

    def _take(self, program: Any, without: int) -> None:
        """Run this pg_program from now on."""
        self._program, self._without = program, without
        ids = np.empty(lib.pg_program_parameters(program, ffi.NULL), dtype=np.uint32)
        lib.pg_program_parameters(program, c_ids_of(ids))
        self._parameters = hold(ids)
        self._ids = self._parameters._ids
        self._id_pointer = c_ids_of(self._ids)
        self._routines: dict[Kind, Any] = {}
        self._long_from: dict[Kind, float] = {}

    @property
    def parameters(self) -> Array:
        """The leaves that there were before, in one row."""
        return self._parameters

    @property
    def threads(self) -> int:
        """How many threads share the work on a batch, from 1 to 2**31 - 1. It may be assigned."""
        return self._threads

    @threads.setter
    def threads(self, threads: int) -> None:
        count = operator.index(threads)
        if not 1 <= count < 1 << 31:
            raise ValueError(f"threads are from 1 to 2**31 - 1, and not {threads}")
        self._threads = count

    def __call__(self, *args: Any) -> Any:
        """The results for the arguments; see the class.

        Raises
        ------
        TypeError
            if there are more or fewer arguments than were traced, or one is not made of real numbers
        ValueError
            if an argument has neither the shape traced nor that of a batch, or batches have different sizes
        FloatingPointError
            with `check_finite`, if a result is not finite
        """
        arguments, batched, batch = self._numbers_of(args)
        results = _rows(batch, self._outputs)
        self._run((batched, _VALUES), arguments, batch, [results])
        if self.check_finite:
            self._check("a result", results, batch is not None, batch, arguments)
        tree = self._tree
        return tree.of(results) if type(tree) is _Leaf else _map(lambda leaf: leaf.of(results), tree)

    def value_and_grad(self, *args: Any, cotangent: npt.ArrayLike = 1.0) -> tuple[Any, tuple[Any, ...]]:
        """Return the one result of the function, and its gradients, each times the cotangent.

        Parameters
        ----------
        args
            as for a call
        cotangent
            a number, or one a sample: an array of shape (B,)

        Returns
        -------
        value
            what a call returns
        gradients
            a tuple with the gradient by each argument, in the structure of the argument: for each sample if the
            argument is a batch, else added up over the batch. Those by the parameters are added up, too, and added to
            their `grad`, as `backward()` would.

        Raises
        ------
        TypeError
            if the function does not return just one Value, or as a call does
        ValueError, FloatingPointError
            as a call does; then no `grad` has changed

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: x * y, 1.0, 1.0)
        >>> f.value_and_grad([1.0, 2.0], 10.0)
        (array([10., 20.]), (array([10., 10.]), 3.0))
        """
        self._refuse_unless_scalar("value_and_grad")
        arguments, batched, batch = self._numbers_of(args)
        weight, weighted = _cotangent(cotangent)
        if weighted:
            if batch is not None and batch != len(weight):
                raise ValueError(f"the cotangent is of {len(weight)} samples, and the arguments of {batch}")
            batch = len(weight)
        values = np.empty(1 if batch is None else (batch, 1))
        gradients = [np.empty(x.shape) for x in arguments]
        by_parameters = np.empty(self._ids.size)
        key = (*batched, weighted), _GRADIENT
        self._run(key, [*arguments, weight], batch, [values, *gradients, by_parameters])
        if self.check_finite:
            self._check("a result", values, batch is not None, batch, arguments)
            for i, gradient in enumerate(gradients):
                self._check(f"the gradient by argument {i}", gradient, batched[i], batch, arguments, weight)
            self._check("the gradient by a parameter", by_parameters, False, batch, arguments, weight)
        if by_parameters.size:
            status = lib.pg_add_grads(self._ids.size, self._id_pointer, _from_buffer(_DOUBLES, by_parameters))
            check(status, "a parameter")
        return self._tree.of(values), tuple([a.gradient(g) for a, g in zip(self._arguments, gradients)])

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        """Return the results, and how they change in a direction: the Jacobian times a vector, forward.

        Parameters
        ----------
        primals
            the arguments, as for a call
        tangents
            the direction: for each argument one in the same structure (None for an index), or batches of these

        Returns
        -------
        results, tangents
            both in the structure of what a call returns, with the leading axis if anything had it

        Raises
        ------
        TypeError, ValueError, IndexError
            as a call does

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: [x * y, x.exp()], 1.0, 1.0)
        >>> f.jvp((0.0, 3.0), (1.0, 0.0))
        ([0.0, 1.0], [3.0, 1.0])
        """
        arguments, batched, batch = self._with_tangents(primals, tangents)
        results = [_rows(batch, self._outputs) for _ in range(2)]
        self._run((batched, _TANGENTS), arguments, batch, results)
        if self.check_finite:
            self._check("a result", results[0], batch is not None, batch, arguments[: len(primals)])
            self._check("a tangent", results[1], batch is not None, batch, arguments[: len(primals)])
        values, directions = (_map(lambda leaf: leaf.of(part), self._tree) for part in results)  # noqa: B023
        return values, directions

    def jacobian(self, *args: Any) -> Any:
        """Return the derivatives of all results by all arguments, one `jvp` for each number of these.

        Parameters
        ----------
        args
            as for a call. With a batch among them, all is for each sample.

        Returns
        -------
        Any
            in the structure of what a call returns, for each Value or Array a tuple with its derivatives by each
            argument: an array of shape (B, *shape of the result, *shape of the argument), without B if there is no
            batch; None for an index.

        Raises
        ------
        TypeError, ValueError, IndexError
            as a call does

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: x * y, np.ones(2), 1.0)
        >>> f.jacobian([3.0, 4.0], 5.0)
        (array([[5., 0.],
               [0., 5.]]), array([3., 4.]))
        """
        slopes, lead = self._in_every_direction(args, _TANGENTS)

        def by_arguments(leaf: _Leaf) -> tuple[Any, ...]:
            part = slopes[..., leaf.start : leaf.stop, :].reshape(*lead, *leaf.shape, slopes.shape[-1])
            return tuple(a.structured(part[..., a.first : a.first + a.size]) for a in self._arguments)

        return _map(by_arguments, self._tree)

    def hvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
        """Return how the gradient changes in a direction: the Hessian of the one result times a vector.

        Forward over reverse: the tangent of the gradient, at a small multiple of its cost (Pearlmutter, 1994).

        Parameters
        ----------
        primals, tangents
            as for `jvp`

        Returns
        -------
        tuple
            for each argument the product, in its structure (None for an index). If anything is a batch, so is all:
            nothing is added up over the samples, unlike in `value_and_grad`, and no `grad` changes.

        Raises
        ------
        TypeError
            if the function does not return just one Value, or as a call does
        ValueError, IndexError
            as a call does

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: x**2 * y, 1.0, 1.0)
        >>> f.hvp((3.0, 4.0), (1.0, 0.0))
        (8.0, 6.0)
        """
        self._refuse_unless_scalar("hvp")
        arguments, batched, batch = self._with_tangents(primals, tangents)
        n = len(self._arguments)
        if batch is not None and any(batched[:n]):  # then what is shared has a gradient a sample, too
            arguments[:n] = [self._for_each(a, x, batch) for a, x in zip(self._arguments, arguments)]
            batched = (*(True,) * n, *batched[n:])
        products = [_rows(batch, a.size) for a in self._arguments]
        self._run((batched, _HVP), arguments, batch, products)
        if self.check_finite:
            for i, product in enumerate(products):
                self._check(f"the product for argument {i}", product, batch is not None, batch, arguments[:n])
        return tuple(a.structured(part) for a, part in zip(self._arguments, products))

    def hessian(self, *args: Any) -> tuple[tuple[Any, ...], ...]:
        """Return the second derivatives of the one result, one `hvp` for each number of the arguments.

        Parameters
        ----------
        args
            as for a call. With a batch among them, all is for each sample.

        Returns
        -------
        tuple
            `h[i][j]`: the derivatives by argument i and then j, of shape (B, *shape of i, *shape of j), without B if
            there is no batch; None where one is an index.

        Raises
        ------
        TypeError, ValueError, IndexError
            as `hvp` does

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: x**2 * y, 1.0, 1.0)
        >>> f.hessian(3.0, 4.0)
        ((8.0, 6.0), (6.0, 0.0))
        """
        self._refuse_unless_scalar("hessian")
        slopes, lead = self._in_every_direction(args, _HVP)

        def by_second(first: _Argument, second: _Argument) -> Any:
            block = slopes[..., first.first : first.first + first.size, second.first : second.first + second.size]
            # One leaf of the first argument at a time: its own axes, then those of the second.
            return _map(
                lambda leaf: (
                    None
                    if isinstance(leaf, _IndexLeaf)
                    else second.structured(
                        block[..., leaf.start : leaf.stop, :].reshape(*lead, *leaf.shape, second.size)
                    )
                ),
                first.tree,
            )

        return tuple(tuple(by_second(first, second) for second in self._arguments) for first in self._arguments)

    def save(self, path: PathLike) -> None:
        """Write the Program, with the numbers that its parameters have now, to a file for `Program.load`.

        The file is a .npz of numbers, which runs no code when it is loaded. It is written beside its place and then
        renamed: whatever happens meanwhile, there is the old file or the new one.

        Raises
        ------
        TypeError
            if the results are in a dict with keys that are not strings, numbers or None

        Examples
        --------
        >>> import tempfile
        >>> from pygrad import compile
        >>> w = Value(2.0)
        >>> f = compile(lambda x: w * x, 1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     f.save(f"{folder}/double.npz")
        ...     g = Program.load(f"{folder}/double.npz")
        >>> w.data = 100.0
        >>> f(1.0), g(1.0), g.parameters
        (100.0, 2.0, Array([2.]))
        """
        from pygrad import persistence

        persistence.save(self, path)

    @classmethod
    def load(cls, path: PathLike) -> Program:
        """Read a Program that `save` has written. A named tuple among the results has become a tuple.

        Raises
        ------
        FileNotFoundError
            if there is no such file
        ValueError
            if it is damaged, something else, or from a newer version of pygrad
        """
        from pygrad import persistence

        return persistence.load(cls, path)

    def __reduce__(self) -> tuple[Any, ...]:
        from pygrad import persistence

        return persistence.loads, (type(self), persistence.dumps(self))

    def _in_every_direction(self, args: Sequence[Any], wanted: int) -> tuple[Numbers, Shape]:
        """The derivatives by all numbers of the arguments, on the last axis, and the axes that are there for samples.

        Of the results, or for _HVP of the gradient: on the last axis but one.
        """
        arguments, _, batch = self._numbers_of(args)
        n = sum(a.size for a in self._arguments)
        samples = 1 if batch is None else batch
        if batch is not None:
            arguments = [np.repeat(self._for_each(a, x, batch), n, axis=0) for a, x in zip(self._arguments, arguments)]
        directions = np.tile(np.eye(n), (samples, 1))
        tangents = [np.ascontiguousarray(directions[:, a.first : a.first + a.size]) for a in self._arguments]
        flags = (*(batch is not None,) * len(arguments), *(True,) * len(arguments))
        sizes = [a.size for a in self._arguments] if wanted == _HVP else [self._outputs] * 2
        rows = [np.empty((samples * n, size)) for size in sizes]
        self._run((flags, wanted), arguments + tangents, samples * n, rows)
        slopes = np.concatenate([np.empty((samples * n, 0)), *rows], axis=1) if wanted == _HVP else rows[-1]
        if self.check_finite:
            self._check("a derivative", slopes, batch is not None, samples * n, arguments)
        lead = () if batch is None else (batch,)
        return slopes.reshape(*lead, n, slopes.shape[1]).swapaxes(-1, -2), lead

    def _for_each(self, argument: _Argument, x: Numbers, batch: int) -> Numbers:
        """The numbers of an argument for each sample."""
        return np.ascontiguousarray(np.broadcast_to(x, (batch, *argument.shape)))

    def _refuse_unless_scalar(self, method: str) -> None:
        if not self._is_scalar():
            raise TypeError(f"{method}() is for a function with one scalar result; {self._name} returns {self._tree!r}")

    def _is_scalar(self) -> bool:
        """Whether the function returns just one Value."""
        return type(self._tree) is _Leaf and not self._tree.shape

    def _with_tangents(
        self, primals: Sequence[Any], tangents: Sequence[Any]
    ) -> tuple[list[Numbers], tuple[bool, ...], int | None]:
        """The numbers of arguments and of their tangents, which of these are batches, and of what size."""
        for name, given in [("primals", primals), ("tangents", tangents)]:
            if not isinstance(given, (list, tuple)):
                raise TypeError(f"{name} must be a tuple with one entry an argument, not {type(given).__name__!r}")
        arguments, batched, batch = self._numbers_of(primals)
        directions, also, directed = self._numbers_of(tangents, "tangent")
        if batch is not None and directed is not None and batch != directed:
            raise ValueError(f"the primals are a batch of {batch}, and the tangents one of {directed}")
        return arguments + directions, batched + also, directed if batch is None else batch

    def _numbers_of(
        self, args: Sequence[Any], what: str = "argument"
    ) -> tuple[list[Numbers], tuple[bool, ...], int | None]:
        """The numbers of the arguments, or of their tangents; which of them are batches, and of what size."""
        if len(args) != len(self._arguments):
            shapes = ", ".join(repr(a.tree if a.is_row else a.shape) for a in self._arguments)
            raise TypeError(
                f"{self._name} was traced with {len(self._arguments)} arguments, of shapes {shapes}; {len(args)} came"
            )
        arguments, batched, batch = [], [], None
        for argument, x in zip(self._arguments, args):
            found = argument.numbers(x, what)
            arguments.append(found)
            batched.append(found.shape != argument.shape)
            if batched[-1] and batch is None:
                batch, first = len(found), argument.index
            if batched[-1] and batch != len(found):
                raise ValueError(
                    f"{what} {first} is a batch of {batch}, and {what} {argument.index} one of {len(found)}"
                )
        return arguments, tuple(batched), batch

    def _run(self, key: Kind, arguments: list[Numbers], batch: int | None, results: list[Numbers]) -> None:
        """Compute the results, in place."""
        if batch == 0:
            for result in results:
                result.fill(0)
            return
        routine = self._routines.get(key) or self._compiled(key)
        numbers = ffi.new(_POINTERS, [_from_buffer(_DOUBLES, x) for x in arguments + results])
        short = (batch or 1) < self._long_from[key]
        run = _run if short else functools.partial(_run_heeding_signals, arguments, results)
        check(run(routine, batch or 1, numbers, self.threads), f"a run of {self._name}")

    def _compiled(self, key: Kind) -> Any:
        """The routine for one kind of arguments."""
        batched, wanted = key
        with _one_compiles:
            if key not in self._routines:
                sizes = [argument.size for argument in self._arguments]
                routine = _compile(self._program, len(sizes), sizes, batched, wanted)
                if not routine:
                    raise MemoryError(f"there is no memory to compile {self._name}")
                self._long_from[key] = lib.pg_long_batch(routine, _LONG)
                self._routines[key] = ffi.gc(routine, lib.pg_routine_free)
            return self._routines[key]

    def _check(
        self, what: str, numbers: Numbers, batched: bool, batch: int | None, arguments: list[Numbers], *cotangent: Any
    ) -> None:
        """Raise FloatingPointError if one of the numbers is not finite, and name the op that it comes from."""
        finite = np.isfinite(numbers)
        if finite.all():
            return
        at = tuple(np.argwhere(~finite)[0].tolist())
        where = f", at index {at}" if at else ""
        origins = (self._origin(i, arguments, *cotangent) for i in ([at[0]] if batched else range(batch or 1)))
        origin = next((f": {words}" for words in origins if words), "")
        raise FloatingPointError(f"{what} of {self._name} is {numbers[at]}{where}{origin}")

    def _origin(self, sample: int, arguments: list[Numbers], *cotangent: Numbers) -> str | None:
        """The first op of a sample that makes inf or nan of finite numbers; with a cotangent, of its gradient, too."""
        shapes = [*(argument.shape for argument in self._arguments), ()]
        rows = [x if x.shape == shape else x[sample] for x, shape in zip([*arguments, *cotangent], shapes)]
        inputs = np.concatenate([np.zeros(0), *map(np.ravel, rows)])
        symbol, found = ffi.new("const char **"), ffi.new("double[3]")
        count = lib.pg_find_not_finite(self._program, _from_buffer(_DOUBLES, inputs), bool(cotangent), symbol, found)
        if count < 0:
            raise error(count, f"the search for what is not finite in {self._name}")
        *operands, result = list(found)[:count] or [None]
        words = text(symbol[0]) if count else ""
        return f"{formula(words, *operands) if operands else words} is {result}" if count else None

    def to_c(self, path: PathLike, name: str | None = None) -> None:
        r"""Write a C file that computes what a call for one sample does, and the gradient if the result is one Value.

        It is C99 without pygrad: `gcc -std=c99 -O2 -c slope.c`, and `-lm` where it is linked. It begins with what it
        has: for the name "slope", the functions `slope_value` and `slope_gradient`, the sizes of the arrays that they
        take, and `slope_parameters`, the numbers that the parameters have now.

        Parameters
        ----------
        path
            of the file. Whatever happens meanwhile, there is the old file or the new one.
        name
            what all names in the file begin with. By default that is the function's name, or "f" if that is no name
            in C.

        Raises
        ------
        ValueError
            if `name` is no name in C
        OSError
            if the file cannot be written

        Examples
        --------
        >>> import tempfile
        >>> from pygrad import compile
        >>> factor = Value(3.0)
        >>> f = compile(lambda x: factor * x**2, 1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     f.to_c(f"{folder}/slope.c", "slope")

        Beside that file, this one prints "12", then "12, 4", compiled with `gcc main.c -lm`::

            #include <stdio.h>
            #include "slope.c"

            int main(void) {
              double x[slope_INPUTS] = {2.0}, work[slope_WORK], y, by_x[slope_INPUTS], by_factor[slope_PARAMETERS];
              slope_value(x, slope_parameters, &y, work);
              printf("%g\n", y);
              slope_gradient(x, slope_parameters, 1.0, &y, by_x, by_factor, work);
              printf("%g, %g\n", by_x[0], by_factor[0]);
              return 0;
            }
        """
        if name is None:
            name = self._name if _C_NAME.fullmatch(self._name) else "f"
        if not _C_NAME.fullmatch(name):
            raise ValueError(f"a name in C has letters, digits and _, and begins with no digit; {name!r} is none")
        shared = (False,) * len(self._arguments)
        kinds: list[Kind] = [(shared, _VALUES), ((*shared, False), _GRADIENT)]
        routines = [self._compiled(kind) for kind in kinds[: 1 + self._is_scalar()]]
        numbers = _from_buffer(_DOUBLES, np.ascontiguousarray(self.parameters.data))
        code = self._listing(lib.pg_export(len(routines), routines, numbers))
        text = f"{self._c_comment()}\n{code}\n"
        with replacing(path) as file:
            file.write(re.sub(r"\bpg_", f"{name}_", text).encode())

    def _c_comment(self) -> str:
        """What a C file begins with; names in it begin with pg_."""
        inputs = [
            f" *   inputs[{a.first}{f' to {a.first + a.size - 1}' if a.size > 1 else ''}]: argument {a.index}, "
            + (f"{a.tree!r}" if isinstance(a.tree, _Leaf) else "its numbers one after the other")
            for a in self._arguments
            if a.size
        ]
        return "\n".join(
            [
                f"/* Written by pygrad {version('pygrad')}. C99; to be linked with -lm.",
                " *",
                " * pg_value puts the pg_OUTPUTS results into outputs, one after the other, arrays in C order.",
                " * pg_gradient, which is there for one result, also puts its gradient, times the cotangent, into",
                " * input_gradient and parameter_gradient. inputs are pg_INPUTS numbers, those of the arguments one",
                " * after the other, arrays in C order, integers as numbers, too. Where parameters is NULL, they are",
                " * pg_parameters. work has room for pg_WORK numbers, and serves one call at a time.",
                *([" *", *inputs] if inputs else []),
                " */",
            ]
        )

    def __str__(self) -> str:
        with _one_compiles:
            return "\n\n".join(
                [self._listing(lib.pg_program_text(self._program))]
                + [f"code for {kind}:\n{self._listing(lib.pg_routine_text(r))}" for kind, r in self._routines.items()]
            )

    def __repr__(self) -> str:
        counts = self._listing(lib.pg_program_text(self._program)).partition("\n")[0]
        return f"<Program of {self._name}: {re.sub(r'[0-9]+', lambda n: f'{int(n[0]):,}', counts)}>"

    def _listing(self, listing: Any) -> str:
        if not listing:
            raise MemoryError(f"there is no memory for the listing of {self._name}")
        return text(ffi.gc(listing, lib.pg_text_free)).rstrip()


def _recorded(name: str, inputs: Ids, outputs: Ids, lookups: Lookups, without: int) -> Any:
    """The pg_program of a traced graph."""
    if any(lib.pg_flags_of(id) & lib.PG_PINNED for id in set(outputs.tolist())):
        raise TypeError(f"{name} uses Values with a _backward in Python, which no Program can run")
    nodes, indices, tables, rows, elements = lookups.arrays()
    pointers = [_from_buffer("uint32_t[]", x) for x in (nodes, indices, tables, rows, elements)]
    described = ffi.new("pg_lookups *", [nodes.size, *pointers[:3], rows.size, *pointers[3:]])
    program = _record(inputs.size, c_ids_of(inputs), outputs.size, c_ids_of(outputs), described, without)
    if not program:
        if not all(map(lib.pg_refs, outputs.tolist())):
            raise error(lib.PG_STALE, f"the result of {name}")
        raise MemoryError(f"there is no memory to record {name}")
    return ffi.gc(program, lib.pg_program_free)


# Signals ----------------------------------------------------------------------------------------------------------

_LONG = 60e6  # ns: a run that may take longer must hear Ctrl-C, which costs it 50 µs


def _run_heeding_signals(arguments: list[Numbers], results: list[Numbers], *run: Any) -> int:
    """A run in a thread of its own, while the main thread waits: only there Python hears signals, and not inside C."""
    if threading.current_thread() is not threading.main_thread():
        return _run(*run)
    stop = ffi.new("bool *")
    status: list[int] = []

    def work(*numbers: list[Numbers]) -> None:  # which must stay until the run has heard that it is to stop
        status.append(_run_until(*run, stop))

    thread = threading.Thread(target=work, args=(arguments, results), name="pygrad run")
    try:
        try:
            thread.start()
        except RuntimeError:  # there are no more threads, or none any more at interpreter exit
            return _run(*run)
        thread.join()
    except BaseException:
        stop[0] = True
        raise
    return status[0]


def _rows(batch: int | None, size: int) -> Numbers:
    """Room for the results of one sample, or of each of a batch."""
    return np.empty(size if batch is None else (batch, size))


def _cotangent(x: npt.ArrayLike) -> tuple[Numbers, bool]:
    """The cotangent's numbers, and whether there is one a sample."""
    if type(x) is float:
        return np.array(x), False
    weight = np.asarray(as_elements(x), order="C")
    if weight.ndim > 1 or weight.dtype != _FLOAT64:
        raise ValueError(f"a cotangent is a number, or an array with one a sample, not {x!r}")
    return weight, weight.ndim == 1
