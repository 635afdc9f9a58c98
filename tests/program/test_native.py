"""Native code computes what the kernels do, and its cache is safe. `make test-native` runs the tests of programs."""

import contextlib
import copy
import io
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygrad
from pygrad import Value, nn
from pygrad.__main__ import main
from pygrad._lib import lib
from pygrad.program import native
from support import on_posix
from support.compiled import bits, check, numbers, seeds
from support.compiler import slow_compiler
from support.effort import examples, long
from support.interrupts import Interrupt
from support.optimizations import WITHOUT, disabled
from support.programs import RECORDED, function, possible, programs

pytestmark = pytest.mark.skipif(native.compiler() is None, reason="there is no C compiler")


@pytest.fixture(scope="module", autouse=True)
def shared_cache(tmp_path_factory):
    """A cache for the tests of a run."""
    with pytest.MonkeyPatch.context() as patch:
        if "PYGRAD_CACHE_DIR" not in os.environ:
            patch.setenv("PYGRAD_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("PYGRAD_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def square(**options):
    return pygrad.compile(lambda x: x**2 + x.exp(), 1.0, **{"backend": "native", **options})


def libraries(cache):
    return sorted(path.name for path in cache.glob("*.so"))


# Numbers ----------------------------------------------------------------------------------------------------------


@examples(40)
@given(
    programs(RECORDED),
    numbers,
    st.lists(st.floats(-2, 2), max_size=3),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([None, 1, 9, 64, 65]),
    st.sampled_from(WITHOUT),
    seeds,
)
def test_any_program_gives_the_reference_s_values_and_gradients(
    steps, numbers, parameters, shared, batch, without, seed
):
    fn = function(possible(steps, numbers + parameters))
    with disabled(without):
        check(fn, numbers, parameters, shared, batch, np.random.default_rng(seed), backend="native")


def table():
    rng = np.random.default_rng(0)
    return pygrad.array(rng.normal(size=(9, 4)))


def model():
    random.seed(2)
    return nn.MLP(4, [6, 1])


def deep(x):
    """More live values than fit into the cache for a tile of the usual width."""
    values = [(x[k % 4] * (k + 1)).sin() for k in range(1500)]
    total = 0.0
    for y in reversed(values):
        total = total * 0.5 + y * y * x[0]
    return total


def lookups():
    rows = table()
    return lambda x, i: (rows[i] * x).sum().tanh() * rows[i][0]


def matrix(rows, columns):
    w = pygrad.array(np.random.default_rng(1).normal(size=(rows, columns)))
    return lambda x: (w @ x).tanh().sum()


# A function of a vector, or of a vector and an index, by name: the paths through the code that native.h and the emitter
# have for it. Each row makes it anew, since it has parameters.
FUNCTIONS = {
    "statements": lambda: lambda x: (x[0] * x[1] + x[2].exp()).log() * x[3] ** 2,
    "a model": lambda: model(),
    "rows of dot products": lambda: matrix(40, 4),
    "long dot products": lambda: (lambda f: lambda x: f(pygrad.concatenate([x] * 40)))(matrix(3, 160)),
    "a large layer": lambda: (lambda f: lambda x: f(pygrad.concatenate([x * k for k in range(40)])))(matrix(130, 160)),
    "many values": lambda: deep,
    "lookups": lookups,
    "an argument that nothing reads": lambda: lambda x: x[1] * 3,
    "a result that is an argument": lambda: lambda x: x[2],
}


LONG = "a large layer", "many values"  # to compile


@pytest.mark.parametrize("batch", [None, 1, 7, 16, 17, 63, 64, 65, 130])
@pytest.mark.parametrize("name", [pytest.param(name, marks=[long] * (name in LONG)) for name in FUNCTIONS])
def test_it_gives_what_the_kernels_give(name, batch):
    rng = np.random.default_rng(3)
    args = [rng.uniform(0.1, 1, (4,) if batch is None else (batch, 4))]
    examples = [np.full(4, 0.5)]
    if name == "lookups":
        args.append(rng.integers(9, size=() if batch is None else batch))
        examples.append(pygrad.index(0))
    found = []
    for backend in ["kernels", "native"]:
        f = pygrad.compile(FUNCTIONS[name](), *examples, backend=backend)
        value, gradients = f.value_and_grad(*args, cotangent=1.5)
        shared = f.value_and_grad(args[0][0] if batch else args[0], *args[1:])
        tangents = f.jvp(args, [np.ones(4), *[None] * (len(args) - 1)])
        found.append([value, gradients[0], f(*args), shared[0], shared[1][0], *tangents, f.parameters.grad])
    for ours, theirs in zip(found[1], found[0]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-13)


def test_hessians_and_products_with_them_are_the_kernels():
    f, g = (
        pygrad.compile(lambda x: (x[0] * x[1]).sin() * x.sum(), np.ones(3), backend=b) for b in native_and_kernels()
    )
    x, v = np.array([0.3, -0.4, 2.0]), np.ones((5, 3))
    np.testing.assert_allclose(f.hessian(x)[0][0], g.hessian(x)[0][0], rtol=1e-12)
    np.testing.assert_allclose(f.hvp([x], [v])[0], g.hvp([x], [v])[0], rtol=1e-12)


def native_and_kernels():
    return ["native", "kernels"]


def test_any_number_of_threads_gives_the_same_bits():
    net = model()
    x = np.random.default_rng(0).uniform(-1, 1, (3000, 4))
    seen = set()
    for threads in [1, 2, 7]:
        f = pygrad.compile(lambda x: net(x).tanh(), np.ones(4), threads=threads, backend="native")
        f.parameters.grad = 0.0
        values, (by_x,) = f.value_and_grad(x)
        seen.add((bits(values), bits(by_x), bits(f.parameters.grad)))
    assert len(seen) == 1


def test_inf_and_nan_are_found():
    f = pygrad.compile(lambda x: x.log(), 1.0, backend="native", check_finite=True)
    with pytest.raises(FloatingPointError, match=r"log\(0.0\) is -inf"):
        f([1.0, 0.0])


def test_an_interrupt_stops_a_run(alarms):
    f = pygrad.compile(lambda x: sum((x * k).sin() for k in range(300)), 1.0, backend="native")
    x = np.ones(3_000_000)
    f(x[:100])
    alarms(0.2)
    start = time.perf_counter()
    with pytest.raises(Interrupt):
        f(x)
    assert time.perf_counter() - start < 5


def test_the_listing_says_which_code_is_native():
    f = square()
    f(2.0)
    assert "\nnative code for ((False,), 0):" in str(f)


# The setting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["kernels", "native", "auto"])
def test_copies_keep_the_backend(backend, tmp_path):
    f = square(backend=backend)
    f.save(tmp_path / "f.npz")
    for g in [f, copy.deepcopy(f), pickle.loads(pickle.dumps(f)), pygrad.Program.load(tmp_path / "f.npz")]:
        assert g.backend == backend
        assert g(2.0) == f(2.0)


def test_the_environment_sets_the_default(monkeypatch):
    monkeypatch.setenv("PYGRAD_BACKEND", "native")
    assert square(backend=None).backend == "native"
    monkeypatch.setenv("PYGRAD_BACKEND", "fast")
    with pytest.raises(ValueError, match="PYGRAD_BACKEND must be one of 'kernels', 'native', 'auto', got 'fast'"):
        square(backend=None)
    with pytest.raises(ValueError, match="backend must be one of 'kernels', 'native', 'auto', got 'llvm'"):
        square(backend="llvm")


def test_auto_is_native_for_graphs_of_a_thousand_nodes(cache):
    small, large = square(backend="auto"), pygrad.compile(lambda x: sum([x] * 1100, x), 1.0, backend="auto")
    small(2.0)
    assert not libraries(cache)
    large(2.0)
    assert len(libraries(cache)) == 1


def test_without_a_compiler_native_is_refused_and_auto_means_kernels(cache, monkeypatch):
    f = square()
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(RuntimeError, match="needs a C compiler"):
        square()
    with pytest.raises(RuntimeError, match="needs a C compiler"):
        f(1.0)
    g = pygrad.compile(lambda x: sum([x] * 1100, x), 1.0, backend="auto")
    assert g(2.0) == 2202.0
    assert not libraries(cache)


@on_posix
def test_an_error_of_the_compiler_shows_its_first_lines_and_the_file_it_keeps(cache, monkeypatch, tmp_path):
    script = tmp_path / "cc"
    lines = "for i in 1 2 3 4 5 6 7; do echo line $i >&2; done"
    script.write_text(f'#!/bin/sh\ncase "$*" in *-dM*) exit 0;; esac\n{lines}\nexit 1\n')
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    shown = r"(?s)the C compiler failed: .*line 1\n.*line 5\n\.\.\.\n.*kept as"
    with pytest.raises(RuntimeError, match=shown) as raised:
        square()(1.0)
    (kept,) = cache.glob("failed-*.c")
    assert str(kept) in str(raised.value)
    assert "pygrad_run" in kept.read_text()
    assert [path.name for path in cache.iterdir()] == [kept.name]


# The cache --------------------------------------------------------------------------------------------------------


def counted(monkeypatch):
    """A list that has an entry for each program that was compiled."""
    compiled, compile = [], native._compile

    def counting(*args):
        compiled.append(args)
        return compile(*args)

    monkeypatch.setattr(native, "_compile", counting)
    return compiled


def test_the_same_program_is_compiled_once(cache, monkeypatch):
    compiled = counted(monkeypatch)
    assert square()(2.0) == square()(2.0)
    assert len(compiled) == len(libraries(cache)) == 1
    assert cache.stat().st_mode & 0o777 == 0o700


def truncate(path):
    path.write_bytes(path.read_bytes()[:100])


def flip(path):
    path.write_bytes(bytes([255 - path.read_bytes()[0]]) + path.read_bytes()[1:])


def empty(path):
    path.write_bytes(b"")


def open_to_others(path):
    path.chmod(0o666)


def replace_by_a_link(path):
    path.rename(path.parent / "other")
    path.symlink_to(path.parent / "other")


@pytest.mark.parametrize("harm", [truncate, flip, empty, open_to_others, replace_by_a_link])
@on_posix
def test_a_file_that_others_may_have_written_or_that_is_damaged_is_made_anew(cache, monkeypatch, harm):
    expected = square()(2.0)
    (name,) = libraries(cache)
    path = cache / name
    contents = path.read_bytes()
    copy = cache.parent / "copy"  # the library that is loaded stays as it is
    copy.write_bytes(contents)
    copy.chmod(0o600)
    copy.replace(path)
    compiled = counted(monkeypatch)
    harm(path)
    assert square()(2.0) == expected
    assert len(compiled) == 1
    (name,) = libraries(cache)
    assert (cache / name).stat().st_mode & 0o777 == 0o600


@on_posix
def test_a_folder_that_others_can_write_to_is_not_used(cache):
    cache.mkdir()
    cache.chmod(0o777)
    assert square()(0.0) == 1.0
    assert not list(cache.iterdir())


def test_the_files_used_least_recently_are_removed_beyond_a_limit(cache, monkeypatch):
    made = []
    for k in range(4):
        pygrad.compile(lambda x, k=k: x * float(k + 2), 1.0, backend="native")(1.0)
        (new,) = set(libraries(cache)) - set(made)
        made.append(new)
        os.utime(cache / new, (k, k))
    pygrad.compile(lambda x: x * 2.0, 1.0, backend="native")(1.0)  # uses the oldest
    monkeypatch.setenv("PYGRAD_CACHE_SIZE", str(int(2.5 * (cache / made[0]).stat().st_size)))
    pygrad.compile(lambda x: x * 9.0, 1.0, backend="native")(1.0)
    assert len(libraries(cache)) == 2
    assert made[0] in libraries(cache)


def test_a_wrong_limit_of_the_cache_is_refused_before_anything_is_compiled(cache, monkeypatch):
    monkeypatch.setenv("PYGRAD_CACHE_SIZE", "1G")
    with pytest.raises(ValueError, match="PYGRAD_CACHE_SIZE must be in bytes, got '1G'"):
        square()(1.0)
    assert not libraries(cache)


def test_folders_of_killed_processes_are_removed_after_a_day(cache):
    square()(1.0)
    old, new = cache / "compiling-old", cache / "compiling-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "0.c").touch()
    os.utime(old, (1, 1))
    assert main(["cache", "--clear"]) == 0
    assert list(cache.iterdir()) == [new]


def test_the_lock_of_a_killed_process_holds_up_nobody(cache):
    square()(1.0)
    (name,) = libraries(cache)
    (cache / name).unlink()
    lock, old = cache / f"compiling-{name[:32]}.lock", cache / "compiling-old.lock"
    for path in (lock, old):
        path.touch()
        os.utime(path, (1, 1))
    assert square()(0.0) == 1.0
    assert libraries(cache) == [path.name for path in cache.iterdir()] == [name]


RUN = "import pygrad; f = pygrad.compile(lambda x: x.exp() * 7.25, 1.0, backend='native'); print(f(0.0))"


@on_posix
def test_processes_share_a_cache_and_compile_once(cache, tmp_path, monkeypatch):
    compiler, made = slow_compiler(tmp_path)
    monkeypatch.setenv("CC", str(compiler))
    running = [subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=100)[0].strip() for process in running] == ["7.25"] * 4
    assert made.read_text() == "\n"
    assert [path.name for path in cache.iterdir()] == libraries(cache)
    assert len(libraries(cache)) == 1


def test_ctrl_c_while_compiling_leaves_nothing_behind(cache, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    chain = "functools.reduce(lambda y, k: (y * k).sin(), range(20000), x)"
    code = f"""if True:
        import functools, pygrad
        f = pygrad.compile(lambda x: {chain}, 1.0, backend="native")
        print("now", flush=True)
        f(1.0)"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "now\n"
    deadline = time.monotonic() + 30
    while not list(cache.glob("compiling-*/*.c")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert not list(cache.iterdir()) + list(temporary.iterdir())


@pytest.mark.parametrize(("patience", "is_terminal"), [(0, True), (60, True), (0, False)])
def test_a_bar_is_shown_where_compiling_takes_long_and_there_is_a_terminal(cache, monkeypatch, patience, is_terminal):
    pytest.importorskip("rich")

    class Terminal(io.StringIO):
        def isatty(self):
            return is_terminal

    shown = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(native, "PATIENCE", patience)
    monkeypatch.setattr(sys, "stderr", shown)
    square()(1.0)
    assert ("compiling <lambda>" in shown.getvalue()) == (patience == 0 and is_terminal)


def test_the_command_lists_and_clears_the_cache(cache, capsys):
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"0 files of 0 bytes in all, in {cache}\n"
    square()(1.0)
    (name,) = libraries(cache)
    assert main(["cache"]) == 0
    shown = capsys.readouterr().out
    assert name in shown
    assert f"1 file of {(cache / name).stat().st_size:,} bytes in all" in shown
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out.startswith("removed 1 file of ")
    assert not libraries(cache)


@pytest.mark.parametrize("folder", ["PYGRAD_CACHE_DIR", "XDG_CACHE_HOME", "HOME"])
def test_the_cache_is_where_the_environment_says(folder, monkeypatch, tmp_path):
    for name in ["PYGRAD_CACHE_DIR", "XDG_CACHE_HOME"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(folder, str(tmp_path))
    assert str(native.cache_folder()).startswith(str(tmp_path))


def source(f, batched=True):
    """What the compiler gets for the gradient of a function of one argument."""
    routine = f._executor.new_routine(((batched, batched), lib.PG_GRADIENT), is_native=True)
    return f._executor.owned_text(lib.pg_emit_native(routine))


def mixed(steps):
    """A program without structure: of each step the op, and which earlier values it takes."""
    rng = random.Random(4)
    plan = [(rng.choice("+*-st"), rng.randrange(1, 60), rng.randrange(1, 60)) for _ in range(steps)]

    def fn(x):
        values = [x[k % 4] for k in range(60)]
        for op, a, b in plan:
            a, b = values[-a], values[-b]
            values.append({"+": a + b, "*": a * b.tanh(), "-": a - b, "s": b.sin(), "t": a * 0.5}[op].tanh())
        return sum(values[-60:])

    return fn


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    "family", [mixed, lambda steps: lambda x: sum((x[0] * k).sin() * x[k % 4] for k in range(steps))]
)
def test_the_text_to_compile_grows_in_proportion_to_the_program(family, batched):
    texts = [source(pygrad.compile(family(steps), np.full(4, 0.1)), batched) for steps in (2000, 8000)]
    assert 3.5 < len(texts[1]) / len(texts[0]) < 4.5
    for text in texts:  # the compiler's time may grow faster than a function, or a file
        assert max(function.count("\n") for function in text.split("\nPG_BLOCK\n")) < 1500
        assert max(file.count("\n") for file in text.split("\f")) < 40_000


def test_the_statements_of_a_layer_are_as_many_as_its_neurons_not_its_weights():
    counts = [source(pygrad.compile(nn.MLP(8, [n, n, 1]), np.ones(8))).count(";") for n in (50, 100)]
    assert counts[0] < 2500
    assert counts[1] < 2.5 * counts[0]


@pytest.mark.parametrize("batched", [False, True])
def test_each_variable_has_one_statement_and_results_of_a_batch_are_stored_at_once(batched):
    text = source(pygrad.compile(mixed(400), np.full(4, 0.1)), batched)
    assert not re.search(r"^v\d+ \S*= ", text, re.MULTILINE)
    assert ("\nPG_VECTOR(" in text) == batched
    assert not re.search(r"(\nPG_VECTOR\(\d+\) = v\d+;){8}", text)


@long
def test_long_programs_are_many_small_functions_and_results_agree():
    def long(x, y):
        for k in range(3000):
            x, y = x * 0.999 + y.sin() * 0.001, y - x * (0.001 * (k % 3))
        return x * y

    f, g = (pygrad.compile(long, 1.0, 1.0, backend=backend) for backend in native_and_kernels())
    x, y = np.random.default_rng(0).normal(size=(2, 100))
    values, gradients = f.value_and_grad(x, y)
    expected, expected_gradients = g.value_and_grad(x, y)
    np.testing.assert_allclose(values, expected, rtol=1e-10)
    np.testing.assert_allclose(gradients, expected_gradients, rtol=1e-9)


def test_a_value_survives_in_an_argument_s_place():
    """Shared arguments are read in place: what is not their number must not be taken for it."""
    w = Value(3.0)
    f = pygrad.compile(lambda x, y: [x[0], w * x[1], y, x[2:]], np.zeros(4), 0.0, backend="native")
    with contextlib.suppress(ValueError):
        f(np.zeros(3), 0.0)
    found = f(np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 6.0]))
    assert [np.asarray(x).tolist() for x in found] == [[1.0, 1.0], [6.0, 6.0], [5.0, 6.0], [[3.0, 4.0], [3.0, 4.0]]]
