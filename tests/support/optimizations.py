"""Programs compiled without some of the optimizations, so that the others are tested alone."""

import contextlib
from unittest import mock

from pygrad._lib import lib
from pygrad.program import recorded

OPTIMIZATIONS = [lib.PG_WITHOUT_FOLDING, lib.PG_WITHOUT_SHARING, lib.PG_WITHOUT_REDUCTION]
OPTIMIZATIONS += [lib.PG_WITHOUT_DOTS, lib.PG_WITHOUT_VECTORS, lib.PG_WITHOUT_REUSE]
WITHOUT = [0, *OPTIMIZATIONS, sum(OPTIMIZATIONS)]


@contextlib.contextmanager
def disabled(optimizations):
    """Programs that are compiled or loaded here do without these optimizations, also later."""
    with mock.patch.object(recorded, "disabled", optimizations):
        yield
