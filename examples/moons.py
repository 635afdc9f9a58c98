"""Runs micrograd's own demo in plain Python and in C, and compares them: two moons, a 2-16-16-1 MLP, max-margin loss.

python examples/moons.py [--steps 100] [--compile] [--out moons.png]
"""

import argparse
import random
import time

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import make_moons

import pygrad.engine
import pygrad.nn
import pygrad.reference
import pygrad.viz

ALPHA = 1e-4  # the weight decay


def loss(Value, model, X, y):
    """The demo's loss (a margin of 1 for every sample, and a small weight decay), and the accuracy."""
    inputs = [list(map(Value, xrow)) for xrow in X]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    reg_loss = ALPHA * sum(p * p for p in model.parameters())
    accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores)]
    return data_loss + reg_loss, sum(accuracy) / len(accuracy)


def eager_step(Value, model, X, y):
    """A function that computes the gradient as the demo does, and returns the loss and the accuracy."""

    def step():
        total_loss, accuracy = loss(Value, model, X, y)
        model.zero_grad()
        total_loss.backward()
        return total_loss.data, accuracy

    return step


def compiled_step(Value, model, X, y):
    """The same, computed by a Program of one sample that runs on all samples at once."""

    def margin_loss(x, yi):
        return (1 + -yi * model([x[0], x[1]])).relu() + ALPHA * sum(p * p for p in model.parameters())

    program = pygrad.compile(margin_loss, X[0], 1.0)

    def step():
        model.zero_grad()
        losses, _ = program.value_and_grad(X, y.astype(float), cotangent=1 / len(X))
        decay = ALPHA * np.square(program.parameters.data).sum()
        return losses.mean(), np.mean(losses - decay < 1)  # a loss below 1 means a score of the right sign

    return step


def train(new_step, Value, MLP, X, y, steps, advance):
    """Train a new model. Return it, and the loss, the accuracy and the seconds of each step."""
    random.seed(1337)
    model = MLP(2, [16, 16, 1])
    step = new_step(Value, model, X, y)
    history = []
    for k in range(steps):
        start = time.perf_counter()
        total_loss, accuracy = step()
        learning_rate = 1.0 - 0.9 * k / 100
        for p in model.parameters():
            p.data -= learning_rate * p.grad
        history.append((total_loss, accuracy, time.perf_counter() - start))
        advance(loss=total_loss)
    return model, history


def plot(model, X, y, losses, file):
    """Draw the decision boundary of the trained model, and its loss at each step."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    pygrad.viz.plot_decision_boundary(model, X, y, left, margin=0.5)
    correct = np.mean([(model(row.tolist()).data > 0) == (yi > 0) for row, yi in zip(X, y)])
    left.set(title=f"{correct:.0%} of the points are classified correctly", xlabel="x", ylabel="y")
    right.plot(losses, color="tab:blue")
    right.set(title=f"The loss falls from {losses[0]:.2f} to {losses[-1]:.3f}", xlabel="step", ylabel="loss")
    right.set(xlim=(0, max(1, len(losses) - 1)), ylim=(0, None))
    right.grid(color="0.9")
    fig.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description="micrograd's demo in plain Python and in C")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--compile", action="store_true", help="also run the demo as a compiled function")
    parser.add_argument("--out", default="moons.png", help="the file for the plot")
    options = parser.parse_args()

    np.random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    y = y * 2 - 1

    engines = {
        "plain Python": (eager_step, pygrad.reference.Value, pygrad.reference.MLP),
        "C": (eager_step, pygrad.engine.Value, pygrad.nn.MLP),
    }
    if options.compile:
        engines["compiled"] = (compiled_step, pygrad.engine.Value, pygrad.nn.MLP)
    console = Console()
    console.print(
        f"Training an MLP 2-16-16-1 on 100 points of two moons, {options.steps} steps of SGD, {len(engines)} times:"
    )
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeElapsedColumn(),
    ]
    runs = {}
    with Progress(*columns, console=console) as progress:
        tasks = {name: progress.add_task(f"{name:>12}", total=options.steps, loss=0, start=False) for name in engines}
        for name, engine in engines.items():
            progress.start_task(tasks[name])

            def advance(loss, task=tasks[name]):
                progress.update(task, advance=1, loss=loss)

            runs[name] = train(*engine, X, y, options.steps, advance)

    model, fast = runs["C"]
    losses = {name: [loss for loss, *_ in history] for name, (_, history) in runs.items()}
    plain = losses["plain Python"]
    off = [abs(loss / true - 1) for loss, true in zip(losses.get("compiled", []), plain)]
    table = Table("step", "loss, plain Python", "loss, C", "accuracy", title="Losses by step")
    if off:
        table.add_column("compiled, error")
    for k in sorted({*range(0, options.steps, 10), options.steps - 1}):
        row = str(k), repr(plain[k]), repr(losses["C"][k]), f"{fast[k][1]:.0%}"
        table.add_row(*row, *(f"{x:.1e}" for x in off[k : k + 1]))
    console.print(table)
    differ = [k for k in range(options.steps) if plain[k] != losses["C"][k]]
    if differ:
        raise SystemExit(f"error: the losses of plain Python and C differ, first at step {differ[0]}")
    console.print(f"The losses are equal at every one of the {options.steps} steps, to the last bit.")
    if off:
        console.print(
            f"Those of the compiled run are off by at most {max(off):.1e}: rounding errors, which training amplifies."
        )
    if off and max(off) > 1e-6:
        raise SystemExit(f"error: the losses of the compiled run differ by {max(off):.1e}, more than 1e-6")

    seconds = {name: float(np.median([s for *_, s in history])) for name, (_, history) in runs.items()}
    for name, s in seconds.items():
        faster = f", [bold]{seconds['plain Python'] / s:,.1f} times faster[/bold]" if name in list(seconds)[1:] else ""
        console.print(f"{name:>12}: {s:.6f} seconds a step (median){faster}")
    plot(model, X, y, losses["C"], options.out)
    console.print(f"The decision boundary and the loss are in {options.out}")


if __name__ == "__main__":
    main()
