"""Layers of Arrays."""

import copy
import pickle
import random

import numpy as np
import pytest

import pygrad
from pygrad import functional, nn


def test_a_part_of_a_sequential_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="Sequential takes modules and functions, not 'int'"):
        nn.Sequential(nn.Linear(2, 2), 3)


def test_modules_of_arrays_compute_what_their_functions_do():
    random.seed(1)
    x = pygrad.array(np.random.default_rng(1).normal(size=(5, 4)))
    linear, norm, embedding = nn.Linear(4, 3), nn.RMSNorm(4), nn.Embedding(6, 4)
    assert np.allclose(linear(x).data, x.data @ linear.weight.data.T + linear.bias.data)
    assert np.array_equal(norm(x).data, functional.rms_norm(x, 4).data)
    assert np.array_equal(embedding([1, 5]).data, embedding.weight.data[[1, 5]])
    model = nn.Sequential(linear, functional.relu, nn.Linear(3, 1))
    assert np.array_equal(model(x).data, model[2](linear(x).relu()).data)
    assert len(model) == 3
    assert abs(linear.weight.data).max() <= 0.5
    assert [repr(m) for m in (linear, norm, embedding)] == [
        "Linear(in_features=4, out_features=3, bias=True)",
        "RMSNorm(4, eps=None, elementwise_affine=True)",
        "Embedding(6, 4)",
    ]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_modules_of_arrays_can_be_copied_and_pickled(copied):
    model = nn.Sequential(nn.Linear(2, 3), nn.RMSNorm(3))
    twin = copied(model)
    assert np.array_equal(twin([1, 2]).data, model([1, 2]).data)
    twin[0].weight.data += 1
    assert not np.array_equal(twin([1, 2]).data, model([1, 2]).data)
