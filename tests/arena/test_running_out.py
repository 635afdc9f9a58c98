"""Running out of memory."""

from support import LIMITED, frees_at_once, on_limited_memory, on_linux


def test_the_very_first_node_may_fail(python):
    python(
        """
from pygrad import Value
from pygrad._lib import lib

for successes in range(2):
    lib.pg_test_fail_allocations(successes)
    try:
        Value(1)
    except MemoryError:
        continue
    raise AssertionError(successes)
lib.pg_test_fail_allocations(-1)
assert (Value(1) + 1).data == 2
"""
    )


@frees_at_once
@on_linux
@on_limited_memory
def test_a_limit_on_the_address_space_is_a_memory_error_and_leaves_the_arena_intact(python):
    out = python(
        "from pygrad import Value, memory_stats"
        + LIMITED
        + """
x = Value(2)
y = x
try:
    while True:
        y = y.relu()
except MemoryError:
    pass
live = memory_stats().live_nodes
y.backward()
assert x.grad == 1 and live > 100_000
del y
assert memory_stats().live_nodes == 1
y = x * 3
y.backward()
assert x.grad == 4
print(memory_stats().reserved_bytes < 400 << 20)
"""
    )
    assert out == "True\n"
