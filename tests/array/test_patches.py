"""Arrays and functions on them do what the scalar loop does where a program has assigned methods to Value."""

import numpy as np
import pytest

import pygrad
from pygrad import Value, nn
from pygrad import functional as F

RIGHT = np.array([[0.5, 2.0, 1.5], [3.0, 0.25, 1.0]])

MIXED = [1.0, Value(2.0), 3.0]

# What is done with an Array x of shape (2, 3), and methods of Value that the loop calls.
CASES = {
    "x + y": (lambda x: x + RIGHT, "__add__"),
    "mixed + x": (lambda x: MIXED + x, "__add__"),
    "1 + x": (lambda x: 1 + x, "__add__ __radd__"),
    "x - x": (lambda x: x - x, "__sub__ __add__ __neg__ __mul__"),
    "x - 1": (lambda x: x - 1, "__sub__ __add__"),
    "x - y": (lambda x: x - RIGHT, "__sub__ __add__"),
    "1 - x": (lambda x: 1 - x, "__rsub__ __radd__ __neg__"),
    "y - x": (lambda x: RIGHT - x, "__rsub__ __radd__ __neg__"),
    "x * Value": (lambda x: x * Value(2.0), "__mul__"),
    "2 * x": (lambda x: 2 * x, "__mul__ __rmul__"),
    "x / x": (lambda x: x / x, "__truediv__ __mul__ __pow__"),
    "x / 2": (lambda x: x / 2, "__truediv__ __mul__"),
    "2 / x": (lambda x: 2 / x, "__rtruediv__ __rmul__ __pow__"),
    "x ** 2": (lambda x: x**2, "__pow__"),
    "x ** x": (lambda x: x**x, "__pow__"),
    "x ** Value": (lambda x: x ** Value(2.0), "__pow__"),
    "x ** y": (lambda x: x**RIGHT, "__pow__"),
    "2 ** x": (lambda x: 2**x, "__rpow__ __pow__"),
    "-x": (lambda x: -x, "__neg__ __mul__"),
    "x @ y": (lambda x: x @ RIGHT.T, "__add__ __radd__ __mul__"),
    "sum": (lambda x: x.sum(0, keepdims=True), "__add__ __radd__"),
    "sum of none": (lambda x: x[:, :0].sum(1), ""),
    "prod": (lambda x: x.prod(1), "__mul__ __rmul__"),
    "mean": (lambda x: x.mean(), "__add__ __radd__ __truediv__"),
    "max": (lambda x: x.max(1), "maximum"),
    "min": (lambda x: x.min(), "minimum"),
    "maximum": (lambda x: x.maximum(1.0), "maximum"),
    "minimum": (lambda x: x.minimum(x), "minimum"),
    **{name: (lambda x, name=name: getattr(x, name)(), name) for name in
       ("relu", "exp", "log", "tanh", "sigmoid", "softplus", "sqrt", "sin", "cos", "abs", "detach")},
    "no elements": (lambda x: (x[:0] + 1).relu(), ""),
    "one element": (lambda x: x[0, :1].reshape(()) * 3, "__mul__"),
    "linear": (lambda x: F.linear(x, RIGHT, [1.0, 2.0]), "__add__ __mul__"),
    "relu of functional": (lambda x: F.relu(x), "relu"),
    "softmax": (lambda x: F.softmax(x), "exp __truediv__ __sub__"),
    "log_softmax": (lambda x: F.log_softmax(x, 0), "exp log __sub__"),
    "rms_norm": (lambda x: F.rms_norm(x, 3, [1.0, 2.0, 3.0]), "__mul__ __pow__ __add__"),
    "rms_norm of none": (lambda x: F.rms_norm(x[:0], 3), ""),
    "cross_entropy": (lambda x: F.cross_entropy(x, [0, 2]), "exp log"),
    "mse_loss": (lambda x: F.mse_loss(x, RIGHT), "__sub__ __pow__"),
    "hinge_loss": (lambda x: F.hinge_loss(x, RIGHT, reduction="sum"), "relu __mul__"),
}  # fmt: skip


def result(case):
    """The numbers that a case makes, and the gradients."""
    x = pygrad.array([[1.0, 2.0, 0.5], [0.75, 1.5, 3.0]])
    y = CASES[case][0](x)
    y.sum().backward()
    return y.data.copy(), x.grad.copy()


def replace(monkeypatch, name):
    """Assign a method to Value that does the same, and return its calls."""
    calls, original = [], getattr(Value, name)

    def method(self, *args):
        calls.append(self)
        return original(self, *args)

    monkeypatch.setattr(Value, name, method)
    return calls


@pytest.mark.parametrize("case", CASES)
def test_arrays_call_the_methods_that_were_assigned(case, monkeypatch):
    right = result(case)
    for name in CASES[case][1].split():
        with monkeypatch.context() as patch:
            calls = replace(patch, name)
            data, grad = result(case)
        assert calls, name
        np.testing.assert_allclose(data, right[0], rtol=1e-14)
        np.testing.assert_allclose(grad, right[1], rtol=1e-12, atol=1e-15)
    again = result(case)
    assert (again[0] == right[0]).all()
    assert (again[1] == right[1]).all()


@pytest.mark.parametrize("name", ["__add__", "__mul__", "exp", "maximum"])
@pytest.mark.parametrize("case", CASES)
def test_any_method_may_be_assigned_while_others_are_used(case, name, monkeypatch):
    right = result(case)
    replace(monkeypatch, name)
    data, grad = result(case)
    np.testing.assert_allclose(data, right[0], rtol=1e-14)
    np.testing.assert_allclose(grad, right[1], rtol=1e-12, atol=1e-15)


def test_a_leaky_relu_is_that_of_functions_and_layers(monkeypatch):
    model = nn.Sequential(nn.Linear(1, 1, bias=False), F.relu)
    model[0].weight.data[...] = -1.0
    assert model([1.0]).data == 0
    monkeypatch.setattr(Value, "relu", lambda self: self if self.data > 0 else self * 0.1)
    assert model([1.0]).data == -0.1
    assert pygrad.array([-2.0, 2.0]).relu().data.tolist() == [-0.2, 2.0]


def test_a_program_is_made_of_the_methods_that_are_assigned_when_it_is_compiled(monkeypatch):
    monkeypatch.setattr(Value, "relu", lambda self: self * 3)
    f = pygrad.compile(lambda x: x.relu().sum(), np.zeros(2))
    assert f(np.array([-1.0, 2.0])) == 3


def test_an_exception_of_an_assigned_method_arrives(monkeypatch):
    def fail(*args):
        raise NotImplementedError("mine")

    monkeypatch.setattr(Value, "__add__", fail)
    with pytest.raises(NotImplementedError, match="mine"):
        pygrad.array([1.0]) + 1
    with pytest.raises(NotImplementedError, match="mine"):
        pygrad.array([1.0]).sum()


def test_a_deleted_method_is_missed_only_by_what_calls_it(monkeypatch):
    for cls in Value.__mro__:
        if "sin" in vars(cls):
            monkeypatch.delattr(cls, "sin")
    with pytest.raises(AttributeError, match="sin"):
        pygrad.array([1.0]).sin()
    assert pygrad.array([0.0]).cos().data == 1
