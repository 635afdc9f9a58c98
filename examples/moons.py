"""Trains micrograd's own demo in C, and races plain Python against it: two moons, an MLP 2-16-16-1, max-margin loss.

python examples/moons.py [--steps 100] [--race 5 | --full] [--compile] [--out moons.png]

It takes about ten seconds; with --full, which trains all steps in plain Python, too, two minutes. It needs
`pip install '.[demo]'`.
"""

import argparse
import contextlib
import itertools
import random
import time
from statistics import median

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import pygrad.engine
import pygrad.nn
import pygrad.reference

ALPHA = 1e-4  # the weight decay


def two_moons():
    """The demo's 100 points, and the moon of each: 1 or -1."""
    from sklearn.datasets import make_moons  # takes seconds

    np.random.seed(1337)
    X, y = make_moons(n_samples=100, noise=0.1)
    return X, y * 2 - 1


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


def train(engine, X, y, steps, advance):
    """Train a new model. Return it, and the loss, the accuracy and the seconds of each step."""
    new_step, Value, MLP = engine
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


ENGINES = {
    "C": (eager_step, pygrad.engine.Value, pygrad.nn.MLP),
    "compiled": (compiled_step, pygrad.engine.Value, pygrad.nn.MLP),
    "plain Python": (eager_step, pygrad.reference.Value, pygrad.reference.MLP),
}


# What it shows ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def shown(console, name, steps):
    """Give a function to call after each step. It moves a bar, or prints some of the steps to a file or a pipe."""
    if console.is_terminal:
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeElapsedColumn(),
        ]
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(f"{name:>12}", total=steps, loss=np.nan)
            yield lambda loss: progress.update(task, advance=1, loss=loss)
    else:
        count = itertools.count(1)

        def advance(loss):
            if (k := next(count)) == steps or k % -(-steps // 5) == 0:
                console.print(f"{name:>12}: step {k} of {steps}, loss {loss:.4f}")

        yield advance


def draw(model, X, y, losses, file):
    """Draw the decision boundary of the model, and its loss by step."""
    import matplotlib.pyplot as plt  # takes a second

    import pygrad.viz

    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), width_ratios=[3, 2], layout="constrained")
    pygrad.viz.plot_decision_boundary(model, X, y, left)
    left.set(title="Two moons, and where the MLP 2-16-16-1 divides them", xlabel="x", ylabel="y")
    right.plot(range(1, len(losses) + 1), losses)
    right.set(title="The loss, by step", xlabel="step", yscale="log")
    fig.savefig(file, dpi=120)


def table_of_losses(runs, shown_steps):
    """A row for each of these steps: the losses of each engine that took it."""
    table = Table("step", *(f"loss, {name}" for name in runs), "accuracy", title="Losses by step")
    for k in shown_steps:
        losses = (f"{history[k - 1][0]:.4f}" if k <= len(history) else "" for history in runs.values())
        table.add_row(str(k), *losses, f"{runs['C'][k - 1][1]:.0%}")
    return table


def table_of_times(runs, steps):
    """The time of a step (the median) and of all steps, and how many times plain Python takes of it."""
    table = Table("", title="Times")
    for heading in ("a step", f"{steps} steps", "faster"):
        table.add_column(heading, justify="right")
    plain = median(seconds for *_, seconds in runs["plain Python"])
    for name, history in runs.items():
        step, total = median(seconds for *_, seconds in history), sum(seconds for *_, seconds in history)
        missing = steps - len(history)
        times = [f"{1e3 * step:,.2f} ms", "about " * bool(missing) + f"{total + missing * step:,.2f} s"]
        table.add_row(name, *times, "" if name == "plain Python" else f"[bold]{plain / step:,.0f} times[/bold]")
    return table


def check(runs, console):
    """Compare the losses with plain Python's; those of the compiled function with C's, which has taken all steps."""
    losses = {name: [loss for loss, *_ in history] for name, history in runs.items()}
    plain = losses["plain Python"]
    differ = [k for k, loss in enumerate(plain) if loss != losses["C"][k]]
    if differ:
        raise SystemExit(f"error: the losses of plain Python and C differ, first at step {differ[0] + 1}")
    console.print(f"Losses computed by both plain Python and C: {len(plain)}. They are equal to the last bit.")
    if off := max((abs(loss / true - 1) for loss, true in zip(losses.get("compiled", []), losses["C"])), default=0):
        console.print(
            f"Those of the compiled function are off by at most {off:.1e}: rounding errors, which training amplifies."
        )
    if off > 1e-6:
        raise SystemExit(f"error: the losses of the compiled function differ by {off:.1e}, more than 1e-6")


def main():
    parser = argparse.ArgumentParser(description="micrograd's demo in C, with a race against plain Python")
    parser.add_argument("--steps", type=int, default=100, help="the number of training steps (default 100)")
    race = parser.add_mutually_exclusive_group()
    race.add_argument("--race", type=int, default=5, help="the number of steps in plain Python (default 5)")
    race.add_argument("--full", action="store_true", help="take all steps in plain Python, too: about two minutes")
    parser.add_argument("--compile", action="store_true", help="train with a compiled function, too")
    parser.add_argument("--out", default="moons.png", help="the file for the picture (default moons.png)")
    options = parser.parse_args()
    if min(options.steps, options.race) < 1:
        parser.error("--steps and --race must be at least 1")

    console = Console(highlight=False)
    console.print("An MLP 2-16-16-1 learns to tell two moons apart, from 100 points, by gradient descent:")
    X, y = two_moons()
    raced = options.steps if options.full else min(options.race, options.steps)
    runs = {}
    for name in ["C", *["compiled"] * options.compile, "plain Python"]:
        steps = raced if name == "plain Python" else options.steps
        with shown(console, name, steps) as advance:
            model, runs[name] = train(ENGINES[name], X, y, steps, advance)
        if name == "C":
            draw(model, X, y, [loss for loss, *_ in runs[name]], options.out)
            console.print(f"The picture of what it has learned is in [bold]{options.out}[/bold]. Now for a race:")
    first = range(1, min(raced, 5) + 1)
    console.print(table_of_losses(runs, sorted({*first, *range(10, options.steps, 10), options.steps})))
    check(runs, console)
    console.print(table_of_times(runs, options.steps))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as shells do for Ctrl-C
