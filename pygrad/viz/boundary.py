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
        means the second class. With more scores, the largest one is that of the class.
    X
        The samples, an array of shape (n, 2).
    y
        The classes of the samples, an array of shape (n,). The numbers, such as -1 and 1, determine the colours. Of a
        model with k scores they are 0 to k - 1.
    ax
        The axes to draw on. The default is the current matplotlib axes.
    margin
        The width of the border around the samples, in the units of X.
    cmap
        The name of a matplotlib colormap. Its first colour marks scores of at most 0, its last colour scores above 0.
        Those of k classes are evenly spaced.

    Returns
    -------
    matplotlib.axes.Axes
        The axes with the drawing.

    Raises
    ------
    ValueError
        If X does not have shape (n, 2) or y shape (n,), if there are no samples, if a sample is not finite, if the
        model returns no score, or if y is not a class of a model with several.
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
    scores = _scores(model, np.column_stack([xx.ravel(), yy.ravel()]))
    scores = np.clip(scores, -1e300, 1e300)  # an inf has a sign, too; a nan has none and is left blank
    classes = len(scores)
    if classes > 1 and not np.isin(y, range(classes)).all():
        raise ValueError(f"the model has {classes} scores, so y must be of the classes 0 to {classes - 1}")
    ax = plt.gca() if ax is None else ax
    colours = matplotlib.colormaps[cmap](np.linspace(0.0, 1.0, max(classes, 2)))
    for i, lead in enumerate(_leads(scores).reshape(-1, *xx.shape)):
        levels, shown = ([0, np.inf], colours[i : i + 1]) if classes > 1 else ([-np.inf, 0, np.inf], colours)
        ax.contourf(xx, yy, lead, levels=levels, colors=shown, alpha=0.3)
        if lead.min() <= 0 < lead.max():
            ax.contour(xx, yy, lead, levels=[0], colors="0.4", linewidths=1)
    low, high = (0, classes - 1) if classes > 1 else (None, None)
    ax.scatter(X[:, 0], X[:, 1], c=y, s=40, cmap=cmap, vmin=low, vmax=high, edgecolors="k", linewidths=0.8)
    ax.set(xlim=sides[0][[0, -1]], ylim=sides[1][[0, -1]])
    return ax


def _leads(scores: Numbers) -> Numbers:
    """By how much each score is above all others; one score alone is compared with 0."""
    if len(scores) == 1:
        return scores
    return np.array([score - np.delete(scores, i, axis=0).max(axis=0) for i, score in enumerate(scores)])


def _scores(model: Callable[[list[Value]], Any], points: Numbers) -> Numbers:
    """The model's scores at the points, a row for each; by a Program, or by calls if the model cannot be compiled."""

    def score(x: list[Value]) -> Any:
        return _checked_scores(model(x))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", TraceWarning)
            program = compile(score, [0.0, 0.0])
    except (TraceWarning, TypeError):
        return np.array([[float(s) for s in score([Value(x), Value(y)])] for x, y in points.tolist()]).T
    return np.array(program(points))


def _checked_scores(result: Any) -> list[Any]:
    """The scores in a model's result."""
    scores = list(result.ravel()) if isinstance(result, Array) else result
    scores = list(scores) if isinstance(scores, (list, tuple)) else [scores]
    if not scores:
        raise ValueError("the model must return a score, or one for each class, not none")
    for score in scores:
        if not isinstance(score, Value) and not is_number(score):
            raise TypeError(f"the model must return a Value, or a list or Array of them, not {type(score).__name__!r}")
    return scores
