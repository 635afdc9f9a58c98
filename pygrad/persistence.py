"""Programs as files and as pickles: both are the .npz that `pygrad.save` writes.

Its arrays are the graph as it was recorded, so that a later version can make better code of it, and the parameters'
numbers: see pg_parts in csrc/pygrad.h. One more, "description", is JSON as UTF-8:

    format, pygrad                  the version of this format, and of pygrad
    name                            of the function
    ops                             the names of ops, by the numbers that stand for them in the array "ops"
    arguments, result               their structures
    threads, check_finite, without  as in `pygrad.compile`

A structure is {"shape": [...]} for numbers, {"index": [...]} for integers that are indices, {"list": [structures]},
{"tuple": [structures]} or {"dict": [[key, structure], ...]}.

None of it is trusted. What the arrays say is checked in C, which then neither reads nor writes anywhere else, whatever
they say; and nothing is made that is larger than what is there to describe it.
"""

from __future__ import annotations

import io
import json
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad import __version__
from pygrad._lib import Ids, c_ids_of, ffi, lib, text
from pygrad.arguments import _Argument, _IndexLeaf, _Leaf
from pygrad.array import make_leaves
from pygrad.checkpoint import Arrays, PathLike, pack, refused_as_damaged, unpack, write
from pygrad.program import Program

FORMAT = 1

# The arrays that are pg_parts' own: of what type, and which of its counts says how many numbers there are.
_PARTS = {
    "ops": ("uint8_t[]", np.uint8, "instruction_count"),
    "a": ("uint32_t[]", np.uint32, "instruction_count"),
    "b": ("uint32_t[]", np.uint32, "instruction_count"),
    "constants": ("double[]", np.float64, "constant_count"),
    "outputs": ("uint32_t[]", np.uint32, "output_count"),
    "rows": ("uint32_t[]", np.uint32, "table_count"),
    "elements": ("uint32_t[]", np.uint32, "element_count"),
}
# The others. The limit of an input is that of an index, and 0 where it is none.
_TYPES = {
    **{name: dtype for name, (_, dtype, _) in _PARTS.items()},
    "parameters": np.float64,
    "limits": np.uint32,
    "description": np.uint8,
}
_NAMES = {op: text(name) for op in range(256) if (name := lib.pg_recorded_name(op))}
_OPS = {name: op for op, name in _NAMES.items()}
_KIND = "a Program that pygrad saved"


def save(program: Program, path: PathLike) -> None:
    """See `Program.save`."""
    write(path, _arrays(program))


def load(cls: type[Program], path: PathLike) -> Program:
    """See `Program.load`."""
    return _program(cls, Path(path).read_bytes(), repr(str(path)))


def dumps(program: Program) -> bytes:
    """The bytes of the file that `save` writes."""
    file = io.BytesIO()
    pack(file, _arrays(program))
    return file.getvalue()


def loads(cls: type[Program], data: bytes) -> Program:
    """The Program of such bytes: what pickle and copy call."""
    return _program(cls, data, "a pickled Program")


# Writing ----------------------------------------------------------------------------------------------------------


def _arrays(f: Program) -> Arrays:
    parts = ffi.new("pg_parts *")
    lib.pg_program_parts(f._program, parts)  # how many of each
    arrays: Arrays = {name: np.empty(getattr(parts, count), dtype) for name, (_, dtype, count) in _PARTS.items()}
    _point(parts, arrays)
    lib.pg_program_parts(f._program, parts)
    used, numbers = np.unique(arrays["ops"], return_inverse=True)
    description = {
        "format": FORMAT,
        "pygrad": __version__,
        "name": f._name,
        "ops": [_NAMES[op] for op in used.tolist()],
        "arguments": [_described(argument.tree) for argument in f._arguments],
        "result": _described(f._tree),
        "threads": operator.index(f.threads),
        "check_finite": bool(f.check_finite),
        "without": f._without,
    }
    limits = [
        leaf.limits.ravel() if isinstance(leaf, _IndexLeaf) else np.zeros(leaf.stop - leaf.start)
        for argument in f._arguments
        for leaf in _leaves_of(argument.tree)
    ]
    return {
        **arrays,
        "ops": numbers.astype(np.uint8),
        "parameters": np.array(f.parameters.data),
        "limits": np.concatenate([[], *limits]).astype(np.uint32),
        "description": np.frombuffer(json.dumps(description).encode(), dtype=np.uint8),
    }


def _point(parts: Any, arrays: Arrays) -> None:
    """Have a pg_parts point at its arrays."""
    for name, (ctype, _, _) in _PARTS.items():
        setattr(parts, name, ffi.from_buffer(ctype, arrays[name]))


def _leaves_of(tree: Any) -> Iterator[_Leaf]:
    if isinstance(tree, _Leaf):
        yield tree
    else:
        for item in tree:
            yield from _leaves_of(item)


def _described(tree: Any) -> dict[str, Any]:
    """A structure as JSON has it."""
    if isinstance(tree, _Leaf):
        return {"index" if isinstance(tree, _IndexLeaf) else "shape": tree.shape}
    if isinstance(tree, dict):
        for key in tree:
            if not _is_key(key):
                raise TypeError(f"the keys of saved results are strings, numbers or None, not {key!r}")
        return {"dict": [[key, _described(item)] for key, item in tree.items()]}
    return {"list" if isinstance(tree, list) else "tuple": [_described(item) for item in tree]}


def _is_key(x: Any) -> bool:
    return x is None or isinstance(x, (str, int, float))


# Reading ----------------------------------------------------------------------------------------------------------


def _program(cls: type[Program], data: bytes, what: str) -> Program:
    with refused_as_damaged(what, _KIND):
        arrays = unpack(data)
        description = _description(arrays)
        version = f"pygrad {_entry(description, 'pygrad', str)[:20]}"
        is_newer = _number(description, "format") > FORMAT
    if is_newer:
        raise ValueError(f"{what} was written by {version}, and this is {__version__}, which cannot read it: upgrade")
    with refused_as_damaged(what, _KIND):
        unknown = set(map(str, _entry(description, "ops", list))) - set(_OPS)
    if unknown:
        raise ValueError(f"{what} was written by {version}, and this is {__version__}, without its op {min(unknown)!r}")
    with refused_as_damaged(what, _KIND):
        return _read(cls, arrays, description)


def _description(arrays: Arrays) -> dict[str, Any]:
    if "description" not in arrays:
        raise ValueError("it has no description")
    description = json.loads(arrays["description"].tobytes())
    if type(description) is not dict:
        raise ValueError("its description is none")
    return description


def _entry(description: dict[str, Any], name: str, kind: type) -> Any:
    """What the description says by that name, which must be of a type."""
    entry = description.get(name)
    if type(entry) is not kind:
        raise ValueError(f"its {name!r} is none")
    return entry


def _number(description: dict[str, Any], name: str, least: int = 1) -> int:
    """The same of a number, which C takes as an int."""
    number: int = _entry(description, name, int)
    if not least <= number < 1 << 31:
        raise ValueError(f"its {name!r} is none")
    return number


def _read(cls: type[Program], arrays: Arrays, description: dict[str, Any]) -> Program:
    if arrays.keys() != _TYPES.keys():
        raise ValueError(f"its arrays are {sorted(arrays)}")
    for name, dtype in _TYPES.items():
        if arrays[name].dtype.newbyteorder("=") != dtype or arrays[name].ndim != 1:
            raise ValueError(f"its array {name!r} is none of {np.dtype(dtype)}")
        arrays[name] = np.ascontiguousarray(arrays[name], dtype)
    f = cls.__new__(cls)
    f._name, f._reads = _entry(description, "name", str), 0
    f.threads = _number(description, "threads")
    f.check_finite = _entry(description, "check_finite", bool)
    f._arguments = _arguments(_entry(description, "arguments", list), arrays["limits"])
    results = _Structures("shape", "list", "tuple", "dict")
    f._tree, f._outputs = results.read(description.get("result")), results.size
    if f._outputs != arrays["outputs"].size:
        raise ValueError(f"its result has {f._outputs} numbers, and its graph {arrays['outputs'].size}")
    arrays["ops"] = _ops(description["ops"], arrays["ops"])
    without = _number(description, "without", least=0)
    parameters = make_leaves(arrays["parameters"])
    f._take(_graph(arrays, parameters._ids, without), without)
    return f


def _ops(names: list[str], numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The ops as this version numbers them."""
    if numbers.size and numbers.max() >= len(names):
        raise ValueError("it has an op without a name")
    codes: npt.NDArray[np.uint8] = np.array([_OPS[name] for name in names], dtype=np.uint8)[numbers]
    return codes


def _arguments(described: list[Any], limits: npt.NDArray[Any]) -> list[_Argument]:
    arguments: list[_Argument] = []
    first = 0
    for index, structure in enumerate(described):
        reader = _Structures("shape", "index", "list", "tuple")
        tree = reader.read(structure)
        for leaf in _leaves_of(tree):
            its = limits[first + leaf.start : first + leaf.stop]
            is_index = isinstance(leaf, _IndexLeaf)
            if its.size != leaf.stop - leaf.start or ((its > 0) != is_index).any():
                raise ValueError(f"its argument {index} is of {leaf}, and its limits are not")
            if isinstance(leaf, _IndexLeaf):
                leaf.limits = its.astype(np.intp).reshape(leaf.shape)
        arguments.append(_Argument.again(index, tree, first, reader.size))
        first += reader.size
    if first != limits.size:
        raise ValueError(f"its arguments have {first} numbers, and its graph {limits.size}")
    return arguments


class _Structures:
    """Reads structures of certain kinds, and counts their numbers."""

    def __init__(self, *kinds: str) -> None:
        self.kinds, self.size = kinds, 0

    def read(self, described: Any) -> Any:
        """The structure, with leaves."""
        if type(described) is not dict or len(described) != 1:
            raise ValueError("a structure is described as something else")
        ((kind, content),) = described.items()
        if kind not in self.kinds or type(content) is not list:
            raise ValueError(f"{kind!r} is no such structure")
        readers: dict[str, Callable[[list[Any]], Any]] = {
            "shape": self._leaf,
            "index": lambda shape: self._leaf(shape, _IndexLeaf),
            "list": lambda items: [self.read(item) for item in items],
            "tuple": lambda items: tuple([self.read(item) for item in items]),
            "dict": self._dict,
        }
        return readers[kind](content)

    def _leaf(self, shape: list[Any], kind: type[_Leaf] = _Leaf) -> _Leaf:
        if len(shape) > 64 or any(type(size) is not int or not 0 <= size < 1 << 31 for size in shape):
            raise ValueError("a shape is made of something else than sizes")
        leaf = kind(tuple(shape), self.size)
        self.size = leaf.stop
        return leaf

    def _dict(self, pairs: list[Any]) -> dict[Any, Any]:
        if any(type(pair) is not list or len(pair) != 2 or not _is_key(pair[0]) for pair in pairs):
            raise ValueError("a dict is made of something else than pairs")
        return {key: self.read(item) for key, item in pairs}


def _graph(arrays: Arrays, parameters: Ids, without: int) -> Any:
    """The pg_program of the arrays and the parameters' nodes."""
    counts = {"input_count": arrays["limits"].size, "parameter_count": parameters.size}
    for name, (_, _, count) in _PARTS.items():
        if counts.setdefault(count, arrays[name].size) != arrays[name].size:
            raise ValueError(f"its array {name!r} is of another size than those that go with it")
    parts = ffi.new("pg_parts *", counts)
    _point(parts, arrays)
    parts.parameters = c_ids_of(parameters)
    fault = ffi.new("const char **")
    program = lib.pg_program_of(parts, without, fault)
    if not program:
        if fault[0]:
            raise ValueError(text(fault[0]))
        raise MemoryError("there is no memory for another Program")
    program = ffi.gc(program, lib.pg_program_free)
    lookups = arrays["ops"] == _OPS["LOOKUP"]
    index = arrays["a"][arrays["a"][lookups]]
    limits, rows = arrays["limits"][index], arrays["rows"][arrays["b"][lookups]]
    if ((limits == 0) | (limits > rows)).any():
        raise ValueError("it looks up elements that are not in their table")
    return program
