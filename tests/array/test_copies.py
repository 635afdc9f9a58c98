"""Copying and pickling Arrays."""

import copy
import pickle

import numpy as np
import pytest

import pygrad
from pygrad import Value, array, concatenate, nn, optim
from support import live_nodes
from support.arrays import X

COPIES = [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize(
    "make",
    [
        lambda: array(X),
        lambda: array(X).T[1:],
        lambda: array(X)[[1, 0]],
        lambda: array([Value(1.0), 2.0]),
        lambda: array(2.0),
        lambda: array(np.empty((0, 3))),
        lambda: array(np.arange(1000.0)),
    ],
)
def test_leaves_can_be_copied_and_pickled(copied, make):
    a = make()
    a.grad = np.arange(a.size).reshape(a.shape)
    live_nodes()  # which collects the Arrays that make() began with: they share its leaves
    b = copied(a)
    assert b.shape == a.shape
    np.testing.assert_array_equal(b.data, a.data)
    np.testing.assert_array_equal(b.grad, a.grad)
    assert not set(a.ravel()) & set(b.ravel())
    before = a.data.copy()
    b.data += 1
    b.grad[...] = 0
    np.testing.assert_array_equal(a.data, before)
    (b * b).sum().backward()
    np.testing.assert_array_equal(b.grad, 2 * b.data)


def test_an_array_that_two_objects_share_is_shared_by_their_copies():
    a = array(X)
    b, c = copy.deepcopy([a, a])
    assert b is c


@pytest.mark.parametrize("copied", COPIES)
def test_a_repeated_element_is_one_node_in_the_copy(copied):
    v = Value(1.0)
    a = copied(array([v, v]))
    assert a[0] == a[1]


@pytest.mark.parametrize("copied", COPIES)
def test_labels_are_copied(copied):
    a = array([Value(1.0, label="w"), 2.0])
    a[1].label = "b"
    assert [v.label for v in copied(a)] == ["w", "b"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize(
    "make", [lambda: array(X) * 1, lambda: array([Value(1.0), Value(1.0) + 1]), lambda: array(X).sum()]
)
def test_computed_arrays_cannot_be_copied_or_pickled(copied, make):
    with pytest.raises(TypeError, match="only an Array of leaves"):
        copied(make())


# Objects that share nodes, made from an Array and a Value. Their copies, made together, share the same nodes.
SHARED = {
    "a transpose": lambda a, v: [a, a.T],
    "a transpose before": lambda a, v: [a.T, a],
    "slices": lambda a, v: [a[1:], a[:, ::-1], a],
    "overlapping slices": lambda a, v: [a[:2], a[1:]],
    "a reshaped Array": lambda a, v: [a, a.reshape(-1), a.reshape(2, -1)[1]],
    "rows": lambda a, v: [*a, a],
    "an element": lambda a, v: [a, a[1, 2]],
    "an element before": lambda a, v: [a[1, 2], a],
    "all elements": lambda a, v: [a.tolist(), a],
    "chosen rows": lambda a, v: [a[[3, 0, 0]], a],
    "chosen elements": lambda a, v: [a, a[a > 3], a[[0, 1], [2, 0]]],
    "an Array of Values": lambda a, v: [v, array([v, Value(3.0)]), array(v)],
    "an Array of Values before": lambda a, v: [array([[v, v], [Value(3.0), 4.0]]), v],
    "a mixture": lambda a, v: [array([v, a[0, 0], a[0, 1], 2.0]), a, v],
    "a joined Array": lambda a, v: [concatenate([a[0], array([v]), a[2]]), v, a],
    "Arrays of the same Values": lambda a, v: (lambda w: [array([v, w]), array([w, w, v])])(Value(7.0)),
    "a part whose whole is gone": lambda a, v: (lambda x: [x[1:3], x[2], x.T])(array(np.ones((4, 2)))),
    "elements whose whole is gone": lambda a, v: (lambda x: [x[1], array([x[1], x[0]]), x[0]])(array([1.0, 2.0])),
    "an Array without elements": lambda a, v: [a[:0], a[4:], a],
    "one element": lambda a, v: [array(2.0), a[0, :1], a[0, 0]],
    "below a graph": lambda a, v: [a[1:], v, a, array([v])],
}


def elements(things):
    """The Values of all objects, in order."""
    return [v for thing in things for v in np.ravel(np.asarray(thing, dtype=object)).tolist()]


def pattern(things):
    """Which elements are the same node."""
    found = {}
    return [found.setdefault(v, len(found)) for v in elements(things)]


@pytest.mark.parametrize("copied", COPIES[1:], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", SHARED)
def test_what_objects_share_is_shared_by_their_copies(copied, name, no_leak):
    a, v = array(np.arange(12.0).reshape(4, 3)), Value(-1.0, label="v")
    a.grad = -np.arange(12.0).reshape(4, 3)
    things = SHARED[name](a, v)
    alive = (a * v).sum() if name == "below a graph" else None
    copies = copied(things)
    assert pattern(copies) == pattern(things)
    assert not set(elements(copies)) & set(elements(things))
    for ours, other in zip(elements(things), elements(copies)):
        assert (ours.data, ours.grad, ours.label) == (other.data, other.grad, other.label)
    for ours, other in zip(things, copies):
        if isinstance(ours, pygrad.Array):
            assert ours.shape == other.shape
            assert other.data.flags.writeable or not ours.data.flags.writeable
    for x in elements(copies):
        x.data = x.grad = 5.0
    assert all(v.data == 5 for v in elements(copies))
    del alive


class Tied(nn.Module):
    def __init__(self):
        self.emb = nn.Embedding(5, 3)
        self.head = self.emb.weight.T
        self.offset = Value(1.0)

    def __call__(self, x):
        return (x @ self.head).sum() + self.offset


@pytest.mark.parametrize("copied", COPIES[1:], ids=["deepcopy", "pickle"])
def test_a_tied_model_its_optimizer_and_its_programs_stay_tied_in_one_copy(copied):
    model = Tied()
    f = pygrad.compile(model, np.ones(3))
    rest = optim.SGD([model.emb.weight[2:], model.offset], lr=1.0)
    model, f, rest = copied((model, f, rest))
    assert model.head.T.tolist() == model.emb.weight.tolist()
    model.emb.weight.data[...] = 2.0
    model.offset.data = 3.0
    assert (model.head.data == 2).all()
    assert f(np.ones(3)) == 5 * 3 * 2 + 3
    f.value_and_grad(np.ones(3))
    assert (model.emb.weight.grad.tolist(), model.offset.grad) == ([[1.0] * 3] * 5, 1)
    rest.step()
    assert model.head.data.tolist() == [[2.0, 2.0, 1.0, 1.0, 1.0]] * 3
    assert f(np.ones(3)) == 3 * (2 + 2 + 1 + 1 + 1) + 2


def test_a_pickle_has_the_numbers_of_what_was_pickled_only():
    a = array(np.arange(100_000.0))
    secret = np.float64(54_321.0).tobytes()
    for part in (a[7], a[5:9], a[[1, 2, 50_000]], [a[0], a[99_999]]):
        data = pickle.dumps(part)
        assert len(data) < 3000
        assert secret not in data
    assert secret in pickle.dumps(a[54_000:])


@pytest.mark.parametrize("copied", COPIES)
def test_a_shallow_copy_of_an_element_is_a_node_of_its_own(copied):
    a = array([1.0, 2.0])
    v = copied(a[1])
    v.data = 5.0
    assert a.data.tolist() == [1, 2]
    assert copied(a[:1])[0] != a[0]
