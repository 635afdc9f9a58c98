"""The matrix product of Arrays."""

import itertools
import operator

import numpy as np
import pytest

from pygrad import Array, Value, array
from support.arrays import X, elements, raises_as


def matrices(rows, columns, seed):
    """A matrix in several layouts, as pairs (f, x): f(array(x)) and f(x) have the shape."""
    rng = np.random.default_rng(seed)
    return [
        (lambda x: x, rng.normal(size=(rows, columns))),
        (lambda x: x.T, rng.normal(size=(columns, rows))),
        (lambda x: x[::2, ::-1], rng.normal(size=(max(2 * rows - 1, 0), columns))),
        (lambda x: x[1:, 1:].T, rng.normal(size=(columns + 1, rows + 1))),
    ]


def vectors(n, seed):
    rng = np.random.default_rng(seed)
    return [
        (lambda x: x, rng.normal(size=n)),
        (lambda x: x[1], rng.normal(size=(3, n))),
        (lambda x: x[:, 1], rng.normal(size=(n, 3))),
        (lambda x: x[::-1], rng.normal(size=n)),
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (matrices(2, 3, 1), matrices(3, 4, 2)),
        (matrices(1, 3, 1), matrices(3, 1, 2)),
        (matrices(2, 0, 1), matrices(0, 4, 2)),
        (matrices(0, 3, 1), matrices(3, 2, 1)),
        (matrices(2, 3, 1), vectors(3, 2)),
        (vectors(3, 1), matrices(3, 4, 2)),
        (vectors(3, 1), vectors(3, 2)),
        (vectors(0, 1), vectors(0, 2)),
        (matrices(70, 2, 1)[1:2], matrices(2, 70, 1)[1:2]),
    ],
    ids=lambda layouts: "x".join(map(str, layouts[0][0](layouts[0][1]).shape)),
)
def test_a_matrix_product_equals_numpy_s_in_every_layout(left, right):
    for (f, x), (g, y) in itertools.product(left, right):
        a, b = array(x), array(y)
        out = f(a) @ g(b)
        expected = f(x) @ g(y)
        assert type(out) is Array
        assert out.shape == np.shape(expected)
        np.testing.assert_allclose(out.data, expected, rtol=1e-12, atol=1e-14)
        weights = np.random.default_rng(0).normal(size=out.shape)
        (out * weights).sum().backward()
        row, column = np.atleast_2d(f(x)), g(y) if g(y).ndim == 2 else g(y)[:, None]
        weights = weights.reshape(row.shape[0], column.shape[1])
        np.testing.assert_allclose(f(a).grad, (weights @ column.T).reshape(f(x).shape), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(g(b).grad, (row.T @ weights).reshape(g(y).shape), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "other",
    [
        X.T,
        X.T.tolist(),
        tuple(map(tuple, X.T)),
        X.T.astype(np.float32),
        X.T.astype(object),
        [[1], [2], [3]],
        [1, 2, 3],
        [[Value(1.0)], [Value(2.0)], [3]],
        [Value(1.0), 2, Value(3.0)],
        np.array([Value(1.0), 2, Value(3.0)]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_either_side_of_a_matrix_product_may_be_any_operand(other):
    numbers = elements(other).astype(float)
    np.testing.assert_allclose((array(X) @ other).data, X @ numbers, rtol=1e-14)
    left = np.ones((2, 3)) if numbers.ndim == 1 else np.ones(numbers.shape[1])
    np.testing.assert_allclose((other @ array(left.T)).data, numbers @ left.T, rtol=1e-14)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3), (2, 3)),
        ((3,), (2, 3)),
        ((2, 3), (2,)),
        ((3,), (2,)),
        ((), (3,)),
        ((3,), ()),
        ((), ()),
        ((2, 0), (1, 2)),
    ],
)
def test_mismatched_shapes_in_a_matrix_product_raise_numpy_s_value_error(left, right):
    x, y = np.ones(left), np.ones(right)
    for p, q in [(array(x), array(y)), (x, array(y)), (array(x), y)]:
        with raises_as(operator.matmul, x, y):
            p @ q


@pytest.mark.parametrize("value", [Value(1.0), array(1.0)], ids=["Value", "Array"])
def test_a_matrix_product_with_a_value_is_a_value_error(value):
    with pytest.raises(ValueError, match="not have enough dimensions"):
        array(X) @ value
    with pytest.raises(ValueError, match="not have enough dimensions"):
        value @ array(X)


@pytest.mark.parametrize("other", [2.0, 2, np.float64(2), None, "x"], ids=repr)
def test_a_matrix_product_with_a_number_is_a_type_error(other):
    for f in [lambda: array(X) @ other, lambda: other @ array(X)]:
        with pytest.raises(TypeError, match="unsupported operand"):
            f()
