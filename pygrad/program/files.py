"""Programs as files and as pickles: both are the .npz that `Program.save` writes.

Its arrays are the graph as it was recorded, so that a later version can make better code of it, and the data of the
parameters: see pg_serialized in csrc/pygrad.h. One more, "description", is JSON in UTF-8:

    format, pygrad         the version of this format, and of pygrad
    name                   of the function
    ops                    the names of ops, by the numbers that stand for them in the array "ops"
    arguments, result      their structures
    signature              for each argument its name, its kind as inspect.Parameter.kind numbers these, and the
                           numbers of its default or null; files of format 1 do not have it
    threads, check_finite  as in `pygrad.compile`
    backend                as in `pygrad.compile`; earlier files do not have it

A structure is {"shape": [...]} for numbers, {"index": [...]} for integers that are indices, {"list": [structures]},
{"tuple": [structures]}, {"dict": [[key, structure], ...]}, {"none": []}, or for a named tuple or a dataclass
{"fields": [name of the class, [[name, structure], ...]]}. Classes are not in a file: both become named tuples. Pickles
name those that can be imported, besides.

Files are not trusted. C checks the arrays, and accesses no memory but its own, whatever they contain. The memory that
loading takes is in proportion to the size of the file.
"""

from __future__ import annotations

import collections
import io
import json
import operator
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt

from pygrad._distribution import VERSION
from pygrad._lib import Ids
from pygrad._replacing import PathLike
from pygrad.array import Array, make_leaves
from pygrad.checkpoint import Arrays, pack, refused_as_damaged, unpack, write
from pygrad.program import graph
from pygrad.program.arguments import Argument
from pygrad.program.executor import BACKENDS
from pygrad.program.recorded import Recorded, parameters_of
from pygrad.program.signature import KINDS, POSITIONAL_ONLY, signature_of
from pygrad.program.structures import IndexSegment, Segment, fields_of, parts_of, segments_of, with_fields

FORMAT = 2

# All arrays of a file. "limits" has for each input the limit of an index, and 0 for other inputs.
_TYPES = {
    **graph.TYPES,
    "parameters": np.float64,
    "limits": np.uint32,
    "description": np.uint8,
}
_EXPECTED = "a Program that pygrad saved"


class Saved(NamedTuple):
    """What a file has: the arguments of `Program`."""

    recorded: Recorded
    threads: int
    check_finite: bool
    backend: str


def save(path: PathLike, program: Saved) -> None:
    """Write a file."""
    write(path, _arrays_of(program))


def load(path: PathLike) -> Saved:
    """Read a file."""
    return _saved(Path(path).read_bytes(), repr(str(path)))


def dumps(program: Saved) -> bytes:
    """The bytes of the file that save() writes."""
    file = io.BytesIO()
    pack(file, _arrays_of(program))
    return file.getvalue()


def loads(data: bytes, parameters: Array | None, classes: Sequence[Any]) -> Saved:
    """Read the bytes that dumps() returned; with these parameters, if any are given, and these classes.

    The classes are those of classes_of(), for the named tuples and dataclasses in order.
    """
    return _saved(data, "a pickled Program", parameters, classes)


def classes_of(recorded: Recorded) -> list[Any]:
    """The classes of the named tuples and dataclasses among the arguments and results, in the order of the file."""
    trees = [*(argument.structure for argument in recorded.arguments), recorded.result]
    return [cls for tree in trees for cls in _classes_in(tree)]


def can_be_imported(cls: type[Any]) -> bool:
    """Whether a pickle can name a class."""
    try:
        found = operator.attrgetter(cls.__qualname__)(sys.modules[cls.__module__])
    except (AttributeError, KeyError):
        return False
    return found is cls


def _classes_in(tree: Any) -> Iterator[Any]:
    if fields_of(tree):
        yield type(tree)
    for _, part in parts_of(tree) or ():
        yield from _classes_in(part)


# Writing ----------------------------------------------------------------------------------------------------------


def _arrays_of(program: Saved) -> Arrays:
    f = program.recorded
    arrays = graph.arrays_of(f.pg_program)
    used, numbers = np.unique(arrays["ops"], return_inverse=True)
    description = {
        "format": FORMAT,
        "pygrad": VERSION,
        "name": f.name,
        "ops": [graph.OP_NAMES[op] for op in used.tolist()],
        "arguments": [_described(argument.structure) for argument in f.arguments],
        "result": _described(f.result),
        "signature": [_parameter(argument) for argument in f.arguments],
        "threads": operator.index(program.threads),
        "check_finite": bool(program.check_finite),
        "backend": program.backend,
    }
    limits = [
        segment.limits.ravel() if isinstance(segment, IndexSegment) else np.zeros(segment.stop - segment.start)
        for argument in f.arguments
        for segment in segments_of(argument.structure)
    ]
    return {
        **arrays,
        "ops": numbers.astype(np.uint8),
        "parameters": np.array(f.parameters.data),
        "limits": np.concatenate([[], *limits]).astype(np.uint32),
        "description": np.frombuffer(json.dumps(description).encode(), dtype=np.uint8),
    }


def _described(tree: Any) -> dict[str, Any]:
    """A structure for JSON."""
    if isinstance(tree, Segment):
        return {"index" if isinstance(tree, IndexSegment) else "shape": tree.shape}
    if isinstance(tree, dict):
        for key in tree:
            if not _is_key(key):
                raise TypeError(f"a saved result must have keys that are strings, numbers or None, got {key!r}")
        return {"dict": [[key, _described(item)] for key, item in tree.items()]}
    if tree is None:
        return {"none": []}
    if names := fields_of(tree):
        parts = [_described(part) for _, part in parts_of(tree) or ()]
        return {"fields": [type(tree).__name__, list(zip(names, parts))]}
    return {"list" if isinstance(tree, list) else "tuple": [_described(item) for item in tree]}


def _parameter(argument: Argument) -> list[Any]:
    return [argument.name, argument.kind.value, None if argument.default is None else argument.default.tolist()]


def _is_key(x: Any) -> bool:
    return x is None or isinstance(x, (str, int, float))


# Reading ----------------------------------------------------------------------------------------------------------


def _saved(data: bytes, what: str, parameters: Array | None = None, classes: Sequence[Any] = ()) -> Saved:
    ours = f"pygrad {VERSION}"
    with refused_as_damaged(what, _EXPECTED):
        arrays = unpack(data)
        description = _description(arrays)
        theirs = f"pygrad {_entry(description, 'pygrad', str)[:20]}"
        is_newer = _positive_entry(description, "format") > FORMAT
    if is_newer:
        raise ValueError(f"{what} was written by {theirs}, which {ours} cannot read: upgrade pygrad")
    with refused_as_damaged(what, _EXPECTED):
        unknown = set(map(str, _entry(description, "ops", list))) - set(graph.OP_CODES)
    if unknown:
        raise ValueError(
            f"{what} was written by {theirs} with the op {min(unknown)!r}, which {ours} does not have: upgrade pygrad"
        )
    with refused_as_damaged(what, _EXPECTED):
        return _read(arrays, description, parameters, iter(classes))


def _description(arrays: Arrays) -> dict[str, Any]:
    if "description" not in arrays:
        raise ValueError("it has no description")
    description = json.loads(arrays["description"].tobytes())
    if type(description) is not dict:
        raise ValueError(f"its description must be a dict, got {type(description).__name__!r}")
    return description


def _entry(description: dict[str, Any], name: str, expected: type) -> Any:
    """An entry of the description, which must be of a type."""
    entry = description.get(name)
    if type(entry) is not expected:
        raise ValueError(f"its {name!r} must be of type {expected.__name__!r}, got {type(entry).__name__!r}")
    return entry


def _positive_entry(description: dict[str, Any], name: str) -> int:
    """An entry that must be a positive int of C."""
    number: int = _entry(description, name, int)
    if not 1 <= number < 1 << 31:
        raise ValueError(f"its {name!r} must be between 1 and 2**31 - 1, got {number}")
    return number


def _read(arrays: Arrays, description: dict[str, Any], parameters: Array | None, classes: Iterator[Any]) -> Saved:
    if arrays.keys() != _TYPES.keys():
        raise ValueError(f"its arrays must be {', '.join(sorted(_TYPES))}, got {', '.join(sorted(arrays))}")
    for name, dtype in _TYPES.items():
        found = arrays[name].dtype
        if found.newbyteorder("=") != dtype or arrays[name].ndim != 1:
            raise ValueError(
                f"its array {name!r} must be one row of {np.dtype(dtype)}, got {arrays[name].ndim} axes of {found}"
            )
        arrays[name] = np.ascontiguousarray(arrays[name], dtype)
    name = _entry(description, "name", str)
    threads = _positive_entry(description, "threads")
    check_finite = _entry(description, "check_finite", bool)
    backend = _entry({"backend": "kernels", **description}, "backend", str)
    if backend not in BACKENDS:
        raise ValueError(f"its 'backend' must be one of {', '.join(BACKENDS)}, got {backend[:20]!r}")
    described = _entry(description, "arguments", list)
    unnamed = [[f"x{k}", POSITIONAL_ONLY.value, None] for k in range(len(described))]
    signature = _entry({"signature": unnamed, **description}, "signature", list)
    arguments = _arguments(described, signature, arrays["limits"], classes)
    reader = _StructureReader(classes, "shape")
    result = reader.read(description.get("result"))
    if reader.size != arrays["outputs"].size:
        raise ValueError(f"its result has {reader.size} numbers, but its graph has {arrays['outputs'].size} outputs")
    arrays["ops"] = _op_codes(description["ops"], arrays["ops"])
    if parameters is None:
        parameters = make_leaves(arrays["parameters"])
    pg_program = _graph(arrays, parameters._ids)
    recorded = Recorded(name, arguments, result, pg_program, parameters_of(pg_program))
    return Saved(recorded, threads, check_finite, backend)


def _op_codes(names: list[str], numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The ops as this version numbers them."""
    if numbers.size and numbers.max() >= len(names):
        raise ValueError("it has an op without a name")
    codes: npt.NDArray[np.uint8] = np.array([graph.OP_CODES[name] for name in names], dtype=np.uint8)[numbers]
    return codes


def _arguments(
    described: list[Any], signature: list[Any], limits: npt.NDArray[Any], classes: Iterator[Any]
) -> tuple[Argument, ...]:
    arguments: list[Argument] = []
    start = 0
    if len(described) != len(signature):
        raise ValueError(f"it has {len(described)} arguments, but names of {len(signature)}")
    for position, (structure, (name, kind, default)) in enumerate(zip(described, signature)):
        tree = _StructureReader(classes, "shape", "index").read(structure)
        if type(kind) is not int or kind not in KINDS:
            raise ValueError(f"the kind of an argument must be one of {', '.join(map(str, KINDS))}, got {kind!r}")
        argument = Argument(position, tree, start, str(name), KINDS[kind])
        for segment in segments_of(argument.structure):
            found = limits[start + segment.start : start + segment.stop]
            is_index = isinstance(segment, IndexSegment)
            if found.size != segment.stop - segment.start or ((found > 0) != is_index).any():
                raise ValueError(f"its argument {position} has {segment}, which does not agree with the limits")
            if isinstance(segment, IndexSegment):
                segment.limits = found.astype(np.intp).reshape(segment.shape)
        if default is not None:
            argument.set_default([float(x) for x in default])
        arguments.append(argument)
        start = argument.stop
    if start != limits.size:
        raise ValueError(f"its arguments have {start} numbers, but its graph has {limits.size} inputs")
    signature_of(arguments)  # ValueError, if the names are not those of parameters
    return tuple(arguments)


class _StructureReader:
    """Reads structures of numbers of certain kinds, and counts the numbers."""

    def __init__(self, classes: Iterator[Any], *kinds: str) -> None:
        self.classes, self.kinds, self.size = classes, (*kinds, "list", "tuple", "dict", "none", "fields"), 0

    def read(self, described: Any) -> Any:
        """The structure that _described() described."""
        if type(described) is not dict or len(described) != 1:
            raise ValueError("a structure must be a dict with one entry")
        ((kind, content),) = described.items()
        if kind not in self.kinds or type(content) is not list:
            raise ValueError(f"a structure must be a list by the name of {' or '.join(self.kinds)}, got {kind!r}")
        readers: dict[str, Callable[[list[Any]], Any]] = {
            "shape": self._segment,
            "index": lambda shape: self._segment(shape, IndexSegment),
            "list": lambda items: [self.read(item) for item in items],
            "tuple": lambda items: tuple([self.read(item) for item in items]),
            "dict": self._dict,
            "none": lambda _: None,
            "fields": self._fields,
        }
        return readers[kind](content)

    def _segment(self, shape: list[Any], kind: type[Segment] = Segment) -> Segment:
        if len(shape) > 64 or any(type(size) is not int or not 0 <= size < 1 << 31 for size in shape):
            raise ValueError("a shape must have at most 64 sizes between 0 and 2**31 - 1")
        segment = kind(tuple(shape), self.size)
        self.size = segment.stop
        return segment

    def _dict(self, pairs: list[Any]) -> dict[Any, Any]:
        if any(type(pair) is not list or len(pair) != 2 or not _is_key(pair[0]) for pair in pairs):
            raise ValueError("a dict must be a list of pairs of a key and a structure")
        return {key: self.read(item) for key, item in pairs}

    def _fields(self, content: list[Any]) -> Any:
        name, described = content
        cls = next(self.classes, None)  # in the order of classes_of(), the outer before the inner
        parts = self._dict(described)
        return with_fields(cls, parts) if cls else collections.namedtuple(name, parts, rename=True)(*parts.values())


def _graph(arrays: Arrays, parameters: Ids) -> Any:
    """The pg_program of the arrays and the parameters' nodes."""
    pg_program = graph.program_of(arrays, arrays["limits"].size, parameters)
    lookups = arrays["ops"] == graph.OP_CODES["LOOKUP"]
    index = arrays["a"][arrays["a"][lookups]]
    limits, rows = arrays["limits"][index], arrays["rows"][arrays["b"][lookups]]
    if ((limits == 0) | (limits > rows)).any():
        raise ValueError("it looks up elements that are not in their table")
    return pg_program
