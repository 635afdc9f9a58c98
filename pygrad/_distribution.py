"""What pip calls this package: its version, and its name on PyPI, where `pygrad` is a project of others."""

from __future__ import annotations

NAME = "pygrad-engine"
VERSION = "0.1.0"


def install(extra: str) -> str:
    """The command that installs what a part of the package needs.

    >>> install("viz")
    "pip install 'pygrad-engine[viz]'"
    """
    return f"pip install '{NAME}[{extra}]'"
