"""Long runs: memory stays constant, however long a program trains and however often it compiles."""

import json
import sys

import pytest

from support import figures, on_limited_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")

# A new process prints rows of its memory use; the first number of a row is the work done so far.
SOAK = """
import gc, json, random
import numpy as np
import pygrad
from pygrad import Value, array, nn, optim
from pygrad import functional as F
from pygrad.bench.workloads.memory import resident_bytes

random.seed(0)
rows = []

def look(done):
    gc.collect()
    stats = pygrad.memory_stats()
    rows.append([done, resident_bytes(), stats.live_nodes, stats.blocks, stats.peak_blocks, stats.committed_bytes])

def soak(step, total, looks):
    done = 0
    for i in range(looks + 1):
        while done < total * i / looks:
            done += step()
        look(done)
    print(json.dumps(rows))
"""

WORKS = {
    "training temporaries": """
mlp = nn.MLP(2, [16, 16, 1])
layers = nn.Sequential(nn.Linear(2, 16), F.tanh, nn.Linear(16, 2))
sgd, adam = optim.SGD(mlp.parameters(), lr=1e-3), optim.Adam(layers.parameters(), lr=1e-3)
xs = np.random.default_rng(0).uniform(-1, 1, (20, 2))

def step():
    losses = [sum((mlp(x) - x[0] * x[1]) ** 2 for x in xs.tolist())]
    losses += [F.cross_entropy(layers(xs), (xs[:, 0] > 0).astype(int))]
    out = Value(losses[0].data, (losses[0],), "same")
    out._backward = lambda: setattr(losses[0], "grad", losses[0].grad + out.grad)  # a cycle for the garbage collector
    made = pygrad.memory_stats().live_nodes - held
    for optimizer, loss in zip((sgd, adam), (out, losses[1])):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made

held = pygrad.memory_stats().live_nodes
""",
    "Programs compiled, run and dropped": """
w = array(np.random.default_rng(0).uniform(-1, 1, (8, 3)))

def step():
    k = random.randrange(1, 5)
    fn = lambda x, y: ((w @ x * k).tanh() * y).sum() + F.softmax(w @ x)[0] ** 2
    f = pygrad.compile(fn, np.zeros(3), 0.5, threads=2)
    f(np.zeros((130, 3)), 0.5)
    f.value_and_grad(np.zeros(3), [0.5, 1.0])
    f.hvp((np.zeros(3), 0.5), (np.ones(3), 1.0))
    return 1
""",
}


def slope(rows):
    """The least-squares slope of resident bytes against work."""
    xs, ys = [row[0] for row in rows], [row[1] for row in rows]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys)) / sum((a - x) ** 2 for a in xs)


@on_limited_memory
@pytest.mark.parametrize(
    ("work", "short", "length", "unit"),
    [
        ("training temporaries", 500_000, 10_000_000, 1_000_000),
        ("Programs compiled, run and dropped", 300, 10_000, 1000),
    ],
)
def test_memory_use_stays_constant(python, full, work, short, length, unit):
    length = length if full else short
    rows = json.loads(python(SOAK + WORKS[work] + f"soak(step, {length}, 30)"))
    settled = rows[len(rows) // 3 :]  # before that, caches fill
    _, resident, live, blocks, peak_blocks, committed = map(set, zip(*settled))
    assert len(live) == len(peak_blocks) == len(committed) == 1
    assert max(blocks) <= min(blocks) + 1  # one empty block may be open
    assert max(resident) - settled[0][1] < 1 << 20
    figures.note(
        f"resident memory over {length:,} {work}",
        f"{settled[-1][1] / 2**20:.1f} MiB; slope {slope(settled) * unit / 1024:+.2f} KiB for each {unit:,}",
    )


def test_parameters_made_during_a_step_pin_only_their_own_blocks(python):
    """Each lies among the temporaries of a step; its block stays, and the blocks beside it are freed."""
    rows = json.loads(
        python(
            SOAK
            + """
kept = []

def step():
    h = array(np.ones(2000)).tanh()
    kept.append(Value(1.0))
    loss = (h * 2 + 1).sum() + kept[-1]
    loss.backward()
    return 1

soak(step, 500, 10)
"""
        )
    )
    _, _, live, blocks, _, committed = zip(*rows[1:])  # at the first look there were no temporaries yet
    assert live[-1] - live[0] == 450
    assert blocks[-1] - blocks[0] <= 450 + 1
    assert committed[-1] - committed[0] <= 450 * 256 * 32 + (2 << 20)
