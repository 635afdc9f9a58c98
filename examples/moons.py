"""micrograd's own demo, on the plain-Python engine and on C: two moons, a 2-16-16-1 MLP, max-margin loss.

python examples/moons.py [--steps 100] [--out moons.png]
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


def loss(Value, model, X, y):
    """The demo's loss: a margin of 1 for every sample, and a little weight decay. Also the accuracy."""
    inputs = [list(map(Value, xrow)) for xrow in X]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores)]
    data_loss = sum(losses) * (1.0 / len(losses))
    alpha = 1e-4
    reg_loss = alpha * sum(p * p for p in model.parameters())
    accuracy = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores)]
    return data_loss + reg_loss, sum(accuracy) / len(accuracy)


def train(Value, MLP, X, y, steps, advance):
    """Train a new model; return it, and for each step the loss, the accuracy and the seconds it took."""
    random.seed(1337)
    model = MLP(2, [16, 16, 1])
    history = []
    for k in range(steps):
        start = time.perf_counter()
        total_loss, accuracy = loss(Value, model, X, y)
        model.zero_grad()
        total_loss.backward()
        learning_rate = 1.0 - 0.9 * k / 100
        for p in model.parameters():
            p.data -= learning_rate * p.grad
        history.append((total_loss.data, accuracy, time.perf_counter() - start))
        advance(loss=total_loss.data)
    return model, history


def main():
    parser = argparse.ArgumentParser(description="micrograd's demo on the plain-Python engine and on C")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", default="moons.png", help="where the picture goes")
    options = parser.parse_args()

    np.random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    y = y * 2 - 1

    engines = {
        "plain Python": (pygrad.reference.Value, pygrad.reference.MLP),
        "C": (pygrad.engine.Value, pygrad.nn.MLP),
    }
    console = Console()
    console.print(f"Training an MLP 2-16-16-1 on 100 points of two moons, {options.steps} steps of SGD, twice:")
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
        for name, (Value, MLP) in engines.items():
            progress.start_task(tasks[name])

            def advance(loss, task=tasks[name]):
                progress.update(task, advance=1, loss=loss)

            runs[name] = train(Value, MLP, X, y, options.steps, advance)

    (_, plain), (model, fast) = runs.values()
    table = Table("step", "loss, plain Python", "loss, C", "accuracy", title="The two runs, step by step")
    for k in sorted({*range(0, options.steps, 10), options.steps - 1}):
        table.add_row(str(k), repr(plain[k][0]), repr(fast[k][0]), f"{fast[k][1]:.0%}")
    console.print(table)
    differ = [k for k in range(options.steps) if plain[k][0] != fast[k][0]]
    if differ:
        raise SystemExit(f"the losses differ, first at step {differ[0]}")
    console.print(f"The losses are equal at every one of the {options.steps} steps, to the last bit.")

    seconds = {name: float(np.median([s for *_, s in history])) for name, (_, history) in runs.items()}
    for name, s in seconds.items():
        console.print(f"{name:>12}: {s:.4f} seconds a step (median)")
    console.print(f"[bold]C is {seconds['plain Python'] / seconds['C']:.1f} times faster.[/bold]")
    fig, ax = plt.subplots(figsize=(6, 5))
    pygrad.viz.plot_decision_boundary(model, X, y, ax)
    ax.set(title="Two moons, as the trained MLP 2-16-16-1 divides the plane", xlabel="x", ylabel="y")
    fig.savefig(options.out, dpi=120, bbox_inches="tight")
    console.print(f"The decision boundary is in {options.out}")


if __name__ == "__main__":
    main()
