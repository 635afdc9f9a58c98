"""Random programs over any engine with micrograd's API, for differential testing.

A program is a list of steps (name, i, j, x): an op on the i-th and j-th Value made so far and the number x, an edit,
or a backward pass. Running it gives its Values and what each step raised.
"""

import math
import random
import struct

from hypothesis import strategies as st

UNARY = ["relu", "exp", "log", "tanh", "sigmoid", "sqrt", "sin", "cos", "abs"]
BINARY = ["maximum", "minimum"]

MICROGRAD_STEPS = {
    "leaf": lambda V, a, b, x: V(x),
    "+": lambda V, a, b, x: a + b,
    "-": lambda V, a, b, x: a - b,
    "*": lambda V, a, b, x: a * b,
    "/": lambda V, a, b, x: a / b,
    "neg": lambda V, a, b, x: -a,
    "relu": lambda V, a, b, x: a.relu(),
    "+x": lambda V, a, b, x: a + x,
    "x+": lambda V, a, b, x: x + a,
    "-x": lambda V, a, b, x: a - x,
    "x-": lambda V, a, b, x: x - a,
    "*x": lambda V, a, b, x: a * x,
    "x*": lambda V, a, b, x: x * a,
    "/x": lambda V, a, b, x: a / x,
    "x/": lambda V, a, b, x: x / a,
    "**2": lambda V, a, b, x: a**2,
    "**n": lambda V, a, b, x: a ** round(x),
    "sum": lambda V, a, b, x: sum([a, b, a]),
}


def _custom(V, a, b, x):
    """The lecture's way of adding an op."""
    out = V(a.data * x + b.data, (a, b), "custom")

    def _backward():
        a.grad += x * out.grad
        b.grad += out.grad

    out._backward = _backward
    return out


def _hook(V, a, b, x):
    """A _backward in place of the one there is, which it calls."""
    step = a._backward

    def _backward():
        step()
        b.grad += x

    a._backward = _backward


STEPS = {
    **MICROGRAD_STEPS,
    **{name: lambda V, a, b, x, name=name: getattr(a, name)() for name in UNARY},
    **{name: lambda V, a, b, x, name=name: getattr(a, name)(b) for name in BINARY},
    **{f"{name}x": lambda V, a, b, x, name=name: getattr(a, name)(x) for name in BINARY},
    "**n": lambda V, a, b, x: a ** (round(x) if math.isfinite(x) else x),
    "**x": lambda V, a, b, x: a**x,
    "**": lambda V, a, b, x: a**b,
    "x**": lambda V, a, b, x: x**a,
    "custom": _custom,
    "unfinished": lambda V, a, b, x: V(x, {a, b}, "unfinished"),
    "hook": _hook,
    "data": lambda V, a, b, x: setattr(a, "data", x),
    "grad": lambda V, a, b, x: setattr(a, "grad", x),
    "backward": lambda V, a, b, x: a.backward(),
    "step": lambda V, a, b, x: a._backward() and None,
    "forget": lambda V, a, b, x: None,
}

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 5e-324, 1e-308, 1e154, 1.7976931348623157e308, math.inf, -math.inf, math.nan]


def programs(steps, edges=()):
    """Short programs, which shrink well, and programs of hundreds of steps; numbers of moderate size, and edges."""
    names = sorted(steps)
    positions = st.integers(0, 1 << 30)
    numbers = st.floats(-2, 2) | st.sampled_from(edges) if edges else st.floats(-2, 2)

    def long_program(seed, length):
        rng = random.Random(seed)

        def number():
            return rng.choice(edges) if edges and rng.random() < 0.05 else rng.uniform(-2, 2)

        return [(rng.choice(names), rng.randrange(1 << 30), rng.randrange(1 << 30), number()) for _ in range(length)]

    short = st.lists(st.tuples(st.sampled_from(names), positions, positions, numbers))
    return short | st.builds(long_program, st.integers(0, 1 << 32), st.integers(50, 500))


def run(V, program, steps=STEPS):
    values, raised = [V(0.5), V(-3.0)], []
    for name, i, j, x in program:
        a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
        try:
            result = steps[name](V, a, b, x)
        except ArithmeticError as error:
            raised.append(type(error))
        except ValueError as error:
            raised.append(type(error))
        else:
            raised.append(None)
            if isinstance(result, V):
                values.append(result)
        if name == "forget" and len(values) > 2:
            values.remove(a)
    return values, raised


def bits(x):
    """What two floats must have in common to be the same; all nans are."""
    return "nan" if math.isnan(x) else struct.pack("d", x)


def shape(root):
    """What two graphs have in common if they are the same but for the identity of their nodes."""
    numbered = {root: 0}
    order = [root]
    for v in order:
        for child in v._prev:
            if child not in numbered:
                numbered[child] = len(order)
                order.append(child)
    keys = {}

    def key(v):
        todo = [v]
        while todo:
            v = todo[-1]
            missing = [child for child in v._prev if child not in keys]
            if missing:
                todo += missing
            else:
                todo.pop()
                keys[v] = hash((v._op, bits(v.data + 0.0), tuple(sorted(keys[child] for child in v._prev))))
        return keys[v]

    return key(root), len(order), sum(len(v._prev) for v in order)
