"""Compiled functions over Dask arrays: larger than memory, or on many machines. It needs the extra `dask`.

A Dask array with one more leading axis than the example of an argument is a batch. Dask runs its chunks along that axis
one by one, on whatever scheduler it uses. Everything is lazy: what comes back are Dask arrays. The chunks determine the
bits of the results; the number of workers, and the order in which they finish, do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from operator import getitem
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt

from pygrad._distribution import install

try:
    import dask.array as da
    from dask.base import normalize_token, tokenize
    from dask.core import flatten
    from dask.delayed import Delayed, delayed
    from dask.highlevelgraph import HighLevelGraph
except ImportError as error:
    raise ImportError(f"pygrad.dask needs `{install('dask')}`") from error

from pygrad._lib import Numbers
from pygrad.program import Program
from pygrad.program.arguments import Leaf
from pygrad.program.signature import spread
from pygrad.program.structures import IndexSegment, Segment, Shape, arrays_in, map_structure, segments_of


def value(f: Program, *args: Any, **kwargs: Any) -> Any:
    """Return the results of a compiled function, for batches that are Dask arrays.

    Parameters
    ----------
    f
        without parameters: `f.pure()` has them as its first argument
    args, kwargs
        as for a call of f, but at least one is a batch and a Dask array. The chunks of all batches are aligned. All
        chunks share numbers, and arrays of the shape of the example.

    Returns
    -------
    Any
        Dask arrays of shape `(B, *shape of the result)`, in the structure of what a call returns

    Raises
    ------
    TypeError
        if f has parameters, or as a call does
    ValueError
        if no Dask array is a batch, the sizes of its chunks are unknown, or as a call does

    Examples
    --------
    >>> import dask.array as da, numpy as np, pygrad.dask
    >>> f = pygrad.compile(lambda w, x: (w @ x).exp(), np.zeros(2), np.zeros(2))
    >>> x = da.ones((1000, 2), chunks=(100, 2))
    >>> float(pygrad.dask.value(f, np.zeros(2), x).mean())
    1.0
    """
    call = _Call(f, args, kwargs)
    parts = [_Part(segment.shape, True) for segment in segments_of(call.recorded.result)]
    results = call.run(_values, parts)
    return map_structure(lambda _: next(results), call.recorded.result)


def value_and_grad(
    f: Program, *args: Any, cotangent: npt.ArrayLike | da.Array = 1.0, **kwargs: Any
) -> tuple[Any, tuple[Any, ...]]:
    """Return the one result of a compiled function, and its gradient times the cotangent, for Dask arrays.

    Parameters
    ----------
    f, args, kwargs
        as for `value`
    cotangent
        a number, or a NumPy or Dask array of shape (B,) with one for each sample

    Returns
    -------
    value
        a Dask array of shape (B,)
    gradients
        as `Program.value_and_grad` returns them, but Dask arrays. What is not a batch has the sum over all samples:
        over those of each chunk, and then over pairs of neighbouring chunks, pairs of these pairs, and so on.

    Raises
    ------
    TypeError, ValueError
        as `value` does, or if the function does not return one Value

    Examples
    --------
    >>> import dask, dask.array as da, numpy as np, pygrad.dask
    >>> f = pygrad.compile(lambda w, x: w @ x, np.zeros(2), np.zeros(2))
    >>> x = da.ones((1000, 2), chunks=(100, 2))
    >>> values, (by_w, by_x) = pygrad.dask.value_and_grad(f, np.zeros(2), x, cotangent=1 / 1000)
    >>> by_w.compute()
    array([1., 1.])
    """
    call = _Call(f, args, kwargs, cotangent)
    call.recorded.require_scalar("value_and_grad")
    gradients = [_Part(leaf.shape, batched) for leaf, batched in call.differentiable]
    results = call.run(_value_and_gradients, [_Part((), True), *gradients])
    return next(results), call.by_argument(results)


def jacobian(f: Program, *args: Any, **kwargs: Any) -> Any:
    """Return the derivatives of all results with respect to all arguments, for each sample of Dask arrays.

    Parameters
    ----------
    f, args, kwargs
        as for `value`

    Returns
    -------
    Any
        as `Program.jacobian` returns it, but Dask arrays

    Raises
    ------
    TypeError, ValueError
        as `value` does

    Examples
    --------
    >>> import dask.array as da, numpy as np, pygrad.dask
    >>> f = pygrad.compile(lambda x: x * x, np.zeros(2))
    >>> (by_x,) = pygrad.dask.jacobian(f, da.ones((1000, 2), chunks=(100, 2)))
    >>> by_x.shape, by_x[0].compute().tolist()
    ((1000, 2, 2), [[2.0, 0.0], [0.0, 2.0]])
    """
    call = _Call(f, args, kwargs)
    result = call.recorded.result
    leaves = [leaf for leaf, _ in call.differentiable]
    results = call.run(_jacobian, [_Part(s.shape + leaf.shape, True) for s in segments_of(result) for leaf in leaves])
    return map_structure(lambda _: call.by_argument(results), result)


_FAN_IN = 8  # sums in one task: a power of two, so that it does not matter for the pairs


# Graphs -----------------------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """One of the arrays that the task of a chunk returns."""

    shape: Shape  # of one sample
    batched: bool  # else it is to be summed over the chunks


class _Call:
    """A call of a compiled function, as one task for each chunk of the batches.

    Attributes
    ----------
    recorded
        the function
    differentiable
        the leaves of the arguments that are no indices, and whether each is a batch
    """

    def __init__(self, f: Program, args: Sequence[Any], kwargs: dict[str, Any], cotangent: Any = 1.0) -> None:
        if not isinstance(f, Program):
            raise TypeError(f"pygrad.dask takes what pygrad.compile returns, got {type(f).__name__!r}")
        self.recorded = f._recorded
        if f.parameters.size:
            raise TypeError(
                f"{self.recorded.name} has {f.parameters.size} parameters, which are Values of this process: pass "
                "f.pure(), and f.parameters.data as its first argument"
            )
        passed = [_Passed.of(leaf, x) for leaf, x in self.recorded.parts(self.recorded.bound(args, kwargs))]
        self.differentiable = [(p.leaf, p.batched) for p in passed if not isinstance(p.leaf.segment, IndexSegment)]
        passed.append(_Passed.of(Leaf("cotangent", Segment((), 0), 0), cotangent))
        self._sizes = _common_chunks(passed)
        self._batches = [p.blocks(self._sizes) for p in passed if p.batched]
        # Tasks of their own, whose results each worker gets once.
        self._program = delayed(f, pure=True, traverse=False)
        ends = np.cumsum([0, *self._sizes])
        shapes = [p.leaf.shape for p in passed if p.batched]
        self._shared = delayed([ends, shapes, *(p.shared() for p in passed)], pure=True)

    def run(self, method: Callable[..., list[Numbers]], parts: list[_Part]) -> Iterator[da.Array]:
        """The parts that a method returns for each chunk, put together."""
        chunks = self._chunks(method, [i for i, part in enumerate(parts) if not part.batched])
        total = _total(chunks)
        for i, part in enumerate(parts):
            yield self._part(chunks, i, part.shape) if part.batched else da.from_delayed(total[i], part.shape, float)

    def _chunks(self, method: Callable[..., list[Numbers]], summed: list[int]) -> da.Array:
        """An array whose blocks are the results of `_of_chunk`: Dask fuses the tasks that make its arguments."""
        name = f"number-{tokenize(method, self._sizes, self._program.key)}"  # other calls would prevent its fusion
        numbers = da.map_blocks(_number, chunks=(self._sizes,), dtype=int, name=name)
        # All axes are axes of the result: to contract those of a sample, Dask would copy the blocks.
        others = itertools.count(1)
        indices = [(0, *itertools.islice(others, x.ndim - 1)) for x in self._batches]
        axes = range(next(others))
        return da.blockwise(
            _of_chunk,
            axes,
            *itertools.chain([numbers, (0,)], *zip(self._batches, indices)),
            method=method,
            summed=summed,
            f=self._program,
            shared=self._shared,
            concatenate=True,
            align_arrays=False,
            meta=np.empty([0] * len(axes), object),
        )

    def _part(self, chunks: da.Array, i: int, shape: Shape) -> da.Array:
        """The i-th of the arrays of each chunk."""
        name = f"part-{tokenize(chunks.name, i)}"
        zeros = [0] * len(shape)
        layer = {(name, k, *zeros): (getitem, key, i) for k, key in enumerate(_keys(chunks))}
        graph = HighLevelGraph.from_collections(name, layer, [chunks])
        return da.Array(graph, name, (self._sizes, *((n,) for n in shape)), float)

    def by_argument(self, parts: Iterator[da.Array]) -> tuple[Any, ...]:
        """Parts in the structures of the arguments, None for an index."""

        def of(segment: Segment) -> da.Array | None:
            return None if isinstance(segment, IndexSegment) else next(parts)

        return tuple([map_structure(of, argument.structure) for argument in self.recorded.arguments])


class _Passed(NamedTuple):
    """What is passed for one leaf of the arguments."""

    leaf: Leaf
    x: Any  # a Dask array, or a NumPy array
    batched: bool

    @classmethod
    def of(cls, leaf: Leaf, x: Any) -> _Passed:
        """Check it as a call of a Program does, but for the values of indices."""
        if not isinstance(x, da.Array):
            numbers = leaf.numbers(x)
            return cls(leaf, numbers, numbers.shape != leaf.shape)
        batched = x.ndim == len(leaf.shape) + 1
        if batched and np.isnan(x.chunks[0]).any():
            raise ValueError(f"argument {leaf.name} has chunks of unknown sizes: call compute_chunk_sizes() of it")
        leaf.numbers(np.zeros((1,) * batched + x.shape[batched:], x.dtype))  # raises what a call would
        return cls(leaf, x, batched)

    def shared(self) -> Any:
        """What all chunks share, None for a batch."""
        if self.batched:
            return None
        return delayed(_as_declared, pure=True)(self.x, self.leaf.shape) if isinstance(self.x, da.Array) else self.x

    def blocks(self, sizes: tuple[int, ...]) -> da.Array:
        """The batch, with these sizes of chunks."""
        chunks = (sizes, *self.leaf.shape)
        return self.x.rechunk(chunks) if isinstance(self.x, da.Array) else da.from_array(self.x, chunks)


def _common_chunks(passed: Sequence[_Passed]) -> tuple[int, ...]:
    """The sizes of the chunks of the batches, where each chunk ends wherever one of any batch does."""
    batches = [p for p in passed if p.batched]
    chunked = [p for p in batches if isinstance(p.x, da.Array)]
    if not chunked:
        raise ValueError("pygrad.dask needs a batch: a Dask array with one more leading axis than the example")
    for p in batches:
        if len(p.x) != len(chunked[0].x):
            raise ValueError(
                f"all batches must have the same size: argument {chunked[0].leaf.name} is a batch of "
                f"{len(chunked[0].x)}, argument {p.leaf.name} is a batch of {len(p.x)}"
            )
    ends = sorted({end for p in chunked for end in np.cumsum(p.x.chunks[0]).tolist()})
    return tuple(np.diff(ends, prepend=0).tolist())


def _keys(chunks: da.Array) -> list[Any]:
    return list(flatten(chunks.__dask_keys__()))


def _total(chunks: da.Array) -> Delayed:
    """The sums of what each chunk has last, by a tree whose depth is the logarithm of their number."""
    name = f"total-{tokenize(chunks.name)}"
    level: dict[Any, Any] = {(name, 0, k): (getitem, key, -1) for k, key in enumerate(_keys(chunks))}
    layer = dict(level)
    while len(level) > 1:
        keys = list(level)
        groups = [keys[k : k + _FAN_IN] for k in range(0, len(keys), _FAN_IN)]
        level = {(name, keys[0][1] + 1, k): (_sums, group) for k, group in enumerate(groups)}
        layer |= level
    (root,) = level
    return Delayed(root, HighLevelGraph.from_collections(name, layer, [chunks]), layer=name)


# Tasks ------------------------------------------------------------------------------------------------------------


def _number(block_id: tuple[int]) -> int:
    return block_id[0]


def _of_chunk(
    k: int, *batches: Any, method: Callable[..., list[Numbers]], summed: list[int], f: Program, shared: list[Any]
) -> list[Any]:
    """What a method returns for the k-th chunk, with a dict of what is to be summed at the end, and None in its places.

    The dict is one task's result for all sums, and what is to be sent to other workers is small.
    """
    ends, shapes, *parts = shared
    found = iter(batches)
    try:
        samples = int(ends[k + 1] - ends[k])
        for x, shape in zip(batches, shapes):
            if np.shape(x)[:1] != (samples,):  # samples of another shape are for the call to refuse
                _require_declared(np.shape(x), (samples, *shape))
        arrays = method(f, *(next(found) if x is None else x for x in parts))
    except Exception as error:
        error.add_note(f"in chunk {k}, samples {ends[k]} to {ends[k + 1] - 1}")
        raise
    sums = {i: arrays[i] for i in summed}
    return [*(None if i in sums else x for i, x in enumerate(arrays)), sums]


def _require_declared(shape: Shape, declared: Shape) -> None:
    """Raise ValueError for what a Dask array does not declare: a call would take a batch for what is no batch."""
    if shape != declared:
        raise ValueError(
            f"a Dask array has a block of shape {shape}, where it declares {declared}: see the function and the chunks "
            "that were passed to dask.array.map_blocks, or to what else has made the array"
        )


def _as_declared(x: Any, declared: Shape) -> Any:
    _require_declared(np.shape(x), declared)
    return x


def _sums(chunks: list[dict[int, Numbers]]) -> dict[int, Numbers]:
    """The sums over pairs of neighbours, pairs of these pairs, and so on."""
    while len(chunks) > 1:
        pairs = [{i: x + b[i] for i, x in a.items()} for a, b in zip(chunks[::2], chunks[1::2])]
        chunks = pairs + chunks[len(pairs) * 2 :]
    return chunks[0]


def _values(f: Program, *parts: Any) -> list[Numbers]:
    args, kwargs = _structured(f, parts)
    return list(arrays_in(f(*args, **kwargs)))


def _value_and_gradients(f: Program, *parts: Any) -> list[Numbers]:
    *numbers, cotangent = parts
    args, kwargs = _structured(f, numbers)
    value, gradients = f.value_and_grad(*args, **kwargs, cotangent=cotangent)
    return list(arrays_in([value, gradients]))


def _jacobian(f: Program, *parts: Any) -> list[Numbers]:
    args, kwargs = _structured(f, parts)
    return list(arrays_in(f.jacobian(*args, **kwargs)))


def _structured(f: Program, parts: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call, from what is passed for each leaf."""
    found, arguments = iter(parts), f._recorded.arguments
    return spread(arguments, [map_structure(lambda _: next(found), argument.structure) for argument in arguments])


# Equal Programs without parameters have equal names in graphs.
normalize_token.register(Program, lambda f: f.__reduce__()[1][1])
