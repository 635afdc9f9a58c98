"""Each example runs, in a short form, as its own documentation says."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_moons_draws_the_boundary_and_finds_the_losses_equal(tmp_path):
    picture = tmp_path / "moons.png"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "moons.py", "--steps", "2", "--out", picture],
        capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "equal at every one of the 2 steps" in done.stdout
    assert "times faster" in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
