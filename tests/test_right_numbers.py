"""Numbers that are easily wrong without an error. Each kind of fault has a table: add a row for each case found."""

import operator

import numpy as np
import pytest

from pygrad import Value, array, compile
from support.programs import shape as graph

# A Value and an array: each element counts as a Python number, whatever the dtype ----------------------------------

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
ARRAYS = {
    **{f"{dtype} array": np.array([1, 3], dtype) for dtype in ["u1", "i1", "u2", "i4", "u8", "i8", "?"]},
    **{f"{dtype} array": np.array([0.1, 3.7], dtype) for dtype in ["f2", "f4", "f8", "longdouble"]},
    "big-endian array": np.array([1, 3], ">u2"),
    "array of two axes": np.array([[1], [3]], np.uint8),
    "strided array": np.array([1, 2, 3], np.uint8)[::2],
    "object array": np.array([1, 2.5], object),
}


def outcome(function):
    """The results and their graphs, or the exception."""
    try:
        results = np.ravel(np.asarray(function(), object))
    except Exception as error:
        return type(error)
    return [(type(x), x.data, graph(x)) for x in results]


def reflected(op):
    return lambda x, y: op(y, x)


@pytest.mark.parametrize("numbers", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("side", [lambda op: op, reflected], ids=["Value first", "array first"])
@pytest.mark.parametrize("op", OPERATORS)
def test_a_value_takes_each_element_of_an_array_as_a_python_number(op, side, numbers):
    function = side(op)
    expected = outcome(lambda: [function(Value(2.5), x) for x in numbers.ravel().tolist()])
    assert outcome(lambda: function(Value(2.5), numbers)) == expected


@pytest.mark.parametrize("dtype", ["u1", "?", "f2", "f8"])
def test_a_value_divided_by_an_array_with_a_zero_is_a_zero_division_error(dtype):
    with pytest.raises(ZeroDivisionError):
        Value(1.0) / np.array([1, 0], dtype)


def test_a_matrix_divides_element_by_element():
    assert [x.data for x in np.ravel(Value(1.0) / np.array([[2.0, 0.5], [1.0, 4.0]]).view(np.matrix))] == [
        0.5,
        2,
        1,
        0.25,
    ]


@pytest.mark.parametrize("side", [lambda op: op, reflected], ids=["Value first", "array first"])
@pytest.mark.parametrize("op", OPERATORS)
def test_the_same_holds_in_a_compiled_function(op, side):
    function = side(op)
    for numbers in [np.array([1, 3], np.uint8), np.array([0.1, 3.7], np.float16)]:
        expected = [function(2.5, x) for x in numbers.tolist()]
        np.testing.assert_allclose(compile(lambda x, n=numbers: function(x, n), 2.0)(2.5), expected, rtol=1e-12)
        np.testing.assert_allclose(
            compile(lambda x, n=numbers: function(x, n), np.ones(2))(np.full(2, 2.5)), expected, rtol=1e-12
        )


@pytest.mark.parametrize("side", [lambda op: op, reflected], ids=["first", "Series first"])
@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.filterwarnings("ignore:Operation with Array is deprecated")  # pandas' notice
def test_the_same_holds_for_a_series_of_pandas(op, side):
    pandas = pytest.importorskip("pandas")
    function = side(op)
    for dtype in [np.uint8, bool, np.float16]:
        numbers = np.array([1, 3.5], dtype)
        expected = [function(2.5, x) for x in numbers.tolist()]
        for operand in [Value(2.5), array([2.5, 2.5])]:
            assert [x.data for x in function(operand, pandas.Series(numbers))] == pytest.approx(expected, rel=1e-15)
