"""What the core refuses: dead ids, unknown ops, Values after their `__del__`."""

import gc

import pytest

from pygrad import Value
from pygrad._lib import ffi, lib
from support import frees_at_once, live_nodes, on_cffi


def test_ids_of_dead_nodes_are_refused():
    v = Value(1)
    gone = (v * 2)._id
    gc.collect()
    sweep = ffi.new("pg_sweep *")
    for id in [0, 1, 255, gone, 2**31 - 1, 2**32 - 1]:
        assert lib.pg_make_RELU(id) == lib.PG_STALE
        assert lib.pg_make_ADD(v._id, id) == lib.pg_make_ADD(id, v._id) == lib.PG_STALE
        assert lib.pg_make_ADD_number(id, 2.0, False) == lib.PG_STALE
        assert lib.pg_make_POWER(id, 2.0, True) == lib.PG_STALE
        assert lib.pg_custom(0.0, False, [v._id, id], 2) == lib.PG_STALE
        assert lib.pg_hold(id) == lib.pg_release(id) == lib.pg_set_data(id, 1.0, False) == lib.PG_STALE
        assert lib.pg_keep(id) == lib.pg_release_kept(id) == lib.PG_STALE
        assert lib.pg_set_grad(id, 1.0, False) == lib.pg_set_flags(id, 1) == lib.pg_backward_one(id) == lib.PG_STALE
        assert lib.pg_sweep_begin(sweep, id) == lib.PG_STALE
        assert lib.pg_data(id) != lib.pg_data(id)  # nan
        assert lib.pg_refs(id) == lib.pg_op(id) == lib.pg_flags_of(id) == lib.pg_operand(id, 0) == 0


def test_unknown_op_numbers_have_no_name():
    for op in [-1, lib.pg_op_count(), 1 << 20]:
        assert lib.pg_op_name(op) == lib.pg_op_symbol(op) == ffi.NULL
        assert lib.pg_op_arity(op) == 0


@on_cffi
@frees_at_once
def test_a_value_used_after_its_del_is_a_reference_error():
    v = Value(1)
    w = v * 2
    before = live_nodes()
    v.__del__()
    v.__del__()  # only once: the node is still an operand of w
    with pytest.raises(ReferenceError):
        v + 1
    del v
    assert live_nodes() == before
    w.backward()
    assert w.data == 2
