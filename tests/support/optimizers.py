"""PyTorch's update rules, as published with torch.optim, in NumPy; and parameters of every kind."""

import numpy as np

from pygrad import Array, Value, array
from pygrad.optim import SGD, Adam, AdamW, RMSprop


def sgd(data, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    """A generator: send it (grads, lr) of each step, and it yields the data after the step."""
    buffer = None
    while True:
        grad, rate = yield data
        grad = (-grad if maximize else grad) + weight_decay * data
        if momentum:
            buffer = grad if buffer is None else momentum * buffer + (1 - dampening) * grad
            grad = grad + momentum * buffer if nesterov else buffer
        data = data - (lr if rate is None else rate) * grad


def adam(data, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, decoupled=False):
    mean, square, largest, t = np.zeros(data.shape), np.zeros(data.shape), np.zeros(data.shape), 0
    while True:
        grad, rate = yield data
        grad = -grad if maximize else grad
        rate = lr if rate is None else rate
        t += 1
        if decoupled:
            data = data * (1 - rate * weight_decay)
        else:
            grad = grad + weight_decay * data
        mean = betas[0] * mean + (1 - betas[0]) * grad
        square = betas[1] * square + (1 - betas[1]) * grad * grad
        largest = np.maximum(largest, square)
        denominator = np.sqrt(largest if amsgrad else square) / np.sqrt(1 - betas[1] ** t) + eps
        data = data - rate / (1 - betas[0] ** t) * mean / denominator


def adamw(data, weight_decay=1e-2, **options):
    return adam(data, weight_decay=weight_decay, decoupled=True, **options)


def rmsprop(data, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, maximize=False):
    square, mean, velocity = np.zeros(data.shape), np.zeros(data.shape), np.zeros(data.shape)
    while True:
        grad, rate = yield data
        grad = (-grad if maximize else grad) + weight_decay * data
        square = alpha * square + (1 - alpha) * grad * grad
        mean = mean + (1 - alpha) * (grad - mean)
        velocity = momentum * velocity + grad / (np.sqrt(square - mean * mean if centered else square) + eps)
        data = data - (lr if rate is None else rate) * velocity


RULES = {
    "SGD": (SGD, sgd, {}),
    "SGD, lr": (SGD, sgd, {"lr": 0.5}),
    "SGD, lr 0": (SGD, sgd, {"lr": 0}),
    "SGD, weight_decay": (SGD, sgd, {"lr": 0.1, "weight_decay": 0.3}),
    "SGD, momentum": (SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    "SGD, dampening": (SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.4}),
    "SGD, dampening alone": (SGD, sgd, {"lr": 0.1, "dampening": 0.4}),
    "SGD, momentum and weight_decay": (SGD, sgd, {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.1}),
    "SGD, nesterov": (SGD, sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "SGD, nesterov and weight_decay": (SGD, sgd, {"lr": 0.1, "momentum": 0.5, "weight_decay": 1, "nesterov": True}),
    "SGD, momentum above 1": (SGD, sgd, {"lr": 0.01, "momentum": 1.1, "dampening": -0.5}),
    "SGD, maximize": (SGD, sgd, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "maximize": True}),
    "Adam": (Adam, adam, {}),
    "Adam, amsgrad": (Adam, adam, {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True}),
    "Adam, maximize": (Adam, adam, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    "AdamW, amsgrad, maximize": (AdamW, adamw, {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True, "maximize": True}),
    "RMSprop": (RMSprop, rmsprop, {}),
    "RMSprop, alpha": (RMSprop, rmsprop, {"lr": 0.1, "alpha": 0.5, "eps": 1e-3}),
    "RMSprop, momentum": (RMSprop, rmsprop, {"momentum": 0.9, "weight_decay": 0.1}),
    "RMSprop, centered": (RMSprop, rmsprop, {"alpha": 0.9, "eps": 0.1, "centered": True}),
    "RMSprop, all": (
        RMSprop,
        rmsprop,
        {"lr": 0.1, "alpha": 0.9, "eps": 0.1, "weight_decay": 0.2, "momentum": 0.5, "centered": True, "maximize": True},
    ),
    "Adam, lr": (Adam, adam, {"lr": 0.3}),
    "Adam, betas": (Adam, adam, {"lr": 0.01, "betas": (0.5, 0.75)}),
    "Adam, betas of 0": (Adam, adam, {"lr": 0.01, "betas": (0, 0.0)}),
    "Adam, betas in a list": (Adam, adam, {"betas": [0.85, 0.99]}),
    "Adam, eps": (Adam, adam, {"lr": 0.01, "eps": 0.1}),
    "Adam, eps 0": (Adam, adam, {"lr": 0.01, "eps": 0}),
    "Adam, weight_decay": (Adam, adam, {"lr": 0.01, "weight_decay": 0.1}),
    "AdamW": (AdamW, adamw, {}),
    "AdamW, weight_decay": (AdamW, adamw, {"lr": 0.1, "weight_decay": 0.5}),
    "AdamW, no weight_decay": (AdamW, adamw, {"lr": 0.1, "weight_decay": 0}),
    "AdamW, all": (AdamW, adamw, {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 2.0}),
}


def make_values(x):
    return [Value(y) for y in x]


def make_mixture(x):
    """Values, Arrays of zero to two axes, Arrays of Values, and strided, reversed or indexed views."""
    parts = [part.copy() for part in np.array_split(x, 8)]
    n, reverse = len(parts[3]), array(parts[4][::-1])
    wide = array(np.stack([parts[3]] * 3, axis=-1))
    return [
        *make_values(parts[0]),
        array(parts[1][:, None]),
        array(make_values(parts[2])),
        wide[:, 1] if n else array([]),
        reverse[::-1],
        array(np.r_[parts[5], 7.0])[list(range(len(parts[5])))],
        *[array(y) for y in parts[6]],
        array(parts[7]),
    ]


KINDS = {"Values": make_values, "an Array": lambda x: [array(x)], "a mixture": make_mixture}


def flat(params, part="data"):
    return np.concatenate([np.ravel(getattr(p, part)) for p in params])


def set_grads(params, grads):
    at = 0
    for p in params:
        n = p.size if isinstance(p, Array) else 1
        p.grad = grads[at : at + n].reshape(p.shape) if isinstance(p, Array) else grads[at]
        at += n
    assert at == len(grads)


def far_from_0(rng, n):
    """Numbers of either sign, bounded away from 0."""
    return rng.uniform(1, 2, n) * rng.choice([-1, 1], n)
