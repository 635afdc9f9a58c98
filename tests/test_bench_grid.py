"""The sweep of compiled functions: its problems, its cliffs and its output."""

import numpy as np
import pytest

from pygrad.bench import __main__ as bench
from pygrad.bench import compare, grid, limit, measure
from pygrad.bench.engines import ENGINES, MissingError
from pygrad.bench.grid import AXES
from pygrad.bench.results import Measured, Table
from pygrad.bench.work import Work
from support.effort import long

POINTS = [(axis, size) for axis, row in AXES.items() for size in row.sizes[:2]]


@pytest.fixture
def small(monkeypatch):
    """Only the first two points of each axis, timed briefly."""
    monkeypatch.setattr(measure, "QUICK", measure.Effort(rounds=2, turn=0.001, seconds=0.002, fewest=2))
    monkeypatch.setenv("COLUMNS", "200")
    for name, axis in AXES.items():
        monkeypatch.setitem(AXES, name, axis._replace(sizes=axis.sizes[:2]))


def problem_at(axis, size):
    return AXES[axis].problem(np.random.default_rng(0), size)


def entry(name, work):
    return measure.Entry(name, work, measure.QUICK)


def first_of(work):
    return entry("value", work).first_results()


@pytest.mark.parametrize(("axis", "size"), POINTS)
class TestAPoint:
    def test_has_the_value_that_numpy_computes(self, axis, size):
        problem = problem_at(axis, size)
        (found, *_) = first_of(grid.eagerly(problem))
        with_numpy = problem.f(*problem.arguments, *problem.parameters)
        expected = np.sum(with_numpy) if problem.gradient else with_numpy
        assert found[: np.size(expected)] == pytest.approx(expected)

    def test_has_a_gradient_for_each_number(self, axis, size):
        problem = problem_at(axis, size)
        numbers = [x for x in [*problem.arguments, *problem.parameters] if np.asarray(x).dtype.kind == "f"]
        (found, *_) = first_of(grid.eagerly(problem))
        assert found.size == (1 + sum(map(np.size, numbers)) if problem.gradient else size)
        assert np.count_nonzero(found) > 1 or not problem.gradient

    @pytest.mark.parametrize("engine", ["compile", "native", "c"])
    def test_is_the_same_on_each_engine(self, axis, size, engine):
        try:
            ENGINES[engine].load()
        except MissingError as missing:
            pytest.skip(str(missing))
        (workload,) = (each for each in grid.workloads([axis]) if each.size == size)
        if engine not in workload.engines:
            pytest.skip("there is no C for it")
        problem = problem_at(axis, size)
        expected = first_of(workload.reference(problem))
        assert entry(engine, workload.engines[engine](problem)).disagreement(expected) == ""


def row(median):
    return Measured(median, 0.99 * median, 1.01 * median, 9)


def point(**medians):
    return Table("toy", "a call", "s", {engine: row(median) for engine, median in medians.items()})


class TestACliff:
    @pytest.mark.parametrize(
        ("medians", "what"),
        [
            ({"array": 10e-6, "compile": 12e-6}, "kernels slower than eager"),
            ({"array": 10e-6, "compile": 11e-6}, ""),  # the cost of a call
            ({"array": 10e-6, "compile": 5e-6, "native": 6e-6}, "native slower than kernels"),
            ({"array": 10e-6, "compile": 5e-6, "native": 5.04e-6}, ""),  # noise
            ({"array": 10e-6, "native": 12e-6}, ""),
            ({"compile": 12e-6}, ""),
        ],
    )
    def test_is_where_compiling_does_not_pay(self, medians, what):
        assert grid.cliff(AXES["size"], point(**medians)) == what

    def test_is_not_where_the_timings_overlap(self):
        table = point(array=10e-6, compile=13e-6)
        table.rows["compile"] = Measured(13e-6, 9e-6, 15e-6, 9)
        assert grid.cliff(AXES["size"], table) == ""

    def test_is_measured_against_the_axis_s_own_graph(self):
        assert grid.cliff(AXES["depth"], point(value=1e-6, array=100e-6, compile=10e-6)) == "kernels slower than eager"


def run(*arguments):
    """The exit status of the command, also after argparse's errors."""
    try:
        return bench.main(["--sweep", *map(str, arguments)])
    except SystemExit as error:
        return error.code


@long
@pytest.mark.usefixtures("small")
class TestTheCommand:
    def test_prints_a_table_for_each_axis_and_the_number_of_points(self, capsys):
        assert run("--only", "depth,table", "--engines", "value,array,compile") == 0
        out = capsys.readouterr().out
        for name in ("depth", "table"):
            assert AXES[name].title in out
        assert AXES["batch"].title not in out
        assert "4 points" in out
        assert "Targets" not in out

    @long
    def test_measures_every_axis_by_default(self, tmp_path):
        assert run("--engines", "value,array,compile", "--json", tmp_path / "sweep.json") == 0
        tables = compare.read(tmp_path / "sweep.json").tables
        assert list(tables) == [f"{axis} {size}" for axis, size in POINTS]
        for axis, size in POINTS:
            assert tables[f"{axis} {size}"].measured(AXES[axis].eager)
            assert tables[f"{axis} {size}"].measured("compile")

    def test_names_the_cliffs(self, monkeypatch, capsys, tmp_path):
        monkeypatch.setattr(grid, "cliff", lambda axis, point: "native slower than kernels")
        assert run("--only", "depth", "--engines", "value,compile", "--chart", tmp_path / "sweep.png") == 0
        out = capsys.readouterr().out
        assert "Cliffs at 2 of 2 points: depth 1: native slower than kernels; depth 10" in out

    @pytest.mark.skipif(limit.compiler() is None, reason="there is no C compiler")
    def test_shows_what_failed_and_why(self, monkeypatch, capsys):
        wrong = AXES["depth"]._replace(in_c=lambda problem: Work(lambda: [1.0, 2.0, 3.0]))
        monkeypatch.setitem(AXES, "depth", wrong)
        assert run("--only", "depth", "--engines", "value,c") == 0
        assert "hand-written C failed: it returns 3 numbers, but the reference 4" in capsys.readouterr().out

    def test_says_what_native_code_needs(self, monkeypatch, capsys):
        monkeypatch.setattr(limit.shutil, "which", lambda name: None)
        assert run("--only", "depth", "--engines", "value,compile,native") == 0
        assert "apt install gcc" in capsys.readouterr().out

    @pytest.mark.parametrize(("name", "start"), [("sweep.png", b"\x89PNG"), ("sweep.svg", b"<?xml")])
    def test_draws_a_chart(self, tmp_path, name, start):
        pytest.importorskip("matplotlib")
        engines = "value,array,compile,c"
        assert run("--only", "depth,batched", "--engines", engines, "--chart", tmp_path / name) == 0
        assert (tmp_path / name).read_bytes().startswith(start)

    def test_ends_at_ctrl_c_with_what_was_measured(self, monkeypatch, capsys, tmp_path):
        def interrupted(rng, size):
            raise KeyboardInterrupt

        monkeypatch.setitem(AXES, "batch", AXES["batch"]._replace(problem=interrupted))
        names = ["--only", "depth,batch", "--engines", "value,compile", "--chart", tmp_path / "sweep.svg"]
        assert run(*names) == bench.INTERRUPTED
        out = capsys.readouterr().out
        assert "Interrupted" in out
        assert AXES["depth"].title in out
        assert AXES["batch"].title not in out
        assert "2 points" in out
        assert (tmp_path / "sweep.svg").exists()

    def test_lists_the_axes(self, capsys):
        assert run("--list") == 0
        out = capsys.readouterr().out
        for axis in AXES.values():
            assert axis.name in out
            assert axis.title in out

    def test_refuses_an_unknown_axis_with_a_hint(self, capsys):
        assert run("--only", "deph") == 2
        assert "unknown axis 'deph'; did you mean 'depth'?" in " ".join(capsys.readouterr().err.split())
