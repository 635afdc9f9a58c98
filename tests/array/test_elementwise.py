"""Functions of each element of an Array: NumPy's numbers, and their slopes as gradients."""

import operator

import numpy as np
import pytest

from pygrad import array
from support import ops
from support.arrays import OPERANDS, X, check, elements


@pytest.mark.parametrize("case", [case for case in ops.METHODS if case.arity == 2], ids=lambda case: case.name)
@pytest.mark.parametrize("operand", OPERANDS)
def test_maximum_and_minimum_take_what_operators_take(case, operand):
    other = OPERANDS[operand]()
    numbers = elements(other).astype(float)
    out = case.write(array(X), other)
    np.testing.assert_array_equal(out.data, case.numpy(X, numbers))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_gradient_of_a_maximum_goes_to_the_larger_operand_and_is_halved_between_equals(name):
    x, y = array([1.0, 5.0, 2.0]), array([3.0, 4.0, 2.0])
    getattr(x, name)(y).sum().backward()
    expected = [0, 1, 0.5] if name == "maximum" else [1, 0, 0.5]
    assert x.grad.tolist() == expected
    assert y.grad.tolist() == [1 - e for e in expected]


@pytest.mark.parametrize("other", ["a", None, {}], ids=repr)
def test_maximum_of_a_non_number_is_a_type_error_naming_the_type(other):
    with pytest.raises(TypeError, match=type(other).__name__):
        array([1.0]).maximum(other)


@pytest.mark.parametrize("case", ops.UNARY, ids=lambda case: case.name)
def test_an_elementwise_function_gives_numpy_s_results_and_their_slopes(case):
    if not case.stops:
        for numbers in [X, X[:, 1:].T, np.array(0.5), np.empty((0, 2))]:
            check(case.write, case.numpy, numbers, rtol=1e-15)
    strided = array(X)[:, ::2]
    np.testing.assert_allclose(case.write(strided).data, case.numpy(X[:, ::2]), rtol=1e-15)


def test_minus_and_abs():
    check(operator.neg, operator.neg, X)
    check(abs, abs, X - 1)
