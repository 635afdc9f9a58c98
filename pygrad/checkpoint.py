"""Saving and loading what `state_dict()` returns, as NumPy's .npz.

A file may come from anywhere, so nothing in it is trusted: one that was damaged, or made to do harm, is a ValueError,
runs no code, and takes memory in proportion to its own size.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import secrets
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, Union

import numpy as np
import numpy.typing as npt

PathLike = Union[str, "os.PathLike[str]"]
Arrays = dict[str, npt.NDArray[Any]]

_SEPARATOR = "/"
_DEPTH = 32  # of dicts in dicts
_SUFFIX = ".npy"
_LONGEST = 0xFFFF - len(_SUFFIX)  # bytes of a name, as many as a zip file can have
_UTF8 = 0x800  # the flag of a zip file's member whose name is not ASCII; we write no other
_END, _END64 = 22, 98  # bytes of what ends a zip file, and of what ends one with too many members for that
# As NumPy writes the header of an array of numbers, in version 1.0 of its format: the length of what follows, that.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)"
    rb"\{'descr': '([<>|][biuf]\d{1,2})', 'fortran_order': (True|False), 'shape': \(([0-9, ]{0,1000})\), \} *\n",
    re.DOTALL,
)


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the path's place once it is complete; until then it lies beside it."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def save(path: PathLike, state: Mapping[str, Any]) -> None:
    """Write numbers and arrays by name, or such dicts by name, to a .npz file.

    The file is written beside its place and then renamed: whatever happens meanwhile, there is the old file or the
    new one.

    Raises
    ------
    TypeError
        if it is no dict, or anything in it is not made of numbers
    ValueError
        if a name has a slash or a NUL in it, or names in each other are too long for a file, or there are more than
        32 dicts in each other, or one that is empty, which the file could not say

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.npz", {"model": {"w": np.ones(2)}, "step": 3})
    ...     load(f"{folder}/model.npz")
    {'model': {'w': array([1., 1.])}, 'step': array(3)}
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"a state is a dict of numbers and arrays, not {type(state).__name__!r}")
    write(path, dict(_flat("", state, _DEPTH)))


def load(path: PathLike) -> dict[str, Any]:
    """Read what `save` has written.

    Raises
    ------
    FileNotFoundError
        if there is no such file
    ValueError
        if it is damaged, or something else
    """
    with refused_as_damaged(repr(str(path)), "a file that pygrad.save wrote"):
        return _nested(unpack(Path(path).read_bytes()))


@contextlib.contextmanager
def refused_as_damaged(what: str, kind: str) -> Iterator[None]:
    """The ValueErrors of reading something say what it is, and what it should be."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is damaged, or not {kind}: {error}") from error


# Names ------------------------------------------------------------------------------------------------------------


def _flat(prefix: str, state: Mapping[str, Any], depth: int) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if depth == 0:
        raise ValueError(f"there are more than {_DEPTH} dicts in each other, at {prefix!r}")
    for name, item in state.items():
        if not isinstance(name, str) or _SEPARATOR in name or "\0" in name:
            raise ValueError(f"names are strings without a {_SEPARATOR!r} or a NUL, not {name!r}")
        if len((prefix + name).encode(errors="surrogatepass")) > _LONGEST:
            raise ValueError(f"{prefix + name[:30]!r}... is longer than {_LONGEST:,} bytes")
        if isinstance(item, Mapping):
            if not item:
                raise ValueError(f"{prefix + name!r} is an empty dict, which a file would not have: leave it out")
            yield from _flat(f"{prefix}{name}{_SEPARATOR}", item, depth - 1)
            continue
        numbers = np.asarray(item)
        if numbers.dtype.kind not in "biuf":
            raise TypeError(f"{prefix}{name} is not made of numbers, but of {numbers.dtype}")
        yield f"{prefix}{name}", numbers


def _nested(arrays: Arrays) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for name, numbers in arrays.items():
        *folders, last = name.split(_SEPARATOR, _DEPTH)
        at = state
        for folder in folders:
            at = at.setdefault(folder, {})
            if not isinstance(at, dict):
                raise ValueError(f"{name!r} would be in an array")
        if last in at or _SEPARATOR in last:
            raise ValueError(f"{name!r} is there twice, or in more than {_DEPTH} dicts")
        at[last] = numbers
    return state


# Files ------------------------------------------------------------------------------------------------------------


def write(path: PathLike, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays by name to a .npz file, all or nothing."""
    with replacing(path) as file:
        pack(file, arrays)


def pack(file: IO[bytes], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays by name as a .npz: the same bytes for the same arrays, with a checksum for each."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, numbers in arrays.items():
            with archive.open(zipfile.ZipInfo(name + _SUFFIX), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, numbers, version=(1, 0), allow_pickle=False)


def unpack(data: bytes) -> Arrays:
    """The arrays that pack() has written, by name. Whatever else it is raises ValueError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check(members, data)
            return {member.filename[: -len(_SUFFIX)]: _array(archive.read(member)) for member in members}
    except (zipfile.BadZipFile, EOFError, OverflowError, RuntimeError, struct.error) as error:
        raise ValueError(str(error)) from error


def _check(members: list[zipfile.ZipInfo], data: bytes) -> None:
    """Raise ValueError for what pack() does not write, and zipfile would read.

    The checksums find damage to the arrays, and each name is there twice. This finds the rest: sizes by which members
    are passed over, and members that share their bytes, of which the same few could make any number of arrays.
    """
    count = int.from_bytes(data[-_END:][10:12], "little")
    if count == 0xFFFF:
        count = int.from_bytes(data[-_END64:][32:40], "little")
    if len(members) != count or (members[0].header_offset if members else len(data) - _END) != 0:
        raise ValueError("it does not begin with its first array, or not all are there")
    if len({member.filename for member in members}) < count:
        raise ValueError("it has two arrays of one name")
    if sum(member.file_size for member in members) > len(data):
        raise ValueError("its arrays are larger than the file")
    for member in members:
        name, flags = member.filename, member.flag_bits
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size or flags & ~_UTF8:
            raise ValueError(f"{name!r} is compressed or encrypted")
        if not name.endswith(_SUFFIX) or not (name.isascii() or flags & _UTF8):
            raise ValueError(f"{name!r} is not the name of an array")


def _array(data: bytes) -> npt.NDArray[Any]:
    """The array of a .npy."""
    header = _HEADER.match(data)
    if not header or int.from_bytes(header[1], "little") != header.end() - header.end(1):
        raise ValueError("what should be an array of numbers is none")
    shape = [int(size) for size in header[4].split(b",") if size.strip()]
    try:
        dtype = np.dtype(header[2].decode())
    except TypeError as error:
        raise ValueError(str(error)) from error
    if math.prod(shape) * dtype.itemsize != len(data) - header.end():
        raise ValueError(f"an array of shape {tuple(shape)} is of another size")
    order: Any = "F" if header[3] == b"True" else "C"
    return np.frombuffer(data, dtype, offset=header.end()).reshape(shape, order=order).copy(order="K")
