"""docs/torch.md says of each row what is so."""

import re

import numpy as np
import pytest

from pygrad import array, functional, nn, optim
from pygrad.optim import lr_scheduler
from support.torch_table import LEFT_OUT, NAMES, ONLY_HERE, ROWS, options_of, resolve

HERE = [row for row in ROWS if row.ours]
ABSENT = [row for row in ROWS if not row.ours]
CALLS = [row for row in ABSENT if "(" in row.theirs]


def names(rows):
    return [row.name for row in rows]


def test_the_table_has_rows_of_each_kind_and_no_name_twice():
    assert {row.kind for row in HERE} == {"same", "differs"}
    assert {row.kind for row in ABSENT} == {"not there"}
    assert len(set(names(ROWS))) == len(ROWS) > 80
    assert len(CALLS) > 10


def test_each_public_name_is_in_the_table():
    public = {f"functional.{name}" for name in functional.__all__}
    public |= {f"nn.{name}" for name in nn.__all__} - {"nn.Value", "nn.random"}
    public |= {f"optim.{name}" for name in optim.__all__} - {"optim.Optimizer", "optim.lr_scheduler"}
    schedulers = [
        x for x in vars(lr_scheduler).values() if isinstance(x, type) and x.__module__ == lr_scheduler.__name__
    ]
    public |= {f"optim.lr_scheduler.{x.__name__}" for x in schedulers} - {"optim.lr_scheduler.LRScheduler"}
    rows = {row.ours for row in HERE}
    assert public - rows == ONLY_HERE
    assert not ONLY_HERE & rows


@pytest.mark.parametrize("row", HERE, ids=names(HERE))
def test_what_the_table_has_is_here_and_its_options_are_what_the_table_says(row):
    assert callable(resolve(row.ours))
    if row.has_options:
        named = set(re.findall(r"`(\w+)", row.verdict)) if row.kind == "differs" else set()
        assert row.differing() <= named


@pytest.mark.parametrize("row", ABSENT, ids=names(ABSENT))
def test_what_the_table_says_is_not_there_is_not_there_and_what_to_use_is(row):
    owner, _, name = row.name.replace("nn.functional", "functional").replace("nn.utils", "optim").rpartition(".")
    assert not hasattr(resolve(owner or "pygrad"), name)
    assert row.verdict.startswith("not there: use ")
    for path in re.findall(r"`((?:pygrad|nn|functional|optim|numpy)\.[\w.]+)`", row.verdict):
        assert callable(resolve(path))


# With PyTorch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=names(ROWS))
def test_pytorch_has_the_name_and_the_options(row):
    torch = pytest.importorskip("torch")
    theirs = torch
    for name in row.name.split("."):
        theirs = getattr(theirs, name)
    if not row.has_options:
        return
    try:
        found = options_of(theirs)
    except ValueError:  # it is written in C++
        return
    hidden = {name for name in found if name.startswith("_")} | LEFT_OUT | {"decoupled_weight_decay"}  # Adam's of AdamW
    assert {name: x for name, x in found.items() if name not in hidden} == row.options()


@pytest.mark.parametrize("row", CALLS, ids=names(CALLS))
def test_what_to_use_instead_gives_pytorch_s_numbers(row):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    given = {"x": rng.normal(size=(3, 4)) * 3, "y": rng.normal(size=(3, 4))}
    if "soft_margin" in row.name:
        given["y"] = np.sign(given["y"])
    given |= {name: rng.uniform(0.1, 0.9, (3, 4)) for name in "pq"}
    expected = eval(f"torch.{row.theirs}", {"torch": torch, **{name: torch.tensor(x) for name, x in given.items()}})
    (code,) = re.findall(r"use `(.*?)`", row.verdict)
    out = eval(code, {**NAMES, **{name: array(x) for name, x in given.items()}})
    np.testing.assert_allclose(out.data, expected.numpy(), rtol=1e-12)
