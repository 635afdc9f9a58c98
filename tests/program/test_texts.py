"""Warnings, check_finite, repr() and str() of a Program."""

import math
import os
import shutil
import subprocess
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import pygrad
from pygrad import TraceWarning, Value, array, index
from pygrad.program import native
from support.effort import long

PARAMETER, PARAMETERS = Value(2.0), pygrad.array([1.0, 3.0])


def in_a_thread(work):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


@pytest.mark.parametrize(
    "fn",
    [
        lambda x, y: x if x.data > 0 else -x,
        lambda x, y: x * float(x),
        lambda x, y: x * str(x * 2).count("0"),
        lambda x, y: x * y.data[0],
        lambda x, y: x * (y * 2).data[0],
        lambda x, y: x * y[0].data,
        lambda x, y: (x * x).backward() or x.grad * x,
        lambda x, y: x * y.grad[0],
        lambda x, y: setattr(x, "data", 7.0) or x * 2,
        lambda x, y: setattr(y, "data", [7.0, 7.0]) or y.sum() * x,
        lambda x, y: x if x else -x,
        lambda x, y: x if not x else -x,
        lambda x, y: x if any([x * 2]) else -x,
        lambda x, y: x * PARAMETER.data,
        lambda x, y: x * PARAMETER.grad,
        lambda x, y: x * float(PARAMETER + 1),
        lambda x, y: x if PARAMETER > 0 else -x,
        lambda x, y: x * PARAMETERS.data[1],
        lambda x, y: x * in_a_thread(lambda: x.data),
        lambda x, y: x * in_a_thread(lambda: y.data[0]),
    ],
)
def test_reading_or_setting_a_number_raises_a_warning(fn):
    with pytest.warns(
        TraceWarning,
        match=r"<lambda>\(\) read or set numbers of Values [1-9].*: compute with the Values, choose by maximum\(\)",
    ) as caught:
        f = pygrad.compile(fn, 2.0, np.ones(2))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    f(1.0, [5.0, 5.0])


READ = Value(1.0)
READ_BEFORE = pygrad.array([1.0, 2.0])
assert READ_BEFORE.data.size == 2  # an Array keeps the view


def reads_in_a_helper(x):
    return READ.data


READERS = {
    "data": (lambda x: x * READ.data, 1),
    "the second line": (lambda x: (
        x *
        READ.data), 3),
    "grad": (lambda x: x * READ.grad, 1),
    "a comparison": (lambda x: x if x > 0 else -x, 1),
    "float": (lambda x: x * float(READ), 1),
    "truth": (lambda x: x if x else -x, 1),
    "setting": (lambda x: setattr(READ, "data", 1.0) or x, 1),
    "an Array": (lambda x: x * pygrad.array([x]).data[0], 1),
    "a view": (lambda x: x * READ_BEFORE.data[0], 1),
    "the grad of a view": (lambda x: x * READ_BEFORE.grad[0], 1),
    "NumPy": (lambda x: x if np.any(pygrad.array([x])) else -x, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_the_warning_is_of_the_line_that_reads(name):
    fn, line = READERS[name]
    with pytest.warns(TraceWarning) as caught:
        pygrad.compile(fn, 2.0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert caught[0].lineno == fn.__code__.co_firstlineno + line - 1


def test_the_line_is_that_of_a_helper_if_that_reads_first():
    with pytest.warns(TraceWarning) as caught:
        pygrad.compile(lambda x: x * reads_in_a_helper(x) * READ.data, 2.0)
    assert caught[0].lineno == reads_in_a_helper.__code__.co_firstlineno + 1


def test_code_without_a_module_is_warned_as_well():
    with pytest.warns(TraceWarning):
        exec("import pygrad\npygrad.compile(lambda x: x * x.data, 2.0)", {})


def test_each_line_is_named_once_by_default():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            pygrad.compile(lambda x: x * READ.data, 2.0)
            pygrad.compile(lambda x: x * READ.grad, 2.0)
    assert len({w.lineno for w in caught}) == len(caught) == 2


def test_a_read_of_another_thread_has_the_line_of_compile():
    with pytest.warns(TraceWarning) as caught:
        pygrad.compile(lambda x: x * in_a_thread(lambda: x.data), 2.0)
    assert caught[0].filename == __file__


def test_what_reads_no_number_raises_no_warning():
    def fn(x, y):
        in_a_thread(lambda: PARAMETER.data + (PARAMETER * 2).data)  # another thread's own business
        return (x * PARAMETER if PARAMETER else x) + y[: len(PARAMETERS)].sum() * PARAMETERS.shape[0]

    assert pygrad.compile(fn, 1.0, np.ones(2))(3.0, [1.0, 2.0]) == 12


def test_check_finite_raises_for_results_that_are_not_finite():
    w = Value(0.0)
    f = pygrad.compile(lambda x: [x, x.log()], 1.0, check_finite=True)
    assert f(1.0) == [1.0, 0.0]
    with pytest.raises(FloatingPointError, match=r"a result of <lambda> is -inf, at \[1\]: "):
        f(0.0)
    with pytest.raises(FloatingPointError, match=r"a result of <lambda> is nan, at \[1\]\[2\]: "):
        f([1.0, 2.0, -1.0])
    g = pygrad.compile(lambda x, y: x.sqrt() + y, 1.0, 1.0, check_finite=True)
    with pytest.raises(FloatingPointError, match="the gradient by argument 0 of <lambda> is inf"):
        g.value_and_grad(0.0, 1.0)
    w.data = 1.0
    h = pygrad.compile(lambda x: w.sqrt() * x, 1.0, check_finite=True)
    assert h.value_and_grad(1.0) == (1.0, (1.0,))
    w.data, w.grad = 0.0, 0.0
    with pytest.raises(FloatingPointError, match="the gradient by a parameter of <lambda> is inf"):
        h.value_and_grad(1.0)
    assert w.grad == 0
    assert pygrad.compile(lambda x: x.log(), 1.0)(0.0) == -math.inf


def test_str_of_a_program_lists_its_instructions():
    w, table = Value(2.0), pygrad.array([1.0, 5.0])
    f = pygrad.compile(lambda x, i: (w * x).sum() * table[i] + 0.5, np.zeros(3), pygrad.index(0))
    assert repr(f) == "<Program of <lambda>: 4 inputs, 3 parameters, 18 instructions>"
    recorded = str(f)
    for line in ["%0 = parameter 0", "= input 2", "* %0", "= 0.5", "= lookup", "return %17"]:
        assert line in recorded
    assert "code for" not in recorded
    f.value_and_grad(np.zeros((2, 3)), 1)
    code = str(f)[len(recorded) :]
    for line in [
        "code for ((True, False, False), 1):",
        "parameters: s0..2",
        "input 0 to 2: b0..2",
        "constant 0.5: ",
        "once, before the batch:",
        "for each tile of the batch:",
        "t < 3: s0 b0[t]",
        "+= total",
        "= scatter {",
        "results:",
    ]:
        assert line in code


@long
@pytest.mark.skipif(not shutil.which("localedef"), reason="makes a locale")
@pytest.mark.parametrize(("language", "point"), [("de_DE", ","), ("ps_AF", "\u066b"), ("en_US", ".")])
def test_what_is_printed_and_derived_is_the_same_in_every_locale(python, tmp_path, language, point):
    name = f"{language}.UTF-8"
    made = subprocess.run(["localedef", "-i", language, "-f", "UTF-8", tmp_path / name], capture_output=True)
    if made.returncode:
        pytest.skip(f"there is no {language}")
    code = f"""if True:
        import locale, pygrad
        f = pygrad.compile(lambda x: x.sqrt() + x.log() * 0.5 + x * 1e-300 + x**-1.25 + 1e100 * x, 1.0)
        def texts():
            f.to_c("f.c")
            return str(f), repr(f), f.value_and_grad(1.0), repr(pygrad.Value(0.5)), open("f.c").read()
        before = texts()
        f = pygrad.compile(lambda x: x.sqrt() + x.log() * 0.5 + x * 1e-300 + x**-1.25 + 1e100 * x, 1.0)
        locale.setlocale(locale.LC_ALL, {name!r})
        assert locale.localeconv()["decimal_point"] == {point!r}
        assert texts() == before
    """
    python(code, env={**os.environ, "LOCPATH": str(tmp_path)})


# By name: a function, its arguments, what is not finite, and the op of the message. Of what is not taken, the message
# names nothing.
NOT_TAKEN = {
    "a pole in the smaller of two": (lambda x, y: x.sqrt().maximum(1.0) + y.sqrt(), (0.0, 0.0), "1", "0.5 / 0.0"),
    "a pole below a relu that is off": (lambda x, y: (1 - 1 / x).relu() + y.log(), (0.0, 5e-324), "1", "1.0 / 5e-324"),
    "a pole above a relu that is off": (lambda x, y: x.relu().sqrt() + y.sqrt(), (-1.0, 0.0), "1", "0.5 / 0.0"),
    "a number in the smaller of two": (lambda x, y: x.log().maximum(0) + y.exp(), (0.0, 800.0), "value", "exp(800.0)"),
    "a number in the larger of two": (lambda x, y: x.exp().minimum(5.0) + y.exp(), (1e3, 800.0), "value", "exp(800.0)"),
    "a number in a row": (lambda x, y: array([x.log(), y]).max() * 1e308 * y, (0.0, 9.0), "value", "1e+308 * 9.0"),
    "an element": (lambda x, y: array([x.log(), y])[index(1)] + y.sqrt(), (0.0, 0.0), "1", "0.5 / 0.0"),
}


@pytest.mark.parametrize("backend", ["kernels", "native"])
@pytest.mark.parametrize(("function", "xs", "what", "op"), NOT_TAKEN.values(), ids=NOT_TAKEN)
@pytest.mark.parametrize("lead", [(), (3,)], ids=["one", "batch"])
def test_check_finite_does_not_name_what_is_not_taken(function, xs, what, op, lead, backend):
    if backend == "native" and not native.compiler():
        pytest.skip("no compiler")
    f = pygrad.compile(function, 1.5, 1.5, check_finite=True, backend=backend)
    place = "a result" if what == "value" else f"the gradient by argument {what}"
    with pytest.raises(FloatingPointError) as raised:
        f.value_and_grad(*(np.full(lead, x) for x in xs))
    assert str(raised.value).startswith(place)
    assert f": {op} is " in str(raised.value)
