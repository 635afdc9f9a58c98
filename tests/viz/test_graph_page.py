"""What the page of graph_html() contains."""

import html
import re
import subprocess
import sys

import pytest

import pygrad
from pygrad import Value, nn, viz
from support.graphs import NASTY, chain, data_of, made_of, nodes_of, readme


def test_the_page_has_every_node_with_its_numbers_to_the_last_digit():
    g = readme()
    nodes = {node["label"]: node for node in nodes_of(viz.graph_html(g))}
    values = made_of(g) | {g}
    assert len(nodes) == len(values) == 39
    for value in values:
        node = nodes[value.label]
        assert (float(node["data"]), float(node["grad"]), node["op"]) == (value.data, value.grad, value._op)
        assert {list(nodes)[operand] for operand in node["operands"]} == {v.label for v in value._prev}


def test_operands_are_in_order_and_repeated_if_used_twice():
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    pairs = {y**x: "yx", x**y: "xy", x * x: "xx", x**3: "x", Value(1.0, (y, x), "mine"): "yx", x.relu(): "x"}
    for root, names in pairs.items():
        nodes = nodes_of(viz.graph_html(root))
        assert "".join(nodes[operand]["label"] for operand in nodes[-1]["operands"]) == names


def test_a_single_leaf_is_a_graph():
    (node,) = nodes_of(viz.graph_html(Value(float("nan"), label="x")))
    assert (node["label"], node["op"], node["data"], node["operands"]) == ("x", "", "nan", [])


def test_the_page_has_the_places_of_the_roots():
    x = pygrad.array([1.0, 2.0])
    y = x * x
    data = data_of(viz.graph_html([y.sum(), y[1], x[0]]))
    assert [data["nodes"][place]["data"] for place in data["roots"]] == ["5.0", "4.0", "1.0"]
    assert data_of(viz.graph_html(y))["roots"] == [2, 3]


def test_a_graph_too_large_is_refused_with_its_size_and_advice():
    viz.graph_html(chain(4999))
    with pytest.raises(ValueError, match=r"has 5,001 nodes, and a page shows at most 5,000; show a part"):
        viz.graph_html(chain(5000))
    with pytest.raises(ValueError, match=r"has more than 100,000 nodes"):
        viz.graph_html(chain(150_000))


def test_the_page_is_the_same_every_time():
    code = "import random; random.seed(0); from pygrad import *; from pygrad.viz import graph_html\n"
    code += "print(graph_html(MLP(2, [4, 1])([Value(1), Value(2)])))"
    pages = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in "012"
    }
    assert len(pages) == 1


def test_the_page_is_saved_at_the_given_path(tmp_path):
    page = viz.graph_html(readme())
    assert page.save(tmp_path / "g.html").read_text(encoding="utf-8") == str(page)
    assert page.save(str(tmp_path / "h.html")) == tmp_path / "h.html"


def test_the_page_loads_nothing_and_forbids_loading():
    page = str(viz.graph_html(readme()))
    assert not re.search(r"https?:|\bsrc=|\bhref=|@import|url\(", page)
    assert "default-src 'none'" in page


def test_a_page_s_repr_is_short():
    assert len(repr(viz.graph_html(readme()))) < 100


def test_showing_a_graph_leaks_no_node(no_leak):
    viz.graph_html(readme())


def test_no_label_can_end_the_script_or_the_frame(tmp_path):
    label = NASTY + "\ud800"  # a lone surrogate, which no file can hold
    page = viz.graph_html(Value(1.0, (Value(2.0),), NASTY, label))
    assert nodes_of(page)[-1]["label"] == label
    assert str(page).count("</script>") == 2
    frame = re.fullmatch(r'<iframe srcdoc="([^"]*)" [^<>]*></iframe>', page._repr_html_())
    assert html.unescape(frame[1]) == str(page)
    page.save(tmp_path / "g.html")


def test_parameters_have_their_names_in_the_model_unless_they_have_labels():
    model = pygrad.MLP(2, [2, 1])
    model.layers[0].neurons[1].b.label = "mine"
    labels = [node["label"] for node in nodes_of(viz.graph_html(model([Value(1.0, label="x"), 2.0]), model))]
    names = [name for name, _ in model.named_parameters()]
    names[names.index("layers.0.neurons.1.b")] = "mine"
    assert sorted(filter(None, labels)) == sorted([*names, "x"])
    linear = nn.Linear(2, 1)
    linear.requires_grad_(False)
    labels = [node["label"] for node in nodes_of(viz.graph_html(linear([1.0, 2.0])[0], linear))]
    assert sorted(filter(None, labels)) == ["bias[0]", "weight[0, 0]", "weight[0, 1]"]


@pytest.mark.parametrize("model", [3, [Value(1.0)], nn.MLP])
def test_only_a_module_is_a_model(model):
    with pytest.raises(TypeError, match="model must be a Module, not"):
        viz.graph_html(Value(1.0), model)


def boxes_of(page):
    """The modules of each fold, with the number of their nodes."""
    folds = data_of(page)["folds"]
    return [{box["module"]: len(box["members"]) for box in fold if box["module"]} for fold in folds]


def test_modules_are_folded_from_the_smallest_to_the_largest():
    model = pygrad.MLP(2, [3, 1])
    loss = sum((model([Value(x, label="x"), Value(1.0, label="y")]) - 1) ** 2 for x in (1.0, 2.0))
    neurons, layers = boxes_of(viz.graph_html(loss, model))
    per_neuron = 3 + 2 * (2 + 2 + 1)  # parameters; and for each sample products, sums and a relu
    assert neurons == {
        **{f"layers.0.neurons.{k}": per_neuron for k in range(3)},
        "layers.1.neurons.0": 4 + 2 * (3 + 3),
    }
    assert layers == {"layers.0": 3 * per_neuron, "layers.1": 4 + 2 * (3 + 3)}


def test_what_is_between_the_nodes_of_a_module_is_folded_with_it():
    class Block(nn.Module):
        def __init__(self):
            self.a, self.b = Value(2.0), Value(3.0)

        def forward(self, x):
            return self.b * (self.a * x / 2).tanh()

    class Model(nn.Module):
        def __init__(self):
            self.one, self.two = Block(), Block()

    model = Model()
    x = Value(0.5, label="x")
    page = viz.graph_html(model.two(model.one(x) + x * x), model)
    assert boxes_of(page) == [{"one": 2 + 5, "two": 2 + 5}]


def test_of_modules_that_are_operands_of_each_other_one_stays_unfolded():
    class Model(nn.Module):
        def __init__(self):
            self.one, self.two, self.three = (nn.Neuron(1) for _ in range(3))

    model = Model()
    x = model.one([model.two([model.one([Value(0.5, label="x")])])])
    page = viz.graph_html(model.three([x]), model)
    assert boxes_of(page) == [{"two": 5, "three": 5}]
    (fold,) = data_of(page)["folds"]
    assert sorted(member for box in fold for member in box["members"]) == list(range(len(nodes_of(page))))
