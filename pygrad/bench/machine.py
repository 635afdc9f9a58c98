"""Describes what the figures depend on besides the code: the machine, the compiler, and the versions of the engines."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pygrad._distribution import VERSION
from pygrad._system import processors
from pygrad.bench import limit
from pygrad.bench.engines import ENGINES


def processor() -> str:
    """The name of the processor, in detail on Linux."""
    if sys.platform == "linux":
        with open("/proc/cpuinfo") as cpuinfo:
            names = [line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The versions of pygrad, NumPy and the installed engines."""
    packages = {"numpy", *(engine.package for engine in ENGINES.values() if engine.package)}
    found = {"pygrad": VERSION}
    for package in sorted(packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            pass
    return found


def machine() -> dict[str, Any]:
    """The description of this machine, stored with a run."""
    return {
        "processor": processor(),
        "cpus": processors(),
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": limit.compiler_version(),
        "flags": " ".join(limit.FLAGS),
        "versions": versions(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }
