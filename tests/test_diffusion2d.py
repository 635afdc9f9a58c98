"""The diffusion example, in a short form: it runs, learns, and draws the same picture for the same seed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.effort import long

EXAMPLE = Path(__file__).parent.parent / "examples" / "diffusion2d.py"


def run(folder):
    """The output of the example and its picture."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--steps", "120", "--samples", "50", "--seed", "1", "--out", "moons.png"],
        capture_output=True, text=True, timeout=120, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "moons.png").read_bytes()


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return run(tmp_path_factory.mktemp("first"))


@long
def test_120_steps_bring_the_samples_nearer_to_the_data_than_noise(first):
    printed, picture = first
    samples, fresh, noise = (
        float(re.search(rf"{name} +│ ([\d.]+) ", printed)[1]) for name in ("samples", "fresh data", "noise")
    )
    assert fresh < samples < noise / 2
    assert picture.startswith(b"\x89PNG")


@long
def test_the_graph_of_a_step_has_a_product_and_a_sum_for_each_point_and_weight(first):
    nodes = int(re.search(r"([\d,]+) scalar nodes", first[0])[1].replace(",", ""))
    products_and_sums = 64 * 2 * (9 * 64 + 64 * 64 + 64 * 2)
    assert products_and_sums < nodes < products_and_sums * 1.02


@long
def test_a_seed_always_gives_the_same_picture(first, tmp_path):
    assert run(tmp_path)[1] == first[1]
