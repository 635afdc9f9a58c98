"""Pictures of graphs and of decision boundaries; test_graph_*.py test graph_html()."""

import math
import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
import pytest

import pygrad
from pygrad import Value, viz

needs_dot = pytest.mark.skipif(not shutil.which("dot"), reason="needs graphviz's dot")


def graph():
    x = Value(1.0, label="x")
    y = (x * 2 + 1).relu()
    y.backward()
    return y


def test_the_picture_has_a_box_per_node_and_an_oval_per_op():
    dot = viz.to_dot(graph())
    assert dot.count("shape=record") == 6
    assert dot.count("->") == 3 + 5  # from each op to its result, and from each operand to its op
    assert '"{ x | data 1.0000 | grad 2.0000 }"' in dot
    assert '[label="ReLU"]' in dot
    assert "rankdir=LR" in dot


def test_draw_dot_is_a_digraph_with_the_text_of_to_dot():
    picture = viz.draw_dot(graph(), format="png", rankdir="TB")
    assert (type(picture).__name__, picture.format) == ("Digraph", "png")
    assert picture.source.split() == viz.to_dot(graph(), rankdir="TB").split()


@needs_dot
def test_dot_can_read_the_text_whatever_the_label():
    v = Value(1, label='a{b}|<c>"\\\nd')
    w = Value(2, (v,), '"op"\\')
    done = subprocess.run(["dot", "-Tsvg"], input=viz.to_dot(w), capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "a{b}|&lt;c&gt;&quot;\\" in done.stdout.replace("&#45;", "-")


def test_a_shared_node_is_drawn_once():
    x = Value(3)
    assert viz.to_dot(x * x).count("shape=record") == 2


def test_a_custom_op_is_drawn():
    x = Value(3)
    assert 'label="cube"' in viz.to_dot(Value(27, (x,), "cube"))


def test_a_graph_too_large_is_refused_with_advice():
    v = Value(1)
    for _ in range(3000):
        v = v.relu()
    with pytest.raises(ValueError, match=r"more than 2000 nodes.*draw a part"):
        viz.draw_dot(v)
    with pytest.raises(ValueError, match="more than 2000 nodes"):
        viz.to_dot(v)


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="'RL'"):
        viz.to_dot(Value(1), rankdir="RL")


@pytest.mark.parametrize("picture", [viz.to_dot, viz.draw_dot, viz.graph_html])
def test_an_array_without_axes_is_drawn_as_its_value(picture):
    root = (pygrad.array([1.0, 2.0]) * 3).sum()
    assert str(picture(root)) == str(picture(root[()]))


@pytest.mark.parametrize("picture", [viz.to_dot, viz.draw_dot, viz.graph_html])
@pytest.mark.parametrize(
    ("root", "error", "message"),
    [
        (3, TypeError, "a Value, an Array, or a list of them, not 'int'"),
        ([Value(1), "x"], TypeError, "not 'str'"),
        ([], ValueError, "root is empty: pass at least one Value"),
        (pygrad.array([]), ValueError, "root is empty"),
        (None, TypeError, "not 'NoneType'"),
        (pygrad.MLP(1, [1]), TypeError, "a model: pass what the MLP returns"),
    ],
)
def test_anything_else_is_refused(picture, root, error, message):
    with pytest.raises(error, match=message):
        picture(root)


@pytest.mark.parametrize("picture", [viz.to_dot, viz.graph_html])
def test_several_roots_have_their_common_graph(picture):
    def count(root, what={viz.to_dot: "shape=record", viz.graph_html: '"op":'}[picture]):
        return str(picture(root)).count(what)

    x = pygrad.array([1.0, 2.0])
    y = x * 3
    total = y.sum()
    assert str(picture([y[0], [total], y[0]])) == str(picture((y[0], total)))
    assert count([y[0], total]) == count(total) == count([y, total])
    assert count(y) == count(list(y)) == count(y[0]) + count(y[1])
    assert str(picture([total])) == str(picture(total))


def test_drawing_leaks_no_node(no_leak):
    viz.to_dot(graph())


@needs_dot
@pytest.mark.parametrize("format", ["svg", "png"])
def test_a_notebook_shows_draw_dot_s_picture(format):
    shown = viz.draw_dot(graph(), format=format)._repr_mimebundle_()
    assert list(shown) == ["image/svg+xml"]
    assert ">x</text>" in shown["image/svg+xml"]


def test_the_error_without_graphviz_names_it(python):
    out = python(
        "import sys; sys.modules['graphviz'] = None\n"
        "from pygrad import Value, viz\n"
        "try: viz.draw_dot(Value(1))\nexcept ImportError as error: print(error)\n"
    )
    assert "pip install graphviz" in out


# plot_decision_boundary -------------------------------------------------------------------------------------------

X, Y = np.array([[0.0, 0.0], [1.0, 2.0], [-1.0, 3.0]]), np.array([-1, 1, 1])


@pytest.fixture
def ax():
    plt.switch_backend("agg")
    fig, ax = plt.subplots(figsize=(4, 4), dpi=50)
    yield ax
    plt.close(fig)


def sides(ax, *points):
    """The side of the boundary on which points of the plane are drawn: False is red, True blue, None blank."""
    ax.collections[-1].remove()  # the samples
    ax.figure.canvas.draw()
    picture = np.asarray(ax.figure.canvas.buffer_rgba()).astype(int)
    pixels = [ax.transData.transform(point) for point in points]
    colours = [picture[len(picture) - round(y), round(x), :3] for x, y in pixels]
    return [None if c.min() > 240 else bool(c[2] > c[0]) for c in colours]


def calls_of(model):
    """The model, and a list of its calls."""
    calls = []
    return lambda x: calls.append(x) or model(x), calls


@pytest.mark.parametrize(
    "model",
    [
        lambda x: x[0] - 0.5,
        lambda x: [x[0] - 0.5],
        lambda x: (x[0] - 0.5,),
        lambda x: pygrad.array(x)[:1] - 0.5,
        lambda x: (pygrad.array(x) - [0.5, 0.0]) @ pygrad.array([1.0, 0.0]),
        lambda x: x[0].data - 0.5,
        lambda x: x[0] - (0.5 if x[0].data > 0 else 1.0),
    ],
    ids=["Value", "list", "tuple", "Array", "Array without axes", "number", "one that looks at numbers"],
)
def test_the_plane_is_divided_where_the_score_is_0(ax, model):
    assert viz.plot_decision_boundary(model, X, Y, ax) is ax
    assert sides(ax, (-0.5, 1.0), (0.45, 1.0), (0.55, 3.0), (1.5, 0.0)) == [False, False, True, True]


def test_a_trained_model_s_boundary_is_that_of_its_scores(ax):
    model = pygrad.MLP(2, [8, 1])
    points = np.random.default_rng(0).uniform(-2, 4, (50, 2))
    viz.plot_decision_boundary(model, points, np.ones(50), ax)
    scores = [model(list(map(Value, point))).data for point in points.tolist()]
    clear = [i for i, score in enumerate(scores) if abs(score) > 0.2]
    assert sides(ax, *points[clear]) == [scores[i] > 0 for i in clear]


def test_the_samples_are_drawn_in_the_colours_of_their_classes(ax):
    viz.plot_decision_boundary(lambda x: x[0], X, Y, ax, cmap="coolwarm")
    samples = ax.collections[-1]
    assert np.array_equal(samples.get_offsets(), X)
    assert np.array_equal(samples.get_array(), Y)
    assert samples.get_cmap().name == "coolwarm"


def test_the_margin_is_around_the_samples(ax):
    viz.plot_decision_boundary(lambda x: x[0], X, Y, ax, margin=0.5)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1.5, 1.5), (-0.5, 3.5))


def test_the_current_axes_are_used_by_default(ax):
    assert viz.plot_decision_boundary(lambda x: x[0], X, Y) is ax


def test_lists_and_arrays_are_samples_too(ax):
    viz.plot_decision_boundary(lambda x: x[0], X.tolist(), Y.tolist(), ax)
    viz.plot_decision_boundary(lambda x: x[0], pygrad.array(X), [True, False, False], ax)


def test_a_model_on_one_side_everywhere_has_no_boundary(ax):
    viz.plot_decision_boundary(lambda x: x[0].relu() + 1, X, Y, ax)
    assert sides(ax, (-0.5, 1.0), (1.5, 0.0)) == [True, True]


def test_a_score_of_0_counts_as_negative(ax):
    viz.plot_decision_boundary(lambda x: x[0].relu(), X, Y, ax)
    assert sides(ax, (-0.5, 1.0), (1.5, 0.0)) == [False, True]


def test_an_infinite_score_has_a_side_and_nan_has_none(ax):
    viz.plot_decision_boundary(lambda x: (x[0] * 1e4).exp() - 1, X, Y, ax)
    assert sides(ax, (-0.5, 1.0), (1.5, 0.0)) == [False, True]
    ax.clear()
    viz.plot_decision_boundary(lambda x: x[0] + math.nan, X, Y, ax)
    assert sides(ax, (-0.5, 1.0), (1.5, 0.0)) == [None, None]


def test_a_model_is_traced_once_where_possible(ax):
    model, calls = calls_of(pygrad.MLP(2, [4, 1]))
    viz.plot_decision_boundary(model, X, Y, ax)
    assert len(calls) == 1


def test_a_custom_op_can_be_plotted(ax):
    def model(x):
        out = Value(math.cos(x[0].data), (x[0],), "mycos")
        out._backward = lambda: None
        return out

    viz.plot_decision_boundary(model, [[-3.0, 0.0], [3.0, 0.0]], [0, 1], ax)
    assert sides(ax, (-2.0, 0.0), (0.0, 0.0), (2.0, 0.0)) == [False, True, False]


def test_plotting_changes_no_gradient_and_leaks_no_node(ax, no_leak):
    model = pygrad.MLP(2, [4, 1])
    model([1.0, 2.0]).backward()
    before = [p.grad for p in model.parameters()]
    viz.plot_decision_boundary(model, X, Y, ax)
    assert [p.grad for p in model.parameters()] == before


@pytest.mark.parametrize("bad", [X[:, :1], X.T, X[0], X[None], np.empty((0, 2)), 3.0])
def test_samples_of_another_shape_are_refused(ax, bad):
    with pytest.raises(ValueError, match=r"X must have shape \(n, 2\)"):
        viz.plot_decision_boundary(lambda x: x[0], bad, Y, ax)


@pytest.mark.parametrize("bad", [Y[:2], [*Y, 1], Y[:, None], 1])
def test_classes_of_another_length_are_refused(ax, bad):
    with pytest.raises(ValueError, match="y must have a number for each of the 3 samples"):
        viz.plot_decision_boundary(lambda x: x[0], X, bad, ax)


def test_samples_that_are_not_finite_are_refused(ax):
    with pytest.raises(ValueError, match="X must be finite"):
        viz.plot_decision_boundary(lambda x: x[0], [[0, math.nan]], [1], ax)


def three_classes(x):
    """Left of -1, between, and right of 1."""
    return [-x[0], x[0] * 0 + 1.0, x[0]]


@pytest.mark.parametrize(
    "model",
    [
        three_classes,
        lambda x: tuple(three_classes(x)),
        lambda x: pygrad.array(three_classes(x)),
        lambda x: [-x[0].data, 1.0, x[0].data],  # cannot be traced
    ],
    ids=["list", "tuple", "Array", "floats"],
)
def test_several_scores_are_those_of_classes(ax, model):
    viz.plot_decision_boundary(model, [[-3.0, 0.0], [0.0, 0.0], [3.0, 0.0]], [0, 1, 2], ax)
    samples = ax.collections[-1].to_rgba([0, 1, 2])[:, :3]
    grounds = [each.get_facecolor()[0, :3] for each in ax.collections[:-1]]
    assert np.allclose(samples, grounds, atol=0.02)
    assert drawn(ax, (-2.0, 0.0), (0.0, 0.0), (2.0, 0.0)) == [0, 1, 2]


def drawn(ax, *points):
    """The place of the region in which each point is filled."""
    regions = ax.collections[:-1]
    found = [[i for i, r in enumerate(regions) if r.get_paths()[0].contains_point(point)] for point in points]
    return [i for (i,) in found]


def test_a_class_without_a_score_is_refused(ax):
    with pytest.raises(ValueError, match="y must hold classes from 0 to 1, for the model returns 2 scores"):
        viz.plot_decision_boundary(lambda x: x, X, [-1, 1, 1], ax)


@pytest.mark.parametrize("none", [lambda x: [], lambda x: pygrad.array(x)[:0]], ids=["list", "Array"])
def test_a_model_without_a_score_is_refused(ax, none):
    with pytest.raises(ValueError, match="it returns none"):
        viz.plot_decision_boundary(none, X, Y, ax)


def test_a_model_that_returns_something_else_is_refused(ax):
    with pytest.raises(TypeError, match="must return a Value, or a list or Array of them, not 'str'"):
        viz.plot_decision_boundary(lambda x: "1", X, Y, ax)


def test_the_error_without_matplotlib_names_it(python):
    out = python(
        "import sys; sys.modules['matplotlib'] = None\n"
        "from pygrad import viz\n"
        "try: viz.plot_decision_boundary(lambda x: x[0], [[0, 0]], [1])\nexcept ImportError as error: print(error)\n"
    )
    assert "pip install matplotlib" in out
