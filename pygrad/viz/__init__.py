"""Draws graphs, as micrograd's notebook does or as a page to explore, and the decision boundary of a model."""

from pygrad.viz.boundary import plot_decision_boundary
from pygrad.viz.dot import draw_dot, to_dot
from pygrad.viz.page import GraphPage, graph_html

__all__ = ["GraphPage", "draw_dot", "graph_html", "plot_decision_boundary", "to_dot"]
