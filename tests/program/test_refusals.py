"""What compile and Programs refuse, and what they say."""

import os
import pickle
import signal
import threading

import numpy as np
import pytest

import pygrad
from pygrad import Value
from pygrad import functional as F
from support import frees_at_once, live_nodes, on_cffi, with_fork


def test_arguments_unlike_the_traced_ones_are_refused():
    f = pygrad.compile(lambda x, y: x.sum() * y, np.zeros(3), 1.0)
    with pytest.raises(TypeError, match=r"<lambda>\(\) takes 2 arguments \(shapes \(3,\), \(\)\), got 1"):
        f([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="got 3"):
        f.value_and_grad(1.0, 2.0, 3.0)
    shape = r"argument 0 must have shape \(3,\), or for a batch \(B, 3\); got shape "
    for x, s in [([1.0], r"\(1,\)"), (1.0, r"\(\)"), (np.zeros((2, 3, 1)), r"\(2, 3, 1\)"), ([], r"\(0,\)")]:
        with pytest.raises(ValueError, match=shape + s):
            f(x, 1.0)
    with pytest.raises(ValueError, match=r"argument 1 must have shape \(\), or for a batch \(B,\)"):
        f(np.zeros(3), [[1.0]])
    with pytest.raises(ValueError, match=r"argument 0 must have shape .* no array"):
        f([1.0, [2.0]], 1.0)
    with pytest.raises(ValueError, match="argument 0 is a batch of 2, argument 1 is a batch of 4"):
        f(np.zeros((2, 3)), np.zeros(4))
    with pytest.raises(ValueError, match="cotangent must have one number for each sample of the batch of 2, got 3"):
        f.value_and_grad(np.zeros((2, 3)), 1.0, cotangent=[1.0] * 3)
    with pytest.raises(ValueError, match="cotangent must be a number"):
        f.value_and_grad(np.zeros(3), 1.0, cotangent=[[1.0]])


@pytest.mark.parametrize("x", ["1.0", None, 1j, [1.0, "2", 3.0], {}, object()])
def test_a_non_number_is_refused(x):
    f = pygrad.compile(lambda x: x[0], [0.0] * 3)
    with pytest.raises(TypeError, match="argument 0 must consist of real numbers"):
        f(x)
    g = pygrad.compile(lambda x: x[0], ([0.0], 1.0))
    with pytest.raises(TypeError, match=r"argument 0\[0\]\[0\] must consist of real numbers"):
        pygrad.compile(lambda x: x[0][0], ([0.0], 1.0))(([x], 1.0))
    del g


@pytest.mark.parametrize("x", ["1.0", object(), 1j, [1.0, "2"], Value(1.0), {"a": "1.0"}, np.array("x")])
def test_a_wrong_example_is_refused(x):
    with pytest.raises(TypeError, match="an example must be a number"):
        pygrad.compile(lambda x: x, x)


@pytest.mark.parametrize("x", ["1.0", None, [1.0, "2"], object(), 1j])
def test_a_wrong_result_is_refused(x):
    with pytest.raises(TypeError, match=r"<lambda>\(\) must return Values, Arrays, numbers, or lists"):
        pygrad.compile(lambda _: x, 1.0)


@pytest.mark.parametrize("result", [lambda x: [x], lambda x: pygrad.array([x]), lambda x: {"x": x}, lambda x: []])
def test_a_gradient_requires_a_scalar_result(result):
    f = pygrad.compile(result, 1.0)
    with pytest.raises(TypeError, match=r"needs a function with one scalar result; <lambda>\(\) returns"):
        f.value_and_grad(1.0)


@pytest.mark.parametrize("threads", [0, -1, 1 << 31, 1.5, "2", None])
def test_threads_must_be_a_positive_int(threads):
    error = TypeError if not isinstance(threads, int) else ValueError
    with pytest.raises(error, match=f"threads must be between 1 and .*, got {threads}|integer"):
        pygrad.compile(lambda x: x, 1.0, threads=threads)
    f = pygrad.compile(lambda x: x, 1.0)
    with pytest.raises(error):
        f.threads = threads
    assert f.threads == 1


def test_the_parameters_cannot_be_assigned():
    w = Value(2.0)
    f = pygrad.compile(lambda x: x * w, 1.0)
    with pytest.raises(AttributeError):
        f.parameters = pygrad.array([])
    assert f.parameters.tolist() == [w]


@on_cffi
def test_a_dead_result_is_a_reference_error(no_leak):
    def fn(x):
        y = x * 2
        y.__del__()
        return y

    with pytest.raises(ReferenceError, match="the result of fn: the node was freed"):
        pygrad.compile(fn, 1.0)


def test_a_function_may_have_any_name():
    class Twice:
        __name__ = 5

        def __call__(self, x):
            return x * 2

    f = pickle.loads(pickle.dumps(pygrad.compile(Twice(), 1.0)))
    assert f(3.0) == 6
    assert "Twice" in repr(f)


def test_a_value_with_a_python_backward_is_refused(no_leak):
    def double(v):
        out = Value(6.0, (v,), "double")
        out._backward = lambda: None
        return out

    with pytest.raises(TypeError, match=r"double\(\) uses Values with a _backward in Python"):
        pygrad.compile(double, 3.0)
    hooked = Value(2.0)
    hooked._backward = lambda: None
    with pytest.raises(TypeError, match="_backward in Python"):
        pygrad.compile(lambda x: [x, x * hooked], 3.0)


def test_an_exception_in_the_function_ends_the_trace(no_leak):
    with pytest.raises(ZeroDivisionError):
        pygrad.compile(lambda x: 1 / x, 0.0)
    w = Value(2.0)  # not traced: a parameter
    f = pygrad.compile(lambda x: w * x, 1.0)
    w.data = 3.0
    assert f(1.0) == 3


def test_a_trace_inside_a_trace_is_refused():
    with pytest.raises(RuntimeError, match="by a function that is being compiled"):
        pygrad.compile(lambda x: pygrad.compile(lambda y: y, 1.0)(2.0) * x, 1.0)
    inner = pygrad.compile(lambda y: y * 2, 1.0)
    assert pygrad.compile(lambda x: x * inner(3.0), 1.0)(2.0) == 12


def in_the_middle_of_a_trace(work):
    """Do the work in this thread while another thread traces a function."""
    begun, ended = threading.Event(), threading.Event()

    def fn(x):
        begun.set()
        assert ended.wait(60)
        return x * 2

    thread = threading.Thread(target=lambda: pygrad.compile(fn, 1.0))
    thread.start()
    assert begun.wait(60)
    try:
        return work()
    finally:
        ended.set()
        thread.join()


def test_a_trace_excludes_what_another_thread_makes():
    def work():
        before = live_nodes()
        return Value(2.0), pygrad.array([1.0, 2.0]), F.softmax([1.0, 2.0]), live_nodes() - before

    w, b, _, made = in_the_middle_of_a_trace(work)
    f = pygrad.compile(lambda x: x * w + b.sum(), 1.0)
    assert f.parameters.data.tolist() == [2, 1, 2]
    assert made == work()[-1]  # softmax as one C call, as outside of a trace


# Values and Arrays that outlive their trace ------------------------------------------------------------------------


def cell_that_keeps(kept, keep, raises=False):
    """A function to be compiled that keeps what `keep` makes of its arguments, as the state of a cell or a memo."""

    def cell(x, y):
        kept.append(keep(x, y))
        if raises:
            raise KeyError
        return x * 2 + y.sum()

    return cell


W, B = Value(0.5), pygrad.array([1.0, 2.0])  # these existed before
ESCAPING = {
    "an argument": lambda x, y: x,
    "an Array": lambda x, y: y,
    "an element": lambda x, y: y[1],
    "a part": lambda x, y: y[:1],
    "a computed Value": lambda x, y: x * W,
    "a computed Array": lambda x, y: (y * B).exp(),
    "an element of a computed Array": lambda x, y: (y * B)[0],
    "a leaf": lambda x, y: Value(3.0),
    "leaves": lambda x, y: pygrad.array([3.0, 4.0]),
    "what depends on parameters only": lambda x, y: W * 2,
    "the output of a model": lambda x, y: pygrad.nn.MLP(1, [2])([x])[0],
}
USES = {
    "x + 1": lambda x: x + 1,
    "1 - x": lambda x: 1 - x,
    "-x": lambda x: -x,
    "W * x": lambda x: W * x,
    "x / W": lambda x: x / W,
    "x / x": lambda x: x / x,
    "x**2": lambda x: x**2,
    "exp": lambda x: x.exp(),
    "maximum": lambda x: pygrad.functional.relu(x).maximum(W),
    "a sum": lambda x: sum(elements(x)),
    "a reduction": lambda x: pygrad.array(elements(x)).max(),
    "a product": lambda x: pygrad.array(elements(x)[:1]) @ [W],
    "a softmax": lambda x: F.softmax(pygrad.array(elements(x))),
    "a loss": lambda x: F.cross_entropy(pygrad.array([elements(x)]), [0]),
    "a model": lambda x: pygrad.nn.MLP(1, [2, 1])(elements(x)[:1]),
    "an op in Python": lambda x: Value(1.0, (W, *elements(x)), "op"),
    "backward": lambda x: elements(x)[0].backward(),
    "an optimizer": lambda x: stepped(elements(x)),
    "compiled, as an operand": lambda x: pygrad.compile(lambda z: z * x, 1.0),
    "compiled, as a result": lambda x: pygrad.compile(lambda z: x, 1.0),
}


def stepped(leaves):
    for leaf in leaves:
        leaf.grad = 1.0
    pygrad.optim.SGD(leaves, lr=0.1).step()


def elements(x):
    return [x] if isinstance(x, Value) else list(x)


@pytest.mark.parametrize("raises", [False, True], ids=["", "raises"])
@pytest.mark.parametrize("keep", ESCAPING.values(), ids=ESCAPING)
def test_a_value_that_outlives_its_trace_is_refused_by_the_name_of_the_function(no_leak, keep, raises):
    kept = []
    try:
        pygrad.compile(cell_that_keeps(kept, keep, raises), 1.0, np.ones(2))
    except KeyError:
        assert raises
    [x] = kept
    for use in USES.values():
        with pytest.raises((RuntimeError, ValueError), match=r"while compile\(\) called cell\(\)|must be a leaf"):
            use(x)
    assert [W.grad, *B.grad] == [0, 0, 0]


def test_a_value_that_outlives_its_trace_can_be_shown_and_let_go(no_leak):
    kept = []
    f = pygrad.compile(cell_that_keeps(kept, lambda x, y: [x * 3, y]), 1.0, np.ones(2))
    x, y = kept[0]
    assert [repr(x), repr(y)] == ["Value(data=3.0, grad=0)", "Array([1., 1.])"]
    assert (x.data, x._op, len(x._prev), y.shape, y[0].data, y.T.data.tolist()) == (3, "*", 2, (2,), 1, [1, 1])
    assert {x: f(2.0, [1.0, 2.0])} == {x: 7}


def test_the_state_of_a_cell_is_refused_in_the_next_compile_and_the_cell_can_be_compiled_anew(no_leak):
    class Cell:
        def __init__(self):
            self.w, self.h = Value(0.5), 0.0

        def step(self, x):
            self.h = self.w * x + self.h
            return self.h

    cell = Cell()
    f = pygrad.compile(cell.step, 2.0)
    with pytest.raises(RuntimeError, match=r"called step\(\) .*; make it before compile\(\), or return it from step"):
        pygrad.compile(cell.step, 2.0)
    cell.h = 0.0
    g = pygrad.compile(cell.step, 2.0)
    assert [(p(4.0), p.parameters.size) for p in (f, g)] == [(2, 1)] * 2


def test_a_trace_may_use_in_another_thread_what_it_made():
    def fn(x):
        results = []
        thread = threading.Thread(target=lambda: results.append(x * 3))
        thread.start()
        thread.join()
        return results[0] + x

    assert pygrad.compile(fn, 1.0)(2.0) == 8


@frees_at_once
def test_the_names_of_many_functions_are_kept_only_while_something_of_their_traces_lives(no_leak):
    from pygrad._lib import traced_functions

    kept = []
    pygrad.compile(cell_that_keeps(kept, lambda x, y: x), 1.0, np.ones(2))
    for _ in range(300):
        pygrad.compile(lambda x: x * 2, 1.0)
    assert len(traced_functions) < 70
    with pytest.raises(RuntimeError, match=r"called cell\(\)"):
        kept[0] + 1


@with_fork
def test_a_child_forked_during_another_thread_s_trace_can_compile():
    def fork():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                signal.alarm(60)
                w = Value(3.0)
                f = pygrad.compile(lambda x: x * w, 1.0)
                status = 0 if f(2.0) == 6 and f.parameters.size == 1 else 2
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert in_the_middle_of_a_trace(fork) == 0
