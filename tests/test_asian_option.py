"""The example of the Asian option, in a short form: its price and its Greeks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.effort import long

EXAMPLE = Path(__file__).parent.parent / "examples" / "asian_option.py"


def run(folder, threads):
    """The example's output for 15,000 paths, a batch and a half."""
    options = ["--paths", "15000", "--threads", str(threads), "--seed", "1", "--out", "asian.png"]
    done = subprocess.run([sys.executable, EXAMPLE, *options], capture_output=True, text=True, timeout=120, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("asian")


@pytest.fixture(scope="module")
def printed(folder):
    return run(folder, 1)


def row(printed, name, columns):
    """The numbers in the row that begins with `name`."""
    return [float(x) for x in re.search(rf"│ {name} +" + r"│ +([\d.e+-]+) +" * columns, printed).groups()]


def priced(printed):
    """The row of the price and the Greeks."""
    return re.search(r"total vega.*\n.*\n│ (.*) │", printed)[1]


@long
@pytest.mark.parametrize("greek", ["delta", "rho", "252 vegas"])
def test_the_greeks_are_the_finite_differences(printed, greek):
    gradient, differences, off = row(printed, greek, 3)
    assert gradient == pytest.approx(differences, rel=1e-5)
    assert gradient > 0
    assert off < 1e-5


def test_the_geometric_option_costs_what_the_closed_form_says(printed):
    price, error, exact, off = map(
        float,
        re.search(r"closed form.*\n.*\n│ ([\d.]+) +│ ([\d.]+) +│ ([\d.]+) +│ ([\d.]+) standard", printed).groups(),
    )
    assert abs(price - exact) < 4 * error
    assert abs(price - exact) / error == pytest.approx(off, abs=0.02)
    arithmetic = float(priced(printed).split("│")[0])
    assert price < arithmetic < price * 1.1


def test_the_vegas_are_drawn(folder, printed):
    assert "A path takes" in printed
    assert (folder / "asian.png").read_bytes().startswith(b"\x89PNG")


@long
def test_two_threads_give_the_same_numbers(printed, tmp_path):
    assert priced(run(tmp_path, 2)) == priced(printed)
