"""Reductions of Arrays: sum, mean, prod, max and min."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pygrad import Array, array
from support.arrays import X, check, floats, raises_as

REDUCTIONS = ["sum", "mean", "prod", "max", "min"]


@pytest.mark.parametrize("name", REDUCTIONS)
@settings(deadline=None)
@given(data=st.data())
def test_a_reduction_equals_numpy_s_along_any_axes(name, data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=3))
    x = data.draw(hnp.arrays(float, shape, elements=floats))
    axes = st.none() | st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.none()
    axis = data.draw(axes | hnp.valid_tuple_axes(x.ndim))
    keepdims = data.draw(st.booleans())
    out = getattr(array(x), name)(axis=axis, keepdims=keepdims)
    expected = getattr(x, name)(axis=axis, keepdims=keepdims)
    assert type(out) is Array
    assert out.shape == np.shape(expected)
    np.testing.assert_allclose(out.data, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 0), (), (0, 1, 2)])
def test_the_gradient_of_a_reduction_is_its_slope(name, axis):
    x = np.random.default_rng(3).permutation(np.linspace(-2, 2, 12)).reshape(2, 2, 3)
    check(lambda a: getattr(a, name)(axis), lambda a: getattr(a, name)(axis=axis), x)
    check(lambda a: getattr(a, name)(axis, True), lambda a: getattr(a, name)(axis=axis, keepdims=True), x)


@pytest.mark.parametrize("layout", [lambda x: x.T, lambda x: x[::2], lambda x: x[:, ::-1], lambda x: x[:, 1]])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction_of_a_view_equals_numpy_s(name, layout):
    x = np.random.default_rng(4).normal(size=(4, 3))
    for axis in [None, 0, -1]:
        np.testing.assert_allclose(
            getattr(layout(array(x)), name)(axis).data, getattr(layout(x), name)(axis=axis), rtol=1e-14, atol=1e-15
        )


def test_the_gradient_of_a_product_with_zeros_in_it_is_finite():
    a = array([0.0, 2.0, 3.0])
    a.prod().backward()
    assert a.grad.tolist() == [6, 0, 0]
    a = array([0.0, 0.0, 3.0])
    a.prod().backward()
    assert a.grad.tolist() == [0, 0, 0]


def test_the_gradient_of_a_largest_element_is_shared_among_equals():
    a = array([1.0, 2.0, 2.0])
    a.max().backward()
    assert a.grad.tolist() == [0, 0.5, 0.5]
    a.grad = 0
    (-a).min().backward()
    assert a.grad.tolist() == [0, -0.5, -0.5]


def test_a_maximum_or_minimum_with_nan_in_it_is_nan():
    for x in [[1.0, np.nan, 2.0], [np.nan, 1.0], [1.0, np.nan]]:
        assert np.isnan(array(x).max().item())
        assert np.isnan(array(x).min().item())


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3)])
def test_an_empty_sum_is_0_and_an_empty_product_is_1(shape):
    for axis in [None, *range(-len(shape), len(shape)), tuple(range(len(shape)))]:
        for name in ["sum", "prod"]:
            out = getattr(array(np.empty(shape)), name)(axis)
            expected = getattr(np.empty(shape), name)(axis=axis)
            assert out.shape == np.shape(expected)
            np.testing.assert_array_equal(out.data, expected)


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_maximum_of_nothing_is_a_value_error(name):
    for shape, axis in [((0,), None), ((3, 0), None), ((3, 0), 1), ((0, 3), 0), ((0, 0), 0)]:
        with pytest.raises(ValueError, match=f"zero-size array to reduction operation .*{name}imum.* has no identity"):
            getattr(array(np.empty(shape)), name)(axis)
    assert getattr(array(np.empty((3, 0))), name)(0).shape == (0,)
    assert getattr(array(np.empty((0, 3))), name)(1).shape == (0,)


def test_the_mean_of_nothing_is_a_division_by_zero_unless_there_are_no_results():
    for shape, axis in [((0,), None), ((0, 3), 0)]:
        with pytest.raises(ZeroDivisionError):
            array(np.empty(shape)).mean(axis)
    assert array(np.empty((0, 3))).mean(1).shape == (0,)


def test_the_error_for_the_mean_of_nothing_says_mean():
    with pytest.raises(ZeroDivisionError, match="mean"):
        array([]).mean()


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [2, -3, (0, 2), (0, -3)])
def test_an_axis_out_of_range_raises_numpy_s_axis_error(name, axis):
    with raises_as(getattr(X, name), axis):
        getattr(array(X), name)(axis)
    with pytest.raises(np.exceptions.AxisError):
        getattr(array(X), name)(axis)
    with pytest.raises(np.exceptions.AxisError):
        getattr(array(1.0), name)(0)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(("axis", "error"), [((0, 0), ValueError), ((0, -2), ValueError), (0.5, TypeError),
                                             ("x", TypeError), ((0, None), TypeError)])  # fmt: skip
def test_an_invalid_or_repeated_axis_is_refused(name, axis, error):
    with pytest.raises(error):
        getattr(array(X), name)(axis)


def test_a_reduction_of_many_blocks_of_nodes():
    x = np.random.default_rng(5).normal(size=(300, 70))
    a = array(x)
    np.testing.assert_allclose(a.sum(0).data, x.sum(0), rtol=1e-12, atol=1e-12)
    a.max(1).sum().backward()
    np.testing.assert_array_equal(a.grad, x == x.max(1, keepdims=True))
