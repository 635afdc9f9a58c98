"""Runs: leaves made at once, which copies and pickles keep together.

copy.deepcopy and pickle find what objects share by its identity. So an Array of leaves, its views, and its elements as
Values are each copied as a place in one object: the holder of their nodes. A copy of the holder has as many new leaves;
whoever is copied with it fills in its own numbers.
"""

from __future__ import annotations

import copyreg
from typing import Any

import numpy as np

from pygrad import _bulk
from pygrad._handles import value_of
from pygrad._holders import run_of, shown
from pygrad._lib import check, lib


def new_run(size: int) -> Any:
    """The holder of so many new leaves of 0."""
    ids = np.empty(size, np.uint32)
    status, holder = _bulk.leaves(False, np.zeros(size), ids)
    check(status, f"a copy of {size:,} leaves")
    return shown(holder)


def place_of(id: int) -> tuple[Any, int] | None:
    """The run that a leaf is in, and where; None if nothing but a Value holds the leaf, or no run has it."""
    run = run_of(id) if lib.pg_refs(id) > 1 else None
    return None if run is None else (run, id - int(run.ids.flat[0]))


def value_at(run: Any, place: int) -> Any:
    """The Value of a leaf of a run."""
    return value_of(int(run.ids.flat[place]))


def _reduced(run: Any) -> tuple[Any, ...]:
    return new_run, (run.ids.size,)


copyreg.pickle(type(new_run(0)), _reduced)
