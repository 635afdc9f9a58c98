"""Times a training step of micrograd's demo: 100 points, an MLP 2-16-16-1, max-margin loss, weight decay, SGD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, NamedTuple

import numpy as np

import pygrad
from pygrad._system import processors
from pygrad.bench import scalars
from pygrad.bench.arrays import ARRAYS, Casadi
from pygrad.bench.limit import library, pointer
from pygrad.bench.rules import SGD
from pygrad.bench.work import Factory, Work, Workload, each

SHAPES = [(16, 2), (16,), (16, 16), (16,), (1, 16), (1,)]  # the weights and biases of each layer
RULE = SGD(0.01)
DECAY = 1e-4


class Moons(NamedTuple):
    """The points, the moon of each (1 or -1), and the parameters of a new model in the order of SHAPES."""

    points: Any
    labels: Any
    parameters: list[Any]


def problem(rng: np.random.Generator, n: int) -> Moons:
    t = np.linspace(0, np.pi, n // 2)
    moons = [np.c_[np.cos(t), np.sin(t)], np.c_[1 - np.cos(t), 0.5 - np.sin(t)]]
    points = np.concatenate(moons) + rng.normal(0, 0.1, (n, 2))
    parameters = [rng.uniform(-1, 1, shape) if len(shape) == 2 else np.zeros(shape) for shape in SHAPES]
    return Moons(points, np.repeat([1.0, -1.0], n // 2), parameters)


# Scalar by scalar, as in micrograd's nn.py and demo ----------------------------------------------------------------


def layers(parameters: Sequence[Any]) -> list[list[tuple[Sequence[Any], Any]]]:
    """Split the flat list of parameters into layers of neurons, each with its weights and bias."""
    found, at = [], 0
    for neurons, inputs in SHAPES[::2]:
        weights = [parameters[at + i * inputs : at + (i + 1) * inputs] for i in range(neurons)]
        at += neurons * inputs
        found.append(list(zip(weights, parameters[at : at + neurons])))
        at += neurons
    return found


def score(ops: Any, hidden: Sequence[Any], last: Sequence[Any], x: Sequence[Any]) -> Any:
    for layer in hidden:
        x = [ops.relu(sum((wi * xi for wi, xi in zip(w, x)), b)) for w, b in layer]
    ((w, b),) = last
    return sum((wi * xi for wi, xi in zip(w, x)), b)


def loss_on(points: Any, labels: Any) -> scalars.Function:
    rows, targets = points.tolist(), labels.tolist()

    def loss(ops: Any, *parameters: Any) -> Any:
        *hidden, last = layers(parameters)
        scores = [score(ops, hidden, last, list(map(ops.constant, row))) for row in rows]
        losses = [ops.relu(1 + -yi * si) for yi, si in zip(targets, scores)]
        return sum(losses) * (1.0 / len(losses)) + DECAY * sum(p * p for p in parameters)

    return loss


def on_scalars(engine: str, moons: Moons) -> Work:
    loss = loss_on(moons.points, moons.labels)
    return scalars.SCALARS[engine]().training(loss, scalars.flat(moons.parameters), RULE)


def on_casadi(moons: Moons) -> Work:
    loss = loss_on(moons.points, moons.labels)
    return Casadi().training_of_numbers(loss, scalars.flat(moons.parameters), RULE)


# With arrays -------------------------------------------------------------------------------------------------------


def loss_of_arrays(ops: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any, points: Any, labels: Any) -> Any:
    h = ops.relu(points @ w1.T + b1)
    h = ops.relu(h @ w2.T + b2)
    losses = ops.relu(1 - labels * (h @ w3.T + b3)[:, 0])
    return losses.mean() + DECAY * sum(ops.sum(p * p) for p in (w1, b1, w2, b2, w3, b3))


def on_arrays(engine: str, moons: Moons) -> Work:
    return ARRAYS[engine]().training(loss_of_arrays, moons.parameters, RULE, moons[:2])


def model_of(moons: Moons) -> pygrad.MLP:
    model = pygrad.MLP(2, [16, 16, 1])
    for layer, weights, biases in zip(model.layers, moons.parameters[::2], moons.parameters[1::2]):
        for neuron, row, bias in zip(layer.neurons, weights.tolist(), biases.tolist()):
            neuron.b.data = bias
            for w, x in zip(neuron.w, row):
                w.data = x
    return model


def grads_of(model: pygrad.MLP) -> list[Any]:
    """The gradients in the order of SHAPES."""
    return [
        part
        for layer in model.layers
        for part in ([[w.grad for w in n.w] for n in layer.neurons], [n.b.grad for n in layer.neurons])
    ]


def on_nn(moons: Moons) -> Work:
    """The demo's loop with pygrad.nn."""
    model = model_of(moons)
    optimizer = RULE.in_pygrad(model.parameters())
    rows, targets = moons.points.tolist(), moons.labels.tolist()

    def step() -> float:
        scores = [model(list(map(pygrad.Value, row))) for row in rows]
        losses = [(1 + -yi * si).relu() for yi, si in zip(targets, scores)]
        loss = sum(losses) * (1.0 / len(losses)) + DECAY * sum(p * p for p in model.parameters())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.data  # type: ignore[no-any-return]

    return Work(step, lambda loss: [loss, grads_of(model)])


def loss_of(model: pygrad.MLP) -> Callable[[Any, Any], Any]:
    """The loss of one point."""

    def loss(x: Any, y: Any) -> Any:
        return (1 + -y * model([x[0], x[1]])).relu() + DECAY * sum(p * p for p in model.parameters())

    return loss


def compiled(threads: int, backend: str = "kernels") -> Factory:
    """A Program of one point's loss, run on the whole batch."""

    def factory(moons: Moons) -> Work:
        model = model_of(moons)
        optimizer = RULE.in_pygrad(model.parameters())
        points, labels, _ = moons
        program = pygrad.compile(loss_of(model), points[0], labels[0], threads=threads, backend=backend)

        def step() -> Any:
            optimizer.zero_grad()
            losses, _ = program.value_and_grad(points, labels, cotangent=1 / len(points))
            optimizer.step()
            return losses.mean()

        return Work(step, lambda loss: [loss, grads_of(model)])

    return factory


def pure(moons: Moons) -> Work:
    """The same with the parameters in one array of NumPy's, which is an argument of the Program."""
    model = model_of(moons)
    points, labels, _ = moons
    program = pygrad.compile(loss_of(model), points[0], labels[0])
    parameters, f = np.array(program.parameters.data), program.pure()
    update = RULE.on_numbers(parameters)

    def step() -> Any:
        losses, (gradient, *_) = f.value_and_grad(parameters, points, labels, cotangent=1 / len(points))
        update(gradient)
        return losses.mean(), gradient

    def read(found: Any) -> list[Any]:
        loss, program.parameters.grad = found
        return [loss, grads_of(model)]

    return Work(step, read)


def in_c(moons: Moons) -> Work:
    """Call the C function, whose matrices are transposed."""
    parameters = np.concatenate([np.ravel(p.T) for p in moons.parameters])
    gradient = np.empty_like(parameters)
    arguments = [pointer(moons.points), pointer(moons.labels), RULE.rate, pointer(parameters), pointer(gradient)]
    f, n = library().moons, len(moons.points)
    ends = np.cumsum([p.size for p in moons.parameters])

    def read(loss: float) -> list[Any]:
        parts = np.split(gradient, ends[:-1])
        return [loss, [part.reshape(shape[::-1]).T for part, shape in zip(parts, SHAPES)]]

    return Work(lambda: f(n, *arguments), read)


WORKLOAD = Workload(
    "moons",
    "the training step of micrograd's demo, full batch of 100: loss, gradient, SGD",
    "a step",
    problem,
    100,
    {
        **each(scalars.USUAL, on_scalars),
        "array": on_nn,
        "compile": compiled(1),
        "native": compiled(1, "native"),
        "pure": pure,
        **({"compile-threads": compiled(processors())} if processors() > 1 else {}),
        **each(["torch", "jax", "autograd"], on_arrays),
        "casadi": on_casadi,
        "c": in_c,
    },
)
