"""Program and compile: what users see of compiled functions."""

from __future__ import annotations

import copy
import functools
import re
import warnings
from collections.abc import Sequence
from typing import Any, Callable, TypeVar

import numpy as np
import numpy.typing as npt

from pygrad._lib import Numbers, fast
from pygrad._replacing import PathLike
from pygrad.array import Array, as_elements
from pygrad.index import Index
from pygrad.program import compose, derivatives, files
from pygrad.program.c_source import write_c
from pygrad.program.executor import GRADIENT, VALUES, Executor, backend_name, new_rows, thread_count
from pygrad.program.native import required_compiler
from pygrad.program.objective import Objective
from pygrad.program.pure import pure
from pygrad.program.recorded import Recorded
from pygrad.program.signature import spread
from pygrad.program.structures import place, structured
from pygrad.program.trace import TraceWarning, trace
from pygrad.program.weighted import weighted

_FLOAT64 = np.dtype(np.float64)

Class = TypeVar("Class", bound=type[Any])


def compile(
    fn: Callable[..., Any],
    *example_args: Any,
    threads: int = 1,
    check_finite: bool = False,
    backend: str | None = None,
    **keyword_examples: Any,
) -> Program:
    """Call a function of Values once, and return a Program that computes the same from other numbers.

    Parameters
    ----------
    fn
        takes Values and Arrays, and returns a Value, an Array, a number, or a structure of these: lists, tuples, named
        tuples, dicts and dataclasses, with None where there is nothing. The Program repeats the operations of this one
        call: an `if` on a number goes the way that it went for the examples.
    example_args, keyword_examples
        as in a call of the function: it receives a `Value` for a number, an `Array` for a NumPy array, an `Index` for a
        `pygrad.index`, and the same structure of these for a structure. The Program accepts arguments of the same
        structure and shapes, of dicts with the same keys. Nested lists and tuples of plain numbers are one argument,
        passed as an array or as lists. In other structures, each array, number or index is an argument of its own: it
        may be a batch while others are not. What has no example has its default, and is no argument of the Program.
        A function that takes `threads`, `check_finite` or `backend` gets these by position.
    threads
        how many threads share the work on a batch. The results have the same bits for any number of threads.
    check_finite
        whether to raise FloatingPointError if a result or a gradient is inf or nan. By default, programs compute inf
        and nan as NumPy does, and raise nothing.
    backend
        what runs the Program: "kernels", vector loops that are part of pygrad; "native", machine code that the system's
        C compiler makes at the first call of each kind, and that pygrad keeps in a cache on disk; or "auto", native
        code where there is a compiler and the graph has 1,000 to 200,000 nodes, else kernels. The default is the
        environment variable PYGRAD_BACKEND, or "kernels". Results of the backends agree to rounding.

    Returns
    -------
    Program
        to be called like the function. Leaves that existed before, such as the weights of a model, are its parameters,
        whose data it reads at each call. Leaves that the function makes are constants. What it makes cannot be used
        after compile() has returned, only shown: such Values and Arrays have the numbers of the example.

    Raises
    ------
    TypeError
        if an example or a result is none of the above, the function does not take the examples, or it uses a Value
        with a `_backward` in Python
    ValueError
        if `threads` is not between 1 and 2**31 - 1, or there is no such backend
    RuntimeError
        if a function that is being compiled calls compile(), or uses a Value or Array that another such function made;
        or there is no C compiler for the backend "native"
    MemoryError
        if there is not enough memory
    Exception
        whatever the function raises for the examples

    Warns
    -----
    TraceWarning
        if the function reads the `data` or `grad` of Values, compares Values, sets their `data`, or asks whether one
        that it made is true; at the line that does so first

    Examples
    --------
    >>> from pygrad import Value
    >>> slope = Value(3.0)
    >>> f = compile(lambda x: slope * x**2, 1.0)
    >>> f(2.0), f([1.0, 2.0, 3.0])
    (12.0, array([ 3., 12., 27.]))
    >>> f.value_and_grad(2.0), slope.grad
    ((12.0, (12.0,)), 4.0)
    """
    thread_count(threads)  # these raise before the function is called
    backend = backend_name(backend)
    if backend == "native":
        required_compiler()
    recorded, reads, line = trace(fn, example_args, keyword_examples)
    program = Program(recorded, threads, check_finite, backend)
    if reads:
        message = (
            f"{recorded.name}() read or set numbers of Values {reads:,} times, or asked whether a Value is true; in "
            "the Program, the numbers that it read are constants, and it sets none: compute with the Values, choose by "
            "maximum(), minimum() and relu(), and pass what is to vary as an argument"
        )
        if line:  # that did so first
            warnings.warn_explicit(message, TraceWarning, *line)
        else:
            warnings.warn(message, TraceWarning, stacklevel=2)
    return program


def _derived(cls: Class) -> Class:
    """Return the C type derived from a class (csrc/python/call.c), or this one where there is no such type."""
    if not fast:
        return cls
    signature = "(recorded, threads=1, check_finite=False, backend=None)"
    scalars = tuple([np.dtype(kind).type for kind in "dfeilhbILHB?"])
    derived: Class = fast.derive_program(cls, signature, np.ndarray, np.empty, scalars, Index)
    return derived


@_derived
class Program:
    """A recorded function, to be called with other numbers than those of its examples; `pygrad.compile` makes one.

    `f(*args)` returns what the function would return, with numbers in place of Values: a float for a Value, a NumPy
    array for an Array, in the same structure. An argument of the shape of its example is one sample. An argument with
    one more leading axis is a batch of samples; all batches of a call have the same size. Both kinds mix: all samples
    share an argument that is not a batch. The results have the leading axis if any argument has it.

    `print(f)` lists the graph as it was recorded, and the code for each kind of call so far: `s` are slots of numbers
    that all samples share, `b` are slots with a number for each sample; i, j and t count results, rows of results, and
    terms of sums.

    Programs can be saved and loaded, pickled and copied. The copy does not need the function. It computes the same
    bits, and has parameters of its own, with the data that the original's have now, and no gradient.

    Parameters
    ----------
    recorded
        the record of the function
    threads, check_finite, backend
        as for `pygrad.compile`

    Examples
    --------
    >>> from pygrad import compile
    >>> f = compile(lambda x, y: {"sum": x + y, "dot": x @ y}, np.zeros(2), np.zeros(2))
    >>> f([1.0, 2.0], [3.0, 4.0])
    {'sum': array([4., 6.]), 'dot': 11.0}
    >>> f([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]])["dot"]
    array([11., 17.])
    """

    __slots__ = () if fast else ("__dict__", "__weakref__")  # the C type has both

    def __init__(
        self, recorded: Recorded, threads: int = 1, check_finite: bool = False, backend: str | None = None
    ) -> None:
        self._recorded = recorded
        self._executor = Executor(recorded, threads, check_finite, backend_name(backend))
        self.__signature__ = recorded.signature
        self._settings_changed()

    def _settings_changed(self) -> None:
        """What the C type knows of them is wrong now."""

    @property
    def parameters(self) -> Array:
        """The leaves that existed before the function was compiled and that it used, as an Array with one axis.

        Examples
        --------
        >>> from pygrad import Value, compile
        >>> w = Value(2.0)
        >>> compile(lambda x: w * x, 1.0).parameters
        Array([2.])
        """
        return self._recorded.parameters

    @property
    def threads(self) -> int:
        """How many threads share the work on a batch, from 1 to 2**31 - 1. It may be assigned.

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x: x * x, 1.0)
        >>> f.threads = 2
        >>> f.threads
        2
        """
        return self._executor.threads

    @threads.setter
    def threads(self, threads: int) -> None:
        self._executor.threads = threads
        self._settings_changed()

    @property
    def backend(self) -> str:
        """What runs the Program, as `pygrad.compile` describes: "kernels", "native" or "auto".

        Examples
        --------
        >>> from pygrad import compile
        >>> compile(lambda x: x * x, 1.0, backend="kernels").backend
        'kernels'
        """
        return self._executor.backend

    @property
    def check_finite(self) -> bool:
        """Whether a call raises FloatingPointError if a result or a gradient is inf or nan. It may be assigned.

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x: x.log(), 1.0)
        >>> f(0.0)
        -inf
        >>> f.check_finite = True
        >>> f(0.0)
        Traceback (most recent call last):
        FloatingPointError: a result of <lambda> is -inf: log(0.0) is -inf
        """
        return self._executor.check_finite

    @check_finite.setter
    def check_finite(self, check_finite: bool) -> None:
        self._executor.check_finite = check_finite
        self._settings_changed()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the results for the arguments, as the class describes.

        They are passed as to the function, by position or keyword. An argument that has a default of the structure and
        shapes of the example may be left out.

        If there are Values or Arrays among them, the results are Values and Arrays, of the nodes that the function
        would make: so `backward()` goes through them, and a function that is being compiled may call a Program, which
        becomes part of its own. There, a Program with parameters also does so if it is called on numbers. A batch has
        nodes for each sample. As in all graphs, what Python's numbers refuse is an exception.
        Outside of traces, a Program that uses a `pygrad.custom_vjp` is one op, of which `vjp` is the backward.

        Raises
        ------
        TypeError
            if the arguments do not fit the function's signature, or one does not consist of real numbers
        ValueError
            if an argument does not have the structure of its example, or neither its shape nor that of a batch, or
            batches have different sizes
        IndexError
            if an index is outside of a table that it indexes
        FloatingPointError
            with `check_finite`, if a result is not finite

        Examples
        --------
        >>> from pygrad import Value, compile
        >>> f = compile(lambda x, y: x * y, 1.0, 1.0)
        >>> f(2.0, 3.0), f([1.0, 2.0], 3.0)
        (6.0, array([3., 6.]))
        >>> x = Value(2.0)
        >>> (f(x, 3.0) + x).backward()
        >>> x.grad, compile(lambda x: f(x, x), 1.0).hessian(5.0)
        (4.0, ((2.0,),))
        """
        recorded, executor = self._recorded, self._executor
        given = recorded.bound(args, kwargs)
        if compose.is_composed(recorded, given):
            return compose.call(self, given)
        numbers, batched, batch = recorded.numbers(given)
        results = new_rows(batch, recorded.result_size)
        executor.run((batched, VALUES), numbers, batch, [results])
        if executor.check_finite:
            where = functools.partial(place, recorded.result)
            executor.require_finite("a result", results, batch is not None, batch, numbers, where=where)
        return recorded.result.of(results) if recorded.is_scalar else structured(recorded.result, results)

    def value_and_grad(self, *args: Any, cotangent: npt.ArrayLike = 1.0, **kwargs: Any) -> tuple[Any, tuple[Any, ...]]:
        """Return the one result of the function, and its gradient times the cotangent.

        Parameters
        ----------
        args, kwargs
            as for a call
        cotangent
            a number, or an array of shape (B,) with one for each sample

        Returns
        -------
        value
            what a call returns
        gradients
            a tuple with the gradient with respect to each argument, in the order of the function's parameters, each in
            the structure of the argument; None for an index. A batch has a gradient for each sample. What is not a
            batch has the sum over all samples. So do the parameters: the sum is added to their `grad`, as `backward()`
            does.

        Raises
        ------
        TypeError
            if the function does not return one Value, or as a call does
        ValueError, IndexError, FloatingPointError
            as a call does; no `grad` has changed then

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: x * y, 1.0, 1.0)
        >>> f.value_and_grad([1.0, 2.0], 10.0)
        (array([10., 20.]), (array([10., 10.]), 3.0))
        """
        recorded, executor = self._recorded, self._executor
        if not recorded.is_scalar:
            recorded.require_scalar("value_and_grad")
        numbers, batched, batch = recorded.numbers(recorded.bound(args, kwargs))
        weight, weighted = _cotangent(cotangent)
        if weighted:
            if batch is not None and batch != len(weight):
                raise ValueError(
                    f"cotangent must have one number for each sample of the batch of {batch}, got {len(weight)}"
                )
            batch = len(weight)
        values = np.empty(1 if batch is None else (batch, 1))
        gradients = [np.empty(x.shape) for x in numbers]
        by_parameters = np.empty(executor.parameter_count)
        kind = (*batched, weighted), GRADIENT
        results = [values, *gradients, by_parameters]
        executor.run(kind, [*numbers, weight], batch, results, to_grads=not executor.check_finite)
        if executor.check_finite:
            where = functools.partial(place, recorded.result)
            executor.require_finite("a result", values, batch is not None, batch, numbers, where=where)
            for leaf, gradient, is_batch in zip(recorded.leaves, gradients, batched):
                what = f"the gradient by argument {leaf.name}"
                executor.require_finite(what, gradient, is_batch, batch, numbers, weight)
            executor.require_finite("the gradient by a parameter", by_parameters, False, batch, numbers, weight)
            executor.add_to_parameters(by_parameters)
        return recorded.result.of(values), recorded.by_argument(gradients)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        """Return the results and their derivatives in a direction: the Jacobian times a vector, by forward mode.

        Parameters
        ----------
        primals
            the arguments, as for a call
        tangents
            the direction: a tuple or list with an entry of the structure and shapes of each argument (None for an
            index), or batches of these. Arguments are in the order of the function's parameters.

        Returns
        -------
        results, tangents
            both in the structure of what a call returns, with the leading axis if any primal or tangent has it

        Raises
        ------
        TypeError, ValueError, IndexError, FloatingPointError
            as a call does

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: [x * y, x.exp()], 1.0, 1.0)
        >>> f.jvp((0.0, 3.0), (1.0, 0.0))
        ([0.0, 1.0], [3.0, 1.0])
        """
        return derivatives.jvp(self._executor, primals, tangents)

    def vjp(self, primals: Sequence[Any], cotangents: Any) -> tuple[Any, tuple[Any, ...]]:
        """Return the results, and cotangents times the Jacobian: the gradient of functions with any number of results.

        It costs a call, and the gradient of one sum of all results, each times its cotangent.

        Parameters
        ----------
        primals
            the arguments, as for a call
        cotangents
            numbers in the structure and shapes of the result, or batches of these

        Returns
        -------
        results
            what a call returns
        gradients
            as those of `value_and_grad`, which also says what becomes of the gradient by the parameters

        Raises
        ------
        TypeError
            if the function returns no number, or as a call does
        ValueError, IndexError, FloatingPointError
            as a call does; no `grad` has changed then

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: [x * y, x.exp()], 1.0, 1.0)
        >>> f.vjp((0.0, 3.0), [1.0, 10.0])
        ([0.0, 1.0], (13.0, 0.0))
        """
        derivatives.require_tuple("primals", primals)
        recorded, whole = self._recorded, self._weighted_now
        recorded.parts(primals)  # checks how many there are
        positional, named = spread(recorded.arguments, primals)
        results = self(*positional, **named)
        positional, named = spread(whole._recorded.arguments, (*primals, cotangents))
        return results, whole.value_and_grad(*positional, **named)[1][:-1]

    @property
    def _weighted_now(self) -> Program:
        """The sum of the results, each with a weight, with the settings that there are now."""
        self._weighted.threads, self._weighted.check_finite = self.threads, self.check_finite
        return self._weighted

    @functools.cached_property
    def _weighted(self) -> Program:
        return Program(weighted(self._recorded), backend=self.backend)

    def jacobian(self, *args: Any, **kwargs: Any) -> Any:
        """Return the derivatives of all results with respect to all arguments, at the cost of a `jvp` for each number.

        Where the function uses a `pygrad.custom_vjp`, it is that of a `vjp` for each number of the result.

        Parameters
        ----------
        args, kwargs
            as for a call. If one is a batch, there is a Jacobian for each sample.

        Returns
        -------
        Any
            in the structure of what a call returns, for each Value or Array a tuple with its derivatives with respect
            to each argument: arrays of shape `(B, *shape of the result, *shape of the argument)`, without B if there is
            no batch; None for an index

        Raises
        ------
        TypeError, ValueError, IndexError, FloatingPointError
            as a call does

        Examples
        --------
        >>> from pygrad import Value, compile
        >>> f = compile(lambda x, y: x * y, np.ones(2), 1.0)
        >>> f.jacobian([3.0, 4.0], 5.0)
        (array([[5., 0.],
               [0., 5.]]), array([3., 4.]))

        The derivatives by the parameters, here and in `jvp`, `hvp` and `hessian`, are those of `pure()`, to which they
        are the first argument:

        >>> w = Value(3.0)
        >>> g = compile(lambda x: w * x, np.ones(2))
        >>> g.pure().jacobian(g.parameters.data, [1.0, 2.0])[0]
        array([[1.],
               [2.]])
        """
        by_reverse = self._recorded.has_pullbacks and self._recorded.result_size
        weighted = self._weighted_now._executor if by_reverse else None
        return derivatives.jacobian(self._executor, self._recorded.bound(args, kwargs), weighted)

    def hvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, ...]:
        """Return the derivative of the gradient in a direction: the Hessian of the one result times a vector.

        Forward over reverse: it takes a small multiple of the time of the gradient (Pearlmutter, 1994).

        Parameters
        ----------
        primals, tangents
            as for `jvp`

        Returns
        -------
        tuple
            for each argument the product, in its structure (None for an index). If any primal or tangent is a batch,
            each product has its leading axis: unlike in `value_and_grad`, nothing is summed over the samples. No
            `grad` changes.

        Raises
        ------
        TypeError
            if the function does not return one Value, or as a call does
        ValueError, IndexError, FloatingPointError
            as a call does

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: x**2 * y, 1.0, 1.0)
        >>> f.hvp((3.0, 4.0), (1.0, 0.0))
        (8.0, 6.0)
        """
        return derivatives.hvp(self._executor, primals, tangents)

    def hessian(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], ...]:
        """Return the second derivatives of the one result, at the cost of an `hvp` for each number of the arguments.

        Parameters
        ----------
        args, kwargs
            as for a call. If one is a batch, there is a Hessian for each sample.

        Returns
        -------
        tuple
            `h[i][j]` has the derivatives with respect to argument i and then j: an array of shape `(B, *shape of i,
            *shape of j)`, without B if there is no batch; None if one of them is an index

        Raises
        ------
        TypeError, ValueError, IndexError, FloatingPointError
            as `hvp` does

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda x, y: x**2 * y, 1.0, 1.0)
        >>> f.hessian(3.0, 4.0)
        ((8.0, 6.0), (6.0, 0.0))
        """
        return derivatives.hessian(self._executor, self._recorded.bound(args, kwargs))

    def pure(self) -> Program:
        """Return the same function with its parameters as the first argument, an array of shape (P,).

        It reads no Value and changes no `grad`, so it can be sent to other processes, and the gradient by the
        parameters is a result like any other. A batch of parameters gives a gradient for each sample, and ensembles.
        The order is that of `parameters`, whose data are the first argument for the same results. A Program without
        parameters is pure, and returns itself.

        Examples
        --------
        >>> from pygrad import Value, compile
        >>> w = Value(3.0)
        >>> f = compile(lambda x: w * x, 1.0)
        >>> f.pure().value_and_grad(f.parameters.data, 2.0), w.grad
        ((6.0, (array([2.]), 3.0)), 0)
        >>> f.pure()([[1.0], [10.0]], 2.0)
        array([ 2., 20.])
        """
        if not self.parameters.size:
            return self
        return Program(pure(self._recorded), self.threads, self.check_finite, self.backend)

    def objective(self, *args: Any, cotangent: npt.ArrayLike = 1.0, **kwargs: Any) -> Objective:
        """Return a function of one vector, for the optimizers and samplers of other libraries, such as SciPy's.

        It returns the value and the gradient: `scipy.optimize.minimize(objective, objective.pack(...), jac=True)`.

        Parameters
        ----------
        args, kwargs
            as for a call, with None for each argument that is in the vector. By default all are. Others may be
            batches: the value is the sum over the samples.
        cotangent
            a number, or an array of shape (B,), with which values are multiplied: 1 / B for the mean of a batch

        Raises
        ------
        TypeError
            if the Program has parameters: those of `pure` are an argument; if the function does not return one Value,
            if an index is to vary, or as a call does
        ValueError
            if nothing is to vary, or as a call does

        Examples
        --------
        >>> from pygrad import Value, compile
        >>> f = compile(lambda w, b, x, y: (w @ x + b - y) ** 2, np.zeros(2), 0.0, np.zeros(2), 0.0)
        >>> objective = f.objective(None, None, [[1.0, 0.0], [0.0, 1.0]], [3.0, 4.0], cotangent=0.5)
        >>> objective(objective.pack([1.0, 1.0], 0.0))
        (6.5, array([-2., -3., -5.]))
        >>> slope = Value(1.0)
        >>> g = compile(lambda x, y: (slope * x - y) ** 2, 0.0, 0.0)
        >>> g.pure().objective(None, [1.0, 2.0], [3.0, 6.0])(g.parameters.data)
        (20.0, array([-20.]))
        """
        recorded = self._recorded
        if self.parameters.size:
            raise TypeError(
                f"{recorded.name} has {self.parameters.size} parameters: call pure().objective(...), to which they are "
                "the first argument (None if they are to vary, else their data)"
            )
        given = recorded.bound(args, kwargs) if args or kwargs else [None] * len(recorded.arguments)
        return Objective(self.value_and_grad, recorded, given, cotangent)

    def save(self, path: PathLike) -> None:
        """Write the Program, with the data that its parameters have now, to a file for `Program.load`.

        The file is a .npz of numbers. Loading it runs no code. It is replaced as by `pygrad.save`: if writing fails,
        the old file is intact.

        Raises
        ------
        TypeError
            if an argument or the results have a dict with keys that are not strings, numbers or None
        OSError
            if `path` is not a regular file, is read-only, or cannot be written

        Examples
        --------
        >>> import tempfile
        >>> from pygrad import Value, compile
        >>> w = Value(2.0)
        >>> f = compile(lambda x: w * x, 1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     f.save(f"{folder}/double.npz")
        ...     g = Program.load(f"{folder}/double.npz")
        >>> w.data = 100.0
        >>> f(1.0), g(1.0), g.parameters
        (100.0, 2.0, Array([2.]))
        """
        files.save(path, self._saved())

    @classmethod
    def load(cls, path: PathLike) -> Program:
        """Read a Program that `save` has written. Dataclasses become named tuples: their classes are not in the file.

        Raises
        ------
        FileNotFoundError
            if there is no such file
        ValueError
            if the file is damaged, is something else, or was written by a newer version of pygrad

        Examples
        --------
        >>> import tempfile
        >>> from pygrad import compile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     compile(lambda x: x**2, 1.0).save(f"{folder}/square.npz")
        ...     Program.load(f"{folder}/square.npz")(3.0)
        9.0
        """
        return cls(*files.load(path))

    def _saved(self) -> files.Saved:
        return files.Saved(self._recorded, self.threads, self.check_finite, self.backend)

    def __copy__(self) -> Program:
        return copy.deepcopy(self)  # copy.copy would share the parameters

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        parameters = copy.deepcopy(self.parameters, memo)
        return _unpickled(type(self), files.dumps(self._saved()), parameters, files.classes_of(self._recorded))

    def __reduce__(self) -> tuple[Any, ...]:
        classes = [cls if files.can_be_imported(cls) else None for cls in files.classes_of(self._recorded)]
        return _unpickled, (type(self), files.dumps(self._saved()), self.parameters, classes)

    def to_c(self, path: PathLike, name: str | None = None, batch: bool | Sequence[bool] = False) -> None:
        r"""Write a C file that computes what a call for one sample does, and the gradient if the result is one Value.

        It is C99 and C++11, and does not need pygrad: compile it with `gcc -std=c99 -O2 -c slope.c`, and link with
        `-lm`. Compilers take time in proportion to the program. Any number of threads may call its functions. A
        comment at its head describes its contents: for the name "slope", the functions `slope_value` and
        `slope_gradient`, the sizes of the arrays that they take, and `slope_parameters`, the data that the parameters
        have now.

        Parameters
        ----------
        path
            of the file, which is replaced as by `pygrad.save`: if writing fails, the old file is intact.
        name
            the prefix of all names in the file. The default is the name of the function, or "f" if that is not a name
            in C.
        batch
            whether there are functions for batches, too, `slope_value_batch` and `slope_gradient_batch`: True if all
            arguments are batches; or for each argument whether it is a batch, or shared by all samples. As in calls,
            gradients by what is shared are sums over the samples.

        Raises
        ------
        ValueError
            if `name` is not a name in C, or `batch` does not fit the arguments
        OSError
            if `path` is not a regular file, is read-only, or cannot be written

        Examples
        --------
        >>> import tempfile
        >>> from pygrad import Value, compile
        >>> factor = Value(3.0)
        >>> f = compile(lambda x: factor * x**2, 1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     f.to_c(f"{folder}/slope.c", "slope")

        In the same folder, this file prints "12", then "12, 4", compiled with `gcc main.c -lm`::

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
        write_c(self._executor, path, name, batch)

    def __str__(self) -> str:
        return "\n\n".join([self._executor.graph_listing(), *self._executor.code_listings()])

    def __repr__(self) -> str:
        counts = self._executor.graph_listing().partition("\n")[0]
        return f"<Program of {self._recorded.name}: {re.sub(r'[0-9]+', lambda n: f'{int(n[0]):,}', counts)}>"


def _unpickled(
    cls: type[Program], data: bytes, parameters: Array | None = None, classes: Sequence[Any] = ()
) -> Program:
    """The Program of a pickle, which names this function; older ones have neither parameters nor classes."""
    return cls(*files.loads(data, parameters, classes))


def _cotangent(x: npt.ArrayLike) -> tuple[Numbers, bool]:
    """The numbers of the cotangent, and whether there is one for each sample."""
    if type(x) is float:
        return np.array(x), False
    weight = np.require(as_elements(x), requirements=["C", "A"])
    if weight.ndim > 1 or weight.dtype != _FLOAT64:
        raise ValueError(f"cotangent must be a number or an array of shape (B,), got {x!r}")
    return weight, weight.ndim == 1
