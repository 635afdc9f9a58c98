"""Numbers that are easily wrong without an error. Each kind of fault has a table: add a row for each case found."""

import copy
import operator
from fractions import Fraction

import numpy as np
import pytest

from pygrad import TraceWarning, Value, array, compile, concatenate, index, nn, optim, reference, save, stack, where
from pygrad import functional as F
from support.programs import shape as graph

try:  # here, and not in a test, so that the garbage collector need not look at it after each test: see conftest.py
    import pandas
except ImportError:
    pandas = None

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


@pytest.mark.parametrize(
    "divide",
    [
        lambda: Value(2.0) / 0,
        lambda: Value(2) / np.float64(0),
        lambda: 1 / Value(0),
        lambda: Value(2.0) / Value(0.0),
        lambda: array([2.0]) / 0,
        lambda: array([2.0]) / [0.0],
        lambda: 1 / array([0.0]),
    ],
)
def test_a_division_by_zero_is_called_that(divide):
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        divide()


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


@pytest.mark.parametrize("numbers", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("side", [lambda op: op, reflected], ids=["Array first", "array first"])
@pytest.mark.parametrize("op", OPERATORS)
def test_the_same_holds_for_an_array(op, side, numbers):
    function = side(op)
    expected = [function(2.5, x) for x in numbers.ravel().tolist()]
    np.testing.assert_allclose(function(array(2.5), numbers).data.ravel(), np.float64(expected), rtol=1e-15)


@pytest.mark.parametrize("side", [lambda op: op, reflected], ids=["first", "Series first"])
@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.skipif(pandas is None, reason="pandas is not installed")
@pytest.mark.filterwarnings("ignore:Operation with Array is deprecated")  # pandas' notice
def test_the_same_holds_for_a_series_of_pandas(op, side):
    function = side(op)
    for dtype in [np.uint8, bool, np.float16]:
        numbers = np.array([1, 3.5], dtype)
        expected = [function(2.5, x) for x in numbers.tolist()]
        for operand in [Value(2.5), array([2.5, 2.5])]:
            assert [x.data for x in function(operand, pandas.Series(numbers))] == pytest.approx(expected, rel=1e-15)


# Masked arrays: NumPy drops the mask where it makes a plain array, so they are refused -----------------------------

MASKED = np.ma.array([1.0, 999999.0], mask=[0, 1])
MASKED_INTS = np.ma.array([1, 0], mask=[0, 1])
OPERATED = {op.__name__: op for op in [*OPERATORS, operator.matmul]}


def a():
    return array([1.0, 2.0])


def summed(x):
    return x.sum()


ENTRIES = {
    "array": lambda: array(MASKED),
    "array, no element masked": lambda: array(np.ma.array([1.0, 2.0])),
    "array of a list of them": lambda: array([MASKED, MASKED]),
    "array of one among numbers": lambda: array([1.0, np.ma.masked]),
    "array of one among Values": lambda: array([Value(1.0), np.ma.masked]),
    "array of nested lists": lambda: array([([1.0, 2.0],), (MASKED,)]),
    "array without axes": lambda: array(np.ma.array(5.0, mask=True)),
    "array of ints": lambda: array(MASKED_INTS),
    "array of objects": lambda: array(np.ma.array([Value(1.0), 2.0], mask=[0, 1])),
    "concatenate": lambda: concatenate([a(), MASKED]),
    "stack": lambda: stack([a(), MASKED]),
    "where, condition": lambda: where(np.ma.array([True, False], mask=[0, 1]), a(), 0.0),
    "where, numbers": lambda: where([True, False], a(), MASKED),
    "data": lambda: setattr(a(), "data", MASKED),
    "grad": lambda: setattr(a(), "grad", MASKED),
    "data, computed": lambda: setattr(a() * 2, "data", MASKED),
    "Value": lambda: Value(np.ma.masked),
    "Value, data": lambda: setattr(Value(1.0), "data", np.ma.masked),
    "Value, grad": lambda: setattr(Value(1.0), "grad", np.ma.array([2.0], mask=[1])),
    **{f"Value {op.__name__}": lambda op=op: op(Value(2.0), MASKED) for op in OPERATORS},
    **{f"Value {op.__name__} one": lambda op=op: op(Value(2.0), np.ma.masked) for op in OPERATORS},
    "Value.maximum": lambda: Value(1.0).maximum(np.ma.masked),
    "Array.maximum": lambda: a().maximum(MASKED),
    "Array.minimum of one": lambda: a().minimum(np.ma.masked),
    **{f"Array {name}": lambda op=op: op(a(), MASKED) for name, op in OPERATED.items()},
    **{f"Array {name} ints": lambda op=op: op(a(), MASKED_INTS) for name, op in OPERATED.items()},
    **{f"Array {name}, reflected": lambda op=op: op(MASKED, a()) for name, op in OPERATED.items()},
    **{f"Array {name} list": lambda op=op: op(a(), [1.0, np.ma.masked]) for name, op in OPERATED.items()},
    "key": lambda: a()[np.ma.array([True, False], mask=[0, 1])],
    "key of ints": lambda: a()[MASKED_INTS],
    "key of two": lambda: array(np.ones((2, 2)))[0, MASKED_INTS],
    "key in a list": lambda: array(np.ones((2, 2)))[[MASKED_INTS]],
    "index": lambda: index(MASKED_INTS),
    "F.relu": lambda: F.relu(MASKED),
    "F.linear": lambda: F.linear(a(), np.ma.array([[1.0, 2.0]], mask=[[0, 1]])),
    "F.embedding": lambda: F.embedding(MASKED_INTS, np.ones((2, 2))),
    "F.cross_entropy": lambda: F.cross_entropy(np.ones((2, 3)), MASKED_INTS),
    "F.mse_loss": lambda: F.mse_loss(a(), MASKED),
    "F.mse_loss, input": lambda: F.mse_loss(MASKED, a()),
    "F.hinge_loss": lambda: F.hinge_loss(a(), MASKED),
    "F.rms_norm": lambda: F.rms_norm(a(), 2, MASKED),
    "Linear": lambda: nn.Linear(2, 1)(MASKED),
    "load_state_dict": lambda: nn.Neuron(2).load_state_dict({"w": MASKED, "b": 0.0}),
    "optimizer's lr": lambda: optim.SGD([Value(1.0)], lr=np.ma.masked),
    "optimizer's state": lambda: optim.Adam([a()]).load_state_dict(
        {"steps": 1, "exp_avg": MASKED, "exp_avg_sq": np.zeros(2)}
    ),
    "optimizer's steps": lambda: optim.Adam([a()]).load_state_dict(
        {"steps": MASKED_INTS[:1].reshape(()), "exp_avg": np.zeros(2), "exp_avg_sq": np.zeros(2)}
    ),
    "compile, example": lambda: compile(summed, MASKED),
    "compile, example in a list": lambda: compile(lambda x: x[0], [np.ma.masked, 1.0]),
    "compile, example of an index": lambda: compile(lambda i: array([1.0, 2.0])[i], MASKED_INTS),
    "compile, result": lambda: compile(lambda x: MASKED, 1.0),
    "compiled, argument": lambda: compile(summed, np.ones(2))(MASKED),
    "compiled, batch": lambda: compile(summed, np.ones(2))(np.ma.array(np.ones((3, 2)), mask=np.eye(3, 2))),
    "compiled, in a structure": lambda: compile(lambda x: x[0] * x[1].sum(), [1.0, np.ones(2)])([1.0, MASKED]),
    "compiled, as a structure": lambda: compile(lambda x: x[0] * x[1].sum(), (1.0, np.ones(2)))(MASKED),
    "compiled, number": lambda: compile(lambda x: x * x, 1.0)(np.ma.masked),
    "compiled, index": lambda: compile(lambda i: array([1.0, 2.0])[i], index(0))(MASKED_INTS),
    "compiled, gradient": lambda: compile(summed, np.ones(2)).value_and_grad(MASKED),
    "compiled, cotangent": lambda: compile(lambda x: x * x, 1.0).value_and_grad([1.0, 2.0], cotangent=MASKED),
    "compiled, tangent": lambda: compile(summed, np.ones(2)).jvp((np.ones(2),), (MASKED,)),
    "save": lambda: save("never-written.npz", {"w": MASKED}),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_masked_array_is_a_type_error_that_names_np_ma_filled(entry, no_leak):
    with pytest.raises(TypeError, match=r"np\.ma\.filled"):
        entry()


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul])
def test_a_masked_array_keeps_its_mask_when_it_comes_before_a_value(op):
    assert op(MASKED, Value(2.0)).mask.tolist() == [False, True]


# Comparisons are by number, element by element; only Value == Value tells whether two are one node -----------------

COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
ORDER = COMPARISONS[2:]
EDGE_NUMBERS = [0.0, -0.0, 1.0, 2.5, -1.0, float("inf"), float("-inf"), float("nan")]
LEFT = np.array([[1.0, 2.0, 3.0], [0.0, float("nan"), float("inf")]])
COMPARED = {
    "an Array": lambda: array([1.0, 2.5, 3.0]),
    "an Array of the same shape": lambda: array(LEFT) * 1,
    "an Array that is broadcast": lambda: array([[1.0], [0.0]]),
    "an Array without axes": lambda: array(2.0),
    "a Value": lambda: Value(2.0),
    "a float": lambda: 2.0,
    "an int": lambda: 2,
    "a bool": lambda: True,
    "nan": lambda: float("nan"),
    "a NumPy number": lambda: np.uint8(2),
    "a NumPy array without axes": lambda: np.array(2, np.int8),
    "a NumPy array": lambda: np.array([1.0, 2.5, 3.0]),
    "a NumPy array of bytes": lambda: np.array([1, 2, 4], np.uint8),
    "a NumPy array of Values": lambda: np.array([Value(1.0), Value(2.5), 3]),
    "a list": lambda: [1, 2.5, 3],
    "a list with Values": lambda: [1, Value(2.5), 3.0],
    "a tuple": lambda: (1, 2.5, 3),
}


@pytest.mark.parametrize("other", COMPARED.values(), ids=COMPARED)
@pytest.mark.parametrize("side", [lambda op: op, reflected], ids=["Array first", "Array second"])
@pytest.mark.parametrize("op", COMPARISONS)
def test_an_array_is_compared_element_by_element(op, side, other, no_leak):
    operand = other()
    numbers = operand.data if isinstance(operand, (Value, type(array(0)))) else np.array(operand).astype(float)
    found = side(op)(array(LEFT), operand)
    assert type(found) is np.ndarray or found.shape == ()
    assert found.dtype == bool
    assert found.tolist() == side(op)(LEFT, numbers).tolist()


@pytest.mark.parametrize(
    "y", [*EDGE_NUMBERS, 2, 10**400, True, Fraction(5, 2), np.float32(2.5), np.uint8(1), np.array(1)]
)
@pytest.mark.parametrize("V", [Value, reference.Value])
@pytest.mark.parametrize("op", ORDER)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of NumPy, for nan
def test_values_are_ordered_by_number(op, V, y):
    for x in EDGE_NUMBERS:
        expected = bool(op(x, y))
        assert bool(op(V(x), y)) == expected
        assert bool(op(y, V(x))) == bool(op(y, x))
        if not isinstance(y, int) or y < 2**53:
            assert op(V(x), V(float(y))) == op(x, float(y))


def test_values_are_sorted_by_number():
    values = [Value(3.0), Value(-1.0), Value(2.0)]
    assert [v.data for v in sorted(values)] == [-1, 2, 3]
    assert max(values) is values[0]
    assert min(values) is values[1]


@pytest.mark.parametrize("op", ORDER)
@pytest.mark.parametrize("other", [None, "1", 1j, object(), [1.0], np.ma.masked], ids=type)
def test_an_order_by_anything_else_is_a_type_error(op, other):
    for x in [Value(1.0), array(1.0)]:
        if not (isinstance(other, list) and type(x) is not Value):
            with pytest.raises(TypeError):
                op(x, other)


def test_equality_of_values_is_identity_and_of_an_array_with_no_number_false():
    v = Value(1.0)
    assert v == v
    assert v != Value(1.0)
    assert v != 1.0
    assert (v == array([1.0, 2.0])).tolist() == (array([1.0, 2.0]) == v).tolist() == [True, False]
    assert array([1.0]) != None  # noqa: E711
    assert array([1.0]) != "text"
    with pytest.raises(ValueError, match="broadcast"):
        array([1.0, 2.0]) == array([1.0, 2.0, 3.0])  # noqa: B015


def test_a_comparison_makes_a_mask_and_a_condition():
    x = array([0.0, 2.0, 4.0])
    y = where(x == 0, 100.0, 1 / where(x == 0, 1.0, x))
    y.sum().backward()
    assert y.data.tolist() == [100, 0.5, 0.25]
    assert x.grad.tolist() == [0, -0.25, -0.0625]
    assert x[x > 1].data.tolist() == [2, 4]
    assert np.mean((x > 1) == [True, True, True]) == pytest.approx(2 / 3)


COMPARES = {
    "Value < number": lambda x: x if x < 0 else -x,
    "Value > Value": lambda x: x if x > Value(0.0) else -x,
    "number < Value": lambda x: x if x < 1.0 else -x,
    "max": lambda x: max(x, x * 2),
    "Array == number": lambda x: where(array([x]) == 0, 1.0, x),
    "Array > list": lambda x: where(array([x]) > [0.0], 1.0, x),
    "Array < Value": lambda x: where(array([1.0]) < x, 1.0, x),
}


@pytest.mark.parametrize("function", COMPARES.values(), ids=COMPARES)
def test_a_comparison_in_a_compiled_function_warns(function):
    with pytest.warns(TraceWarning):
        compile(function, 1.0)


# Truth: a Value is true as micrograd's object is; an Array of one number, and NumPy's functions, go by number --------

ZEROS = np.array([[0.0, 2.0, -0.0], [0.0, float("nan"), 1.0]])
BY_NUMBER = {
    "all": lambda x: np.all(x, axis=0),
    "any": np.any,
    "any along an axis": lambda x: np.any(x, axis=1),
    "argmax": lambda x: np.argmax(x[0]),
    "argmin": lambda x: np.argmin(x[0]),
    "argsort": lambda x: np.argsort(x[0]),
    "argwhere": np.argwhere,
    "array_equal": lambda x: np.array_equal(x[0], x[0]),
    "allclose": lambda x: np.allclose(x[0], [0.0, 2.0, 0.0]),
    "asarray of bools": lambda x: np.asarray(x, dtype=bool),
    "array of floats": lambda x: np.array(x, dtype=float),
    "compress": lambda x: np.compress(x[0], [1, 2, 3]),
    "count_nonzero": np.count_nonzero,
    "count_nonzero along an axis": lambda x: np.count_nonzero(x, axis=0),
    "extract": lambda x: np.extract(x, ZEROS),
    "flatnonzero": np.flatnonzero,
    "full_like": lambda x: np.full_like(x, 2.5),
    "isclose": lambda x: np.isclose(x, 0.0),
    "isin": lambda x: np.isin(x, [0.0, 1.0]),
    "nonzero": np.nonzero,
    "ones_like": np.ones_like,
    "searchsorted": lambda x: np.searchsorted([0.5, 1.5], x[0]),
    "unique": lambda x: np.unique(x[0]),
    "where": np.where,
    "where, condition": lambda x: np.where(x, 1, 0),
    "zeros_like": np.zeros_like,
}


@pytest.mark.parametrize("function", BY_NUMBER.values(), ids=BY_NUMBER)
@pytest.mark.parametrize("make", [lambda: array(ZEROS), lambda: array(ZEROS) * 1], ids=["leaves", "computed"])
def test_numpy_s_functions_of_truth_and_order_go_by_number(function, make, no_leak):
    found, expected = function(make()), function(ZEROS)
    np.testing.assert_array_equal(found, expected)
    assert np.asarray(found).dtype == np.asarray(expected).dtype


def test_a_value_is_true_and_an_array_of_one_element_as_its_number():
    assert Value(0.0)
    assert reference.Value(0.0)
    assert array([0.0])[0]
    assert any(array([0.0, 0.0]))
    assert not array([0.0])
    assert not array(0.0)


def test_numpy_s_functions_that_rearrange_elements_keep_the_values():
    x = array([[0.0, 2.0], [3.0, 4.0]])
    for found in [np.asarray(x), np.array(x, dtype=object), np.ravel(x), np.extract(x > -1, x), np.where(True, x, 0.0)]:
        assert [v is w for v, w in zip(np.ravel(found), x.ravel())] == [True] * 4
    assert type(np.transpose(x)) is type(x)
    assert np.asarray(x[0, 0] * array(1.0)).shape == ()


# A parameter stays one: in-place operators, and whatever else would replace it by a computed Array, are refused ------


class Model(nn.Module):
    def __init__(self):
        self.weight = array([1.0, 2.0])
        self.parts = [array([1.0]), {"deep": array([2.0])}]


def replaced(model):
    model.weight = model.weight - 0.1 * model.weight.grad


def in_a_list(model):
    model.parts[0] -= 0.1


def in_a_dict(model):
    model.parts[1]["deep"] *= 2


def by_another_name(model):
    w = model.weight
    w -= 0.1


IN_PLACE = [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow, operator.imatmul]
REPLACES = {
    **{op.__name__: lambda m, op=op: setattr(m, "weight", op(m.weight, array([1.0, 2.0]))) for op in IN_PLACE},
    "setattr": replaced,
    "list": in_a_list,
    "dict": in_a_dict,
    "another name": by_another_name,
}


@pytest.mark.parametrize("replace", REPLACES.values(), ids=REPLACES)
@pytest.mark.parametrize("copied", [lambda m: m, copy.deepcopy], ids=["original", "copy"])
def test_a_parameter_is_not_replaced_by_a_computed_array(replace, copied):
    model = copied(Model())
    model.zero_grad()
    with pytest.raises(TypeError, match=r"\.data"):
        replace(model)
    assert [p.data.tolist() for p in model.parameters()] == [[1, 2], [1], [2]]


def test_other_arrays_have_in_place_operators_and_a_parameter_can_be_replaced_by_leaves_or_deleted():
    model = Model()
    model.weight.data -= 0.5
    assert model.weight.data.tolist() == [0.5, 1.5]
    row = a = array([1.0, 2.0])
    row += 1
    assert a.data.tolist() == [1, 2]
    model.hidden = a * 2
    model.hidden += 1
    model.weight = array([3.0])
    del model.weight
    model.weight = a * 2
    assert len(model.parameters()) == 2
