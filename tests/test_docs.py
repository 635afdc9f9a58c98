"""The examples in the documentation give the output that it shows."""

import doctest
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

import pygrad
from pygrad import functional, nn, optim
from support.pages import browser, needs_browser

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


@pytest.mark.parametrize("page", [*PAGES[1:], ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_code_on_a_page_fits_its_column(page):
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert [line for block in blocks for line in block.splitlines() if len(line) > 90] == []


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz's dot is not installed")
def test_the_pictures_and_tables_are_those_of_the_code():
    done = subprocess.run([sys.executable, ROOT / "docs" / "drawings.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


API = {page.stem: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "api").glob("*.md"))}
PAGE_OF = {"pygrad.nn": "nn", "pygrad.optim": "optim", "pygrad.functional": "functional", "pygrad.program": "compile"}
PUBLIC = [
    pygrad.compile,
    pygrad.gradcheck,
    *(x for name in nn.__all__ if inspect.isclass(x := getattr(nn, name)) and x is not pygrad.Value),
    *(getattr(optim, name) for name in optim.__all__ if name != "lr_scheduler"),
    *(getattr(functional, name) for name in functional.__all__),
    *(
        x
        for x in vars(optim.lr_scheduler).values()
        if inspect.isclass(x) and x.__module__ == optim.lr_scheduler.__name__
    ),
]
EVIDENT = {"input", "optimizer"}  # what they are is what the page is about


@pytest.mark.parametrize("x", PUBLIC, ids=lambda x: x.__name__)
def test_every_option_is_documented(x):
    """In its docstring, in that of a base class or of a function that it refers to, or as an attribute."""
    page = next((page for module, page in PAGE_OF.items() if x.__module__.startswith(module)), "compile")
    options = {name for name in inspect.signature(x).parameters if not name.startswith("_")}
    (row,) = re.findall(rf"^\| `({x.__name__}\(.*\))` \|", API[page], re.MULTILINE)
    assert options <= set(re.findall(r"\w+", row))
    texts = [inspect.getdoc(owner) or "" for owner in (inspect.getmro(x) if inspect.isclass(x) else [x])]
    for other in re.findall(r"those of `(\w+)`", texts[0]):
        texts.append(inspect.getdoc(getattr(functional, other)))
    named = {name for text in texts for name in re.findall(r"`(\w+)`", text)}
    for line in re.findall(r"^ *([\w*, ]+)$", "\n".join(texts), re.MULTILINE):  # of a list of parameters
        named |= set(re.findall(r"\w+", line))
    attributes = {name for name in dir(x) if isinstance(getattr(x, name), property) and getattr(x, name).__doc__}
    assert options - EVIDENT <= named | attributes


def test_every_op_is_documented():
    table = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    for row in re.findall(
        r"^PG_[A-Z]+ *\((\w+), *\"(.+?)\"", (ROOT / "csrc" / "ops.def").read_text(encoding="utf-8"), re.MULTILINE
    ):
        name, symbol = row
        assert f"| {name} | `{symbol}` |" in table
        method = {"+": "__add__", "*": "__mul__", "**": "__pow__", "ReLU": "relu"}.get(symbol, symbol)
        assert f"| `{method}` |" in API["value"], name


def test_the_numbers_that_explain_a_gradient_are_printed_by_the_code_beside_them():
    page = (ROOT / "docs" / "backpropagation.md").read_text(encoding="utf-8")
    printed = "".join(re.findall(r"```text\n(.*?)```", page, re.DOTALL))
    prose = re.sub(r"```.*?```|<!-- table.*?<!-- end -->|`.*?`", "", page, flags=re.DOTALL)
    numbers = re.findall(r"\d+\.\d+", prose)
    assert "138.8338" in numbers
    assert set(numbers) - {"0.001", "0.5"} <= set(re.findall(r"\d+\.\d+", printed))


SITE = ROOT / "site"
needs_site = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="`make docs` has not been run")


@needs_site
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_site_can_be_searched_from_disk(tmp_path):
    page = f"{(SITE / 'search.html').as_uri()}?q=cross_entropy"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=9000", "--dump-dom"]
    command = ["chromium", *options, f"--user-data-dir={tmp_path}", page]
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # no sanitizer in the browser
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=plain)
    assert 'href="api/functional.html#pygrad.functional.losses.cross_entropy"' in done.stdout


@needs_site
@needs_browser
def test_the_graph_to_play_with_follows_the_theme_of_its_page(tmp_path):
    with browser(tmp_path) as driver:
        driver.get((SITE / "backpropagation.html").as_uri())
        frame = driver.find_element(By.CSS_SELECTOR, "iframe.played")

        def is_dark():
            driver.switch_to.frame(frame)
            dark = driver.execute_script("return document.documentElement.classList.contains('dark')")
            driver.switch_to.default_content()
            return dark

        seen = set()
        for _ in range(3):
            theme = driver.execute_script("return document.body.dataset.theme")
            WebDriverWait(driver, 5).until(lambda _, dark=theme == "dark": is_dark() is dark)
            seen.add(theme)
            driver.execute_script("document.querySelector('.theme-toggle').click()")
        assert seen == {"auto", "light", "dark"}


@needs_site
def test_the_site_loads_nothing_from_the_network():
    for page in SITE.glob("**/*.html"):
        loads = re.findall(r'<(?:script|img|iframe)[^>]* src="(.*?)"|<link [^>]*href="(.*?)"', page.read_text("utf-8"))
        assert loads or page.name == "played.html"  # which is in one piece
        assert not [url for url in map("".join, loads) if url.startswith(("http:", "https:", "//"))], page.name
