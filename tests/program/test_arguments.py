"""The arguments and results of a Program: their structures, shapes and batches."""

import math
from collections import namedtuple
from fractions import Fraction

import numpy as np
import pytest

import pygrad
from pygrad import Value

Pair = namedtuple("Pair", "first second")


def test_the_result_has_the_function_s_structure():
    def fn(x, y):
        return {"v": x, "list": [x * 2, 7, (y, [])], "pair": Pair(x + 1, y.sum()), "row": np.arange(2.0)}

    f = pygrad.compile(fn, 1.0, np.zeros((2, 1)))
    one = f(3.0, [[1.0], [2.0]])
    assert list(one) == ["v", "list", "pair", "row"]
    assert type(one["v"]) is float
    assert one["v"] == 3
    assert one["list"][:2] == [6, 7]
    assert isinstance(one["list"][2], tuple)
    assert one["list"][2][0].tolist() == [[1.0], [2.0]]
    assert one["list"][2][1] == []
    assert one["pair"] == Pair(4.0, 3.0)
    assert one["row"].tolist() == [0.0, 1.0]
    many = f([3.0, 4.0, 5.0], [[1.0], [2.0]])
    assert many["v"].tolist() == [3, 4, 5]
    assert many["list"][0].tolist() == [6, 8, 10]
    assert many["list"][1].tolist() == [7, 7, 7]
    assert many["list"][2][0].shape == (3, 2, 1)
    assert many["pair"].second.tolist() == [3, 3, 3]
    assert many["row"].tolist() == [[0.0, 1.0]] * 3


@pytest.mark.parametrize("result", [[], {}, ()])
def test_a_function_may_return_an_empty_structure(result):
    f = pygrad.compile(lambda x: result, 1.0)
    assert f(2.0) == result
    assert f([2.0, 3.0]) == result


def test_a_function_without_arguments_is_one_sample():
    w = Value(2.0)
    f = pygrad.compile(lambda: w**3)
    assert f() == 8
    assert f.value_and_grad() == (8.0, ())
    assert w.grad == 12
    values, grads = f.value_and_grad(cotangent=[1.0, 2.0])
    assert (values.tolist(), grads) == ([8.0, 8.0], ())
    assert w.grad == 48


def test_a_result_may_be_an_input_a_parameter_or_a_constant():
    w = Value(2.0)
    assert pygrad.compile(lambda x: x, 1.0).value_and_grad(3.0) == (3.0, (1.0,))
    assert pygrad.compile(lambda x: w, 1.0).value_and_grad(3.0) == (2.0, (0.0,))
    assert w.grad == 1
    f = pygrad.compile(lambda x: 5, 1.0)
    assert f.value_and_grad(3.0) == (5.0, (0.0,))
    values, (grad,) = f.value_and_grad([3.0, 4.0])
    assert (values.tolist(), grad.tolist()) == ([5.0, 5.0], [0.0, 0.0])
    values, (grad,) = pygrad.compile(lambda x: w, 1.0).value_and_grad([3.0, 4.0, 5.0])
    assert (values.tolist(), grad.tolist()) == ([2.0] * 3, [0.0] * 3)
    assert w.grad == 4


def test_a_list_of_numbers_is_an_array_argument():
    seen = []

    def fn(x, y, z):
        seen.extend([x, y, z])
        return x[0][1] * y[1] * z.sum()

    f = pygrad.compile(fn, [[1.0, 2.0]], (3, 4), np.ones((1, 2), dtype=np.float32))
    x, y, z = seen
    assert isinstance(x, list)
    assert isinstance(x[0], list)
    assert isinstance(y, tuple)
    assert isinstance(z, pygrad.Array)
    value, grads = f.value_and_grad([[1.0, 2.0]], (3, 4), np.ones((1, 2)))
    assert value == 16
    assert [g.tolist() for g in grads] == [[[0.0, 8.0]], [0.0, 4.0], [[8.0, 8.0]]]
    del seen[:]


def test_a_ragged_argument_keeps_its_structure():
    f = pygrad.compile(lambda x: x[0][0] * x[1][1] + x[2].sum(), ([1.0], (2.0, 3.0), np.zeros(2)))
    value, (grad,) = f.value_and_grad(([2.0], (5.0, 3), [1.0, 1.0]))
    assert value == 8
    assert grad[:2] == ([3.0], (0.0, 2.0))
    assert grad[2].tolist() == [1.0, 1.0]
    batch = ([np.array([2.0, 3.0, 4.0])], ([0.0] * 3, np.array([1, 2, 3])), np.zeros((3, 2)))
    assert f(batch).tolist() == [2.0, 6.0, 12.0]
    values, (grad,) = f.value_and_grad(batch)
    assert values.tolist() == [2.0, 6.0, 12.0]
    assert grad[0][0].tolist() == [1.0, 2.0, 3.0]
    assert grad[1][1].tolist() == [2.0, 3.0, 4.0]
    assert grad[2].tolist() == [[1.0, 1.0]] * 3
    with pytest.raises(ValueError, match="argument 0 must have the structure"):
        f(([1.0], (2.0, 3.0, 4.0), [0.0, 0.0]))
    with pytest.raises(ValueError, match="argument 0 must have the structure"):
        f((1.0, (2.0, 3.0), [0.0, 0.0]))
    with pytest.raises(ValueError, match=r"argument 0\[0\]\[0\] must have shape \(\), .* got shape \(2, 1\)"):
        f(([[[1.0], [2.0]]], (2.0, 3.0), [0.0, 0.0]))
    with pytest.raises(ValueError, match=r"argument 0\[0\]\[0\] is a batch of 2, argument 0\[1\]\[0\] is a batch of 3"):
        f(([[1.0, 2.0]], ([2.0] * 3, [3.0] * 3), [[0.0, 0.0]] * 3))


# A list or tuple with arrays has an argument for each of them ---------------------------------------------------------

LISTS = {
    "arrays of one shape": [np.zeros(3), np.zeros(3)],
    "a tuple of arrays of one shape": (np.zeros(2), np.zeros(2), np.zeros(2)),
    "arrays of different shapes": [np.zeros(3), np.zeros((2, 2))],
    "an array in a list": [np.zeros((2, 3))],
    "arrays without axes": [np.array(0.0), np.array(0.0)],
    "an array and numbers": (np.zeros(2), 0.0, [0.0, np.zeros(1)]),
    "lists of arrays": [[np.zeros(2), np.zeros(2)], [np.zeros(2), np.zeros(2)]],
}


def flat(x):
    return [leaf for item in x for leaf in flat(item)] if isinstance(x, (list, tuple)) else [x]


def filled(example, values):
    """The structure of an example, with the next of the values in place of each array or number."""
    if isinstance(example, (list, tuple)):
        return type(example)(filled(item, values) for item in example)
    return next(values)


def cost(*leaves):
    """Of all leaves, each of which matters in its own way."""
    total = Value(0.0)
    for i, leaf in enumerate(leaves):
        total = total * 0.5 + ((leaf + i) * leaf).exp().sum() if getattr(leaf, "ndim", 0) else total + (leaf * i).exp()
    return total


@pytest.mark.parametrize(
    "batched", [0, 1, 2, -1], ids=["one", "the first a batch", "the second a batch", "all batches"]
)
@pytest.mark.parametrize("example", LISTS.values(), ids=LISTS)
def test_each_array_of_a_list_is_an_argument_of_its_own(example, batched, tmp_path):
    """As in the same function of the arrays one by one, in all that a Program computes."""
    shapes = [np.shape(x) for x in flat(example)]
    f = pygrad.compile(lambda x: cost(*flat(x)), example)
    by_one = pygrad.compile(cost, *flat(example))
    rng = np.random.default_rng(0)
    lead = [(2,) if batched in (-1, i + 1) else () for i in range(len(shapes))]
    x, t = ([rng.uniform(-1, 1, b + shape) for b, shape in zip(lead, shapes)] for _ in range(2))
    x_as_list, t_as_list = filled(example, iter(x)), filled(example, iter(t))
    f.save(tmp_path / "f.npz")
    for p in (f, pygrad.Program.load(tmp_path / "f.npz")):
        value, [gradient] = p.value_and_grad(x_as_list)
        expected, gradients = by_one.value_and_grad(*x)
        assert type(gradient) is type(example)
        checks = [
            (p(x_as_list), by_one(*x)),
            (value, expected),
            *zip(flat(gradient), gradients, strict=True),
            *zip(p.jvp([x_as_list], [t_as_list]), by_one.jvp(x, t), strict=True),
            *zip(flat(p.hvp([x_as_list], [t_as_list])[0]), by_one.hvp(x, t), strict=True),
            *zip(flat(p.jacobian(x_as_list)), by_one.jacobian(*x), strict=True),
            *zip(flat(p.hessian(x_as_list)), flat(by_one.hessian(*x)), strict=True),
        ]
        for found, right in checks:
            assert np.shape(found) == np.shape(right)
            np.testing.assert_allclose(found, right, rtol=1e-12)


def test_the_rows_of_a_batch_are_not_taken_for_the_arrays_of_a_list():
    f = pygrad.compile(lambda p: (p[0] * p[1]).sum(), [np.zeros(3), np.zeros(3)])
    x, y = np.arange(6.0).reshape(2, 3), np.arange(6.0, 12.0).reshape(2, 3)
    assert f([x, y]).tolist() == (x * y).sum(axis=1).tolist()
    _, [(by_x, by_y)] = f.value_and_grad([x, y[0]])
    assert (by_x.tolist(), by_y.tolist()) == ([y[0].tolist()] * 2, x.sum(axis=0).tolist())
    with pytest.raises(ValueError, match=r"argument 0 must have the structure \[an array of shape \(3,\), "):
        f([x, y, x])


def test_nested_lists_of_plain_numbers_are_one_array():
    f = pygrad.compile(lambda p: p[0][0] * p[1][1], [[1.0, 2.0], [3.0, 4.0]])
    batch = np.arange(12.0).reshape(3, 2, 2)
    assert f(batch).tolist() == f(list(batch)).tolist() == f(batch.tolist()).tolist() == [0, 28, 88]
    _, [gradient] = f.value_and_grad([[1.0, 2.0], [3.0, 4.0]])
    assert gradient.tolist() == [[4, 0], [0, 1]]


def test_shared_and_batched_arguments_mix():
    f = pygrad.compile(lambda x, y, z: (x * y).sum() + z, np.zeros(2), np.zeros(2), 0.0)
    x, y, z = np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]]), np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(f(x, y, z), [1.1, 2.2, 9.3])
    np.testing.assert_allclose(f(x, y, 0.5), [1.5, 2.5, 9.5])
    values, (dx, dy, dz) = f.value_and_grad(x, y, 0.5)
    assert dx.tolist() == [4.0, 4.0]
    assert dy.tolist() == [[1.0, 2.0]] * 3
    assert dz == 3
    assert type(dz) is float
    values, (dx, dy, dz) = f.value_and_grad(x, y[0], z, cotangent=[1.0, 2.0, 3.0])
    assert values.shape == (3,)
    assert dx.tolist() == [6.0, 0.0]
    assert dy.tolist() == [6.0, 12.0]
    assert dz.tolist() == [1.0, 2.0, 3.0]
    values, (dx, dy, dz) = f.value_and_grad(x, y[0], 0.0, cotangent=[1.0, 2.0])
    assert values.tolist() == [1.0, 1.0]
    assert dx.tolist() == [3.0, 0.0]
    assert dz == 3


@pytest.mark.parametrize(
    "x",
    [
        [1, 2, 3],
        (1.0, 2.0, 3.0),
        np.array([1, 2, 3]),
        np.array([1, 2, 3], dtype=np.float32),
        np.array([1.0, 9.0, 2.0, 9.0, 3.0])[::2],
        np.array([3.0, 2.0, 1.0])[::-1],
        np.array([1.0, 2.0, 3.0], dtype=">f8"),
        [Fraction(1), True, np.float64(2)],
        np.array([1, 2.0, 3], dtype=object),
        np.lib.stride_tricks.as_strided(np.array([1.0, 2.0, 3.0]), writeable=False),
    ],
)
def test_numbers_of_every_kind_are_converted(x):
    f = pygrad.compile(lambda x: x[0] + 10 * x[1] + 100 * x[2], [0.0] * 3)
    expected = sum(float(xi) * w for xi, w in zip(x, [1, 10, 100]))
    assert f(x) == expected
    assert f.value_and_grad(x)[0] == expected
    assert f([list(x), list(x)]).tolist() == [expected, expected]
    g = pygrad.compile(lambda x: -x, 1)
    assert g(x).tolist() == [-float(xi) for xi in x]
    assert g(x[0]) == -x[0]


@pytest.mark.parametrize("batch", [1, 3, 64, 65, 200])
def test_the_gradient_of_a_shared_argument_is_infinite_where_a_sample_s_is(batch):
    w = Value(1.0)
    x = np.ones(batch)
    x[-1] = math.inf
    f = pygrad.compile(lambda x, y: x * y * w, 1.0, 1.0)
    _, (by_x, by_y) = f.value_and_grad(x, 2.0)
    assert by_x.tolist() == [2.0] * batch
    assert (by_y, w.grad) == (math.inf, math.inf)


def test_a_transposed_batch_is_read_in_its_own_order():
    x = np.arange(6.0).reshape(2, 3)
    f = pygrad.compile(lambda x: x[0] - 10 * x[1], [0.0, 0.0])
    assert f(x.T).tolist() == [-30.0, -39.0, -48.0]


def test_an_empty_batch_gives_empty_results():
    w = Value(2.0)
    f = pygrad.compile(lambda x, y: w * x.sum() * y, np.zeros(3), 1.0)
    assert f(np.empty((0, 3)), 1.0).shape == (0,)
    values, (dx, dy) = f.value_and_grad(np.empty((0, 3)), 5.0)
    assert (values.shape, dx.shape, dy, w.grad) == ((0,), (0, 3), 0.0, 0.0)
    g = pygrad.compile(lambda x: [x, x[0]], np.zeros(3))
    assert [r.shape for r in g(np.empty((0, 3)))] == [(0, 3), (0,)]


def test_an_argument_may_be_empty():
    f = pygrad.compile(lambda x, y: sum(x, y), [], 1.0)
    value, (dx, dy) = f.value_and_grad([], 2.0)
    assert (value, dx.shape, dy) == (2.0, (0,), 1.0)
    values, (dx, dy) = f.value_and_grad(np.empty((3, 0)), 2.0)
    assert (values.tolist(), dx.shape, dy) == ([2.0] * 3, (3, 0), 3.0)


def test_the_caller_may_change_results():
    f = pygrad.compile(lambda x: x, np.zeros(2))
    x = np.array([1.0, 2.0])
    value = f(x)
    value[0] = 5
    assert x.tolist() == [1.0, 2.0]
    assert f(x).tolist() == [1.0, 2.0]
