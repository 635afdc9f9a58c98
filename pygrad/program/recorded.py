"""Recorded: what a Program is, apart from how it is run. Tracing a function makes one, and so does reading a file."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from pygrad._lib import NULL, Numbers, c_ids_of, lib
from pygrad.array import Array, hold
from pygrad.program import graph
from pygrad.program.arguments import Argument, Leaf
from pygrad.program.signature import KEYWORD_ONLY, signature_of
from pygrad.program.structures import Segment, Shape, map_structure, segments_of

# A call's numbers: the array of each leaf, which of them are batches, and the size of these (None without any).
BatchedNumbers = tuple[list[Numbers], tuple[bool, ...], Optional[int]]


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recorded function.

    Attributes
    ----------
    name
        of the function, for messages
    arguments
        what it accepts
    result
        the structure of what it returns
    pg_program
        its graph in C
    parameters
        the Array of its parameters
    """

    name: str
    arguments: tuple[Argument, ...]
    result: Any
    pg_program: Any
    parameters: Array

    @functools.cached_property
    def leaves(self) -> list[Leaf]:
        """The leaves of all arguments."""
        return [leaf for argument in self.arguments for leaf in argument.leaves]

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """How calls pass the arguments."""
        return signature_of(self.arguments)

    @functools.cached_property
    def _positional(self) -> int:
        """How many arguments a call may pass by position, if it may pass all so; else -1."""
        return -1 if any(a.kind is KEYWORD_ONLY for a in self.arguments) else len(self.arguments)

    @functools.cached_property
    def result_size(self) -> int:
        """How many numbers a result has."""
        return sum(segment.stop - segment.start for segment in segments_of(self.result))

    @functools.cached_property
    def is_scalar(self) -> bool:
        """Whether the function returns one Value."""
        return type(self.result) is Segment and not self.result.shape

    @functools.cached_property
    def has_pullbacks(self) -> bool:
        """Whether there are functions with a backward of their own in it: see `pygrad.custom_vjp`."""
        return bool((graph.arrays_of(self.pg_program)["ops"] == graph.OP_CODES["PULLBACK"]).any())

    def require_tangents(self) -> None:
        """Raise TypeError unless the operations of the function have tangents."""
        if self.has_pullbacks:
            raise TypeError(
                f"jvp() differentiates in forward mode, but {self.name}() uses a pygrad.custom_vjp, which has only a "
                "backward: use value_and_grad, vjp or jacobian"
            )

    def require_scalar(self, method: str) -> None:
        """Raise TypeError unless the function returns one Value."""
        if not self.is_scalar:
            raise TypeError(
                f"{method}() needs a function with one scalar result; {self.name}() returns {self.result!r}"
            )

    def bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Sequence[Any]:
        """What a call passes for each argument, or their defaults."""
        if not kwargs and len(args) == self._positional:
            return args
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            by_position = not kwargs and self._positional >= 0
            why = f"{self.name}() {error}: the Program is {self.name}{self.signature}"
            raise TypeError(self._refusal(len(args), "argument") if by_position else why) from None
        bound.apply_defaults()
        return tuple(bound.arguments.values())

    def numbers(self, args: Sequence[Any], what: str = "argument") -> BatchedNumbers:
        """The numbers of the leaves of the arguments of a call, or with what="tangent" of their tangents."""
        numbers = [leaf.numbers(part, what) for leaf, part in self.parts(args, what)]
        return numbers, *self.batch_of([x.shape for x in numbers], what)

    def batch_of(self, shapes: Sequence[Shape], what: str = "argument") -> tuple[tuple[bool, ...], int | None]:
        """Which leaves are batches, by the shapes of what is passed for them, and the size of these."""
        batched, batch = [], None
        for leaf, shape in zip(self.leaves, shapes):
            batched.append(shape != leaf.shape)
            if batched[-1] and batch is None:
                batch, first = shape[0], leaf.name
            if batched[-1] and batch != shape[0]:
                raise ValueError(
                    f"all batches must have the same size: {what} {first} is a batch of {batch}, "
                    f"{what} {leaf.name} is a batch of {shape[0]}"
                )
        return tuple(batched), batch

    def parts(self, args: Sequence[Any], what: str = "argument") -> Iterator[tuple[Leaf, Any]]:
        """The leaves of the arguments of a call, or of their tangents, and what is passed for each."""
        if len(args) != len(self.arguments):
            raise TypeError(self._refusal(len(args), what))
        parts = itertools.chain.from_iterable([a.parts(x, what) for a, x in zip(self.arguments, args)])
        return zip(self.leaves, parts)

    def by_argument(self, numbers: Sequence[Numbers]) -> tuple[Any, ...]:
        """Arrays, one for each leaf, in the structures of the arguments: floats and arrays, None for an index."""
        found = iter([leaf.of(x) for leaf, x in zip(self.leaves, numbers)])
        return tuple([map_structure(lambda _: next(found), a.structure) for a in self.arguments])

    def _refusal(self, given: int, what: str) -> str:
        count = len(self.arguments)
        shapes = ", ".join(repr(getattr(a.structure, "shape", a.structure)) for a in self.arguments)
        plural = "s" * (count != 1)
        of = f" (shape{plural} {shapes})" if count else ""
        return f"{self.name}() takes {count} {what}{plural}{of}, got {given}"


def parameters_of(pg_program: Any) -> Array:
    """An Array of the parameters of a program in C. It keeps their nodes alive."""
    ids = np.empty(lib.pg_program_parameters(pg_program, NULL), dtype=np.uint32)
    lib.pg_program_parameters(pg_program, c_ids_of(ids))
    return hold(ids)
