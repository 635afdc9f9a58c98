"""Operators on Arrays: the operands they take, their gradients and their errors."""

import operator

import numpy as np
import pytest

from pygrad import Array, Value, array, memory_stats
from support.arrays import ARITHMETIC, OPERANDS, X, elements, reduced_to
from support.programs import shape as graph


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("op", ARITHMETIC)
def test_an_operator_takes_numpy_s_operands_and_passes_gradients_to_all_nodes(op, side, operand):
    function, slopes = ARITHMETIC[op]
    a, other = array(X), OPERANDS[operand]()
    nodes = elements(other)
    numbers = nodes.astype(float)
    assert any(isinstance(node, Value) for node in nodes.flat) == ("Value" in operand or "Array" in operand)
    x, y = (X, numbers) if side == "left" else (numbers, X)
    out = function(a, other) if side == "left" else function(other, a)
    assert type(out) is Array
    np.testing.assert_allclose(out.data, function(x, y), rtol=1e-15)
    weights = np.random.default_rng(0).uniform(-2, 2, out.shape)
    (out * weights).sum().backward()
    mine, theirs = [weights * d for d in slopes(x, y)][:: 1 if side == "left" else -1]
    np.testing.assert_allclose(a.grad, reduced_to(X.shape, mine), rtol=1e-14, atol=1e-14)
    expected = reduced_to(numbers.shape, np.broadcast_to(theirs, out.shape))
    for node, grad in zip(nodes.ravel(), np.ravel(expected)):
        if isinstance(node, Value):
            assert node.grad == pytest.approx(grad, rel=1e-14)


@pytest.mark.parametrize(
    ("function", "number"),
    [
        (operator.sub, np.uint8(3)),
        (operator.sub, np.int8(-128)),
        (operator.sub, np.True_),
        (operator.truediv, np.int64(2)),
        (operator.truediv, np.float32(3)),
        (operator.truediv, np.array(2)),
        (operator.sub, np.int64(3)),
        (operator.truediv, np.float64(3)),
        (operator.add, np.uint8(255)),
        (operator.mul, np.int8(-128)),
        (operator.pow, np.float32(0.1)),
        (operator.pow, np.uint8(2)),
    ],
    ids=lambda x: repr(x) if isinstance(x, (np.generic, np.ndarray)) else x.__name__,
)
def test_a_numpy_scalar_counts_as_its_float_value(function, number):
    assert float(function(array(3.0), number)) == pytest.approx(function(3.0, float(number)), rel=1e-15)
    assert float(function(number, array(3.0))) == pytest.approx(function(float(number), 3.0), rel=1e-15)


@pytest.mark.parametrize(
    "zero",
    [
        0,
        0.0,
        False,
        (np.float64(0)),
        (np.int64(0)),
        (np.float32(0)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_division_by_any_zero_is_a_zero_division_error(zero):
    with pytest.raises(ZeroDivisionError):
        array(1.0) / zero
    with pytest.raises(ZeroDivisionError):
        1.0 / array(zero)


@pytest.mark.parametrize("zeros", [[1.0, 0.0], np.array([1, 0]), [[0], [1]]], ids=repr)
def test_division_by_a_list_containing_zero_is_a_zero_division_error(zeros):
    with pytest.raises(ZeroDivisionError):
        array([1.0, 2.0]) / zeros
    with pytest.raises(ZeroDivisionError, match=r"index \("):
        array([1.0, 2.0]) / array(zeros)


@pytest.mark.parametrize("function", [f for f, _ in ARITHMETIC.values()])
@pytest.mark.parametrize(
    "other",
    [
        "1",
        b"1",
        None,
        {},
        {1},
        1j,
        object(),
        (np.complex128(1j)),
        (np.str_("1.5")),
    ],
    ids=lambda x: type(x).__name__,
)
def test_a_non_number_operand_is_a_type_error(function, other):
    a = array([1.0, 2.0])
    with pytest.raises(TypeError):
        function(a, other)
    with pytest.raises(TypeError):
        function(other, a)


@pytest.mark.parametrize("other", [["a", "b"], [1.0, None], np.array(["a", "b"]), np.array([1j, 2j])], ids=repr)
def test_a_list_of_non_numbers_is_a_type_error(other):
    a = array([1.0, 2.0])
    before = memory_stats().live_nodes
    for function, _ in ARITHMETIC.values():
        with pytest.raises(TypeError, match="real numbers"):
            function(a, other)
    with pytest.raises(TypeError, match="real numbers"):
        a.minimum(other)
    assert memory_stats().live_nodes == before


def test_another_class_may_implement_the_reflected_operator():
    class Other:
        def __radd__(self, array):
            return "mine"

        __rsub__ = __rmul__ = __rtruediv__ = __rpow__ = __rmatmul__ = __radd__

    for function in [*(f for f, _ in ARITHMETIC.values()), operator.matmul]:
        assert function(array([1.0]), Other()) == "mine"


def test_an_array_of_numpy_becomes_an_array_by_an_operator_in_place():
    for op in [operator.iadd, operator.isub]:
        with pytest.raises(TypeError, match="out="):  # a call cannot be told from one with out=
            op(np.ones(2), array([1.0, 2.0]))
    total = numbers = np.ones(2)
    a = array([1.0, 2.0])
    total += a
    total -= a * 2
    assert type(total) is Array
    assert total.data.tolist() == [0, -1]
    assert numbers.tolist() == [1, 1]


def test_augmented_assignment_leaves_the_original_array_unchanged():
    a = b = array([1.0, 2.0])
    b += 1
    b *= a
    b -= [1.0, 1.0]
    b /= 2
    b **= 2
    assert a.data.tolist() == [1, 2]
    assert b.data.tolist() == [0.25, 6.25]
    b.sum().backward()
    np.testing.assert_allclose(a.grad, [1.5, 12.5])


def test_negative_bases_may_have_numbers_as_exponents():
    a = array([-2.0, 3.0, 0.0])
    out = a ** [3, 2, 1]
    out.sum().backward()
    assert out.data.tolist() == [-8, 9, 0]
    assert a.grad.tolist() == [12, 6, 1]
    assert [v._op[:2] for v in out] == ["**"] * 3
    assert [len(v._prev) for v in out] == [1, 1, 1]


def test_an_int_in_a_list_of_exponents_is_shown_as_an_int():
    assert (
        [v._op for v in array([2.0, 3.0]) ** [2, 0.5]]
        == ["**2", "**0.5"]
        == [v._op for v in (Value(2) ** 2, Value(2) ** 0.5)]
    )


LISTS = {
    "numbers": lambda: [3, 0.25, 2],
    "Values": lambda: [Value(3.0), Value(0.25), Value(2.0)],
    "Values and numbers": lambda: [3, Value(0.25), 2.0],
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("side", [1, -1], ids=["left", "right"])
@pytest.mark.parametrize("op", ARITHMETIC)
def test_a_list_gives_the_graph_of_the_loop_over_its_elements(op, side, kind):
    function, _ = ARITHMETIC[op]
    x, y = [Value(0.5), Value(1.5), Value(2.0)], LISTS[kind]()
    expected = [graph(function(*(a, b)[::side])) for a, b in zip(x, y)]
    for other in [y, tuple(y), np.array(y, dtype=object)]:
        assert [graph(v) for v in function(*(array(x), other)[::side])] == expected
    table = function(*(array(x), [[b] for b in y])[::side])
    assert [graph(table[i, i]) for i in range(3)] == expected
