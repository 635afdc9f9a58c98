"""gradcheck: accepts right derivatives, and finds the worst of wrong ones."""

import pickle

import numpy as np
import pytest

import pygrad
from pygrad import GradcheckError, Value, gradcheck

W = pygrad.array([[0.5, -1.0], [2.0, 0.25]])
TABLE = pygrad.array([[1.0, 2.0], [3.0, 4.0]])
RIGHT = {
    "a Value": (lambda x: x.tanh() * x, [0.3]),
    "Values": (lambda x, y: x / y + y.exp(), [Value(0.3), 2]),
    "an Array": (lambda x: (W @ x).tanh(), [np.array([0.5, -0.25])]),
    "a structure": (
        lambda d: {"y": d["a"][0] * d["b"], "z": [d["b"], None, 1.0]},
        [{"a": [2.0, 3.0], "b": np.ones(2)}],
    ),
    "indices": (lambda i, x: (TABLE[i] * x).sum(), [pygrad.index([1, 0]), 0.5]),
    "no numbers": (lambda how, x: getattr(x, how)(), ["exp", 0.5]),
    "no result": (lambda x: [], [0.5]),
    "no argument": (lambda: Value(2.0), []),
}


def wrong_square(x):
    """x * x, whose gradient is that of x * c."""
    out = Value(x.data**2, (x,), "square")
    out._backward = lambda: setattr(x, "grad", x.grad + x.data * out.grad)
    return out


@pytest.mark.parametrize(("f", "args"), RIGHT.values(), ids=RIGHT)
def test_right_derivatives_pass(f, args, no_leak):
    assert gradcheck(f, *args) is True
    if f is not RIGHT["no numbers"][0]:
        plain = [x.data if isinstance(x, Value) else x for x in args]
        program = pygrad.compile(f, *plain)
        before = program.parameters.grad
        assert gradcheck(program, *args) is True
        assert program.parameters.grad.tolist() == before.tolist()


def test_a_wrong_derivative_is_found_with_its_place(no_leak):
    with pytest.raises(GradcheckError) as found:
        gradcheck(lambda x, y: [y.sum(), {"out": wrong_square(y[1]) * 3}], 1.0, Y)
    text = str(found.value)
    assert (
        "the derivative of the result[1]['out'] by argument 1[1] is 6.0, and by differences 12, an error of 6" in text
    )
    assert text.endswith("1 of 8 derivatives is wrong")
    assert gradcheck(lambda x: wrong_square(x), 2.0, raise_exception=False) is False
    with pytest.raises(RuntimeError, match="by argument 0 is 2"):
        gradcheck(lambda x: wrong_square(x), 2.0)


Y = np.array([5.0, 2.0, 1.0])


def test_the_worst_of_several_is_named():
    def f(d):
        return d["w"][0].detach() * 2 + d["w"][1].detach() * 100 + d["b"]

    with pytest.raises(
        GradcheckError, match=r"by argument 0\['w'\]\[1\] is 0\.0, .* 100, .*; 2 of 3 derivatives are wrong"
    ):
        gradcheck(f, {"w": np.ones(2), "b": 1.0})


@pytest.mark.parametrize("backend", ["kernels", "native"])
def test_a_wrong_derivative_of_a_program_is_found(backend):
    w = pygrad.array([1.0, 2.0])
    f = pygrad.compile(lambda x: (w * w.detach()).sum() * x["a"], {"a": 2.0}, backend=backend)
    for g in (f, pickle.loads(pickle.dumps(f))):
        with pytest.raises(GradcheckError, match=r"by the parameters\[1\] is 4\.0, and by differences 8, .*; 2 of 3"):
            gradcheck(g, {"a": 2.0})
    assert (
        gradcheck(pygrad.compile(lambda x: x.detach() * 2, 1.0, backend=backend), 3.0, raise_exception=False) is False
    )


def test_tolerances_are_those_of_torch():
    f = lambda x: x + 1e-4 * x.detach()  # noqa: E731
    assert gradcheck(f, 1.0)
    assert not gradcheck(f, 1.0, atol=1e-6, rtol=1e-6, raise_exception=False)
    assert not gradcheck(lambda x: (x * 1e3).sin(), 0.001, eps=1e-2, raise_exception=False)
    assert not gradcheck(lambda x: x.sqrt() ** 2 * float("inf"), 1.0, raise_exception=False)  # nan


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(TypeError, match="Values, Arrays or numbers, got 'str'"):
        gradcheck(lambda x: "x", 1.0)
    f = pygrad.compile(lambda x: x, np.ones(2))
    with pytest.raises(ValueError, match="one sample, got a batch"):
        gradcheck(f, np.ones((3, 2)))
    with pytest.raises(TypeError, match="takes 1 argument"):
        gradcheck(f)
