"""The table of docs/torch.md: PyTorch's names beside ours."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pygrad
from pygrad import functional, nn, optim

PAGE = (Path(__file__).parent.parent.parent / "docs" / "torch.md").read_text(encoding="utf-8")
NAMES = {"pygrad": pygrad, "functional": functional, "nn": nn, "optim": optim, "np": np, "numpy": np}
Options = dict[str, Any]


class Row(NamedTuple):
    theirs: str  # a name in torch, and its options or an example of a call
    ours: str
    verdict: str

    @property
    def name(self) -> str:
        return self.theirs.partition("(")[0]

    @property
    def kind(self) -> str:
        return self.verdict.partition(":")[0]

    @property
    def has_options(self) -> bool:
        return "(" in self.theirs and bool(self.ours)

    def options(self) -> Options:
        """PyTorch's, as the table says, with their defaults."""
        arguments = ast.parse(f"def f{self.theirs[len(self.name) :]}: pass").body[0].args
        defaults = [inspect.Parameter.empty] * len(arguments.args) + [ast.literal_eval(x) for x in arguments.defaults]
        return dict(zip([x.arg for x in arguments.args], defaults[len(arguments.defaults) :]))

    def own_options(self) -> Options:
        return options_of(resolve(self.ours))

    def differing(self) -> set[str]:
        """The options that are only in one of both, or have other defaults or places."""
        theirs, ours = self.options(), self.own_options()
        shared = [name for name in theirs if name in ours]
        moved = shared != [name for name in ours if name in theirs]
        different = {name for name in shared if theirs[name] != ours[name] or moved}
        return different | (theirs.keys() ^ ours.keys())


ROWS = [
    Row(*(cell.strip().strip("`") if i < 2 else cell.strip() for i, cell in enumerate(line.strip("| ").split(" | "))))
    if not re.match(r"\| `[^`]*` \|  \|", line)
    else Row(re.match(r"\| `([^`]*)`", line)[1], "", line.rpartition(" |  | ")[2].removesuffix(" |"))
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
LEFT_OUT = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("left out everywhere") : PAGE.index("Only here")]))
ONLY_HERE = set(re.findall(r"`(\w+\.\w+)`", PAGE[PAGE.index("Only here") : PAGE.index("| PyTorch")]))


def resolve(path: str) -> Any:
    first, *rest = path.split(".")
    found = NAMES[first]
    for name in rest:
        found = getattr(found, name)
    return found


def options_of(f: Any) -> Options:
    """The parameters of a function, or of what makes a class, with their defaults."""
    found = inspect.signature(f.__init__ if inspect.isclass(f) else f).parameters
    kinds = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    return {name: p.default for name, p in found.items() if name != "self" and p.kind not in kinds}
