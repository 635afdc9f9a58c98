"""What the documentation shows is what happens."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import pygrad

ROOT = Path(__file__).parent.parent
MODULES = [m.name for m in pkgutil.walk_packages(pygrad.__path__, "pygrad.") if not m.name.endswith("__main__")]


@pytest.mark.parametrize("name", ["pygrad", *sorted(set(MODULES) - {"pygrad._core"})])
def test_docstring_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs={"as_micrograd": pygrad.as_micrograd}).failed == 0


def test_readme_s_python_prints_what_it_says(capsys):
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})
        expected = re.findall(r"print\(.*?\)\s*# (\S+)", block)
        assert capsys.readouterr().out.split() == expected
