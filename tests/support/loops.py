"""The scalar loops that the bulk builders of csrc/graph/bulk.c replace, for any Value class.

Each takes the Value class, lists of rows of Values x and y of the same shape, and a number c; it returns rows.
"""

import operator

from pygrad import functional as F
from support import ops


def each(f):
    return lambda V, x, y, c: [[f(a, b, c) for a, b in zip(ra, rb)] for ra, rb in zip(x, y)]


def _dot(V, a, b, start=0):
    return sum((p * q for p, q in zip(a, b)), start)


def columns(x):
    return [list(column) for column in zip(*x)]


def maximum(row):
    """The chain of maxima that a reduction makes: its last node gives ties equal shares, its links pass nothing on."""
    chain = [row[0]]
    for v in row[1:]:
        chain.append(chain[-1].maximum(v))

    def share_among_ties():
        ties = [v for v in row if v.data == chain[-1].data]
        for v in ties:
            v.grad += chain[-1].grad / len(ties)

    for link in chain[1:-1]:
        link._backward = lambda: None
    if len(row) > 2:
        chain[-1]._backward = share_among_ties
    return chain[-1]


def product(row):
    result = 1
    for v in row:
        result = result * v
    return result


def softmax(row):
    largest = max(v.data for v in row)
    exps = [(v + -largest).exp() for v in row]
    inverse = sum(exps) ** -1
    return [e * inverse for e in exps]


def _log_sum_exp(row):
    largest = max(v.data for v in row)
    shifted = [v + -largest for v in row]
    return shifted, sum(s.exp() for s in shifted).log()


def log_softmax(row):
    shifted, log = _log_sum_exp(row)
    minus_log = -log
    return [s + minus_log for s in shifted]


def cross_entropy(row, target):
    shifted, log = _log_sum_exp(row)
    return log - shifted[target]


def rms_norm(row, eps, weights=None):
    scale = (sum(v * v for v in row) / len(row) + eps) ** -0.5
    if weights is None:
        return [v * scale for v in row]
    return [v * scale * w for v, w in zip(row, weights)]


def _both(f):
    """A function of elements a and b and a number c: as a loop, and on Arrays."""
    return each(f), f


def _elementwise():
    """Each op of the table of cases, with Values and with a number on either side."""
    for case in ops.UNARY:
        yield case.name, _both(lambda a, b, c, write=case.write: write(a))
    for case in ops.OPERATORS:
        apply = getattr(operator, case.method)
        yield case.symbol, _both(lambda a, b, c, apply=apply: apply(a, b))
        yield f"x{case.symbol}c", _both(lambda a, b, c, apply=apply: apply(a, c))
        yield f"c{case.symbol}x", _both(lambda a, b, c, apply=apply: apply(c, a))
    for case in ops.METHODS:
        if case.arity == 2:
            yield case.name, _both(lambda a, b, c, write=case.write: write(a, b))
            yield f"{case.name} c", _both(lambda a, b, c, write=case.write: write(a, c))


# name: (the loop, the same on Arrays x and y)
LOOPS = {
    **dict(_elementwise()),
    "x**2": _both(lambda a, b, c: a**2),
    "sum": (lambda V, x, y, c: [[sum(v for row in x for v in row)]], lambda x, y, c: x.sum()),
    "sum rows": (lambda V, x, y, c: [[sum(row) for row in x]], lambda x, y, c: x.sum(axis=1)),
    "sum columns": (lambda V, x, y, c: [[sum(row) for row in columns(x)]], lambda x, y, c: x.sum(0, keepdims=True)),
    "mean": (lambda V, x, y, c: [[sum(row) / len(row) for row in x]], lambda x, y, c: x.mean(-1)),
    "prod": (lambda V, x, y, c: [[product(row) for row in x]], lambda x, y, c: x.prod(axis=1)),
    "max": (lambda V, x, y, c: [[maximum(row) for row in columns(x)]], lambda x, y, c: x.max(axis=0)),
    "@": (
        lambda V, x, y, c: [[_dot(V, row, column) for column in columns(columns(y))] for row in x],
        lambda x, y, c: x @ y.T,
    ),
    "matrix @ vector": (lambda V, x, y, c: [[_dot(V, row, y[0]) for row in x]], lambda x, y, c: x @ y[0]),
    "vector @ matrix": (
        lambda V, x, y, c: [[_dot(V, x[0], row) for row in y]],
        lambda x, y, c: x[0] @ y.T,
    ),
    "vector @ vector": (lambda V, x, y, c: [[_dot(V, x[0], y[0])]], lambda x, y, c: x[0] @ y[0]),
    "linear": (
        lambda V, x, y, c: [[_dot(V, row, w, w[0]) for w in y] for row in x],
        lambda x, y, c: F.linear(x, y, y[:, 0]),
    ),
    "softmax": (lambda V, x, y, c: [softmax(row) for row in x], lambda x, y, c: F.softmax(x)),
    "softmax of columns": (
        lambda V, x, y, c: columns([softmax(row) for row in columns(x)]),
        lambda x, y, c: F.softmax(x, dim=0),
    ),
    "log_softmax": (lambda V, x, y, c: [log_softmax(row) for row in x], lambda x, y, c: F.log_softmax(x)),
    "cross_entropy": (
        lambda V, x, y, c: [[cross_entropy(row, i % len(row)) for i, row in enumerate(x)]],
        lambda x, y, c: F.cross_entropy(x, [i % x.shape[1] for i in range(len(x))], reduction="none"),
    ),
    "rms_norm": (
        lambda V, x, y, c: [rms_norm(row, 1e-5) for row in x],
        lambda x, y, c: F.rms_norm(x, x.shape[1], eps=1e-5),
    ),
    "rms_norm with weights": (
        lambda V, x, y, c: [rms_norm(row, 0, y[0]) for row in x],
        lambda x, y, c: F.rms_norm(x, (x.shape[1],), y[0], eps=0),
    ),
    "hinge_loss": (
        each(lambda a, b, c: (1 - a * b).relu()),
        lambda x, y, c: F.hinge_loss(x, y, reduction="none"),
    ),
}
