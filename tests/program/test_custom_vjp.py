"""custom_vjp: functions with a backward of their own, in graphs and in Programs."""

import gc
import pickle
import subprocess
from collections import namedtuple
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import pygrad
from pygrad import Array, Value, array
from pygrad.program.structures import leaves_of, map_structure
from support import live_nodes, programs
from support.compiled import BACKENDS, BATCHES, check, numbers, seeds, tangent_of_gradient
from support.effort import examples
from support.programs import RECORDED, SMOOTH, function, possible

backends = pytest.mark.parametrize("backend", BACKENDS)


def custom(forward, backward):
    """A function that has no body of its own."""

    @pygrad.custom_vjp
    def f(*args):
        raise AssertionError("it was called on numbers")

    f.defvjp(forward, backward)
    return f


def clip(g):
    return g.maximum(-1.0).minimum(1.0)


def saved_exp(x):
    e = x.exp()
    return (e + 1).log(), e


log1pexp = custom(saved_exp, lambda e, g: (g * (1 - 1 / (1 + e)),))
clip_gradient = custom(lambda x: (x, None), lambda saved, g: (clip(g),))
sign = custom(lambda x: (x / abs(x), None), lambda saved, g: (g,))
twice_wrong = custom(lambda x, y: (x * y, (x, y)), lambda saved, g: (g * saved[1] * 2, g * saved[0] * 3))


# Against the reference ----------------------------------------------------------------------------------------------

# A function with a backward, of two Values and a number; and the gradients by the Values, in numbers.
RULES = {
    "linear": (
        custom(lambda a, b, x: (a * b + x, (a, b, x)), lambda s, g: (g * s[1] * 2, s[2] * g, None)),
        lambda a, b, x: a * b + x,
        lambda a, b, x, g: (g * b * 2, x * g),
    ),
    "clipped": (
        custom(lambda a, b, x: (a * x, None), lambda s, g: (clip(g), None, None)),
        lambda a, b, x: a * x,
        lambda a, b, x, g: (min(max(g, -1.0), 1.0), 0.0),
    ),
    "not linear": (
        custom(lambda a, b, x: (b + x, a), lambda a, g: (g * g * a, g.tanh(), None)),
        lambda a, b, x: b + x,
        lambda a, b, x, g: (g * g * a, np.tanh(g).item()),
    ),
    "nested": (
        custom(lambda a, b, x: (twice_wrong(a, b), b), lambda b, g: (twice_wrong(g, b), clip_gradient(g * 3), None)),
        lambda a, b, x: a * b,
        lambda a, b, x, g: (g * b, g * 3),
    ),
}


def step_of(name):
    ours, value, gradients = RULES[name]

    def step(V, a, b, x):
        if issubclass(V, Value):
            return ours(a, b, x)
        out = V(value(a.data, b.data, x), (a, b), name)

        def _backward():
            for operand, share in zip((a, b), gradients(a.data, b.data, x, out.grad)):
                operand.grad += share

        out._backward = _backward
        return out

    return step


CUSTOM = {name: step_of(name) for name in RULES}
SQUARES = [("*", 0, 0, 0.0)] * 9


@examples(60)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted([*CUSTOM, *RECORDED])), *[st.integers(0, 1 << 30)] * 2, st.floats(-2, 2))
    ),
    st.lists(st.sampled_from(sorted(CUSTOM)), min_size=1, max_size=4),
    numbers,
    seeds,
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([None, *BATCHES]),
    st.booleans(),
)
def test_programs_agree_with_closures_of_the_reference(steps, more, primals, seed, shared, batch, leaf):
    rng = np.random.default_rng(seed)
    for name in more:
        steps.insert(rng.integers(len(steps) + 1), (name, *map(int, rng.integers(1 << 30, size=2)), rng.uniform(-2, 2)))
    with mock.patch.dict(programs.RECORDED, CUSTOM):
        parameters = primals[1:] if leaf else []
        primals = primals[:1] if leaf else primals
        fn = function(possible(steps[:30], [*primals, *parameters]))
        check(fn, primals, parameters, shared, batch, rng)


@examples(60)
@given(st.sampled_from(sorted(RULES)), st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_graphs_agree_with_closures_of_the_reference(name, x, y, factor):
    def results(V):
        a, b = V(x), V(y)
        out = CUSTOM[name](V, a * b, b.tanh() + a, 0.75)
        (out * factor + out * out).backward()
        return np.array([out.data, a.grad, b.grad])

    np.testing.assert_allclose(results(Value), results(pygrad.reference.Value), rtol=1e-13, atol=1e-13)


@examples(60)
@given(
    st.lists(st.tuples(st.sampled_from(sorted([*CUSTOM, *SMOOTH])), *[st.integers(0, 1 << 30)] * 2, st.floats(-2, 2))),
    st.lists(st.floats(0.1, 2) | st.floats(-2, -0.1), min_size=1, max_size=3),
    seeds,
)
@example(  # terms of 1e246 cancel
    [
        *SQUARES[:1],
        ("-", 0, 0, 0.0),
        ("*", 1, 1, 0.0),
        *SQUARES[:4],
        ("/x", 17330, 0, 5.090380233605198e-247),
        *SQUARES,
    ],
    [1.0],
    0,
)
def test_hvp_is_the_difference_of_the_gradients_of_the_reference(steps, primals, seed):
    rng = np.random.default_rng(seed)
    steps = [*steps]
    for name in rng.choice(sorted(CUSTOM), 2):
        steps.insert(rng.integers(len(steps) + 1), (str(name), *map(int, rng.integers(1 << 30, size=2)), 0.75))
    x, direction = np.array(primals), rng.uniform(-1, 1, len(primals))
    with mock.patch.dict(programs.RECORDED, CUSTOM):
        fn = function(possible(steps[:12], primals))
        fine, size = tangent_of_gradient(fn, x, direction)
        assume(fine is not None)
        f = pygrad.compile(lambda *args: fn(Value, args), *primals)
    np.testing.assert_allclose(f.hvp(primals, direction.tolist()), fine, atol=1e-5 * size, rtol=1e-5)
    rows = np.array(f.hessian(*primals), dtype=float)
    np.testing.assert_allclose(rows @ direction, fine, atol=1e-5 * size, rtol=1e-5)


# Arrays and structures ----------------------------------------------------------------------------------------------

Pair = namedtuple("Pair", "left right")
normed = custom(lambda x: ((x * x).sum() ** 0.5, x), lambda x, g: (g * x / (x * x).sum() ** 0.5,))
matvec = custom(lambda w, x: (w @ x, (w, x)), lambda s, g: (g.reshape(-1, 1) * s[1], s[0].T @ g))
parts = custom(
    lambda d, n: ({"sum": d["x"].sum() * n, "pair": Pair(d["x"] * 2, [d["y"][0] * d["y"][1]])}, (d, n)),
    lambda s, g: (
        {
            "x": g["sum"] * s[1] + g["pair"].left * 2,
            "y": (g["pair"].right[0] * s[0]["y"][1], g["pair"].right[0] * s[0]["y"][0]),
        },
        g["sum"] * s[0]["x"].sum(),
    ),
)
permuted = custom(lambda i, x: (x * 1, i), lambda i, g: (None, g[i]))
X = np.array([0.3, -0.7, 1.1])

# A function, arguments, and what it is to be differentiated as.
FUNCTIONS = {
    "a number": (log1pexp, [0.5], None),
    "each element": (log1pexp, [X], None),
    "a norm": (normed, [X], None),
    "a matrix and a vector": (matvec, [np.arange(6.0).reshape(2, 3), X], None),
    "structures": (parts, [{"x": X, "y": (2.0, -3.0)}, 0.5], None),
    "calls of calls": (lambda x: log1pexp(normed(log1pexp(x)) * x), [X], None),
    "results of which one is used": (lambda d, n: parts(d, n)["pair"].right, [{"x": X, "y": (2.0, 3.0)}, 0.5], None),
    "an index": (lambda i, x: log1pexp(x)[i] * 2, [pygrad.index([2, 0, 2]), X], None),
    "the largest gradient": (
        custom(lambda x: (x * 1, None), lambda s, g: (g / g.max(),)),
        [X],
        lambda x: x.sum() / 3,
    ),
    "gradients at indices": (
        lambda i, x: permuted(i, x) * [1.0, 2.0, 4.0],
        [pygrad.index([2, 0, 1]), X],
        lambda i, x: x[[1, 2, 0]] * [1.0, 2.0, 4.0],
    ),
    "straight through": (sign, [X], lambda x: x * 1),
    "a constant": (custom(lambda x: (np.ones(3), None), lambda s, g: (g,)), [X], lambda x: x * 1),
    "no gradient": (custom(lambda x: (x * 2, None), lambda s, g: (None,)), [X], lambda x: x * 0),
    "nothing": (custom(lambda x: ([], None), lambda s, g: (None,)), [X], lambda x: x[:0].sum()),
}
EXACT = [name for name, (*_, as_if) in FUNCTIONS.items() if as_if is None]


def as_nodes(args):
    return map_structure(lambda x: x if isinstance(x, pygrad.Index) else array(x) if np.ndim(x) else Value(x), args)


def total(result):
    found = [x.sum() if isinstance(x, Array) else x for _, x in leaves_of(result)]
    return sum((x * (k + 1) for k, x in enumerate(found)), start=Value(0.0))


def gradients(fn, args):
    nodes = as_nodes(args)
    total(fn(*nodes)).backward()
    return [x.grad for _, x in leaves_of(nodes) if not isinstance(x, pygrad.Index)]


@pytest.mark.parametrize("name", EXACT)
def test_gradcheck_finds_the_derivatives_right(name):
    fn, args, _ = FUNCTIONS[name]
    assert pygrad.gradcheck(fn, *args)
    assert pygrad.gradcheck(pygrad.compile(fn, *args), *args)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in EXACT and name != "the largest gradient"])
def test_the_gradient_is_what_the_backward_says(name):
    fn, args, as_if = FUNCTIONS[name]
    np.testing.assert_array_equal(gradients(fn, args)[0], gradients(as_if, args)[0])


def test_gradcheck_finds_a_backward_that_is_wrong():
    assert not pygrad.gradcheck(twice_wrong, 2.0, 3.0, raise_exception=False)
    assert not pygrad.gradcheck(pygrad.compile(twice_wrong, 2.0, 3.0), 2.0, 3.0, raise_exception=False)


@backends
@pytest.mark.parametrize("name", FUNCTIONS)
def test_programs_compute_what_graphs_do(name, backend):
    fn, args, _ = FUNCTIONS[name]
    f = pygrad.compile(lambda *args: total(fn(*args)), *args, backend=backend)
    value, found = f.value_and_grad(*args)
    np.testing.assert_allclose(value, total(fn(*as_nodes(args))).data, rtol=1e-13)
    found = [x for _, x in leaves_of(found)]
    for ours, expected in zip(found, gradients(fn, args)):
        np.testing.assert_allclose(ours, expected, rtol=1e-13)


@backends
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradients_of_a_batch_are_those_of_its_samples(name, backend):
    fn, args, _ = FUNCTIONS[name]
    f = pygrad.compile(lambda w, *args: total(fn(*args)) ** 2 * w, 1.0, *args, backend=backend)
    weights = [1.0, -2.0, 0.5]
    _, found = f.value_and_grad(weights, *args)
    alone = [f.value_and_grad(w, *args)[1] for w in weights]
    for ours, *expected in zip(*[[x for _, x in leaves_of(tree[1:])] for tree in (found, *alone)]):
        if ours is not None:
            np.testing.assert_allclose(ours, sum(expected), rtol=1e-12)


def test_a_backward_that_is_not_linear_sees_the_gradient_of_each_sample():
    f = pygrad.compile(lambda w, x: (clip_gradient(w) * x).sum(), np.zeros(3), np.zeros(3))
    batch = np.array([[-2.0, 0.5, 3.0], [4.0, 4.0, 0.25]])
    assert f.value_and_grad(np.ones(3), batch)[1][0].tolist() == [0.0, 1.5, 1.25]
    g = pygrad.compile(lambda w, x: custom(lambda w: (w, None), lambda s, g: (5.0,))(w * 1) * x, 1.0, 1.0)
    assert g.value_and_grad(1.0, [1.0, 2.0, 3.0])[1][0] == 15


square_gradient = custom(lambda x: (x, None), lambda s, g: (g * g,))
constants = custom(lambda x, y: (x, None), lambda s, g: (2.0, 3.0))
steps = custom(lambda x: (x, None), lambda s, g: (np.array([1.0, 2.0]),))
no_gradient = custom(lambda x, w: (w, None), lambda s, g: (0.0, g))
at_least = custom(lambda x: (x, None), lambda s, g: (g.maximum(0.5),))
one = custom(lambda w: (Value(1.0), None), lambda s, g: (g * 2,))


@pytest.mark.parametrize("unused", [1.0, pygrad.index(3)], ids=["a number", "an index"])
@pytest.mark.parametrize(
    "fn",
    [
        lambda w: square_gradient(w) * 3,
        lambda w: constants(w, w * 2) * 5,
        lambda w: steps(array([w, w])).max() * 3,
        lambda w: one(no_gradient(w * 2, w) * w),
        lambda w: at_least(array([w, w, w]))[1] * 2,
    ],
)
def test_a_batch_that_nothing_uses_has_a_gradient_for_each_sample(fn, unused):
    f = pygrad.compile(lambda x, w: fn(w), unused, 1.0)
    assert f.value_and_grad(np.array([0, 2, 1]), 1.5)[1][1] == 3 * gradients(fn, [1.5])[0]


def test_gradients_that_do_not_depend_on_that_of_the_result_are_added_for_each_sample():
    f = pygrad.compile(lambda x, w: constants(w, w * 2) * x, 1.0, 1.0)
    assert f.value_and_grad([5.0, 0.5, 4.0], 1.0)[1][1] == 3 * (2.0 + 3.0 * 2)
    g = pygrad.compile(lambda x, w: one(no_gradient(x, w) * w), 1.0, 1.0)
    assert g.value_and_grad([5.0, 0.5, 4.0], 1.5)[1][1] == 3 * 2 * (1.5 + 1.5)


def test_weights_that_a_linear_backward_passes_on_stay_shared():
    f = pygrad.compile(lambda w, x: (sign(w) @ x).sum(), np.ones((8, 8)), np.ones(8))
    f.value_and_grad(np.ones((8, 8)), np.ones((50, 8)))
    code = str(f).split("for each tile")[1]
    assert "detach" not in code
    assert "/" not in code


@backends
def test_equal_calls_have_gradients_of_their_own(backend):
    f = pygrad.compile(lambda x: clip_gradient(x) * 3 + clip_gradient(x), 1.0, backend=backend)
    assert f.value_and_grad(2.0) == (8.0, (2.0,))
    h = pygrad.compile(lambda x: twice_wrong(x, x), 2.0, backend=backend)
    assert h.value_and_grad(2.0) == (4.0, (2 * 2.0 + 3 * 2.0,))


def test_the_numbers_are_the_same_bits_as_those_of_the_forward():
    x = array([-0.0, 0.0, np.inf, -np.inf, 5e-324, 1.5])
    assert clip_gradient(x).data.tobytes() == x.data.tobytes()
    f = pygrad.compile(clip_gradient, x.data)
    assert f(x.data).tobytes() == x.data.tobytes()


@pytest.mark.parametrize("zeroed", [False, True])
def test_a_second_pass_adds_what_it_adds_in_micrograd(zeroed):
    def grad_after_two_passes(V):
        a, b = V(2.0), V(-0.25)
        middle = CUSTOM["clipped"](V, a * 3, b, 0.75)
        y = middle * 0.25
        y.backward()
        if zeroed:
            a.grad = middle.grad = y.grad = 0
        y.backward()
        return a.grad

    assert grad_after_two_passes(Value) == grad_after_two_passes(pygrad.reference.Value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_leaks_nothing(name, no_leak):
    fn, args, _ = FUNCTIONS[name]
    gradients(fn, args)
    gc.collect()
    before = live_nodes()
    for _ in range(3):
        gradients(fn, args)
        pygrad.compile(fn, *args)
    gc.collect()
    assert live_nodes() == before


# What else Programs do ----------------------------------------------------------------------------------------------


def loss(d, n):
    return total(parts({"x": log1pexp(d["x"]), "y": d["y"]}, clip_gradient(n)))


ARGS = [{"x": X, "y": (2.0, -3.0)}, 0.5]


def test_saved_and_pickled_programs_have_it(tmp_path):
    f = pygrad.compile(loss, *ARGS)
    f.save(tmp_path / "f.npz")
    for copy in (pygrad.Program.load(tmp_path / "f.npz"), pickle.loads(pickle.dumps(f))):
        assert str(copy.value_and_grad(*ARGS)) == str(f.value_and_grad(*ARGS))


def test_it_is_part_of_written_c(tmp_path):
    f = pygrad.compile(lambda x, n: clip_gradient(log1pexp(x) * n).sum() * 2, X, 0.5)
    f.to_c(tmp_path / "f.c", "f")
    (tmp_path / "main.c").write_text(
        """
#include <stdio.h>
#include "f.c"
int main(void) {
  double x[f_INPUTS] = {0.3, -0.7, 1.1, 0.5}, y, by[f_INPUTS], work[f_WORK];
  f_gradient(x, NULL, 1.0, &y, by, NULL, work);
  printf("%.17g %.17g %.17g %.17g %.17g\\n", y, by[0], by[1], by[2], by[3]);
  return 0;
}
"""
    )
    subprocess.run(["cc", "-std=c99", "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    printed = subprocess.run(["./main"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    printed = [float(x) for x in printed.split()]
    value, (by_x, by_n) = f.value_and_grad(X, 0.5)
    np.testing.assert_allclose(printed, [value, *by_x, by_n], rtol=1e-13)


def test_a_program_with_it_is_called_on_values_and_in_other_functions():
    f = pygrad.compile(loss, *ARGS)
    expected = gradients(loss, ARGS)
    outer = pygrad.compile(lambda d, n: f(d, n) * 1.0, *ARGS)
    for found in (gradients(f, ARGS), [x for _, x in leaves_of(outer.value_and_grad(*ARGS)[1])]):
        for ours, theirs in zip(found, expected):
            np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_a_program_with_it_and_parameters_gives_them_their_gradient():
    w = array([1.0, -2.0, 0.5])
    f = pygrad.compile(lambda x: clip_gradient(w * x).sum() * 0.5, X)
    f(array(X)).backward()
    np.testing.assert_allclose(w.grad, 0.5 * X)
    batch = array(np.stack([X, X]))
    w.grad = 0
    f(batch).sum().backward()
    np.testing.assert_allclose(w.grad, X)
    np.testing.assert_allclose(f.pure().jacobian(w.data, X)[0], 0.5 * X)


def test_the_jacobian_is_found_by_gradients():
    f = pygrad.compile(lambda x, n: {"a": log1pexp(x) * n, "b": clip_gradient(n) * 0.5}, X, 2.0)
    by_x, by_n = f.jacobian(X, 2.0)["a"]
    np.testing.assert_allclose(by_x, np.diag(2 / (1 + np.exp(-X))), rtol=1e-13)
    np.testing.assert_allclose(by_n, np.log1p(np.exp(X)), rtol=1e-13)
    batch = f.jacobian(np.stack([X, X + 1]), 2.0)
    assert [np.shape(x) for x in (*batch["a"], *batch["b"])] == [(2, 3, 3), (2, 3), (2, 3), (2,)]
    np.testing.assert_array_equal(batch["a"][0][0], by_x)
    f.check_finite = True
    with pytest.raises(FloatingPointError, match=r"a derivative of <lambda> is nan, at \['a'\]\[0\]\[1, 1\]: "):
        f.jacobian([0.0, np.nan, 0.0], 2.0)


@backends
@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_are_those_of_the_gradient(name, backend):
    fn, args, _ = FUNCTIONS[name]
    f = pygrad.compile(lambda *args: total(fn(*args)) ** 2, *args, backend=backend)
    rng = np.random.default_rng(0)
    tangents = map_structure(lambda x: None if isinstance(x, pygrad.Index) else rng.normal(size=np.shape(x)), args)

    def gradient(h):
        steps = iter([d for _, d in leaves_of(tangents)])
        moved = map_structure(lambda x: x if isinstance(x, pygrad.Index) else x + h * next(steps), args)
        return [x for _, x in leaves_of(f.value_and_grad(*moved)[1])]

    h = 1e-6
    products = [x for _, x in leaves_of(f.hvp(args, tangents))]
    for product, ahead, behind in zip(products, gradient(h), gradient(-h)):
        np.testing.assert_allclose(product, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-6)


W = array([0.5, -1.5, 2.0])
SECOND = {
    **{name: fn for name, (fn, args, _) in FUNCTIONS.items() if len(args) == 1 and not isinstance(args[0], dict)},
    "a backward that is not linear": lambda x: square_gradient(x * x).sum(),
    "weights in a backward that is not linear": lambda x: (square_gradient(W * 2) * x).sum() ** 2,
    "weights and the sample": lambda x: (matvec(W[:, None] * W, x) * x.tanh()).sum(),
    "weights in a backward of the sample": lambda x: (
        custom(lambda w, x: (w, x), lambda x, g: (g, g * x))(W * W, x) * x**3
    ).sum(),
}


@backends
@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives_of_a_batch_are_those_of_its_samples(name, backend):
    f = pygrad.compile(lambda x: total(SECOND[name](x)) ** 2, X, backend=backend)
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=(2, 5, 3))
    (products,), ((hessians,),) = f.hvp((x,), (v,)), f.hessian(x)
    for product, hessian, xk, vk in zip(products, hessians, x, v):
        np.testing.assert_allclose(product, f.hvp((xk,), (vk,))[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(hessian @ vk, product, rtol=1e-10, atol=1e-10)
    (of_one,) = f.hvp((x[0],), (v,))
    np.testing.assert_allclose(of_one, v @ f.hessian(x[0])[0][0].T, rtol=1e-10, atol=1e-10)


def test_jvp_says_that_it_does_not_go_through():
    f = pygrad.compile(log1pexp, 1.0)
    with pytest.raises(TypeError, match=r"jvp\(\) differentiates in forward mode, .* use value_and_grad, vjp or"):
        f.jvp((1.0,), (1.0,))


def test_a_search_for_infinities_names_the_op_of_the_backward():
    f = pygrad.compile(custom(lambda x: (x * 2, x), lambda x, g: (g * x.log(),)), 1.0, check_finite=True)
    with pytest.raises(FloatingPointError, match=r"the gradient by argument 0 of .* is -inf: log\(0.0\) is -inf"):
        f.value_and_grad(0.0)


@backends
def test_no_path_leads_through_what_is_not_taken(backend):
    f = pygrad.compile(lambda x: log1pexp(x.sqrt()).maximum(1.5), 0.5, backend=backend)
    assert f.value_and_grad(0.0) == (1.5, (0.0,))
    g = pygrad.compile(lambda x: log1pexp(x.sqrt()).maximum(1.5).sum(), np.ones(3), backend=backend)
    by_x = g.value_and_grad([[0.0, 4.0, 0.0], [9.0, 0.0, 9.0]])[1][0]
    assert ((by_x == 0) == [[True, False, True], [False, True, False]]).all()
    matrix = pygrad.compile(lambda x: clip_gradient(x.sqrt()), np.ones(3), backend=backend).jacobian([4.0, 0.0, 1.0])[0]
    assert matrix.tolist() == [[0.25, 0, 0], [0, np.inf, 0], [0, 0, 0.5]]
    at = pygrad.index([2, 0, 1])
    h = pygrad.compile(lambda i, x: permuted(i, x.sqrt()), at, np.ones(3), backend=backend)
    assert h.vjp([at, [0.0, 1.0, 4.0]], [1.0, 2.0, 0.0])[1][1].tolist() == [0.0, 0.5, 0.5]
    with_three = custom(lambda i, x: (x * 1, i), lambda i, g: (None, array([g[0], Value(3.0), g[2]])[i]))
    k = pygrad.compile(
        lambda i, x: with_three(i, x * 2).sum() + x[1].sqrt().maximum(1.0), at, np.ones(3), backend=backend
    )
    assert k.value_and_grad(at, [1.0, 0.0, 9.0])[1][1].tolist() == [2.0, 2.0, 6.0]


# Refusals -----------------------------------------------------------------------------------------------------------

REFUSED = {
    "no backward": (pygrad.custom_vjp(lambda x: x), r"<lambda> has no backward yet: call <lambda>.defvjp"),
    "one result": (
        custom(lambda x: x, lambda s, g: g),
        r"the forward of f must return a tuple of two, .*'Value'",
    ),
    "text": (custom(lambda x: ("x", None), lambda s, g: (g,)), r"the forward of f must return Values, .* got 'str'"),
    "not a tuple": (custom(lambda x: (x, None), lambda s, g: g), r"for each of the 1 arguments .* got 'Value'"),
    "too many": (custom(lambda x: (x, None), lambda s, g: (g, g)), r"for each of the 1 arguments .* got 2"),
}
SHAPES = {
    "a shape": ((X,), lambda s, g: (g.sum(),), r"by argument 0 of f must have its shape \(3,\), got \(\)"),
    "a list": (([X],), lambda s, g: (g,), r"by argument 0 of f must have the structure of the argument, got 'Array'"),
    "a part": (({"w": 1.0},), lambda s, g: ({"w": [g]},), r"by argument 0 of f\['w'\] must have its shape \(\), got"),
}


def check_refused(f, args, words):
    with pytest.raises((TypeError, ValueError), match=words):
        total(f(*as_nodes(args))).backward()
    with pytest.raises((TypeError, ValueError), match=words):
        pygrad.compile(f, *args)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_in_words(name):
    f, words = REFUSED[name]
    check_refused(f, [1.0], words)


@pytest.mark.parametrize("name", SHAPES)
def test_gradients_of_other_shapes_are_refused_in_words(name):
    args, backward, words = SHAPES[name]
    check_refused(custom(lambda x: (array([1.0, 2.0]), None), backward), args, words)


def test_a_backward_pass_in_a_trace_is_refused_in_words():
    def slope(x):
        y = double(x) * 3
        y.backward()
        return x.grad

    double = custom(lambda x: (x * 2, None), lambda saved, g: (g * 2,))
    with pytest.raises(NotImplementedError, match="call the Program's value_and_grad"):
        pygrad.compile(slope, 1.0)


def test_numbers_alone_are_for_the_function_itself():
    @pygrad.custom_vjp
    def half(x, by=2.0):
        """Halve."""
        return x / by

    half.defvjp(lambda x, by: (x / by, by), lambda by, g: (g / by, None))
    assert half(3.0) == 1.5
    assert half(x=Value(3.0), by=4.0).data == 0.75
    assert (half.__name__, half.__doc__) == ("half", "Halve.")
    values = np.array([Value(1.0), Value(2.0)])
    half(values).sum().backward()
    assert [v.grad for v in values] == [0.5, 0.5]
