"""Ints stay ints, as in Python; test_differential.py and test_scripts.py compare programs of them with micrograd."""

import copy
import pickle

import numpy as np
import pytest

import pygrad
from pygrad import Value, array, nn, optim, reference


def shown(x):
    return type(x), x


# What is made of an int, and the number that it shows.
MADE = {
    "an int": (lambda: Value(2), 2),
    "a bool": (lambda: Value(True), 1),
    "an int of NumPy": (lambda: Value(np.int64(2)), 2),
    "an int in text": (lambda: Value("2"), 2.0),
    "the largest int": (lambda: Value(1 - 2**53), 1 - 2**53),
    "an int that a double does not hold": (lambda: Value(2**53 + 1), float(2**53 + 1)),
    "a sum": (lambda: Value(2) + 3, 5),
    "a sum that is too large": (lambda: Value(2**53 - 1) + 1, float(2**53)),
    "a difference": (lambda: 3 - Value(2), 1),
    "a product": (lambda: Value(2) * Value(-3), -6),
    "a product of 0": (lambda: Value(0) * -1, 0),
    "a product with a float": (lambda: Value(2) * 3.0, 6.0),
    "a quotient": (lambda: Value(6) / 3, 6 * 3**-1),
    "a power": (lambda: Value(-2) ** 3, -8),
    "an inverse": (lambda: Value(2) ** -1, 0.5),
    "a power by a Value": (lambda: Value(2) ** Value(3), 8),
    "the negative": (lambda: -Value(2), -2),
    "relu": (lambda: Value(2).relu(), 2),
    "relu of a negative float": (lambda: Value(-2.5).relu(), 0),
    "abs": (lambda: Value(-2).abs(), 2),
    "maximum": (lambda: Value(2).maximum(1.5), 2),
    "minimum": (lambda: Value(2).minimum(1.5), 1.5),
    "exp": (lambda: Value(0).exp(), 1.0),
    "detach": (lambda: (Value(2) * 3).detach(), 6),
    "an op in Python": (lambda: Value(5, (Value(2), Value(3)), "+"), 5),
    "an op with local gradients": (lambda: Value(5, (Value(2), Value(3)), (1, 1)), 5),
    "a sum of Values": (lambda: sum([Value(2), Value(3)]), 5),
    "the largest": (lambda: max(Value(2), Value(1)), 2),
    "a copy": (lambda: copy.deepcopy(Value(2)), 2),
    "a pickle": (lambda: pickle.loads(pickle.dumps(Value(2))), 2),
    "an element of an Array of Values": (lambda: array([Value(2)])[0], 2),
    "an element of an Array of ints": (lambda: array([2])[0], 2.0),
    "a result of a compiled function": (lambda: Value(pygrad.compile(lambda x: x * 2, 1)(3)), 6.0),
}


@pytest.mark.parametrize("name", MADE)
def test_data_is_an_int_where_python_s_is(name, no_leak):
    make, number = MADE[name]
    assert shown(make().data) == shown(number)


def test_a_grad_is_an_int_until_a_float_is_added(no_leak):
    a, b = Value(2), Value(0.5)
    assert repr(a) == "Value(data=2, grad=0)"
    (a * 3 + b).backward()
    assert [shown(v.grad) for v in (a, b)] == [shown(3), shown(1)]
    (a * b).backward()
    assert [shown(v.grad) for v in (a, b)] == [shown(3.5), shown(3)]
    assert [shown(v.grad) for v in (copy.copy(a), copy.copy(b))] == [shown(3.5), shown(3)]
    a.grad = 0
    assert repr(a) == "Value(data=2, grad=0)"


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_a_grad_of_2_to_the_53_is_a_float(V):
    a = V(1)
    out = a * (2**53 - 1)
    out.backward()
    assert shown(a.grad) == shown(2**53 - 1)
    out.backward()
    assert shown(a.grad) == shown(float(2**54 - 2))


def test_an_op_in_python_passes_on_ints(no_leak):
    a = Value(3)
    out = Value(2 * a.data, (a,), "twice")

    def _backward():
        a.grad += 2 * out.grad

    out._backward = _backward
    (out + 1).backward()
    assert shown(a.grad) == shown(2)
    b = Value(3)
    Value(12, (b,), (4,)).backward()
    assert shown(b.grad) == shown(4)


def test_a_step_and_a_state_store_floats(tmp_path):
    p = Value(2)
    (p * 3).backward()
    optim.SGD([p], lr=1).step()
    assert shown(p.data) == shown(-1.0)
    optim.SGD([p], lr=1).zero_grad()
    assert shown(p.grad) == shown(0)
    neuron = nn.Neuron(1)
    neuron.b.data = 4
    neuron.load_state_dict(neuron.state_dict())
    assert shown(neuron.b.data) == shown(4.0)


@pytest.mark.parametrize("field", ["data", "grad"])
def test_a_float_that_numpy_writes_over_an_int_is_shown(field, no_leak):
    x = array([1.0, 2.0])
    v = x[0]
    setattr(v, field, 3)
    assert shown(getattr(v, field)) == shown(3)
    for number in (0.5, float("inf"), 2.0**60):
        getattr(x, field)[0] = number
        assert shown(getattr(v, field)) == shown(number)


def test_numbers_that_a_model_is_called_with_keep_their_type(no_leak):
    neuron = nn.Neuron(3, nonlin=False)
    for p, number in zip(neuron.parameters(), [2, 3, 4, 1]):
        p.data = number
    assert shown(neuron([1, Value(2), True]).data) == shown(13)
    assert shown(neuron((1, 2, np.int64(3))).data) == shown(21)
    assert shown(neuron([1, 2.0, 3]).data) == shown(21.0)
