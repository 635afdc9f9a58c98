"""pygrad in plain Python: a specification that runs, kept for differential testing.

It has the same API as `pygrad.engine` and `pygrad.nn` and gives the same bits, at about micrograd's speed. It is
micrograd made deterministic: ints of 2**53 and more are floats, and the backward pass visits the nodes from the newest
to the oldest, in a loop, where micrograd recurses through sets.

After micrograd by Andrej Karpathy (MIT), https://github.com/karpathy/micrograd.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Union

Number = Union[float, int]

_creation = itertools.count()


class Value:
    """Stores a single scalar value and its gradient; see `pygrad.engine.Value`.

    Examples
    --------
    >>> a, b = Value(2.0), Value(-3.0)
    >>> c = a * b + b**2
    >>> c.backward()
    >>> c.data, a.grad, b.grad
    (3.0, -3.0, -4.0)
    """

    __slots__ = (
        "__weakref__",
        "_backward",
        "_children",
        "_created",
        "_local_grads",
        "_op",
        "_plain",
        "_prev",
        "_root",
        "_taken",
        "data",
        "grad",
        "label",
    )
    __array_priority__ = -1.0

    def __init__(self, data: Any, _children: Iterable[Value] = (), _op: Any = "", label: Any = "") -> None:
        if hasattr(data, "backward"):
            raise TypeError(f"data must be a real number, not a {type(data).__name__!r}: take x.data or x.detach()")
        self.data = _number(data)
        self.grad: Number = 0
        self._backward: Callable[[], object] = _nothing
        self._children = tuple(_children)
        self._prev = set(self._children)
        self._taken: Callable[[], Iterable[bool]] | None = None  # which children matter, if not all do
        self._plain = False  # whether it is a plain number, as in v + 1
        self._root: Value | None = None  # of the pass that runs this node's own step
        self._op = _op
        if not isinstance(_op, str):  # microgpt's local gradients
            self._op, self._local_grads = "", tuple(map(_number, _op))
            self._backward = self._backward_of_local_grads
        self.label = label
        self._created = next(_creation)

    def __add__(self, other: Value | Number) -> Value:
        other = other if isinstance(other, Value) else _plain(other)
        out = Value(self.data + other.data, (self, other), "+")

        def _backward() -> None:
            self._add(out.grad)
            other._add(out.grad)

        out._backward = _backward
        return out

    def __mul__(self, other: Value | Number) -> Value:
        other = other if isinstance(other, Value) else _plain(other)
        out = Value(self.data * other.data, (self, other), "*")

        def _backward() -> None:
            self._add(other.data * out.grad)
            other._add(self.data * out.grad)

        out._backward = _backward
        return out

    def __pow__(self, other: Value | Number) -> Value:
        if isinstance(other, Value):
            return self._pow(other)
        out = Value(_power(self.data, other), (self,), f"**{other}")

        def _backward() -> None:
            self._add_if_defined(lambda: _slope_by_base(self.data, other) * out.grad if other else 0.0, out)

        out._backward = _backward
        out._taken = lambda: [other != 0]
        return out

    def relu(self) -> Value:
        out = Value(0 if self.data < 0 else self.data, (self,), "ReLU")

        def _backward() -> None:
            self._add(out.grad if out.data > 0 else type(out.grad)(0))  # and not 0 * out.grad, which may be nan

        out._backward = _backward
        out._taken = lambda: [out.data > 0]
        return out

    def _add(self, share: Number) -> None:
        self.grad = _number(self.grad + _number(share))

    def _add_if_defined(self, share: Callable[[], Number], out: Value) -> None:
        """Add a share of a result's grad. If Python cannot compute it, raise where it matters.

        It matters if the result is needed and this depends on a leaf.
        """
        try:
            self._add(share())
        except (ArithmeticError, ValueError):
            if out._is_needed() and self._varies():
                raise
            self.grad = math.nan if out.grad else float(self.grad)  # as if it had added a share of 0.0

    def backward(self) -> None:
        graph = {self}
        found = [self]
        while found:
            v = found.pop()
            ends = v._op == "detach" and v._backward is _nothing
            for child in () if ends else v._prev:
                if child not in graph:
                    graph.add(child)
                    found.append(child)
        self.grad = 1
        for v in sorted(graph, key=lambda v: v._created, reverse=True):
            v._root = self if v._has_own_step() else None
            try:
                v._backward()
            finally:
                v._root = None

    def _is_needed(self) -> bool:
        """Whether the grad is not 0, the root of the pass depends on this, or the user calls the step."""
        return bool(self.grad) or self._root is None or self in self._root._on_paths()

    def _on_paths(self) -> set[Value]:
        """Return what this depends on: a path ends where an operand is not taken."""
        reached = {self}
        found = [self]
        while found:
            v = found.pop()
            taken = v._taken() if v._taken else (v._op != "detach",) * len(v._children)
            for child in itertools.compress(v._children, taken):
                if child not in reached:
                    reached.add(child)
                    found.append(child)
        return reached

    def _varies(self) -> bool:
        """Whether this depends on a leaf that is no plain number."""
        return any(not v._is_constant_or_computed() for v in self._on_paths())

    def _is_constant_or_computed(self) -> bool:
        """Whether this is a plain number or the result of an op, whose step is known."""
        if self._backward is _nothing:
            return self._plain or self._op == "detach"
        return self._has_own_step() and self._backward.__name__ == "_backward"

    def _has_own_step(self) -> bool:
        """Whether its step is one of this module's, and not the user's."""
        return getattr(self._backward, "__module__", None) == __name__

    def _backward_of_local_grads(self) -> None:
        for child, local_grad in zip(self._children, self._local_grads):
            child._add(local_grad * self.grad)

    def __neg__(self) -> Value:  # -self
        return self * -1

    def __radd__(self, other: Number) -> Value:  # other + self
        return self + other

    def __sub__(self, other: Value | Number) -> Value:  # self - other
        return self + (-other)

    def __rsub__(self, other: Number) -> Value:  # other - self
        return other + (-self)

    def __rmul__(self, other: Number) -> Value:  # other * self
        return self * other

    def __truediv__(self, other: Value | Number) -> Value:  # self / other
        return self * other**-1

    def __rtruediv__(self, other: Number) -> Value:  # other / self
        return other * self**-1

    def __lt__(self, other: Value | Number) -> bool:  # by number; == is identity
        return self.data < (other.data if isinstance(other, Value) else other)

    def __le__(self, other: Value | Number) -> bool:
        return self.data <= (other.data if isinstance(other, Value) else other)

    def __gt__(self, other: Value | Number) -> bool:
        return self.data > (other.data if isinstance(other, Value) else other)

    def __ge__(self, other: Value | Number) -> bool:
        return self.data >= (other.data if isinstance(other, Value) else other)

    def __rpow__(self, other: Number) -> Value:  # other ** self
        return _plain(other) ** self

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    # More ops than micrograd has. One line an op: its number, and its slope by x and y, where z is the result.

    def exp(self) -> Value:
        return self._unary("exp", math.exp(self.data), lambda x, z: z)

    def log(self) -> Value:
        return self._unary("log", math.log(self.data), lambda x, z: 1.0 / x)

    def tanh(self) -> Value:
        return self._unary("tanh", math.tanh(self.data), lambda x, z: 1 - z * z)

    def sigmoid(self) -> Value:
        return self._unary("sigmoid", _sigmoid(self.data), lambda x, z: z * (1 - z))

    def softplus(self) -> Value:
        return self._unary("softplus", _softplus(self.data), lambda x, z: _sigmoid(x))

    def sqrt(self) -> Value:
        return self._unary("sqrt", math.sqrt(self.data), lambda x, z: 0.5 / z)

    def sin(self) -> Value:
        return self._unary("sin", math.sin(self.data), lambda x, z: math.cos(x))

    def cos(self) -> Value:
        return self._unary("cos", math.cos(self.data), lambda x, z: -math.sin(x))

    def detach(self) -> Value:
        return Value(self.data, (self,), "detach")  # backward() goes no further

    def abs(self) -> Value:
        return self._unary("abs", abs(self.data), lambda x, z: (x > 0) - (x < 0))

    __abs__ = abs

    def maximum(self, other: Value | Number) -> Value:
        return self._choice("maximum", other, _maximum, _share)

    def minimum(self, other: Value | Number) -> Value:
        return self._choice("minimum", other, _minimum, lambda x, y: _share(y, x))

    def _pow(self, other: Value) -> Value:
        out = Value(_power(self.data, other.data), (self, other), "**")

        def _backward() -> None:
            x, y, z, g = self.data, other.data, out.data, out.grad
            self._add_if_defined(lambda: _slope_by_base(x, y) * g if y else 0.0, out)
            is_leaf = other._backward is _nothing and not (other._prev or other._plain)
            if x < 0 and is_leaf and out._is_needed():
                other.grad = math.nan  # the slope is undefined, and a leaf says so
            else:
                other._add_if_defined(lambda: _slope_by_exponent(x, z) * g, out)

        out._backward = _backward
        out._taken = lambda: [other.data != 0, True]
        return out

    def _unary(self, op: str, data: float, slope: Callable[[float, float], float]) -> Value:
        out = Value(data, (self,), op)

        def _backward() -> None:
            self._add_if_defined(lambda: slope(self.data, out.data) * out.grad, out)

        out._backward = _backward
        return out

    def _choice(
        self,
        op: str,
        other: Value | Number,
        f: Callable[[float, float], float],
        share: Callable[[float, float], float],
    ) -> Value:
        other = other if isinstance(other, Value) else _plain(other)
        out = Value(f(self.data, other.data), (self, other), op)

        def _backward() -> None:
            x, y = self.data, other.data
            for operand, part in [(self, share(x, y)), (other, share(y, x))]:
                operand._add(part * out.grad if part else 0.0)  # and not 0 * out.grad, which may be nan

        out._backward = _backward
        out._taken = lambda: [share(self.data, other.data) > 0, share(other.data, self.data) > 0]
        return out

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    __trunc__ = __int__

    def __round__(self, digits: int | None = None) -> float:
        return round(self.data, digits)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else str(self)

    def __pos__(self) -> Value:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._prev or self._backward is not _nothing:
            raise TypeError(f"only a leaf can be pickled or copied, but {self._op!r} made this Value")
        return _leaf_again, (self.data, self.grad, self._op, self.label)


def _plain(x: Number) -> Value:
    out = Value(x)
    out._plain = True
    return out


def _nothing() -> None:
    """The backward step of a leaf."""


def _leaf_again(data: float, grad: float, op: str, label: Any) -> Value:
    leaf = Value(data, (), op, label)
    leaf.grad = grad
    return leaf


def _number(x: Any) -> Number:
    """An int, below 2**53 in size; or a float."""
    return int(x) if isinstance(x, int) and abs(x) < 2**53 else float(x)


def _power(x: Number, y: Number) -> Number:
    z = float(x) ** y  # and not x**y, which may be an int of millions of digits
    if isinstance(z, complex):
        raise ValueError(f"{x} ** {y}: the result is complex, but a Value must be real")
    if math.isinf(z) and math.isfinite(x) and math.isfinite(y):  # on PyPy, where x**2 is x * x
        raise OverflowError(f"{x} ** {y}: the result is too large for a float")
    return _number(int(z) if isinstance(x, int) and isinstance(y, int) and y >= 0 else z)


def _slope_by_base(x: Number, y: Number) -> Number:
    return y * _power(x, y - 1)


def _slope_by_exponent(x: float, z: float) -> float:
    return 0.0 if x == 0 else z * math.log(x)


def _sigmoid(x: float) -> float:
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


def _softplus(x: float) -> float:
    return (x if x > 0 else 0.0) + math.log1p(math.exp(-abs(x)))


def _maximum(x: float, y: float) -> float:
    return x if x >= y or math.isnan(x) else y


def _minimum(x: float, y: float) -> float:
    return x if x <= y or math.isnan(x) else y


def _share(x: float, y: float) -> float:
    """The share of the gradient of a maximum that x gets: equal operands get half each."""
    return 1.0 if x > y else 0.5 if x == y else 0.0


class Module:
    """A part of a model, with parameters; see `pygrad.nn.Module`."""

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.grad = 0

    def parameters(self) -> list[Value]:
        return []


class Neuron(Module):
    def __init__(self, nin: int, nonlin: bool = True, activation: str = "relu") -> None:
        self.activation = activation
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(0)
        self.nonlin = nonlin

    def __call__(self, x: Sequence[Any]) -> Value:
        x = list(x)
        if len(x) != len(self.w):
            raise ValueError(f"a neuron takes one input for each weight, {len(self.w)}, not {len(x)}")
        act = sum((wi * xi for wi, xi in zip(self.w, x)), self.b)
        return getattr(act, self.activation)() if self.nonlin else act

    def parameters(self) -> list[Value]:
        return [*self.w, self.b]

    def __repr__(self) -> str:
        name = "ReLU" if self.activation == "relu" else self.activation.capitalize()
        return f"{name if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    def __init__(self, nin: int, nout: int, **kwargs: Any) -> None:
        self.neurons = [Neuron(nin, **kwargs) for _ in range(nout)]

    def __call__(self, x: Sequence[Any]) -> Any:
        out = [n(x) for n in self.neurons]
        return out[0] if len(out) == 1 else out

    def parameters(self) -> list[Value]:
        return [p for n in self.neurons for p in n.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(str(n) for n in self.neurons)}]"


class MLP(Module):
    def __init__(self, nin: int, nouts: list[int], activation: str = "relu") -> None:
        sz = [nin, *nouts]
        self.layers = [
            Layer(sz[i], sz[i + 1], nonlin=i != len(nouts) - 1, activation=activation) for i in range(len(nouts))
        ]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(str(layer) for layer in self.layers)}]"
