"""Lists the engines to compare: their names, the packages they need, and how to install and prepare them."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import shlex
import sys
from typing import Any, Callable, NamedTuple

from pygrad._system import processors
from pygrad.bench import limit


class MissingError(Exception):
    """An engine is not installed. The message is the command that installs it."""


class Engine(NamedTuple):
    """An engine to compare.

    Attributes
    ----------
    package
        the package it needs besides pygrad, under the name for both pip and import
    prepare
        called once with the imported module
    remark
        a comment on the command that installs it
    makes_garbage
        whether its nodes form reference cycles, so that the time of Python's garbage collector is part of its time. For
        other engines the collector is off while they run: its time depends on the objects of all engines together
    family
        "peer", "pygrad", "yardstick" or "limit", which selects the colour in the chart
    """

    name: str
    label: str
    package: str = ""
    prepare: Callable[[Any], object] = lambda module: None
    remark: str = ""
    makes_garbage: bool = False
    family: str = "peer"

    def load(self) -> None:
        """Import the package and prepare it.

        Raises
        ------
        MissingError
            if it is not installed
        """
        if self.name in NEED_COMPILER and limit.compiler() is None:
            raise MissingError(limit.NO_COMPILER)
        if self.name in LIMITS:
            limit.library()
        elif self.package:
            _prepared(self.package, self.prepare, self.command)

    @property
    def state(self) -> str:
        """Its version, or the command that installs it. Nothing is imported."""
        if self.name in (*LIMITS, "native") and limit.compiler() is None:
            return f"not installed: {limit.NO_COMPILER}"
        if not self.package:
            return "included"
        try:
            return f"version {self.version}"
        except importlib.metadata.PackageNotFoundError:
            return f"not installed: {self.command}"

    @property
    def command(self) -> str:
        return f"{shlex.quote(sys.executable)} -m pip install {self.package}{self.remark and f'  # {self.remark}'}"

    @property
    def version(self) -> str:
        return importlib.metadata.version(self.package) if self.package else ""


@functools.lru_cache(None)
def _prepared(package: str, prepare: Callable[[Any], object], command: str) -> None:
    if package == "jax":
        os.environ.setdefault("NPROC", "1")  # XLA reads its number of threads from here
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingError(command) from error
    prepare(module)


def _double_precision(jax: Any) -> None:
    jax.config.update("jax_enable_x64", True)


def _one_thread(torch: Any) -> None:
    torch.set_num_threads(1)


def of_pygrad() -> list[str]:
    """The names of pygrad's own engines, for which `pygrad` stands in --engines."""
    return [engine.name for engine in ENGINES.values() if engine.family == "pygrad"]


LIMITS = ("c", "c-value")
NEED_COMPILER = (*LIMITS, "native", "native-value")
BACKENDS = {"compile": "kernels", "native": "native"}  # engines that are backends of pygrad.compile
_TORCH = "the default build for Linux downloads gigabytes for GPUs; see pytorch.org for a CPU build"

ENGINES = {
    engine.name: engine
    for engine in [
        Engine("reference", "pygrad.reference", makes_garbage=True),
        Engine("minimal", "minimal Python Value"),
        Engine("floats", "Python floats, no gradient", family="yardstick"),
        Engine("value", "pygrad Value", family="pygrad"),
        Engine("array", "pygrad Array", family="pygrad"),
        Engine("compile", "pygrad compile", family="pygrad"),
        Engine("compile-value", "pygrad compile, value alone", family="pygrad"),
        Engine("native", "pygrad native", family="pygrad"),
        Engine("native-value", "pygrad native, value alone", family="pygrad"),
        Engine("pure", "pygrad compile, pure()", family="pygrad"),
        Engine("dask", "pygrad.dask, 2 processes", "distributed", family="pygrad"),
        Engine("compile-threads", f"pygrad compile, {processors()} threads", family="pygrad"),
        Engine("micrograd", "micrograd", "micrograd", makes_garbage=True, family="yardstick"),
        Engine("micrograd-rust", "micrograd-rust", "micrograd_rust", remark="builds it with Rust's cargo"),
        Engine("torch-scalars", "PyTorch, scalars", "torch", _one_thread, _TORCH),
        Engine("torch", "PyTorch, tensors", "torch", _one_thread, _TORCH),
        Engine("jax", "JAX, jit", "jax", _double_precision),
        Engine("casadi", "CasADi Function", "casadi"),
        Engine("xad", "XAD", "xad"),
        Engine("autograd", "autograd", "autograd", makes_garbage=True),
        Engine("c", "hand-written C", family="limit"),
        Engine("c-value", "hand-written C, value alone", family="limit"),
    ]
}
