"""The Python tests on the CPython of ARM's 64-bit processors, which an emulator runs: for cross.py.

Debian's packages of Python are unpacked below build/, with PyPI's wheels beside them. Nothing is installed, and no
rights are needed.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import tomllib

ROOT = Path(__file__).parent.parent.parent
DEBIAN = "arm64"
PACKAGES = ["python3", "libpython3-dev", "libstdc++6"]  # NumPy's wheels need the last
PROCESSOR = "armv8-a"  # what the cross-compiler calls the least of them
PLATFORMS = ["manylinux2014_aarch64", "manylinux_2_28_aarch64"]  # PyPI's names for it
# What pygrad computes and how it keeps memory. The other tests are of pages, pictures, benchmarks and the like.
TESTS = """
    tests/arena tests/array tests/engine tests/functional tests/nn tests/optim tests/program tests/test_checkpoint.py
    tests/test_edge_derivatives.py tests/test_index.py tests/test_kernels.py tests/test_op_methods.py
    tests/test_op_table.py tests/test_ops.py tests/test_right_numbers.py
"""
IMPORTED = ["scipy"]  # by them, besides what the tests of wheels import
LONGEST = 3600  # seconds


class MissingError(Exception):
    """What this machine lacks, or cannot fetch."""


def run_tests(compiler: str, emulator: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, list[str]]:
    """How many tests pass, and the names of the others. What pytest prints is in tests.txt in the folder."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    imported = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    imported += [*project["tool"]["cibuildwheel"]["test-requires"], *IMPORTED]
    python = unpack_python(emulator, folder)
    fetch_wheels(python, imported, folder / "wheels")
    environment = {
        **environment,
        "PATH": f"{as_if_there(compiler, folder).parent}:{environment['PATH']}",
        "CC": "cc",  # that of PATH, which tests call as well
        "PYTHONPATH": f"{folder / 'package'}:{folder / 'wheels'}",
        "PYTHONSAFEPATH": "1",  # or the pygrad in the current directory, which is this machine's, would come first
        "PYGRAD_CACHE_DIR": str(folder / "cache"),
        "PYGRAD_TESTS": "quick",
    }
    build(python, folder, environment)
    command = [python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", *TESTS.split()]
    printed = folder / "tests.txt"
    with printed.open("w", encoding="utf-8") as file:
        subprocess.run(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, timeout=LONGEST)
    return read(printed.read_text(encoding="utf-8"))


def unpack_python(emulator: list[str], folder: Path) -> Path:
    """Unpack Debian's Python, and return a script that runs it."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise MissingError("needs Debian's apt and dpkg")
    apt, root = folder / "apt", folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    apt.mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()  # no package is installed
    get = [
        *("apt-get", "-qq", "-o", f"APT::Architecture={DEBIAN}", "-o", f"APT::Architectures={DEBIAN}"),
        *("-o", f"Dir::State={apt}", "-o", f"Dir::State::status={apt / 'status'}", "-o", f"Dir::Cache={apt}"),
    ]
    output([*get, "update"])
    output([*get, "clean"])
    output([*get, "install", "--yes", "--no-install-recommends", "--download-only", *PACKAGES])
    for package in (apt / "archives").glob("*.deb"):
        output(["dpkg", "-x", str(package), str(root)])
    if not (root / "lib").exists():  # the packages of Debian 13 have no file there
        (root / "lib").symlink_to("usr/lib")
    # Tests start sys.executable, which Python takes from its argument 0. This machine runs it, as it is a script.
    python = root / "usr" / "bin" / "python"
    return script(python, f'exec {shlex.join([*emulator, "-L", str(root), "-0", str(python), f"{python}3"])} "$@"')


def script(path: Path, text: str) -> Path:
    """Write a script of the shell."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def as_if_there(compiler: str, folder: Path) -> Path:
    """A script `cc`. It runs the cross-compiler, a program of this machine, which knows no -march=native."""
    (folder / "bin").mkdir(exist_ok=True)
    native = f'[ "$option" = -march=native ] && option=-march={PROCESSOR}'
    command = f'for option; do shift; {native}; set -- "$@" "$option"; done\nexec {compiler} "$@"'
    return script(folder / "bin" / "cc", command)


def fetch_wheels(python: Path, packages: list[str], folder: Path) -> None:
    """Unpack wheels for the emulated Python: this machine's pip is faster than an emulated one."""
    shutil.rmtree(folder, ignore_errors=True)
    version = output([str(python), "-c", "import platform; print(platform.python_version())"])
    options = ["--python-version", version.strip(), "--only-binary", ":all:", "--target", str(folder)]
    options += [option for platform in PLATFORMS for option in ("--platform", platform)]
    output([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, *packages])


def output(command: list[str]) -> str:
    """What a command prints; MissingError if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise MissingError((done.stdout + done.stderr).strip().rpartition("\n")[2])
    return done.stdout


def build(python: Path, folder: Path, environment: dict[str, str]) -> None:
    """Build pygrad by the emulated Python."""
    headers = folder / "root" / "usr" / "include"
    objects, package = folder / "objects", folder / "package"
    for made in (objects, package):
        shutil.rmtree(made, ignore_errors=True)
    setup = [python, "setup.py", "--quiet", "build", "--build-base", objects, "--build-lib", package]
    setup += ["build_ext", "--include-dirs", f"{next(headers.glob('python3*'))}:{headers}"]
    subprocess.run(setup, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)


def read(printed: str) -> tuple[int, list[str]]:
    """The number of tests that passed and the names of the others, from what pytest prints."""
    passed = re.search(r"^.*?(\d+) passed.* in ", printed, re.MULTILINE)
    failed = re.findall(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", printed, re.MULTILINE)
    return int(passed[1]) if passed else 0, failed
