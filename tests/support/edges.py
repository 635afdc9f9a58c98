"""Functions with infinite slopes that do not matter."""

import math

from pygrad import array

INF = math.inf

# By name: a function, its arguments, and its derivative by each. Programs compute it for one sample and for a batch.
COMPILED = {
    "sqrt of a relu that is off": (lambda x: x.relu().sqrt(), (-1.0,), (0.0,)),
    "log of a relu that is off": (lambda x: (x.relu() + 0.0).log().exp(), (2.0,), (1.0,)),
    "x ** -0.5 of a relu that is off": (lambda x: x.relu() ** -0.5, (-1.0,), (0.0,)),
    "1 / a relu that is off": (lambda x: 1 / x.relu(), (-1.0,), (0.0,)),
    "sqrt of the smaller of two": (lambda x, y: x.minimum(y).sqrt(), (0.0, 1.0), (INF, 0.0)),
    "sqrt of the larger of two": (lambda x, y: x.maximum(y).sqrt(), (-1.0, 0.0), (0.0, INF)),
    "sqrt of a largest element": (lambda x, y, z: array([x, y, z]).max().sqrt(), (-1.0, 0.0, -2.0), (0.0, INF, 0.0)),
    "x ** n at n = 0": (lambda x, n: x**n, (0.0, 0.0), (0.0, 0.0)),
    "x ** n": (lambda x, n: x**n, (3.0, 2.0), (6.0, 9 * math.log(3))),
    "x ** 0": (lambda x: x**0, (0.0,), (0.0,)),
    "x ** 0.5 at 0": (lambda x: x**0.5, (0.0,), (INF,)),
    "a sum with a pole": (lambda x, y: x * 2 + y.sqrt(), (3.0, 0.0), (2.0, INF)),
    "a pole in the smaller of two": (lambda x: x.sqrt().maximum(1.0), (0.0,), (0.0,)),
    "a pole in the larger of two": (lambda x: (1 / x).minimum(1.0), (0.0,), (0.0,)),
    "a pole in one of two ties": (lambda x: x.sqrt().maximum(0.0), (0.0,), (INF,)),
    "a pole below a relu that is off": (lambda x: (x.sqrt() - 1).relu(), (0.0,), (0.0,)),
    "a pole in an element that is not the largest": (lambda x: array([x.sqrt(), x + 1]).max(), (0.0,), (1.0,)),
    "an overflow in the larger of two": (lambda x: x.exp().minimum(5.0), (1000.0,), (0.0,)),
    "a product in the larger of two": (lambda x: (x * x * x).minimum(5.0), (1e200,), (0.0,)),
    "a pole behind a detach": (lambda x: x * x.detach().sqrt(), (0.0,), (0.0,)),
    "the base of a power of a negative": (lambda x: x ** array([2.0])[0], (-2.0,), (-4.0,)),
    "two poles, one not taken": (lambda x, y: x.log().maximum(y.sqrt()), (0.0, 0.0), (0.0, INF)),
}
