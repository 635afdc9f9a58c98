"""Tracing and running on several threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import pygrad
from pygrad import Value
from support.compiled import bits


def test_threads_may_share_a_program():
    w = Value(2.0)
    f = pygrad.compile(lambda x: (w * x).tanh() * x, 1.0)
    batches = np.random.default_rng(0).uniform(-1, 1, (200, 300))
    expected = [(bits(f(x)), bits(f.value_and_grad(x)[1][0])) for x in batches]
    w.grad = 0.0
    f = pygrad.compile(lambda x: (w * x).tanh() * x, 1.0)  # without routines yet
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda x: (bits(f(x)), bits(f.value_and_grad(x)[1][0])), batches)
    assert list(found) == expected
