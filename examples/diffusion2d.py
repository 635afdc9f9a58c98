"""Trains a diffusion model on scalars: an MLP learns to predict the noise in points and generates two moons from noise.

python examples/diffusion2d.py [--steps 6000] [--samples 500] [--seed 0] [--out diffusion2d.png]

It takes about a minute, and needs `pip install '.[demo]'`.

After "Denoising Diffusion Probabilistic Models" (Ho, Jain & Abbeel, 2020). Times are as in the paper: at time 0 a point
is data, and at time T it is pure noise.
"""

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import make_moons

import pygrad
import pygrad.functional as F
from pygrad.optim import Adam, cosine

T = 100
STAGES = [100, 50, 30, 15, 0]  # the times to draw
HIDDEN = [64, 64]
BATCH = 64

# The fraction of a point's variance that is data, for each time: a cosine schedule (Nichol & Dhariwal, 2021) that stays
# above 0.
ALPHA_BARS = np.cos(np.linspace(0, 0.99 * np.pi / 2, T + 1)) ** 2


def two_moons(n, seed):
    """The data, standardised: n points, and the moon (0 or 1) of each."""
    points, moon = make_moons(n, noise=0.05, random_state=seed)
    return (points - [0.5, 0.25]) / [0.87, 0.5], moon


def features(x, t):
    """The model's inputs: points and times, and the sines and cosines of all three numbers.

    The sines and cosines let a small MLP distinguish points that are close together (Tancik et al., 2020).
    """
    z = np.column_stack([x, t / T])
    return np.hstack([z, np.sin(np.pi * z), np.cos(np.pi * z)])


def new_model(rng):
    """A new model: the weight and the bias of each layer."""
    sizes = [features(np.zeros((1, 2)), np.zeros(1)).size, *HIDDEN, 2]
    return [
        (pygrad.array(rng.normal(0, (2 / nin) ** 0.5, (nout, nin))), pygrad.array(np.zeros(nout)))
        for nin, nout in zip(sizes, sizes[1:])
    ]


def predict_noise(model, x, t):
    """The noise that the model predicts in the points x at the times t."""
    h = features(x, t)
    for weight, bias in model[:-1]:
        h = F.linear(h, weight, bias).relu()
    return F.linear(h, *model[-1])


def train_step(model, optimizer, x0, rng):
    """Train on the points x0, each at a random time. Return the loss and the number of scalar nodes in its graph.

    When this function returns, nothing refers to the graph, so the next step reuses its memory.
    """
    t = rng.integers(1, T + 1, len(x0))
    noise = rng.standard_normal(x0.shape)
    alpha_bar = ALPHA_BARS[t, None]
    x = np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * noise

    before = pygrad.memory_stats().live_nodes
    loss = F.mse_loss(predict_noise(model, x, t), noise)
    nodes = pygrad.memory_stats().live_nodes - before
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item(), nodes


def noise_in(model, x, t):
    """The predicted noise of any number of points at one time, as numbers.

    It is computed in batches: one graph of all points would need more memory than training does.
    """
    batches = [x[i : i + BATCH] for i in range(0, len(x), BATCH)]
    return np.concatenate([predict_noise(model, batch, np.full(len(batch), t)).data for batch in batches])


def sample(model, n, rng, advance):
    """Remove the noise from n points step by step. Return their positions at each time, path[T] to path[0]."""
    path = np.empty((T + 1, n, 2))
    path[T] = rng.standard_normal((n, 2))
    for t in range(T, 0, -1):
        alpha_bar, alpha_bar_before = ALPHA_BARS[t], ALPHA_BARS[t - 1]
        alpha = alpha_bar / alpha_bar_before
        mean = (path[t] - (1 - alpha) / np.sqrt(1 - alpha_bar) * noise_in(model, path[t], t)) / np.sqrt(alpha)
        sigma = np.sqrt((1 - alpha_bar_before) / (1 - alpha_bar) * (1 - alpha))  # 0 at the last step
        path[t - 1] = mean + sigma * rng.standard_normal((n, 2))
        advance()
    return path


def distances(a, b):
    """The distance of each point of a from each point of b."""
    return np.linalg.norm(a[:, None] - b, axis=-1)


def plot(model, path, data, moon, file):
    """Draw the data, the samples at several times, and arrows for the direction in which the model moves a point."""
    ends_on = moon[distances(path[0], data).argmin(1)]
    axis = np.linspace(-2.5, 2.5, 17)
    grid = np.array([(x, y) for x in axis for y in axis])
    fig, axes = plt.subplots(1, 1 + len(STAGES), figsize=(15, 3.1), layout="constrained")
    n = len(ends_on)
    axes[0].scatter(*data[:n].T, c=moon[:n], s=5, cmap="coolwarm")
    axes[0].set_title("data")
    for ax, t in zip(axes[1:], STAGES):
        if t > 0:
            ax.quiver(*grid.T, *-noise_in(model, grid, t).T, color="0.65", scale=45, width=0.004)
        ax.scatter(*path[t].T, c=ends_on, s=5, cmap="coolwarm", zorder=2)
        ax.set_title({T: f"t = {T}: noise", 0: "t = 0: samples"}.get(t, f"t = {t}"))
    for ax in axes:
        ax.set(xlim=(-2.8, 2.8), ylim=(-2.8, 2.8), xticks=[], yticks=[], aspect="equal")
    fig.supxlabel("Colour: the moon on which a sample ends. Arrows: the direction in which the model moves a point.")
    fig.savefig(file, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="a diffusion model of two moons, scalar by scalar")
    parser.add_argument("--steps", type=int, default=6000, help="the number of training steps (default 6000)")
    parser.add_argument("--samples", type=int, default=500, help="the number of points to generate (default 500)")
    parser.add_argument(
        "--seed", type=int, default=0, help="the seed of the data, the weights and the noise (default 0)"
    )
    parser.add_argument("--out", default="diffusion2d.png", help="the file for the picture (default diffusion2d.png)")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    data, moon = two_moons(2000, options.seed)
    model = new_model(rng)
    parameters = [p for layer in model for p in layer]
    optimizer = Adam(parameters, lr=cosine(1e-2, options.steps))

    console = Console()
    size = sum(p.size for p in parameters)
    console.print(f"An MLP of {size:,} parameters learns to predict the noise in points of two moons:")
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    ]
    losses, seconds = [], []
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=options.steps, note="")
        for _ in range(options.steps):
            start = time.perf_counter()
            loss, nodes = train_step(model, optimizer, data[rng.integers(len(data), size=BATCH)], rng)
            seconds.append(time.perf_counter() - start)
            losses.append(loss)
            progress.update(task, advance=1, note=f"loss {np.mean(losses[-200:]):.4f}")
        task = progress.add_task("sampling", total=T, note=f"{options.samples} points")
        path = sample(model, options.samples, rng, lambda: progress.advance(task))

    median = float(np.median(seconds))
    console.print(f"One step on {BATCH} points builds a graph of {nodes:,} scalar nodes, runs it backward and frees it")
    console.print(f"in {median:.4f} seconds (median): {median / nodes * 1e9:.1f} nanoseconds a node.")

    fresh, _ = two_moons(options.samples, options.seed + 1)
    table = Table("points", "to the data", "from the data", title="Mean distance to the nearest point")
    means = {}
    for name, points in {"samples": path[0], "fresh data": fresh, "noise": path[T]}.items():
        apart = distances(points, data)
        means[name] = apart.min(1).mean()
        table.add_row(name, f"{means[name]:.4f}", f"{apart.min(0).mean():.4f}")
    console.print(table)
    ratio = means["samples"] / means["fresh data"]
    console.print(f"[bold]Samples are {ratio:.2f} times as far from the data as fresh data are.[/bold]")
    plot(model, path, data, moon, options.out)
    console.print(f"The plot of the samples, from noise to moons, is in {options.out}")


if __name__ == "__main__":
    main()
