"""Module: its parameters, and their numbers by name."""

import abc
import collections
import dataclasses
import types

import micrograd.nn
import numpy as np
import pytest

import pygrad
from pygrad import Value, nn, optim, reference
from pygrad._mlp import WatchedList
from pygrad.nn import module as nn_module


class GPT(nn.Module):
    """Modules in lists and dicts, Values, a shared module, a computed Array, and attributes that are not parameters."""

    def __init__(self):
        self.embedding = nn.Embedding(5, 4)
        self.blocks = [nn.Sequential(nn.RMSNorm(4), nn.Linear(4, 4)), nn.Linear(4, 4, bias=False)]
        self.heads = {"a": nn.Neuron(4), "b": self.embedding}
        self.scale = Value(2.0)
        self.temperature = 0.5
        self.cache = self.embedding([0, 1]) * 2
        self.parent = self


NAMES = {
    "embedding.weight": (5, 4),
    "blocks.0.modules.0.weight": (4,),
    "blocks.0.modules.1.weight": (4, 4),
    "blocks.0.modules.1.bias": (4,),
    "blocks.1.weight": (4, 4),
    "heads.a.w": (4,),
    "heads.a.b": (),
    "scale": (),
}


def test_parameters_are_the_leaves_by_name():
    model = GPT()
    assert {name: numbers.shape for name, numbers in model.state_dict().items()} == NAMES
    assert len(model.parameters()) == 5 + 4 + 1 + 1
    model.scale.grad = model.embedding.weight.grad = 3.0
    model.zero_grad()
    assert model.scale.grad == 0
    assert not model.embedding.weight.grad.any()


@dataclasses.dataclass
class Record:
    a: object
    b: object
    cache: object = 0.5


Row = collections.namedtuple("Row", "a b")

# What an attribute `held` may be: from two leaves and a computed Value, with the names and shapes in the state.
CONTAINERS = {
    "a list": (lambda a, b, c: [a, b], {"held": (2,)}),
    "a list with a computed Value": (lambda a, b, c: [a, c, b], {"held.0": (), "held.2": ()}),
    "a tuple with a computed Value": (lambda a, b, c: (c, a, b), {"held.1": (), "held.2": ()}),
    "a deque": (lambda a, b, c: collections.deque([a, b]), {"held": (2,)}),
    "a deque with numbers": (lambda a, b, c: collections.deque([1.0, a, b]), {"held.1": (), "held.2": ()}),
    "a UserList": (lambda a, b, c: collections.UserList([a, b]), {"held": (2,)}),
    "a named tuple": (lambda a, b, c: Row(a, b), {"held": (2,)}),
    "a dict": (lambda a, b, c: {"a": a, "b": b, "c": c}, {"held.a": (), "held.b": ()}),
    "a dict of lists": (lambda a, b, c: {1: [a], (2, 3): [[b]]}, {"held.1": (1,), "held.(2, 3).0": (1,)}),
    "a mapping": (lambda a, b, c: collections.UserDict(a=a, b=b), {"held.a": (), "held.b": ()}),
    "the values of a dict": (lambda a, b, c: {"x": a, "y": b}.values(), {"held": (2,)}),
    "a dataclass": (lambda a, b, c: Record(a, b), {"held.a": (), "held.b": ()}),
    "a namespace": (lambda a, b, c: types.SimpleNamespace(a=a, b=b), {"held.a": (), "held.b": ()}),
    "an array of objects": (lambda a, b, c: np.array([a, b]), {"held": (2,)}),
    "a matrix of objects": (lambda a, b, c: np.array([[a], [b]]), {"held.0": (1,), "held.1": (1,)}),
    "an array with numbers": (lambda a, b, c: np.array([a, 1.0, b]), {"held.0": (), "held.2": ()}),
    "a list of an array and Values": (
        lambda a, b, c: [np.array(a), np.ones(3), [c, [b]]],
        {"held.0": (1,), "held.2.1": (1,)},
    ),
    "lists within lists": (lambda a, b, c: [[1.0, 2.0], [[[a]], b], None, "x"], {"held.1.0.0": (1,), "held.1.1": ()}),
}


class Holder(nn.Module):
    def __init__(self, held):
        self.held = held


@pytest.mark.parametrize("name", CONTAINERS)
def test_parameters_are_found_in_whatever_has_an_order(name):
    make, names = CONTAINERS[name]
    a, b = Value(2.0), Value(3.0)
    model = Holder(make(a, b, a * b))
    assert model.parameters() == [a, b]
    state = model.state_dict()
    assert {name: numbers.shape for name, numbers in state.items()} == names
    a.grad, b.data = 1.0, 5.0
    model.zero_grad()
    model.load_state_dict(state)
    assert (a.grad, b.data) == (0, 3)


@pytest.mark.parametrize("view", [lambda w: w.T, lambda w: w[1:], lambda w: w.reshape(-1), lambda w: [w.T, w[0]]])
def test_a_view_of_a_parameter_is_no_parameter_of_its_own(view):
    w, other = pygrad.array(np.ones((3, 2))), pygrad.array([1.0])
    model = Holder([w, view(w), w, other])
    parameters = model.parameters()
    assert len(parameters) == 2
    assert parameters[0] is w
    assert parameters[1] is other
    assert len(Holder([w[:2], w[1:]]).parameters()) == 2
    optim.SGD(parameters, lr=1.0)


def test_a_list_that_contains_itself_is_searched_once():
    held = [Value(1.0)]
    held.append(held)
    assert len(Holder(held).parameters()) == 1
    assert Holder([[], (), {}, np.array([]), np.array([], object), WatchedList()]).state_dict() == {}


@pytest.mark.parametrize("make", [set, frozenset, lambda x: {"a": set(x)}, lambda x: [frozenset([tuple(x)])]])
@pytest.mark.parametrize("ask", [nn.Module.parameters, nn.Module.zero_grad, nn.Module.state_dict])
def test_a_set_of_parameters_is_refused_and_named(make, ask):
    with pytest.raises(TypeError, match=r"Holder\.held.* is a '(frozen)?set', which has no order"):
        ask(Holder(make([Value(1.0), 2.0])))
    assert Holder([make([1.0, 2.0]), Value(1.0)]).parameters()
    assert Holder(make([Value(1.0) * 2])).parameters() == []


class Dotted(nn.Module):
    """Attributes whose names have dots."""

    def __init__(self):
        self.a = Holder(Value(1.0))
        setattr(self, "a.held", Value(2.0))


@pytest.mark.parametrize(
    ("make", "places"),
    [
        (lambda: Holder({1: Value(1.0), "1": Value(2.0)}), [r"Holder.held\[1\]", r"Holder.held\['1'\]"]),
        (lambda: Holder({"a.b": Value(1.0), "a": {"b": Value(2.0)}}), [r"\['a.b'\]", r"\['a'\]\['b'\]"]),
        (lambda: Holder({None: Value(1.0), "None": Value(2.0)}), [r"\[None\]", r"\['None'\]"]),
        (lambda: Holder({"": [[Value(1.0)], 1], ".0": Value(2.0)}), [r"\[''\]\[0\]", r"\['.0'\]"]),
        (Dotted, ["Dotted.a.held", r"Dotted.__dict__\['a.held'\]"]),
    ],
)
def test_two_parameters_of_one_name_are_refused_and_both_are_named(make, places):
    model = make()
    assert len(model.parameters()) == 2
    for ask in (model.state_dict, lambda: model.load_state_dict({})):
        with pytest.raises(ValueError, match="two entries .*" + " and .*".join(places)):
            ask()


def test_a_model_that_keeps_a_million_numbers_is_not_searched_number_by_number(monkeypatch):
    data = [[0.5] * 1000 for _ in range(1000)]
    model = Holder([data, [(1.0, 2)] * 1000, dict.fromkeys(range(1000), 0.5), collections.deque([1.0] * 1000)])
    looked_at = 0

    def counted(*args, search=nn_module._parts_below):
        nonlocal looked_at
        looked_at += 1
        return search(*args)

    monkeypatch.setattr(nn_module, "_parts_below", counted)
    assert model.parameters() == []
    assert looked_at < 10


class Tensor:
    """An object of the user's with a grad, as layers beside micrograd's have them."""

    def __init__(self):
        self.grad = np.ones(3)


class Slotted:
    __slots__ = ("grad",)


class Watched(Value):
    """A Value that sees each assignment to its grad."""

    @property
    def grad(self):
        return self._seen

    @grad.setter
    def grad(self, grad):
        self._seen = grad


PARAMETERS = {
    "Values": lambda: [Value(1), Value(2)],
    "Arrays": lambda: [pygrad.array([1.0, 2.0]), Value(1)],
    "a generator": lambda: (Value(i) for i in range(3)),
    "a tuple": lambda: (Value(1), Tensor()),
    "a set": lambda: {Value(1), Tensor()},
    "dict values": lambda: {"w": Value(1), "b": Tensor()}.values(),
    "an array of objects": lambda: np.array([Value(1), Value(2)], dtype=object),
    "an Array": lambda: pygrad.array([1.0, 2.0]),
    "objects": lambda: [Tensor(), Slotted(), Value(1), Tensor()],
    "another engine's": lambda: [reference.Value(1), micrograd.nn.Value(1), Value(1)],
    "a subclass": lambda: [Watched(1), Value(1)],
    "computed": lambda: [Value(1) * 2, Value(1)],
    "twice the same": lambda: [Value(1)] * 2,
    "one by one": lambda: list(pygrad.array([1.0, 2.0])),
    "nothing": lambda: [],
}


@pytest.mark.parametrize("make", PARAMETERS.values(), ids=PARAMETERS)
@pytest.mark.parametrize("module", [nn, reference, micrograd.nn], ids=lambda module: module.__name__)
def test_zero_grad_sets_the_grad_of_whatever_parameters_returns(module, make):
    found = make()
    kept = found if isinstance(found, pygrad.Array) else list(found)
    for parameter in kept:
        parameter.grad = 3.0

    class Model(module.Module):
        def parameters(self):
            return iter(kept) if found is not kept and make is PARAMETERS["a generator"] else kept

    Model().zero_grad()
    assert all(np.all(parameter.grad == 0) for parameter in kept)


@pytest.mark.parametrize(
    ("wrong", "error"), [([Value(1), 3], AttributeError), (["w"], AttributeError), (None, TypeError)]
)
@pytest.mark.parametrize("module", [nn, reference, micrograd.nn], ids=lambda module: module.__name__)
def test_zero_grad_refuses_what_micrograd_s_refuses(module, wrong, error):
    class Model(module.Module):
        def parameters(self):
            return wrong

    with pytest.raises(error):
        Model().zero_grad()


def test_a_state_is_a_copy_and_can_be_loaded():
    model, other = GPT(), GPT()
    state = model.state_dict()
    model.embedding.weight.data += 1
    assert state["embedding.weight"][0, 0] + 1 == model.embedding.weight.data[0, 0]
    other.load_state_dict(state)
    assert all(np.array_equal(numbers, state[name]) for name, numbers in other.state_dict().items())
    mlp, twin = nn.MLP(2, [3, 1]), nn.MLP(2, [3, 1])
    twin.load_state_dict(mlp.state_dict())
    assert twin([1, 2]).data == mlp([1, 2]).data


def test_a_state_that_does_not_fit_is_refused_and_nothing_is_changed():
    model = nn.Linear(2, 3)
    before = model.state_dict()
    with pytest.raises(KeyError, match=r"lacks \['bias'\].*lacks \['bais'\]"):
        model.load_state_dict({"weight": np.zeros((3, 2)), "bais": np.zeros(3)})
    with pytest.raises(ValueError, match=r"bias has shape \(3,\), but \(2,\) in the state"):
        model.load_state_dict({"weight": np.zeros((3, 2)), "bias": np.zeros(2)})
    for wrong in (np.zeros(3) * 1j, [None] * 3, ["1", "2", "3"]):
        with pytest.raises(TypeError, match="bias must be real numbers in the state"):
            model.load_state_dict({"weight": np.zeros((3, 2)), "bias": wrong})
    with pytest.raises(TypeError, match=r"a state must be a dict, as from state_dict\(\), not 'list'"):
        model.load_state_dict([np.zeros((3, 2)), np.zeros(3)])
    assert all(np.array_equal(numbers, before[name]) for name, numbers in model.state_dict().items())


def test_other_classes_may_be_bases_of_a_module():
    class Model(nn.Module, abc.ABC):
        @abc.abstractmethod
        def __call__(self, x): ...

    class Line(Model):
        def __init__(self):
            self.slope = Value(3.0)

        def __call__(self, x):
            return self.slope * x

    assert Line()(2).data == 6


# Calls -----------------------------------------------------------------------------------------------------------


class Scaled(nn.Module):
    def __init__(self, *parts):
        self.scale, self.parts = Value(2.0), parts

    def forward(self, x, *, twice=False):
        return self.scale * x * (2 if twice else 1)


def test_a_call_runs_forward_with_all_arguments():
    assert Scaled()(3.0).data == 6
    assert Scaled()(3.0, twice=True).data == 12


def test_a_module_without_forward_says_what_to_define():
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing cannot be called: define Nothing.forward\(self, x\)"):
        Nothing()(1.0)
    with pytest.raises(AttributeError, match="missing"):
        type("Wrong", (nn.Module,), {"forward": lambda self, x: self.missing})()(1.0)


# Names, and what is set for a whole model ---------------------------------------------------------------------------

WHOLE = {
    "an attribute": lambda part: Holder(part),
    "a list": lambda part: Holder([1.0, part]),
    "a dict": lambda part: Holder({"a": {"b": part}}),
    "a set": lambda part: Holder({part}),
    "a ModuleList": lambda part: Holder(nn.ModuleList([part])),
    "a Sequential": lambda part: nn.Sequential(part),
    "a dataclass": lambda part: Holder(Record(part, 1)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_train_and_eval_reach_each_module_and_return_the_model(name):
    dropout = nn.Dropout(1.0)
    model = WHOLE[name](dropout)
    assert model.eval() is model
    assert not dropout.training
    assert not model.training
    assert dropout([1.0]).data.tolist() == [1]
    assert model.train() is model
    assert dropout.training
    assert dropout([1.0]).data.tolist() == [0]
    assert nn.Dropout(1.0).training


def test_train_ends_in_a_model_that_contains_itself():
    model = GPT()
    assert not model.eval().blocks[0][1].training
    assert repr(model).startswith("GPT(embedding=Embedding(5, 4), blocks=[Sequential(RMSNorm")
    assert "parent=..." in repr(model)


def test_named_parameters_are_the_parameters_in_order_and_have_the_state_s_names():
    for model in (GPT(), nn.MLP(2, [3, 1]), nn.Linear(2, 2), Holder([Value(1.0), [Value(2.0) * 1]]), nn.Module()):
        named = dict(model.named_parameters())
        assert list(named.values()) == model.parameters()
        assert all(name in model.state_dict() or name.rpartition(".")[0] in model.state_dict() for name in named)
    shared = Value(1.0)
    assert [name for name, _ in Holder([[shared], shared]).named_parameters()] == ["held.0.0"]


FROZEN = {
    "a Linear": (lambda: nn.Linear(2, 1), 2),
    "an MLP": (lambda: nn.MLP(2, [2, 1]), 9),
    "a Sequential": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)), 4),
}


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_module_has_no_parameters_but_a_state(name):
    make, count = FROZEN[name]
    part = make()
    model = Holder([part, nn.Linear(1, 1)])
    state = model.state_dict().keys()
    assert part.requires_grad_(False) is part
    assert (len(part.parameters()), len(model.parameters())) == (0, 2)
    assert [name for name, _ in model.named_parameters()] == ["held.1.weight", "held.1.bias"]
    assert model.state_dict().keys() == state
    model.requires_grad_()
    assert (len(part.parameters()), len(model.parameters())) == (count, count + 2)
