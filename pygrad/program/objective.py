"""Objective: a compiled function as one of a flat vector, for the optimizers and samplers of other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad._lib import Numbers
from pygrad.array import as_elements
from pygrad.program.recorded import Recorded
from pygrad.program.signature import spread
from pygrad.program.structures import IndexSegment, arrays_in, segments_of, structured


class Objective:
    """A function of one vector, which returns the value and the gradient of a Program; `Program.objective` makes one.

    It changes no `grad`, and can be pickled, for the processes of a pool.

    Parameters
    ----------
    value_and_grad
        of a Program without parameters
    recorded
        what that Program records
    args
        its arguments; None for one whose numbers are in the vector
    cotangent
        the weight of the value, or of each sample

    Attributes
    ----------
    size
        how many numbers the vector has

    Examples
    --------
    >>> from pygrad import compile
    >>> f = compile(lambda x, y: (x[0] - 1) ** 2 + x[1] ** 2 + y**2, np.zeros(2), 0.0)
    >>> objective = f.objective()
    >>> objective(np.array([2.0, 3.0, 4.0]))
    (26.0, array([2., 6., 8.]))
    """

    def __init__(
        self,
        value_and_grad: Callable[..., tuple[Any, tuple[Any, ...]]],
        recorded: Recorded,
        args: Sequence[Any],
        cotangent: npt.ArrayLike = 1.0,
    ) -> None:
        recorded.require_scalar("objective")
        self._value_and_grad, self._arguments, self._args = value_and_grad, recorded.arguments, list(args)
        self._cotangent = as_elements(cotangent)
        self._free = [argument for argument, x in zip(recorded.arguments, args) if x is None]
        if len(args) == len(recorded.arguments) and not self._free:
            raise ValueError(f"objective() of {recorded.name} needs an argument that is None: one to vary")
        for argument in self._free:
            if any(isinstance(segment, IndexSegment) for segment in segments_of(argument.structure)):
                raise TypeError(f"argument {argument.shown} is an index, which cannot vary: pass its integers")
        self.size = sum(argument.size for argument in self._free)
        recorded.numbers(self._with(np.zeros(self.size)))  # raises what a call would

    def __call__(self, x: npt.ArrayLike) -> tuple[float, Numbers]:
        """Return the value, of a batch the sum over the samples, and its gradient, which has the shape of x.

        Raises
        ------
        TypeError, ValueError
            if x is not a vector of `size` real numbers
        FloatingPointError
            with `check_finite`, if the value or a gradient is not finite
        """
        positional, by_keyword = spread(self._arguments, self._with(x))
        values, gradients = self._value_and_grad(*positional, **by_keyword, cotangent=self._cotangent)
        of_free = [part.ravel() for part in arrays_in([gradients[argument.position] for argument in self._free])]
        return float(np.sum(values * self._cotangent)), np.concatenate(of_free)

    def pack(self, *args: Any) -> Numbers:
        """Return the vector of the arguments that vary, each in the structure of its example.

        Raises
        ------
        TypeError, ValueError
            if there are more or fewer, or one has not the structure and shapes of its example

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda w, b, x: (w @ x + b) ** 2, np.zeros(2), 0.0, np.zeros(2))
        >>> f.objective(None, None, [1.0, 1.0]).pack([3.0, 4.0], 5.0)
        array([3., 4., 5.])
        """
        if len(args) != len(self._free):
            raise TypeError(f"pack() takes the {len(self._free)} arguments that vary, got {len(args)}")
        return np.concatenate([part for argument, x in zip(self._free, args) for part in argument.packed(x)])

    def unpack(self, x: npt.ArrayLike) -> tuple[Any, ...]:
        """Return the arguments that vary, each in the structure of its example: what pack() takes.

        Raises
        ------
        TypeError, ValueError
            if x is not a vector of `size` real numbers

        Examples
        --------
        >>> from pygrad import compile
        >>> f = compile(lambda w, b, x: (w @ x + b) ** 2, np.zeros(2), 0.0, np.zeros(2))
        >>> f.objective(None, None, [1.0, 1.0]).unpack([3.0, 4.0, 5.0])
        (array([3., 4.]), 5.0)
        """
        numbers = as_elements(x)
        if numbers.dtype != np.float64:
            raise TypeError(f"an objective takes a vector of real numbers, got {type(x).__name__}")
        if numbers.shape != (self.size,):
            raise ValueError(f"an objective takes a vector of shape ({self.size},), got {numbers.shape}")
        ends = np.cumsum([argument.size for argument in self._free])[:-1]
        return tuple([structured(a.structure, part) for a, part in zip(self._free, np.split(numbers, ends))])

    def _with(self, x: npt.ArrayLike) -> list[Any]:
        """All arguments of a call."""
        args = list(self._args)
        for argument, part in zip(self._free, self.unpack(x)):
            args[argument.position] = part
        return args
