"""What holds for each module of nn: a name without a row in the table fails."""

import copy
import inspect
import pickle
import random

import numpy as np
import pytest

import pygrad
from pygrad import nn

rng = np.random.default_rng(4)
X, CUBE = rng.normal(size=(4, 3)), rng.normal(size=(2, 4, 3))

# name: (make it, its input, its repr, the same in torch or None)
MODULES = {
    "Neuron": (lambda: nn.Neuron(3, activation="tanh"), X[0], "TanhNeuron(3)", None),
    "Layer": (lambda: nn.Layer(3, 2), X[0], "Layer of [ReLUNeuron(3), ReLUNeuron(3)]", None),
    "MLP": (
        lambda: nn.MLP(3, [2, 1], activation="silu"),
        X[0],
        "MLP of [Layer of [SiLUNeuron(3), SiLUNeuron(3)], Layer of [LinearNeuron(2)]]",
        None,
    ),
    "Linear": (
        lambda: nn.Linear(3, 5),
        CUBE,
        "Linear(in_features=3, out_features=5, bias=True)",
        lambda t: t.nn.Linear(3, 5),
    ),
    "Embedding": (lambda: nn.Embedding(3, 2), None, "Embedding(3, 2)", lambda t: t.nn.Embedding(3, 2)),
    "RMSNorm": (
        lambda: nn.RMSNorm(3),
        CUBE,
        "RMSNorm(3, eps=None, elementwise_affine=True)",
        lambda t: t.nn.RMSNorm(3, eps=2.0**-52),
    ),
    "LayerNorm": (
        lambda: nn.LayerNorm((4, 3)),
        CUBE,
        "LayerNorm((4, 3), eps=1e-05, elementwise_affine=True, bias=True)",
        lambda t: t.nn.LayerNorm((4, 3)),
    ),
    "Dropout": (lambda: nn.Dropout(0.25).eval(), X, "Dropout(p=0.25)", lambda t: t.nn.Dropout(0.25).eval()),
    "ReLU": (nn.ReLU, X, "ReLU()", lambda t: t.nn.ReLU()),
    "Tanh": (nn.Tanh, X, "Tanh()", lambda t: t.nn.Tanh()),
    "Sigmoid": (nn.Sigmoid, X, "Sigmoid()", lambda t: t.nn.Sigmoid()),
    "GELU": (nn.GELU, X, "GELU()", lambda t: t.nn.GELU("tanh")),
    "SiLU": (nn.SiLU, X, "SiLU()", lambda t: t.nn.SiLU()),
    "Softplus": (nn.Softplus, X, "Softplus()", lambda t: t.nn.Softplus()),
    "Sequential": (
        lambda: nn.Sequential(nn.Linear(3, 2), nn.Tanh(), pygrad.functional.relu),
        X,
        "Sequential(Linear(in_features=3, out_features=2, bias=True), Tanh(), relu)",
        lambda t: t.nn.Sequential(t.nn.Linear(3, 2), t.nn.Tanh(), t.nn.ReLU()),
    ),
    "ModuleList": (lambda: nn.ModuleList([nn.Tanh(), nn.ReLU()]), None, "ModuleList([Tanh(), ReLU()])", None),
}


def result(module, x):
    return pygrad.array(module([2, 0, 2] if isinstance(module, nn.Embedding) else x))


def test_each_module_has_a_row():
    assert MODULES.keys() == set(nn.__all__) - {"Module", "Value", "random"}


@pytest.mark.parametrize("name", MODULES)
def test_help_shows_an_example_and_repr_the_options(name):
    cls = getattr(nn, name)
    assert ">>>" in cls.__doc__
    assert repr(MODULES[name][0]()) == MODULES[name][2]
    assert cls.__call__.__name__ == "__call__"
    for method, x in inspect.getmembers(nn.Module, inspect.isfunction):
        assert inspect.getdoc(x) or method.startswith("_"), method


@pytest.mark.parametrize("name", [name for name in MODULES if name != "ModuleList"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_compiled_call_a_copy_and_a_loaded_state_give_the_same(name, copied):
    random.seed(2)
    make, x, *_ = MODULES[name]
    module, other = make(), make()
    out = result(module, x).data
    other.load_state_dict(module.state_dict())
    for same in (copied(module), other):
        np.testing.assert_array_equal(result(same, x).data, out)
    if x is not None:
        compiled = pygrad.compile(lambda x: pygrad.array(module(x)).sum(), x)
        np.testing.assert_allclose(compiled(x), out.sum(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [name for name, row in MODULES.items() if row[3]])
def test_results_and_gradients_are_torch_s(name):
    torch = pytest.importorskip("torch")
    make, x, _, theirs = MODULES[name]
    ours, theirs = make(), theirs(torch).double()
    a = np.array([2, 0, 2]) if x is None else pygrad.array(x)
    t = torch.tensor([2, 0, 2]) if x is None else torch.tensor(x, requires_grad=True)
    for p, q in zip(ours.parameters(), theirs.parameters()):
        p.data = p.data + 0.25 * np.cos(np.arange(p.size)).reshape(p.shape)
        q.data = torch.tensor(p.data.copy())
    out, expected = ours(a), theirs(t)
    np.testing.assert_allclose(out.data, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    weights = rng.normal(size=out.shape)
    (out * weights).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    for p, q in [*zip(ours.parameters(), theirs.parameters()), *([] if x is None else [(a, t)])]:
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-11, atol=1e-13)
