"""Methods of NumPy's arrays that Arrays have, too: numbers and errors as NumPy's, gradients as the slopes."""

import operator
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import pygrad
from pygrad import Array, TraceWarning, Value, array, compile
from support.arrays import CUBE, X, check, check_compiled, floats, raises_as
from support.effort import examples

MASK = X > 1
METHODS = {
    "clip": lambda x: x.clip(0.7, 1.6),
    "clip, lower": lambda x: x.clip(1.1),
    "clip, upper": lambda x: x.clip(max=1.1),
    "clip, limits of each": lambda x: x.clip([0.7, 1.6, 1.0], 2.5),
    "clip, no limits": lambda x: x.clip(),
    "copy": lambda x: x.copy(),
    "astype": lambda x: x.astype(float),
    "astype, no copy": lambda x: x.astype(np.float64, copy=False) * 1,
    "cumprod": lambda x: x.cumprod(),
    "cumprod, axis": lambda x: x.cumprod(axis=0),
    "cumsum": lambda x: x.cumsum(),
    "cumsum, axis": lambda x: x.cumsum(1),
    "cumsum, negative axis": lambda x: x.T.cumsum(-1),
    "diagonal": lambda x: x.diagonal() * 1,
    "diagonal, offset": lambda x: x.diagonal(1, 1, 0) * 1,
    "dot": lambda x: x.dot(x.T),
    "dot, vector": lambda x: x.dot([1.0, 2.0, 3.0]),
    "dot, number": lambda x: x.dot(3.0),
    "flat": lambda x: x.flat[1:] * 1,
    "flatten, order": lambda x: x.flatten("F") * 1,
    "max, initial": lambda x: x.max(axis=0, initial=1.3),
    "max, where": lambda x: x.max(axis=1, initial=0.1, where=MASK),
    "mean, where": lambda x: x.mean(axis=0, where=[[True, False, True], [True, True, False]]),
    "mT": lambda x: x.mT * 1,
    "min, initial": lambda x: x.min(initial=0.6, keepdims=True),
    "min, where": lambda x: x.min(initial=9.0, where=MASK),
    "prod, initial": lambda x: x.prod(initial=3.0),
    "prod, where": lambda x: x.prod(1, where=MASK),
    "ravel, order": lambda x: x.ravel(order="F") * 1,
    "reshape, order": lambda x: x.reshape((3, 2), order="F") * 1,
    "std": lambda x: x.std(),
    "std, axis": lambda x: x.std(axis=1, keepdims=True, ddof=1),
    "std, where": lambda x: x.std(where=MASK),
    "sum, initial": lambda x: x.sum(axis=1, initial=2.0),
    "sum, where": lambda x: x.sum(0, where=MASK),
    "sum, where and initial": lambda x: x.sum(initial=2.0, where=MASK, keepdims=True),
    "take": lambda x: x.take([0, 4, 4]) * 1,
    "take, axis": lambda x: x.take([2, 0], axis=1) * 1,
    "take, mode": lambda x: x.take([[7, -1]], axis=-1, mode="wrap") * 1,
    "var": lambda x: x.var(),
    "var, axis": lambda x: x.var(0, ddof=1),
    "var, axes": lambda x: x.var((0, 1), keepdims=True),
    "var, where": lambda x: x.var(axis=1, where=[True, True, False]),
}


@pytest.mark.parametrize("f", METHODS.values(), ids=METHODS)
def test_a_method_is_numpy_s_eager_and_compiled(f):
    check(f, f, X, rtol=1e-14)
    check_compiled(f, X)


def test_a_number_may_be_an_initial_value_and_so_may_a_value():
    v = Value(5.0)
    for y in [array(X).sum(initial=v), array(X).max(initial=v), array(X).prod(initial=array(v))]:
        y.backward()
    assert v.grad == pytest.approx(1 + 1 + X.prod())


def test_correction_is_another_name_of_ddof():
    assert array(X).var(correction=1).item() == array(X).var(ddof=1).item()
    assert array(X).std(correction=0.5).item() == array(X).std(ddof=0.5).item()
    with pytest.raises(ValueError, match="ddof and correction"):
        array(X).var(ddof=1, correction=1)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_the_place_of_an_extreme_is_numpy_s(name, axis):
    for keepdims in (False, True):
        found = getattr(array(X), name)(axis, keepdims=keepdims)
        expected = getattr(X, name)(axis, keepdims=keepdims)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    with raises_as(getattr(np.empty(0), name)):
        getattr(array([]), name)()
    with pytest.warns(TraceWarning):
        compile(lambda x: x[int(getattr(x, name)())], X[0])


def test_flat_is_an_array_of_all_elements():
    a = array(X)
    assert list(a.flat) == a.ravel().tolist()
    assert a.flat[4] is a[1, 1]


def test_the_dtype_is_float64_and_stays():
    a = array([1, 2])
    assert a.dtype == np.float64
    assert a.astype("f8", copy=False) is a
    for dtype in (int, np.float32, bool, complex):
        with pytest.raises(TypeError, match=r"always of float64.*a\.data\.astype"):
            a.astype(dtype)


def test_an_array_of_no_axes_is_still_no_plain_number():
    v, a = Value(2.0), array(3.0)
    product = v * a
    product.backward()
    assert (v.grad, a.grad) == (3, 2)
    with pytest.raises(TypeError):
        v.data = a


def test_a_copy_has_nodes_of_its_own_that_pass_gradients_on():
    a = array([1.0, -0.0, np.nan])
    b = a.copy()
    b.data = 7
    np.testing.assert_array_equal(a.data, [1, -0.0, np.nan])
    assert np.signbit(a.copy().data[1])
    f = compile(lambda x: x.copy().sum(), np.ones(2))
    assert f.value_and_grad([1.0, 2.0])[1][0].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("op", "symbol"),
    [(operator.floordiv, "//"), (operator.mod, "%"), (divmod, r"divmod\(\)")],
    ids=["//", "%", "divmod"],
)
@pytest.mark.parametrize("other", [2, 2.5, Value(2.0), [1.0, 2.0], np.ones(2), np.float64(2), array(1.0)], ids=repr)
def test_an_operator_that_rounds_is_refused_in_words(op, symbol, other):
    for operands in ((array([5.0, 6.0]), other), (other, array([5.0, 6.0]))):
        with pytest.raises(TypeError, match=rf"(an Array|a Value) has no {symbol}.*data|not there .*derivative.*data"):
            op(*operands)
    with pytest.raises(TypeError, match="unsupported operand"):
        op(array([1.0]), None)


def test_the_error_of_an_assignment_names_the_numbers():
    with pytest.raises(TypeError, match=r"item assignment.*a\.data\[\.\.\.\] = x.*where"):
        array([1.0])[...] = 2.0


def test_an_order_in_memory_is_refused():
    for f in (lambda x: x.ravel("K"), lambda x: x.reshape(6, order="A"), lambda x: x.flatten(None)):
        with pytest.raises(ValueError, match="order must be 'C' or 'F'"):
            f(array(X))


WRONG = {
    "mT of a vector": lambda x: x[0].mT,
    "take outside": lambda x: x.take([9]),
    "take along no axis": lambda x: x.take([0], axis=2),
    "diagonal of a vector": lambda x: x[0].diagonal(),
    "cumsum along no axis": lambda x: x.cumsum(2),
    "cumsum along two axes": lambda x: x.cumsum((0, 1)),
    "dot, not aligned": lambda x: x.dot(x),
    "dot, vector not aligned": lambda x: x.dot(x[0, :2]),
    "max of a mask": lambda x: x.max(where=MASK),
}


@pytest.mark.parametrize("f", WRONG.values(), ids=WRONG)
def test_a_wrong_call_raises_what_numpy_raises(f):
    with raises_as(f, X):
        f(array(X))


def test_a_mask_must_be_of_bools_and_fit():
    with pytest.raises(TypeError, match="array of bools"):
        array(X).sum(where=np.ones(3))
    with pytest.raises(ValueError, match="more dimensions"):
        array(X).sum(where=np.ones((2, 2, 3), bool))


# Numbers of elements: none, and no axes ------------------------------------------------------------------------------

SHAPES = [(), (0,), (0, 3), (3, 0), (1,), (2, 0, 3)]
OF_ANY_SIZE = {
    name: f
    for name, f in METHODS.items()
    if not name.startswith(("flat,", "take", "clip, limits", "mean, where")) and "where" not in name
}


def outcome(f, x):
    """The numbers of f(x) and the categories of its warnings; or the type of what it raises."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            y = f(x)
        except Exception as e:
            return type(e)
    kept = {str(w.message).rstrip(".") for w in caught if "encountered" not in str(w.message)}
    return np.shape(y), np.array(y, dtype=float).tolist().__repr__(), kept


@pytest.mark.parametrize("f", OF_ANY_SIZE.values(), ids=OF_ANY_SIZE)
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_method_of_no_elements_or_no_axes_gives_what_numpy_gives(f, shape):
    x = np.full(shape, 1.5)
    assert outcome(f, array(x)) == outcome(f, x)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std", "argmax", "argmin"])
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_reduction_of_no_elements_gives_what_numpy_gives(name, shape):
    x = np.full(shape, 1.5)
    for axis in [None, 0, -1, (), (0,), *range(len(shape))]:
        assert outcome(lambda x, axis=axis: getattr(x, name)(axis), array(x)) == outcome(
            lambda x, axis=axis: getattr(x, name)(axis=axis), x
        )


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std"])
@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_a_reduction_by_a_mask_of_no_elements_gives_what_numpy_gives(name, shape):
    x = np.full(shape, 1.5)
    initial = {"initial": -1.0} if name in ("max", "min") else {}
    for axis in [None, 0, -1, (), (0,), *range(len(shape))]:
        for where in [True, np.ones(shape, bool), np.zeros(shape, bool)]:
            reduced = operator.methodcaller(name, axis=axis, where=where, **initial)
            assert outcome(reduced, array(x)) == outcome(reduced, x), (axis, where)


@examples(100)
@given(st.data())
def test_variances_equal_numpy_s_along_any_axes(data):
    x = data.draw(hnp.arrays(float, hnp.array_shapes(min_dims=1, max_dims=3, max_side=3), elements=floats))
    axis = data.draw(st.none() | hnp.valid_tuple_axes(x.ndim))
    ddof, keepdims = data.draw(st.integers(0, 2)), data.draw(st.booleans())
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = x.var(axis=axis, ddof=ddof, keepdims=keepdims)
        found = array(x).var(axis, keepdims, ddof=ddof)
    assert type(found) is Array
    assert found.shape == np.shape(expected)
    if (divisor := x.size // max(np.size(expected), 1) - ddof) > 0:
        np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-12)
    else:
        assert not np.isfinite(found.data).any(), divisor


@examples(60)
@given(hnp.arrays(float, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4), elements=floats), st.data())
def test_running_sums_equal_numpy_s_along_any_axis(x, data):
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1)) if x.ndim else None
    for name in ("cumsum", "cumprod"):
        np.testing.assert_array_equal(getattr(array(x), name)(axis).data, getattr(x, name)(axis))


# Products of more axes --------------------------------------------------------------------------------------------

PAIRS = [
    ((2, 3, 4), (2, 4, 5)),
    ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (4,)),
    ((3, 4), (2, 4, 5)),
    ((4,), (2, 4, 5)),
    ((4, 1, 2, 3), (2, 3, 2)),
    ((1, 2, 3), (5, 3, 2)),
    ((2, 0, 4), (2, 4, 5)),
    ((2, 3, 0), (2, 0, 5)),
    ((0, 3, 4), (0, 4, 5)),
    ((0, 3, 4), (4, 5)),
    ((1, 2, 3), (0, 3, 2)),
]


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=repr)
@pytest.mark.parametrize("product", [operator.matmul, lambda x, y: x.dot(y)], ids=["@", "dot"])
def test_a_product_of_more_axes_is_numpy_s(product, left, right):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=left), rng.normal(size=right)
    check(product, product, x, y, rtol=1e-12)
    if x.size and y.size:
        check_compiled(product, x, y)
    np.testing.assert_allclose((x @ array(y)).data, x @ y, rtol=1e-12)
    np.testing.assert_allclose((array(x) @ y).data, x @ y, rtol=1e-12)


@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3, 4), (2, 3, 4)), ((2, 3, 4), (3, 4, 5)), ((), (2, 3, 4)), ((2, 3, 4), ()), ((3,), (2, 4, 5))],
)
def test_mismatched_shapes_of_more_axes_raise_numpy_s_error(left, right):
    x, y = np.ones(left), np.ones(right)
    with raises_as(operator.matmul, x, y):
        array(x) @ array(y)


def test_a_matrix_of_a_batch_is_the_product_of_matrices_bit_by_bit():
    x, y = np.random.default_rng(1).normal(size=(2, 3, 7, 5)), np.random.default_rng(2).normal(size=(3, 5, 4))
    a, b = array(x), array(y)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal((a @ b)[i, j].data, (a[i, j] @ b[j]).data)
        np.testing.assert_array_equal((a @ b[0])[i, j].data, (a[i, j] @ b[0]).data)


def test_cubes_are_reduced_as_numpy_s():
    for f in (
        lambda x: x.var((0, 2)),
        lambda x: x.cumsum(2),
        lambda x: x.take(1, axis=2) * 1,
        lambda x: x.dot(x[0, 0].T),
    ):
        check(f, f, CUBE)
    assert pygrad.array(CUBE).mT.shape == (2, 1, 4, 3)
