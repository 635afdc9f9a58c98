"""Programs compiled without some of the optimizations, so that the others are tested alone."""

import contextlib

from pygrad._lib import lib

OPTIMIZATIONS = [lib.PG_FOLDING, lib.PG_SHARING, lib.PG_REDUCTION, lib.PG_DOTS, lib.PG_VECTORS, lib.PG_SLOT_REUSE]
WITHOUT = [0, *OPTIMIZATIONS, sum(OPTIMIZATIONS)]


@contextlib.contextmanager
def disabled(optimizations):
    """Programs that are made here, by compile or by loading, do without these optimizations, also later."""
    lib.pg_test_disable(optimizations)
    try:
        yield
    finally:
        lib.pg_test_disable(0)
