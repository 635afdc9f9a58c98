"""The examples in the documentation give the output that it shows."""

import doctest
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
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


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


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


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz's dot is not installed")
def test_the_pictures_and_tables_are_those_of_the_code():
    done = subprocess.run([sys.executable, ROOT / "docs" / "drawings.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


SITE = ROOT / "site"
needs_site = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="`make docs` has not been run")


@needs_site
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_site_can_be_searched_from_disk(tmp_path):
    page = f"{(SITE / 'search.html').as_uri()}?q=cross_entropy"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=9000", "--dump-dom"]
    command = ["chromium", *options, f"--user-data-dir={tmp_path}", page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert 'href="api/functional.html#pygrad.functional.losses.cross_entropy"' in done.stdout


@needs_site
def test_the_site_loads_nothing_from_the_network():
    for page in SITE.glob("**/*.html"):
        loads = re.findall(r'<(?:script|img|iframe)[^>]* src="(.*?)"|<link [^>]*href="(.*?)"', page.read_text("utf-8"))
        assert loads or page.name == "played.html"  # which is in one piece
        assert not [url for url in map("".join, loads) if url.startswith(("http:", "https:", "//"))], page.name
