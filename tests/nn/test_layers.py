"""Layers of Arrays."""

import copy
import pickle
import random

import numpy as np
import pytest

import pygrad
from pygrad import Value, functional, nn


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


# Dropout -----------------------------------------------------------------------------------------------------------


def test_dropout_keeps_a_part_of_the_numbers_and_scales_it_and_its_gradient():
    x = pygrad.array(np.ones(10_000))
    out = nn.Dropout(0.25, seed=1)(x)
    out.sum().backward()
    assert set(np.unique(out.data)) == {0.0, 1 / 0.75}
    assert np.array_equal(out.data, x.grad)
    assert abs(out.data.mean() - 1) < 0.05


def test_dropout_is_that_of_its_seed_or_of_python_s():
    masks = [nn.Dropout(0.5, seed=3).mask(20).tolist() for _ in range(2)]
    assert masks[0] == masks[1] != nn.Dropout(0.5, seed=4).mask(20).tolist()
    drawn = []
    for _ in range(2):
        random.seed(9)
        dropout = nn.Dropout(0.5)
        drawn.append(
            [dropout.mask(20).tolist(), dropout.mask(20).tolist(), functional.dropout(np.ones(20)).data.tolist()]
        )
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[0][1]


def test_a_compiled_function_drops_by_a_mask_and_refuses_to_draw_one():
    dropout = nn.Dropout(0.5, seed=1)
    for draws in (dropout, functional.dropout):
        with pytest.raises(ValueError, match="would be the same in each call: make the mask an argument"):
            pygrad.compile(lambda x, draws=draws: draws(x).sum(), np.ones(4))
    f = pygrad.compile(lambda x, mask: dropout(x, mask).sum(), np.ones(4), np.ones(4))
    for mask in ([1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]):
        value, (slopes, _) = f.value_and_grad(np.ones(4), mask)
        assert value == 2 * sum(mask)
        assert slopes.tolist() == [2 * kept for kept in mask]
    dropout.eval()
    assert pygrad.compile(lambda x: dropout(x).sum(), np.ones(4))(np.ones(4)) == 4


def test_dropout_of_a_value_is_a_value():
    for out in (nn.Dropout(0.0)(Value(2.0)), nn.Dropout(0.5).eval()(Value(2.0)), functional.dropout(Value(2.0), 0.0)):
        assert type(out) is Value
        assert out.data == 2


def test_a_module_list_is_a_list():
    layers = nn.ModuleList([nn.Linear(2, 2)])
    layers.append(nn.Linear(2, 1))
    layers += [nn.Tanh()]
    assert (len(layers), type(layers[:2]), len(layers[:2].parameters())) == (3, nn.ModuleList, 4)
    assert [name for name, _ in layers.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    x = [1.0, 2.0]
    for layer in layers:
        x = layer(x)
    assert x.shape == (1,)
    with pytest.raises(NotImplementedError, match="ModuleList cannot be called"):
        layers(x)
