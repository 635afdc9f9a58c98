"""`import pygrad`: what it offers at once and what only when asked, and what it says where it cannot work."""

from pathlib import Path

import pytest

import pygrad

PACKAGE = Path(pygrad.__file__).parent
LAZY = {
    "viz": "pygrad.viz.to_dot(pygrad.Value(1))",
    "reference": "pygrad.reference.Value(1)",
}


@pytest.mark.parametrize("name", LAZY)
def test_a_module_is_imported_when_it_is_first_asked_for(python, name):
    python(
        f"import sys, pygrad\n"
        f"assert 'pygrad.{name}' not in sys.modules\n"
        f"assert '{name}' in dir(pygrad)\n"
        f"{LAZY[name]}\n"
        f"assert pygrad.{name} is sys.modules['pygrad.{name}']\n"
    )


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'pygrad' has no attribute 'vis'"):
        pygrad.vis  # noqa: B018
    assert not hasattr(pygrad, "graphs")


MODULES = sorted(
    ".".join(["pygrad", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if not {"bench", "_children"} & set(path.parts)
)


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
