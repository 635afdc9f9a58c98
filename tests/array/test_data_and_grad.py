"""`data` and `grad` of an Array: live views of leaves, copies of the rest, and assignment."""

import copy
import gc
import pickle

import numpy as np
import pytest

from pygrad import Value, array, concatenate, stack, where
from support.arrays import X, elements


def test_the_data_and_grad_of_leaves_are_live():
    a = array([1.0, 2.0, 3.0])
    v, data, grad = a[1], a.data, a.grad
    assert data.strides == grad.strides == (32,)
    assert data.flags.writeable
    assert grad.flags.writeable
    data[1] = 5
    grad[1] = 7
    assert (v.data, v.grad) == (5, 7)
    v.data, v.grad = -1, -2
    assert (data[1], grad[1]) == (-1, -2)
    a.grad = 0
    (a * a).sum().backward()
    assert grad.tolist() == [2, -2, 6]


def test_live_data_outlives_its_array(no_leak):
    data = array(np.arange(1000.0)).data
    part = array(np.arange(1000.0))[500:].data[::2]
    grad = array(np.arange(1000.0)).grad
    gc.collect(1)
    others = [array(np.full(1000, -1.0)) for _ in range(20)]
    assert data.tolist() == list(range(1000))
    assert part.tolist() == list(range(500, 1000, 2))
    assert not grad.any()
    data[:], grad[:] = 3, 4
    assert all((other.data == -1).all() and not other.grad.any() for other in others)


def test_live_data_can_be_copied_and_pickled_like_any_numpy_array():
    data = array(X).data
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)), X)
    np.testing.assert_array_equal(copy.deepcopy(data), X)
    assert data.sum() == X.sum()


NOT_LIVE = {
    "computed": lambda: array(X) * 1,
    "made of Values": lambda: array([[Value(x) for x in row] for row in X]),
    "made of Values and numbers": lambda: array([[Value(row[0]), *row[1:]] for row in X]),
    "joined": lambda: concatenate([array(X[:1]), array(X[1:])]),
    "stacked": lambda: stack([array(X[0]), array(X[1])]),
    "chosen": lambda: where(True, array(X), 0.0),
    "picked": lambda: array(X)[[0, 1]],
    "masked": lambda: array(X)[[True, True]],
    "a view of a picked": lambda: array(X)[[1, 0]][::-1],
    "reduced": lambda: array(X[None]).sum(0),
}


@pytest.mark.parametrize("name", NOT_LIVE)
def test_data_and_grad_of_other_arrays_are_read_only_copies(name):
    a = NOT_LIVE[name]()
    for part in [a.data, a.grad]:
        with pytest.raises(ValueError, match="read-only"):
            part[0, 0] = 9
    with pytest.raises(ValueError, match="read-only"):
        a.data += 1
    with pytest.raises(ValueError, match="read-only"):
        a.grad *= 0
    before = a.data
    np.testing.assert_array_equal(before, X)
    a[0, 0].data = 9
    assert before[0, 0] == 0.5
    assert a.data[0, 0] == 9


ASSIGNED = [
    7,
    2.5,
    True,
    np.float32(0.5),
    [1, 2, 3],
    [[1], [2]],
    X * 2,
    X[::-1],
    np.arange(3),
    array([1.0, 2.0, 3.0]),
    array(3.0),
    Value(3.0),
    [Value(1.0), 2.0, 3.0],
]


@pytest.mark.parametrize("name", ["live", "a live view", *NOT_LIVE])
@pytest.mark.parametrize(("part", "other"), [("data", "grad"), ("grad", "data")])
def test_data_and_grad_of_any_array_can_be_assigned(name, part, other):
    make = {"live": lambda: array(X), "a live view": lambda: array(X.T[::-1])[:, ::-1].T, **NOT_LIVE}[name]
    for x in ASSIGNED:
        a = make()
        before = np.array(getattr(a, other))
        setattr(a, part, x)
        expected = np.broadcast_to(elements(x).astype(float), X.shape)
        np.testing.assert_array_equal(getattr(a, part), expected)
        assert [[getattr(v, part) for v in row] for row in a] == expected.tolist()
        np.testing.assert_array_equal(getattr(a, other), before)


@pytest.mark.parametrize("make", [lambda: array(X), lambda: array(X) * 1], ids=["leaves", "computed"])
@pytest.mark.parametrize("x", [[1, 2], np.zeros((3, 2)), np.zeros((1, 2, 3))[:, :1].repeat(2, 0), [], [[1, 2, 3], [4]]])
def test_data_of_another_shape_is_a_value_error_and_changes_nothing(make, x):
    a = make()
    for part in ["data", "grad"]:
        with pytest.raises(ValueError, match=r"broadcast|inhomogeneous|sequence"):
            setattr(a, part, x)
    np.testing.assert_array_equal(a.data, X)
    assert not a.grad.any()


@pytest.mark.parametrize("make", [lambda: array(X), lambda: array(X) * 1], ids=["leaves", "computed"])
@pytest.mark.parametrize("x", [None, "1.5", [1, 2, None], np.array([1j, 2, 3]), ["1", "2", "3"]], ids=repr)
def test_non_numbers_cannot_be_assigned(make, x):
    a = make()
    for part in ["data", "grad"]:
        with pytest.raises(TypeError):
            setattr(a, part, x)
    np.testing.assert_array_equal(a.data, X)
    assert not a.grad.any()


def test_augmented_assignment_trains_leaves_in_place():
    w = array([1.0, 2.0, 3.0])
    scalar = array(1.0)
    data = w.data
    w.grad = [1, 1, 1]
    w.data -= 0.5 * w.grad
    w[1:].data *= 2
    w.T[::-1].grad += [1, 2, 3]
    scalar.data -= 0.25
    w[0].data += 1
    assert data is w.data
    assert data.tolist() == [1.5, 3, 5]
    assert w.grad.tolist() == [4, 3, 2]
    assert scalar.item() == 0.75


def test_assigning_data_from_itself_moves_it_as_in_numpy():
    a = array(np.arange(5.0))
    a.data = a.data[::-1]
    assert a.data.tolist() == [4, 3, 2, 1, 0]
    a.data[1:] = a.data[:-1]
    assert a.data.tolist() == [4, 4, 3, 2, 1]


def test_data_can_be_assigned_from_any_array_that_broadcasts():
    for other in [array(X), array(X) * 1, array(X[0]), array(X[:, :1]), array(2.0)]:
        a = array(X * 3)
        a.data = a.grad = other
        expected = np.broadcast_to(other.data, X.shape)
        np.testing.assert_array_equal(a.data, expected)
        np.testing.assert_array_equal(a.grad, expected)


def test_data_can_be_assigned_from_an_empty_array():
    a = array(np.empty((0, 3)))
    a.data = a * 1


def test_the_backward_pass_sees_edited_data_and_results_do_not():
    a = array([1.0, 2.0])
    b = a * a
    a.data[0] = 10
    assert b.data.tolist() == [1, 4]
    b.sum().backward()
    assert a.grad.tolist() == [20, 4]


@pytest.mark.parametrize("x", [np.empty(0), np.empty((2, 0))])
def test_empty_arrays_have_empty_data(x):
    for a in [array(x), array(x) * 1, array(x)[:0]]:
        assert a.data.shape == a.grad.shape == a.shape
        a.data, a.grad = 1, 2
    a = array(x)
    a.grad += 1


@pytest.mark.parametrize("grad", [-0.0, [-0.0, -0.0], np.full(2, -0.0)], ids=["number", "list", "array"])
def test_a_grad_of_minus_0_keeps_its_sign(grad):
    for a in (array([1.0, 2.0]), array([1.0, 2.0]) * 1):
        v = a[0]
        v.backward()  # its grad is the int 1
        a.grad = grad
        assert (repr(v.grad), repr(a[1].grad), repr(a.grad.tolist())) == ("-0.0", "-0.0", "[-0.0, -0.0]")
        a.grad = 0
        assert (repr(v.grad), repr(a.grad.tolist())) == ("0", "[0.0, 0.0]")
