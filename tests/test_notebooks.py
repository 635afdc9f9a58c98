"""The notebooks of docs/ give the output that they show."""

import shutil

import nbformat
import pytest

from support.effort import long
from support.notebooks import DOCS, run, texts

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz's dot is not installed")


@long
@needs_dot
@pytest.mark.parametrize("name", ["tour", "extending"])
def test_a_notebook_prints_what_it_shows(name):
    path = DOCS / f"{name}.ipynb"
    assert texts(run(path)) == texts(nbformat.read(path, as_version=4))
