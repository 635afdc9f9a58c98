"""Computes the price of an Asian call option and all its Greeks by Monte Carlo, with one compiled function of scalars.

python examples/asian_option.py [--paths 100000] [--threads 1] [--seed 0] [--out asian_option.png]

It takes a few seconds, and needs `pip install '.[demo]'`.

The option pays the amount by which the mean of a year's daily prices exceeds the strike. Its Greeks are the gradient of
its price with respect to the spot price (delta), the interest rate (rho), and each of the 252 volatilities of a curve
(vegas).
"""

import argparse
import math
import time
from statistics import NormalDist

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import pygrad

DAYS = 252
DT = 1 / DAYS
STRIKE = 100.0
SPOT, RATE = 100.0, 0.03
VOLS = 0.2 + 0.1 * np.exp(-(((np.arange(DAYS) - 90) / 30) ** 2))  # calm, with one turbulent season
BATCH = 10_000  # paths per call: their normals take 20 MB


# The simulation, on scalars ---------------------------------------------------------------------------------------


def log_prices(spot, rate, vols, normals):
    """Yield the logarithm of the price on each day of one path, a geometric Brownian motion."""
    x = spot.log()
    for vol, normal in zip(vols, normals):
        x = x + (rate - vol * vol / 2) * DT + vol * math.sqrt(DT) * normal
        yield x


def discounted_payoff(mean, rate):
    """The option's payoff after a year, discounted to today."""
    return (mean - STRIKE).relu() * (-rate).exp()


def asian_call(spot, rate, vols, normals):
    """The discounted payoff of the option on one path."""
    mean = sum(x.exp() for x in log_prices(spot, rate, vols, normals)) / DAYS
    return discounted_payoff(mean, rate)


def geometric_call(spot, rate, vols, normals):
    """The same with the geometric mean. Its price has a closed form, which checks the simulation."""
    mean = (sum(log_prices(spot, rate, vols, normals)) / DAYS).exp()
    return discounted_payoff(mean, rate)


def nodes_of_a_path():
    """The number of scalar nodes in the graph of asian_call on one path, arguments included."""
    before = pygrad.memory_stats().live_nodes
    arguments = pygrad.Value(SPOT), pygrad.Value(RATE), pygrad.array(VOLS), pygrad.array(np.zeros(DAYS))
    payoff = asian_call(*arguments)  # keeps the graph alive until it is counted
    nodes = pygrad.memory_stats().live_nodes - before
    del payoff
    return nodes


# Checks ---------------------------------------------------------------------------------------------------------


def closed_form(spot, rate, vols):
    """The price of geometric_call, after Kemna & Vorst (1990), but exact for daily prices and a curve of volatilities.

    The logarithm of the mean is normally distributed. The normal of day i enters 252 - i prices: those from day i on.
    """
    weight = (DAYS - np.arange(DAYS)) / DAYS
    m = math.log(spot) + np.sum(weight * (rate - vols**2 / 2)) * DT
    s = math.sqrt(np.sum((weight * vols) ** 2) * DT)
    d = (m - math.log(STRIKE)) / s
    cdf = NormalDist().cdf
    return math.exp(-rate) * (math.exp(m + s * s / 2) * cdf(d + s) - STRIKE * cdf(d))


def central_differences(price, h=1e-7):
    """Delta, rho and vegas of a function of spot, rate and volatilities, which is called 508 times.

    With a small h it is unlikely that a simulated path pays on one side only. Floats are precise enough for it.
    """
    bumps = h * np.eye(DAYS)
    delta = (price(SPOT + h, RATE, VOLS) - price(SPOT - h, RATE, VOLS)) / (2 * h)
    rho = (price(SPOT, RATE + h, VOLS) - price(SPOT, RATE - h, VOLS)) / (2 * h)
    vegas = [(price(SPOT, RATE, VOLS + bump) - price(SPOT, RATE, VOLS - bump)) / (2 * h) for bump in bumps]
    return delta, rho, np.array(vegas)


def check_greeks(f, z, console):
    """Compare the gradient with finite differences on the same paths; return whether they agree."""
    _, (*greeks, _) = f.value_and_grad(SPOT, RATE, VOLS, z, cotangent=1 / len(z))
    differences = central_differences(lambda *arguments: f(*arguments, z).mean())
    table = Table("Greek", "gradient", "differences", "off by", title=f"Greeks of {len(z):,} paths, two ways")
    worst = 0.0
    for name, greek, difference in zip(("delta", "rho", "252 vegas"), greeks, differences):
        off = np.abs(greek - difference).max() / np.abs(difference).max()
        table.add_row(name, f"{np.sum(greek):.8f}", f"{np.sum(difference):.8f}", f"{off:.1e}")
        worst = max(worst, off)
    console.print(table)
    console.print("The row of the vegas shows their sum, and the largest error relative to the largest vega.")
    return worst < 1e-5


def check_price(payoffs, console):
    """Compare the price of geometric_call with its closed form; return whether they agree."""
    price, error = mean_and_error(payoffs)
    exact = closed_form(SPOT, RATE, VOLS)
    off = abs(price - exact) / error
    table = Table("simulated", "standard error", "closed form", "off by", title="Price of the geometric Asian call")
    table.add_row(f"{price:.4f}", f"{error:.4f}", f"{exact:.4f}", f"{off:.2f} standard errors")
    console.print(table)
    return off < 4


# Running it -------------------------------------------------------------------------------------------------------


def mean_and_error(payoffs):
    """The mean of the payoffs, which estimates the price, and its standard error."""
    return payoffs.mean(), payoffs.std(ddof=1) / math.sqrt(len(payoffs))


def timed(f, *args, **kwargs):
    """The result of f, and the seconds it took."""
    start = time.perf_counter()
    result = f(*args, **kwargs)
    return result, time.perf_counter() - start


def simulate(f, geometric, paths, rng, advance):
    """Simulate both options on all paths.

    Returns the payoffs of both options, the Greeks of f, and the median seconds per path of f: with all Greeks, and for
    the price alone.
    """
    payoffs, geometric_payoffs, seconds = [], [], []
    delta, rho, vegas = 0.0, 0.0, np.zeros(DAYS)
    for start in range(0, paths, BATCH):
        z = rng.standard_normal((min(BATCH, paths - start), DAYS))
        (values, gradients), both = timed(f.value_and_grad, SPOT, RATE, VOLS, z, cotangent=1 / paths)
        _, alone = timed(f, SPOT, RATE, VOLS, z)
        delta, rho, vegas = (total + part for total, part in zip((delta, rho, vegas), gradients))
        payoffs.append(values)
        geometric_payoffs.append(geometric(SPOT, RATE, VOLS, z))
        seconds.append((both / len(z), alone / len(z)))
        advance(len(z))
    return np.concatenate(payoffs), np.concatenate(geometric_payoffs), (delta, rho, vegas), np.median(seconds, axis=0)


def plot(payoffs, vegas, file):
    """Draw the curve of volatilities, the vega of each day, and a histogram of the payoffs."""
    _, _, geometric_vegas = central_differences(closed_form, h=1e-4)
    fig, axes = plt.subplot_mosaic(
        [["vols", "payoffs"], ["vegas", "payoffs"]], figsize=(11, 5), height_ratios=[1, 2], layout="constrained"
    )
    axes["vols"].plot(VOLS, color="0.3")
    axes["vols"].set(title="Volatility: a calm year with one turbulent season", ylabel="volatility", ylim=(0, None))
    axes["vols"].set(xticklabels=[])
    axes["vegas"].plot(vegas, ".", color="tab:blue", label="Asian call, simulated")
    axes["vegas"].plot(geometric_vegas, color="tab:orange", label="geometric Asian call, closed form")
    axes["vegas"].set(title="Vega: early days move all later prices", xlabel="day")
    axes["vegas"].set(ylabel="d price / d volatility")
    axes["vegas"].axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes["vegas"].legend(frameon=False)
    axes["payoffs"].hist(payoffs[payoffs > 0], bins=60, color="tab:blue")
    axes["payoffs"].axvline(
        payoffs.mean(), color="tab:orange", label=f"mean of all paths, the price: {payoffs.mean():.2f}"
    )
    title = f"Payoff: {np.mean(payoffs == 0):.0%} of the paths pay nothing, few pay much"
    axes["payoffs"].set(title=title, xlabel="payoff above 0, discounted", ylabel="paths", xlim=(0, None))
    axes["payoffs"].legend(frameon=False)
    fig.savefig(file, dpi=150)


def main():
    parser = argparse.ArgumentParser(description="an Asian call option and its 254 Greeks by Monte Carlo")
    parser.add_argument("--paths", type=int, default=100_000, help="the number of simulated paths (default 100,000)")
    parser.add_argument("--threads", type=int, default=1, help="the number of threads (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the random numbers (default 0)")
    parser.add_argument("--out", default="asian_option.png", help="the file for the picture (default asian_option.png)")
    options = parser.parse_args()
    if options.paths < 2:
        parser.error(f"--paths must be at least 2 for a standard error, got {options.paths}")

    console = Console()
    rng = np.random.default_rng(options.seed)
    example = SPOT, RATE, VOLS, np.zeros(DAYS)
    f, tracing = timed(pygrad.compile, asian_call, *example, threads=options.threads)
    geometric = pygrad.compile(geometric_call, *example, threads=options.threads)
    console.print(f"One path is a graph of {nodes_of_a_path():,} scalar nodes, compiled in {tracing:.3f} seconds.")

    greeks_agree = check_greeks(f, rng.standard_normal((min(1000, options.paths), DAYS)), console)
    columns = [TextColumn("paths"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=options.paths)
        results = simulate(f, geometric, options.paths, rng, lambda n: progress.advance(task, n))
    payoffs, geometric_payoffs, (delta, rho, vegas), (both, alone) = results
    price_agrees = check_price(geometric_payoffs, console)

    price, error = mean_and_error(payoffs)
    table = Table("price", "standard error", "delta", "rho", "total vega", title="The arithmetic Asian call")
    table.add_row(*(f"{x:.4f}" for x in (price, error, delta, rho, vegas.sum())))
    console.print(table)
    console.print(
        f"[bold]A path takes {both * 1e6:.2f} microseconds, with all 254 Greeks, on {options.threads} "
        f"thread{'s' * (options.threads > 1)}.[/bold]\n"
        f"The price alone takes {alone * 1e6:.2f} microseconds. The Greeks make it {both / alone:.1f} times as long."
    )
    plot(payoffs, vegas, options.out)
    console.print(f"The plot is in {options.out}")
    if not greeks_agree:
        raise SystemExit("the Greeks and the finite differences do not agree")
    if not price_agrees:
        raise SystemExit("the simulation and the closed form do not agree")


if __name__ == "__main__":
    main()
