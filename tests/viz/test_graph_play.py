"""Playing the passes on the page of graph_html(), in a browser."""

from collections import defaultdict

import numpy as np
import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from pygrad import Value, nn, reference
from pygrad._lib import lib, text
from support.effort import long
from support.graphs import lesson, made_of, readme, reference_pass
from support.pages import needs_browser

pytestmark = needs_browser

SHARES = """[...document.querySelectorAll('#panel .share')].map(share =>
    Object.fromEntries([...share.querySelectorAll('.product span')].map(term => [term.className, term.title])))"""


def shown_step(page):
    """The node of the step that the page shows, and the numbers of each of its shares."""
    pass_, node = page.run("[currentStep().pass, currentStep().node.index]")
    return (
        pass_,
        node,
        [{name: float(x.replace("?", "nan")) for name, x in share.items()} for share in page.run(SHARES)],
    )


def numbers(page, what):
    """What the panel shows of each node."""
    script = "nodes.map(node => (choose(node), document.getElementById(arguments[0]).textContent))"
    return [float(x) for x in page.run(script, what)]


@long
def test_each_step_shows_the_reference_s_numbers(show):
    expected = reference_pass(lesson(reference.Value))
    page = show(lesson(Value))
    operands = page.run("nodes.map(node => node.operands.map(operand => operand.index))")
    played = []
    while page.run("done !== steps.length"):
        page.press(".")
        played.append((*shown_step(page), page.text("#panel .pass")))
    ops = [at for at, its in enumerate(operands) if its]
    passes = [[node for pass_, node, *_ in played if pass_ == which] for which in ("forward", "seed", "backward")]
    assert passes == [
        ops,
        [len(operands) - 1],
        [at for at in reversed(ops) if page.run("nodes[arguments[0]].products", at)],
    ]
    assert [words.split(" of ")[0] for *_, words in played[:2]] == ["Forward, step 1", "Forward, step 2"]
    so_far = defaultdict(float)
    for pass_, node, shares, _ in played:
        if pass_ != "backward":
            continue
        grad, slopes, products = expected[node]
        sums = defaultdict(float), defaultdict(float)
        for operand, share in zip(operands[node], shares):
            assert share["above"] == grad
            assert share["before"] == so_far[operand]
            so_far[operand] += share["result"]
            assert share["sum"] == so_far[operand]
            sums[0][operand] += grad and share["slope"]  # a function in Python does not say it at 0
            sums[1][operand] += share["result"]
        assert sums[0] == pytest.approx(slopes if grad else dict.fromkeys(slopes, 0.0), rel=1e-15)
        assert sums[1] == products
    assert [so_far[at] for at in range(len(expected) - 1)] == [grad for grad, *_ in expected[:-1]]
    assert numbers(page, "grad") == [grad for grad, *_ in expected]


def test_a_pass_from_several_roots_has_the_gradients_of_their_sum(show):
    def outputs(V):
        a, b = V(2.0, label="a"), V(-3.0, label="b")
        c = a * b
        d = c.tanh() * 4 + a
        c.label, d.label = "c", "d"
        return [d, c, (c - 1).relu(), b]

    roots = outputs(reference.Value)
    sum(roots).backward()
    expected = {v.label: v.grad for v in set(roots).union(*map(made_of, roots)) if v.label}
    page = show(outputs(Value))
    assert page.run("document.title") == "d, c, b: a pygrad graph"
    page.press(*"." * page.run("SEED + 2"))
    assert page.text("#panel h1") == "The gradient of c is 1"
    assert page.run("roots.map(root => numbersOf(root).grad)") == [1, 1, 0, 0]
    page.press(Keys.END)
    assert dict(zip(page.run("nodes.map(node => node.label)"), numbers(page, "grad"))).items() >= expected.items()
    page.run("choose(nodes.find(node => node.label === 'c'))")
    *shares, seed, total = (row.text.split() for row in page.driver.find_elements(By.CSS_SELECTOR, "#panel .part"))
    assert seed == ["as", "a", "result", "1.0000"]
    assert float(total[-1]) == pytest.approx(sum(float(share[-1]) for share in shares) + 1, abs=1e-3)


def test_space_plays_to_the_end_and_pauses(show):
    root = readme()
    page = show(root)
    page.press(*">" * 6)
    page.press(" ")
    WebDriverWait(page.driver, 20).until(lambda _: page.run("done === steps.length && !playing"))
    page.settle()
    assert page.text("#panel").startswith("Backward, step 57 of 57")
    grads = dict(zip(page.run("nodes.map(node => node.label)"), numbers(page, "grad")))
    assert {label: grad for label, grad in grads.items() if label} == {v.label: v.grad for v in made_of(root) | {root}}
    page.press(Keys.ESCAPE, *"<" * 9)
    page.press(" ")
    page.press(" ")
    assert page.run("done") == 1
    assert not page.run("playing")


def test_the_keys_and_the_buttons_step_and_jump(show):
    page = show((Value(2.0) * 3 + 1).tanh())
    length = page.run("steps.length")
    assert length == 7
    places = []
    for key in (".", ".", ",", Keys.END, ",", Keys.HOME, ",", "."):
        page.press(key)
        places.append(page.run("done"))
    assert places == [1, 2, 1, 7, 6, 0, 0, 1]
    for name, place in {"next": 2, "back": 1, "last": 7, "first": 0}.items():
        page.driver.find_element(By.ID, name).click()
        page.settle()
        assert page.run("done") == place
        assert page.run("Number(document.getElementById('at').value)") == place
    page.run("(at.value = 5, at.dispatchEvent(new Event('input')))")
    assert page.text("#where") == "backward 5 of 7"
    assert page.text("#panel").startswith("Backward, step 5 of 7\n")


def test_numbers_appear_when_they_are_computed_and_gradients_add_up(show):
    x = Value(3.0, label="x")
    page = show(x * x + x)
    shown = []
    for _ in range(page.run("steps.length")):
        page.press(".")
        shown.append(page.run("nodes.map(node => [numbersOf(node).data, numbersOf(node).grad])"))
    assert [[data for data, _ in numbers] for numbers in shown] == [
        ["3.0", "9.0", ""],
        *[["3.0", "9.0", "12.0"]] * 4,
    ]
    assert [[grad for _, grad in numbers] for numbers in shown] == [[0, 0, 0]] * 2 + [[0, 0, 1], [1, 1, 1], [7, 1, 1]]


def test_every_op_has_its_rule_in_words(show):
    page = show(Value(1.0))
    symbols = {text(lib.pg_op_symbol(op)) for op in range(lib.pg_op_count()) if lib.pg_op_arity(op)}
    rules = {op: page.run("ruleOf({op: arguments[0], python: ''})", op) for op in symbols | {"**3", "**-0.5"}}
    assert all("local derivative" in rule or "No gradient" in rule for rule in rules.values()), rules
    assert rules["**3"] == "The local derivative of x ** 3 is 3 · x ** 2."


def test_what_is_computed_in_python_is_shown_as_such(show):
    page = show(lesson(Value))
    for label, words in {"cube": "_backward: lesson.<locals>._backward", "stop": "no _backward"}.items():
        page.run("choose(nodes.find(node => node.op === arguments[0]))", label)
        assert page.text("#python") == words
    step = page.run("steps.findIndex(step => step.pass === 'backward' && step.node.op === 'cube')")
    page.run("go(arguments[0] + 1)", step)
    assert "Computed in Python (_backward: lesson.<locals>._backward)." in page.text("#panel")
    assert page.run("kindColour(nodes.find(node => node.op === 'cube')) === colours.python")


def test_g_colours_by_the_size_of_the_gradient(show):
    a, b, off = Value(2.0, label="a"), Value(-3.0, label="b"), Value(-1.0, label="off")
    root = a * 100.0 + b * 0.01 + off.relu()
    root.backward()
    page = show(root)

    def colour(label):
        """Of the card of a node, beside its numbers."""
        script = "(n => [n.x, n.y, view.x, view.y, view.scale])(nodes.find(n => n.label === arguments[0]))"
        x, y, dx, dy, scale = page.run(script, label)
        return np.round(page.pixels() * 255)[round(dy + (y - 24) * scale), round(dx + (x + 168) * scale)].tolist()

    plain = colour("a")
    page.press("g")
    assert "on a logarithmic scale" in page.text("#panel")
    sizes = page.run("nodes.map(node => [Math.abs(node.grad), gradSize(node)])")
    assert sorted(sizes) == sorted(sizes, key=lambda pair: pair[1])
    by_label = dict(page.run("nodes.map(node => [node.label, gradSize(node)])"))
    assert (by_label["off"], by_label["a"]) == (0, 1)
    assert 0 < by_label["b"] < 1
    ends = page.run("[ramp[0], ramp[64]].map(colour => colour.match(/[0-9]+/g).map(Number))")
    assert [colour("off"), colour("a")] == ends
    page.press("g")
    assert colour("a") == plain != ends[1]


def mlp_and_loss():
    model = nn.MLP(2, [3, 1])
    loss = sum((model([Value(x, label="x"), Value(1.0, label="y")]) - 1) ** 2 for x in (0.5, 2.0))
    loss.label = "loss"
    return loss, model


def test_modules_are_folded_and_shown_again(show):
    page = show(*mlp_and_loss())
    all_nodes = page.run("items.length")
    page.press("]")
    assert page.run("items.filter(item => item.members).map(item => item.module).sort()") == [
        *[f"layers.0.neurons.{k}" for k in range(3)],
        "layers.1.neurons.0",
    ]
    module = page.run("items.find(item => item.module === 'layers.0.neurons.1').label")
    page.click(module)
    assert page.text("#panel").startswith("layers.0.neurons.1\n13 nodes, 3 parameters\n")
    assert page.run("[...feeding].map(item => item.label).sort()") == ["x", "x", "y", "y"]
    page.press("]")
    assert page.text("#fold option:checked") == "fold layers"
    assert page.run("items.filter(item => item.members).map(item => item.members.length)") == [39, 16]
    page.press(Keys.END)
    assert page.run("[...new Set(steps.map(step => itemOf.get(step.node)))].every(item => items.includes(item))")
    page.press(Keys.ESCAPE, "[")
    page.run("choose(items.find(item => item.module === 'layers.0.neurons.1'))")
    page.driver.find_element(By.CSS_SELECTOR, "#panel button.wide").click()
    page.settle()
    assert page.run("items.length") == all_nodes
    assert page.run("hits.filter(node => node.label).map(node => node.label).sort()") == [
        f"layers.0.neurons.1.{name}" for name in ("b", "w.0", "w.1")
    ]


def test_a_folded_graph_is_played_and_searched(show):
    page = show(*mlp_and_loss())
    page.press("]", "]", ".")
    assert page.run("itemOf.get(currentStep().node).module") == "layers.0"
    page.search.send_keys("neurons.2.w")
    assert page.text("output") == "1 found"  # the box
    page.search.send_keys(Keys.ENTER)
    page.settle()
    assert page.text("h1") == "layers.0"


PHONE = {"width": 375, "height": 740, "deviceScaleFactor": 2, "mobile": True}


def test_the_page_fits_a_phone(show):
    loss, model = mlp_and_loss()
    page = show(loss, model)
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        page.press(".")
        assert page.run("document.documentElement.scrollWidth") <= 375
        boxes = page.run(
            "['find', 'look', 'zoom', 'player', 'at', 'speed', 'play', 'panel'].map(id => {"
            " const box = document.getElementById(id).getBoundingClientRect();"
            " return [box.left, box.top, box.right, box.bottom, box.width, box.height]; })"
        )
        for left, top, right, bottom, width, height in boxes:
            assert min(left, top) >= 0
            assert min(width, height) > 0
            assert right <= 375
            assert bottom <= 740
        step = page.run("(n => [view.x + n.x * view.scale, view.x + (n.x + WIDTH) * view.scale])(currentStep().node)")
        assert 0 <= step[0] < step[1] <= 375  # the view follows the step
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
