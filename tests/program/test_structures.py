"""Dicts, named tuples, dataclasses and None in arguments and results, and how calls bind to arguments."""

import copy
import dataclasses
import functools
import inspect
import math
import pickle
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Program
from pygrad.program.structures import arrays_in, fields_of, map_structure, parts_of
from support.effort import examples

Point = namedtuple("Point", "x y")


@dataclasses.dataclass(frozen=True)
class Dense:
    weight: Any
    bias: Any = None

    def __post_init__(self):
        assert not isinstance(self.weight, str)


def loaded(f, tmp_path):
    f.save(tmp_path / "f.npz")
    return Program.load(tmp_path / "f.npz")


KEPT = {
    "itself": lambda f, _: f,
    "pickle": lambda f, _: pickle.loads(pickle.dumps(f)),
    "copy": lambda f, _: copy.copy(f),
    "file": loaded,
}
kept = pytest.mark.parametrize("again", KEPT.values(), ids=KEPT)


def plain(tree):
    """A structure of lists and numbers, where the parts of others than lists have names."""
    if type(tree) in (list, tuple):
        return [plain(part) for part in tree]
    parts = parts_of(tree)
    return np.asarray(tree).tolist() if parts is None else [("", *fields_of(tree)), *((w, plain(x)) for w, x in parts)]


# Structures ---------------------------------------------------------------------------------------------------------


@kept
def test_gradients_come_in_the_structure_of_the_argument(again, tmp_path):
    def loss(model, point, nothing):
        assert nothing is None
        return (model["layers"][0].weight @ model["layers"][0].bias) * point.x + model["scale"] * point.y

    model = {"layers": [Dense(np.ones(2), np.ones(2))], "scale": 2.0}
    f = again(pygrad.compile(loss, model, Point(1.0, 2.0), None), tmp_path)
    values = {"scale": 5.0, "layers": [Dense(np.array([1.0, 2.0]), [3.0, 4.0])]}
    value, (by_model, by_point, by_nothing) = f.value_and_grad(values, Point(2.0, 3.0), None)
    assert value == 11 * 2 + 5 * 3
    assert list(by_model) == ["layers", "scale"]
    assert by_model["layers"][0].weight.tolist() == [6.0, 8.0]
    assert by_model["layers"][0].bias.tolist() == [2.0, 4.0]
    assert (by_model["scale"], by_point.x, by_point.y, by_nothing) == (3.0, 11.0, 5.0, None)
    (_, tangent) = f.jvp((values, Point(2.0, 3.0), None), (values, Point(0.0, 0.0), None))
    assert tangent == 2 * 11 * 2 + 5 * 3
    jacobian = f.jacobian(values, Point(2.0, 3.0), None)
    assert plain(jacobian) == plain((by_model, by_point, None))
    assert f.hessian(values, (2.0, 3.0), None)[1][1].x.x == 0
    batch = {"scale": [5.0, 6.0], "layers": [Dense([1.0, 2.0], [3.0, 4.0])]}
    values, (by_model, _, _) = f.value_and_grad(batch, Point(2.0, 3.0), None)
    assert values.tolist() == [37.0, 40.0]
    assert by_model["scale"].tolist() == [3.0, 3.0]
    assert by_model["layers"][0].weight.tolist() == [12.0, 16.0]


@kept
def test_results_keep_their_classes_and_none(again, tmp_path):
    f = again(pygrad.compile(lambda x: {"a": None, "b": Point(x, None), "c": Dense(x * 2)}, 1.0), tmp_path)
    one, many = f(3.0), f([3.0, 4.0])
    assert (one["a"], one["b"], one["c"].weight, one["c"].bias) == (None, (3.0, None), 6.0, None)
    assert type(one["b"]).__name__ == "Point"
    assert type(one["c"]).__name__ == "Dense"
    assert many["b"].x.tolist() == [3.0, 4.0]
    assert many["c"].weight.tolist() == [6.0, 8.0]


def test_pickles_and_copies_keep_classes_and_files_make_named_tuples(tmp_path):
    Local = namedtuple("Local", "u")
    f = pygrad.compile(lambda x, p: [Point(x, p.u), Dense(x), Local(x)], 1.0, Local(2.0))
    for again in (KEPT["pickle"], KEPT["copy"]):
        assert list(map(type, again(f, None)(1.0, Local(2.0))))[:2] == [Point, Dense]
    assert type(copy.copy(f)(1.0, Local(2.0))[2]) is Local
    of_pickle = KEPT["pickle"](f, None)(1.0, Local(2.0))[2]
    assert (type(of_pickle).__name__, of_pickle.u) == ("Local", 1.0)
    dense = loaded(f, tmp_path)(1.0, Local(2.0))[1]
    assert (type(dense).__name__, dense.weight, dense.bias) == ("Dense", 1.0, None)
    assert isinstance(dense, tuple)


NOT_MATCHING = {
    "a missing key": {"w": 1.0},
    "another key": {"w": 1.0, "b": np.ones(2), "c": 1.0},
    "a list": [1.0, np.ones(2)],
    "None": None,
    "a number": 1.0,
}


@pytest.mark.parametrize("x", NOT_MATCHING.values(), ids=NOT_MATCHING)
def test_another_structure_is_refused(x):
    f = pygrad.compile(lambda d: d["w"] * d["b"].sum(), {"w": 1.0, "b": np.ones(2)})
    with pytest.raises(ValueError, match=r"argument 0 must have the structure \{'w': a number, 'b': an array of shape"):
        f(x)
    with pytest.raises(ValueError, match=r"tangent 0 must have the structure"):
        f.jvp(({"w": 1.0, "b": np.ones(2)},), (x,))
    g = pygrad.compile(lambda d, x: x, Dense(1.0), 2.0)
    with pytest.raises(ValueError, match=r"argument 0 must have the structure Dense\(weight=a number, bias=None\)"):
        g(x, 1.0)


def test_errors_name_the_part_of_a_structure():
    f = pygrad.compile(lambda m, p: m["w"].weight.sum() + p.x.sqrt(), {"w": Dense(np.ones(2))}, Point(1.0, 2.0))
    with pytest.raises(ValueError, match=r"argument 0\['w'\]\.weight must have shape \(2,\)"):
        f({"w": Dense(np.ones(3))}, Point(1.0, 2.0))
    with pytest.raises(TypeError, match=r"argument 1\.y must consist of real numbers"):
        f({"w": Dense(np.ones(2))}, Point(1.0, "2"))
    f.check_finite = True
    with pytest.raises(FloatingPointError, match=r"the gradient by argument 1\.x of <lambda> is inf"):
        f.value_and_grad({"w": Dense([1.0, 2.0])}, Point(0.0, 2.0))


def test_a_function_that_returns_nothing_is_refused():
    with pytest.raises(TypeError, match=r"must return Values, .* got 'NoneType'"):
        pygrad.compile(lambda x: None, 1.0)


LEAVES = st.one_of(
    st.none(),
    st.floats(-2, 2),
    st.integers(0, 3).map(lambda n: np.linspace(-1, 1, n)),
    st.integers(1, 2).map(lambda n: np.full((n, 2), 0.5)),
)
KEYS = st.one_of(st.text(max_size=2), st.integers(0, 5), st.none())
TREES = st.recursive(
    LEAVES,
    lambda trees: st.one_of(
        st.lists(trees, max_size=3),
        st.lists(trees, max_size=3).map(tuple),
        st.dictionaries(KEYS, trees, max_size=3),
        st.builds(Point, trees, trees),
        st.builds(Dense, trees, trees),
    ),
    max_leaves=6,
)


@examples(60)
@given(st.dictionaries(st.sampled_from("abc"), TREES, min_size=1))
def test_any_structure_round_trips(trees):
    """Through arguments by position and keyword, results, gradients, pickles and files."""

    def total(**trees):
        return sum([pygrad.array(x).sum() for x in leaves(list(trees.values()))], start=pygrad.Value(0.0)) * 2.0

    f = pygrad.compile(lambda **trees: trees, **trees)
    twin = pickle.loads(pickle.dumps(f))
    for g in (f, twin):
        assert plain(g(**trees)) == plain(trees)
    h = pygrad.compile(total, **trees)
    value, gradients = h.value_and_grad(**trees)
    assert math.isclose(value, 2 * sum(float(np.sum(x)) for x in arrays_in(trees)), abs_tol=1e-9)
    assert plain(dict(zip(trees, gradients))) == plain(map_structure(lambda x: np.full(np.shape(x), 2.0), trees))


def leaves(tree):
    parts = parts_of(tree)
    return [tree] if parts is None else [leaf for _, part in parts for leaf in leaves(part)]


# Calls --------------------------------------------------------------------------------------------------------------


def scaled(x, y, /, shift=1.0, *, scale, power=2):
    return ((x * y + shift) * scale) ** power


@kept
def test_calls_bind_as_the_signature_says(again, tmp_path):
    f = again(pygrad.compile(scaled, 1.0, 2.0, 1.0, scale=3.0), tmp_path)
    assert str(inspect.signature(f)) == "(x, y, /, shift=1.0, *, scale)"
    for args, kwargs in [
        ((2.0, 3.0, 4.0), {"scale": 0.5}),
        ((2.0, 3.0), {"scale": 0.5}),
        ((2.0, 3.0), {"scale": 0.5, "shift": 7.0}),
    ]:
        assert f(*args, **kwargs) == scaled(*args, **kwargs)
        value, gradients = f.value_and_grad(*args, **kwargs)
        assert value == scaled(*args, **kwargs)
        assert len(gradients) == 4
        assert f.jacobian(*args, **kwargs) == pytest.approx(gradients)
        assert len(f.hessian(*args, **kwargs)) == 4
    batch = f([1.0, 2.0], 3.0, scale=[0.5, 1.0])
    assert batch.tolist() == [scaled(1.0, 3.0, scale=0.5), scaled(2.0, 3.0, scale=1.0)]


REFUSED = [
    ((1.0,), {"scale": 1.0}, "missing a required argument: 'y'"),
    ((1.0, 2.0), {}, "missing a required .*argument: 'scale'"),
    ((1.0, 2.0, 3.0, 4.0), {}, "too many positional arguments"),
    ((1.0, 2.0, 3.0), {"scale": 1.0, "shift": 2.0}, "multiple values for argument 'shift'"),
    ((1.0,), {"y": 2.0, "scale": 1.0}, "'y'"),
    ((1.0, 2.0), {"scale": 1.0, "power": 3}, "unexpected keyword argument 'power'"),
]


@kept
@pytest.mark.parametrize(("args", "kwargs", "why"), REFUSED)
def test_what_does_not_bind_is_a_type_error(again, args, kwargs, why, tmp_path):
    f = again(pygrad.compile(scaled, 1.0, 2.0, 1.0, scale=3.0), tmp_path)
    for method in (f, f.value_and_grad, f.jacobian, f.hessian, f.objective):
        with pytest.raises(
            TypeError, match=rf"scaled\(\) .*{why}.*: the Program is scaled\(x, y, /, shift=1\.0, \*, s"
        ):
            method(*args, **kwargs)


def test_what_has_no_example_keeps_its_default():
    f = pygrad.compile(scaled, 1.0, 2.0, scale=3.0)
    assert str(inspect.signature(f)) == "(x, y, /, *, scale)"
    assert f(2.0, 3.0, scale=0.5) == scaled(2.0, 3.0, scale=0.5)
    g = pygrad.compile(lambda x, n=3, y=1.0: x**n * y, 2.0, y=1.0)  # what follows is not the third any more
    assert str(inspect.signature(g)) == "(x, *, y=1.0)"
    assert g(2.0, y=10.0) == 80
    with pytest.raises(TypeError, match="too many positional"):
        g(2.0, 10.0)


def test_a_default_must_fit_the_example():
    def fn(x, mask=None, rate=0.5, table=(1.0, 2.0)):
        return (x * mask * rate).sum() + table[0]

    f = pygrad.compile(fn, np.ones(2), np.ones(2), 1.0, (3.0, 4.0))
    assert str(inspect.signature(f)).startswith("(x, mask, rate=0.5, table=array([1., 2.])")
    assert f([1.0, 2.0], [1.0, 1.0]) == 2.5
    with pytest.raises(TypeError, match=r"takes 4 arguments .* got 1"):
        f([1.0, 2.0])
    g = pygrad.compile(lambda x, mask=2.0, rate="low": x * mask * rate, 1.0, 1.0, 1.0)  # as `rate` must be passed
    assert str(inspect.signature(g)) == "(x, mask, rate)"


def test_a_default_may_be_an_index_or_a_structure(tmp_path):
    table = pygrad.array([[1.0, 2.0], [3.0, 4.0]])

    def fn(x, i=1, model={"w": 2.0}):  # noqa: B006
        return (table[i] * x).sum() * model["w"]

    f = pygrad.compile(fn, 1.0, pygrad.index(0), {"w": 1.0})
    for g in (f, loaded(f, tmp_path), copy.copy(f), pickle.loads(pickle.dumps(f))):
        assert g(1.0) == 14
        assert g(1.0, 0) == 6
        assert g(1.0, model={"w": 10.0}) == 70


def test_functions_may_take_any_arguments():
    f = pygrad.compile(lambda x, *rest, **named: x + sum(rest) * named["k"] + named["m"], 1.0, 2.0, 3.0, k=4.0, m=5.0)
    assert str(inspect.signature(f)) == "(x, rest0, rest1, /, *, k, m)"
    assert f(1.0, 2.0, 3.0, m=5.0, k=4.0) == 26
    assert pygrad.compile(lambda rest0, *rest: rest0 + rest[0], 1.0, 2.0)(1.0, 2.0) == 3

    @functools.wraps(scaled)
    def twice(x):
        return scaled(x, x, scale=1.0)

    assert pygrad.compile(twice, 1.0)(2.0) == 25
    assert pygrad.compile(functools.partial(scaled, 2.0, scale=1.0), 1.0)(3.0) == 49
    with pytest.warns(pygrad.TraceWarning):  # a function in C without a signature
        assert pygrad.compile(max, 1.0, 2.0)(4.0, 3.0) == 3


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1.0,), {}), ((1.0, 2.0), {"scael": 1.0}), ((1.0,) * 4, {})])
def test_examples_must_fit_the_function(args, kwargs):
    with pytest.raises(TypeError, match=r"scaled\(\) .*: pass compile\(\) an example for each argument, as in"):
        pygrad.compile(scaled, *args, **kwargs)


def test_pure_functions_and_objectives_take_keywords():
    w = pygrad.Value(2.0)
    f = pygrad.compile(lambda x, *, y: w * x * y, 1.0, y=2.0)
    pure = f.pure()
    assert str(inspect.signature(pure)) == "(parameters, /, x, *, y)"
    assert pure([3.0], 2.0, y=5.0) == 30
    objective = pure.objective(None, 2.0, y=5.0)
    assert objective(objective.pack([3.0])) == (30.0, pytest.approx([10.0]))
    by_y = pure.objective([3.0], 2.0, y=None)
    assert by_y(by_y.pack(5.0)) == (30.0, pytest.approx([6.0]))


@examples(50)
@given(st.data())
def test_calls_by_keyword_equal_positional(data):
    names = data.draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True))
    numbers = data.draw(st.lists(st.floats(-2, 2), min_size=len(names), max_size=len(names)))
    body = " + ".join(f"{k + 1} * {name} * {name}" for k, name in enumerate(names))
    fn = eval(f"lambda {', '.join(names)}: {body}")
    f = pygrad.compile(fn, *numbers)
    by_keyword = dict(zip(names, numbers))
    shuffled = {name: by_keyword[name] for name in data.draw(st.permutations(names))}
    at = data.draw(st.integers(0, len(names)))
    mixed = {name: x for name, x in shuffled.items() if name not in names[:at]}
    assert f(*numbers) == f(**shuffled) == f(*numbers[:at], **mixed)
    assert f.value_and_grad(*numbers) == f.value_and_grad(*numbers[:at], **mixed)
    assert pygrad.compile(fn, **shuffled).value_and_grad(*numbers) == f.value_and_grad(*numbers)
