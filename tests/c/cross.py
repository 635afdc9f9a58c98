"""Compiles the C tests for other machines, and runs them where there is an emulator: `make cross TARGETS="arm64 musl"`.

Where an emulator can run Python, the tests in Python follow. Prints a table: for each target whether it compiles, how
many tests pass, and what was not run and why. Fails if a target does not compile, or if a test fails that is not named
here.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cross_python

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OUT = ROOT / "build" / "cross"
LONGEST = 900  # seconds for a target's tests
# Emulators ignore limits of memory, so that the tests of these are skipped, as under a sanitizer.
ENVIRONMENT = {**os.environ, "PYGRAD_SANITIZED": "1", "WINEDEBUG": "-all", "WINEPREFIX": str(OUT / "wine")}
FLAGS = """-std=c11 -O2 -ffp-contract=off -fno-builtin-pow -fno-math-errno -Wall -Werror=implicit-function-declaration
           -Dmalloc=counted_malloc -Drealloc=counted_realloc -Dfree=counted_free -Icsrc -Itests/c"""

ZIG = f"{sys.executable} -m ziglang"
GIVE_BACK = ["a_chain_of_a_million_nodes_is_freed_and_its_memory_given_back", "only_whole_pages_are_given_back"]
STARTED = [  # programs for that processor, which the system cannot start
    "tests/program/test_custom_vjp.py::test_it_is_part_of_written_c",
    "tests/program/test_to_c.py::test_the_program_in_the_docstring_prints_what_it_shows",
]


@dataclass
class Target:
    """A machine: how to compile for it, and how to run its programs.

    `packages` are Debian's. `run` is None where nothing can run its programs. `before` is a command that makes what is
    linked. `without` are files of tests for what the system does not have. `fails` names the tests that fail for a
    known reason, which is not ours. `alone` is for machines where a process has no children. `core_only` checks the
    syntax of the core. `python` says that the tests in Python run, too.
    """

    compiler: str
    packages: str
    run: str | None = ""
    flags: str = "-static"
    before: str = ""
    without: tuple[str, ...] = ()
    fails: dict[str, str] = field(default_factory=dict)
    suffix: str = ""
    alone: bool = False
    core_only: bool = False
    python: bool = False


def emulated(machine: str, compiler: str, options: str = "", flags: str = "", **more: Any) -> Target:
    """A Linux machine that qemu emulates."""
    packages, run = f"gcc-{compiler} qemu-user", f"qemu-{machine} {options}"
    return Target(f"{compiler}-gcc", packages, run, f"-static {flags}", **more)


def by_zig(machine: str, without: tuple[str, ...] = (), suffix: str = "") -> Target:
    """A machine for which zig compiles and links: its package on PyPI has the headers and libraries of many systems."""
    return Target(f"{ZIG} cc", "ziglang", None, f"-target {machine}", without=without, suffix=suffix)


TARGETS = {
    "clang": Target("clang", "clang", flags=""),
    "musl": Target("musl-gcc", "musl-tools"),
    "arm64": emulated(
        "aarch64", "aarch64-linux-gnu", python=True, fails=dict.fromkeys(STARTED, "two programs in C are not started")
    ),
    "arm64-16k": emulated("aarch64", "aarch64-linux-gnu", "-p 16384"),
    "arm64-64k": emulated("aarch64", "aarch64-linux-gnu", "-p 65536"),
    "riscv64": emulated("riscv64", "riscv64-linux-gnu"),
    "ppc64le": emulated("ppc64le", "powerpc64le-linux-gnu"),
    "s390x": emulated("s390x", "s390x-linux-gnu"),
    "i386": emulated("i386", "i686-linux-gnu", flags="-msse2 -mfpmath=sse"),
    "armhf": emulated("arm", "arm-linux-gnueabihf"),
    "macos-x64": by_zig("x86_64-macos"),
    "macos-arm64": by_zig("aarch64-macos"),
    "windows-x64": Target(
        "x86_64-w64-mingw32-gcc",
        "mingw-w64 wine64",
        run="wine",
        # Python calls the functions of Windows. mingw has its own, with other bits.
        before="x86_64-w64-mingw32-dlltool -d tests/c/ucrt.def -l build/cross/libucrt.a",
        flags="-static -Wl,--whole-archive build/cross/libucrt.a -Wl,--no-whole-archive",
        without=("test_limits.c",),
        suffix=".exe",
    ),
    "windows-arm64": by_zig("aarch64-windows-gnu", without=("test_limits.c",), suffix=".exe"),
    # What clang-cl takes. Microsoft's headers cannot be had from Debian: mingw's do, once clang says that it is GCC.
    "windows-msvc": Target(
        "clang",
        "clang mingw-w64-x86-64-dev",
        run=None,
        flags="--target=x86_64-pc-windows-msvc -fgnuc-version=4.2.1 -isystem /usr/x86_64-w64-mingw32/include",
        core_only=True,
    ),
    "wasm": Target(
        "emcc",
        "emscripten nodejs",
        run="node --no-experimental-fetch",  # which this Emscripten takes for that of a browser
        flags="-O1 -msimd128 -sALLOW_MEMORY_GROWTH=1 -sMAXIMUM_MEMORY=2GB -sEXIT_RUNTIME=1 -sTOTAL_STACK=5MB",
        without=("test_limits.c", "test_concurrent.c", "test_threads.c"),
        fails=dict.fromkeys(GIVE_BACK, "no memory is given back"),
        suffix=".js",
        alone=True,
    ),
}


@dataclass
class Outcome:
    """What became of a target: cells of the table, and whether it is as it should be."""

    compiles: str
    in_c: str
    remark: str
    good: bool
    in_python: str = ""


def outcome(name: str, target: Target, only_compile: bool, only_c: bool) -> Outcome:
    """Compile a target's tests, and run them, and then those in Python."""
    found = outcome_in_c(name, target, only_compile)
    if target.python and found.in_c and not only_c:
        cell, remarks, good = outcome_in_python(name, target)
        remark = "; ".join(filter(None, [found.remark, *remarks]))
        return Outcome(found.compiles, found.in_c, remark, good=found.good and good, in_python=cell)
    return found


def outcome_in_c(name: str, target: Target, only_compile: bool) -> Outcome:
    """Compile a target's tests, and run them."""
    compiler = shlex.split(target.compiler)
    if not is_here(compiler):
        return Outcome("", "", f"not run: needs {needs(target)}", good=True)
    program = OUT / f"{name}{target.suffix}"
    tests = [path for path in sorted(HERE.glob("test*.c")) if path.name not in target.without]
    core = [path for path in sorted((ROOT / "csrc").rglob("*.c")) if path.parent.name != "python"]
    sources = [str(path.relative_to(ROOT)) for path in (core if target.core_only else core + tests)]
    options = shlex.split(f"{FLAGS} {target.flags}")
    result = ["-fsyntax-only"] if target.core_only else ["-o", str(program), "-lm", "-lpthread"]
    if target.before:
        subprocess.run(shlex.split(target.before), cwd=ROOT, check=True)
    built = subprocess.run(
        [*compiler, *options, *sources, *result], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True
    )
    if built.returncode:
        return Outcome("no", "", first_error(built.stderr), good=False)
    if target.run is None or only_compile:
        return Outcome("yes", "", "the core only, not linked" if target.core_only else "not run", good=True)
    emulator = shlex.split(target.run)
    if emulator and not shutil.which(emulator[0]):
        return Outcome("yes", "", f"not run: needs {needs(target)}", good=True)
    run = [*emulator, str(program)]
    try:
        passed, failed = run_alone(run) if target.alone else run_together(run)
    except subprocess.TimeoutExpired:
        return Outcome("yes", "", f"the tests took more than {LONGEST} s", good=False)
    cell, remarks, good = judged(target, passed, failed)
    remarks += [f"without {', '.join(target.without)}"] if target.without else []
    return Outcome("yes", cell, "; ".join(remarks), good)


def outcome_in_python(name: str, target: Target) -> tuple[str, list[str], bool]:
    """Run the tests in Python: a cell of the table, remarks, and whether it is as it should be."""
    assert target.run
    emulator, folder = shlex.split(target.run), OUT / f"python-{name}"
    try:
        return judged(target, *cross_python.run_tests(target.compiler, emulator, folder, ENVIRONMENT))
    except cross_python.MissingError as what:
        return "", [f"Python not run: {what}"], True
    except subprocess.CalledProcessError as error:
        return "", [f"pygrad does not compile: {first_error(error.stdout + error.stderr)}"], False
    except subprocess.TimeoutExpired as error:
        return "", [f"the tests in Python took more than {error.timeout:.0f} s"], False


def judged(target: Target, passed: int, failed: list[str]) -> tuple[str, list[str], bool]:
    """The same for tests that ran, of which so many passed and these failed."""
    unknown = [test for test in failed if test not in target.fails]
    remarks = [*sorted({target.fails[test] for test in failed if test in target.fails}), *unknown]
    return f"{passed} of {passed + len(failed)}", remarks, passed > 0 and not unknown


def is_here(compiler: list[str]) -> bool:
    """Whether this machine has a compiler."""
    if compiler[0] == sys.executable:
        return importlib.util.find_spec("ziglang") is not None
    return shutil.which(compiler[0]) is not None


def needs(target: Target) -> str:
    return f"{'PyPI' if target.packages == 'ziglang' else 'Debian'}'s {target.packages}"


def first_error(output: str) -> str:
    """The first line of a compiler's output that speaks of an error."""
    return next((line for line in output.splitlines() if "error" in line), "the compiler failed")


def run_together(run: list[str]) -> tuple[int, list[str]]:
    """How many tests pass, and the names of the others. The program runs each test in a process of its own."""
    ran = subprocess.run(run, env=ENVIRONMENT, capture_output=True, text=True, errors="replace", timeout=LONGEST)
    last = ran.stdout.split()  # "113 tests in C passed, 0 failed"
    failed = [line.removeprefix("FAILED ") for line in ran.stderr.splitlines() if line.startswith("FAILED ")]
    return int(last[0]) if last else 0, failed


def run_alone(run: list[str]) -> tuple[int, list[str]]:
    """The same for a machine where a process has no children: each test is run from here."""

    def passes(name: str) -> bool:
        return subprocess.run([*run, "--here", name], env=ENVIRONMENT, capture_output=True, timeout=60).returncode == 0

    names = subprocess.run([*run, "--list"], env=ENVIRONMENT, capture_output=True, text=True, timeout=60).stdout.split()
    failed = [name for name in names if not passes(name)]
    return len(names) - len(failed), failed


def main() -> int:
    """Print the table; 1 if a target is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="target", help=f"by default all: {', '.join(TARGETS)}")
    parser.add_argument("--compile", action="store_true", help="do not run the tests")
    parser.add_argument("--only-c", action="store_true", help="do not run the tests in Python, which take minutes")
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"there is no target {unknown[0]!r}; targets are {', '.join(TARGETS)}")
    OUT.mkdir(parents=True, exist_ok=True)
    print("| target | compiles | C tests | Python tests | remarks |\n| --- | --- | ---: | ---: | --- |")

    def tried(name: str) -> Outcome:
        return outcome(name, TARGETS[name], options.compile, options.only_c)

    good = True
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, found in zip(names, pool.map(tried, names)):
            print(f"| {name} | {found.compiles} | {found.in_c} | {found.in_python} | {found.remark} |", flush=True)
            good = good and found.good
    return not good


if __name__ == "__main__":
    sys.exit(main())
