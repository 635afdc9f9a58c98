"""Trains an MLP on data in chunks on a Dask cluster: each worker computes the gradient of the chunks that it holds.

python examples/dask_training.py [--samples 100000] [--chunks 10] [--steps 50] [--workers 2] [--address tcp://...]

It takes about 20 seconds, and needs `pip install '.[demo,dask]'`.

The same training in this process, without a cluster, must have the same losses. Gradients are added up in an order that
depends on the chunks alone, so they have the same bits.
"""

import argparse
import random
import time

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster
from rich.console import Console
from rich.progress import track

import pygrad
import pygrad.dask
from pygrad import nn, optim


def spirals(samples, chunks, seed):
    """Points on two spirals, and their labels -1 and 1, made where they are used."""
    rng = da.random.default_rng(seed)
    size = -(-samples // chunks)
    radii, noise = rng.uniform(0.2, 1, samples, chunks=size), rng.normal(0, 0.03, (samples, 2), chunks=(size, 2))
    labels = da.where(rng.random(samples, chunks=size) < 0.5, -1.0, 1.0)
    arm = da.stack([da.cos(4 * radii), da.sin(4 * radii)], axis=1).rechunk((size, 2))
    return arm * (labels * radii)[:, None] + noise, labels


def loss_of(model):
    """The squared hinge loss of one sample, as a pure function of the parameters; and these."""
    loss = pygrad.compile(lambda x, y: (1 - y * model(x)).relu() ** 2, np.zeros(2), 1.0)
    return loss.pure(), loss.parameters


def train(points, labels, steps, seed, console):
    """The loss of each step, and the fraction of the samples that the trained model labels right."""
    random.seed(seed)
    model = nn.MLP(2, [16, 16, 1])
    pure, parameters = loss_of(model)
    optimizer = optim.Adam([parameters], lr=0.02)
    losses = []
    for _ in track(range(steps), "steps", console=console):
        mean = {"cotangent": 1 / len(points)}
        values, (gradient, *_) = pygrad.dask.value_and_grad(pure, parameters.data, points, labels, **mean)
        loss, parameters.grad = dask.compute(values.mean(), gradient)
        optimizer.step()
        losses.append(loss)
    score = pygrad.compile(lambda x: model(x), np.zeros(2)).pure()
    right = pygrad.dask.value(score, parameters.data, points) * labels > 0
    return losses, right.mean().compute()


def main():
    parser = argparse.ArgumentParser(description="an MLP trained on chunks of data on a Dask cluster")
    parser.add_argument("--samples", type=int, default=100_000, help="the number of samples (default 100,000)")
    parser.add_argument("--chunks", type=int, default=10, help="the number of chunks of data (default 10)")
    parser.add_argument("--steps", type=int, default=50, help="the number of training steps (default 50)")
    parser.add_argument("--workers", type=int, default=2, help="the number of workers to start (default 2)")
    parser.add_argument("--address", help="the address of a scheduler: use its cluster, and start no workers")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the samples and the weights (default 0)")
    options = parser.parse_args()

    console = Console()
    points, labels = spirals(options.samples, options.chunks, options.seed)
    cluster = options.address or LocalCluster(
        n_workers=options.workers, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    )
    with Client(cluster) as client:
        held = client.persist([points, labels])  # each worker keeps its chunks
        start = time.perf_counter()
        losses, right = train(*held, options.steps, options.seed, console)
        seconds = time.perf_counter() - start
    if not options.address:
        cluster.close()
    with dask.config.set(scheduler="synchronous"):
        alone, _ = train(*dask.persist(points, labels), options.steps, options.seed, console)

    console.print(f"The loss fell from {losses[0]:.3f} to {losses[-1]:.3f}; {right:.1%} of the labels are right.")
    console.print(f"{options.samples * options.steps / seconds:,.0f} samples a second on the cluster.")
    if losses != alone:
        raise SystemExit("the losses on the cluster and in this process are not equal")
    console.print(f"The losses of all {options.steps} steps have the same bits in this process, without a cluster.")


if __name__ == "__main__":
    main()
