"""The speed comparisons: their checks, their output and their errors."""

import dataclasses
import io
import itertools
import json
import re
import subprocess
import sys
import time
from importlib.metadata import entry_points

import numpy as np
import pytest
from rich.console import Console

import pygrad
from pygrad.bench import __main__ as bench
from pygrad.bench import compare, engines, limit, measure, report, targets
from pygrad.bench.engines import ENGINES, Engine, MissingError
from pygrad.bench.results import Failed, Measured, Missing, Results, Table
from pygrad.bench.work import Work, Workload
from pygrad.bench.workloads import WORKLOADS
from support import with_matplotlib
from support.effort import long

BRIEF = measure.Effort(rounds=3, turn=0.001, seconds=0.01, fewest=2)


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr(measure, "QUICK", BRIEF)
    monkeypatch.setenv("COLUMNS", "160")


def toy(**works):
    """A workload whose engines are these functions or Works; the reference gives 1, 2, 3."""
    made = {name: work if isinstance(work, Work) else Work(work) for name, work in works.items()}
    factories = {"reference": Work(lambda: [1.0, [2.0, 3.0]]), **made}
    return Workload(
        "toy", "toy", "a call", lambda rng, size: size, 1,
        {name: lambda problem, work=work: work for name, work in factories.items()},
    )  # fmt: skip


def rows_of(workload, names=ENGINES):
    rows = {}
    measure.measure(workload, list(names), 0, BRIEF, rows, lambda what: None)
    return rows


def run(*arguments):
    """The exit status of the command, also after argparse's errors."""
    try:
        return bench.main([str(argument) for argument in arguments])
    except SystemExit as error:
        return error.code


@pytest.fixture
def with_toy(monkeypatch):
    """A function that adds a toy workload."""

    def put(**works):
        monkeypatch.setitem(WORKLOADS, "toy", toy(**works))

    return put


@long
class TestTheCheck:
    def test_accepts_an_engine_that_agrees(self):
        rows = rows_of(toy(value=lambda: (1.0, np.array([2.0, 3.0 + 1e-12]))))
        assert isinstance(rows["value"], Measured)
        assert rows["value"].samples > 1
        assert 0 < rows["value"].lower <= rows["value"].median <= rows["value"].upper < 1e-3

    @pytest.mark.parametrize(
        ("result", "reason"),
        [
            ([1.0 + 1e-8, 2.0, 3.0], "its value is 1.00000001, but the reference's is 1.0"),
            ([1.0, 2.0, 3.1], "element 2 of its gradient is 3.1, but the reference's is 3.0"),
            ([1.0, float("nan"), 3.0], "element 1 of its gradient is nan, but the reference's is 2.0"),
            ([1.0, 2.0], "it returns 2 numbers, but the reference 3"),
        ],
    )
    def test_refuses_an_engine_that_disagrees(self, result, reason):
        assert rows_of(toy(value=lambda: result))["value"] == Failed(reason)

    def test_checks_the_second_result_too(self):
        results = itertools.cycle([[1.0, 2.0, 3.0], [0.0, 2.0, 3.0]])
        assert rows_of(toy(value=lambda: next(results)))["value"] == Failed(
            "its value is 0.0, but the reference's is 1.0"
        )

    def test_does_not_ask_for_the_gradient_of_a_value_alone(self):
        rows = rows_of(toy(value=Work(lambda: 1.0, value_alone=True), array=Work(lambda: 1.1, value_alone=True)))
        assert isinstance(rows["value"], Measured)
        assert rows["array"] == Failed("its value is 1.1, but the reference's is 1.0")

    def test_says_how_an_engine_failed(self):
        def fail():
            raise ZeroDivisionError("by naught")

        assert rows_of(toy(value=fail))["value"] == Failed("ZeroDivisionError: by naught")

    def test_reports_an_engine_that_fails_while_it_is_timed(self):
        calls = itertools.count()

        def fail():
            if next(calls) > measure.CHECKS:
                raise MemoryError
            return [1.0, 2.0, 3.0]

        rows = rows_of(toy(value=fail))
        assert rows["value"] == Failed("MemoryError: no message")
        assert isinstance(rows["reference"], Measured)

    def test_is_made_at_its_own_size(self):
        sizes = []
        workload = toy(value=lambda: [1.0, 2.0, 3.0])
        workload.engines["value"] = lambda size: sizes.append(size) or Work(lambda: [float(size == 7), 2.0, 3.0])
        rows = rows_of(workload._replace(size=100, check_size=7))
        assert sizes == [7, 100]
        assert isinstance(rows["value"], Measured)


class TestTheClock:
    def test_gives_seconds_of_a_unit(self, monkeypatch):
        monkeypatch.setattr(measure, "seconds", lambda run, calls: 0.5 * calls)
        numbers = [1.0, 2.0, 3.0]
        rows = rows_of(toy(value=lambda: numbers, array=Work(lambda: numbers, units=1000)))
        assert (rows["value"].median, rows["array"].median) == (0.5, 0.0005)

    def test_counts_seconds(self):
        assert 0.01 * 3 < measure.seconds(lambda: time.sleep(0.01), 3) < 10

    def test_uses_the_work_s_own_measure(self):
        rows = rows_of(toy(value=Work(lambda: [1.0, 2.0, 3.0], sample=lambda: 42.0)))
        assert (rows["value"].lower, rows["value"].median, rows["value"].upper) == (42.0,) * 3

    def test_measures_constant_figures_once(self):
        calls = itertools.count()
        work = Work(lambda: [1.0, 2.0, 3.0], sample=lambda: float(next(calls)))
        assert rows_of(toy(value=work)._replace(once=True))["value"].samples == 1

    def test_counts_the_calls_of_the_check_if_they_are_long(self, monkeypatch):
        monkeypatch.setattr(measure, "LONG", 0.0)
        calls = itertools.count()
        assert rows_of(toy(value=lambda: (next(calls) and None) or [1.0, 2.0, 3.0]))["value"].samples == 2
        assert next(calls) == measure.CHECKS

    @pytest.mark.parametrize(("very_long", "calls"), [(np.inf, 2), (0.0, 1)])
    def test_warms_up_unless_calls_are_very_long(self, monkeypatch, very_long, calls):
        monkeypatch.setattr(measure, "LEAST_TIMING", dict.fromkeys([False, True], 0.0))
        monkeypatch.setattr(measure, "VERY_LONG", very_long)
        made = itertools.count()
        entry = measure.Entry("value", Work(lambda: next(made)), BRIEF)
        entry.get_ready(BRIEF)
        entry.turn(0.0)
        assert next(made) == 1 + calls

    def test_spreads_the_rounds_of_a_slow_engine(self):
        entry = measure.Entry("value", Work(list), BRIEF)
        entry.rounds = 3
        assert [i for i in range(12) if entry.is_due(i, 12)] == [3, 7, 11]

    def test_restores_the_garbage_collector(self):
        frozen = measure.gc.get_freeze_count() if hasattr(measure.gc, "get_freeze_count") else 0
        rows_of(toy())
        assert measure.gc.isenabled()
        assert frozen == 0 or measure.gc.get_freeze_count() <= frozen


class TestAnEngineThatIsMissing:
    def test_is_named_with_the_command_that_installs_it(self, monkeypatch, with_toy, capsys):
        monkeypatch.setitem(ENGINES, "xad", Engine("xad", "XAD", "no_such_package", remark="it is large"))
        with_toy(xad=lambda: None)
        assert run("--only", "toy") == 0
        out = capsys.readouterr().out
        assert "not installed" in out
        assert "-m pip install no_such_package  # it is large" in out
        assert sys.executable in out

    def test_is_not_confused_with_one_that_is_broken(self, monkeypatch, tmp_path):
        (tmp_path / "broken_package.py").write_text("import what_it_needs")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ModuleNotFoundError, match="what_it_needs"):
            Engine("xad", "XAD", "broken_package").load()

    def test_is_hand_written_c_without_a_compiler(self, monkeypatch):
        monkeypatch.setattr(limit.shutil, "which", lambda name: None)
        with pytest.raises(MissingError, match="apt install gcc"):
            ENGINES["c"].load()
        assert limit.compiler_version() == "none"

    def test_says_what_the_compiler_says(self, monkeypatch, tmp_path):
        (tmp_path / "limit.c").write_text("int f(void) { return nothing_of_the_kind; }")
        monkeypatch.setattr(limit, "SOURCE", tmp_path / "limit.c")
        limit.library.cache_clear()
        with pytest.raises(RuntimeError, match="nothing_of_the_kind"):
            ENGINES["c"].load()

    def test_leaves_its_target_unmeasured(self, capsys):
        results = Results({}, {}, {"dots": Table("dots", "a call", "s", {"casadi": Missing("pip install casadi")})})
        results.tables["dots"].rows["compile"] = Measured(1.0, 1.0, 1.0, 1)
        report.console().print(report.targets(results))
        assert "not measured: CasADi Function is not installed" in capsys.readouterr().out


@long
class TestTheCommand:
    def test_prints_tables_and_if_asked_the_targets(self, with_toy, capsys):
        engines = ["--engines", "reference,value,compile", "--engines", "c"]
        assert run("--only", "expression,dots", *engines, "--targets") == 0
        out, err = capsys.readouterr()
        assert err == "expression, 1 of 2\ndots, 2 of 2\n"
        for text in ["README expression", "pygrad Value", "pygrad compile", "the limit", "-O3 -march=native"]:
            assert text in out
        assert "not measured: micrograd did not run" in out
        assert "PyTorch" not in out.split("README expression")[1].split("Targets")[0]
        with_toy()
        run("--only", "toy")
        assert "Targets" not in capsys.readouterr().out

    @pytest.mark.parametrize(("width", "is_wide"), [(60, False), (120, True)])
    def test_leaves_out_what_says_least_on_a_narrow_terminal(self, width, is_wide):
        found = run_with(micrograd=1e-3, value=1.23e-6, c=1e-9).tables["dots"]
        found.rows["compile-threads"] = Measured(1.0, 0.5, 2.0, 9)
        console = Console(width=width, file=io.StringIO())
        console.print(report.table(found, console.width))
        text = console.file.getvalue()
        assert all(len(line) <= width for line in text.splitlines())
        assert "…" not in text
        for shown in ["813x", "1230", "~ 1 s", "faster than"]:
            assert shown in text
        assert ("1.17 µs to 1.29 µs" in text) == is_wide

    def test_runs_all_engines_of_pygrad_by_one_name(self):
        options = bench._options(["--engines", "pygrad,c"])
        assert options.engines == [name for name, engine in ENGINES.items() if engine.family == "pygrad" or name == "c"]
        assert "dask" in options.engines

    def test_shows_what_failed_and_why(self, with_toy, capsys):
        with_toy(value=lambda: [1.5, 2.0, 3.0], array=lambda: [1.0, 2.0, 3.0])
        assert run("--only", "toy") == 0
        out = capsys.readouterr().out
        assert "pygrad Value failed: its value is 1.5, but the reference's is 1.0" in out
        assert out.index("pygrad Array") < out.index("pygrad Value")

    def test_writes_json_that_can_be_read_again(self, with_toy, tmp_path):
        with_toy(value=lambda: [1.5, 2.0, 3.0])
        assert run("--only", "toy", "--json", tmp_path / "run.json", "--seed", "3") == 0
        results = compare.read(tmp_path / "run.json")
        assert results.options == {"effort": "quick", "seed": 3}
        assert results.machine["versions"]["pygrad"] == pygrad.__version__
        assert {"processor", "cpus", "python", "compiler", "flags"} <= set(results.machine)
        assert results.tables["toy"].rows["value"] == Failed("its value is 1.5, but the reference's is 1.0")
        assert results.tables["toy"].measured("reference").samples > 1
        assert Results.from_json(results.to_json()) == results

    @pytest.mark.parametrize(("name", "start"), [("chart.png", b"\x89PNG"), ("chart.svg", b"<?xml")])
    def test_draws_a_chart(self, with_toy, tmp_path, name, start):
        with_toy(value=lambda: [1.0, 2.0, 3.0], c=lambda: [1.0, 2.0, 3.0])
        assert run("--only", "toy,expression", "--engines", "value,c,micrograd", "--chart", tmp_path / name) == 0
        assert (tmp_path / name).read_bytes().startswith(start)

    def test_ends_at_ctrl_c_with_what_was_measured(self, with_toy, capsys, tmp_path):
        calls = itertools.count()

        def interrupted():
            if next(calls) == 10:
                raise KeyboardInterrupt
            return [1.0, 2.0, 3.0]

        with_toy(value=Work(interrupted, sample=lambda: interrupted() and 0.01))
        names = ["--json", tmp_path / "run.json", "--chart", tmp_path / "run.png"]
        assert run("--only", "expression,toy,dots", "--engines", "reference,value", *names) == bench.INTERRUPTED
        out = capsys.readouterr().out
        assert "Interrupted" in out
        assert "README expression" in out
        tables = compare.read(tmp_path / "run.json").tables
        assert list(tables) == ["expression", "dots", "toy"]
        assert tables["toy"].measured("value").median == 0.01
        assert (tmp_path / "run.png").exists()

    @pytest.mark.parametrize(("full_size", "sizes"), [(0, [7, 100]), (500, [7, 500])])
    def test_times_at_full_size_if_it_is_asked_to(self, monkeypatch, full_size, sizes):
        made = []
        workload = toy(value=list)._replace(size=100, check_size=7, full_size=full_size)
        workload.engines["value"] = lambda size: made.append(size) or Work(lambda: [1.0, 2.0, 3.0])
        monkeypatch.setitem(WORKLOADS, "toy", workload)
        monkeypatch.setattr(measure, "FULL", BRIEF)
        assert run("--only", "toy", "--full") == 0
        assert made == sizes

    def test_draws_nothing_if_interrupted_at_once(self, with_toy, tmp_path):
        def interrupted():
            raise KeyboardInterrupt

        with_toy(value=interrupted)
        assert run("--only", "toy", "--engines", "value", "--chart", tmp_path / "run.png") == bench.INTERRUPTED
        assert not (tmp_path / "run.png").exists()

    def test_lists_workloads_and_engines_without_importing_one(self, python, monkeypatch, tmp_path):
        for peer in {engine.package for engine in ENGINES.values()} - {""}:
            (tmp_path / f"{peer}.py").write_text("raise SystemExit('imported')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        out = python("from pygrad.bench import __main__, limit; limit.library = None; __main__.main(['--list'])")
        for name in [*WORKLOADS, *ENGINES]:
            assert name in out

    @pytest.mark.parametrize("module", [["pygrad.bench"], ["pygrad", "bench"]])
    def test_runs_as_a_module_and_as_a_subcommand(self, module):
        done = subprocess.run([sys.executable, "-m", *module, "--help"], capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert "usage: pygrad bench" in done.stdout
        assert "--chart FILE" in done.stdout

    def test_runs_from_the_console(self):
        (script,) = (s for s in _console_scripts() if s.name == "pygrad" and s.value.startswith("pygrad."))
        assert script.load() is pygrad.__main__.main


def _console_scripts():
    found = entry_points()
    return found.select(group="console_scripts") if hasattr(found, "select") else found["console_scripts"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--only", "dotts"], "unknown workload 'dotts'; did you mean 'dots'?"),
            (["--only", "dots,zzz"], "unknown workload 'zzz'; choose from expression, forward, dots"),
            (["--engines", "micrograde"], "unknown engine 'micrograde'; did you mean 'micrograd'?"),
            (["--chart", "chart.bmp"], "--chart must be a file that ends in .png or .svg, got 'chart.bmp'"),
            (["--seed", "-1"], "--seed must be 0 or more, got -1"),
            (["--quick", "--full"], "not allowed with"),
        ],
    )
    def test_is_refused_with_a_hint(self, arguments, message, capsys):
        assert run(*arguments) == 2
        assert message in " ".join(capsys.readouterr().err.split())

    @pytest.mark.parametrize("option", ["--json", pytest.param("--chart", marks=with_matplotlib)])
    def test_a_path_that_cannot_be_written_fails_before_the_run(self, option, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(bench, "_run", None)
        path = tmp_path / "nowhere" / "out.png"
        assert run(option, path) == 2
        assert f"cannot write {path}: No such file or directory" in " ".join(capsys.readouterr().err.split())

    def test_a_path_that_can_be_written_is_left_alone_until_the_end(self, tmp_path):
        old, new = tmp_path / "old.json", tmp_path / "new.json"
        old.write_text("old")
        bench._options(["--json", str(old)])
        bench._options(["--json", str(new)])
        assert old.read_text() == "old"
        assert not new.exists()

    def test_a_chart_without_matplotlib_says_what_to_install(self, monkeypatch, capsys, tmp_path):
        monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
        assert run("--chart", tmp_path / "chart.png") == 2
        assert "-m pip install matplotlib" in capsys.readouterr().err


def run_with(**medians):
    """A run of one workload, whose timings spread by 10 % around these medians."""
    rows = {name: Measured(x, 0.95 * x, 1.05 * x, 9) for name, x in medians.items()}
    return Results({"processor": "a", "versions": {"pygrad": "1"}}, {}, {"dots": Table("dots", "a call", "s", rows)})


class TestComparing:
    def test_tells_changes_from_noise(self):
        before = run_with(value=1.0, array=1.0, compile=1.0, xad=1.0)
        after = run_with(value=1.2, array=0.8, compile=1.04, jax=1.0)
        verdicts = {change.engine: change.verdict for change in compare.changes(before, after)}
        assert verdicts == {
            "value": "slower", "array": "faster", "compile": "noise", "xad": "only before", "jax": "only after",
        }  # fmt: skip

    def test_treats_a_small_change_as_noise_however_narrow_the_quartiles(self):
        before, after = (Measured(x, x, x, 9) for x in (1.0, 1.04))
        assert compare.Change("dots", "value", "s", before, after).verdict == "noise"

    def test_calls_memory_smaller_and_larger(self):
        one, two = (Measured(x, x, x, 1) for x in (1.0, 2.0))
        assert compare.Change("memory", "value", "B", one, two).verdict == "larger"
        assert compare.Change("memory", "value", "B", two, one).verdict == "smaller"

    def test_prints_what_changed(self, tmp_path, capsys):
        before, after = run_with(value=1.0, micrograd=1.0), run_with(value=0.5, micrograd=1.1)
        after.machine.update(processor="b", versions={"pygrad": "2"})
        for name, results in [("a.json", before), ("b.json", after)]:
            (tmp_path / name).write_text(results.to_json())
        assert run("compare", tmp_path / "a.json", tmp_path / "b.json") == 0
        out = " ".join(capsys.readouterr().out.split())
        assert "2 rows: 1 faster, 1 noise." in out
        assert "0.50 │ faster" in out
        assert "│ micrograd │" not in out
        assert run("compare", "--all", tmp_path / "a.json", tmp_path / "b.json") == 0
        assert "1.10 │ noise" in capsys.readouterr().out
        assert "Engines other than pygrad took 1.10 times as long as before" in out
        assert "processor: a before, b after" in out
        assert "pygrad: 1 before, 2 after" in out

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("not JSON", "line 1 column"),
            ("[1]", "a list"),
            ('{"format": "other"}', "got 'other'"),
            (json.dumps({"format": "pygrad bench 1", "machine": {}}), "damaged"),
            (json.dumps({**json.loads(run_with(value=1.0).to_json()), "workloads": {"dots": 1}}), "damaged"),
            (run_with(value=1.0).to_json().replace("median", "middle"), "damaged"),
            (run_with(value=1.0).to_json().replace("measured", "guessed"), "damaged"),
        ],
    )
    def test_refuses_a_file_of_another_format(self, text, message, tmp_path, capsys):
        (tmp_path / "a.json").write_text(text)
        assert run("compare", tmp_path / "a.json", tmp_path / "a.json") == 2
        error = " ".join(capsys.readouterr().err.split())
        assert "a.json is not a file written by `pygrad bench --json`" in error
        assert message in error

    def test_names_a_missing_file(self, tmp_path, capsys):
        assert run("compare", tmp_path / "a.json", tmp_path / "b.json") == 2
        assert "a.json: No such file or directory" in capsys.readouterr().err


class TestTargets:
    @pytest.mark.parametrize(("ours", "verdict"), [(0.04, "met"), (0.041, "missed")])
    def test_of_a_ratio(self, ours, verdict, capsys):
        report.console().print(report.targets(run_with(value=ours, micrograd=1.0)))
        assert verdict in capsys.readouterr().out.split("on Values │")[1].split("\n")[0]

    def test_of_a_peer_s_time(self, capsys):
        (target,) = (target for target in targets.TARGETS if target.workload == "asian" and target.within)
        results = run_with(**{target.engine: 1.5, target.peer: 1.0})
        results.tables = {target.workload: results.tables["dots"]}
        assert target.ratio(results) == pytest.approx(target.least)
        report.console().print(report.targets(results))
        assert re.search(r" 1\.5x │ +at most 1\.5x │ met", capsys.readouterr().out)

    def test_of_a_figure(self):
        target = targets.Target("dots", "dots", "value", at_most=2.0)
        assert target.ratio(run_with(value=1.0)) == 2.0
        assert target.ratio(run_with(value=4.0)) < target.least

    def test_name_existing_workloads_and_engines(self):
        for target in targets.TARGETS:
            assert set(target.engines) <= {*WORKLOADS[target.workload].engines, "compile-threads"}


def test_a_noisy_machine_is_reported():
    results = run_with(value=1.0, array=1.0)
    assert report.noise(results) == ""
    results.tables["dots"].rows["value"] = dataclasses.replace(results.tables["dots"].rows["value"], upper=1.5)
    assert "1 of 2 figures" in report.noise(results)
    assert "spread by up to 55%" in report.noise(results)


def test_a_busy_processor_is_reported():
    results = run_with(value=1.0, array=1.0)
    results.tables["dots"].rows["value"] = dataclasses.replace(results.tables["dots"].rows["value"], busy=0.8)
    assert report.noise(results).endswith("took up to 20%")


def test_waiting_counts_as_other_processes_time():
    entry = measure.Entry("value", Work(lambda: time.sleep(0.01)), BRIEF)
    entry.turn(0.05)
    assert entry.row.busy < 0.5
    assert entry.row.is_noisy


def test_pytorch_gets_one_thread():
    torch = pytest.importorskip("torch")
    ENGINES["torch"].load()
    assert torch.get_num_threads() == 1


def test_the_usable_processors_are_counted():
    assert 1 <= engines.processors() <= (engines.os.cpu_count() or 1)
