"""Operators and methods that a program assigns to Value, or overrides in a subclass, are honoured by what uses them."""

import random

import pytest

from pygrad import Value, nn

REFLECTED = [("__add__", lambda v: 2 + v), ("__mul__", lambda v: 2.0 * v), ("__mul__", lambda v: True * v)]
MODELS = [lambda: nn.Neuron(2), lambda: nn.Layer(2, 2), lambda: nn.MLP(2, [2, 1])]


@pytest.fixture(params=["__add__", "__mul__", "relu"])
def patched(request, monkeypatch):
    """The calls of one method of Value, which a program has replaced by a function that does the same."""
    calls = []
    original = getattr(Value, request.param)

    def method(self, *args):
        calls.append(self)
        return original(self, *args)

    monkeypatch.setattr(Value, request.param, method)
    return calls


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("x", [[1.0, 2.0], [Value(1.0), Value(2.0)]])
def test_models_call_the_operators_that_were_assigned(make, x, patched):
    model = make()
    model(x)
    assert patched


@pytest.mark.parametrize("make", MODELS)
def test_models_give_the_same_before_while_and_after_a_patch(make, monkeypatch):
    random.seed(0)
    model = make()

    def number(y):
        return [v.data for v in y] if isinstance(y, list) else y.data

    before = number(model([1.0, 2.0]))
    with monkeypatch.context() as patch:
        patch.setattr(Value, "relu", lambda self: self * 1)
        linear = number(model([1.0, 2.0]))
        patch.setattr(Value, "__mul__", lambda self, other: Value(7.0))
        sevens = number(model([1.0, 2.0]))
    assert number(model([1.0, 2.0])) == before
    assert linear != sevens
    assert sevens in (7, 14, [7, 7])


def test_a_patch_of_relu_is_honoured_by_a_model_that_has_been_called(monkeypatch):
    model = nn.Neuron(1)
    model.w[0].data, model.b.data = -3.0, 0.0
    assert model([1.0]).data == 0
    monkeypatch.setattr(Value, "relu", lambda self: self * 0.1 if self.data < 0 else self)
    assert model([1.0]).data == pytest.approx(-0.3)


@pytest.mark.parametrize(("name", "reflect"), REFLECTED)
def test_a_reflected_operator_calls_the_operator_that_was_assigned(name, reflect, monkeypatch):
    monkeypatch.setattr(Value, name, lambda self, other: "mine")
    assert reflect(Value(1.0)) == "mine"


@pytest.mark.parametrize(("name", "reflect"), REFLECTED)
def test_a_reflected_operator_calls_the_operator_of_a_subclass(name, reflect):
    Sub = type("Sub", (Value,), {name: lambda self, other: "mine"})
    assert reflect(Sub(1.0)) == "mine"
    assert type(reflect(Value(1.0))) is Value


@pytest.mark.parametrize(("name", "reflect"), REFLECTED)
def test_an_operator_that_was_assigned_may_call_the_original(name, reflect, monkeypatch):
    original = getattr(Value, name)
    expected = reflect(Value(3.0)).data
    monkeypatch.setattr(Value, name, lambda self, other: original(self, other))
    assert reflect(Value(3.0)).data == expected


def test_weights_of_a_subclass_use_their_operators():
    class Doubled(Value):
        def __mul__(self, other):
            return super().__mul__(other) * 2

    model = nn.Neuron(2, nonlin=False)
    model.w = [Doubled(1.0), Doubled(2.0)]
    assert model([1.0, 1.0]).data == 6
    assert model([Value(1.0), Value(1.0)]).data == 6


def test_inputs_of_a_subclass_keep_what_the_operators_of_the_weights_make_of_them():
    class Input(Value):
        pass

    model = nn.Neuron(1, nonlin=False)
    x = Input(2.0)
    assert model([x]).data == model.w[0].data * 2 + model.b.data


@pytest.mark.parametrize("wrong", ["x", None, object(), [1]])
@pytest.mark.parametrize("operate", [lambda x: x * Value(1), lambda x: x + Value(1)])
def test_other_operands_are_still_refused(operate, wrong):
    with pytest.raises(TypeError):
        operate(wrong)


def set_by_name(v, name, to):
    setattr(v, name, to)


def set_in_a_statement(v, name, to):
    if name == "data":
        v.data = to
    else:
        v.grad = to


def add_in_place(v, name, to):
    if name == "data":
        v.data += to
    else:
        v.grad += to


@pytest.mark.parametrize("write", [set_by_name, set_in_a_statement, add_in_place])
@pytest.mark.parametrize("name", ["data", "grad"])
def test_a_property_that_replaces_an_attribute_is_read_and_written(name, write, monkeypatch):
    v = Value(0.0)
    own = getattr(Value, name)
    monkeypatch.setattr(Value, name, property(lambda v: own.__get__(v) * 10, lambda v, to: own.__set__(v, to + 1)))
    write(v, name, 2.0)
    assert getattr(v, name) == 30
    assert name == "grad" or float(v) == 30
    monkeypatch.undo()
    assert getattr(v, name) == 3
    write(v, name, 4.0)
    assert getattr(v, name) in (4, 7)


def test_an_attribute_is_found_after_others_of_the_type_have_gone(monkeypatch):
    v = Value(1.0)
    for name in ("_first", "_second"):
        setattr(Value, name, 0)
    del Value._first
    own = Value.data
    del Value.data
    Value.data = own  # now the last of the type's attributes
    v.data = 2.0
    monkeypatch.setattr(Value, "data", property(lambda v: 5.0, lambda v, to: None))
    v.data = 3.0
    monkeypatch.undo()
    assert v.data == 2
    del Value._second
