"""Fixtures for the tests of programs."""

import numpy as np
import pytest

import pygrad


@pytest.fixture(scope="module")
def small():
    """A Program with lookups, nested arguments, parameters and constants."""
    table = pygrad.array([[1.0, 2.0], [3.0, 4.0], [0.5, 0.25]])

    def first(i, x):
        return (table[i] * x[0]).sum() ** 2 + x[1][0].exp() * 3

    return pygrad.compile(first, pygrad.index(1), [np.ones(2), (0.5,)])
