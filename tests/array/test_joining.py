"""concatenate, stack and where."""

import gc

import numpy as np
import pytest

from pygrad import Value, array, concatenate, stack, where
from support.arrays import X, check, raises_as


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_concatenate_joins_as_in_numpy(axis):
    y = X[:, :2] if axis in (1, -1) else X[:1]
    check(lambda a, b: concatenate([a, b, b], axis) * 1, lambda a, b: np.concatenate([a, b, b], axis), X, y)
    assert concatenate([array(X), X.tolist(), X], axis=axis).shape == np.concatenate([X, X, X], axis=axis).shape


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_stack_joins_as_in_numpy(axis):
    check(lambda a, b: stack([a, b], axis) * 1, lambda a, b: np.stack([a, b], axis), X, X * 2)
    assert stack([array(X), X.tolist()], axis=axis).shape == np.stack([X, X], axis=axis).shape


def test_joined_arrays_keep_their_nodes(no_leak):
    a, v = array([1.0, 2.0]), Value(3.0)
    joined = concatenate([a, [v, 4.0]])
    assert (joined[0], joined[2]) == (a[0], v)
    assert stack([a, [v, 5.0]])[1, 0] is v
    assert stack([v, 1.0, a[0]])[2] is a[0]
    assert concatenate(array(X)).shape == (6,)
    assert concatenate((a,)).tolist() == a.tolist()
    del a
    gc.collect(1)
    assert joined.data.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("f", "theirs"),
    [
        (lambda: concatenate([]), lambda: np.concatenate([])),
        (lambda: concatenate([array(X), [1.0]]), lambda: np.concatenate([X, [1.0]])),
        (lambda: concatenate([array(X), X.T]), lambda: np.concatenate([X, X.T])),
        (lambda: concatenate([array(X)], axis=2), lambda: np.concatenate([X], axis=2)),
        (lambda: concatenate([1.0, Value(2.0)]), lambda: np.concatenate([1.0, 2.0])),
        (lambda: concatenate(array([1.0])), lambda: np.concatenate(np.array([1.0]))),
        (lambda: stack([]), lambda: np.stack([])),
        (lambda: stack([array(X), [1.0]]), lambda: np.stack([X, [1.0]])),
        (lambda: stack([array(X)], axis=3), lambda: np.stack([X], axis=3)),
        (lambda: stack([array(X)], axis=-4), lambda: np.stack([X], axis=-4)),
    ],
)
def test_joining_mismatched_shapes_raises_what_numpy_raises(f, theirs):
    with raises_as(theirs):
        f()


@pytest.mark.parametrize("join", [concatenate, stack])
@pytest.mark.parametrize("parts", [3, [array([1.0]), "x"], [[None]], [array([1.0]), [1j]]], ids=repr)
def test_joining_non_numbers_is_a_type_error(join, parts):
    with pytest.raises(TypeError):
        join(parts)


CONDITIONS = [X > 1, (X > 1).tolist(), [True, False, True], [[True], [False]], True, False, X - X.round(), [0, 1, 2]]


@pytest.mark.parametrize("condition", CONDITIONS, ids=repr)
def test_where_takes_the_operands_that_numpy_s_takes(condition):
    check(lambda a, b: where(condition, a, b) * 1, lambda a, b: np.where(condition, a, b), X, X[:1] * 7)
    check(lambda a: where(condition, a, -1) * 1, lambda a: np.where(condition, a, -1), X)
    check(lambda a: where(condition, [1, 2, 3], a) * 1, lambda a: np.where(condition, [1, 2, 3], a), X)


def test_where_keeps_the_nodes(no_leak):
    a, v = array([1.0, 2.0]), Value(3.0)
    assert where([True, False], a, v).tolist() == [a[0], v]
    assert where(True, v, 0.0)[()] is v
    assert where(a.data > 1, a, [v, 0.0]).tolist() == [v, a[1]]


def test_where_refuses_mismatched_shapes():
    for args in [([True] * 3, X[:, :2], 0.0), (True, X, X.T), ([True, False], X, 0.0)]:
        with raises_as(np.where, *args):
            where(args[0], array(args[1]), args[2])


@pytest.mark.parametrize("condition", [array([0.0, 1.0]), [Value(0.0), Value(1.0)], np.array([Value(0.0), 1])])
def test_a_condition_of_values_uses_their_data_or_is_an_error(condition):
    try:
        out = where(condition, [1.0, 2.0], -1.0)
    except TypeError:
        return
    assert out.data.tolist() == [-1, 2]
