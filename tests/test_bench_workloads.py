"""Every installed engine computes what the reference does."""

import functools
import gc

import numpy as np
import pytest

from pygrad.bench import measure
from pygrad.bench.engines import ENGINES, MissingError
from pygrad.bench.measure import Entry
from pygrad.bench.workloads import WORKLOADS, call, chain, cluster, gpt, memory
from support import on_cpython
from support.effort import long

SMALL = {"dots": 5, "moons": 6, "gpt": 1, "asian": 2, "basket": 2, "cluster": 2}  # the others: 20
PAIRS = [(name, engine) for name, workload in WORKLOADS.items() for engine in workload.engines]


@pytest.fixture(scope="module", autouse=True)
def _no_cluster_stays():
    """Its scheduler makes objects in this process, which other tests count."""
    yield
    cluster.close()
    gc.collect()


def entry_of(workload, engine):
    """The engine at a small size."""
    problem = workload.problem(np.random.default_rng(0), SMALL.get(workload.name, 20))
    factory = workload.engines.get(engine, workload.reference)
    return Entry(engine, factory(problem), measure.QUICK)


@functools.lru_cache(None)
def expected(name):
    """The reference's first results."""
    return entry_of(WORKLOADS[name], "reference").first_results()


@long
@pytest.mark.parametrize(
    ("name", "engine"), [pytest.param(*pair, marks=[long] * (pair == ("basket", "reference"))) for pair in PAIRS]
)
@pytest.mark.filterwarnings("ignore")  # from other libraries
def test_the_engine_agrees_with_the_reference(name, engine):
    try:
        ENGINES[engine].load()
    except MissingError as missing:
        pytest.skip(str(missing))
    assert entry_of(WORKLOADS[name], engine).disagreement(expected(name)) == ""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[long] * (name == "basket")) for name in WORKLOADS])
def test_the_reference_s_numbers_are_finite_and_not_all_zero(name):
    for numbers in expected(name):
        assert np.isfinite(numbers).all()
        assert np.count_nonzero(numbers) > numbers.size / 10


@pytest.mark.parametrize("name", sorted(set(WORKLOADS) - {"expression"}))
def test_another_seed_gives_other_numbers(name):
    workload = WORKLOADS[name]
    first, second = (str(workload.problem(np.random.default_rng(seed), 4)) for seed in (0, 1))
    assert first != second


@pytest.mark.parametrize("name", ["moons", "gpt", "adam"])
def test_a_training_step_changes_the_next_one(name):
    first, second, *_ = expected(name)  # a slow machine makes only two
    assert not np.allclose(first, second)


def test_the_gpt_has_the_stated_number_of_parameters():
    problem = gpt.problem(np.random.default_rng(0), 8)
    assert sum(p.size for p in problem.parameters) == 4192
    assert len(problem.tokens) == 10


@on_cpython("PyPy reserves the memory of its objects before it needs it")
@pytest.mark.parametrize("name", ["value", "reference"])
def test_the_memory_of_a_node_is_measured_in_a_separate_process(name):
    if not hasattr(memory.os, "sysconf") or not memory.os.path.exists("/proc/self/statm"):
        pytest.skip("resident memory is read from /proc")
    low, high = {"value": (32, 40), "reference": (200, 2000)}[name]
    assert low <= memory.bytes_a_node(name) <= high
    assert memory.bytes_a_node(name, held=True) >= low


def test_unmeasurable_memory_is_reported_with_the_reason(monkeypatch):
    monkeypatch.setattr(memory, "CHILD_CODE", "raise SystemExit('it is full: {!r} {} {}')")
    with pytest.raises(RuntimeError, match="it is full: 'value' 1000000 False"):
        memory.bytes_a_node("value")


# the call; the run, called through cffi; a call of cffi; a call of nothing
@pytest.mark.parametrize(("took", "share"), [([10, 7, 2, 1], 4), ([5, 7, 1, 1], call.RESOLUTION)])
def test_python_s_share_is_the_call_without_the_run(monkeypatch, took, share):
    work = WORKLOADS["call"].engines["compile"](chain.problem(np.random.default_rng(0), 500))
    monkeypatch.setattr(call, "medians", lambda *calls: took)
    assert work.sample() == share


def test_medians_times_each_call():
    nothing, something = call.medians(lambda: None, lambda: sum(range(10_000)))
    assert 0 < nothing < something


def test_a_figure_of_no_memory_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "CHILD_CODE", "print(0.0)  # {!r} {} {}")
    with pytest.raises(RuntimeError, match="did not grow"):
        memory.bytes_a_node("value")
