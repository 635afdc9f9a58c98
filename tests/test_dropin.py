"""Scripts that import micrograd run on pygrad unmodified."""

import subprocess
import sys

import pytest

import pygrad

SCRIPT = """
import random, sys
import micrograd
from micrograd.engine import Value
from micrograd import nn
import micrograd.nn as nn_too
from helper import answer

assert nn is nn_too is micrograd.nn
random.seed(1)
model = nn.MLP(2, [4, 1])
loss = (model([Value(1.0), -2.0]) - answer) ** 2
loss.backward()
print(Value.__module__, __name__, sys.argv[1:], isinstance(loss, Value), sum(p.grad**2 for p in model.parameters()) > 0)
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "helper.py").write_text("answer = 42")
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path / "script.py"


def pygrad_run(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "pygrad", *map(str, args)], capture_output=True, text=True, timeout=60, **options
    )


def test_an_unmodified_script_runs_on_pygrad(script, tmp_path):
    done = pygrad_run("run", script, "--steps", "3", cwd=tmp_path.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "pygrad.engine __main__ ['--steps', '3'] True True\n"


def test_a_failing_script_fails_as_it_does_under_python(script):
    script.write_text("import micrograd\nraise SystemExit(7)")
    assert pygrad_run("run", script).returncode == 7
    script.write_text("open('missing')")
    done = pygrad_run("run", script)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_missing_script_is_named(tmp_path):
    done = pygrad_run("run", tmp_path / "nowhere.py")
    assert done.returncode == 2
    assert "there is no script" in done.stderr
    assert "nowhere.py" in done.stderr
    assert "Traceback" not in done.stderr
    assert "there is no script" in pygrad_run("run", tmp_path).stderr


def test_the_version_is_the_package_s():
    assert pygrad_run("--version").stdout == f"pygrad {pygrad.__version__}\n"


def test_as_micrograd_serves_a_notebook(python):
    out = python(
        "import pygrad; pygrad.as_micrograd(); from micrograd.engine import Value; from micrograd import nn;"
        "print((Value(2) * 3).__class__.__module__, nn.MLP.__module__)"
    )
    assert out == "pygrad.engine pygrad.nn\n"


def test_modules_that_micrograd_does_not_have_are_not_found(python):
    out = python(
        "import pygrad; pygrad.as_micrograd()\ntry:\n import micrograd.optim\nexcept ModuleNotFoundError: print('ok')"
    )
    assert out == "ok\n"
