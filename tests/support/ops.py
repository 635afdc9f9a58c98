"""The table of cases: for each op of csrc/ops.def, how it is written, what it computes, and where to try it.

Every test that goes through the ops takes them from here, and the core's own list says which ops there are. So a new op
needs one more entry in `CASES`; without it, or with a part of it missing, tests/test_op_table.py fails and says what is
missing.
"""

import math
import sys
from typing import Any, Callable, NamedTuple, Optional

import mpmath
import numpy as np
from mpmath import mpf

import pygrad
from pygrad import reference
from pygrad._lib import lib, text

LARGEST = sys.float_info.max
DENORMAL = 2.0**-1074  # the smallest; below 2**-1022 doubles are this far apart
HERE = "tests/support/ops.py"

# Between LEAF, the first, and CUSTOM and LIST, the last, which compute nothing.
NAMES = [text(lib.pg_op_name(op)) for op in range(lib.pg_op_count()) if lib.pg_op_arity(op)]
NUMBER_OF = {text(lib.pg_op_name(op)): op for op in range(lib.pg_op_count())}


class Case(NamedTuple):
    """One way of writing an op, or of writing what is made of several ops."""

    name: str  # unique; for ids
    method: str  # of Value, reference.Value and Array
    true: Callable[..., Any]  # the result, by mpmath
    slopes: list[Callable[..., Any]]  # its derivatives by the operands, by mpmath
    numpy: Callable[..., Any]  # the result, by NumPy, with its infinities and nans
    samples: list[tuple[float, ...]]  # operands at which the derivatives are no extremes
    ranges: dict[str, Callable[..., Any]]  # by name: f(rng, n) gives n random operands, a row for each operand
    symbol: str = ""  # of an operator: x + y, x + 2.5 and 2.5 + x are written with it
    number: Optional[float] = None  # the second operand, where the op takes a plain number
    raises: dict[tuple[float, ...], type] = {}  # operands for which Python's floats raise
    libm: float = 1  # the most that eager results err, in ulps
    smooth: bool = True  # has a second derivative everywhere
    stops: bool = False  # no gradient goes through, though the result depends on the operand
    positive: bool = False  # is defined for a positive first operand only
    # The slope is a difference that cancels: its error is in ulps of this number.
    scale: Callable[..., Any] = lambda slope, *xs: slope

    @property
    def arity(self) -> int:
        """The number of operands that are Values."""
        return len(self.slopes)

    def write(self, *operands: Any) -> Any:
        """Apply the op to Values or Arrays."""
        numbers = [] if self.number is None else [self.number]
        return getattr(operands[0], self.method)(*operands[1:], *numbers)

    def slopes_at(self, *operands: Any) -> list[Any]:
        """The derivatives at NumPy arrays of operands."""
        return [np.vectorize(lambda *xs, f=f: float(f(*map(mpf, xs))), otypes=[float])(*operands) for f in self.slopes]


# Random operands


def around(low: float, high: float) -> Callable[..., Any]:
    """Numbers in an interval, uniformly."""
    return lambda rng, n: rng.uniform(low, high, n)


def across(low: float, high: float, signs: tuple[float, ...] = (1.0,)) -> Callable[..., Any]:
    """Numbers in an interval, uniformly on a logarithmic scale."""
    return lambda rng, n: 2.0 ** rng.uniform(np.log2(low), np.log2(high), n) * rng.choice(signs, n)


def pairs(numbers: Callable[..., Any]) -> Callable[..., Any]:
    """Two operands of one kind."""
    return lambda rng, n: numbers(rng, (2, n))


def powers(rng: Any, n: int) -> Any:
    """Bases of every size, with exponents that give results of every size."""
    x = 2.0 ** rng.uniform(-400, 400, n)
    return np.array([x, rng.uniform(-600, 600, n) / np.log2(x)])


def near_one(rng: Any, n: int) -> Any:
    """Bases near 1, with huge exponents."""
    x = 1 + rng.uniform(-1e-6, 1e-6, n)
    return np.array([x, rng.uniform(-600, 600, n) / np.log(x)])


BOTH = (-1.0, 1.0)
ANY = across(2.0**-1022, LARGEST, BOTH)
HALF = across(2.0**-1022, LARGEST / 2, BOTH)
POSITIVE = across(2.0**-1022, LARGEST)
ANGLES = {"-π to π": around(-math.pi, math.pi), "to 2e5": around(-2e5, 2e5), "to 1e308": across(1e5, 1e308)}
PAIRS = [(1.5, -2.0), (0.0, 3.0)]


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


def _softplus(x: Any) -> Any:
    with mpmath.extradps(400):  # 1 + exp(x) must have the digits of a small exp(x)
        return mpmath.log1p(mpmath.exp(-abs(x))) + max(x, mpf(0))


def _share(x: Any, y: Any) -> Any:
    return mpf(1) if x > y else mpf(0.5) if x == y else mpf(0)


def _one(*xs: Any) -> Any:
    return mpf(1)


CASES: dict[str, list[Case]] = {
    "ADD": [
        Case(
            name="x + y",
            method="__add__",
            symbol="+",
            true=lambda x, y: x + y,
            slopes=[_one, _one],
            numpy=np.add,
            samples=PAIRS,
            ranges={"all": lambda rng, n: ANY(rng, (2, n)) / 2},
        )
    ],
    "MUL": [
        Case(
            name="x * y",
            method="__mul__",
            symbol="*",
            true=lambda x, y: x * y,
            slopes=[lambda x, y: y, lambda x, y: x],
            numpy=np.multiply,
            samples=PAIRS,
            ranges={"1e-150 to 1e150": pairs(across(1e-150, 1e150, BOTH))},
        )
    ],
    "POWER": [
        Case(
            name="x ** 2",
            method="__pow__",
            number=2,
            true=lambda x: x**2,
            slopes=[lambda x: 2 * x],
            numpy=np.square,
            samples=[(1.5,), (-0.5,)],
            ranges={"to 1e153": across(1e-153, 1e153)},
            raises={(1e200,): OverflowError},
        ),
        Case(
            name="x ** -1",
            method="__pow__",
            number=-1,
            true=lambda x: 1 / x,
            slopes=[lambda x: -(x**-2)],
            numpy=np.reciprocal,
            samples=[(1.5,), (-0.5,)],
            ranges={"1e-153 to 1e153": across(1e-153, 1e153)},
            raises={(0.0,): ZeroDivisionError},
        ),
        Case(
            name="x ** -7",
            method="__pow__",
            number=-7,
            true=lambda x: x**-7,
            slopes=[lambda x: -7 * x**-8],
            numpy=lambda x: np.power(x, -7.0),
            samples=[(1.5,), (-0.5,)],
            ranges={"-20 to 20": around(-20, 20)},
            raises={(0.0,): ZeroDivisionError},
        ),
        Case(
            name="x ** 3.5",
            method="__pow__",
            number=3.5,
            true=lambda x: x ** mpf(3.5),
            slopes=[lambda x: mpf(3.5) * x ** mpf(2.5)],
            numpy=lambda x: np.power(x, 3.5),
            samples=[(1.5,), (0.5,)],
            ranges={"to 1e88": across(1e-80, 1e88)},
            raises={(-8.0,): ValueError},
            positive=True,
        ),
    ],
    "RELU": [
        Case(
            name="relu",
            method="relu",
            true=lambda x: max(x, mpf(0)),
            slopes=[lambda x: mpf(int(x > 0))],
            numpy=lambda x: np.where(np.less(x, 0), 0.0, x),
            samples=[(-1.5,), (0.3,), (2.0,)],
            ranges={"all": ANY},
            smooth=False,
        )
    ],
    "POW": [
        Case(
            name="x ** y",
            method="__pow__",
            symbol="**",
            true=lambda x, y: x**y,
            slopes=[lambda x, y: y * x ** (y - 1), lambda x, y: x**y * mpmath.log(x)],
            numpy=np.power,
            samples=[(1.5, -2.0), (0.5, 3.0), (2.0, 0.5)],
            ranges={"all": powers, "x near 1": near_one},
            raises={(0.0, -1.0): ZeroDivisionError, (-8.0, 0.5): ValueError, (-10.0, 400.5): OverflowError},
            smooth=False,  # at a base of 0
            positive=True,
            # y - 1 is rounded, and is an exponent.
            scale=lambda slope, x, y: slope * (1 + abs((y - 1) * mpmath.log(abs(x) or 1))),
        )
    ],
    "EXP": [
        Case(
            name="exp",
            method="exp",
            true=mpmath.exp,
            slopes=[mpmath.exp],
            numpy=np.exp,
            samples=[(-3.0,), (0.0,), (2.5,)],
            ranges={"-1 to 1": around(-1, 1), "-708 to 709": around(-708, 709), "to denormals": around(-745, -708)},
            raises={(1e3,): OverflowError},
        )
    ],
    "LOG": [
        Case(
            name="log",
            method="log",
            true=mpmath.log,
            slopes=[lambda x: 1 / x],
            numpy=np.log,
            samples=[(0.1,), (1.0,), (30.0,)],
            ranges={"0.9 to 1.1": around(0.9, 1.1), "all": POSITIVE, "denormals": across(DENORMAL, 2.0**-1022)},
            raises={(-1.0,): ValueError, (0.0,): ValueError},
            positive=True,
        )
    ],
    "TANH": [
        Case(
            name="tanh",
            method="tanh",
            true=mpmath.tanh,
            slopes=[lambda x: mpmath.sech(x) ** 2],
            numpy=np.tanh,
            samples=[(-2.0,), (0.0,), (0.7,)],
            ranges={"-1 to 1": around(-1, 1), "-20 to 20": around(-20, 20), "tiny": across(2.0**-1022, 1e-3, BOTH)},
            libm=3,  # glibc's is good to 2 ulps
            scale=lambda slope, x: mpf(1),  # 1 - z * z
        )
    ],
    "SIGMOID": [
        Case(
            name="sigmoid",
            method="sigmoid",
            true=_sigmoid,
            slopes=[lambda x: _sigmoid(x) * _sigmoid(-x)],
            numpy=lambda x: np.exp(np.minimum(x, 0.0)) / (1 + np.exp(-np.abs(x))),
            samples=[(-40.0,), (-0.5,), (0.0,), (3.0,), (40.0,)],
            ranges={"-1 to 1": around(-1, 1), "-40 to 40": around(-40, 40), "-708 to -40": around(-708, -40)},
            libm=3,  # exp, a sum and a quotient
            scale=lambda slope, x: _sigmoid(x),  # z * (1 - z)
        )
    ],
    "SOFTPLUS": [
        Case(
            name="softplus",
            method="softplus",
            true=_softplus,
            slopes=[_sigmoid],
            numpy=lambda x: np.logaddexp(x, 0.0),
            samples=[(-40.0,), (-0.5,), (0.0,), (3.0,), (40.0,)],
            ranges={"-1 to 1": around(-1, 1), "-40 to 40": around(-40, 40), "all": ANY},
            libm=3,  # exp, log1p and a sum
        )
    ],
    "SQRT": [
        Case(
            name="sqrt",
            method="sqrt",
            true=mpmath.sqrt,
            slopes=[lambda x: 1 / (2 * mpmath.sqrt(x))],
            numpy=np.sqrt,
            samples=[(0.01,), (2.0,), (1e6,)],
            ranges={"all": POSITIVE},
            raises={(-1.0,): ValueError},
            positive=True,
        )
    ],
    "SIN": [
        Case(
            name="sin",
            method="sin",
            true=mpmath.sin,
            slopes=[mpmath.cos],
            numpy=np.sin,
            samples=[(-2.0,), (0.0,), (1.0,)],
            ranges=ANGLES,
            raises={(math.inf,): ValueError},
        )
    ],
    "COS": [
        Case(
            name="cos",
            method="cos",
            true=mpmath.cos,
            slopes=[lambda x: -mpmath.sin(x)],
            numpy=np.cos,
            samples=[(-2.0,), (0.0,), (1.0,)],
            ranges=ANGLES,
            raises={(-math.inf,): ValueError},
        )
    ],
    "ABS": [
        Case(
            name=name,
            method=method,
            true=abs,
            slopes=[mpmath.sign],
            numpy=np.abs,
            samples=[(-1.5,), (2.5,)],
            ranges={"all": ANY},
            smooth=False,
        )
        for name, method in (("abs", "abs"), ("abs(x)", "__abs__"))
    ],
    "DETACH": [
        Case(
            name="detach",
            method="detach",
            true=lambda x: x,
            slopes=[lambda x: mpf(0)],
            numpy=np.positive,
            samples=[(-1.5,), (2.5,)],
            ranges={"all": ANY},
            stops=True,
        )
    ],
    "MAXIMUM": [
        Case(
            name="maximum",
            method="maximum",
            true=max,
            slopes=[_share, lambda x, y: _share(y, x)],
            numpy=np.maximum,
            samples=[(1.0, 2.0), (2.0, -1.0)],
            ranges={"all": pairs(ANY)},
            smooth=False,
        )
    ],
    "MINIMUM": [
        Case(
            name="minimum",
            method="minimum",
            true=min,
            slopes=[lambda x, y: _share(y, x), _share],
            numpy=np.minimum,
            samples=[(1.0, 2.0), (2.0, -1.0)],
            ranges={"all": pairs(ANY)},
            smooth=False,
        )
    ],
}

# What is made of several ops. Programs have ops of their own for these (csrc/program.def), as for x ** 2 and x ** -1.
COMPOSITES = [
    Case(
        name="-x",
        method="__neg__",
        true=lambda x: -x,
        slopes=[lambda x: mpf(-1)],
        numpy=np.negative,
        samples=[(-1.5,), (0.0,), (2.5,)],
        ranges={"all": ANY},
    ),
    Case(
        name="x - y",
        method="__sub__",
        symbol="-",
        true=lambda x, y: x - y,
        slopes=[_one, lambda x, y: mpf(-1)],
        numpy=np.subtract,
        samples=PAIRS,
        ranges={"all": lambda rng, n: ANY(rng, (2, n)) / 2},
    ),
    Case(
        name="x / y",
        method="__truediv__",
        symbol="/",
        true=lambda x, y: x / y,
        slopes=[lambda x, y: 1 / y, lambda x, y: -x / y**2],
        numpy=np.divide,
        samples=PAIRS,
        ranges={"1e-100 to 1e100": pairs(across(1e-100, 1e100, BOTH))},
        raises={(1.0, 0.0): ZeroDivisionError},
        libm=1.5,  # x * y ** -1
    ),
]

ALL = [case for name in NAMES for case in CASES.get(name, [])] + COMPOSITES
UNARY = [case for case in ALL if case.arity == 1 and case.number is None]
BINARY = [case for case in ALL if case.arity == 2]
OPERATORS = [case for case in BINARY if case.symbol]
METHODS = [case for case in UNARY + BINARY if not case.method.startswith("__")]  # written x.f() and x.f(y)
FUNCTIONS = [case for case in METHODS if hasattr(pygrad.functional, case.method)]


def missing(name: str) -> list[str]:
    """What the op lacks of all that an op must have, each as a sentence."""
    number = NUMBER_OF[name]
    symbol = text(lib.pg_op_symbol(number))
    cases = CASES.get(name, [])
    methods = {case.method for case in cases} or ({symbol.lower()} if symbol.isidentifier() else set())
    found = [] if cases else [f"op {name} has no cases in {HERE}"]
    for what, cls in {
        "reference": reference.Value,
        "method of Value": pygrad.Value,
        "method of Array": pygrad.Array,
    }.items():
        module = cls.__module__ if what == "reference" else "pygrad"
        found += [
            f"op {name} has no {what}: {module}.{cls.__name__}.{method} is missing"
            for method in sorted(methods)
            if not hasattr(cls, method)
        ]
    for case in cases:
        whose = f"op {name}, case {case.name!r}, has no"
        found += [f"{whose} {part} in {HERE}" for part in ("slopes", "samples", "ranges") if not getattr(case, part)]
        wrong = [xs for xs in case.samples if len(xs) != case.arity]
        found += [f"{whose} {case.arity} operands in the sample {xs} in {HERE}" for xs in wrong]
        if hasattr(pygrad.Value, case.method) and case.samples and not wrong:
            recorded = str(pygrad.compile(case.write, *case.samples[0]))
            if not any(f" {symbol} " in f" {line} " for line in recorded.splitlines()):
                found.append(f"{whose} {symbol} in its Program: `write` makes something else")
    return found
