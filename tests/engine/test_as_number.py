"""A Value where Python expects a number, and numbers of other kinds beside a Value."""

import json
import math
import operator
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import pygrad
from pygrad import Value, array, reference
from pygrad._numbers import to_python

# What Python does to a Value and to an Array without axes as it does to their number.
AS_NUMBER = {
    "float": float,
    "int": int,
    "round": round,
    "round to 2 digits": lambda x: round(x, 2),
    "round to tens": lambda x: round(x, -1),
    "trunc": math.trunc,
    "floor": math.floor,
    "ceil": math.ceil,
    "complex": complex,
    "f-string": lambda x: f"{x:.4f} {x:>12.3e} {x:+} {x:09.2f} {x:%}",
    "format": lambda x: f"{x:.1f} {x:g}",
    "%": lambda x: "%.2f %d %g" % (x, x, x),  # noqa: UP031
    "json by float": lambda x: json.dumps({"x": x}, default=float),
    "json of rounded": lambda x: json.dumps(round(x, 3)),
}


@pytest.mark.parametrize("number", [2.5, -3.0, 1234.5678, -0.0, 1e16])
@pytest.mark.parametrize("convert", AS_NUMBER.values(), ids=AS_NUMBER)
@pytest.mark.parametrize("make", [Value, reference.Value, array], ids=["Value", "reference", "Array"])
def test_python_takes_it_as_its_number(make, convert, number):
    if make is array and convert is math.trunc:
        pytest.skip("NumPy's arrays have no __trunc__ either")
    x = make(number) + 0 if number else make(number)
    assert repr(convert(x)) == repr(convert(number))
    assert type(convert(x)) is type(convert(number))


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("convert", [int, round, math.trunc])
def test_a_number_that_is_not_finite_has_no_int(number, convert):
    with pytest.raises((ValueError, OverflowError)) as expected:
        convert(number)
    with pytest.raises(expected.type, match=str(expected.value)):
        convert(Value(number))


def test_a_format_that_a_number_does_not_have_is_refused_as_for_the_number():
    v = Value(2.5)
    for spec in ("d", "x", "nonsense"):
        with pytest.raises(ValueError, match="format"):
            format(v, spec)
    assert (f"{v}", f"{v!r}", format(v)) == (repr(v),) * 3


@pytest.mark.parametrize("make", [Value, reference.Value, array], ids=["Value", "reference", "Array"])
def test_plus_is_the_same_node(make, no_leak):
    x = make(2.0)
    assert +x is x
    (+x * 3).backward()
    assert x.grad == 3


@pytest.mark.parametrize("other", [2, 2.0, Value(2), np.float32(2)], ids=repr)
@pytest.mark.parametrize(
    ("op", "symbol"),
    [(operator.floordiv, "//"), (operator.mod, "%"), (divmod, r"divmod\(\)")],
    ids=["//", "%", "divmod"],
)
def test_an_operator_that_rounds_is_refused_in_words(op, symbol, other):
    for operands in ((Value(5), other), (other, Value(5))):
        with pytest.raises(TypeError, match=f"a Value has no {symbol}, .*: take the number, v.data"):
            op(*operands)
    with pytest.raises(TypeError, match="unsupported operand"):
        op(Value(5), None)


def test_json_takes_the_number_if_told_how():
    with pytest.raises(TypeError, match="Value is not JSON serializable"):
        json.dumps(Value(2.0))
    assert json.dumps([Value(2.0), array(1.5)], default=float) == "[2.0, 1.5]"


@pytest.mark.parametrize(
    "read",
    [int, round, lambda x: f"{x:.2f}", lambda x: round(x, 2), math.trunc],
    ids=["int", "round", "f", "2", "trunc"],
)
def test_a_trace_warns_that_the_number_was_read(read):
    with pytest.warns(pygrad.TraceWarning):
        pygrad.compile(lambda x: x * float(read(x)), 2.0)


# Numbers of other kinds ------------------------------------------------------------------------------------------


class Tensor:
    """A number without axes of another library, as torch, JAX and CuPy have them."""

    ndim, shape, requires_grad = 0, (), False

    def __init__(self, x):
        self.x = x

    def __float__(self):
        return float(self.x)

    def __neg__(self):
        raise AssertionError("arithmetic in the dtype of the tensor")

    def _foreign(self, other):
        return NotImplemented

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _foreign


class Torch(Tensor):
    dtype = "torch.float32"

    def item(self):
        return self.x

    def backward(self):
        raise AssertionError


class Jax(Tensor):
    dtype = np.dtype(np.float32)
    item = Torch.item


class Bare(Tensor):
    dtype = np.dtype(np.float32)


OTHER_NUMBERS = [
    *(kind(x) for kind in (Torch, Jax, Bare) for x in (2.0, 0.5, -1.5)),
    Torch(3),
    *(kind(x) for kind in (Fraction, Decimal) for x in ("0.5", "-1.5", "3")),
    *(kind(3) for kind in (np.uint8, np.int64, np.float16, np.float32, np.float64, np.array)),
    np.bool_(True),
    True,
]
OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "maximum": lambda x, y: x.maximum(y) if isinstance(x, Value) else y.maximum(x),
}


def name(x):
    return f"{type(x).__name__}({getattr(x, 'x', x)})"


@pytest.mark.parametrize("other", OTHER_NUMBERS, ids=name)
@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_a_number_of_another_library_counts_as_its_number(op, other, no_leak):
    number = float(other)
    for f in (op, lambda x, y: op(y, x))[: 1 if op is operator.pow and number < 0 else 2]:  # else complex
        x, y = Value(2.5), Value(2.5)
        found, expected = f(x, other), f(y, number)
        assert found.data == expected.data
        found.backward()
        expected.backward()
        assert x.grad == y.grad


@pytest.mark.parametrize("other", OTHER_NUMBERS, ids=name)
def test_a_number_of_another_library_is_data(other):
    v = Value(other)
    is_int = isinstance(to_python(other), int)
    assert (type(v.data), v.data) == (int if is_int else float, float(other))
    v.data = v.grad = 0
    v.data = v.grad = other
    assert v.data == v.grad == float(other)
    v.data += other if type(other) is not Decimal and not isinstance(other, Tensor) else float(other)
    assert Value(1, (v,), "op").data == 1
    assert array([other, 1.0]).data.tolist() == [float(other), 1]
    assert array(other).data == float(other)


class NeedsGradient(Torch):
    requires_grad = True


@pytest.mark.parametrize("op", OPERATORS.values(), ids=OPERATORS)
def test_a_tensor_that_needs_a_gradient_is_no_number(op):
    for operands in ((Value(2.0), NeedsGradient(1.0)), (NeedsGradient(1.0), Value(2.0))):
        with pytest.raises((TypeError, AssertionError)):
            op(*operands)


NODES = [Value(1), Value(1) * 2, array(1.0), array([1.0, 2.0]), reference.Value(1), NeedsGradient(1.0)]


@pytest.mark.parametrize("node", NODES, ids=lambda node: type(node).__name__)
def test_a_node_as_data_is_refused_for_its_gradient_would_be_lost(node):
    v = Value(1)
    for give in (
        Value,
        lambda x: Value(x, label="x"),
        lambda x: Value(x, (v,), "op"),
        lambda x: setattr(v, "data", x),
        lambda x: setattr(v, "grad", x),
    ):
        with pytest.raises(TypeError, match=f"not a '{type(node).__name__}', whose .* x.data, or x.detach"):
            give(node)
    with pytest.raises(TypeError, match="detach"):
        reference.Value(node)
    assert (v.data, v.grad) == (1, 0)


MANY = [[1.0], (1.0, 2.0), np.ones(3), np.ones((1, 1)), range(3), {1.0}]


@pytest.mark.parametrize("many", MANY, ids=repr)
def test_many_numbers_as_data_are_refused_and_pygrad_array_is_named(many):
    v = Value(1)
    for give in (
        Value,
        lambda x: setattr(v, "data", x),
        lambda x: setattr(v, "grad", x),
        lambda x: Value(x, (v,), "op"),
    ):
        with pytest.raises(TypeError, match=f"not '{type(many).__name__}'; pygrad.array makes Values of many numbers"):
            give(many)
