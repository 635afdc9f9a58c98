"""`Program.to_c` writes a C file that compiles without a warning and computes what the Program does."""

import functools
import os
import random
import re
import shutil
import subprocess
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cffi import FFI
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Value, nn
from pygrad import functional as F
from pygrad.bench.workloads import gpt
from support import on_cpython
from support.compiled import check_results, some
from support.edges import COMPILED
from support.effort import examples, long
from support.optimizations import WITHOUT, disabled
from support.programs import EDGES, ERRORS, RECORDED, function, possible, programs

CC = shutil.which("cc") or shutil.which("gcc")
CXX = shutil.which("c++") or shutil.which("g++")
STRICT = ["-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
LANGUAGES = {"C": [CC, "-std=c99", *STRICT]}
if CXX:
    LANGUAGES["C++"] = [CXX, "-x", "c++", "-std=c++11", "-Wmissing-declarations", *STRICT]

pytestmark = pytest.mark.skipif(CC is None, reason="there is no C compiler")


class Exported:
    """The functions of a C file, compiled."""

    def __init__(self, ffi, library, name):
        self._ffi, self._library, self._name = ffi, library, name
        self.inputs, self.parameters, self.outputs = (self._get(size) for size in ("INPUTS", "PARAMETERS", "OUTPUTS"))

    def _get(self, what):
        return getattr(self._library, f"{self._name}_{what}")

    def _call(self, what, *args, size="WORK"):
        """Call a function with NumPy arrays and a work array of the stated size, and check that it stays within it."""
        work = np.full(self._get(size) + 8, np.nan)
        work[-8:] = 7.0
        self._get(what)(*map(self._pointer, args), self._pointer(work))
        assert (work[-8:] == 7).all()

    def _pointer(self, x):
        if isinstance(x, list):
            return self._ffi.new("double *[]", [self._pointer(array) for array in x])
        return self._ffi.cast("double *", x.ctypes.data) if isinstance(x, np.ndarray) else x

    def _given(self, numbers, size):
        if numbers is None:
            return self._ffi.NULL
        numbers = np.array(numbers, dtype=np.float64).ravel()
        assert numbers.size == size
        return numbers

    def value(self, inputs, parameters=None):
        outputs = np.empty(self.outputs)
        self._call("value", self._given(inputs, self.inputs), self._given(parameters, self.parameters), outputs)
        return outputs

    def gradient(self, inputs, cotangent=1.0, parameters=None):
        """The output, the gradient by inputs, and that by parameters."""
        found = [np.empty(n) for n in (1, self.inputs, self.parameters)]
        given = self._given(inputs, self.inputs), self._given(parameters, self.parameters)
        self._call("gradient", *given, cotangent, *found)
        return np.concatenate(found)

    def value_batch(self, batch, args, parameters=None):
        outputs = np.full((batch, self.outputs), 7.0)
        given = [np.array(x, dtype=np.float64) for x in args], self._given(parameters, self.parameters)
        self._call("value_batch", batch, *given, outputs, size="BATCH_WORK")
        return outputs

    def gradient_batch(self, batch, args, cotangent=None, parameters=None):
        """The outputs, the gradients by the arguments, and that by the parameters."""
        args = [np.array(x, dtype=np.float64) for x in args]
        values, gradients = np.full(batch, 7.0), [np.full(x.shape, 7.0) for x in args]
        by_parameters = np.full(self.parameters, 7.0)
        weight = self._ffi.NULL if cotangent is None else np.array(cotangent)
        given = args, self._given(parameters, self.parameters), weight
        self._call("gradient_batch", batch, *given, values, gradients, by_parameters, size="BATCH_WORK")
        return values, gradients, by_parameters


def exported(*programs, language="C", batches=None):
    """An `Exported` for each Program; one call of the compiler makes a library of all files."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"f{k}.c") for k in range(len(programs))]
        ffi = FFI()
        for f, file, batch in zip(programs, files, batches or [False] * len(programs)):
            f.to_c(file, file.stem, batch)
            ffi.cdef("\n".join(re.findall(r"^enum [^;]*;|^void [^;{]*;", file.read_text(), re.MULTILINE)))
        library, source = Path(folder, "all.so"), Path(folder, "all.c")
        source.write_text("".join(f'#include "{file.name}"\n' for file in files))
        command = [*LANGUAGES[language], "-shared", "-fPIC", "-o", library, source, "-lm"]
        subprocess.run(command, check=True, timeout=120)
        opened = ffi.dlopen(str(library))
    return [Exported(ffi, opened, file.stem) for file in files]


def of_program(f, *args, cotangent=1.0):
    """The same as `Exported.gradient`, computed by the Program."""
    f.parameters.grad = 0.0
    value, gradients = f.value_and_grad(*args, cotangent=cotangent)
    inputs = [np.zeros(np.shape(x)) if g is None else g for x, g in zip(args, gradients)]
    return np.concatenate([[value], *map(np.ravel, inputs), f.parameters.grad])


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)


# Numbers ----------------------------------------------------------------------------------------------------------

cases = st.tuples(
    programs(RECORDED),
    st.lists(st.floats(-2, 2), min_size=1, max_size=4),
    st.lists(st.floats(-2, 2), max_size=3),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([1, 7, 63, 64, 65, 130]),
    st.sampled_from(WITHOUT),
)


@long
@on_cpython("PyPy computes x ** 2 as x * x")
@examples(12)
@given(st.lists(cases, min_size=1, max_size=12), st.sampled_from(list(LANGUAGES)), st.integers(0, 1 << 32))
def test_a_file_gives_the_reference_s_values_and_gradients(cases, language, seed):
    rng = np.random.default_rng(seed)
    fns, made, used, batches = [], [], [], []
    for steps, numbers, parameters, shared, _, without in cases:
        leaves = [Value(x) for x in parameters]
        fns.append(function(possible(steps, numbers + parameters)))
        with disabled(without):
            made.append(pygrad.compile(lambda *args, fn=fns[-1], leaves=leaves: fn(Value, [*args, *leaves]), *numbers))
        used.append([leaves.index(made[-1].parameters[k]) for k in range(made[-1].parameters.size)])
        batches.append([not s for s in shared[1 : len(numbers)]] + [True])
    for case, fn, c, order, batched in zip(
        cases, fns, exported(*made, language=language, batches=batches), used, batches
    ):
        _, numbers, parameters, _, batch, _ = case
        cotangent = rng.uniform(-2, 2)
        value, *found = c.gradient(numbers, cotangent)
        gradients = np.zeros(len(numbers) + len(parameters))  # a parameter that is not used has none
        gradients[[*range(len(numbers)), *(len(numbers) + k for k in order)]] = found
        check_results(fn, numbers, parameters, cotangent, value, c.value(numbers)[0], gradients)

        args = [some(x, batch, rng) if b else x for x, b in zip(numbers, batched)]
        cotangent = rng.uniform(-2, 2, batch) if rng.random() < 0.5 else None
        values, by_arguments, by_parameters = c.gradient_batch(batch, args, cotangent)
        gradients = [x if x.ndim else x.item() for x in by_arguments] + [0.0] * len(parameters)
        for k, gradient in zip(order, by_parameters):
            gradients[len(numbers) + k] = gradient
        weights = 1.0 if cotangent is None else cotangent
        check_results(fn, args, parameters, weights, values, c.value_batch(batch, args)[:, 0], gradients)


def test_an_op_gives_the_program_s_value_and_gradients_at_the_edges():
    numbers = [*EDGES, 2.0, -2.0, 3.0, 0.1, 710.0, -710.0, 1e10, 30.0]
    made = []
    for name, op in RECORDED.items():
        for c in [0.7, 2.0, -1.0] if "*" in name else [0.7]:
            try:
                made.append(pygrad.compile(lambda a, b, op=op, c=c: op(Value, a, b, c) + 0, 0.5, 0.5))
            except ERRORS:  # not defined for the example
                continue
    assert len(made) > len(RECORDED)
    for f, c in zip(made, exported(*made)):
        for x in numbers:
            for y in numbers:
                gradient = of_program(f, x, y, cotangent=0.5)
                np.testing.assert_allclose(c.gradient([x, y], 0.5), gradient, rtol=1e-12, atol=1e-16)  # 1 - z * z
                assert_same(c.value([x, y]), f(x, y))


@long
@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_file_gives_the_derivative_where_it_exists(language):
    points = [xs for _, xs, _ in COMPILED.values()]
    programs = [pygrad.compile(function, *[1.5] * len(xs)) for function, xs, _ in COMPILED.values()]
    files = exported(*programs, language=language, batches=[True] * len(programs))
    for f, c, xs in zip(programs, files, points):
        for cotangent in (1.0, 0.0):
            assert_same(c.gradient(xs, cotangent), of_program(f, *xs, cotangent=cotangent))
        batch = [np.append(np.full(69, x), 1.5) for x in xs]
        for found, right in zip(c.gradient_batch(70, batch)[1], f.value_and_grad(*batch)[1]):
            assert_same(found, right)
        weights = np.arange(70.0) % 3
        for found, right in zip(
            c.gradient_batch(70, batch, weights)[1], f.value_and_grad(*batch, cotangent=weights)[1]
        ):
            assert_same(found, right)


def test_a_file_of_a_large_graph_has_no_second_function_for_poles(tmp_path):
    def chain(n):
        return pygrad.compile(lambda x: functools.reduce(lambda y, _: (y * x).relu(), range(n), x).sqrt(), 1.0)

    for n, has in [(400, True), (600, False)]:
        chain(n).to_c(tmp_path / "chain.c", "f")
        assert ("_masked(" in (tmp_path / "chain.c").read_text()) == has


def test_a_model_reads_the_parameters_it_is_given():
    random.seed(3)
    model = nn.MLP(3, [8, 8, 1])
    f = pygrad.compile(lambda x, y: (model(x).tanh() - y) ** 2, [0.0] * 3, 0.0)
    (c,) = exported(f)
    x, y = [0.5, -1.0, 2.0], 0.3
    assert_same(c.gradient([*x, y]), of_program(f, x, y))
    f.parameters.data = -0.5 * f.parameters.data
    assert_same(c.gradient([*x, y], -3.0, f.parameters.data), of_program(f, x, y, cotangent=-3.0))
    assert_same(c.value([*x, y], f.parameters.data), f(x, y))


@long
def test_a_graph_of_57_000_nodes_is_a_small_file_and_compiles_in_seconds(tmp_path):
    lesson = gpt.problem(np.random.default_rng(0), len(gpt.NAME))
    matrices = dict(zip(gpt.SHAPES, map(pygrad.array, lesson.parameters)))
    f = pygrad.compile(lambda: gpt.loss_on_arrays(matrices, lesson.tokens))
    start = time.perf_counter()
    (c,) = exported(f)
    assert time.perf_counter() - start < 60
    np.testing.assert_allclose(c.gradient(None), of_program(f), rtol=1e-12, atol=1e-15)
    f.to_c(tmp_path / "gpt.c", "gpt")
    code = re.sub(r"= \{[^}]*\}", "", (tmp_path / "gpt.c").read_text())  # without its tables of numbers
    assert len(code.splitlines()) < 20_000


def test_indices_are_numbers_among_the_inputs():
    rng = np.random.default_rng(0)
    table, weight = pygrad.array(rng.normal(size=(7, 4))), pygrad.array(rng.normal(size=(5, 4)))
    positions = pygrad.array(rng.normal(size=(3, 4)))

    def loss(scale, tokens, targets):
        return F.cross_entropy((table[tokens] * scale + positions).tanh() @ weight.T, targets)

    f = pygrad.compile(loss, 1.0, pygrad.index([0, 0, 0]), pygrad.index([0, 0, 0]))
    (c,) = exported(f)
    for _ in range(20):
        tokens, targets, scale = rng.integers(7, size=3), rng.integers(5, size=3), rng.normal()
        inputs = [scale, *tokens, *targets]
        np.testing.assert_allclose(c.gradient(inputs, 2.0), of_program(f, scale, tokens, targets, cotangent=2.0), 1e-11)
        assert_same(c.value(inputs), f(scale, tokens, targets))
    for wrong in (-1.0, 7.0, np.nan, np.inf):
        assert np.isnan(c.value([1.0, wrong, 0, 0, 0, 0, 0])).all()
        assert np.isnan(c.gradient([1.0, wrong, 0, 0, 0, 0, 0])[0])


def test_elements_of_a_table_may_be_arguments_and_constants():
    def pick(x, i):
        return pygrad.concatenate([x[:1], [5.0], x[1:]])[i] ** 2 * 3

    f = pygrad.compile(pick, np.zeros(3), pygrad.index(0))
    (c,) = exported(f)
    assert c.gradient([1.0, 2.0, 4.0, 3.0]).tolist() == [48.0, 0.0, 0.0, 24.0, 0.0]
    assert c.gradient([1.0, 2.0, 4.0, 1.0]).tolist() == [75.0, 0.0, 0.0, 0.0, 0.0]


def test_a_long_program_is_split_into_functions(tmp_path):
    def long(x, y):
        for k in range(500):
            x, y = (x * 0.5 + y.sin(), x - 0.1 * y) if k % 7 else (y.cos(), x)
        return x * y

    f = pygrad.compile(long, 1.0, 1.0)
    (c,) = exported(f)
    np.testing.assert_allclose(c.gradient([0.3, -0.4]), of_program(f, 0.3, -0.4), rtol=1e-10, atol=1e-15)
    f.to_c(tmp_path / "long.c", batch=True)
    text = (tmp_path / "long.c").read_text()
    assert text.count("static void long_gradient_part_") > 2
    assert text.count("static void long_gradient_batch_part_") > 2
    assert longest_function(text) < 1000


def longest_function(text):
    """How many lines the longest function of a file has."""
    return max(
        len(lines.splitlines()) for lines in re.findall(r"^[^/\n].*\) \{\n((?:(?!}$).*\n)*?)}$", text, re.MULTILINE)
    )


@long
def test_numbers_that_are_far_apart_are_copied_by_tables(tmp_path):
    order = np.random.default_rng(0).permutation(3000)
    f = pygrad.compile(lambda x, y: [x[k] * y for k in order.tolist()], np.zeros(3000), 0.0)
    (c,) = exported(f, batches=[[False, True]])
    x = np.arange(3000.0)
    assert c.value([*x, 2.0]).tolist() == (2 * x[order]).tolist()
    assert c.value_batch(70, [x, np.arange(70.0)]).tolist() == (np.arange(70.0)[:, None] * x[order]).tolist()
    f.to_c(tmp_path / "f.c", batch=True)
    assert longest_function((tmp_path / "f.c").read_text()) < 1000


# Functions of a vector and of an index, by name: the paths through the code that emit_c.c has for batches. Each row
# makes it anew, since it has parameters.
def matrix(rows, columns):
    w = pygrad.array(np.random.default_rng(1).normal(size=(rows, columns)))
    return lambda x: (w @ x).tanh().sum()


def rows_of_a_table():
    table = pygrad.array(np.random.default_rng(0).normal(size=(9, 4)))
    return lambda x, i: (table[i] * x).sum().tanh() * table[i][0]


def small_layer():
    f = matrix(40, 4)
    return lambda x, i: f(x)


def large_layer():
    f = matrix(130, 160)
    return lambda x, i: f(pygrad.concatenate([x * k for k in range(40)]))


def parameter():
    w = Value(2.0)
    return lambda x, i: w * w


BATCHED = {
    "statements": lambda: lambda x, i: (x[0] * x[1] + x[2].exp()).log() * x[3] ** 2,
    "rows of dot products": small_layer,
    "a large layer": large_layer,
    "a table of parameters": rows_of_a_table,
    "a table of arguments": lambda: lambda x, i: x[i] ** 3 * x[0],
    "a table of both": lambda: lambda x, i: pygrad.concatenate([x, pygrad.array([5.0] * 5)])[i] ** 2 * 3,
    "an argument that nothing reads": lambda: lambda x, i: x[1] * 3,
    "a result that is an argument": lambda: lambda x, i: x[2] + 0,
    "a result that is the same for all": parameter,
}


LONG = "rows of dot products", "a large layer"  # to compile


@pytest.mark.parametrize("name", [pytest.param(name, marks=[long] * (name in LONG)) for name in BATCHED])
def test_a_batch_gives_the_program_s_value_and_gradients(name):
    rng = np.random.default_rng(0)
    f = pygrad.compile(BATCHED[name](), np.full(4, 0.5), pygrad.index(0), backend="kernels")
    kinds = [(True, True), (True, False), (False, True)]
    for batched, c in zip(kinds, exported(*[f] * 3, batches=kinds)):
        for batch in (1, 63, 64, 65, 130):
            x = rng.uniform(0.1, 1, (batch, 4) if batched[0] else 4)
            i = rng.integers(4, size=batch if batched[1] else None)
            cotangent = rng.normal(size=batch)
            f.parameters.grad = 0.0
            values, (by_x, _) = f.value_and_grad(x, i, cotangent=cotangent)
            ours, gradients, by_parameters = c.gradient_batch(batch, [x, i], cotangent)
            for a, b in [(ours, values), (gradients[0], by_x), (by_parameters, f.parameters.grad)]:
                np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-10)
            assert not gradients[1].any()
            np.testing.assert_allclose(c.value_batch(batch, [x, i])[:, 0], f(x, i) + np.zeros(batch), rtol=1e-11)


def test_an_index_out_of_range_makes_its_sample_nan():
    f = pygrad.compile(rows_of_a_table(), np.ones(4), pygrad.index(0))
    (c,) = exported(f, batches=[True])
    values, gradients, _ = c.gradient_batch(4, [np.ones((4, 4)), [0.0, -1.0, 9.0, 8.0]])
    assert np.isnan(values).tolist() == [False, True, True, False]
    assert np.isnan(gradients[0]).any(axis=1).tolist() == [False, True, True, False]


def test_a_batch_of_no_samples_gives_gradients_of_zero():
    w = Value(3.0)
    f = pygrad.compile(lambda x, y: x * w * y, 1.0, 1.0)
    (c,) = exported(f, batches=[[True, False]])
    values, gradients, by_parameters = c.gradient_batch(0, [[], 2.0])
    assert values.size == 0
    assert gradients[1] == 0
    assert by_parameters.tolist() == [0]


def test_threads_may_call_a_function_at_the_same_time(tmp_path):
    random.seed(0)
    model = nn.MLP(3, [8, 1])
    f = pygrad.compile(lambda x: model(x).tanh(), np.zeros(3))
    (c,) = exported(f, batches=[True])
    x = np.random.default_rng(0).normal(size=(40, 300, 3))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda part: c.value_batch(300, [part]), x))
    np.testing.assert_array_equal(found, [c.value_batch(300, [part]) for part in x])


@pytest.mark.parametrize("batch", [[], [True], [True, False, True], [False, False], 3 * [True]])
def test_a_batch_that_does_not_fit_the_arguments_is_refused(tmp_path, batch):
    f = pygrad.compile(lambda x, y: x + y, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"takes 2 arguments, got \["):
        f.to_c(tmp_path / "f.c", batch=batch)
    with pytest.raises(ValueError, match="takes 0 arguments, got True"):
        pygrad.compile(lambda: 1.0).to_c(tmp_path / "f.c", batch=True)
    assert not list(tmp_path.iterdir())


def test_the_comment_says_which_arguments_are_batches(tmp_path):
    f = pygrad.compile(lambda a, b: a[0] + b[0][0] + b[1][1], [1.0, 2.0], ([1.0], (2.0, 3.0)))
    f.to_c(tmp_path / "f.c", batch=[True, False])
    lines = (tmp_path / "f.c").read_text().splitlines()
    assert [line for line in lines if line.startswith(" *   arguments[")] == [
        " *   arguments[0]: argument 0, a batch",
        " *   arguments[1]: argument 1[0][0], shared",
        " *   arguments[2]: argument 1[1][0], shared",
        " *   arguments[3]: argument 1[1][1], shared",
    ]


def test_results_are_stored_one_after_the_other():
    w = pygrad.array([[1.0, 2.0], [3.0, 4.0]])
    f = pygrad.compile(lambda x, y: {"a": [w * y, 7, x], "b": (x.sum(), y)}, np.zeros(3), 0.0)
    (c,) = exported(f)
    assert c.value([1, 2, 3, 10]).tolist() == [10, 20, 30, 40, 7, 1, 2, 3, 6, 10]
    assert not hasattr(c._library, "f0_gradient")


def test_programs_without_inputs_parameters_or_outputs_can_be_written():
    w = Value(3.0)
    made = [
        pygrad.compile(lambda: w * 2),
        pygrad.compile(lambda: 5.0),
        pygrad.compile(lambda x, y: y, 1.0, 1.0),
        pygrad.compile(lambda x: [], 1.0),
        pygrad.compile(lambda x: x.sum(), np.zeros(0)),
    ]
    doubled, five, second, nothing, empty = exported(*made)
    assert doubled.gradient(None, 10.0).tolist() == [6.0, 20.0]
    assert five.gradient(None).tolist() == [5.0]
    assert second.gradient([1.0, 2.0], 3.0).tolist() == [2.0, 0.0, 3.0]
    assert nothing.value([1.0]).size == 0
    assert empty.gradient(None).tolist() == [0.0]


def test_numbers_are_written_with_all_their_bits():
    rng = np.random.default_rng(1)
    numbers = np.array([*EDGES, 1e6, 999999.0, 1e22, 0.1, np.pi, 2.2250738585072014e-308, *rng.normal(size=50)])
    numbers = np.concatenate([numbers, -numbers, np.ldexp(rng.uniform(1, 2, 50), rng.integers(-1074, 1023, 50))])
    w = pygrad.array(numbers)
    as_parameters, as_constants = exported(pygrad.compile(lambda: w), pygrad.compile(lambda: numbers))
    numbers[np.isnan(numbers)] = as_parameters.value(None)[np.isnan(numbers)]  # the payload of a nan does not matter
    assert as_parameters.value(None).tobytes() == numbers.tobytes()
    numbers[np.isnan(numbers)] = as_constants.value(None)[np.isnan(numbers)]
    assert as_constants.value(None).tobytes() == numbers.tobytes()


# Files ------------------------------------------------------------------------------------------------------------


def test_the_program_in_the_docstring_prints_what_it_shows(tmp_path):
    doc = textwrap.dedent(pygrad.Program.to_c.__doc__)
    says = re.search(r'prints "(.*?)", then "(.*?)"', doc).groups()
    factor = Value(3.0)
    pygrad.compile(lambda x: factor * x**2, 1.0).to_c(tmp_path / "slope.c", "slope")
    (tmp_path / "main.c").write_text(textwrap.dedent(doc[doc.index("    #include") :]))
    subprocess.run([CC, "-std=c99", *STRICT, "main.c", "-o", "main", "-lm"], check=True, cwd=tmp_path)
    printed = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout
    assert tuple(printed.splitlines()) == says == ("12", "12, 4")


def test_the_file_compiles_alone_under_any_standard(tmp_path):
    random.seed(0)
    model = nn.MLP(2, [4, 1])
    pygrad.compile(lambda x, i: model(x).sigmoid() * x[i], np.zeros(2), pygrad.index(0)).to_c(tmp_path / "f.c")
    for standard in ["c99", "c11", "gnu99", "gnu17"]:
        options = [*STRICT, f"-std={standard}"]
        subprocess.run([CC, *options, "-c", "f.c", "-o", "f.o"], check=True, cwd=tmp_path)


def test_the_comment_says_which_inputs_are_which_argument(tmp_path):
    f = pygrad.compile(lambda a, b, c, d: a + b.sum() + c[1][0], 1.0, np.zeros((2, 3)), ([1.0], (2.0, 3.0)), 0.0)
    f.to_c(tmp_path / "f.c")
    lines = (tmp_path / "f.c").read_text().splitlines()
    assert lines[0] == f"/* Written by pygrad {pygrad.__version__}. C99 and C++11; link with -lm."
    assert [line for line in lines if "argument " in line] == [
        " *   inputs[0]: argument 0, a number",
        " *   inputs[1 to 6]: argument 1, an array of shape (2, 3)",
        " *   inputs[7]: argument 2[0][0], a number",
        " *   inputs[8]: argument 2[1][0], a number",
        " *   inputs[9]: argument 2[1][1], a number",
        " *   inputs[10]: argument 3, a number",
    ]


def test_names_begin_with_the_given_name_or_the_function_s(tmp_path):
    def exp(x):  # also a function of C
        return x.sigmoid()

    path = tmp_path / "code.c"
    for fn, name, prefix in [(exp, None, "exp"), (lambda x: x.relu(), None, "f"), (exp, "double", "double")]:
        pygrad.compile(fn, 1.0).to_c(str(path), name)
        subprocess.run([CC, "-std=c99", *STRICT, "-c", path, "-o", tmp_path / "code.o"], check=True)
        text = path.read_text()
        assert f"\nvoid {prefix}_value(" in text
        assert "pg_" not in text


@pytest.mark.parametrize("name", ["", "a b", "1st", "f-g", "f()", "größe", "f\n", "*/"])
def test_a_name_that_is_invalid_in_c_is_refused(tmp_path, name):
    f = pygrad.compile(lambda x: x, 1.0)
    with pytest.raises(ValueError, match=re.escape(f"got {name!r}")):
        f.to_c(tmp_path / "f.c", name)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_path_is_an_os_error_and_leaves_no_file(tmp_path):
    f = pygrad.compile(lambda x: x, 1.0)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        f.to_c(tmp_path / "folder")
    with pytest.raises(FileNotFoundError):
        f.to_c(tmp_path / "none" / "f.c")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    f = pygrad.compile(lambda x: x, 1.0)
    path = tmp_path / "f.c"
    path.write_text("old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        f.to_c(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


TABLES = {
    "an argument": lambda i, table, x: ((table[i] * x) ** 2).sum(),
    "read otherwise, too": lambda i, table, x: ((table[i] * x).sum() - table[0, 0]) ** 2,
    "computed": lambda i, table, x: ((table * 2)[i].sin() * x).sum(),
    "computed of the sample": lambda i, table, x: ((table * x)[i] * table[i]).sum(),
}


@long
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("fn", TABLES.values(), ids=TABLES)
def test_a_batch_of_look_ups_gives_the_program_s_gradients(fn, shared):
    rng = np.random.default_rng(0)
    table, weights, i, x = (
        rng.normal(size=(9, 3)),
        pygrad.array(rng.normal(size=(9, 3))),
        rng.integers(9, size=(70, 2)),
        0.5,
    )
    args = (i, table, x if shared else rng.normal(size=70))
    f = pygrad.compile(lambda i, table, x: fn(i, table, x) * fn(i, weights, x), pygrad.index(i[0]), table, 1.0)
    (c,) = exported(f, batches=[[True, False, not shared]])
    values, (_, *by_arguments), by_parameters = c.gradient_batch(70, [i.astype(float), *args[1:]], None)
    expected, (_, *gradients) = f.value_and_grad(*args)
    np.testing.assert_allclose(values, expected, 1e-11, 1e-13)
    for found, true in zip(by_arguments, gradients):
        np.testing.assert_allclose(found, true, 1e-11, 1e-12)
    np.testing.assert_allclose(by_parameters, f.parameters.grad, 1e-11, 1e-12)
