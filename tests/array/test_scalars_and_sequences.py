"""An Array as a sequence, as a number, and as text."""

import numpy as np
import pytest

from pygrad import Array, Value, array
from support.arrays import CUBE, X, raises_as


def test_an_array_is_iterated_over_along_its_first_axis():
    a = array(X)
    rows = list(a)
    assert [type(row) for row in rows] == [Array, Array]
    assert [row.data.tolist() for row in rows] == X.tolist()
    assert [v.data for v in a[0]] == X[0].tolist()
    assert len(a) == 2
    assert len(array([])) == 0
    assert list(array(np.empty((2, 0))))[1].shape == (0,)
    assert list(array([])) == []
    assert next(reversed(a[0])) is a[0, 2]
    assert a[0, 1] in a[0]
    x, y, z = a[1]
    assert (x, y, z) == (a[1, 0], a[1, 1], a[1, 2])


def test_an_array_without_axes_has_no_length():
    with raises_as(len, np.array(1.0)):
        len(array(1.0))
    with raises_as(iter, np.array(1.0)):
        iter(array(1.0))


def test_tolist_gives_nested_lists_of_the_values():
    a = array(X)
    assert a.tolist() == [[a[i, j] for j in range(3)] for i in range(2)]
    assert a.tolist()[1][2] is a[1, 2]
    assert a[0].tolist()[1] is a[0, 1]
    assert array(CUBE).tolist()[1][0][2][3].data == 23
    assert array(np.empty((2, 0))).tolist() == [[], []]
    v = Value(1.0)
    assert array(v).tolist() is v


def test_python_s_sum_takes_arrays_and_their_elements():
    a = array(X)
    assert sum([a, a]).data.tolist() == (2 * X).tolist()
    assert sum(a[0]).data == 4
    assert sum(a).data.tolist() == X.sum(0).tolist()


@pytest.mark.parametrize("x", [2.5, [2.5], [[2.5]]], ids=repr)
def test_item_is_a_float(x):
    assert array(x).item() == 2.5
    assert type(array(x).item()) is float
    assert type((array(x) * 1).item()) is float


@pytest.mark.parametrize("x", [[], [1.0, 2.0]], ids=repr)
def test_item_of_any_other_size_is_a_value_error(x):
    with raises_as(np.array(x).item):
        array(x).item()


def test_float_takes_an_array_without_axes():
    assert float(array(2.5)) == float(array(X).sum() * 0 + 2.5) == 2.5
    assert np.sqrt(float(array(4.0))) == 2
    for x in [[1.0, 2.0], []]:
        with raises_as(float, np.array(x)):
            float(array(x))


def test_the_truth_value_of_one_number_is_as_in_numpy():
    for x in [0.0, 1.0, -0.0, np.nan, [0.0], [[2.0]]]:
        assert bool(array(x)) == bool(np.array(x))
    with raises_as(bool, np.ones(2)):
        bool(array([1.0, 1.0]))


def test_one_number_is_formatted_like_a_float():
    assert f"{array(X).mean():.3f}" == "1.500"
    assert f"{array(0.25):8.1%}" == "   25.0%"
    assert f"{array(0.25)}" == str(array(0.25)) == "Array(0.25)"
    assert f"{array([1.0])}" == "Array([1.])"
    with pytest.raises(ValueError, match="format"):
        format(array(1.0), "x")


def test_formatting_many_numbers_raises_numpy_s_type_error():
    for x in [[1.0], [1.0, 2.0]]:
        with pytest.raises(TypeError, match="unsupported format string"):
            format(array(x), ".2f")


def test_repr_shows_the_numbers_as_numpy_does():
    assert repr(array([1.0, 2.5])) == "Array([1. , 2.5])"
    assert repr(array([[1.0], [2.0]])) == "Array([[1.],\n       [2.]])"
    assert repr(array([])) == "Array([])"
    assert repr(array([1.0]) * np.inf) == "Array([inf])"
    assert str(array(X)) == repr(array(X))
    assert "..." in repr(array(np.zeros(5000)))


def test_repr_of_an_empty_array_shows_its_shape():
    assert "shape=(0, 3)" in repr(array(np.empty((0, 3))))


def test_an_array_is_hashable_by_identity():
    a, b = array([1.0]), array([1.0])
    assert len({a, b, a}) == 2
    assert {a: 1, b: 2}[b] == 2


def test_a_misspelt_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError):
        array([1.0]).gard = 0
    with pytest.raises(AttributeError):
        array([1.0]).shape = (1, 1)


def test_only_array_makes_arrays():
    with pytest.raises(TypeError):
        Array([1.0, 2.0])


def test_the_class_makes_no_empty_array_either():
    with pytest.raises(TypeError):
        Array()


def test_repr_follows_numpy_s_print_options():
    with np.printoptions(precision=2):
        assert repr(array([0.123456])) == "Array([0.12])"
