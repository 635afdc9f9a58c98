"""Times a training step of a GPT on one name: one layer, 16 wide, 4 heads, RMSNorm, no biases, a ReLU MLP, Adam.

The model and its training step follow microgpt by Andrej Karpathy. They are written scalar by scalar, and on arrays
that hold all positions of the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import pygrad
from pygrad import functional as F
from pygrad.bench import scalars
from pygrad.bench.arrays import ARRAYS, Casadi
from pygrad.bench.limit import library, pointer
from pygrad.bench.rules import Adam
from pygrad.bench.work import Work, Workload, each

VOCABULARY = "abcdefghijklmnopqrstuvwxyz"
END = len(VOCABULARY)  # the token that starts and ends each name
WIDTH, HEADS, CONTEXT = 16, 4, 16
HEAD = WIDTH // HEADS
NAME = "isabella"
RULE = Adam(rate=0.01, beta1=0.85, beta2=0.99)

Vector = list[Any]
Matrix = list[Vector]

SHAPES = {
    "token": (END + 1, WIDTH),
    "position": (CONTEXT, WIDTH),
    "query": (WIDTH, WIDTH),
    "key": (WIDTH, WIDTH),
    "value": (WIDTH, WIDTH),
    "output": (WIDTH, WIDTH),
    "widen": (4 * WIDTH, WIDTH),
    "narrow": (WIDTH, 4 * WIDTH),
    "logits": (END + 1, WIDTH),
}


class Lesson(NamedTuple):
    """The tokens of a name, and the 4,192 parameters of a new model as matrices in the order of SHAPES."""

    tokens: list[int]
    parameters: list[Any]


def problem(rng: np.random.Generator, letters: int) -> Lesson:
    tokens = [END, *map(VOCABULARY.index, NAME[:letters]), END]
    return Lesson(tokens, [rng.normal(0, 0.08, shape) for shape in SHAPES.values()])


# Scalar by scalar --------------------------------------------------------------------------------------------------


def matrices(parameters: Sequence[Any]) -> dict[str, Any]:
    """Split the flat list of parameters into matrices by name."""
    found, at = {}, 0
    for name, (rows, columns) in SHAPES.items():
        found[name] = [parameters[i : i + columns] for i in range(at, at + rows * columns, columns)]
        at += rows * columns
    return found


def linear(w: Sequence[Any], x: Sequence[Any]) -> Vector:
    return [sum(wi * xi for wi, xi in zip(row, x)) for row in w]


def rms_norm(x: Vector) -> Vector:
    scale = (sum(xi * xi for xi in x) / len(x) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def softmax(ops: Any, x: Vector) -> Vector:
    largest = ops.largest(x)
    exps = [ops.exp(xi - largest) for xi in x]
    total = sum(exps)
    return [e / total for e in exps]


def attend(ops: Any, query: Vector, keys: Matrix, values: Matrix) -> Vector:
    out = []
    for head in range(0, WIDTH, HEAD):
        part = slice(head, head + HEAD)
        scores = [sum(q * k for q, k in zip(query[part], key[part])) / HEAD**0.5 for key in keys]
        weights = softmax(ops, scores)
        out += [sum(w * value[i] for w, value in zip(weights, values)) for i in range(head, head + HEAD)]
    return out


def next_token(ops: Any, p: dict[str, Any], token: int, position: int, keys: Matrix, values: Matrix) -> Vector:
    """The probabilities of the next token. Appends this token's key and value to `keys` and `values`."""
    x = rms_norm([t + q for t, q in zip(p["token"][token], p["position"][position])])
    h = rms_norm(x)
    keys.append(linear(p["key"], h))
    values.append(linear(p["value"], h))
    x = [a + b for a, b in zip(linear(p["output"], attend(ops, linear(p["query"], h), keys, values)), x)]
    h = linear(p["widen"], rms_norm(x))
    x = [a + b for a, b in zip(linear(p["narrow"], [ops.relu(hi) for hi in h]), x)]
    return softmax(ops, linear(p["logits"], x))


def loss_on(tokens: list[int]) -> scalars.Function:
    """The mean of -log(probability) of each token, given the tokens before it."""

    def loss(ops: Any, *parameters: Any) -> Any:
        p = matrices(parameters)
        keys: Matrix = []
        values: Matrix = []
        losses = []
        for position, (token, target) in enumerate(zip(tokens, tokens[1:])):
            losses.append(-ops.log(next_token(ops, p, token, position, keys, values)[target]))
        return sum(losses) * (1 / len(losses))

    return loss


def on_scalars(engine: str, lesson: Lesson) -> Work:
    return scalars.SCALARS[engine]().training(loss_on(lesson.tokens), scalars.flat(lesson.parameters), RULE)


def on_casadi(lesson: Lesson) -> Work:
    return Casadi().training_of_numbers(loss_on(lesson.tokens), scalars.flat(lesson.parameters), RULE)


# With pygrad's Arrays ----------------------------------------------------------------------------------------------


def loss_on_arrays(p: dict[str, Any], tokens: list[int]) -> Any:
    """The same loss as `loss_on`, for all positions at once."""
    x = p["token"][tokens[:-1]] + p["position"][: len(tokens) - 1]
    x = norm(x)
    x = attend_on_arrays(p, norm(x)) + x
    x = F.linear(F.linear(norm(x), p["widen"]).relu(), p["narrow"]) + x
    return F.cross_entropy(F.linear(x, p["logits"]), tokens[1:])


def attend_on_arrays(p: dict[str, Any], x: Any) -> Any:
    query, key, value = (F.linear(x, p[name]) for name in ("query", "key", "value"))
    later = future(len(x))
    heads = []
    for head in range(0, WIDTH, HEAD):
        part = slice(head, head + HEAD)
        scores = query[:, part] @ key[:, part].T / HEAD**0.5 + later
        heads.append(F.softmax(scores) @ value[:, part])
    return F.linear(pygrad.concatenate(heads, axis=1), p["output"])


def norm(x: Any) -> Any:
    return F.rms_norm(x, WIDTH, eps=1e-5)


def future(n: int) -> Any:
    """The causal mask, which is added to the scores."""
    return np.triu(np.full((n, n), -np.inf), 1)


def on_pygrad(engine: str, lesson: Lesson) -> Work:
    def loss(ops: Any, *parameters: Any) -> Any:
        return loss_on_arrays(dict(zip(SHAPES, parameters)), lesson.tokens)

    return ARRAYS[engine]().training(loss, lesson.parameters, RULE)


# With other arrays -------------------------------------------------------------------------------------------------


def in_torch(lesson: Lesson) -> Work:
    import torch
    from torch.nn import functional

    inputs, targets = torch.tensor(lesson.tokens[:-1]), torch.tensor(lesson.tokens[1:])

    def norm(x: Any) -> Any:
        return functional.rms_norm(x, (WIDTH,), eps=1e-5)

    def heads(x: Any) -> Any:
        return x.view(len(x), HEADS, HEAD).transpose(0, 1)

    def loss(ops: Any, *parameters: Any) -> Any:
        p = dict(zip(SHAPES, parameters))
        x = norm(p["token"][inputs] + p["position"][: len(inputs)])
        query, key, value = (heads(functional.linear(norm(x), p[name])) for name in ("query", "key", "value"))
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = functional.linear(attended.transpose(0, 1).reshape(x.shape), p["output"]) + x
        x = functional.linear(functional.relu(functional.linear(norm(x), p["widen"])), p["narrow"]) + x
        return functional.cross_entropy(functional.linear(x, p["logits"]), targets)

    return ARRAYS["torch"]().training(loss, lesson.parameters, RULE)


def on_numpy_like(engine: str, lesson: Lesson) -> Work:
    """For JAX and autograd, whose NumPy modules are `ops.np`."""
    inputs, targets = np.array(lesson.tokens[:-1]), np.array(lesson.tokens[1:])
    n = len(inputs)
    later = future(n) < 0

    def norm(x: Any) -> Any:
        return x * ((x * x).mean(axis=-1, keepdims=True) + 1e-5) ** -0.5

    def loss(ops: Any, *parameters: Any) -> Any:
        def heads(x: Any) -> Any:
            return ops.np.transpose(x.reshape(n, HEADS, HEAD), (1, 0, 2))

        p = dict(zip(SHAPES, parameters))
        x = norm(p["token"][inputs] + p["position"][:n])
        query, key, value = (heads(norm(x) @ p[name].T) for name in ("query", "key", "value"))
        scores = ops.np.where(later, -np.inf, query @ ops.np.transpose(key, (0, 2, 1)) / HEAD**0.5)
        weights = ops.exp(scores - scores.max(axis=-1, keepdims=True))
        weights = weights / weights.sum(axis=-1, keepdims=True)
        x = ops.np.transpose(weights @ value, (1, 0, 2)).reshape(n, WIDTH) @ p["output"].T + x
        x = ops.relu(norm(x) @ p["widen"].T) @ p["narrow"].T + x
        logits = x @ p["logits"].T
        return (ops.log(ops.exp(logits).sum(axis=1)) - logits[np.arange(n), targets]).mean()

    return ARRAYS[engine]().training(loss, lesson.parameters, RULE)


def in_c(lesson: Lesson) -> Work:
    parameters = np.concatenate([np.ravel(p) for p in lesson.parameters])
    gradient, means, squares = np.zeros((3, parameters.size))
    tokens, n = np.array(lesson.tokens, dtype=np.int32), len(lesson.tokens) - 1
    where = pointer(tokens), pointer(parameters), pointer(gradient)
    update = where[1], where[2], pointer(means), pointer(squares), RULE.rate
    lib, steps = library(), 0

    def step() -> float:
        nonlocal steps
        steps += 1
        loss = lib.gpt(n, *where)
        lib.adam(parameters.size, *update, steps)
        return loss  # type: ignore[no-any-return]

    return Work(step, lambda loss: [loss, gradient])


WORKLOAD = Workload(
    "gpt",
    f'a training step of a GPT on the name "{NAME}": loss, gradient by 4,192 parameters, Adam',
    "a step",
    problem,
    len(NAME),
    {
        **each([*scalars.USUAL, "minimal"], on_scalars),
        **each(["array", "compile", "native"], on_pygrad),
        "torch": in_torch,
        **each(["jax", "autograd"], on_numpy_like),
        "casadi": on_casadi,
        "c": in_c,
    },
)
