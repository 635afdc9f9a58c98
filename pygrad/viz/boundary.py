"""Draws the decision boundaries of a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
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
    """Draw the decision boundaries of a model, and the samples, as micrograd's demo does.

    Parameters
    ----------
    model
        Takes a list of two Values and returns the score, or a list or Array of scores. Of a single score, a number
        above 0 means the second class. Of several, each is that of a class, and the largest wins; where two are equal,
        nothing is drawn.
    X
        The samples, an array of shape (n, 2).
    y
        The classes of the samples, an array of shape (n,). The numbers, such as -1 and 1, determine the colours. If the
        model returns a score for each class, they are the classes' places, from 0 on.
    ax
        The axes to draw on. The default is the current matplotlib axes.
    margin
        The width of the border around the samples, in the units of X.
    cmap
        The name of a matplotlib colormap. Its first colour is that of the first class, its last that of the last.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the drawing.

    Raises
    ------
    ValueError
        If X does not have shape (n, 2) or y shape (n,), if there are no samples, if a sample is not finite, if the
        model returns no score, or if y has a class for which there is none.
    TypeError
        If the model returns something else than scores.
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
    scores = _scores(model, np.column_stack([xx.ravel(), yy.ravel()]))
    if len(scores) > 1 and not np.isin(y, range(len(scores))).all():
        raise ValueError(f"y must hold classes from 0 to {len(scores) - 1}, for the model returns {len(scores)} scores")
    ax = plt.gca() if ax is None else ax
    colours = matplotlib.colormaps[cmap].resampled(max(len(scores), 2))
    for lead, levels, classes in _regions(scores):
        ground = [colours(c) for c in classes]
        ax.contourf(xx, yy, lead.reshape(xx.shape), levels=levels, colors=ground, alpha=0.35)
    first, last = (0, len(scores) - 1) if len(scores) > 1 else (None, None)
    ax.scatter(X[:, 0], X[:, 1], c=y, s=40, cmap=cmap, edgecolors="black", linewidths=0.6, vmin=first, vmax=last)
    ax.set(xlim=sides[0][[0, -1]], ylim=sides[1][[0, -1]])
    return ax


def _regions(scores: Numbers) -> Iterator[tuple[Numbers, list[float], list[int]]]:
    """The regions to fill: numbers at each point, the levels between which they lie, and the class of each interval."""
    scores = np.clip(scores, -1e300, 1e300)  # an inf has a sign, too; a nan has none and is left blank
    if len(scores) == 1:
        yield scores[0], [-np.inf, 0, np.inf], [0, 1]
        return
    for c, score in enumerate(scores):
        yield score - np.delete(scores, c, axis=0).max(axis=0), [0, np.inf], [c]


def _scores(model: Callable[[list[Value]], Any], points: Numbers) -> Numbers:
    """The model's scores, each at all points, by a Program, or by a call for each point if it cannot be compiled."""

    def scores(x: list[Value]) -> list[Any]:
        return _listed(model(x))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", TraceWarning)
            program = compile(scores, [0.0, 0.0])
    except (TraceWarning, TypeError):
        return np.array([list(map(float, scores([Value(x), Value(y)]))) for x, y in points.tolist()]).T
    return np.array(program(points))


def _listed(result: Any) -> list[Any]:
    """The scores in a model's result."""
    if isinstance(result, Array):
        result = result.ravel()
    scores = list(result) if isinstance(result, (Array, list, tuple)) else [result]
    if not scores:
        raise ValueError("the model must return a score, or one for each class; it returns none")
    for score in scores:
        if not isinstance(score, Value) and not is_number(score):
            raise TypeError(f"the model must return a Value, or a list or Array of them, not {type(score).__name__!r}")
    return scores
