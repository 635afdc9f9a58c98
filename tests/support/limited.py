"""A process with too little memory: its limits start too low and rise until each work succeeds.

Run by test_out_of_memory.py; prints how often each work failed. Each needs large blocks, which come from the system:
CPython 3.11 may loop forever in handling a MemoryError when it cannot even allocate an int.
"""

import copy
import gc
import json
import os
import pickle
import resource
import sys

import numpy as np

import pygrad
from pygrad import Value, functional, nn, optim
from pygrad._lib import lib

N = int(sys.argv[2])  # size of most arrays
# What each limit counts. The arena reserves its address space once; after that only RLIMIT_DATA counts its memory.
COUNTED = {resource.RLIMIT_AS: "VmSize", resource.RLIMIT_DATA: "VmData"}


def limit_to(more, limit=resource.RLIMIT_DATA):
    """Allow so many bytes more than the process has now."""
    with open("/proc/self/status") as status:
        now = next(int(line.split()[1]) << 10 for line in status if line.startswith(COUNTED[limit]))
    resource.setrlimit(limit, (now + more, resource.getrlimit(limit)[1]))


def lift_limits():
    for limit in COUNTED:
        resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.getrlimit(limit)[1]))


def chain(x):
    for i in range(20_000):
        x = (x * w).tanh() if i % 2 else x + i
    return x


def works(folder):
    path = f"{folder}/x.npz"
    optimizer = optim.Adam([x])
    program = pygrad.compile(lambda a, b: ((a * w).tanh() * b).sum(), np.zeros(4), 0.5, threads=2)
    batch = np.linspace(0, 1, N)
    rows = np.ones((N // 4, 4))
    indices = np.arange(N) % 4
    table = pygrad.array(np.ones((4, 3)))
    model = nn.Linear(1000, 300)
    pygrad.save(path, {"x": x.data})
    lookup = pygrad.compile(lambda i, a: (table[i] * a).sum(), pygrad.index(0), np.ones(3))
    few = pygrad.compile(lambda a: (a * a * w).sum(), np.ones(30))
    return {
        "leaves": lambda: pygrad.array(batch),
        "a unary op": lambda: x.exp(),
        "a binary op": lambda: x * x,
        "an op with a number": lambda: x + 1.5,
        "a power of numbers": lambda: x**batch,
        "a sum": lambda: x.sum(),
        "a product of matrices": lambda: x[:100_000].reshape(1000, 100) @ x[:1000].reshape(100, 10),
        "broadcasting": lambda: x[:1000, None] * x[:1500],
        "softmax": lambda: functional.softmax(x.reshape(3, -1)),
        "cross_entropy": lambda: functional.cross_entropy(x.reshape(-1, 3), indices[: N // 3] % 3),
        "a model of Arrays": lambda: model(np.ones((5, 1000))),
        "joining": lambda: pygrad.concatenate([x, x]),
        "choosing": lambda: x[np.arange(N)[::-1]],
        "looking up": lambda: functional.embedding(indices, table),
        "reading": lambda: computed.data,
        "an Array of Values": lambda: pygrad.array([[w] * 1000] * 1000),
        "a copy": lambda: copy.deepcopy(x),
        "pickling": lambda: pickle.loads(pickle.dumps(x)),
        "saving": lambda: pygrad.save(path, {"x": x.data}),
        "loading": lambda: pygrad.load(path),
        "an optimizer": lambda: optim.Adam([x]),
        "the state of an optimizer": lambda: optimizer.load_state_dict(optimizer.state_dict()),
        "clipping": lambda: optim.clip_grad_norm_([x], 1e9),
        "compiling": lambda: pygrad.compile(chain, 0.5)(0.5),
        "a batch": lambda: program(np.ones(4), batch),
        "a batch of rows": lambda: program(np.ones((N // 4, 4)), 0.5),
        "gradients": lambda: program.value_and_grad(rows, batch[: N // 4]),
        "tangents": lambda: program.jvp((rows, 0.5), (np.ones((N // 4, 4)), 1.0)),
        "lookups": lambda: lookup.value_and_grad(indices, np.ones(3)),
        "a jacobian": lambda: few.jacobian(np.ones((N // 900, 30))),
        "hessians": lambda: few.hessian(np.ones((N // 900, 30))),
    }


def fill_arena():
    """Arrays that fill the arena, so that any new node needs more memory."""
    size = 1 << 22
    lib.pg_test_fail_allocations(0)
    while size:
        try:
            yield pygrad.array(np.zeros(size))
        except MemoryError:
            size //= 2
    lib.pg_test_fail_allocations(-1)


def numbers():
    """The data and grads of a graph made beforehand."""
    for node in nodes:
        node.grad = 0.0
    nodes[-1].backward()
    return [(node.data, node.grad) for node in nodes]


def failures(work):
    """How often the work fails until there is enough memory."""
    gc.collect()
    before = pygrad.memory_stats().live_nodes
    for count in range(30):
        limit_to((1 << 16) * (2**count - 1))
        try:
            work()
        except MemoryError:
            pass
        else:
            return count
        finally:
            lift_limits()
        gc.collect()
        assert pygrad.memory_stats().live_nodes == before, pygrad.memory_stats().live_nodes - before
        assert numbers() == expected
    raise AssertionError("the work never succeeds")


def in_a_child(work):
    """The same in a child process, which has no free memory left over from other works."""
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert 0 <= status < 100, status
        return status
    status = 100
    try:
        status = failures(work)
    finally:
        os._exit(status)


limit_to(0, resource.RLIMIT_AS)  # the very first node: even the smallest reserve of address space fails
for _ in range(2):
    try:
        Value(1.0)
    except MemoryError:
        pass
    else:
        raise AssertionError("a node was made without memory")
lift_limits()

w = Value(0.5)
nodes = [w, w * 3]
nodes += [nodes[1].tanh()]
x = pygrad.array(np.linspace(0.1, 2, N))
computed = x * 2
expected = numbers()
all_works = works(sys.argv[1])
fillers = list(fill_arena())
print(json.dumps({name: in_a_child(work) for name, work in all_works.items()}))
