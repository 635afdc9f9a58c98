"""Derivatives at edges: zero where a value is constant or a branch is not taken, though another factor is infinite."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygrad import Value, array, compile, concatenate, index, reference, where
from pygrad.program import native
from support.edges import COMPILED
from support.effort import examples
from support.programs import ERRORS, RECORDED, function, possible

INF = math.inf

BACKENDS = ["kernels", pytest.param("native", marks=pytest.mark.skipif(not native.compiler(), reason="no compiler"))]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("function", "xs", "expected"), COMPILED.values(), ids=COMPILED)
def test_a_program_gives_the_derivative_where_it_exists(function, xs, expected, backend):
    f = compile(function, *[1.5] * len(xs), backend=backend)
    n = len(xs)
    assert f.value_and_grad(*xs)[1] == pytest.approx(expected, rel=1e-12)
    assert f.value_and_grad(*xs, cotangent=0.0)[1] == (0,) * n
    assert f.jacobian(*xs) == pytest.approx(expected, rel=1e-12)
    for k in range(n):
        assert f.jvp(xs, np.eye(n)[k].tolist())[1] == pytest.approx(expected[k], rel=1e-12)
    assert f.jvp(xs, (0.0,) * n)[1] == 0
    for size in (1, 2, 5, 70):  # vectors, and what is left
        batch = [np.full(size, x) for x in xs]
        for slopes in (f.value_and_grad(*batch)[1], f.jacobian(*batch)):
            for slope, right in zip(slopes, expected):
                np.testing.assert_allclose(slope, np.full(size, right), rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_element_that_is_not_looked_up_has_no_pole(backend):
    f = compile(lambda i, x, y: array([x.sqrt(), x * y, x.log()])[i] * y, index(0), 1.0, 1.0, backend=backend)
    assert f.value_and_grad(1, 0.0, 3.0)[1] == (None, 9, 0)
    assert f.value_and_grad(0, 0.0, 3.0)[1] == (None, INF, 0)
    _, (_, by_x, by_y) = f.value_and_grad(np.array([1, 0, 1]), np.zeros(3), 3.0)
    assert by_x.tolist() == [9, INF, 9]
    assert by_y == 0
    assert f.value_and_grad(np.array([1, 1]), 0.0, np.array([3.0, 2.0]))[1][1] == 13
    assert f.jvp((1, 0.0, 3.0), (None, 1.0, 0.0))[1] == 9
    assert f.jacobian(1, 0.0, 3.0)[1:] == (9, 0)
    assert np.array([row[1:] for row in f.hessian(1, 0.0, 3.0)[1:]]).tolist() == [[0, 6], [6, 0]]


def test_a_zero_cotangent_hides_the_pole_of_its_sample_only():
    f = compile(lambda x, w: x.sqrt() * w, 1.0, 1.0)
    _, (by_x, by_w) = f.value_and_grad(np.array([0.0, 4.0, 0.0]), 3.0, cotangent=np.array([0.0, 1.0, 2.0]))
    assert by_x.tolist() == [0, 0.75, INF]
    assert by_w == 2
    assert f.value_and_grad(np.array([0.0, 4.0]), 3.0, cotangent=np.array([0.0, 1.0]))[1][1] == 2


def test_the_parameters_of_a_branch_that_is_not_taken_get_zero():
    w, v = Value(0.0), Value(2.0)
    f = compile(lambda x: (w * x).sqrt().maximum(v * x), 1.0)
    f.value_and_grad(np.array([1.0, 4.0]))
    assert (w.grad, v.grad) == (0, 5)


# By name: a function, its arguments, and its second derivatives by row.
SECOND = {
    "a sum with a pole": (lambda x, y: x * 2 + y.sqrt(), (3.0, 0.0), [[0, 0], [0, -INF]]),
    "a pole in the smaller of two": (lambda x: x.sqrt().maximum(1.0), (0.0,), [[0]]),
    "a square beside a pole": (lambda x, y: x**2 + (1 / y).minimum(1.0), (3.0, 0.0), [[2, 0], [0, 0]]),
    "the base of a power of a negative": (lambda x: x ** array([3.0])[0], (-2.0,), [[-12]]),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("function", "xs", "expected"), SECOND.values(), ids=SECOND)
def test_a_program_gives_the_second_derivative_where_it_exists(function, xs, expected, backend):
    f = compile(function, *[1.5] * len(xs), backend=backend)
    assert np.array(f.hessian(*xs)).tolist() == expected
    for k, row in enumerate(expected):
        assert f.hvp(xs, np.eye(len(xs))[k].tolist()) == tuple(row)


# Where zero is a number that was computed, 0 * inf is nan: the limit may be any number.
NAN = {
    "the square of a root": (lambda x: x.sqrt() ** 2, (0.0,)),  # the derivative is 1
    "a root times 0": (lambda x, y: x.sqrt() * y, (0.0, 0.0)),  # 0
    "the root of a square": (lambda x: (x**2).sqrt(), (0.0,)),  # -1 or 1
    "the root of abs": (lambda x: abs(x).sqrt(), (0.0,)),  # -inf or inf
}


@pytest.mark.parametrize(("function", "xs"), NAN.values(), ids=NAN)
def test_a_zero_that_was_computed_times_an_infinite_slope_is_nan(function, xs):
    f = compile(function, *[1.5] * len(xs))
    assert math.isnan(f.value_and_grad(*xs)[1][0])
    assert math.isnan(f.jacobian(*xs)[0])
    assert math.isnan(f.jvp(xs, (1.0,) + (0.0,) * (len(xs) - 1))[1])
    values = [reference.Value(x) for x in xs]
    with pytest.raises(ZeroDivisionError):
        function(*values).backward()


@pytest.mark.parametrize("which", range(3))
def test_only_derivatives_that_are_nan_are_computed_again(which):
    """A sample's bits do not depend on whether another one has a pole in a branch that is not taken."""
    f = compile(lambda x, w: [(x * w).sin().sum() * 3 + x[0].sqrt().maximum(0.1)][0], np.zeros(9), np.zeros(9))
    x, w = np.random.default_rng(which).uniform(0.1, 1, (2, 70, 9))
    alone = f.value_and_grad(x, w)
    x[3, 0] = 0
    beside = f.value_and_grad(x, w)
    rest = np.arange(70) != 3
    for a, b in [(alone[0], beside[0]), *zip(alone[1], beside[1])]:
        assert a[rest].tobytes() == b[rest].tobytes()
        assert np.isfinite(b).all()


# The same of Values, where a derivative that is infinite raises instead.
EAGER = {
    "x ** 0": (lambda x: x**0, (0.0,), (0.0,)),
    "x ** 0.0": (lambda x: x**0.0, (0.0,), (0.0,)),
    "x ** n at n = 0": (lambda x, n: x**n, (0.0, 0.0), (0.0, 0.0)),
    "an overflow below a relu that is off": (lambda x: x.relu() * 1e308 * 1e308, (-1.0,), (0.0,)),
    "an overflow below the smaller of two": (lambda x, y: x.maximum(y) * 1e308 * 1e308, (-1.0, 0.0), (0.0, INF)),
    "a pole in the smaller of two": (lambda x: x.sqrt().maximum(1.0), (0.0,), (0.0,)),
    "a pole in the larger of two": (lambda x: x.sqrt().minimum(-1.0), (0.0,), (0.0,)),
    "a pole below a relu that is off": (lambda x: (x.sqrt() - 1).relu(), (0.0,), (0.0,)),
    "two poles below": (lambda x, y: ((x**0.5 + y).sqrt() - 1).relu() + y * 2, (0.0, 0.0), (0.0, 2.0)),
    "a pole beside what follows": (lambda x, y: (x.sqrt() * y).maximum(y * y), (0.0, 3.0), (0.0, 6.0)),
    "a pole below a power of 0": (lambda x: x.sqrt() ** 0, (0.0,), (0.0,)),
    "a pole below a power of a variable 0": (lambda x, n: x.sqrt() ** n, (0.0, 0.0), (0.0, 0.0)),
    "a slope by an exponent that is not defined": (lambda x, n: (x ** (n * 1)).minimum(1.0), (-2.0, 2.0), (0.0, 0.0)),
    "a slope by a leaf that is not defined": (lambda x, n: (x**n).minimum(1.0), (-2.0, 2.0), (0.0, 0.0)),
    "a power of a plain negative": (lambda n: ((-2.0) ** n - 100).relu(), (2.0,), (0.0,)),
    "sqrt of a relu that is off": (lambda x: x.relu().sqrt(), (-1.0,), (0.0,)),
    "x ** 0.5 of a relu at 0": (lambda x: x.relu() ** 0.5, (0.0,), (0.0,)),
    "sqrt of a sum of relus that are off": (lambda x, y: sum([x.relu(), y.relu()]) ** 0.5, (-1.0, -2.0), (0.0, 0.0)),
    "two poles above a relu that is off": (lambda x, y: (x.relu() * 3).sqrt().sqrt() + y, (-1.0, 2.0), (0.0, 1.0)),
    "sqrt of the larger of a number and x": (lambda x: x.maximum(0.0).sqrt(), (-1.0,), (0.0,)),
    "sqrt of the smaller of a number and x": (lambda x: (-x.minimum(0.0)).sqrt(), (1.0,), (0.0,)),
    "sqrt of a detached 0": (lambda x: x * 2 + x.detach().sqrt(), (0.0,), (2.0,)),
    "sqrt above a power of 0": (lambda x: (x**0 - 1).sqrt() + x, (2.0,), (1.0,)),
    "a power of a plain 0": (lambda n: 0.0**n, (0.5,), (0.0,)),
    "a base that is off": (lambda x, n: x.relu() ** n, (-1.0, 0.5), (0.0, 0.0)),
    "an exponent that is off": (lambda x, n: x ** n.relu(), (-2.0, -1.0), (0.0, 0.0)),
    "a pole above and one below": (lambda x: (x.sqrt() - 1).relu().sqrt() + x, (0.0,), (1.0,)),
}


def test_an_element_that_is_not_the_largest_has_no_pole():
    x, y = Value(0.0), Value(3.0)
    array([x.sqrt(), y, y.log(), x.sqrt() * 2, y * 0]).max().backward()
    assert (x.grad, y.grad) == (0, 1)


# By name: a function of an Array, whose elements are -1 and 4, and its gradient.
OF_ARRAYS = {
    "where": (lambda x: where([False, True], x, 0.0).sqrt().sum(), [0, 0.25]),
    "where, an array": (lambda x: where([False, True], x, [0.0, 0.0]).sqrt().sum(), [0, 0.25]),
    "plus an array": (lambda x: (x.relu() + np.zeros(2)).sqrt().sum(), [0, 0.25]),
    "times a list": (lambda x: (x.relu() * [2, 1]).sqrt().sum(), [0, 0.25]),
    "a sum of none": (lambda x: (x.relu()[:1].sum() ** 0.5) + x.sum(), [1, 1]),
    "matmul": (lambda x: (x.relu()[:1] @ np.ones((1, 1))).sqrt().sum() + x.sum(), [1, 1]),
    "concatenate": (lambda x: concatenate([x.relu(), [0.0]]).sqrt().sum(), [0, 0.25]),
    "max": (lambda x: x.relu()[:1].max().sqrt() + x.sum(), [1, 1]),
    "a power of an array": (lambda x: (np.zeros(2) ** (x + 1.5)).sum(), [0, 0]),
}


@pytest.mark.parametrize(("function", "expected"), OF_ARRAYS.values(), ids=OF_ARRAYS)
def test_numbers_beside_an_array_are_constants(function, expected):
    x = array([-1.0, 4.0])
    function(x).backward()
    assert x.grad.tolist() == expected
    assert compile(function, np.ones(2)).value_and_grad([-1.0, 4.0])[1][0].tolist() == expected


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_the_grad_of_what_is_not_taken_is_nan_at_a_pole_and_a_leaf_raises(V):
    x, zero = V(-1.0), V(0.0)
    off = x.relu()
    off.sqrt().backward()
    assert math.isnan(off.grad)
    for y in [(off + zero).sqrt(), zero.sqrt(), (zero * 0).sqrt(), V(0.0, (off,), "custom").sqrt()]:
        with pytest.raises(ZeroDivisionError):
            y.backward()
        with pytest.raises(ZeroDivisionError):
            y._backward()


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_an_exponent_that_a_path_leads_to_is_nan_where_its_slope_is_not_defined(V):
    for factor in (1.0, 0.0):
        n = V(2.0)
        ((-2.0) ** n * factor).backward()
        assert math.isnan(n.grad)


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_an_exponent_that_is_no_leaf_keeps_a_grad_of_0(V):
    detached = V(3.0).detach()
    (V(-2.0) ** detached * 0.0).backward()
    (plain,) = {child for child in (V(1.0) + 2.0)._prev if child.data == 2}
    (V(-2.0) ** plain * 0.0).backward()
    assert [detached.grad, plain.grad] == [0, 0]


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_a_base_gets_an_int_beside_an_exponent_that_is_not_needed(V):
    base, n = V(-2), V(2)
    (base ** (n + 1)).relu().backward()
    assert repr([base.grad, n.grad]) == "[0, 0.0]"


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_any_callable_is_a_step(V):
    x = V(2.0)
    y = x * 3.0
    y._backward = [].__len__  # it has no __module__
    (y + x).backward()
    assert (y.grad, x.grad) == (1, 1)


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_a_step_that_the_user_calls_takes_its_result_to_be_needed(V):
    n = V(2.0)
    power = (-2.0) ** n
    step = power._backward
    power._backward = lambda: step()
    power.minimum(1.0).backward()
    assert math.isnan(n.grad)

    other = V(2.0)
    power = (-2.0) ** other
    hook = V(1.0, (power,), "hook")
    hook._backward = lambda: power._backward()
    hook.minimum(1.0).backward()
    assert math.isnan(other.grad)


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_a_step_of_the_user_s_may_pass_on_what_an_op_would_not(V):
    x = V(-1.0)
    off = x.relu()

    def straight_through():
        x.grad += off.grad

    off._backward = straight_through
    with pytest.raises(ZeroDivisionError):
        off.sqrt().backward()


def test_a_pole_of_a_batch_ends_no_pass():
    x = array(np.arange(4000.0) % 2)
    x.sqrt().maximum(0.5).sum().backward()
    assert x.grad.tolist() == [0, 0.5] * 2000


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_a_pole_with_a_gradient_raises_whatever_a_pass_before_has_found(V):
    x = V(0.0)
    root = x.sqrt()
    off, on = root.maximum(1.0), root.maximum(0.0)
    off.backward()
    assert x.grad == 0
    with pytest.raises(ZeroDivisionError):
        on.backward()
    with pytest.raises(ZeroDivisionError):
        (x.sqrt() * 0.0).backward()  # a zero that was computed


@pytest.mark.parametrize("V", [Value, reference.Value])
def test_a_pass_within_a_pass_has_paths_of_its_own(V):
    x, seen = V(0.0), []
    other = x.sqrt()

    def within():
        other.maximum(1.0).backward()
        seen.append(x.grad)

    hook = V(2.0, (x,), "hook")
    hook._backward = within
    low, lower = x.sqrt(), (x + 0.0).sqrt()
    (lower.maximum(1.0) + hook + low.maximum(1.0)).backward()
    assert seen == [0]
    assert x.grad == 0


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
    with pytest.raises(ValueError, match=r"not defined|domain|positive"):
        y.backward()
    assert base.grad == -4


edges = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0])


def steps_of(names):
    return st.lists(st.tuples(st.sampled_from(sorted(names)), st.integers(0, 8), st.integers(0, 8), edges), max_size=8)


def gradients(f, xs):
    """The gradient of a program at a point, computed in each way."""
    n = len(xs)
    batch = [np.full(3, x) for x in xs]
    yield f.value_and_grad(*xs)[1]
    yield [slope[2] for slope in f.value_and_grad(*batch)[1]]
    yield f.jacobian(*xs)
    yield [f.jvp(xs, np.eye(n)[k].tolist())[1] for k in range(n)]


@examples(300)
@given(steps_of(RECORDED), st.lists(edges, min_size=1, max_size=3))
def test_at_edges_all_ways_to_differentiate_a_program_agree(steps, xs):
    fn = function(possible(steps, xs))
    f = compile(lambda *args: fn(Value, args), *xs)
    first, *others = (np.array(slopes, float) for slopes in gradients(f, xs))
    for other in others:
        finite = np.isfinite(first)
        assert (np.isfinite(other) == finite).all()
        np.testing.assert_allclose(other[finite], first[finite], rtol=1e-9, atol=1e-9)


EXACT = {"+", "-", "*", "neg", "relu", "+x", "x-", "*x", "**2", "sqrt", "maximum", "maximumx", "minimum", "minimumx"}


@examples(300)
@given(steps_of(EXACT & set(RECORDED)), st.lists(edges, min_size=1, max_size=3))
def test_at_edges_a_program_agrees_with_the_reference_and_values(steps, xs):
    fn = function(possible(steps, xs))
    found = []
    for V in (reference.Value, Value):
        leaves = [V(x) for x in xs]
        try:
            fn(V, leaves).backward()
            found.append([v.grad for v in leaves])
        except ERRORS as error:
            found.append(type(error))
    assert found[0] == found[1]
    slopes = np.array(compile(lambda *args: fn(Value, args), *xs).value_and_grad(*xs)[1], float)
    if isinstance(found[0], list):
        np.testing.assert_allclose(slopes, np.array(found[0], float), rtol=1e-9, atol=1e-9)
    else:
        assert not np.isfinite(slopes).all()
