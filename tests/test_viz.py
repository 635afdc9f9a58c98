"""Pictures of graphs."""

import shutil
import subprocess

import pytest

from pygrad import Value, viz

needs_dot = pytest.mark.skipif(not shutil.which("dot"), reason="needs graphviz's dot")


def graph():
    x = Value(1.0, label="x")
    y = (x * 2 + 1).relu()
    y.backward()
    return y


def test_the_picture_has_a_box_a_node_and_an_oval_an_op():
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
def test_dot_can_read_it_whatever_the_label():
    v = Value(1, label='a{b}|<c>"\\\nd')
    w = Value(2, (v,), '"op"\\')
    done = subprocess.run(["dot", "-Tsvg"], input=viz.to_dot(w), capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "a{b}|&lt;c&gt;&quot;\\" in done.stdout.replace("&#45;", "-")


def test_a_shared_node_is_drawn_once():
    x = Value(3)
    assert viz.to_dot(x * x).count("shape=record") == 2


def test_an_op_of_one_s_own_is_drawn():
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


def test_only_values_can_be_drawn():
    with pytest.raises(TypeError, match="int"):
        viz.to_dot(3)


def test_drawing_leaves_nothing_behind(no_leak):
    viz.to_dot(graph())


def test_without_the_package_the_error_names_it(python):
    out = python(
        "import sys; sys.modules['graphviz'] = None\n"
        "from pygrad import Value, viz\n"
        "try: viz.draw_dot(Value(1))\nexcept ImportError as error: print(error)\n"
    )
    assert "pip install graphviz" in out
