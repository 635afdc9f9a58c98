"""Reductions of Arrays: sum, mean, prod, max and min."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pygrad import Array, array, compile
from support.arrays import X, check, floats, raises_as
from support.effort import examples

REDUCTIONS = ["sum", "mean", "prod", "max", "min"]


@pytest.mark.parametrize("name", REDUCTIONS)
@examples(100)
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


EXTREMES = ["max", "min"]
TIES = {
    "two": [1.0, 2.0, 2.0],
    "three": [2.0, 1.0, 2.0, 2.0],
    "all of four": [5.0, 5.0, 5.0, 5.0],
    "zeros of both signs": [0.0, -0.0, 0.0],
    "infinities": [np.inf, np.inf, np.inf, 1.0],
    "negative infinities": [-np.inf, 1.0, -np.inf, -np.inf],
    "none": [1.0, 3.0, 2.0],
    "first and last": [3.0, 1.0, 1.0, 3.0],
    "one element": [1.0],
    "nan": [1.0, np.nan, 1.0, 1.0],
    "matrix": [[1.0, 2.0, 2.0], [2.0, 2.0, 2.0]],
    "cube": np.zeros((2, 2, 3)),
}
AXES = [None, 0, -1, (0, -1), ()]


def shares(x, name, axis):
    """The gradient of the sum of the results: equal shares for the elements that equal theirs; none where it is nan."""
    if axis == ():
        return np.ones(x.shape)
    ties = x == getattr(x, name)(axis=axis, keepdims=True)
    return ties / np.maximum(ties.sum(axis=axis, keepdims=True), 1)


def has(x, axis):
    return x.ndim > 1 or axis in (None, 0, -1, ())


TIED = [(key, name, axis) for key, x in TIES.items() for name in EXTREMES for axis in AXES if has(np.array(x), axis)]


@pytest.mark.parametrize(("key", "name", "axis"), TIED)
def test_ties_get_equal_shares_of_the_gradient_of_a_maximum_or_minimum(key, name, axis):
    x = np.array(TIES[key])
    a = array(x)
    getattr(a, name)(axis).sum().backward()
    np.testing.assert_array_equal(a.grad, shares(x, name, axis))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(("key", "name", "axis"), TIED)
def test_a_compiled_reduction_gives_ties_equal_shares_in_every_derivative(key, name, axis):
    x = np.array(TIES[key])
    expected = shares(x, name, axis)
    f = compile(lambda x: getattr(x, name)(axis).sum(), np.zeros(x.shape))
    values, (gradient,) = f.value_and_grad(x)
    np.testing.assert_array_equal(values, getattr(x, name)(axis=axis).sum())
    np.testing.assert_array_equal(gradient, expected)
    np.testing.assert_array_equal(f.value_and_grad(np.stack([x] * 70))[1][0], np.stack([expected] * 70))
    np.testing.assert_array_equal(f.jacobian(x)[0], expected)
    tangent = np.random.default_rng(0).normal(size=x.shape)
    np.testing.assert_allclose(f.jvp((x,), (tangent,))[1], np.sum(expected * tangent), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", EXTREMES)
@examples(50)
@given(data=st.data())
def test_a_compiled_reduction_agrees_with_the_eager_one_where_ties_are_drawn(name, data):
    ties = st.sampled_from([-1.0, -0.0, 0.0, 1.0, 2.0])
    x = data.draw(hnp.arrays(float, hnp.array_shapes(max_dims=3, max_side=4), elements=ties))
    axis = data.draw(st.none() | hnp.valid_tuple_axes(x.ndim))

    def f(x):
        return (getattr(x, name)(axis) ** 2 * 3 + x.sum()).sum()

    a = array(x)
    y = f(a)
    y.backward()
    program = compile(f, np.ones(x.shape))
    value, (gradient,) = program.value_and_grad(x)
    np.testing.assert_allclose(value, y.data, rtol=1e-12)
    np.testing.assert_allclose(gradient, a.grad, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(program.jacobian(x)[0], a.grad, rtol=1e-12, atol=1e-12)
    weights = shares(x, name, axis)
    if axis is None:
        curvature = 6 * np.multiply.outer(weights, weights)
        np.testing.assert_allclose(program.hessian(x)[0][0], curvature, rtol=1e-12, atol=1e-12)


def test_constants_and_repeated_elements_count_as_ties():
    f = compile(lambda x: array([2.0, 2.0, x]).max(), 1.0)
    assert f.value_and_grad(2.0)[1] == pytest.approx((1 / 3,))
    f = compile(lambda x: array([x, x, 2.0, 5.0 * x]).min(), 1.0)
    assert f.value_and_grad(2.0)[1] == pytest.approx((2 / 3,))
    f = compile(lambda x: x * array([2.0, 3.0, 3.0, 1.0]).max(), 1.0)
    assert f.value_and_grad(2.0) == (6, (3,))


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda link: link.maximum(3.0), (1 / 2, [1 / 4, 0, 1 / 4, 0])),
        (lambda link: array([link, 3.0, 1.0]).max()[()], (1 / 2, [1 / 4, 0, 1 / 4, 0])),
        (lambda link: array([3.0, link, 1.0]).max()[()], (1 / 2, [1 / 4, 0, 1 / 4, 0])),
        (lambda link: link * 2, (2, [1, 0, 1, 0])),
    ],
)
def test_an_inner_node_of_a_maximum_may_be_used_on_its_own(use, expected):
    a = array([3.0, 1.0, 3.0, 0.0])
    (link,) = [v for v in a.max()[()]._prev if v._prev]  # of the first three
    use(link).backward()
    assert (link.grad, a.grad.tolist()) == expected


def test_a_reduction_of_reductions_shares_in_each():
    x = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    expected = [[1 / 9, 1 / 9, 1 / 9], [1 / 3, 0, 0], [1 / 6, 1 / 6, 0]]
    a = array(x)
    a.max(1).max().backward()
    np.testing.assert_allclose(a.grad, expected, rtol=1e-15)
    f = compile(lambda x: x.max(1).max(), np.zeros((3, 3)))
    np.testing.assert_allclose(f.value_and_grad(x)[1][0], expected, rtol=1e-15)


def test_maximum_of_two_operands_halves_at_each_tie():
    a, b, c = array(1.0), array(1.0), array(1.0)
    a.maximum(b).maximum(c).backward()
    assert (a.grad, b.grad, c.grad) == (0.25, 0.25, 0.5)
    f = compile(lambda a, b, c: a.maximum(b).maximum(c) + array([a, b]).max(), 1.0, 1.0, 1.0)
    assert f.value_and_grad(1.0, 1.0, 1.0)[1] == (0.75, 0.75, 0.5)


def test_a_second_backward_pass_adds_the_same_shares():
    a = array([2.0, 2.0, 2.0, 1.0])
    y = a.max()
    y.backward()
    y.backward()
    np.testing.assert_allclose(a.grad, [2 / 3, 2 / 3, 2 / 3, 0], rtol=1e-15)


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


def test_the_mean_of_nothing_is_nan_with_a_warning_unless_there_are_no_results():
    for shape, axis in [((0,), None), ((0, 3), 0)]:
        with pytest.warns(RuntimeWarning, match="Mean of empty slice"):
            assert np.isnan(array(np.empty(shape)).mean(axis).data).all()
    assert array(np.empty((0, 3))).mean(1).shape == (0,)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", [2, -3, (0, 2), (0, -3)])
def test_an_axis_out_of_range_raises_numpy_s_axis_error(name, axis):
    with raises_as(getattr(X, name), axis):
        getattr(array(X), name)(axis)
    with pytest.raises(np.exceptions.AxisError):
        getattr(array(X), name)(axis)
    with pytest.raises(np.exceptions.AxisError):
        getattr(array(1.0), name)((0,))


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
