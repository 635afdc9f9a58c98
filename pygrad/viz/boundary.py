"""What a classifier has learnt, in a picture: the plane as it divides it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
import numpy.typing as npt

from pygrad._lib import Numbers
from pygrad._numbers import is_number
from pygrad.array import Array
from pygrad.engine import Value
from pygrad.program import TraceWarning, compile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 100  # on each axis of the grid; the boundary is drawn by interpolation between them


def plot_decision_boundary(
    model: Callable[[list[Value]], Any],
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    ax: Axes | None = None,
    *,
    margin: float = 1.0,
    cmap: str = "Spectral",
) -> Axes:
    """Draw the plane as the model divides it, and the samples, as micrograd's demo does.

    Parameters
    ----------
    model
        Takes a list of two Values, and returns the score: a Value, or a list or Array of one. A sample with a score
        above 0 belongs to the second class.
    X
        The samples, of shape (n, 2).
    y
        Their classes, of shape (n,): numbers to be coloured by, such as -1 and 1.
    ax
        Where to draw; by default on the current matplotlib axes.
    margin
        How far to draw beyond the samples, in the units of X.
    cmap
        A name of a matplotlib colormap: its first colour is for scores of at most 0, its last for those above.

    Returns
    -------
    matplotlib.axes.Axes
        where it was drawn

    Raises
    ------
    ValueError
        if X is not of shape (n, 2), y not of shape (n,), there is no sample or one that is not finite, or the model
        returns more than one score
    TypeError
        if the model returns something else
    ImportError
        without matplotlib

    Examples
    --------
    >>> ax = plot_decision_boundary(lambda x: x[0] - x[1] ** 2, [[2.0, 1.0], [-1.0, 0.0]], [1, -1])  # doctest: +SKIP
    >>> ax.figure.savefig("boundary.png")  # doctest: +SKIP
    """
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y)
    if X.ndim != 2 or X.shape[1] != 2 or not len(X):
        raise ValueError(f"X must have shape (n, 2), a row for each sample and at least one; its shape is {X.shape}")
    if y.shape != X.shape[:1]:
        raise ValueError(f"y must have a number for each of the {len(X)} samples of X; its shape is {y.shape}")
    if not np.isfinite(X).all():
        raise ValueError("X must be finite; leave the samples out that have a nan or an inf")
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
    scores = np.clip(scores, -1e300, 1e300)  # an inf is on a side, too; a nan is on neither, and left blank
    ax.contourf(xx, yy, scores, levels=[-np.inf, 0, np.inf], colors=[colours(0.0), colours(1.0)], alpha=0.8)
    ax.scatter(X[:, 0], X[:, 1], c=y, s=40, cmap=cmap, edgecolors="k", linewidths=0.5)
    ax.set(xlim=sides[0][[0, -1]], ylim=sides[1][[0, -1]])
    return ax


def _scores(model: Callable[[list[Value]], Any], points: Numbers) -> Numbers:
    """The model's score at each point: by a Program, or by calls if what the model does depends on the numbers."""

    def score(x: list[Value]) -> Any:
        return _only(model(x))

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", TraceWarning)
            program = compile(score, [0.0, 0.0])
    except (TraceWarning, TypeError):
        return np.array([float(score([Value(x), Value(y)])) for x, y in points.tolist()])
    return np.asarray(program(points))


def _only(result: Any) -> Any:
    """The one score in what a model returned."""
    if isinstance(result, Array):
        result = result.ravel()
    if isinstance(result, (Array, list, tuple)):
        if len(result) != 1:
            raise ValueError(f"the model must return one score, not {len(result)}; pass a function that picks one")
        result = result[0]
    if not isinstance(result, Value) and not is_number(result):
        raise TypeError(f"the model must return a Value, or a list or Array of one, not {type(result).__name__!r}")
    return result
