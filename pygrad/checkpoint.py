"""Saving and loading what `state_dict()` returns, as NumPy's .npz."""

from __future__ import annotations

import contextlib
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Union

import numpy as np

PathLike = Union[str, "os.PathLike[str]"]

_SEPARATOR = "/"


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
        if anything in it is not made of numbers
    ValueError
        if a name has a slash in it

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.npz", {"model": {"w": np.ones(2)}, "step": 3})
    ...     load(f"{folder}/model.npz")
    {'model': {'w': array([1., 1.])}, 'step': array(3)}
    """
    arrays = dict(_flat("", state))
    with replacing(path) as file:
        np.savez(file, **arrays)


def load(path: PathLike) -> dict[str, Any]:
    """Read what `save` has written.

    Raises
    ------
    FileNotFoundError
        if there is no such file
    ValueError
        if it is damaged, or something else
    """
    state: dict[str, Any] = {}
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                names = [name[: -len(".npy")] for name in archive.namelist()]
            file.seek(0)
            arrays = np.load(file, allow_pickle=False)
            for name in names:
                *folders, last = name.split(_SEPARATOR)
                at = state
                for folder in folders:
                    at = at.setdefault(folder, {})
                at[last] = arrays[name]
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError) as error:
            raise ValueError(f"{str(path)!r} is damaged, or not a file that pygrad.save wrote: {error}") from error
    return state


def _flat(prefix: str, state: Mapping[str, Any]) -> Any:
    for name, item in state.items():
        if not isinstance(name, str) or _SEPARATOR in name:
            raise ValueError(f"names are strings without a {_SEPARATOR!r}, not {name!r}")
        if isinstance(item, Mapping):
            yield from _flat(f"{prefix}{name}{_SEPARATOR}", item)
            continue
        numbers = np.asarray(item)
        if numbers.dtype.kind not in "biuf":
            raise TypeError(f"{prefix}{name} is not made of numbers, but of {numbers.dtype}")
        yield f"{prefix}{name}", numbers
