"""Programs called on Values and Arrays, and by functions that are being compiled."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Array, Value
from pygrad import functional as F
from pygrad.program.structures import leaves_of, map_structure
from support.compiled import bits
from support.effort import examples

W = pygrad.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
B = Value(0.125)
MODEL = pygrad.MLP(3, [4, 2])
X = np.array([0.3, -0.7, 1.1])

# A function, and arguments for it.
FUNCTIONS = {
    "operators": (lambda x, y: x * y + x / y - 3 * x**2 + x**y + y**-0.5, [1.5, 2.0]),
    "functions": (lambda x: [x.exp(), x.log(), x.tanh(), x.sigmoid(), x.softplus(), x.sqrt(), x.sin(), x.cos()], [0.7]),
    "choices": (lambda x, y: x.relu() + abs(y) + x.maximum(y) * x.minimum(y) + x.detach() * y, [0.5, -0.5]),
    "parameters": (lambda x: (W @ x).tanh().sum() * B + x[0], [X]),
    "a model": (lambda x: F.log_softmax(MODEL(x)), [X]),
    "rows": (lambda x: x.max() * x.min() + x.max(), [np.array([2.0, 5.0, 5.0, -1.0])]),
    "a structure": (lambda d: {"a": d["x"] * d["n"], "b": [None, d["x"][0], 7.0]}, [{"x": X, "n": 2.0}]),
    "a number": (lambda x: 3.0, [1.0]),
    "itself": (lambda x: [x, B], [1.0]),
    "nothing": (lambda x: [np.zeros((0, 2)), []], [1.0]),
    "an index": (lambda i, x: (W[i] * x).sum() + W[0][i[0]], [pygrad.index([1, 0]), 2.0]),
}
cases = pytest.mark.parametrize(("fn", "args"), FUNCTIONS.values(), ids=FUNCTIONS)


def as_nodes(x):
    if isinstance(x, pygrad.Index):
        return x
    return pygrad.array(x) if isinstance(x, np.ndarray) else Value(x)


def as_numbers(tree):
    return map_structure(lambda x: x.data if isinstance(x, (Value, Array)) else x, tree)


def numbers_and_grads(fn, args):
    """The numbers that a function returns, and the grads that it gives its arguments and the parameters."""
    args = map_structure(as_nodes, args)
    leaves = [x for _, x in leaves_of(args) if not isinstance(x, pygrad.Index)]
    for parameter in (W, B, *MODEL.parameters()):
        parameter.grad = 0
    result = fn(*args)
    found = [x for _, x in leaves_of(result)]
    total = sum([(x.sum() if isinstance(x, Array) else x) * (k + 1) for k, x in enumerate(found)], start=Value(0.0))
    total.backward()
    grads = [x.grad for x in (*leaves, W, B, *MODEL.parameters())]
    numbers = [bits(np.asarray(x, dtype=float)) for x in [*(x.data for x in found), *grads]]
    return numbers, [getattr(x, "shape", ()) for x in found]


@cases
def test_a_program_of_values_makes_the_function_s_nodes(fn, args, no_leak):
    f = pygrad.compile(fn, *args)
    expected = numbers_and_grads(
        lambda *xs: map_structure(lambda x: x if isinstance(x, (Value, Array)) else as_nodes(x), fn(*xs)), args
    )
    assert numbers_and_grads(f, args) == expected
    if not f.parameters.size:
        assert numbers_and_grads(pickle.loads(pickle.dumps(f)), args) == expected


@cases
def test_a_function_that_calls_a_program_is_compiled_to_the_same_graph(fn, args):
    f = pygrad.compile(fn, *args)
    assert str(pygrad.compile(lambda *xs: f(*xs), *args)) == str(pygrad.compile(fn, *args))
    assert str(pygrad.compile(f, *args)) == str(pygrad.compile(fn, *args))


@pytest.mark.parametrize("backend", ["kernels", "native"])
def test_derivatives_go_through_composed_programs(backend):
    inner = pygrad.compile(lambda x, y: (x * y).tanh() * B, 1.0, 1.0)
    outer = pygrad.compile(lambda x: inner(x, inner(x, y=2.0)) ** 2, 1.0, backend=backend)
    plain = pygrad.compile(lambda x: ((x * ((x * 2.0).tanh() * B)).tanh() * B) ** 2, 1.0, backend=backend)
    xs = np.linspace(-1, 1, 70)
    for method in ("__call__", "value_and_grad", "jacobian", "hessian"):
        B.grad = 0.0
        ours, ours_by_b = getattr(outer, method)(xs), B.grad
        B.grad = 0.0
        theirs, theirs_by_b = getattr(plain, method)(xs), B.grad
        assert [x.tolist() for x in arrays(ours)] == [x.tolist() for x in arrays(theirs)]
        assert ours_by_b == theirs_by_b
    assert pygrad.gradcheck(outer, 0.5)
    assert pygrad.gradcheck(lambda x: inner(x, x) * x, 0.5)


def arrays(tree):
    return [np.asarray(x) for _, x in leaves_of(tree)]


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_batches_have_nodes_for_each_sample(batch, no_leak):
    f = pygrad.compile(lambda x, i, s: {"y": (W[i] * x).sum() * s, "z": W @ x}, X, pygrad.index(0), 2.0)
    x = np.arange(3.0 * batch).reshape(batch, 3)
    i = np.arange(batch) % 2
    nodes, scale = pygrad.array(x), Value(2.0)
    found, numbers = f(nodes, i, scale), f(x, i, 2.0)
    assert found["y"].shape == (batch,)
    assert found["z"].shape == (batch, 2)
    np.testing.assert_allclose(found["y"].data, numbers["y"], atol=1e-12)
    np.testing.assert_allclose(found["z"].data, numbers["z"], atol=1e-12)
    if batch:
        found["y"].sum().backward()
        g = pygrad.compile(lambda x, i, s: (W[i] * x).sum() * s, X, pygrad.index(0), 2.0)
        _, (by_x, _, by_scale) = g.value_and_grad(x, i, 2.0)
        np.testing.assert_allclose(nodes.grad, by_x)
        assert scale.grad == pytest.approx(by_scale)


def test_parameters_stay_parameters_in_another_function():
    inner = pygrad.compile(lambda x: x * B, 1.0)
    outer = pygrad.compile(lambda x: inner(3.0) * x, 1.0)
    assert outer.parameters.tolist() == [B]
    B.data, before = 10.0, B.data
    assert outer(2.0) == 60
    B.data = before
    free = pygrad.compile(lambda x: x * 2, 1.0)
    kept = []
    pygrad.compile(lambda x: kept.append(free(3.0)) or x, 1.0)
    assert kept == [6.0]
    assert type(kept[0]) is float


REFUSED = [
    (lambda f: f(pygrad.array([1.0, 2.0])), ValueError, r"argument 0 must have shape \(3,\), or for a batch \(B, 3\)"),
    (lambda f: f(Value(1.0)), ValueError, r"argument 0 must have shape \(3,\), .* got shape \(\)"),
    (lambda f: f([Value(1.0), "2", 3.0]), TypeError, "str"),
    (lambda f: f(pygrad.array(X), 2.0), TypeError, "takes 1 argument"),
    (
        lambda f: f.value_and_grad(pygrad.array(X)),
        TypeError,
        "of a Value, its data; only calls of f itself take Values",
    ),
    (lambda f: f.jacobian([Value(1.0)] * 3), TypeError, "must consist of real numbers"),
    (lambda f: pygrad.compile(lambda x: f.value_and_grad(x)[0], X), TypeError, "only calls of f itself take Values"),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED)
def test_what_is_no_argument_is_refused(call, error, text, no_leak):
    f = pygrad.compile(lambda x: x.sum() * 2, X)
    with pytest.raises(error, match=text):
        call(f)


def test_graphs_of_values_raise_what_python_s_numbers_do(no_leak):
    f = pygrad.compile(lambda x: [x.log(), 1 / x], 1.0)
    assert f(0.0) == [-np.inf, np.inf]
    with pytest.raises(ValueError, match="log"):
        f(Value(0.0))


STEPS = {
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y * 0.5,
    "tanh": lambda x, y: x.tanh(),
    "square": lambda x, y: x**2 * 0.25,
    "maximum": lambda x, y: x.maximum(y),
    "parameter": lambda x, y: x * B - y,
}


@examples(40)
@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9)), min_size=1), st.data())
def test_composed_programs_equal_the_plain_function(steps, data):
    """Cut a random function in two at a random place, and compile the halves."""
    at = data.draw(st.integers(0, len(steps)))

    def run(part, values):
        values = list(values)
        for step, i, j in part:
            values.append(STEPS[step](values[i % len(values)], values[j % len(values)]))
        return values

    def plain(x, y):
        return run(steps, [x, y])

    first = pygrad.compile(lambda x, y: run(steps[:at], [x, y]), 0.5, -0.25)
    rest = pygrad.compile(lambda values: run(steps[at:], values), first(0.5, -0.25))
    args = data.draw(st.tuples(st.floats(-2, 2), st.floats(-2, 2)))
    assert numbers_and_grads(lambda x, y: rest(first(x, y)), args) == numbers_and_grads(plain, args)
    composed = pygrad.compile(lambda x, y: rest(first(x, y)), 0.5, -0.25)
    assert str(composed) == str(pygrad.compile(plain, 0.5, -0.25))
