"""Scripts that import micrograd run on pygrad unmodified."""

import inspect
import multiprocessing
import os
import shutil
import subprocess
import sys

import micrograd.engine
import micrograd.nn
import pytest

import pygrad
from support import with_cloudpickle
from support.effort import long

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


def test_file_is_absolute_and_the_arguments_are_as_given(tmp_path):
    (tmp_path / "script.py").write_text("import sys; print(__file__, sys.argv, sys.path[0])")
    done = pygrad_run("run", "script.py", "-m", "x", cwd=tmp_path)
    plain = subprocess.run(
        [sys.executable, "script.py", "-m", "x"], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.stdout == plain.stdout == f"{tmp_path / 'script.py'} ['script.py', '-m', 'x'] {tmp_path}\n"


def test_the_script_is_main_until_the_end(tmp_path):
    (tmp_path / "script.py").write_text(
        "import atexit, pickle, sys\n"
        "class Thing: pass\n"
        "atexit.register(lambda: print(pickle.loads(pickle.dumps(Thing())).__class__ is Thing, __name__, __doc__))\n"
    )
    assert pygrad_run("run", "script.py", cwd=tmp_path).stdout == "True __main__ None\n"


@pytest.mark.parametrize("archive", [False, True], ids=["folder", "archive"])
def test_a_folder_or_an_archive_runs_its_main(tmp_path, archive):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text("import part")
    (tmp_path / "app" / "part.py").write_text("from micrograd.engine import Value; print(Value.__module__)")
    script = shutil.make_archive(tmp_path / "app", "zip", tmp_path / "app") if archive else tmp_path / "app"
    assert pygrad_run("run", script, cwd=tmp_path).stdout == "pygrad.engine\n"


# Modules ----------------------------------------------------------------------------------------------------------


def test_a_module_runs_as_under_python(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("")
    (tmp_path / "pack" / "mod.py").write_text(
        "import sys\nfrom . import other\nprint(other.Value.__module__, __name__, __file__, sys.argv[1:], sys.path[0])"
    )
    (tmp_path / "pack" / "other.py").write_text("from micrograd.engine import Value")
    done = pygrad_run("run", "-m", "pack.mod", "-m", "--x", cwd=tmp_path)
    assert done.stdout == f"pygrad.engine __main__ {tmp_path / 'pack' / 'mod.py'} ['-m', '--x'] {tmp_path}\n"


def test_pytest_runs_tests_of_micrograd(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "from micrograd.engine import Value\ndef test_it():\n    assert Value.__module__ == 'pygrad.engine'\n"
    )
    done = pygrad_run("run", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("name", ["nowhere", "nowhere.mod", "json.nowhere"])
def test_a_missing_module_is_named(name):
    done = pygrad_run("run", "-m", name)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert f"there is no module {name!r}" in done.stderr


# Child processes --------------------------------------------------------------------------------------------------

CHILDREN = {
    "multiprocessing": """
import multiprocessing, sys
from micrograd.engine import Value

def work(x):
    return Value.__module__, (Value(x) * 2).data

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        assert pool.map(work, [1.0, 2.0]) == [("pygrad.engine", 2.0), ("pygrad.engine", 4.0)]
    print("pygrad.engine")
""",
    "executor": """
import concurrent.futures, multiprocessing, sys
def work(x):
    from micrograd import nn
    return nn.Value.__module__
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        print(executor.submit(work, 1).result())
""",
    "joblib": """
import joblib
def work(x):
    from micrograd.engine import Value
    return Value.__module__, (Value(x) * 2).data
if __name__ == "__main__":
    assert joblib.Parallel(2)(joblib.delayed(work)(x) for x in (1.0, 2.0)) == [("pygrad.engine", x) for x in (2.0, 4.0)]
    print("pygrad.engine")
""",
    "dask": """
import dask
def work(x):
    from micrograd.engine import Value
    return Value.__module__
if __name__ == "__main__":
    print(dask.delayed(work)(1.0).compute(scheduler="processes"))
""",
    "subprocess": """
import subprocess, sys
code = "import sys; assert 'pygrad' not in sys.modules; import micrograd.engine; print(micrograd.engine.__name__)"
subprocess.run([sys.executable, "-c", code], check=True)
""",
    "grandchild": """
import subprocess, sys
code = "import micrograd.engine; print(micrograd.engine.__name__)"
outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
subprocess.run([sys.executable, "-c", outer], check=True)
""",
}


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.parametrize(
    "child", [pytest.param(name, marks=with_cloudpickle) if name in ("joblib", "dask") else name for name in CHILDREN]
)
def test_child_processes_run_on_pygrad_too(tmp_path, child, method):
    if method != "spawn" and child not in ("multiprocessing", "executor"):
        pytest.skip("has no method")
    (tmp_path / "script.py").write_text(CHILDREN[child])
    done = pygrad_run("run", "script.py", method, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("pygrad.engine\n", "")


def test_a_module_s_children_run_on_pygrad_too(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "mod.py").write_text(CHILDREN["multiprocessing"])
    assert pygrad_run("run", "-m", "pack.mod", "spawn", cwd=tmp_path).stdout == "pygrad.engine\n"


def test_children_still_import_their_own_sitecustomize(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.customized = True")
    (tmp_path / "script.py").write_text(
        "import subprocess, sys\n"
        "code = 'import os, sys, micrograd.engine; print(sys.customized, micrograd.engine.__name__, "
        'sys.modules["sitecustomize"].__file__, sum(path.endswith("_children") for path in sys.path))\'\n'
        "subprocess.run([sys.executable, '-c', code], check=True)\n"
    )
    done = pygrad_run("run", "script.py", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.stdout == f"True pygrad.engine {tmp_path / 'sitecustomize.py'} 0\n", done.stderr


def test_a_child_without_pygrad_finds_micrograd_as_ever(tmp_path):
    (tmp_path / "micrograd.py").write_text("print('its own')")
    (tmp_path / "script.py").write_text(
        "import subprocess, sys\n"
        "code = 'import sys; sys.modules[\"pygrad\"] = None; import micrograd'\n"
        "subprocess.run([sys.executable, '-c', code], check=True)\n"
    )
    assert pygrad_run("run", "script.py", cwd=tmp_path).stdout == "its own\n"


# A copy of micrograd beside the script ----------------------------------------------------------------------------

ENGINE, NN = (inspect.getsource(module) for module in (micrograd.engine, micrograd.nn))
CHANGED_ENGINE = ENGINE + "\n    def sign(self):\n        return 1\n"
CHANGED_NN = NN + "\nclass Conv(Module):\n    pass\n"
USE = """
import micrograd.engine, micrograd.nn
print(micrograd.engine.Value.__module__, micrograd.nn.MLP.__module__)
"""
BOTH, ENGINE_ONLY = "pygrad.engine pygrad.nn.neurons", "pygrad.engine micrograd.nn"
NN_ONLY = "micrograd.engine pygrad.nn.neurons"

# The files, the options, the script, what it prints, and what the warnings name.
COPIES = {
    "micrograd itself": ({"engine": ENGINE, "nn": NN}, [], USE, BOTH, []),
    "other comments": ({"engine": "# mine\n\n" + ENGINE.replace("\n", "\r\n"), "nn": NN + "\n# x"}, [], USE, BOTH, []),
    "nothing of it": ({}, [], USE, BOTH, []),
    "a changed engine": ({"engine": CHANGED_ENGINE, "nn": NN}, [], USE, BOTH, ["engine.py"]),
    "a changed engine, kept": ({"engine": CHANGED_ENGINE, "nn": NN}, ["nn"], USE, NN_ONLY, []),
    "a changed engine, meant": ({"engine": CHANGED_ENGINE, "nn": NN}, ["engine", "nn"], USE, BOTH, []),
    "a changed nn": (
        {"engine": ENGINE, "nn": CHANGED_NN},
        [],
        USE + "print(micrograd.nn.Conv.__name__, micrograd.nn.Neuron(1).b.__class__.__module__)",
        f"{ENGINE_ONLY}\nConv pygrad.engine",
        ["nn.py"],
    ),
    "a changed nn, kept": ({"engine": ENGINE, "nn": CHANGED_NN}, ["engine"], USE, ENGINE_ONLY, []),
    "a changed nn, replaced": ({"engine": ENGINE, "nn": CHANGED_NN}, ["engine", "nn"], USE, BOTH, []),
    "both changed": ({"engine": CHANGED_ENGINE, "nn": CHANGED_NN}, [], USE, ENGINE_ONLY, ["engine.py", "nn.py"]),
    "no engine": ({"nn": CHANGED_NN}, [], USE, ENGINE_ONLY, ["nn.py"]),
    "an engine that is no text": ({"engine": b"\xff", "nn": NN}, [], USE, BOTH, ["engine.py"]),
    "an engine in a folder": ({"engine/__init__": CHANGED_ENGINE, "nn": NN}, [], USE, BOTH, ["engine/__init__.py"]),
    "another module": (
        {"engine": ENGINE, "nn": NN, "optim": "from micrograd.engine import Value\nfrom . import nn"},
        [],
        "import micrograd.optim as o; print(o.Value.__module__, o.nn.__name__)",
        "pygrad.engine pygrad.nn",
        [],
    ),
    "names in its __init__": (
        {"__init__": "from .engine import Value\nfrom .nn import MLP as Net\nfrom .more import x", "more": "x = 1"},
        [],
        "from micrograd import Value, Net, x, MLP; print(Value.__module__, Net.__module__, x)",
        f"{BOTH} 1",
        [],
    ),
    "names that it does not have": (
        {"__init__": "", "engine": ENGINE, "nn": NN},
        [],
        "from micrograd import Value, MLP, Layer, Neuron, Module, nn; print(Value.__module__, nn.__name__)",
        "pygrad.engine pygrad.nn",
        [],
    ),
}


def write_copy(folder, files, init):
    (folder / "micrograd").mkdir()
    for name, source in ({"__init__": ""} | files if init else files).items():
        path = folder / "micrograd" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.encode())


@pytest.mark.parametrize("init", [True, pytest.param(False, marks=long)], ids=["package", "folder"])
@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_of_micrograd_is_used_but_for_what_pygrad_replaces(tmp_path, copy, init):
    files, replace, script, printed, warned = COPIES[copy]
    if not init:  # a package installed elsewhere comes before a folder without an __init__.py: hide it
        if "__init__" in files:
            pytest.skip("is a package")
        script = "import sys; sys.path[1:] = [p for p in sys.path[1:] if 'site-packages' not in p]\n" + script
    write_copy(tmp_path, files, init)
    (tmp_path / "script.py").write_text(script if init else "import pygrad.engine, pygrad.nn\n" + script)
    done = pygrad_run("run", *(f"--replace={part}" for part in replace), "script.py", cwd=tmp_path)
    assert done.stdout == printed + "\n", done.stderr
    assert done.stderr.count("UserWarning") == len(warned), done.stderr
    for name in warned:
        assert f"UserWarning: {tmp_path / 'micrograd' / name} is not the " in done.stderr
    assert done.stderr.count(f"{tmp_path / 'script.py'}:") == len(warned)


def test_a_single_file_named_micrograd_is_named_when_it_is_replaced(tmp_path):
    (tmp_path / "micrograd.py").write_text(ENGINE)
    (tmp_path / "script.py").write_text("from micrograd import Value; print(Value.__module__)")
    done = pygrad_run("run", "script.py", cwd=tmp_path)
    assert done.stdout == "pygrad.engine\n"
    assert f"{tmp_path / 'micrograd.py'} is not micrograd 0.1.0: pygrad is used in its place" in done.stderr


def test_children_replace_what_was_chosen(tmp_path):
    write_copy(tmp_path, {"engine": CHANGED_ENGINE, "nn": CHANGED_NN}, True)
    (tmp_path / "script.py").write_text(
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {USE!r}], check=True)"
    )
    done = pygrad_run("run", "--replace", "nn", "script.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == (f"{NN_ONLY}\n", "")


def test_a_path_that_the_script_adds_is_searched_too(tmp_path):
    (tmp_path / "lib").mkdir()
    write_copy(tmp_path / "lib", {"engine": ENGINE, "nn": CHANGED_NN}, True)
    (tmp_path / "script.py").write_text(f"import sys; sys.path.insert(0, 'lib')\n{USE}")
    assert pygrad_run("run", "script.py", cwd=tmp_path).stdout == f"{ENGINE_ONLY}\n"


def test_an_unknown_module_to_replace_is_refused():
    with pytest.raises(ValueError, match="must name 'engine' or 'nn', not 'optim'"):
        pygrad.as_micrograd(["engine", "optim"])
    assert "invalid choice" in pygrad_run("run", "--replace", "optim", "script.py").stderr


def test_the_version_is_the_package_s():
    assert pygrad_run("--version").stdout == f"pygrad {pygrad.__version__}\n"


def test_the_command_alone_prints_its_help():
    done = pygrad_run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == pygrad_run("--help").stdout


def test_as_micrograd_serves_a_notebook(python):
    out = python(
        "import pygrad; pygrad.as_micrograd(); from micrograd.engine import Value; from micrograd import nn;"
        "print((Value(2) * 3).__class__.__module__, nn.MLP.__module__)"
    )
    assert out == "pygrad.engine pygrad.nn.neurons\n"


def test_modules_that_micrograd_does_not_have_are_not_found(python):
    out = python(
        "import pygrad; pygrad.as_micrograd()\ntry:\n import micrograd.optim\nexcept ModuleNotFoundError: print('ok')"
    )
    assert out == "ok\n"


def test_as_micrograd_takes_the_place_of_a_micrograd_imported_before(python):
    out = python(
        "import micrograd.nn, pygrad; pygrad.as_micrograd(); pygrad.as_micrograd()\n"
        "import sys; from micrograd.engine import Value; from micrograd import MLP\n"
        "print(Value.__module__, MLP.__module__, sum('dropin' in type(f).__module__ for f in sys.meta_path))"
    )
    assert out == "pygrad.engine pygrad.nn.neurons 1\n"
