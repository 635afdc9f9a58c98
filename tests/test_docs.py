"""The examples in the documentation give the output that it shows."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import pygrad

ROOT = Path(__file__).parent.parent
MODULES = [m.name for m in pkgutil.walk_packages(pygrad.__path__, "pygrad.") if not m.name.endswith("__main__")]

NAMES = {"array": pygrad.array, "as_micrograd": pygrad.as_micrograd}  # that the examples use


@pytest.mark.parametrize("name", ["pygrad", *sorted(set(MODULES) - {"pygrad._core"})])
def test_docstring_examples_run(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs=NAMES).failed == 0


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_on_a_page_prints_what_the_page_shows(page, capsys, tmp_path, monkeypatch):
    """The page shows it in a comment behind each print(), or in a block of text below."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", page.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    for block, text in blocks:
        exec(compile(block, page.name, "exec"), names)
        printed = capsys.readouterr().out
        if text:
            assert printed == text
        else:
            assert printed.split() == re.findall(r"print\(.*?\)\s*# (\S+)", block)
