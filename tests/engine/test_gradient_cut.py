"""GradientCutWarning: where a calculation takes a computed Value's number, and its gradient is lost."""

import array
import cmath
import gc
import math
import operator
import types
import warnings
import weakref
from math import sqrt as root

import numpy as np
import pytest

import pygrad
from pygrad import GradientCutWarning, Value
from support import frees_functions


def store(v):
    numbers = np.zeros(2)
    numbers[0] = v
    return numbers


def store_in_array(v):
    numbers = array.array("d", [0.0])
    numbers[0] = v


def with_a_local_name(v):
    sine = math.sin
    return sine(v)


CUTS = {
    "math.exp": lambda v: 2 * math.exp(v) + 1,
    "math.pow, second": lambda v: math.pow(2, v),
    "math.hypot": lambda v: math.hypot(3.0, v),
    "math.atan2": lambda v: math.atan2(v, v),
    "from math import": lambda v: root(v),
    "a local name": with_a_local_name,
    "over lines": lambda v: math.log(
        v,
    ),
    "cmath": lambda v: cmath.exp(v),
    "__setitem__": lambda v: np.zeros(2).__setitem__(0, v),
    "setitem": lambda v: operator.setitem(np.zeros(2), 0, v),
    "fill": lambda v: [np.zeros(2)][0].fill(v),
    "array.append": lambda v: array.array("d").append(v),
    "an argument of float": lambda v: float(math.tanh(v)),
    "stored in an ndarray": store,
    "stored in an array": store_in_array,
}
NO_CUTS = {
    "float": lambda v: float(v) + 1,
    "float inside a function of math": lambda v: math.exp(float(v)),
    "its data": lambda v: math.exp(v.data),
    "int": lambda v: int(v),
    "round": lambda v: round(v, 2),
    "print": lambda v: str(v) + repr(v),
    "f-string": lambda v: f"{v:.4f} {v}",
    "format": lambda v: "{:.4f}".format(v),  # noqa: UP032
    "%": lambda v: "%.4f" % v,  # noqa: UP031
    "isnan": lambda v: (math.isnan(v), math.isfinite(v), math.isinf(v), math.isclose(v, 1.0)),
    "floor": lambda v: (math.floor(v), math.ceil(v), math.trunc(v)),
    "its own op": lambda v: v.exp(),
    "an array of numbers": lambda v: np.array([v, v], dtype=float),
    "np.float64": lambda v: np.float64(v),
    "stored in a list": lambda v: [0].__setitem__(0, v),
}


@pytest.fixture
def computed():
    return Value(0.5) * 2.0


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_warns_where_it_happens(cut, computed):
    with pytest.warns(GradientCutWarning, match="cuts off its gradient") as caught:
        CUTS[cut](computed)
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("use", NO_CUTS)
def test_asking_for_the_number_does_not_warn(use, computed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NO_CUTS[use](computed)


def test_an_array_without_axes_warns_as_well():
    with pytest.warns(GradientCutWarning, match=r"write v\.exp\(\)"):
        math.exp(pygrad.array([1.0, 0.5]).sum())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        float(pygrad.array(2.0) * 2)
        math.exp(pygrad.array(2.0))


@pytest.mark.parametrize("cut", CUTS)
def test_a_leaf_does_not_warn(cut):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CUTS[cut](Value(0.5))


def test_each_place_warns_once(computed):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(10):
            math.exp(computed)
        math.exp(computed)
    assert len(caught) == 2


def test_the_warning_names_the_op_and_can_be_an_error(computed):
    with warnings.catch_warnings():
        warnings.simplefilter("error", pygrad.GradientCutWarning)
        with pytest.raises(GradientCutWarning, match=r"write v\.tanh\(\), or math\.tanh\(v\.data\)"):
            math.tanh(computed)
        with pytest.raises(GradientCutWarning, match="an op of Values"):
            math.erf(computed)


def test_a_place_that_cuts_warns_each_time_after_one_that_does_not(computed):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert float(computed) + math.exp(computed) == 1 + math.e
    assert len(caught) == 3


@frees_functions
def test_the_places_that_are_remembered_are_few(computed):
    def ask(v):
        return float(v)

    codes = []
    for line in range(3000):
        code = ask.__code__.replace(co_firstlineno=line + 1)
        assert types.FunctionType(code, globals())(computed) == 1
        codes.append(weakref.ref(code))
    del code
    gc.collect()
    assert sum(code() is not None for code in codes) <= 1024 + 64
