"""gradcheck: compares derivatives with finite differences, for functions of Values and Arrays, and for Programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Callable, NamedTuple

import numpy as np

from pygrad._lib import Numbers
from pygrad._numbers import is_number
from pygrad.array import Array, make_leaves
from pygrad.engine import Value
from pygrad.program import Program
from pygrad.program.signature import spread
from pygrad.program.structures import IndexSegment, arrays_in, leaves_of, map_structure, subscript


class GradcheckError(RuntimeError):
    """A derivative that `pygrad.gradcheck` found to be wrong, as `torch.autograd.gradcheck.GradcheckError`."""


def gradcheck(
    f: Callable[..., Any],
    *args: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Compare the derivatives of a function with central differences, as `torch.autograd.gradcheck` does.

    Parameters
    ----------
    f
        a function of Values and Arrays, of which `backward()` gives the derivatives; or a Program, of which
        `value_and_grad` and `jacobian` do, also those by its parameters
    args
        where to compare: numbers, NumPy arrays, Values, Arrays, and lists, tuples, dicts and dataclasses of these. The
        function gets new Values and Arrays of their numbers. Indices, and what is not made of numbers, stay as they
        are.
    eps
        the step of the differences: each number is changed by eps in both directions
    atol, rtol
        the difference of a derivative a and the numeric one n is at most atol + rtol * abs(n)
    raise_exception
        whether to raise if a derivative is wrong

    Returns
    -------
    bool
        True if all derivatives are right, of all results by all numbers; else False, without `raise_exception`

    Raises
    ------
    GradcheckError
        if a derivative is wrong: its text has the one with the largest error, where it is, and how many are wrong
    TypeError
        if the function returns something else than Values, Arrays, numbers and structures of these

    Examples
    --------
    >>> from pygrad import compile
    >>> gradcheck(lambda x, y: (x * y).tanh(), 0.5, np.ones(3))
    True
    >>> gradcheck(compile(lambda x: (x * x).sum(), np.zeros(3)), [1.0, 2.0, 3.0])
    True
    >>> gradcheck(lambda x: x * x.detach(), 3.0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    pygrad.checking.GradcheckError: the derivative of the result by argument 0 is 3.0, and by differences 6, ...
    """
    checked: _Checked = _OfProgram(f, args) if isinstance(f, Program) else _OfFunction(f, args)
    with np.errstate(all="ignore"):  # what is not finite is wrong
        numeric = _differences(checked, eps)
        errors = [(analytic, np.abs(analytic - numeric)) for analytic in checked.jacobians()]
    for analytic, error in errors:
        allowed = atol + rtol * np.abs(numeric)
        wrong = ~((error <= allowed) | (analytic == numeric))  # an error may be nan
        if wrong.any():
            if not raise_exception:
                return False
            excess = np.where(wrong, np.nan_to_num(error - allowed, nan=np.inf), -np.inf)
            row, column = map(int, np.unravel_index(np.argmax(excess), error.shape))
            count = np.count_nonzero(wrong)
            raise GradcheckError(
                f"the derivative of the result{_place(checked.results, row)} by {_place(checked.inputs, column)} is "
                f"{analytic[row, column]}, and by differences {numeric[row, column]:.6g}, an error of "
                f"{error[row, column]:.6g} where {allowed[row, column]:.6g} is allowed; {count} of {wrong.size} "
                f"derivatives {'is' if count == 1 else 'are'} wrong"
            )
    return True


class _Part(NamedTuple):
    """An array among the inputs or the results."""

    name: str
    shape: tuple[int, ...]


class _Checked:
    """A function of a row of numbers, and its derivatives.

    Attributes
    ----------
    row
        the numbers where it is checked
    inputs, results
        what these numbers, and those of a result, are
    """

    row: Numbers
    inputs: list[_Part]
    results: list[_Part]

    def values(self, row: Numbers) -> Numbers:
        """The numbers of the results."""
        raise NotImplementedError

    def jacobians(self) -> Iterator[Numbers]:
        """The derivatives of all results, the first axis, by all numbers, in each way that there is."""
        raise NotImplementedError


class _OfFunction(_Checked):
    """A function of Values and Arrays."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any]) -> None:
        self._f, self._args = f, list(args)
        found = [(f"argument {k}{at}", x) for k, arg in enumerate(args) for at, x in leaves_of(arg) if _varies(x)]
        self.inputs = [_Part(name, _numbers(x).shape) for name, x in found]
        self.row = _joined([_numbers(x) for _, x in found])
        self.results = [_Part(at, _numbers(x).shape) for at, x in leaves_of(self._call(self.row)[1])]

    def _call(self, row: Numbers) -> tuple[list[Value | Array], Any]:
        """New leaves of the numbers, and what the function returns for them."""
        leaves: list[Value | Array] = []
        start = 0

        def leaf(x: Any) -> Any:
            nonlocal start
            if not _varies(x):
                return x
            shape, first = _numbers(x).shape, start
            start += math.prod(shape)
            numbers = row[first:start].reshape(shape)
            is_array = isinstance(x, (np.ndarray, Array))
            leaves.append(make_leaves(numbers) if is_array else Value(numbers.item()))
            return leaves[-1]

        return leaves, self._f(*map_structure(leaf, self._args))

    def values(self, row: Numbers) -> Numbers:
        return _joined([_numbers(x) for _, x in leaves_of(self._call(row)[1])])

    def jacobians(self) -> Iterator[Numbers]:
        count = sum(math.prod(part.shape) for part in self.results)
        yield np.array([self._gradient(k) for k in range(count)]).reshape(count, self.row.size)

    def _gradient(self, which: int) -> Numbers:
        """The derivatives of one number of the results. Each is of a graph of its own, whose grads are 0."""
        leaves, returned = self._call(self.row)
        for _, x in leaves_of(returned):
            size = _numbers(x).size
            if which < size:
                if isinstance(x, (Value, Array)):
                    (x if isinstance(x, Value) else x.ravel()[which]).backward()
                break
            which -= size
        return _joined([np.asarray(leaf.grad) for leaf in leaves])


class _OfProgram(_Checked):
    """A Program. Its parameters are an argument here, so that no grad changes."""

    def __init__(self, f: Program, args: Sequence[Any]) -> None:
        given = [map_structure(_plain, x) for x in f._recorded.bound(args, {})]
        self._f = f.pure()
        recorded = self._recorded = self._f._recorded
        if recorded is not f._recorded:
            given = [f.parameters.data, *given]
        self._numbers, _, batch = recorded.numbers(given)
        if batch is not None:
            raise ValueError("gradcheck() of a Program takes one sample, got a batch of arguments")
        varying = [(leaf, x) for leaf, x in zip(recorded.leaves, self._numbers) if not _is_index(leaf.segment)]
        is_pure = recorded is not f._recorded
        names = ["the parameters" if is_pure and not leaf.start else f"argument {leaf.name}" for leaf, _ in varying]
        self.inputs = [_Part(name, leaf.shape) for name, (leaf, _) in zip(names, varying)]
        self.row = _joined([x for _, x in varying])
        self.results = [_Part(at, segment.shape) for at, segment in leaves_of(recorded.result)]

    def _passed(self, row: Numbers) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a call for these numbers."""
        recorded, start, parts = self._recorded, 0, []
        for leaf, x in zip(recorded.leaves, self._numbers):
            varies = not _is_index(leaf.segment)
            parts.append(row[start : start + leaf.size].reshape(leaf.shape) if varies else x.astype(np.intp))
            start += varies * leaf.size
        found = iter(parts)
        return spread(
            recorded.arguments, [map_structure(lambda _: next(found), a.structure) for a in recorded.arguments]
        )

    def values(self, row: Numbers) -> Numbers:
        args, kwargs = self._passed(row)
        return _joined(arrays_in(self._f(*args, **kwargs)))

    def jacobians(self) -> Iterator[Numbers]:
        args, kwargs = self._passed(self.row)
        arrays = arrays_in(self._f.jacobian(*args, **kwargs))
        sizes = [math.prod(part.shape) for part in self.results]
        rows = [[next(arrays).reshape(size, math.prod(part.shape)) for part in self.inputs] for size in sizes]
        yield np.concatenate([np.zeros((0, self.row.size)), *(np.hstack(row) for row in rows if row)])
        if self._recorded.is_scalar:
            yield _joined(arrays_in(self._f.value_and_grad(*args, **kwargs)[1])).reshape(1, -1)


def _differences(checked: _Checked, eps: float) -> Numbers:
    """The derivatives by central differences."""
    columns = []
    for k in range(checked.row.size):
        ahead, behind = checked.row.copy(), checked.row.copy()
        ahead[k] += eps
        behind[k] -= eps
        columns.append((checked.values(ahead) - checked.values(behind)) / (ahead[k] - behind[k]))
    rows = sum(math.prod(part.shape) for part in checked.results)
    return np.array(columns).reshape(checked.row.size, rows).T


def _place(parts: Sequence[_Part], number: int) -> str:
    """Where a number of the row of all parts is."""
    for part in parts:
        size = math.prod(part.shape)
        if number < size:
            break
        number -= size
    return part.name + subscript(*map(int, np.unravel_index(number, part.shape)))


def _joined(arrays: Iterable[Numbers]) -> Numbers:
    return np.concatenate([np.zeros(0), *(np.ravel(x) for x in arrays)])


def _plain(x: Any) -> Any:
    return x.data if isinstance(x, (Value, Array)) else x


def _is_index(segment: Any) -> bool:
    return isinstance(segment, IndexSegment)


def _varies(x: Any) -> bool:
    """Whether an argument of a function is made of real numbers."""
    is_real = is_number(x) and not isinstance(x, bool)
    return is_real or isinstance(x, (Value, Array)) or (isinstance(x, np.ndarray) and x.dtype.kind == "f")


def _numbers(x: Any) -> Numbers:
    """The numbers of a result, or of an argument."""
    if not (isinstance(x, (Value, Array, np.ndarray)) or is_number(x)):
        raise TypeError(
            f"gradcheck() takes a function that returns Values, Arrays or numbers, got {type(x).__name__!r}"
        )
    return np.asarray(_plain(x), dtype=np.float64)
