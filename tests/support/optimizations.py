"""Disable optimizations of Programs, to test the others alone."""

import contextlib

from pygrad._lib import lib

OPTIMIZATIONS = [lib.PG_FOLDING, lib.PG_SHARING, lib.PG_REDUCTION, lib.PG_DOTS, lib.PG_VECTORS, lib.PG_SLOT_REUSE]
WITHOUT = [0, *OPTIMIZATIONS, sum(OPTIMIZATIONS)]


@contextlib.contextmanager
def disabled(optimizations):
    """Disable these optimizations for Programs that are compiled or loaded in the block; they stay disabled later."""
    lib.pg_test_disable(optimizations)
    try:
        yield
    finally:
        lib.pg_test_disable(0)
