"""Save and load what `state_dict()` returns, in NumPy's .npz format.

Files are not trusted. A damaged or malicious one raises ValueError, runs no code, and takes memory in proportion to its
own size.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pygrad._numbers import to_ndarray
from pygrad._replacing import PathLike, replacing
from pygrad.array import Array
from pygrad.engine import Value

Arrays = dict[str, npt.NDArray[Any]]

_SEPARATOR = "/"
_DEPTH = 32  # of nested dicts
_SUFFIX = ".npy"
_LONGEST = 0xFFFF - len(_SUFFIX)  # bytes of a name: a zip file's limit
_UTF8 = 0x800  # the flag of a zip member whose name is not ASCII; we write no other flag
_END, _END64 = 22, 98  # bytes of a zip file's end record, and of one for more members than that can count
# The header that NumPy writes for an array of numbers, in version 1.0 of its format: a length, then so many bytes.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(..)"
    rb"\{'descr': '([<>|][biuf]\d{1,2})', 'fortran_order': (True|False), 'shape': \(([0-9, ]{0,1000})\), \} *\n",
    re.DOTALL,
)


def save(path: PathLike, state: Mapping[str, Any]) -> None:
    """Write numbers, arrays, and the numbers of Values and Arrays by name, or dicts of these by name, to a .npz file.

    A temporary file is written and then renamed: whenever the program stops, the old file or the new one exists. A
    file that exists keeps its owner, group and mode, and a symbolic link stays one: the file that it points to is
    replaced. What a killed process has left, the next save of the same file removes.

    Raises
    ------
    OSError
        if `path` is a directory, a device or a FIFO, is read-only, or cannot be written
    TypeError
        if `state` is not a dict, or anything in it is not made of numbers
    ValueError
        if a name contains a slash or a NUL, is too long for the file together with the names of the dicts around it, or
        if a dict is empty or more than 32 levels deep

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.npz", {"model": {"w": np.ones(2)}, "step": 3})
    ...     load(f"{folder}/model.npz")
    {'model': {'w': array([1., 1.])}, 'step': array(3)}
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"a state must be a dict of numbers and arrays, not {type(state).__name__!r}")
    write(path, dict(_flat("", state, _DEPTH)))


def load(path: PathLike) -> dict[str, Any]:
    """Read what `save` has written: NumPy arrays by name, in the same nested dicts.

    Raises
    ------
    FileNotFoundError
        if there is no such file
    ValueError
        if it is damaged, or not a file that `save` wrote

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/step.npz", {"step": 3})
    ...     load(f"{folder}/step.npz")
    {'step': array(3)}
    """
    with refused_as_damaged(repr(str(path)), "a file that pygrad.save wrote"):
        return _nested(unpack(Path(path).read_bytes()))


@contextlib.contextmanager
def refused_as_damaged(what: str, kind: str) -> Iterator[None]:
    """Make each ValueError of reading something name it (`what`), and what it should be (`kind`)."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is damaged, or not {kind}: {error}") from error


# Names ------------------------------------------------------------------------------------------------------------


def _flat(prefix: str, state: Mapping[str, Any], depth: int) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if depth == 0:
        raise ValueError(f"dicts must not be nested more than {_DEPTH} deep, as at {prefix!r}")
    for name, item in state.items():
        if not isinstance(name, str) or _SEPARATOR in name or "\0" in name:
            raise ValueError(f"names must be strings without {_SEPARATOR!r} or NUL, not {name!r}")
        if len((prefix + name).encode(errors="surrogatepass")) > _LONGEST:
            raise ValueError(
                f"the name {prefix + name[:30]!r}... is longer than {_LONGEST:,} bytes, dicts' names included"
            )
        if isinstance(item, Mapping):
            if not item:
                raise ValueError(f"{prefix + name!r} is an empty dict, which a file cannot represent: leave it out")
            yield from _flat(f"{prefix}{name}{_SEPARATOR}", item, depth - 1)
            continue
        numbers = to_ndarray(item.data if isinstance(item, (Array, Value)) else item)
        if numbers.dtype == object:
            raise TypeError(
                f"{prefix}{name} must be made of numbers; of Values and Arrays make one Array: pygrad.array(...)"
            )
        if numbers.dtype.kind not in "biuf":
            raise TypeError(f"{prefix}{name} must be made of numbers, not {numbers.dtype}")
        yield f"{prefix}{name}", numbers


def _nested(arrays: Arrays) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for name, numbers in arrays.items():
        *folders, last = name.split(_SEPARATOR, _DEPTH)
        at = state
        for folder in folders:
            at = at.setdefault(folder, {})
            if not isinstance(at, dict):
                raise ValueError(f"{name!r} is inside an array")
        if last in at or _SEPARATOR in last:
            raise ValueError(f"{name!r} occurs twice, or is more than {_DEPTH} dicts deep")
        at[last] = numbers
    return state


# Files ------------------------------------------------------------------------------------------------------------


def write(path: PathLike, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays by name to a .npz file, all or nothing."""
    with replacing(path) as file:
        pack(file, arrays)


def pack(file: IO[bytes], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays by name as a .npz: the same bytes for the same arrays, with a checksum for each."""
    with _Archive(file, "w") as archive:
        for name, numbers in arrays.items():
            with archive.open(zipfile.ZipInfo(name + _SUFFIX), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, numbers, version=(1, 0), allow_pickle=False)


class _Archive(zipfile.ZipFile):
    """A zip file that is completed only if nothing was raised; else zipfile would, in place of the first exception."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def __del__(self) -> None:
        pass


def unpack(data: bytes) -> Arrays:
    """Return the arrays that pack() has written, by name. Raise ValueError for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check(members, data)
            return {member.filename[: -len(_SUFFIX)]: _array(archive.read(member)) for member in members}
    except (zipfile.BadZipFile, EOFError, OverflowError, RuntimeError, struct.error) as error:
        raise ValueError(str(error)) from error


def _check(members: list[zipfile.ZipInfo], data: bytes) -> None:
    """Raise ValueError for files that zipfile reads but pack() does not write.

    Checksums find damage to the arrays, and zipfile compares the two copies of each name. This finds the rest: sizes
    that skip members, and members that share their bytes, by which a few bytes could make any number of arrays.
    """
    count = int.from_bytes(data[-_END:][10:12], "little")
    if count == 0xFFFF:
        count = int.from_bytes(data[-_END64:][32:40], "little")
    if len(members) != count or (members[0].header_offset if members else len(data) - _END) != 0:
        raise ValueError("it does not begin with its first array, or some are missing")
    if len({member.filename for member in members}) < count:
        raise ValueError("it has two arrays of the same name")
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
        raise ValueError("it contains something other than arrays of numbers")
    shape = [int(size) for size in header[4].split(b",") if size.strip()]
    try:
        dtype = np.dtype(header[2].decode())
    except TypeError as error:
        raise ValueError(str(error)) from error
    if math.prod(shape) * dtype.itemsize != len(data) - header.end():
        raise ValueError(f"an array of shape {tuple(shape)} has the wrong number of bytes")
    order: Any = "F" if header[3] == b"True" else "C"
    return np.frombuffer(data, dtype, offset=header.end()).reshape(shape, order=order).copy(order="K")
