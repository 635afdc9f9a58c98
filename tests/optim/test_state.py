"""state_dict(), load_state_dict() and copies of optimizers."""

import copy
import pickle

import numpy as np
import pytest

from pygrad import Value, array
from pygrad.optim import SGD, Adam, AdamW, Optimizer, RMSprop, linear
from support.optimizers import RULES, far_from_0, flat, make_values, set_grads


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("done", [0, 1, 7])
def test_a_loaded_state_continues_exactly(name, done):
    cls, _, options = RULES[name]
    options = {**options, "lr": linear(0.3, 30)}
    rng = np.random.default_rng(2)
    w, grads = array(far_from_0(rng, 70)), far_from_0(rng, (20, 70))
    optimizer = cls([w], **options)
    for g in grads[:done]:
        w.grad = g
        optimizer.step()
    state, data = optimizer.state_dict(), w.data.copy()
    saved = {key: np.array(x) for key, x in pickle.loads(pickle.dumps(state)).items()}
    for g in grads[done:]:
        w.grad = g
        optimizer.step()
    for loaded in [state, saved, {key: x.tolist() for key, x in saved.items()}]:
        again = [*make_values(data[:30]), array(data[30:].reshape(4, 10))]
        other = cls(again, **options)
        set_grads(again, grads[0])
        other.step()  # loading overwrites this state
        set_grads(again, np.zeros(70))
        again[-1].data = data[30:].reshape(4, 10)
        for v, x in zip(again, data[:30]):
            v.data = x
        other.load_state_dict(loaded)
        assert (other.steps, other.lr) == (done, linear(0.3, 30)(done))
        for g in grads[done:]:
            set_grads(again, g)
            other.step()
        np.testing.assert_array_equal(flat(again), w.data)


def test_a_state_has_torch_s_names_and_is_a_copy():
    w = array([1.0, 2.0])
    for cls, options, names in [
        (SGD, {}, set()),
        (SGD, {"momentum": 0.9}, {"step", "momentum_buffer"}),
        (Adam, {}, {"step", "exp_avg", "exp_avg_sq"}),
        (AdamW, {}, {"step", "exp_avg", "exp_avg_sq"}),
    ]:
        optimizer = cls([w], **options)
        w.grad = [3.0, 4.0]
        optimizer.step()
        state = optimizer.state_dict()
        assert state.keys() == {"steps", "lr", *optimizer.param_groups[0].OPTIONS, *names}
        assert state["steps"] == 1
        for name in names - {"step"}:
            assert state[name].shape == (2,)
            state[name][:] = 0
            assert optimizer.state_dict()[name].all()
        optimizer.load_state_dict(state)
        optimizer.step()
        assert not any(state[name].any() for name in names - {"step"})


GOOD = {"steps": 3, "exp_avg": [1.0, 2.0], "exp_avg_sq": [3.0, 4.0]}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: {"steps": 3}, KeyError, "exp_avg"),
        (lambda s: {}, KeyError, "steps"),
        (lambda s: {**s, "momentum_buffer": [0.0, 0.0]}, KeyError, "momentum_buffer"),
        (lambda s: {"exp_avg": [0.0, 0.0], "exp_avg_sq": [0.0, 0.0]}, KeyError, "steps"),
        (lambda s: {**s, "exp_avg": [1.0]}, ValueError, r"exp_avg has shape \(1,\).*\(2,\)"),
        (lambda s: {**s, "exp_avg_sq": 1.0}, ValueError, r"exp_avg_sq has shape \(\)"),
        (lambda s: {**s, "exp_avg_sq": [[1.0, 2.0]]}, ValueError, r"exp_avg_sq has shape \(1, 2\)"),
        (lambda s: {**s, "steps": "x"}, (TypeError, ValueError), None),
        (lambda s: {**s, "steps": None}, TypeError, None),
        (lambda s: {**s, "exp_avg_sq": [1.0, "x"]}, (TypeError, ValueError), None),
        (lambda s: {**s, "exp_avg": [1.0, None]}, (TypeError, ValueError), None),
        (lambda s: {**s, "exp_avg": [1j, 1]}, (TypeError, ValueError), None),
        (lambda s: {**s, "steps": -1}, ValueError, "steps"),
        (lambda s: {**s, "steps": 2**70}, ValueError, r"steps must be below 2\*\*63"),
        (lambda s: {**s, "steps": 2.5}, (TypeError, ValueError), None),
        (lambda s: {**s, 3: 4}, KeyError, "3"),
        (lambda s: list(s), TypeError, r"a state must be a dict, as from state_dict\(\), not 'list'"),
    ],
)
def test_a_wrong_state_is_refused_and_nothing_is_changed(change, error, message):
    optimizer = Adam([array([1.0, 2.0])])
    optimizer.load_state_dict({"steps": 9, "exp_avg": [5.0, 6.0], "exp_avg_sq": [7.0, 8.0]})
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(change(GOOD))
    state = optimizer.state_dict()
    assert (state["steps"], state["exp_avg"].tolist(), state["exp_avg_sq"].tolist()) == (9, [5, 6], [7, 8])


def test_a_state_of_another_kind_is_a_key_error():
    w = [Value(1.0)]
    two = [{"params": w}, {"params": [Value(2.0)]}]
    for ours, theirs in [(SGD(w), Adam(w)), (Adam(w), RMSprop(w)), (SGD(w), SGD(two)), (SGD(two), SGD(w))]:
        with pytest.raises(KeyError):
            ours.load_state_dict(theirs.state_dict())
    for state in ({"steps": 3}, {"steps": 3, "momentum": 0.9}):
        with pytest.raises(KeyError, match="momentum_buffer"):
            SGD(w, momentum=0.9).load_state_dict(state)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_an_optimizer_is_copied_with_its_parameters(copied):
    w = array([1.0, 2.0])
    optimizer = SGD([w], lr=0.5, momentum=0.9)
    w.grad = 1
    optimizer.step()
    v, other = copied((w, optimizer))
    v.grad = 1
    other.step()
    assert w.data.tolist() == [0.5, 1.5]
    np.testing.assert_allclose(v.data, [0.5 - 0.5 * 1.9, 1.5 - 0.5 * 1.9])


def test_the_base_class_of_optimizers_takes_no_steps():
    with pytest.raises(NotImplementedError):
        Optimizer([Value(1.0)], 0.1).step()
