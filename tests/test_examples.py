"""Each example runs, in a short form, as its documentation says."""

import ast
import importlib.util
import math
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pygrad
from pygrad.bench.workloads.memory import resident_bytes
from support import on_limited_memory, with_matplotlib
from support.effort import long

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_says_how_long_it_takes_what_it_needs_and_what_its_options_do(example):
    tree = ast.parse(example.read_text(encoding="utf-8"))
    text = " ".join(ast.get_docstring(tree).split())
    assert re.search(r"It takes (about )?\w+ (few )?(seconds|minutes?)\b", text)
    assert re.search(r"needs `pip install '\.\[[\w,]+\]'`", text)
    options = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and _is_option(call.func)]
    assert len(options) >= 3
    for option in options:
        assert "help" in {keyword.arg for keyword in option.keywords}, option.args[0].value


def _is_option(called):
    return isinstance(called, ast.Attribute) and called.attr == "add_argument"


def run(example, *args, cwd):
    """The output of the example."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / example, *map(str, args)], capture_output=True, text=True, timeout=300, cwd=cwd
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def module(example):
    spec = importlib.util.spec_from_file_location(Path(example).stem, EXAMPLES / example)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@with_matplotlib
def test_moons_draws_the_boundary_and_finds_the_losses_equal(tmp_path):
    picture = tmp_path / "moons.png"
    out = run("moons.py", "--steps", 3, "--race", 2, "--out", picture, cwd=tmp_path)
    assert "C: step 3 of 3, loss 0.7429" in out
    assert "plain Python: step 2 of 2, loss 1.7236" in out
    assert re.search(r"│ 3 +│ 0.7429 +│ +│", out)  # the table counts steps as the lines do
    assert "plain Python and C: 2. They are equal to the last bit" in out
    assert re.search(r"plain Python │ +[\d,.]+ ms │ about [\d,.]+ s │", out)
    assert picture.read_bytes().startswith(b"\x89PNG")


@long
@with_matplotlib
def test_moons_takes_all_steps_in_plain_python_too(tmp_path):
    out = run("moons.py", "--steps", 1, "--full", cwd=tmp_path)
    assert "plain Python and C: 1. They are equal to the last bit" in out
    assert "about" not in out


@with_matplotlib
def test_moons_ends_at_ctrl_c_without_a_traceback(tmp_path):
    command = [sys.executable, EXAMPLES / "moons.py", "--race", "1000", "--steps", "1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        for line in process.stdout:
            if "C: step" in line:
                process.send_signal(signal.SIGINT)
                break
        try:
            _, err = process.communicate(timeout=100)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, "")


@with_matplotlib
def test_moons_says_where_losses_differ(monkeypatch, tmp_path):
    moons = module("moons.py")
    new_step, Value, MLP = moons.ENGINES["C"]

    def a_bit_off(*arguments):
        step = new_step(*arguments)
        return lambda: (math.nextafter(step()[0], 2), 1.0)

    monkeypatch.setitem(moons.ENGINES, "C", (a_bit_off, Value, MLP))
    monkeypatch.setattr(sys, "argv", ["moons.py", "--steps", "1", "--race", "1", "--out", str(tmp_path / "moons.png")])
    with pytest.raises(SystemExit, match="the losses of plain Python and C differ, first at step"):
        moons.main()


@long
@with_matplotlib
def test_moons_compiled_has_the_same_losses(tmp_path):
    out = run("moons.py", "--steps", 3, "--race", 1, "--compile", cwd=tmp_path)
    assert float(out.split("are off by at most ")[1].split(":")[0]) < 1e-12
    assert re.search(r"compiled +│ +[\d.]+ ms │ +[\d.]+ s │ +[\d,]+ times", out)


@with_matplotlib
def test_spirals_learns_three_classes(tmp_path):
    out = run("spirals.py", "--points", 50, "--steps", 200, cwd=tmp_path)
    assert float(re.search(r"(\d+)% of the 150 points", out)[1]) > 90
    assert (tmp_path / "spirals.png").read_bytes().startswith(b"\x89PNG")


def loss_of(out):
    """The mean loss of the last steps, as microgpt prints it."""
    return float(re.search(r"last \d+ steps ([\d.]+) ", " ".join(out.split()))[1])


def test_microgpt_compiled_learns_the_same(tmp_path):
    eager, compiled = (run("microgpt.py", "--steps", 60, *flag, cwd=tmp_path) for flag in ([], ["--compile"]))
    assert loss_of(eager) == loss_of(compiled)
    assert eager.split("training data):")[1] == compiled.split("training data):")[1]


def test_microgpt_learns_and_invents_names(tmp_path):
    out = run("microgpt.py", "--steps", 200, cwd=tmp_path)
    assert "1,000 documents, 26 characters, 4,192 parameters" in out
    assert loss_of(out) < 2.8
    assert len(out.split("training data):")[1].strip("\n").split("\n")) == 20


def test_microgpt_takes_any_text(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("[bold]Ünï\n\n  cødé \n" + "long" * 20 + "\n", encoding="utf-8")
    out = run("microgpt.py", text, "--steps", 3, "--samples", 2, cwd=tmp_path)
    assert "3 documents, 13 characters" in out


def test_the_names_are_a_thousand_different_ones():
    names = (EXAMPLES / "names.txt").read_text().splitlines()
    assert len(set(names)) == len(names) == 1000
    assert all(name.isascii() and name.isalpha() and name.islower() for name in names)


@pytest.fixture
def flat():
    """A function to call once a step; at the end, live nodes and resident memory must be as after ten steps."""
    nodes, resident = [], []

    def step(*args, **kwargs):
        nodes.append(pygrad.memory_stats().live_nodes)
        resident.append(resident_bytes())

    yield step
    assert len(nodes) >= 1000
    assert max(nodes[10:]) <= max(nodes[:10])
    assert max(resident[10:]) - max(resident[:10]) < 4 << 20


@on_limited_memory
@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
class TestAThousandStepsLeaveTheMemoryFlat:
    @with_matplotlib
    def test_of_moons(self, flat):
        moons = module("moons.py")
        moons.train(moons.ENGINES["C"], *moons.two_moons(), 1000, flat)

    @long
    def test_of_microgpt(self, flat):
        microgpt = module("microgpt.py")
        names = (EXAMPLES / "names.txt").read_text().splitlines()
        names.sort(key=len, reverse=True)  # the largest graphs come first
        tokens = microgpt.Tokens(names)
        microgpt.train(microgpt.GPT(tokens.end + 1), tokens, names, 1000, flat)

    @long
    @with_matplotlib
    def test_of_diffusion2d(self, flat):
        diffusion = module("diffusion2d.py")
        rng = np.random.default_rng(0)
        data, _ = diffusion.two_moons(16, 0)
        model = diffusion.new_model(rng)
        optimizer = diffusion.Adam([p for layer in model for p in layer])
        for _ in range(1000):
            diffusion.train_step(model, optimizer, data, rng)
            flat()

    @with_matplotlib
    def test_of_rumelhart1986(self, flat):
        module("rumelhart1986.py").learn_symmetry(0, 1000, flat)


@long
def test_dask_asian_agrees_with_the_closed_form(tmp_path):
    out = run("dask_asian.py", "--paths", 25_000, cwd=tmp_path)
    assert "25,000 paths in 50 chunks on 2 workers" in out
    assert out.count(" errors") == 4


@long
def test_dask_training_has_the_same_losses_without_a_cluster(tmp_path):
    out = " ".join(run("dask_training.py", "--samples", 2000, "--steps", 5, cwd=tmp_path).split())
    assert "The losses of all 5 steps have the same bits in this process" in out


ON_A_CLUSTER = [
    (["dask_asian.py", "--paths", 1000], "1,000 paths in 50 chunks on 1 workers"),
    (["dask_training.py", "--samples", 500, "--steps", 2], "The losses of all 2 steps have the same bits"),
]


@long
@pytest.mark.parametrize(("example", "words"), ON_A_CLUSTER)
def test_the_examples_with_dask_run_on_a_cluster_of_the_user_s(tmp_path, example, words):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        1, processes=False, protocol="tcp", dashboard_address=":0", silence_logs=50
    ) as cluster:
        out = run(*example, "--address", cluster.scheduler_address, cwd=tmp_path)
        assert cluster.scheduler.workers  # the example does not close it
    assert words in " ".join(out.split())


@long
def test_dask_limits_prints_how_many_workers_pay(tmp_path):
    out = run("dask_limits.py", "--samples", 2000, "--tasks", 50, cwd=tmp_path)
    assert "a chunk 3.5 tasks" in out
    assert "ms of the scheduler's time" in out
    assert "workers make a step slower" in out
