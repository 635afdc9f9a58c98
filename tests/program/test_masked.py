"""A derivative that is nan at first, 0 * inf where no path leads, is found and replaced, wherever it is stored."""

import math

import numpy as np
import pytest

from pygrad import array, compile, index
from support.compiled import BACKENDS

SAMPLES = 500  # many tiles, of which threads take their share


def off(x):
    """Constant below 1, where a first try multiplies the infinite slope of sqrt at 0 by 0."""
    return x.sqrt().maximum(1.0)


def slope(x):
    return np.where(x > 1, 0.5 / np.sqrt(np.maximum(x, 1)), 0)


def one(n, k, x):
    """x at k, else 0."""
    return np.where(np.arange(n) == k, x, 0)


# By name: a function, the shapes of its arguments ("index" for an index), and its derivatives, in NumPy.
ROWS = {
    "numbers": (
        lambda x, y, z: off(x) + off(y) * z,
        [(), (), ()],
        lambda x, y, z: (slope(x), slope(y) * z, np.maximum(np.sqrt(y), 1)),
    ),
    "a few elements": (lambda x: off(x).sum(), [(3,)], lambda x: (slope(x),)),
    "elements in a loop": (lambda x: off(x).sum(), [(101,)], lambda x: (slope(x),)),
    "a matrix in a loop": (lambda x: off(x).sum(), [(9, 12)], lambda x: (slope(x),)),
    "the factors of a product": (
        lambda w, x: off(w @ x).sum(),
        [(18, 20), (20,)],
        lambda w, x: (np.outer(slope(w @ x), x), slope(w @ x) @ w),
    ),
    "the factors of a small product": (
        lambda w, x: off(w @ x).sum(),
        [(2, 3), (3,)],
        lambda w, x: (np.outer(slope(w @ x), x), slope(w @ x) @ w),
    ),
    "the same twice": (
        lambda x, y: off(x + y - 4).sum(),
        [(21,), (21,)],
        lambda x, y: (slope(x + y - 4), slope(x + y - 4)),
    ),
    "a factor beside": (
        lambda x, y: off(x).sum() * y,
        [(101,), ()],
        lambda x, y: (slope(x) * y, np.maximum(np.sqrt(x), 1).sum()),
    ),
    "an element that is looked up": (
        lambda i, x: off(x[i]),
        ["index", (21,)],
        lambda i, x: (None, one(21, i, slope(x))),
    ),
    "an element that is looked up in what was computed": (
        lambda i, x: off(x)[i],
        ["index", (21,)],
        lambda i, x: (None, one(21, i, slope(x))),
    ),
}
PLACES = [0, 15, 16, 20, 31, 32, -1]  # within the vectors of loops, and in what is left


def example(shape):
    return index(0) if shape == "index" else np.full(shape, 4.0)


def points(shapes):
    """Arguments, of which one is 0 in one place, an element or a row."""
    for k, shape in enumerate(shapes):
        for place in sorted({p % shape[0] for p in PLACES if p < shape[0]}) if shape not in ((), "index") else [()]:
            xs = [3 if s == "index" else np.full(s, 4.0) for s in shapes]
            for i, s in enumerate(shapes):
                if s == "index" and place != ():
                    xs[i] = place
            if shape != "index":
                xs[k][place] = 0
            yield xs


def check(found, right):
    for a, b in zip(found, right, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("function", "shapes", "right"), ROWS.values(), ids=ROWS)
def test_a_derivative_by_an_argument(function, shapes, right, backend):
    f = compile(function, *map(example, shapes), backend=backend)
    for xs in points(shapes):
        check(f.value_and_grad(*xs)[1], right(*xs))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batched", ["all", "the first", "the last"])
@pytest.mark.parametrize(("function", "shapes", "right"), ROWS.values(), ids=ROWS)
def test_a_derivative_of_a_batch(function, shapes, right, batched, backend):
    n = len(shapes)
    of_batch = {"all": range(n), "the first": [0], "the last": [n - 1]}[batched]
    f = compile(function, *map(example, shapes), backend=backend)
    for xs in points(shapes):
        others = [np.full_like(x, 4) if k in of_batch and shapes[k] != "index" else x for k, x in enumerate(xs)]
        one, other = right(*xs), right(*others)  # of one sample, and of each other
        expected = []
        for k in range(n):
            if one[k] is None:
                expected.append(None)
            elif k in of_batch:
                expected.append(np.array([other[k]] * (SAMPLES - 1) + [one[k]]))
            else:
                expected.append(other[k] * (SAMPLES - 1) + one[k])
        args = [np.array([others[k]] * (SAMPLES - 1) + [xs[k]]) if k in of_batch else xs[k] for k in range(n)]
        for f.threads in (1, 4):
            check(f.value_and_grad(*args)[1], expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(("function", "shapes", "right"), ROWS.values(), ids=ROWS)
def test_a_derivative_by_a_parameter(function, shapes, right, batched, backend):
    by = next(k for k, shape in enumerate(shapes) if shape != "index")
    p = array(np.full(shapes[by], 4.0))
    f = compile(
        lambda *xs: function(*xs[:by], p, *xs[by:]) + (0 if xs else p.sum() * 0),
        *[example(shape) for k, shape in enumerate(shapes) if k != by],
        backend=backend,
    )
    for xs in points(shapes):
        p.data = xs[by]
        p.grad = np.zeros(shapes[by])
        rest = xs[:by] + xs[by + 1 :]
        samples = SAMPLES if batched and rest else 1
        f.value_and_grad(*([np.array([x] * samples) for x in rest] if batched else rest))
        np.testing.assert_allclose(p.grad, right(*xs)[by] * samples, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_derivative_that_is_the_same_for_each_sample(backend):
    f = compile(lambda x, w: x * off(w), 1.0, 4.0, backend=backend)
    (xx, xw), (wx, ww) = f.hessian(np.ones(3), 0.0)
    for found in (xx, xw, wx, ww):
        assert not np.any(found)
    assert math.isnan(compile(lambda x: x.sqrt() ** 2, 1.0, backend=backend).value_and_grad(0.0)[1][0])
