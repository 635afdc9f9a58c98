"""micrograd's modules: the same weights for a seed, the same graph, the same training."""

import collections
import copy
import gc
import pickle
import random
import types
from unittest import mock

import micrograd.nn
import numpy as np
import pytest

import pygrad
from pygrad import Value, functional, nn, reference
from pygrad._lib import fast
from pygrad.nn import neurons
from support import live_nodes, on_cffi
from support.programs import bits, shape


def train(module, steps=20):
    """Losses and final parameters of a small net learning x * y."""
    random.seed(3)
    model = module.MLP(2, [6, 5, 1])
    samples = [(random.uniform(-1, 1), random.uniform(-1, 1)) for _ in range(8)]
    losses = []
    for _ in range(steps):
        loss = sum((model([x, y]) - x * y) ** 2 for x, y in samples)
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= 0.05 * p.grad
        losses.append(loss.data)
    return losses, [p.data for p in model.parameters()]


def test_training_gives_the_reference_s_bits():
    ours, theirs = train(nn), train(reference)
    assert [[bits(x) for x in xs] for xs in ours] == [[bits(x) for x in xs] for xs in theirs]


def test_training_gives_micrograd_s_losses():
    ours, theirs = train(nn), train(micrograd.nn)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-9)


@pytest.mark.parametrize("module", [nn, reference])
def test_modules_have_micrograd_s_repr(module):
    random.seed(5)
    ours = module.MLP(3, [4, 1])
    random.seed(5)
    theirs = micrograd.nn.MLP(3, [4, 1])
    assert repr(ours) == repr(theirs)
    assert [p.data for p in ours.parameters()] == [p.data for p in theirs.parameters()]
    assert isinstance(module.Layer(3, 2)([1, 2, 3]), list)
    assert module.Module().parameters() == []


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("module", [nn, reference])
def test_modules_can_be_copied_and_pickled(module, copied):
    model = module.MLP(2, [3, 1])
    twin = copied(model)
    assert twin([1, 2]).data == model([1, 2]).data
    twin.parameters()[0].data += 1
    assert twin([1, 2]).data != model([1, 2]).data


# In bulk ---------------------------------------------------------------------------------------------------------


def both(make):
    """The same on `pygrad.nn` and on `reference`, from one seed."""
    results = []
    for module in (nn, reference):
        random.seed(7)
        results.append(make(module))
    return results


def agree(ours, theirs, inputs=(0.5, -1.5, 2.0)):
    """Both models give the same graphs, bits and gradients, for Values, for numbers and for a mixture."""
    for mix in ([1] * 5, [0] * 5, [1, 0, 1, 0, 1]):
        results = []
        for model, V in ((ours, Value), (theirs, reference.Value)):
            x = [V(number) if as_value else number for number, as_value in zip(inputs, mix)]
            out = model(x)
            out = out if isinstance(out, list) else [out]
            total = sum(v * v * w for v, w in zip(out, [0.1, 3.0, -7.0, 1e3]))
            for _ in range(2):
                total.backward()
            leaves = [v for v in x if isinstance(v, V)] + [p for p in model.parameters() if isinstance(p, V)]
            results.append(([bits(v.data) for v in out], [shape(v) for v in out], [bits(v.grad) for v in leaves]))
        assert results[0] == results[1]


SIZES = [(3, [4, 4, 1]), (3, [2]), (3, [1]), (1, [3, 2]), (2, [5, 1]), (5, [2, 3])]


@pytest.mark.parametrize(("nin", "nouts"), SIZES)
def test_a_model_s_call_builds_the_reference_s_graph(nin, nouts):
    agree(*both(lambda m: m.MLP(nin, nouts)), inputs=[0.5, -1.5, 2.0, 0.0, 3.5][:nin])


@pytest.mark.parametrize("nonlin", [True, False])
def test_a_neuron_s_and_a_layer_s_call_build_the_reference_s_graph(nonlin):
    agree(*both(lambda m: m.Neuron(3, nonlin=nonlin)))
    agree(*both(lambda m: m.Layer(3, 4, nonlin=nonlin)))
    agree(*both(lambda m: m.Layer(3, 1, nonlin=nonlin)))


def V(module, x):
    return (Value if module is nn else reference.Value)(x)


EDITS = {
    "a weight": lambda m, model: model.layers[0].neurons[1].w.__setitem__(2, V(m, 5.0)),
    "a bias": lambda m, model: setattr(model.layers[1].neurons[0], "b", V(m, -2.0)),
    "one Value for two weights": lambda m, model: (
        model.layers[1].neurons[0].w.__setitem__(0, model.layers[0].neurons[0].w[0])
    ),
    "all weights": lambda m, model: setattr(model.layers[0].neurons[0], "w", [V(m, 1.0), V(m, 2.0), V(m, 3.0)]),
    "a number as a weight": lambda m, model: model.layers[0].neurons[1].w.__setitem__(0, 2.5),
    "a number as a bias": lambda m, model: setattr(model.layers[0].neurons[1], "b", 2.5),
    "linear": lambda m, model: setattr(model.layers[0].neurons[3], "nonlin", False),
    "a layer": lambda m, model: model.layers.__setitem__(1, m.Layer(4, 4)),
    "a layer less": lambda m, model: model.layers.pop(),
    "a layer more": lambda m, model: model.layers.append(m.Layer(2, 3)),
    "all layers": lambda m, model: setattr(model, "layers", [m.Layer(3, 2), m.Layer(2, 2)]),
    "a neuron": lambda m, model: model.layers[0].neurons.__setitem__(0, m.Neuron(3, nonlin=False)),
    "the order of neurons": lambda m, model: model.layers[0].neurons.reverse(),
    "neurons in a tuple": lambda m, model: setattr(model.layers[0], "neurons", tuple(model.layers[0].neurons)),
    "a computed weight": lambda m, model: model.layers[0].neurons[0].w.__setitem__(0, V(m, 2.0) * V(m, 3.0)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_replaced_part_is_used_from_the_next_call(edit):
    def changed(module):
        model = module.MLP(3, [4, 4, 2])
        model([1.0, 2.0, 3.0])
        EDITS[edit](module, model)
        return model

    agree(*both(changed))


MISFITS = {
    "fewer weights": lambda m, model: setattr(model.layers[0].neurons[0], "w", [V(m, 1.0)]),
    "no weights": lambda m, model: model.layers[0].neurons[2].w.clear(),
    "one more weight": lambda m, model: model.layers[1].neurons[0].w.append(V(m, 4.0)),
    "more weights in each neuron": lambda m, model: [n.w.append(V(m, 4.0)) for n in model.layers[0].neurons],
    "a layer": lambda m, model: model.layers.__setitem__(1, m.Layer(4, 3)),
    "a layer more": lambda m, model: model.layers.append(m.Layer(4, 2)),
}


@pytest.mark.parametrize("edit", MISFITS)
@pytest.mark.parametrize("module", [nn, reference])
def test_a_part_of_another_size_is_refused_at_the_next_call(module, edit):
    model = module.MLP(3, [4, 4, 2])
    model([1.0, 2.0, 3.0])
    MISFITS[edit](module, model)
    with pytest.raises(ValueError, match="one input for each weight"):
        model([1.0, 2.0, 3.0])


def test_an_edit_of_a_replaced_list_is_used_from_the_next_call():
    def changed(module):
        model = module.MLP(3, [4, 2])
        mine = [V(module, 1.0), V(module, 2.0), V(module, 3.0)]
        model.layers[0].neurons[0].w = mine
        model([1.0, 2.0, 3.0])
        mine[1] = V(module, -4.0)
        return model

    agree(*both(changed))


OVERRIDES = {
    "Neuron": lambda m, base: {"__call__": lambda self, x: base.__call__(self, x) * 2 + 1},
    "Layer": lambda m, base: {"__call__": lambda self, x: [v * v for v in base.__call__(self, x)]},
    "MLP": lambda m, base: {"__call__": lambda self, x: [v + 1 for v in base.__call__(self, [*x[::-1]])]},
}


@pytest.mark.parametrize("base", OVERRIDES)
@pytest.mark.parametrize("late", [False, True])
def test_an_overridden_call_is_called(base, late):
    def model_with_one(module):
        method = OVERRIDES[base](module, getattr(module, base))
        cls = type(f"My{base}", (getattr(module, base),), {} if late else method)
        if base == "MLP":
            model = cls(3, [4, 4, 2])
        else:
            model = module.MLP(3, [4, 4, 2])
            if base == "Layer":
                model.layers[1] = cls(4, 4)
            else:
                model.layers[0].neurons[2] = cls(3)
        if late:
            model([1.0, 2.0, 3.0])
            cls.__call__ = method["__call__"]
        return model

    agree(*both(model_with_one))


def test_a_subclass_with_another_nonlinearity_works_as_in_micrograd():
    def model(module):
        class Tanh(module.Neuron):
            def __call__(self, x):
                return sum((wi * xi for wi, xi in zip(self.w, x)), self.b).tanh()

        net = module.MLP(3, [4, 2])
        net.layers[0].neurons = [Tanh(3) for _ in range(4)]
        return net

    agree(*both(model))


KINDS = {
    "a list": list,
    "a tuple": tuple,
    "a range": lambda v: range(1, 4),
    "an ndarray": np.array,
    "a strided ndarray": lambda v: np.repeat(v, 2)[::2],
    "an Array": pygrad.array,
    "Values": lambda v: [Value(x) for x in v],
    "an array of objects": lambda v: np.array([Value(x) for x in v]),
    "an iterator": iter,
    "a generator": lambda v: (x for x in v),
    "a map": lambda v: map(Value, v),
    "a deque": collections.deque,
    "the values of a dict": lambda v: dict(enumerate(v)).values(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("make", [lambda m: m.Neuron(3), lambda m: m.Layer(3, 2), lambda m: m.MLP(3, [4, 1])])
def test_inputs_may_be_of_any_kind_in_order(make, kind):
    ours, theirs = both(make)
    ours.parameters()[0].data = theirs.parameters()[0].data = 2.0
    x = [1.0, 2.0, 3.0]
    expected, out = theirs(x), ours(KINDS[kind](x))
    assert [v.data for v in np.ravel(out)] == [v.data for v in np.ravel(expected)]


# Inputs that are not one sample: micrograd ignores the rest, or takes rows for features.
NO_SAMPLES = {
    "too few": ([1.0, 2.0], "one input for each weight, 3, not 2"),
    "too many": ((1.0, 2.0, 3.0, 4.0), "one input for each weight, 3, not 4"),
    "none": ([], "not 0"),
    "too many Values": ([Value(1.0)] * 4, "not 4"),
    "too few in an iterator": (iter([1.0, 2.0]), "not 2"),
    "too many in an ndarray": (np.ones(4), "not 4"),
    "too many in an Array": (pygrad.array(np.ones(4)), "not 4"),
    "too many characters": ("abcd", "not 4"),
    "rows": (np.ones((100, 3)), r"array of shape \(100, 3\): for many samples, \[model\(x\) for x in X\]"),
    "as many rows as weights": (np.ones((3, 3)), r"array of shape \(3, 3\)"),
    "rows of Values": (pygrad.array(np.ones((3, 3))), r"array of shape \(3, 3\)"),
    "a row": (np.ones((1, 3)), r"array of shape \(1, 3\)"),
    "lists of rows": ([[1.0, 2.0, 3.0]] * 100, "not 100"),
}


@pytest.mark.parametrize("given", NO_SAMPLES)
@pytest.mark.parametrize("make", [lambda: nn.Neuron(3), lambda: nn.Layer(3, 2), lambda: nn.MLP(3, [4, 1])])
def test_what_is_not_one_sample_is_refused_with_both_sizes(make, given):
    x, message = NO_SAMPLES[given]
    with pytest.raises(ValueError, match=message):
        make()(iter([1.0, 2.0]) if given == "too few in an iterator" else x)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Neuron(-1), ValueError, "nin must be at least 0, not -1"),
        (lambda: nn.Neuron(2.0), TypeError, "nin must be an int, not 2.0"),
        (lambda: nn.Layer(-1, 2), ValueError, "nin must be at least 0, not -1"),
        (lambda: nn.Layer(-1, 0), ValueError, "nin must be at least 0, not -1"),
        (lambda: nn.Layer(2, -2), ValueError, "nout must be at least 0, not -2"),
        (lambda: nn.Layer(2, "3"), TypeError, "nout must be an int, not '3'"),
        (lambda: nn.MLP(-2, []), ValueError, "nin must be at least 0, not -2"),
        (lambda: nn.MLP(2, [3, -1]), ValueError, r"nouts\[1\] must be at least 0, not -1"),
        (lambda: nn.MLP(2, [3.5, 1]), TypeError, r"nouts\[0\] must be an int, not 3.5"),
        (lambda: nn.MLP([2], [3]), TypeError, r"nin must be an int, not \[2\]"),
        (lambda: nn.MLP(2, 3), TypeError, None),
        (lambda: nn.Linear(-1, 3), ValueError, "in_features must be at least 1, not -1"),
        (lambda: nn.Linear(0, 3), ValueError, "in_features must be at least 1, not 0"),
        (lambda: nn.Linear(3, 0), ValueError, "out_features must be at least 1, not 0"),
        (lambda: nn.Linear(3, 1.0), TypeError, "out_features must be an int, not 1.0"),
        (lambda: nn.Linear(None, 1), TypeError, "in_features must be an int, not None"),
        (lambda: nn.Embedding(0, 3), ValueError, "num_embeddings must be at least 1, not 0"),
        (lambda: nn.Embedding(3, -1), ValueError, "embedding_dim must be at least 1, not -1"),
        (lambda: nn.Embedding(3, 1.5), TypeError, "embedding_dim must be an int, not 1.5"),
        (lambda: nn.RMSNorm(-1), ValueError, "normalized_shape must be at least 1, not -1"),
        (lambda: nn.RMSNorm((2, 0), elementwise_affine=False), ValueError, "at least 1, not 0"),
        (lambda: nn.RMSNorm(2.0), TypeError, "normalized_shape must be an int, not 2.0"),
        (lambda: nn.RMSNorm(()), TypeError, r"normalized_shape must be an int, not \(\)"),
    ],
)
def test_sizes_are_checked_when_a_module_is_made(make, error, message):
    state = random.getstate()
    with pytest.raises(error, match=message):
        make()
    assert random.getstate() == state


def test_sizes_may_be_of_any_integer_type_and_a_model_of_micrograd_s_may_be_empty():
    assert repr(nn.MLP(np.int64(2), np.array([3, 1]))) == repr(nn.MLP(2, (3, 1)))
    assert nn.Linear(np.int8(2), True).weight.shape == (1, 2)
    assert (nn.Neuron(0)([]).data, nn.Layer(2, 0)([1.0, 2.0]), nn.MLP(2, [])([1.0, 2.0])) == (0, [], [1.0, 2.0])


def test_inputs_without_an_order_are_refused():
    with pytest.raises(TypeError, match="'set' has none: pass a list"):
        nn.MLP(3, [2, 1])({1.0, 2.0, 3.0})


def test_inputs_may_be_the_columns_of_many_samples():
    model, X = nn.MLP(2, [3, 1]), np.random.default_rng(1).normal(size=(5, 2))
    assert model(list(pygrad.array(X.T))).data.tolist() == [model(x).data for x in X]


def test_a_call_is_one_c_call_and_holds_its_graph():
    random.seed(7)
    model = nn.MLP(3, [16, 16, 2])
    x = [Value(1.0), Value(2.0), Value(3.0)]
    Value(0.0).relu = abs  # that of one Value, which is no other's
    before = live_nodes()
    with mock.patch.object(neurons, "inputs", None):  # each Neuron's, where they are called one by one
        out = model(x)
    assert live_nodes() - before == 16 * (2 * 3 + 1) + 16 * (2 * 16 + 1) + 2 * 2 * 16
    del out
    assert live_nodes() == before


@pytest.mark.parametrize("x", ["abc", [None, None, None], [[1.0], [2.0], [3.0]], 3.0, None])
def test_wrong_inputs_raise_what_micrograd_raises(x):
    with pytest.raises(TypeError):
        micrograd.nn.MLP(3, [2, 1])(x)
    with pytest.raises(TypeError):
        nn.MLP(3, [2, 1])(x)


def test_an_input_that_changes_the_list_it_is_in_does_no_harm():
    class Clearing(float):
        def __float__(self):
            x.clear()
            return 1.0

    neuron = nn.Neuron(3000)
    for _ in range(20):
        x = [Clearing(1.0)] * 3000
        neuron(x)


@on_cffi
def test_an_input_used_after_its_del_is_a_reference_error():
    v = Value(1.0)
    v.__del__()
    with pytest.raises(ReferenceError):
        nn.Neuron(2)([v, 1.0])


def test_an_inner_layer_of_one_neuron_fails_as_in_micrograd():
    with pytest.raises(TypeError):
        micrograd.nn.MLP(3, [1, 1])([1.0, 2.0, 3.0])
    with pytest.raises(TypeError):
        nn.MLP(3, [1, 1])([1.0, 2.0, 3.0])


def test_a_closure_below_the_inputs_is_run(no_leak):
    random.seed(7)
    model = nn.MLP(1, [3, 1])
    x = Value(2.0)

    def half():
        out = Value(x.data / 2, (x,), "half")

        def _backward():
            x.grad += out.grad / 2

        out._backward = _backward
        return out

    out = model([half()])
    gc.collect()
    out.backward()
    graph = x.grad
    x.grad = 0
    model([x * 0.5]).backward()
    assert x.grad == graph != 0


# A call in C -------------------------------------------------------------------------------------------------------


class OwnValue(Value):
    """A Value of a subclass."""


@pytest.mark.parametrize("n", [1, 64, 65, 300])
@pytest.mark.parametrize("make", [Value, float, round, np.float64, bool, OwnValue], ids=lambda make: make.__name__)
@pytest.mark.parametrize("kind", [list, tuple])
def test_a_call_gives_the_bits_of_its_loop_for_any_number_and_kind_of_inputs(n, make, kind, no_leak):
    layer = nn.Layer(n, 3)
    x = kind(make(xi) if i % 2 else xi for i, xi in enumerate(np.random.default_rng(n).normal(size=n).tolist()))
    out = layer(x)
    loop = [nn.Neuron.__call__.__wrapped__(neuron, x) for neuron in layer.neurons]
    assert [bits(y.data) for y in out] == [bits(y.data) for y in loop]
    assert [shape(y) for y in out] == [shape(y) for y in loop]
    grads = []
    for results in (out, loop):
        layer.zero_grad()
        pygrad.array(results).sum().backward()
        grads.append([bits(p.grad) for p in layer.parameters()])
    assert grads[0] == grads[1]


def test_an_int_that_is_no_float_is_refused_as_in_a_loop():
    with pytest.raises(OverflowError):
        nn.Neuron(1)([10**400])


@pytest.mark.skipif(fast is None, reason="there are no C types here")
def test_a_call_without_memory_for_its_values_leaks_no_node(no_leak):
    layer, custom = nn.Layer(2, 3), Value(1.0, (), "own")
    custom._backward = lambda: None
    for x in ([1.0, 2.0], [custom, 1.0]):
        for successes in range(3):
            try:
                fast.test_fail_objects(successes)
                with pytest.raises(MemoryError):
                    layer(x)
            finally:
                fast.test_fail_objects(-1)
        assert len(layer(x)) == 3


def test_an_array_in_a_replaced_list_is_used_from_the_next_call():
    neuron = nn.Neuron(2)
    neuron.w = [Value(1.0), Value(2.0)]
    neuron([1.0, 1.0])
    neuron.w[0] = pygrad.array([1.0, 2.0])
    assert neuron([1.0, 1.0]).shape == (2,)


# Activations, and forward ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "softplus"])
def test_an_activation_builds_the_reference_s_graph(activation):
    agree(*both(lambda m: m.MLP(3, [4, 4, 2], activation=activation)))
    agree(*both(lambda m: m.Neuron(3, activation=activation)))
    agree(*both(lambda m: m.Layer(3, 2, nonlin=False, activation=activation)))
    assert repr(nn.MLP(3, [2, 1], activation)) == repr(reference.MLP(3, [2, 1], activation))


def test_the_lecture_s_tanh_is_one_c_call_too():
    model = nn.MLP(3, [4, 1], activation="tanh")
    with mock.patch.object(neurons, "inputs", None):
        model([1.0, 2.0, 3.0])


@pytest.mark.parametrize("activation", [Value.tanh, functional.tanh, nn.Tanh(), lambda v: v.tanh()])
def test_an_activation_may_be_a_function_of_a_value(activation):
    random.seed(3)
    named = nn.MLP(3, [4, 1], activation="tanh")
    random.seed(3)
    assert bits(nn.MLP(3, [4, 1], activation=activation)([1.0, 2.0, 3.0]).data) == bits(named([1.0, 2.0, 3.0]).data)


@pytest.mark.parametrize("make", [lambda a: nn.Neuron(2, activation=a), lambda a: nn.MLP(2, [], activation=a)])
@pytest.mark.parametrize("wrong", ["swish", None, 3])
def test_an_unknown_activation_is_refused_with_those_there_are(make, wrong):
    with pytest.raises(ValueError, match=f"activation must be 'relu', 'tanh', .* of a Value, not {wrong!r}"):
        make(wrong)


def test_neurons_of_several_activations_and_a_changed_one_are_called_as_they_are():
    def mixed(module):
        model = module.MLP(3, [4, 4, 2])
        model([1.0, 2.0, 3.0])
        model.layers[0].neurons[1].activation = "tanh"
        model.layers[1].neurons[0].activation = "sigmoid"
        return model

    agree(*both(mixed))


def test_a_replaced_tanh_of_values_is_called(monkeypatch):
    model = nn.MLP(2, [2, 1], activation="tanh")
    before = model([1.0, 2.0]).data
    monkeypatch.setattr(Value, "tanh", lambda v: v * 0.0)
    assert model([1.0, 2.0]).data == model.layers[1].neurons[0].b.data != before


FORWARDS = {
    "Neuron": lambda base: lambda self, x: base.forward(self, x) * 2 + 1,
    "Layer": lambda base: lambda self, x: [v * v for v in base.forward(self, x)],
    "MLP": lambda base: lambda self, x: [v + 1 for v in base.forward(self, [*x[::-1]])],
}


@pytest.mark.parametrize("base", FORWARDS)
@pytest.mark.parametrize("when", ["in the class", "later", "in the object"])
def test_an_overridden_forward_is_called_as_an_overridden_call_is(base, when):
    def model_with_one(module):
        method = (
            FORWARDS[base](getattr(module, base)) if module is nn else OVERRIDES[base](module, getattr(module, base))
        )
        name, function = ("forward", method) if module is nn else ("__call__", method["__call__"])
        cls = type(f"My{base}", (getattr(module, base),), {name: function} if when == "in the class" else {})
        model = cls(3, [4, 4, 2]) if base == "MLP" else module.MLP(3, [4, 4, 2])
        part = model
        if base == "Layer":
            part = model.layers[1] = cls(4, 4)
        elif base == "Neuron":
            part = model.layers[0].neurons[2] = cls(3)
        model([1.0, 2.0, 3.0])
        if when == "later" or (when == "in the object" and module is reference):
            setattr(cls, name, function)
        elif when == "in the object":
            part.forward = types.MethodType(function, part)
        return model

    agree(*both(model_with_one))
