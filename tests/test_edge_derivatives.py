"""Derivatives at edges: zero where a value is constant or a branch is not taken, though another factor is infinite."""

import math

import numpy as np
import pytest

from pygrad import Value, array, compile, reference

INF = math.inf

# By name: a function, its arguments, and its derivative by each. Programs compute it for one sample and for a batch.
COMPILED = {
    "sqrt of a relu that is off": (lambda x: x.relu().sqrt(), (-1.0,), (0.0,)),
    "log of a relu that is off": (lambda x: (x.relu() + 0.0).log().exp(), (2.0,), (1.0,)),
    "x ** -0.5 of a relu that is off": (lambda x: x.relu() ** -0.5, (-1.0,), (0.0,)),
    "1 / a relu that is off": (lambda x: 1 / x.relu(), (-1.0,), (0.0,)),
    "sqrt of the smaller of two": (lambda x, y: x.minimum(y).sqrt(), (0.0, 1.0), (INF, 0.0)),
    "sqrt of the larger of two": (lambda x, y: x.maximum(y).sqrt(), (-1.0, 0.0), (0.0, INF)),
    "sqrt of a largest element": (lambda x, y, z: array([x, y, z]).max().sqrt(), (-1.0, 0.0, -2.0), (0.0, INF, 0.0)),
    "x ** n at n = 0": (lambda x, n: x**n, (0.0, 0.0), (0.0, 0.0)),
    "x ** n": (lambda x, n: x**n, (3.0, 2.0), (6.0, 9 * math.log(3))),
    "x ** 0": (lambda x: x**0, (0.0,), (0.0,)),
    "x ** 0.5 at 0": (lambda x: x**0.5, (0.0,), (INF,)),
}


@pytest.mark.parametrize(("function", "xs", "expected"), COMPILED.values(), ids=COMPILED)
def test_a_program_gives_the_derivative_where_it_exists(function, xs, expected):
    f = compile(function, *[1.5] * len(xs))
    assert f.value_and_grad(*xs)[1] == pytest.approx(expected, rel=1e-12)
    for size in (1, 2, 5, 70):  # vectors, and what is left
        _, slopes = f.value_and_grad(*[np.full(size, x) for x in xs])
        for slope, right in zip(slopes, expected):
            np.testing.assert_allclose(slope, np.full(size, right), rtol=1e-12)


# The same of Values, where a derivative that is infinite raises instead.
EAGER = {
    "x ** 0": (lambda x: x**0, (0.0,), (0.0,)),
    "x ** 0.0": (lambda x: x**0.0, (0.0,), (0.0,)),
    "x ** n at n = 0": (lambda x, n: x**n, (0.0, 0.0), (0.0, 0.0)),
    "an overflow below a relu that is off": (lambda x: x.relu() * 1e308 * 1e308, (-1.0,), (0.0,)),
    "an overflow below the smaller of two": (lambda x, y: x.maximum(y) * 1e308 * 1e308, (-1.0, 0.0), (0.0, INF)),
}


@pytest.mark.parametrize(("function", "xs", "expected"), EAGER.values(), ids=EAGER)
@pytest.mark.parametrize("V", [Value, reference.Value, array])
def test_values_and_arrays_give_the_derivative_where_it_exists(V, function, xs, expected):
    leaves = [V(x) for x in xs]
    function(*leaves).backward()
    assert [float(v.grad) for v in leaves] == list(expected)


@pytest.mark.parametrize("V", [Value, reference.Value, array])
def test_the_power_of_a_negative_base_has_a_slope_by_the_base_and_nan_by_a_leaf(V):
    base, exponent = V(-2.0), V(2.0)
    (base**exponent).backward()
    assert base.grad == -4
    assert math.isnan(exponent.grad)


@pytest.mark.parametrize("V", [Value, reference.Value, array])
def test_the_power_of_a_negative_base_raises_where_a_computed_exponent_would_pass_nan_on(V):
    base, exponent = V(-2.0), V(1.0)
    y = base ** (exponent * 2)
    with pytest.raises(ValueError, match=r"not defined|domain"):
        y.backward()
    assert base.grad == -4
