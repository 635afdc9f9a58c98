"""NumPy's functions on Arrays: those that docs/numpy.md lists do what it says, and all others say what to use."""

import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import pygrad
from pygrad import Array, Value, array
from pygrad.array import moves, protocol
from support.arrays import check, check_compiled

PAGE = (Path(__file__).parent.parent.parent / "docs" / "numpy.md").read_text(encoding="utf-8")
ROWS = [
    (expression, re.findall(r"`(.*?)`", ours), how)
    for numpy, ours, how in re.findall(r"^\| (`.*`) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    for expression in re.findall(r"`(.*?)`", numpy)
]
X = np.array([[0.5, 1.5, 2.0], [1.25, 0.75, 3.0], [2.5, 0.25, 1.125]])
NUMBERS = {"x": X, "y": X[::-1].T + 0.125, "v": np.array([0.5, 1.75, 1.25])}


def value(expression, arrays, path=None):
    """The value of an expression of the page, with the names that it uses."""
    return eval(expression, {"np": np, "pygrad": pygrad, "path": path, **arrays})


def arrays():
    return {name: array(x) for name, x in NUMBERS.items()}


def numbers(x):
    """The numbers of a result, in nested tuples for several."""
    if isinstance(x, (list, tuple)):
        return [numbers(item) for item in x]
    return np.asarray(x.data if isinstance(x, (Array, Value)) else x)


def types(x):
    return {kind for item in x for kind in types(item)} if isinstance(x, (list, tuple)) else {type(x)}


def assert_same(found, expected):
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected):
            assert_same(one, other)
        return
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    if expected.dtype.kind in "fc":
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    else:
        np.testing.assert_array_equal(found, expected)


def named(how):
    return [(expression, ours, text) for expression, ours, text in ROWS if text.startswith(how)]


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("expression", "ours", "how"), named("same"), ids=lambda x: str(x))
def test_a_row_that_says_same_gives_the_numbers_of_numpy(expression, ours, how, tmp_path):
    path = str(tmp_path / "numbers.npz")
    found, expected = value(expression, arrays(), path), value(expression, NUMBERS, path)
    assert_same(numbers(found), numbers(expected))
    if how == "same":
        assert types(found) == {Array}
    else:
        assert not types(found) & {Array, Value}
    for other in ours:
        result = value(other, arrays())
        assert type(result) is Array
        np.testing.assert_allclose(result.data, numbers(expected), rtol=1e-12)


def slope_of(expression, name, at, weights):
    h = 1e-6
    results = []
    for step in (h, -h):
        shifted = {**NUMBERS, name: NUMBERS[name].copy()}
        shifted[name][at] += step
        results.append(np.sum(flat(value(expression, shifted)) * weights))
    return (results[0] - results[1]) / (2 * h)


def flat(x):
    """All elements of a result, or of several, on one axis."""
    if isinstance(x, (list, tuple)):
        return (pygrad.concatenate if Array in types(x) else np.concatenate)([flat(item) for item in x])
    return x.ravel() if isinstance(x, Array) else np.ravel(x)


SAME = [(expression, ours) for expression, ours, how in ROWS if how == "same" and "like=" not in expression]


@pytest.mark.parametrize(("expression", "ours"), SAME, ids=lambda x: str(x))
def test_gradients_flow_through_a_function_of_numpy_eager_and_compiled(expression, ours):
    inputs = arrays()
    result = flat(value(expression, inputs))
    weights = np.random.default_rng(0).uniform(-2, 2, result.size)
    (result * weights).sum().backward()
    used = [name for name in NUMBERS if re.search(rf"\b{name}\b", expression)]
    for name in used:
        for at in [(0,) * NUMBERS[name].ndim, (2,) * NUMBERS[name].ndim]:
            expected = slope_of(expression, name, at, weights)
            np.testing.assert_allclose(inputs[name].grad[at], expected, rtol=1e-6, atol=1e-7)
    given = [NUMBERS[name] for name in used]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pygrad.TraceWarning)  # a comparison, a sort: a constant of the example
        program = pygrad.compile(lambda *x: (flat(value(expression, dict(zip(used, x)))) * weights).sum(), *given)
    total, gradients = program.value_and_grad(*given)
    np.testing.assert_allclose(total, np.sum(result.data * weights), rtol=1e-12)
    for name, gradient in zip(used, gradients):
        np.testing.assert_allclose(gradient, inputs[name].grad, rtol=1e-11, atol=1e-12)


def outcome(expression, given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return [np.array(x).tolist() for x in np.atleast_1d(numbers(value(expression, given)))]
        except RecursionError:
            raise
        except Exception as e:
            return type(e)


@pytest.mark.parametrize(("expression", "ours", "how"), named("differs"), ids=lambda x: str(x))
def test_a_row_that_says_differs_differs(expression, ours, how):
    given = {name: x.copy() for name, x in NUMBERS.items()}
    found = outcome(expression, arrays())
    assert found != outcome(expression, given)
    if error := re.search(r"\w+Error", how):
        assert found.__name__ == error[0]


@pytest.mark.parametrize(("expression", "ours", "how"), named("not there"), ids=lambda x: str(x))
def test_a_row_that_says_not_there_is_refused_in_words_and_names_what_to_use(expression, ours, how):
    with pytest.raises(TypeError, match=r"is not there for Arrays: "):
        value(expression, arrays())
    copies = {name: x.copy() for name, x in NUMBERS.items()}
    expected = value(expression, copies)
    if expected is None:  # it changes its first argument
        expected = copies[re.search(r"\((\w)", expression)[1]]
    (use,) = re.findall(r"use `(.*)`", how)
    np.testing.assert_allclose(numbers(value(use, arrays())), numbers(expected), rtol=1e-12)


def names_of(page_names):
    return {match for expression in page_names for match in re.findall(r"np\.((?:linalg\.|fft\.)?\w+)", expression)}


def test_the_page_lists_all_that_the_tables_have():
    listed = names_of(expression for expression, _, how in ROWS if how.startswith("same"))
    tables = {*protocol.FUNCTIONS, *protocol.UFUNCS, *protocol.BY_NUMBER}
    tables |= {name for names in protocol.MOVES.values() for name in names.split()}
    there = {name for name in tables if protocol.find(name)}
    assert listed - {"pi"} == there
    refused = names_of(expression for expression, _, how in ROWS if how.startswith("not there"))
    assert refused >= {name for name in protocol.HINTS if protocol.find(name)} - OF_INTEGERS


OF_INTEGERS = {"bitwise_and", "bitwise_or", "bitwise_xor", "invert"}  # NumPy has them of no floats either


def all_functions():
    """Every function of NumPy that asks its arguments what to do: by its name, with a call of it on Arrays."""
    for prefix in ("", "linalg.", "fft."):
        owner = protocol.find(prefix.rstrip(".")) if prefix else np
        for name in dir(owner):
            function = getattr(owner, name, None)
            if hasattr(function, "_implementation") or isinstance(function, np.ufunc):
                yield prefix + name


def result_of(function, args):
    """What a call returns, or the exception that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args)
        except RecursionError:
            raise
        except Exception as e:
            return e


@pytest.mark.parametrize("name", list(all_functions()))
def test_every_function_of_numpy_takes_arrays_or_says_what_to_use(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # np.save("ij->ji", x)
    x, v, order = array(X), array(X[0]), np.argsort(X)
    calls = [
        *[(x,), (v,), (x, x), (v, v), (x, 1), (v, 1), (1, x), (x, (3, 3)), (x, "f8"), (x[None], 1)],
        *[(x, x, x), (v, v, 2), (x, 0, 1), (x, order, 1), (x, order, 0.0, 1), ([1, 0, 1], x), ("ij->ji", x)],
    ]
    if name in protocol.MOVES[moves.of_list].split() or name in ("linalg.multi_dot", "lexsort"):
        calls = [([x, x],)]
    results = [result_of(protocol.find(name), args) for args in calls]
    refusals = [str(e) for e in results if isinstance(e, TypeError) and "is not there for Arrays: " in str(e)]
    if refusals:
        assert name not in protocol.FUNCTIONS
        assert all(re.search("use |derivative", refusal) for refusal in refusals)
        return
    taken = [y for result in results if not isinstance(result, Exception) for y in parts(result)]
    assert taken, results
    assert not [y for y in taken if isinstance(y, Value) or (isinstance(y, np.ndarray) and y.dtype.kind == "O")]


def parts(x):
    return [y for item in x for y in parts(item)] if isinstance(x, (list, tuple)) else [x]


# Operands and parameters -----------------------------------------------------------------------------------------


V = Value(2.0)
MIXED = {
    "an array of NumPy and an Array": lambda a: np.multiply(X, a),
    "a scalar of NumPy and an Array": lambda a: np.subtract(np.float64(2), a),
    "an Array and a list of Values": lambda a: np.add(a, [V, V, 1.0]),
    "a Value and an Array": lambda a: np.divide(V, a),
    "an array of Values and an Array": lambda a: np.power(np.array([V, V, V]), a),
    "a list of both, joined": lambda a: np.concatenate([X, a, [[V, 1.0, 2.0]]]),
    "a list of both, stacked": lambda a: np.stack([a, X]),
    "a choice": lambda a: np.where(X > 1, a, V),
    "a matrix and an Array": lambda a: np.matmul(X, a),
    "limits that are Arrays": lambda a: np.clip(X, a, 2.0),
    "limits of an Array": lambda a: np.clip(a, a_min=V, a_max=None),
    "an outer product": lambda a: np.multiply.outer(X[0], a),
    "subscripts": lambda a: np.einsum("ij,jk", X, a),
    "a sum of many": lambda a: sum(np.float64(1) * a for _ in range(2)),
}


@pytest.mark.parametrize("f", MIXED.values(), ids=MIXED)
def test_operands_may_be_of_different_kinds(f):
    a = array(X)
    found = f(a)
    assert type(found) is Array
    V.grad = 0
    found.sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pygrad.GradientCutWarning)
        np.testing.assert_allclose(found.data, np.array(f(X), dtype=float), rtol=1e-12)
    assert np.any(a.grad != 0)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda x: np.sum(x, out=np.zeros(())), "out="),
        (lambda x: np.add(x, 1, out=np.zeros((3, 3))), "out="),
        (lambda x: np.add(x, 1, np.zeros((3, 3))), "out="),
        (lambda x: np.add(np.ones(3), x, out=np.ones((3, 3))), "out="),
        (lambda x: np.concatenate([x, x], out=np.zeros((6, 3))), "out="),
        (lambda x: np.sum(x, dtype=np.float32), "dtype=.*float64"),
        (lambda x: np.add(x, 1, dtype="f4"), "dtype=.*float64"),
        (lambda x: np.stack([x, x], dtype=int), "dtype=.*float64"),
        (lambda x: np.exp(x, where=X > 1), "where=.*np.where"),
        (lambda x: np.mean(x, dtype=complex), "dtype=.*float64"),
        (lambda x: np.sort(x, order="a"), "order="),
        (lambda x: np.var(x, mean=0.0), "mean="),
        (lambda x: np.add.at(x, [0], 1.0), r"np\.add\.at is not there"),
        (lambda x: np.subtract.reduce(x), r"np\.subtract\.reduce is not there.*that of add, multiply"),
        (lambda x: np.maximum.accumulate(x), r"np\.maximum\.accumulate is not there"),
        (lambda x: np.roll(x, x), "np.roll of an Array takes integers"),
        (lambda x: np.insert(x[0], x[0], 1.0), "np.insert of an Array takes integers"),
        (lambda x: np.insert(X[0], x[0], 1.0), "np.insert of an Array takes integers"),
        (lambda x: np.sum(X, where=x), "where= must be an array of bools"),
        (lambda x: np.add.reduce(X, where=x), "where= must be an array of bools"),
        (lambda x: np.pad(x, 1, mode="mean"), "modes constant"),
        (lambda x: np.einsum(x, [0, 1], [1, 0]), "subscripts as text"),
        (lambda x: np.add(x, "a"), "real numbers|not .*'str'"),
        (lambda x: np.add(None, x), "'NoneType' and 'Array'"),
        (lambda x: np.linalg.norm(x, 2), "not 2"),
        (lambda x: np.vecdot(x, x, axis=0), r"axis=: move .* np\.moveaxis"),
        (lambda x: np.linalg.norm(x[0], 0), "count_nonzero"),
        (lambda x: np.ma.masked_array(X, X > 1) + x, "masked array"),
        (lambda x: np.add(np.ma.masked_array(X, X > 1), x), "masked array"),
    ],
)
def test_what_a_function_of_numpy_does_not_take_is_refused_in_words(call, word):
    with pytest.raises(TypeError, match=word):
        call(array(X))


def test_a_dtype_of_float64_and_defaults_are_taken():
    a = array(X)
    for found, expected in [
        (np.sum(a, 0, float, None, True), np.sum(X, 0, float, None, True)),
        (np.add(a, 1, dtype=np.float64, out=None), X + 1),
        (np.std(a, axis=1, dtype=None, ddof=1), np.std(X, axis=1, ddof=1)),
        (np.concatenate([a, X], 1, None, dtype="f8", casting="same_kind"), np.concatenate([X, X], 1)),
    ]:
        np.testing.assert_allclose(found.data, expected, rtol=1e-15)


WRONG = {
    "concatenate": lambda x: np.concatenate([x, x[0]]),
    "where of one choice": lambda x: np.where(x > 1, x),
    "stack": lambda x: np.stack([x, x[0]]),
    "add": lambda x: np.broadcast_arrays(x, x[:2]),
    "roll": lambda x: np.roll(x, 1, axis=2),
    "diff": lambda x: np.diff(x, n=-1),
    "diff of a number": lambda x: np.diff(x[0, 0, ...]),
    "split": lambda x: np.split(x, 2),
    "inner": lambda x: np.inner(x, x[0, :2]),
    "tensordot": lambda x: np.tensordot(x, x[:2], 1),
    "select": lambda x: np.select([True], [x, x]),
    "einsum": lambda x: np.einsum("ij,jk", x, x[:2]),
    "inner of one element": lambda x: np.inner(x, x[0, :1]),
    "vecdot of one element": lambda x: np.linalg.vecdot(x, x[:, :1]),
    "vecdot of a number": lambda x: np.vecdot(x, 1.0),
    "matvec of one element": lambda x: np.matvec(x, x[0, :1]),
    "matvec of a vector": lambda x: np.matvec(x[0], x[0]),
    "vecmat of one element": lambda x: np.vecmat(x[0, :1], x),
    "norm": lambda x: np.linalg.norm(x[None], 1),
    "norm of three axes": lambda x: np.linalg.norm(x[None], axis=(0, 1, 2)),
    "norm of no axes": lambda x: np.linalg.norm(x, axis=()),
    "norm of an order of vectors": lambda x: np.linalg.norm(x, 3),
    "vector_norm of a number": lambda x: np.linalg.vector_norm(x[0, 0, ...], axis=0),
    "average of a number": lambda x: np.average(x[0, 0, ...], axis=0, weights=x[0, 1, ...]),
    "cumsum of no axes": lambda x: np.cumsum(x, ()),
    "cumprod of no axes": lambda x: x.cumprod(axis=()),
    "vector_norm": lambda x: np.linalg.vector_norm(x, ord="a"),
    "average": lambda x: np.average(x, weights=[1.0, 2.0, 3.0]),
    "cumulative_sum": lambda x: np.cumulative_sum(x),
    "matrix_power": lambda x: np.linalg.matrix_power(x[:2], 2),
}


@pytest.mark.parametrize("f", WRONG.values(), ids=WRONG)
def test_a_wrong_call_raises_the_type_that_numpy_raises(f):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        f(X)
    with pytest.raises((theirs.type, ValueError) if theirs.type is np.linalg.LinAlgError else theirs.type):
        f(array(X))


SUBSCRIPTS = [
    *["ij->ji", "ij", "ii", "ii->i", "ij->", "ij->i", "i...->...", "...ij->...ji", "ij,jk", "ij,jk->ik", "ij,kj->ik"],
    *[
        "ij,ij",
        "ij,ij->ij",
        "ij,ji->i",
        "ij,k->kij",
        "...,...",
        "i...,j...->ij...",
        "ij,jk,kl->il",
        "ij,j,i->",
        "ii,ij->j",
    ],
    *["ij, jk -> k i", "ii,ij->j"],
]


@pytest.mark.parametrize("subscripts", SUBSCRIPTS)
def test_einsum_is_numpy_s(subscripts):
    operands = [X, X.T + 1, X * 2][: subscripts.count(",") + 1]
    terms = subscripts.replace(" ", "").partition("->")[0].split(",")
    operands = [x[0] if len(term) == 1 else x for x, term in zip(operands, terms)]
    check(lambda *x: np.einsum(subscripts, *x), lambda *x: np.einsum(subscripts, *x), *operands, rtol=1e-12)
    check_compiled(lambda *x: np.einsum(subscripts, *x), *operands)


def test_functions_that_rearrange_keep_the_nodes():
    a = array(X)
    for found in [np.roll(a, 1), np.flip(a), np.tile(a, (1, 1)), np.vstack([a[:1], a[1:]]), np.sort(a), np.rot90(a)]:
        assert set(found.ravel()) == set(a.ravel())
    assert np.shares_memory(np.flip(a).data, a.data)
    padded = np.pad(a, 1, constant_values=(2.0, 3.0))
    np.testing.assert_array_equal(padded.data, np.pad(X, 1, constant_values=(2.0, 3.0)))
    assert padded[1, 1] is a[0, 0]


def test_a_sum_of_values_of_numpy_stays_what_it_was():
    v = np.array([Value(1.0), Value(2.0)])
    assert type(np.sum(v)) is Value
    assert type(np.exp(v)) is np.ndarray


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)], ids=repr)
def test_functions_of_no_elements_give_what_numpy_gives(shape):
    x = np.empty(shape)
    a = array(x)
    for f in [
        lambda x: np.concatenate([x, x], -1),
        lambda x: np.stack([x, x]),
        lambda x: np.where(x > 1, x, 0.0),
        lambda x: np.exp(x),
        lambda x: np.diff(x),
        lambda x: np.roll(x, 1),
        lambda x: np.repeat(x, 2, 0),
        lambda x: np.tile(x, 2),
        lambda x: np.sort(x),
        lambda x: np.outer(x, [1.0, 2.0]),
        lambda x: np.inner(x, x),
        lambda x: np.einsum("i...,i...", x, x),
        lambda x: np.linalg.norm(x),
        lambda x: np.linalg.norm(x.ravel(), np.inf),
        lambda x: np.linalg.vector_norm(x, ord=np.inf, axis=-1),
        lambda x: np.linalg.norm(np.atleast_2d(x), 1),
        lambda x: np.linalg.matrix_norm(np.atleast_2d(x).T, ord=np.inf, keepdims=True),
        lambda x: np.diff(x, n=0, prepend=1.0, append=2.0),
        lambda x: np.cumulative_sum(x, axis=-1, include_initial=True),
        lambda x: np.cumulative_prod(x, axis=0, include_initial=True),
        lambda x: np.vecdot(x, x),
        lambda x: np.cumsum(x, -1),
        lambda x: np.pad(x, 1),
        lambda x: x[x > 1],
        lambda x: x[[]],
        lambda x: x[..., :0],
    ]:
        found, expected = f(a), f(x)
        assert type(found) is Array
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found.data, expected)


# Making Arrays ---------------------------------------------------------------------------------------------------


def test_made_arrays_are_leaves_of_numpy_s_numbers():
    for found, expected in [
        (pygrad.zeros(2), np.zeros(2)),
        (pygrad.ones((2, 0)), np.ones((2, 0))),
        (pygrad.full((2, 3), [1, 2, 3]), np.full((2, 3), [1.0, 2, 3])),
        (pygrad.eye(2, 3, k=1), np.eye(2, 3, 1)),
        (pygrad.arange(4), np.arange(4.0)),
        (pygrad.arange(1, 2, 0.25), np.arange(1, 2, 0.25)),
        (pygrad.arange(5, 0, -2), np.arange(5.0, 0, -2)),
    ]:
        np.testing.assert_array_equal(found.data, expected)
        assert found.data.flags.writeable


def test_random_arrays_follow_a_seed_a_generator_or_the_state_of_random():
    for make in (lambda **rng: pygrad.randn(2, 3, **rng), lambda **rng: pygrad.uniform(-1, 3, (2, 3), **rng)):
        assert make().shape == (2, 3)
        assert (make(rng=1) == make(rng=1)).all()
        assert (make(rng=1) == make(rng=np.random.default_rng(1))).all()
        generator = np.random.default_rng(1)
        assert (make(rng=generator) != make(rng=generator)).all()
        random.seed(3)
        first = make()
        assert (make() != first).all()
        random.seed(3)
        assert (make() == first).all()
    assert pygrad.randn(rng=0).shape == ()
    x = pygrad.uniform(2.0, 5.0, 1000, rng=0).data
    assert 2 <= x.min() < 2.1
    assert 4.9 < x.max() < 5
