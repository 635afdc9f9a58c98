"""Numbers of other libraries: whatever has `__float__` or `__index__` is a number wherever pygrad takes one."""

import operator
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import pygrad
from pygrad import Value, array, functional, nn, optim


class Convertible:
    """An object that can only be converted."""

    def __init__(self, x):
        self.x = x

    def __float__(self):
        return float(self.x)


class Integer:
    def __index__(self):
        return 2


class Tensor(Convertible):
    """A tensor of PyTorch without axes, on a GPU."""

    ndim, shape, dtype, requires_grad = 0, (), "torch.float32", False

    def item(self):
        return self.x

    def backward(self):
        raise AssertionError

    def __array__(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


class Cupy(Convertible):
    """An array of CuPy without axes."""

    ndim, shape, dtype = 0, (), np.dtype(np.float32)

    def __array__(self, *args, **kwargs):
        raise RuntimeError("Implicit conversion to a NumPy array is not allowed.")


class BFloat16(Convertible):
    """A scalar of ml_dtypes, whose dtype has the kind of np.void."""

    def __neg__(self):
        return BFloat16(-self.x)


BFloat16.dtype = SimpleNamespace(kind="V", type=BFloat16)

TWO = {
    "convertible": Convertible(2.0),
    "index": Integer(),
    "tensor": Tensor(2.0),
    "cupy": Cupy(2.0),
    "bfloat16": BFloat16(2.0),
    "fraction": Fraction(2),
    "decimal": Decimal(2),
    "numpy float16": np.float16(2),
    "numpy uint8": np.uint8(2),
    "numpy array": np.array(2.0),
}


def assigned(name, x):
    v = Value(1.0)
    setattr(v, name, x)
    return getattr(v, name)


def data_of(x):
    a = array([1.0, 3.0])
    a.data = x
    return a.data


ONE, BOTH = Value(1.0), array([1.0, 4.0])
PROGRAM = pygrad.compile(lambda x: x * x, 1.0)
USES = {
    "v + x": lambda x: ONE + x,
    "x + v": lambda x: x + ONE,
    "v - x": lambda x: ONE - x,
    "x - v": lambda x: x - ONE,
    "v * x": lambda x: ONE * x,
    "v / x": lambda x: ONE / x,
    "x / v": lambda x: x / ONE,
    "v ** x": lambda x: Value(3.0) ** x,
    "x ** v": lambda x: x ** Value(3.0),
    "maximum": lambda x: ONE.maximum(x),
    "v < x": ONE.__lt__,
    "v > x": ONE.__gt__,
    "Value(x)": Value,
    "data": lambda x: assigned("data", x),
    "grad": lambda x: assigned("grad", x),
    "a + x": lambda x: BOTH + x,
    "x + a": lambda x: x + BOTH,
    "a - x": lambda x: BOTH - x,
    "x - a": lambda x: x - BOTH,
    "a / x": lambda x: BOTH / x,
    "x / a": lambda x: x / BOTH,
    "a ** x": lambda x: BOTH**x,
    "a < x": BOTH.__lt__,
    "array": array,
    "array of a list": lambda x: array([x, 1.0]),
    "array of nested lists": lambda x: array([[x], [x]]),
    "array with a Value": lambda x: array([x, ONE]),
    "a.data": data_of,
    "program": lambda x: PROGRAM(x),
    "batch": lambda x: PROGRAM([x, 1.0]),
    "example": lambda x: pygrad.compile(lambda y: y * 3, x)(x),
    "neuron": lambda x: seeded()([x, ONE]),
    "loss": lambda x: functional.mse_loss([1.0, 3.0], x),
    "rate": lambda x: float(optim.SGD([Value(1.0)], lr=x).lr),
}


def seeded():
    neuron = nn.Neuron(2, nonlin=False)
    for i, w in enumerate(neuron.w):
        w.data = i + 1.0
    return neuron


def number(x):
    return np.asarray(getattr(x, "data", x), dtype=float).tolist()


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("use", USES)
def test_a_foreign_number_is_a_number(use, name):
    assert number(USES[use](TWO[name])) == number(USES[use](2.0))


def test_arrays_of_ml_dtypes_are_arrays_of_numbers():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.array([1.0, 2.0], ml_dtypes.bfloat16)
    assert array(x).data.tolist() == [1, 2]
    assert (array([1.0, 1.0]) + x).data.tolist() == [2, 3]
    assert PROGRAM(x).tolist() == [1, 4]
    assert pygrad.compile(lambda y: y.sum(), x)(x) == 3
    assert (x[1] * Value(2.0)).data == 4


@pytest.mark.parametrize(
    "wrong", [np.zeros((), "V4"), np.zeros((), [("a", float)])[()], "2", b"2", 1j, np.complex64(1)]
)
def test_what_is_no_real_number_is_not(wrong):
    with pytest.raises(TypeError):
        ONE * wrong
    with pytest.raises(TypeError):
        array([1.0]) * wrong


def test_an_exception_of_an_object_that_is_no_number_arrives():
    class Broken:
        def __array__(self, *args, **kwargs):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        array([1.0, Broken()])


def test_jax_arrays_are_numbers_and_arrays():
    jnp = pytest.importorskip("jax.numpy")
    for x in (jnp.array(2.5), jnp.array(3), jnp.array(1.5, jnp.bfloat16)):
        for op in (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow):
            assert op(Value(2.0), x).data == op(2.0, float(x))
            assert op(x, Value(2.0)).data == op(float(x), 2.0)
            assert op(x, array([2.0])).data == op(float(x), 2.0)
        assert Value(x).data == array(x).data == float(x)
        assert pygrad.compile(lambda v: v * v, 1.0)(x) == float(x) ** 2
    assert array(jnp.ones(3)).data.tolist() == [1, 1, 1]
    assert pygrad.compile(lambda v: v * v, 1.0)(jnp.ones(3)).tolist() == [1, 1, 1]
