"""Jobs of every kind: each is a function of a seed and returns the same digest in any thread or process."""

import copy
import hashlib
import pickle
import random
import struct

import numpy as np

import pygrad
from pygrad import Value, nn, optim
from pygrad import functional as F
from support.loops import LOOPS
from support.programs import EDGES, STEPS, bits, run

# A hook that refers to a result keeps it alive.
NAMES = [name for name in sorted(STEPS) if name != "hook"]


def digest(*things):
    """A hash of numbers, arrays, and anything else whose repr() is complete."""
    parts = [x.tobytes() if isinstance(x, np.ndarray) else repr(x).encode() for x in things]
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def values(seed):
    """A random program of ops, edits, failures, closures and backward passes."""
    rng = random.Random(seed)

    def number():
        return rng.choice(EDGES) if rng.random() < 0.05 else rng.uniform(-2, 2)

    program = [(rng.choice(NAMES), rng.randrange(1 << 20), rng.randrange(1 << 20), number()) for _ in range(150)]
    made, raised = run(Value, program)
    return digest(raised, [(bits(v.data), bits(v.grad)) for v in made])


def arrays(seed):
    """Expressions of Arrays, over several blocks, and their gradients."""
    rng = np.random.default_rng(seed)
    x, y = (pygrad.array(rng.uniform(0.5, 2, (7, 11))) for _ in range(2))
    kept = []
    for name in rng.choice(sorted(LOOPS), 6):
        out = LOOPS[name][1](x, y, 0.7)
        out.sum().backward()
        kept += [out.ravel()[0], out.data]
    return digest(x.grad, y.grad, *(part for part in kept if isinstance(part, np.ndarray)))


def model(seed):
    """A few training steps of micrograd's model and of a model of Arrays."""
    rng = np.random.default_rng(seed)
    mlp, layers = nn.MLP(3, [5, 4, 1]), nn.Sequential(nn.Linear(3, 4), F.tanh, nn.RMSNorm(4))
    for module in (mlp, layers):
        module.load_state_dict({name: rng.uniform(-1, 1, x.shape) for name, x in module.state_dict().items()})
    optimizers = [optim.SGD(mlp.parameters(), lr=0.01, momentum=0.9), optim.AdamW(layers.parameters(), lr=0.01)]
    for _ in range(5):
        x = rng.uniform(-1, 1, (4, 3))
        losses = [sum((mlp(row) - row[0]) ** 2 for row in x.tolist()), F.cross_entropy(layers(x), [0, 1, 2, 3])]
        for loss, optimizer in zip(losses, optimizers):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return digest(*mlp.state_dict().values(), *layers.state_dict().values(), losses[0].data)


def _loss(w, x, y):
    return ((w @ x).tanh() * y).sum() + (x * y).exp().mean()


_weights = pygrad.array(np.linspace(-1, 1, 30).reshape(10, 3))
shared = pygrad.compile(lambda x, y: _loss(_weights, x, y), np.zeros(3), 0.5, threads=2)


def compiled(seed):
    """Runs of a shared Program on two threads; no parameter gradient is computed."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, (300, 3)), rng.uniform(-1, 1, 300)
    return digest(shared(x, y), shared.jvp((x, y), (x[0], 1.0))[1], *shared.hvp((x[0], y[0]), (x[1], 0.5)))


def compiling(seed):
    """New Programs with their own parameters, whose grads accumulate."""
    rng = np.random.default_rng(seed)
    w = pygrad.array(rng.uniform(-1, 1, (10, 3)))
    table = pygrad.array(rng.uniform(-1, 1, (5, 3)))
    f = pygrad.compile(lambda i, x, y: _loss(w * table[i], x, y), pygrad.index(0), np.zeros(3), 0.5, threads=2)
    value, by_arguments = f.value_and_grad(rng.integers(0, 5, 130), rng.uniform(-1, 1, (130, 3)), 0.5)
    return digest(value, *by_arguments[1:], np.array(w.grad), np.array(table.grad))


def copies(seed):
    """Leaves, Arrays, modules and Programs, copied and pickled."""
    rng = np.random.default_rng(seed)
    x, v = pygrad.array(rng.uniform(-1, 1, 20)), Value(float(rng.uniform()), label="v")
    x.grad, v.grad = rng.uniform(-1, 1, 20), 2.0
    again = [copy.deepcopy(x), pickle.loads(pickle.dumps(x))]
    program = pickle.loads(pickle.dumps(shared))
    numbers = [np.array([y.data, y.grad]) for y in again]
    return digest(*numbers, pickle.loads(pickle.dumps(v)), program(rng.uniform(-1, 1, 3), 0.5))


JOBS = {job.__name__: job for job in (values, arrays, model, compiled, compiling, copies)}


def do(job):
    """Run a job given as (name, seed); for process pools."""
    name, seed = job
    return JOBS[name](seed)


def use(thing):
    """Use a Value, an Array, a model or a Program that came from another process."""
    if isinstance(thing, pygrad.Program):
        return thing.value_and_grad(np.ones(3), 0.5)[0]
    if isinstance(thing, nn.Module):
        thing = thing([0.5, -0.5, 1.0])
    thing.grad = 0.0
    loss = (thing * thing).sum() if isinstance(thing, pygrad.Array) else thing * thing
    loss.backward()
    return struct.pack("d", float(loss)), float(np.sum(thing.grad))
