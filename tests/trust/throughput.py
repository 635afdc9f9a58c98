"""Prints the throughput of two threads that do the same work, each on its own model, as a multiple of one thread's.

It is for CPython without a GIL, on a quiet machine with two processors. Loops of plain Python show what can be had.
"""

import random
import threading
import time

import numpy as np

import pygrad
from pygrad import Value, nn, optim


def plain_python(n=60000):
    def run():
        total = 0
        for i in range(n):
            total += i * i

    return run


def compiled_model(steps=10):
    model, x = nn.MLP(8, [32, 32, 1]), np.random.default_rng(0).uniform(-1, 1, (64, 8))
    f = pygrad.compile(lambda x, y: (model(x) - y) ** 2, [0.0] * 8, 0.0)
    descent = optim.SGD(model.parameters(), lr=1e-4)

    def run():
        for _ in range(steps):
            model.zero_grad()
            f.value_and_grad(x, x[:, 0])
            descent.step()

    return run


def compiled_calls(n=6000):
    w = Value(1.5)
    f = pygrad.compile(lambda x: (w * x).tanh() * x, 1.0)

    def run():
        for _ in range(n):
            f.value_and_grad(0.5)

    return run


def eager_model(steps=15):
    model, xs = nn.MLP(8, [16, 16, 1]), [[random.uniform(-1, 1) for _ in range(8)] for _ in range(8)]
    descent = optim.SGD(model.parameters(), lr=1e-4)

    def run():
        for _ in range(steps):
            loss = sum((model(x) - 0.5) ** 2 for x in xs)
            model.zero_grad()
            loss.backward()
            descent.step()

    return run


def eager_ops(steps=200):
    weights = [Value(random.uniform(-1, 1)) for _ in range(20)]

    def run():
        for _ in range(steps):
            total = Value(0.0)
            for k, w in enumerate(weights):
                total = total + (w * float(k) + 1.0).tanh() * w
            total.backward()
            for w in weights:
                w.grad = 0.0

    return run


def seconds(*runs):
    threads = [threading.Thread(target=run) for run in runs]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


if __name__ == "__main__":
    for make in (plain_python, compiled_model, compiled_calls, eager_model, eager_ops):
        a, b = make(), make()
        seconds(a, b)
        times = [(seconds(a), seconds(a, b)) for _ in range(25)]
        one, two = (sorted(column)[3] for column in zip(*times))
        print(f"{make.__name__.replace('_', ' '):<16} {2 * one / two:.2f}x")
