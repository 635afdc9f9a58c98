"""The parameters of a Program: which leaves they are, and their gradients."""

import gc

import numpy as np

import pygrad
from pygrad import Value
from support import live_nodes


def test_parameters_are_read_at_each_call():
    w, b = pygrad.array([1.0, 2.0]), Value(3.0)
    f = pygrad.compile(lambda x: (w * x).sum() + b, np.zeros(2))
    assert f([1.0, 1.0]) == 6
    w.data *= 10
    b.data = 0.5
    assert f([1.0, 1.0]) == 30.5
    np.testing.assert_array_equal(f([[1.0, 1.0], [2.0, 0.0]]), [30.5, 20.5])
    assert sorted(f.parameters.data.tolist()) == [0.5, 10.0, 20.0]


def test_the_grads_of_parameters_accumulate():
    w = Value(3.0)
    f = pygrad.compile(lambda x: w * w * x, 1.0)
    w.grad = 100.0
    f.value_and_grad(1.0)
    assert w.grad == 106
    f.value_and_grad([1.0, 2.0])
    assert w.grad == 124
    f.value_and_grad([1.0, 2.0], cotangent=[1.0, -1.0])
    assert w.grad == 118
    f(1.0)
    assert w.grad == 118


def test_a_parameter_lives_as_long_as_the_program(no_leak):
    ws = [Value(2.0)]
    f = pygrad.compile(lambda x: ws[0] * x, 1.0)
    ws.clear()
    gc.collect()
    assert f.value_and_grad(3.0) == (6.0, (2.0,))
    assert f.parameters.grad.tolist() == [3.0]
    parameters = f.parameters
    del f
    gc.collect()
    assert parameters.data.tolist() == [2.0]


def test_a_value_computed_before_the_trace_follows_its_leaves():
    w = Value(3.0)
    square = w * w
    f = pygrad.compile(lambda x: square + x, 1.0)
    w.data = 2.0
    assert f(1.0) == 5
    f.value_and_grad(1.0)
    assert w.grad == 4


def test_a_program_leaks_no_node(no_leak):
    w = pygrad.array([1.0, 2.0])
    before = live_nodes()
    f = pygrad.compile(lambda x: {"a": [w @ x, 3.0], "b": x}, np.zeros(2))
    assert live_nodes() == before
    f([1.0, 2.0])
    assert live_nodes() == before
