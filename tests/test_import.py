"""`import pygrad`: what it offers at once and what only when asked, and what it says where it cannot work."""

from pathlib import Path

import pytest

import pygrad
from pygrad._lib import pypy

PACKAGE = Path(pygrad.__file__).parent
LAZY = ["checking", "checkpoint", "dropin", "functional", "nn", "optim", "program", "reference", "viz"]


@pytest.mark.parametrize("name", LAZY)
def test_a_module_is_imported_when_it_is_first_asked_for(python, name):
    python(
        f"import sys, pygrad\n"
        f"assert 'pygrad.{name}' not in sys.modules\n"
        f"assert '{name}' in dir(pygrad)\n"
        f"assert pygrad.{name} is sys.modules['pygrad.{name}']\n"
    )


SLOW = ["importlib.metadata", "numpy.ma", "numpy.random", "random", "subprocess", "sysconfig", "tempfile", "zipfile"]


def test_importing_takes_no_module_that_takes_long(python):
    modules = python("import numpy, sys; before = {*sys.modules}; import pygrad; print(*{*sys.modules} - before)")
    assert "pygrad.engine" in modules.split()
    assert not {*SLOW, *(f"pygrad.{name}" for name in LAZY)} & {*modules.split()}


MODULES = sorted(
    ".".join(["pygrad", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if not {"bench", "_children", *(["dask.py"] if pypy else [])} & set(path.parts)  # Dask does not load on PyPy 8
)


@pytest.mark.parametrize(
    "first",
    ["", "from pygrad import *", f"import importlib; [importlib.import_module(m) for m in {MODULES}]"],
    ids=["asked for", "star", "after all modules"],
)
def test_every_name_is_what_it_says(python, first):
    code = "for name in pygrad.__all__: print((x := getattr(pygrad, name)).__name__, type(x).__name__)"
    there = {name: getattr(pygrad, name) for name in pygrad.__all__}
    out = python(f"{first}\nimport pygrad\n{code}").splitlines()
    assert out == [f"{x.__name__} {type(x).__name__}" for x in there.values()]


def test_a_name_that_was_replaced_stays_so(python):
    assert python("import pygrad; pygrad.MLP = 1; pygrad.Layer; print(pygrad.MLP)").split() == ["1"]


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'pygrad' has no attribute 'vis'"):
        pygrad.vis  # noqa: B018
    assert not hasattr(pygrad, "graphs")


def test_whatever_is_imported_first_says_that_the_core_is_not_built(python):
    out = python(f"""if True:
        import importlib, sys
        for first in {MODULES}:
            sys.modules["pygrad._core"] = None
            try:
                importlib.import_module(first)
            except ImportError as error:
                print(error)
            for name in [name for name in sys.modules if name.partition(".")[0] == "pygrad"]:
                del sys.modules[name]
    """)
    assert out == "pygrad's C core is not built: run `pip install .` or `pip install -e .` first\n" * len(MODULES)
