"""Random bytes as programs over the C API, each step compared with the reference: see support/replay.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygrad._lib import lib
from support import on_cpython
from support.effort import examples
from support.replay import STEPS, MismatchError, Replay


@on_cpython("PyPy computes x ** 2 as x * x")
@examples(500)
@given(st.binary(max_size=600))
def test_the_core_and_the_reference_agree_on_any_bytes(data):
    Replay(data).run()


def test_the_steps_are_those_of_the_c_target(request):
    source = (request.config.rootpath / "tests" / "c" / "fuzz_graph.c").read_text(encoding="utf-8")
    table = source[source.index("STEPS[])(void) = {") :].split("{")[1].split("}")[0]
    assert [name.strip() for name in table.split(",") if name.strip()] == [step.__name__ for step in STEPS]


def test_a_mismatch_is_reported():
    class Wrong(Replay):
        def put(self, id, node):
            super().put(id, node)
            lib.pg_set_grad(id, 1.5, False)

    with pytest.raises(MismatchError, match=r"grad of \d+ \(LEAF\) is 1.5, by the reference 0"):
        Wrong(bytes([0, 2])).run()
