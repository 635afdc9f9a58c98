"""The page of the README's expression that the documentation shows: `played.html` of the site."""

from pygrad import Value
from pygrad.viz import GraphPage, graph_html


def readme() -> GraphPage:
    """Its passes, to be played. What the expression assigns again to a name gets the next number."""
    a, b = Value(-4.0, label="a"), Value(2.0, label="b")
    c1 = a + b
    d1 = a * b + b**3
    c2 = c1 + (c1 + 1)
    c3 = c2 + (1 + c2 + (-a))
    d2 = d1 + (d1 * 2 + (b + a).relu())
    d3 = d2 + (3 * d2 + (b - a).relu())
    e = c3 - d3
    f = e**2
    g1 = f / 2.0
    g = g1 + 10.0 / f
    names = {"c1": c1, "c2": c2, "c3": c3, "d1": d1, "d2": d2, "d3": d3, "e": e, "f": f, "g1": g1, "g": g}
    for name, value in names.items():
        value.label = name
    g.backward()
    return graph_html(g)
