"""`data` and `grad` of a Value, and the numbers that it takes."""

import fractions
import math

import numpy as np
import pytest

from pygrad import Value, reference


@pytest.mark.parametrize(
    "number",
    [3, True, 2.5, -0.0, math.inf, fractions.Fraction(1, 4), "1.5", np.float32(0.1), np.int64(3), np.array(2.0)],
    ids=repr,
)
def test_anything_that_float_accepts_is_data(number):
    v = Value(number)
    assert type(v.data) is (int if isinstance(number, (int, np.integer)) else float)
    assert v.data == float(number)
    v.data = v.grad = number
    assert v.data == v.grad == float(number)


def test_nan_is_data():
    assert math.isnan((Value(math.nan) * 0).data)


@pytest.mark.parametrize("wrong", [None, [1.0], (1.0,), {}, 1j, object(), np.zeros(3)], ids=lambda x: type(x).__name__)
def test_anything_else_is_a_type_error_naming_the_type(wrong, no_leak):
    v = Value(1)
    name = type(wrong).__name__
    with pytest.raises(TypeError, match=name):
        Value(wrong)
    with pytest.raises(TypeError, match=name):
        v.data = wrong
    if wrong is None:
        return  # a grad of None is 0
    with pytest.raises(TypeError, match=name):
        v.grad = wrong
    assert (v.data, v.grad) == (1, 0)


def test_text_that_is_not_a_number_is_a_value_error():
    with pytest.raises(ValueError, match="abc"):
        Value("abc")


def test_an_int_too_large_for_a_float_is_an_overflow_error():
    with pytest.raises(OverflowError):
        Value(10**400)


PYTHON_S_OWN = "can't multiply sequence|operands do not support|interpreted as an integer"  # those after it are PyPy's


@pytest.mark.parametrize("wrong", [None, "1", [1.0], 1j, object()], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize(
    "op",
    [
        lambda v, x: v + x,
        lambda v, x: x + v,
        lambda v, x: v * x,
        lambda v, x: x * v,
        lambda v, x: v - x,
        lambda v, x: x - v,
        lambda v, x: v / x,
        lambda v, x: x / v,
        lambda v, x: v**x,
        lambda v, x: v.maximum(x),
    ],
)
def test_an_operand_of_another_type_is_a_type_error_naming_it(op, wrong, no_leak):
    with pytest.raises(TypeError, match=f"{type(wrong).__name__}|{PYTHON_S_OWN}"):
        op(Value(1), wrong)


def test_a_value_of_another_engine_is_a_type_error_and_not_a_constant():
    with pytest.raises(TypeError, match="Value"):
        Value(1) + reference.Value(2)
    with pytest.raises(TypeError, match="Value"):
        reference.Value(1) * Value(2)


@pytest.mark.parametrize("number", [np.uint8(3), np.int64(3), np.True_, np.float16(3e-5), np.array(3, np.uint8)])
def test_a_numpy_number_counts_as_python_s(number):
    plain = number.item()
    assert (Value(1) - number).data == 1 - plain
    assert (Value(1) / number).data == 1 * plain**-1


@pytest.mark.parametrize("number", [np.float64(2), np.float32(2), np.int64(2), np.array(2.0), fractions.Fraction(2)])
def test_a_foreign_number_on_either_side_gives_a_value(number):
    v = Value(3)
    results = [
        v + number,
        number + v,
        v * number,
        number * v,
        v - number,
        number - v,
        number / v,
        v**number,
        -number * v,
    ]
    assert [type(z) for z in results] == [Value] * 9
    assert [z.data for z in results] == [5, 5, 6, 6, 1, -1, 2 * 3**-1, 9, -6]
    assert (v / np.float64(2)).data == 1.5


def test_a_numpy_array_takes_values_element_by_element():
    v = Value(3)
    product = np.array([1.0, 2.0]) * v
    assert [z.data for z in product] == [3, 6]
    assert [z.data for z in v * np.array([1.0, 2.0])] == [3, 6]


def test_float_gives_the_data():
    assert float(Value(2.5)) == 2.5
    assert math.exp(Value(0)) == 1


def test_repr_shows_data_and_grad():
    v = Value(2)
    v.backward()
    assert repr(v) == "Value(data=2, grad=1)"
