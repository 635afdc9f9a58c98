"""Draws the decision boundary of a classifier."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad._lib import Numbers
from pygrad._numbers import is_number, to_ndarray
from pygrad.array import Array
from pygrad.engine import Value
from pygrad.program import TraceWarning, compile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 100  # grid points on each axis; the boundary is interpolated between them


def plot_decision_boundary(
    model: Callable[[list[Value]], Any],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    ax: Axes | None = None,
    *,
    margin: float = 1.0,
    cmap: str = "Spectral",
) -> Axes:
    """Draw the decision boundary of a model, and the samples, as micrograd's demo does.

    Parameters
    ----------
    model
        Takes a list of two Values and returns the score: a Value, or a list or Array that holds one. A score above 0
        means the second class.
    X
        The samples, an array of shape (n, 2).
    y
        The classes of the samples, an array of shape (n,). The numbers, such as -1 and 1, determine the colours.
    ax
        The axes to draw on. The default is the current matplotlib axes.
    margin
        The width of the border around the samples, in the units of X.
    cmap
        The name of a matplotlib colormap. Its first colour marks scores of at most 0, its last colour scores above 0.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the drawing.

    Raises
    ------
    ValueError
        If X does not have shape (n, 2) or y shape (n,), if there are no samples, if a sample is not finite, or if the
        model returns more than one score.
    TypeError
        If the model does not return a score.
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> ax = plot_decision_boundary(lambda x: x[0] - x[1] ** 2, [[2.0, 1.0], [-1.0, 0.0]], [1, -1])  # doctest: +SKIP
    >>> ax.figure.savefig("boundary.png")  # doctest: +SKIP
    """
    X, y = to_ndarray(X).astype(np.float64), to_ndarray(y)
    if X.ndim != 2 or X.shape[1] != 2 or not len(X):
        raise ValueError(f"X must have shape (n, 2) with n > 0, got shape {X.shape}")
    if y.shape != X.shape[:1]:
        raise ValueError(f"y must have a number for each of the {len(X)} samples of X, got shape {y.shape}")
    if not np.isfinite(X).all():
        raise ValueError("X must be finite; remove the samples with a nan or an inf")
    try:
        import matplotlib
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plot_decision_boundary needs `pip install matplotlib`") from error
    sides = [np.linspace(low - margin, high + margin, _POINTS) for low, high in zip(X.min(axis=0), X.max(axis=0))]
    xx, yy = np.meshgrid(*sides)
    scores = _scores(model, np.column_stack([xx.ravel(), yy.ravel()])).reshape(xx.shape)
    ax = plt.gca() if ax is None else ax
    colours = matplotlib.colormaps[cmap]
    scores = np.clip(scores, -1e300, 1e300)  # an inf has a sign, too; a nan has none and is left blank
    ax.contourf(xx, yy, scores, levels=[-np.inf, 0, np.inf], colors=[colours(0.0), colours(1.0)], alpha=0.8)
    ax.scatter(X[:, 0], X[:, 1], c=y, s=40, cmap=cmap, edgecolors="k", linewidths=0.5)
    ax.set(xlim=sides[0][[0, -1]], ylim=sides[1][[0, -1]])
    return ax


def _scores(model: Callable[[list[Value]], Any], points: Numbers) -> Numbers:
    """The model's score at each point, by a Program, or by a call for each point if the model cannot be compiled."""

    def score(x: list[Value]) -> Any:
        return _single_score(model(x))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", TraceWarning)
            program = compile(score, [0.0, 0.0])
    except (TraceWarning, TypeError):
        return np.array([float(score([Value(x), Value(y)])) for x, y in points.tolist()])
    return np.asarray(program(points))


def _single_score(result: Any) -> Any:
    """The score in a model's result."""
    if isinstance(result, Array):
        result = result.ravel()
    if isinstance(result, (Array, list, tuple)):
        if len(result) != 1:
            raise ValueError(f"the model must return one score, not {len(result)}; pass a function that selects one")
        result = result[0]
    if not isinstance(result, Value) and not is_number(result):
        raise TypeError(f"the model must return a Value, or a list or Array of one, not {type(result).__name__!r}")
    return result
