"""clip_grad_norm_() works as in PyTorch."""

import math
import re

import numpy as np
import pytest

from pygrad import Value, array, nn
from pygrad.optim import clip_grad_norm_
from support.optimizers import KINDS, far_from_0, flat, set_grads


def clipped(grads, max_norm, norm_type=2.0):
    """torch.nn.utils.clip_grad_norm_."""
    grads = np.array(grads, dtype=float)
    with np.errstate(all="ignore"):
        norm = np.linalg.norm(grads, norm_type)
        return norm, grads * np.minimum(max_norm / (norm + 1e-6), 1.0)


@pytest.mark.parametrize("norm_type", [2.0, 1, 3, 0.5, math.inf, -math.inf, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_grads_are_clipped_as_in_torch(kind, norm_type):
    rng = np.random.default_rng(3)
    for size in [1, 65, 200]:
        grads = far_from_0(rng, size)
        for max_norm in [1e-3, 1, 10, 1e9, 0, np.float64(0.5), math.inf]:
            params = KINDS[kind](far_from_0(rng, size))
            before = flat(params)
            set_grads(params, grads)
            norm, expected = clipped(grads, max_norm, norm_type)
            result = clip_grad_norm_(params, max_norm, norm_type)
            assert type(result) is float
            assert result == pytest.approx(norm, rel=1e-14)
            np.testing.assert_allclose(flat(params, "grad"), expected, rtol=1e-14)
            np.testing.assert_array_equal(flat(params), before)


def test_small_grads_keep_their_bits():
    w = array([0.3, 0.4])
    w.grad = [0.3, 0.4]
    assert clip_grad_norm_([w], 0.51) == 0.5
    assert w.grad.tolist() == [0.3, 0.4]
    clip_grad_norm_([w], 0.5)  # torch adds 1e-6 to the norm
    np.testing.assert_allclose(w.grad, np.array([0.3, 0.4]) * 0.5 / (0.5 + 1e-6), rtol=1e-15)
    w.grad = 0
    assert clip_grad_norm_([w], 1.0) == 0
    assert w.grad.tolist() == [0, 0]


def test_no_parameters_have_the_norm_0():
    assert clip_grad_norm_([], 1.0) == 0
    assert clip_grad_norm_(iter(()), 1.0) == 0
    assert clip_grad_norm_([array([])], 1.0) == 0


def test_parameters_to_clip_may_come_in_any_iterable_and_be_computed():
    v, w = Value(1.0), array([1.0]) * 2
    v.grad, w.grad = 3, 4
    assert clip_grad_norm_((p for p in (v, w)), 0.5) == 5
    assert v.grad == pytest.approx(0.3, rel=1e-6)


def test_max_norm_may_be_any_number():
    w = array([3.0, 4.0])
    w.grad = [3.0, 4.0]
    clip_grad_norm_([w], np.float32(0.5))
    np.testing.assert_allclose(w.grad, clipped([3.0, 4.0], 0.5)[1], rtol=1e-14)


@pytest.mark.parametrize(
    ("grads", "norm_type"),
    [([1.0, math.inf], 2), ([1.0, -math.inf], math.inf), ([1e200, 1e200], 2), ([1e200, 1.0], 3), ([1e308, 1e308], 1)],
)
def test_infinite_grads_and_norms_are_clipped_as_in_torch_without_a_warning(grads, norm_type):
    w = array([1.0, 2.0])
    w.grad = grads
    norm, expected = clipped(grads, 1.0, norm_type)
    assert clip_grad_norm_([w], 1.0, norm_type) == norm == math.inf
    np.testing.assert_array_equal(w.grad, expected)


def test_one_nan_grad_makes_all_grads_nan_as_in_torch():
    w = array([1.0, 2.0])
    w.grad = [100.0, math.nan]
    assert math.isnan(clip_grad_norm_([w], 1.0))
    np.testing.assert_array_equal(w.grad, [math.nan, math.nan])


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (([1.0], 1.0), TypeError),
        (([[Value(1.0)]], 1.0), TypeError),
        ((None, 1.0), TypeError),
        ((3, 1.0), TypeError),
        (([Value(1.0)], None), TypeError),
        (([Value(1.0)], "1"), TypeError),
        (([Value(1.0)], 1.0, "fro"), ValueError),
    ],
)
def test_wrong_arguments_of_clip_grad_norm_are_refused(args, error):
    with pytest.raises(error):
        clip_grad_norm_(*args)


@pytest.mark.parametrize("make", [lambda: Value(1.0), lambda: array(1.0)], ids=["Value", "Array"])
def test_a_bare_parameter_is_clipped_as_in_torch_or_refused_by_name(make):
    w = make()
    w.grad = 5.0
    try:
        assert clip_grad_norm_(w, 1.0) == 5
    except TypeError as error:
        assert re.search(r"\[w\]|list", str(error))  # noqa: PT017


def test_a_bare_array_is_clipped():
    w = array([1.0, 2.0])
    w.grad = [3.0, 4.0]
    assert clip_grad_norm_(w, 1.0) == 5


@pytest.mark.parametrize("max_norm", [-1.0, -1e-9, math.nan, -math.inf])
def test_a_negative_norm_is_refused(max_norm):
    w = Value(1.0)
    w.grad = 3.0
    with pytest.raises(ValueError, match="max_norm must not be negative"):
        clip_grad_norm_([w], max_norm)
    assert w.grad == 3


@pytest.mark.parametrize("grad", [math.inf, math.nan, 1e200])
def test_a_norm_that_is_not_finite_raises_if_asked_and_no_grad_has_changed(grad):
    w = array([1.0, 2.0])
    w.grad = [grad, grad]
    with pytest.raises(FloatingPointError, match=r"the norm of the grads is (inf|nan); error_if_nonfinite=False"):
        clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(w.grad, [grad, grad])
    w.grad = 3.0
    clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    assert np.linalg.norm(w.grad) == pytest.approx(1, rel=1e-5)


def test_a_module_in_place_of_its_parameters_is_refused():
    with pytest.raises(TypeError, match=r"pass the parameters of the Linear, model.parameters\(\)"):
        clip_grad_norm_(nn.Linear(1, 1), 1.0)
