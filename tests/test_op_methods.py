"""The methods of ops look like methods that were written out: in help(), in tracebacks and to `inspect`."""

import inspect
import traceback

import pytest

from pygrad import Value, array
from pygrad._lib import OPS
from pygrad.array.elementwise import Elementwise

METHODS = [(cls, method) for cls in (Value, Elementwise) for method in vars(cls).values() if hasattr(method, "symbol")]


@pytest.mark.parametrize(("cls", "method"), METHODS, ids=lambda x: x.__qualname__)
def test_an_op_has_its_own_name_signature_and_docstring(cls, method):
    name = method.__name__
    assert getattr(cls, name) is method
    assert method.__qualname__ == f"{cls.__name__}.{name}"
    assert method.__code__.co_name == name
    assert list(inspect.signature(method).parameters) == ["self", "other"][: 1 + ((method.symbol, 2) in OPS)]
    assert inspect.signature(method).return_annotation == ("Value" if cls is Value else "Array")
    assert inspect.getdoc(method)
    assert method.__module__ == cls.__module__


@pytest.mark.parametrize("x", [Value(1e3), array([1e3])], ids=["Value", "Array"])
def test_a_traceback_names_the_op(x):
    with pytest.raises(OverflowError) as raised:
        x.exp()
    assert "exp" in [frame.name for frame in traceback.extract_tb(raised.tb)]


@pytest.mark.parametrize("x", [Value(2.0), array(2.0)], ids=["Value", "Array"])
def test_an_operand_can_be_given_by_keyword(x):
    assert x.maximum(other=3.0).data == 3
    assert x.minimum(other=Value(3.0)).data == 2
    for wrong in ({"y": 3.0}, {}, {"other": 3.0, "y": 1.0}):
        with pytest.raises(TypeError, match=r"m\w+imum\(\) "):
            x.maximum(**wrong)
    with pytest.raises(TypeError, match="multiple values for argument 'other'"):
        x.minimum(1.0, other=2.0)
