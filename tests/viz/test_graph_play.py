"""Playing the passes on the page of graph_html(), in a browser."""

from collections import defaultdict

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.support.wait import WebDriverWait

from pygrad import Value, reference
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
