"""Random programs give the same bits on `pygrad.engine` as on `pygrad.reference`, and micrograd's graph and numbers."""

import math

import micrograd.engine
from hypothesis import given

from pygrad import engine, reference
from support import on_cpython
from support.effort import examples
from support.programs import EDGES, MICROGRAD_STEPS, STEPS, bits, programs, run, shape

pytestmark = on_cpython("PyPy computes x ** 2 as x * x")


@examples(1000)
@given(programs(STEPS, EDGES))
def test_a_program_gives_the_reference_s_bits_and_exceptions(program):
    ours, raised = run(engine.Value, program)
    theirs, expected = run(reference.Value, program)
    assert raised == expected
    assert [bits(v.data) for v in ours] == [bits(v.data) for v in theirs]
    assert [bits(v.grad) for v in ours] == [bits(v.grad) for v in theirs]


@examples(200)
@given(programs(STEPS, EDGES))
def test_a_program_gives_the_reference_s_graph(program):
    ours, _ = run(engine.Value, program)
    theirs, _ = run(reference.Value, program)
    assert [shape(v) for v in ours[-5:]] == [shape(v) for v in theirs[-5:]]


# Ints and floats: with the large ones, results pass 2**53, from where on they are floats.
WHOLE = [0, 1, -1, 2, 3, -4, 0.5, -0.0, 2.0]
LARGE = [*WHOLE, 2**52, 1 - 2**53, 3**33]


def number_of(x):
    """A number as printed, but for its sign if it is 0, and for nan."""
    return type(x), "nan" if x != x else x


@examples(500)
@given(programs(STEPS, LARGE, LARGE))
def test_ints_stay_ints_as_in_the_reference(program):
    ours, raised = run(engine.Value, program)
    theirs, expected = run(reference.Value, program)
    assert raised == expected
    assert [number_of(v.data) for v in ours] == [number_of(v.data) for v in theirs]
    if not any(raised):  # what a step that fails would have added to is 0.0 perhaps, and not 0
        assert [number_of(v.grad) for v in ours] == [number_of(v.grad) for v in theirs]
    assert [bits(v.data) for v in ours] == [bits(v.data) for v in theirs]
    # The int -1 * 0 is -0.0 in C, which shows only where it is added to a grad that was assigned -0.0.
    assert [bits(v.grad + 0.0) for v in ours] == [bits(v.grad + 0.0) for v in theirs]


@examples(500)
@given(programs(MICROGRAD_STEPS, (), WHOLE))
def test_ints_stay_ints_as_in_micrograd(program):
    ours, raised = run(engine.Value, program, MICROGRAD_STEPS)
    theirs, expected = run(micrograd.engine.Value, program, MICROGRAD_STEPS)
    assert raised == expected
    large = any(not abs(v.data) < 2**53 for v in theirs)
    assert large or [repr(v.data) for v in ours] == [repr(v.data) for v in theirs]
    if fails(ours[-1].backward) is fails(theirs[-1].backward) is False and not large:
        large = any(not abs(v.grad) < 2**50 for v in theirs)
        assert large or [type(v.grad) for v in ours] == [type(v.grad) for v in theirs]


def fails(backward):
    try:
        backward()
    except ArithmeticError:
        return True
    return False


@examples(300)
@given(programs(MICROGRAD_STEPS))
def test_a_program_gives_micrograd_s_graph_bits_and_gradients(program):
    ours, raised = run(engine.Value, program, MICROGRAD_STEPS)
    theirs, expected = run(micrograd.engine.Value, program, MICROGRAD_STEPS)
    assert raised == expected
    # micrograd's relu gives the int 0, which has no sign; adding 0.0 turns -0.0 into 0.0.
    assert [bits(v.data + 0.0) for v in ours] == [bits(v.data + 0.0) for v in theirs]
    assert shape(ours[-1]) == shape(theirs[-1])
    failed = fails(ours[-1].backward)
    theirs_failed = fails(theirs[-1].backward)  # also for x ** 0 at 0, whose slope is 0 here
    assert theirs_failed or not failed
    # micrograd sums in set order, so results differ by rounding: by 1e-12 of the largest term.
    scale = max(abs(v.grad) for v in theirs)
    if math.isfinite(scale) and not theirs_failed:
        for v, w in zip(ours, theirs):
            assert math.isclose(v.grad, w.grad, rel_tol=1e-12, abs_tol=1e-12 * scale)
