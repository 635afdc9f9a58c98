"""What pip and PyPI see: messages have the names of pyproject.toml, and the README reads without the repository."""

import re
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
import tomllib

import pygrad
from pygrad import _distribution

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
INSTALLS = re.compile(r"pip install '([\w-]*|\.)\[([\w,]+)\]'")
TEXTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.py")])


def test_the_name_and_the_version_are_those_that_pip_knows():
    assert PROJECT["name"] == _distribution.NAME
    assert version(_distribution.NAME) == _distribution.VERSION == pygrad.__version__


@pytest.mark.parametrize("path", sorted((ROOT / "pygrad").rglob("*.py")), ids=lambda path: path.name)
def test_a_message_names_an_extra_that_exists(path):
    text = path.read_text(encoding="utf-8")
    assert all(extra in PROJECT["optional-dependencies"] for extra in re.findall(r"\binstall\('(\w+)'\)", text))
    assert "pygrad[" not in text, "that is another project: call _distribution.install"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_page_installs_the_checkout_or_this_project(path):
    for name, extras in INSTALLS.findall(path.read_text(encoding="utf-8")):
        assert name in (".", _distribution.NAME)
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_readme_on_pypi_has_no_link_to_a_file():
    text = metadata(_distribution.NAME)["Description"]
    assert "# pygrad" in text
    assert "https://github.com/karpathy/micrograd)" in text
    assert not re.findall(r"\]\((?!https://)", text)
