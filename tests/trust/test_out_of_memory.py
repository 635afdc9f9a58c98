"""Running out of memory: every failure is a MemoryError, nothing leaks, and existing state is unchanged.

The core makes every allocation through one function, which a test can make fail. One allocation serves thousands of
nodes, so these tests fill the arena and leave a given number of free nodes.
"""

import ctypes
import gc
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pygrad
from pygrad._lib import lib
from support import figures, on_cpython
from support.effort import long
from support.loops import LOOPS
from support.operations import NOT_CALLED, OF_ONE_FACADE, OPERATIONS, World, is_covered, public_names

pytestmark = on_cpython("PyPy finalizes a Value when it collects garbage")

LIMITED = Path(__file__).parent.parent / "support" / "limited.py"
BLOCK = 256  # nodes; see csrc/graph/arena.h
BLOCKS = 128  # left free at most
MANY = BLOCK * BLOCKS


def test_every_public_name_is_in_the_table():
    names = set(public_names())
    assert [name for name in sorted(names) if not is_covered(name)] == []
    assert set(NOT_CALLED) - names <= set(OF_ONE_FACADE)


class Arena:
    """Fills the arena but for a given number of nodes."""

    def __init__(self):
        self.cushion = [pygrad.array(np.zeros(BLOCK)) for _ in range(BLOCKS)]
        self.fillers, size = [], 1 << 20
        lib.pg_test_fail_allocations(0)
        while size:
            try:
                self.fillers.append(pygrad.array(np.zeros(size)))
            except MemoryError:
                size //= 2
        lib.pg_test_fail_allocations(-1)
        self.committed = pygrad.memory_stats().committed_bytes

    def leave(self, nodes):
        """Leave room for so many nodes, at most `MANY`."""
        self.cushion.clear()
        blocks, rest = divmod(MANY - nodes, BLOCK)
        self.cushion += [pygrad.array(np.zeros(BLOCK)) for _ in range(blocks)]
        self.cushion += [pygrad.array(np.zeros(rest))] if rest else []
        assert pygrad.memory_stats().committed_bytes == self.committed


class Witness:
    """Existing graphs, all of whose nodes are held, and the numbers that they must keep giving."""

    def __init__(self, world):
        x = world.x * world.y
        self.nodes = [world.v, world.w, world.product, world.x, world.y, x, x.tanh()]
        self.corner = self.nodes[-1][1, 2]
        self.world = world
        self.expected = self.numbers()

    def numbers(self):
        for node in self.nodes:
            node.grad = 0.0
        self.world.product.backward()
        self.corner.backward()
        numbers = [part for node in self.nodes for part in (node.data, node.grad)]
        return np.concatenate([np.ravel(part) for part in [*numbers, self.world.program([1.0, 2.0, 3.0], 4.0)]])

    def holds(self):
        return self.numbers().tobytes() == self.expected.tobytes()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    world.wide = [pygrad.array(x) for x in np.random.default_rng(2).uniform(0.5, 2, (2, 20, 30))]
    for operation in OPERATIONS.values():  # allocates what is kept after a first call
        operation(world)
    return world


@pytest.fixture(scope="module")
def witness(world):
    return Witness(world)


@pytest.fixture(scope="module")
def arena(world, witness):
    gc.collect()
    gc.disable()
    try:
        yield Arena()
    finally:
        gc.enable()


class Attempts:
    """Counts how often an operation failed, and checks each time that nothing has changed."""

    total = 0

    def __init__(self, witness):
        self.witness = witness
        self.count = 0

    def succeeds(self, operation, successes=0):
        """Whether the operation succeeds with so many allocations. Its result is dropped."""
        before = pygrad.memory_stats()
        lib.pg_test_fail_allocations(successes)
        try:
            operation(self.witness.world)
        except MemoryError:
            done = False
        else:
            done = True
        finally:
            lib.pg_test_fail_allocations(-1)
        if pygrad.memory_stats().live_nodes != before.live_nodes:
            gc.collect(1)  # cycles made since the last collection
        after = pygrad.memory_stats()
        assert after.live_nodes == before.live_nodes
        assert after.blocks <= before.blocks + 1  # one empty block may be open
        assert after.committed_bytes == before.committed_bytes
        assert done or self.witness.holds()
        self.count += not done
        Attempts.total += not done
        return done


@pytest.fixture
def attempts(witness, arena):
    gc.collect(1)
    arena.leave(MANY)
    yield Attempts(witness)
    figures.note("allocations failed, each with all as it was before", f"{Attempts.total:,}")


def rooms(full):
    """Growing numbers of free nodes: at first each number, then in steps."""
    each = 2 * BLOCK if full else 8
    yield from range(each)
    while each < MANY:
        yield each
        each += 1 + each // 4
    yield MANY


@pytest.mark.parametrize("name", OPERATIONS)
def test_running_out_of_room_at_any_node_changes_nothing(name, arena, attempts, full):
    for room in rooms(full):
        arena.leave(room)
        if attempts.succeeds(OPERATIONS[name]):
            break


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_failure_of_any_allocation_changes_nothing(name, attempts):
    for successes in itertools.count():
        if attempts.succeeds(OPERATIONS[name], successes):
            break
    makes_code = "for the first time" in name or name.partition(" ")[0] in ("compile", "Program")
    assert attempts.count > 5 or not makes_code


@pytest.mark.parametrize("name", LOOPS)
def test_a_builder_that_runs_out_of_room_leaks_nothing(name, world, arena, attempts):
    _, make = LOOPS[name]
    expected = make(*world.wide, 0.7).data
    for room in rooms(full=False):
        arena.leave(room)
        if attempts.succeeds(lambda world: make(*world.wide, 0.7)):
            break
    assert attempts.count > 3
    arena.leave(MANY)
    assert np.array_equal(make(*world.wide, 0.7).data, expected)


class Mallinfo(ctypes.Structure):
    """The statistics of glibc's malloc: see mallinfo2(3)."""

    _fields_ = [(name, ctypes.c_size_t) for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks"]]
    _fields_ += [(name, ctypes.c_size_t) for name in ["fsmblks", "uordblks", "fordblks", "keepcost"]]


_mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo:
    _mallinfo.restype = Mallinfo


@long
@pytest.mark.skipif(not _mallinfo, reason="glibc tells how many bytes are in use")
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name.startswith(("compile", "Program"))])
def test_a_failed_allocation_frees_those_before_it(name, attempts):
    for successes in itertools.count():
        used = []
        for _ in range(25):
            done = attempts.succeeds(OPERATIONS[name], successes)
            info = _mallinfo()
            used.append(info.uordblks + info.hblkhd)
        # A leak shows in every round; Python itself allocates only now and then.
        assert any(after <= before for before, after in zip(used[4:], used[5:]))
        if done:
            break


# A real limit -----------------------------------------------------------------------------------------------------


@long
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what the limits count")
def test_running_out_of_system_memory_changes_nothing(tmp_path, full):
    sizes = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "OPENBLAS_NUM_THREADS": "1"}
    command = [
        sys.executable,
        Path(__file__).parent.parent / "support" / "limited.py",
        str(tmp_path),
        str(1_200_000 if full else 300_000),
    ]
    others = {name: x for name, x in os.environ.items() if not name.startswith("MALLOC_")}  # Dask leaves some
    done = subprocess.run(command, env={**others, **sizes}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    failed = json.loads(done.stdout)
    assert [work for work, failures in failed.items() if not failures] == []
    figures.note("works that a limit on memory made fail, until it was high enough", f"{len(failed)}")
