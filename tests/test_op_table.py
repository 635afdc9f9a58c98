"""Each op of the core has all that an op must have; what is missing is named."""

import pytest

from pygrad import Value, functional
from pygrad._lib import lib, text
from support import ops


@pytest.mark.parametrize("name", ops.NAMES)
def test_an_op_has_cases_a_reference_and_methods(name):
    missing = ops.missing(name)
    assert not missing, "\n".join(missing)


def test_cases_name_existing_ops():
    assert set(ops.CASES) <= set(ops.NAMES), f"{ops.HERE} has cases of what is no op of csrc/ops.def"
    assert len({case.name for case in ops.ALL}) == len(ops.ALL)


def test_programs_record_each_op_under_its_name():
    recorded = {text(name) for op in range(256) if (name := lib.pg_recorded_name(op))}
    assert set(ops.NAMES) <= recorded


@pytest.mark.parametrize(("name", "case"), [(name, case) for name, cases in ops.CASES.items() for case in cases])
def test_an_op_shows_its_symbol_and_its_operands(name, case):
    operands = [Value(x) for x in case.samples[0]]
    out = case.write(*operands)
    number = "" if case.number is None else str(case.number)
    assert out._op == text(lib.pg_op_symbol(ops.NUMBER_OF[name])) + number
    assert out._prev == set(operands)


@pytest.mark.parametrize("case", ops.FUNCTIONS, ids=lambda case: case.name)
def test_a_function_is_the_method_of_its_name(case):
    for operands in case.samples:
        out = getattr(functional, case.method)(*operands)
        assert out.item() == case.write(*map(Value, operands)).data
