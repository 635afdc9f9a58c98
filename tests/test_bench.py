"""The work that is compared is the same work on every engine."""

import sys

import pytest

from pygrad import engine, nn, reference
from pygrad.bench import __main__ as bench
from pygrad.bench import measure, minimal, workloads


def test_dot_products_agree():
    assert workloads.dot_products(engine.Value, 5)() == workloads.dot_products(reference.Value, 5)()


def test_moons_steps_agree():
    ours, theirs = workloads.moons_step(engine.Value, nn), workloads.moons_step(reference.Value, reference)
    micrograd_s = workloads.moons_step(engine.Value, workloads.micrograd_nn_on(engine))
    for _ in range(2):
        assert ours() == theirs() == micrograd_s()


def test_gpt_steps_agree():
    ours, theirs = workloads.gpt_step(engine.Value, "ab"), workloads.gpt_step(minimal.Value, "ab")
    for _ in range(2):
        assert ours() == pytest.approx(theirs(), rel=1e-9, abs=1e-12)


def test_engines_that_disagree_are_not_compared():
    with pytest.raises(SystemExit, match="disagree"):
        measure.medians("work", {"one": lambda: [1.0], "two": lambda: [1.1]})


def test_the_table_has_every_row(monkeypatch, capsys):
    monkeypatch.setattr(measure, "ROUNDS", 1)
    monkeypatch.setattr(sys, "setrecursionlimit", lambda limit: None)  # enough here, and for the tests to come
    monkeypatch.setenv("COLUMNS", "160")
    bench.main()
    out = capsys.readouterr().out
    for row in ["dot products", "moons step", "GPT step", "memory of a live interior node", "backward sweep"]:
        assert row in out
