"""Teaches an MLP to tell three spirals apart: a score for each, their cross entropy, and a picture of the boundaries.

python examples/spirals.py [--points 100] [--steps 500] [--seed 0] [--out spirals.png]

It takes a few seconds, and needs `pip install '.[demo]'`.
"""

import argparse
import random

import numpy as np
from rich.console import Console
from rich.progress import track

import pygrad
import pygrad.viz
from pygrad import functional as F
from pygrad import nn, optim

SPIRALS = 3


def spirals(points, rng):
    """Points on each of the spirals, which start at the origin, and the spiral of each point."""
    radius = np.linspace(0.1, 1, points)
    X = []
    for spiral in range(SPIRALS):
        angle = 4 * radius + spiral * 2 * np.pi / SPIRALS + rng.normal(0, 0.15, points)
        X.append(np.column_stack([radius * np.sin(angle), radius * np.cos(angle)]))
    return np.concatenate(X), np.repeat(np.arange(SPIRALS), points)


def main():
    parser = argparse.ArgumentParser(description="an MLP learns to tell three spirals apart")
    parser.add_argument("--points", type=int, default=100, help="the number of points on a spiral (default 100)")
    parser.add_argument("--steps", type=int, default=500, help="the number of training steps (default 500)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the points and the weights (default 0)")
    parser.add_argument("--out", default="spirals.png", help="the file for the picture (default spirals.png)")
    options = parser.parse_args()

    random.seed(options.seed)
    X, y = spirals(options.points, np.random.default_rng(options.seed))
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, SPIRALS))
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    loss = pygrad.compile(lambda x, spiral: F.cross_entropy(model(x), spiral), X[0], pygrad.index(0))
    console = Console(highlight=False)
    for _ in track(range(options.steps), "learning", console=console):
        optimizer.zero_grad()
        losses, _ = loss.value_and_grad(X, y, cotangent=1 / len(X))
        optimizer.step()

    scores = pygrad.compile(model, X[0])(X)
    right = (scores.argmax(axis=1) == y).mean()
    console.print(f"The mean loss is {losses.mean():.4f}; {right:.0%} of the {len(X)} points have the right spiral.")
    ax = pygrad.viz.plot_decision_boundary(model, X, y, margin=0.3)
    ax.set(title="Three spirals, divided by an MLP 2-16-16-3", aspect="equal")
    ax.figure.savefig(options.out, dpi=120, bbox_inches="tight")
    console.print(f"The picture is in {options.out}")


if __name__ == "__main__":
    main()
