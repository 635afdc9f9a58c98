"""The page of graph_html() in a browser: pan, zoom, search, select."""

import numpy as np
import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from pygrad import Value, viz
from support.effort import long
from support.graphs import NASTY, chain, made_of, mlp, readme
from support.pages import Page, needs_browser


@long
@needs_browser
class TestInABrowser:
    def test_a_click_shows_a_node_s_numbers(self, show):
        g = readme()
        page = show(g)
        for value in sorted(made_of(g) | {g}, key=lambda v: v._id)[::4]:
            page.click(value.label)
            assert page.text("h1") == value.label
            facts = [page.text(f"#{name}") for name in ("op", "data", "grad")]
            assert facts == [value._op or "none: a leaf", repr(value.data), repr(value.grad)]
            rows = [
                row.text.split()[-2:] for row in page.driver.find_elements(By.CSS_SELECTOR, "#panel .row:not(.part)")
            ]
            uses = [v for v in made_of(g) | {g} if value in v._prev]
            assert sorted(label for label, _ in rows) == sorted(v.label for v in [*value._prev, *uses])

    def test_a_click_highlights_the_inputs_and_the_uses_of_a_node(self, show):
        g = readme()
        values = made_of(g) | {g}
        page = show(g)
        assert page.lit() == (set(), set())
        for value in sorted(values, key=lambda v: v._id)[::3]:
            page.click(value.label)
            feeding, fed = made_of(value), {v for v in values if value in made_of(v)}
            assert page.lit() == ({v.label for v in feeding}, {v.label for v in fed})
            assert f"fed by {len(feeding)} node" in page.text("#panel")
            assert f"feeds {len(fed)} node" in page.text("#panel")

    def test_a_click_beside_the_nodes_clears_the_selection(self, show):
        page = show(readme())
        page.click("n7.")
        page.move_to(5, 100).click().perform()
        page.settle()
        assert page.lit() == (set(), set())
        assert page.text("#panel").startswith(page.run("roots[0].label") + "\n39 nodes, 11 of them leaves")

    def test_operands_and_uses_in_the_panel_are_links_to_those_nodes(self, show):
        page = show((Value(2.0, label="a") + Value(3.0, label="b")).relu())
        page.click("b")
        page.driver.find_element(By.CSS_SELECTOR, "#panel .row").click()
        page.settle()
        assert page.text("#op") == "+"
        assert page.text("#data") == "5.0"

    def test_the_whole_graph_is_visible_at_first(self, show):
        for root in (readme(), Value(1.0, label="alone"), mlp()):
            page = show(root)
            left, top, right, bottom = page.extent()
            assert left > 0
            assert top > 0
            assert right < page.canvas.size["width"]
            assert bottom < page.canvas.size["height"]

    def test_the_search_finds_labels_and_ops_and_enter_steps_through_them(self, show):
        x = Value(2.0, label="Weight 1")
        y = (x**3 * Value(5.0, label="weight 2")).relu() + x
        page = show(y)
        counts = {"weight": 2, "EIGHT 2": 1, "relu": 1, "re": 1, "*": 1, "**": 1, "+": 1, "**3": 1, "3": 0, " ": None}
        for query, count in counts.items():
            page.search.clear()
            page.search.send_keys(query)
            assert page.text("output") == {None: "", 0: "none"}.get(count, f"{count} found")
        page.search.clear()
        page.search.send_keys("weight")
        visited = []
        for keys in (Keys.ENTER, Keys.ENTER, Keys.ENTER, Keys.SHIFT + Keys.ENTER):
            page.search.send_keys(keys)
            page.settle()
            visited.append((page.text("output"), page.text("h1")))
            assert page.at(page.text("h1")) == pytest.approx(page.middle(), abs=60)
        names = [name for _, name in visited]
        assert sorted(names[:2]) == ["Weight 1", "weight 2"]
        assert names[2:] == names[:2]
        assert [count for count, _ in visited] == ["1 of 2", "2 of 2", "1 of 2", "2 of 2"]

    def test_the_search_finds_numbers_and_places(self, show):
        x = Value(2.0, label="a")
        y = (x * Value(-0.25, label="b") + 1).tanh() * 1000.0
        y.backward()
        page = show(y)
        found = {
            "2": "a",
            "-0.25": "b",
            "-0.3": "b",
            "0.4621": "tanh",
            "0.46": "tanh",
            "0.4": "tanh",
            "0.9": "",
            "1000": "1000.0",
            "#0": "a",
        }
        for query, wanted in found.items():
            page.search.clear()
            page.search.send_keys(query)
            names = page.run("hits.map(node => node.label || (node.op === 'tanh' ? node.op : node.data))")
            assert wanted in names or not (wanted or names), (query, names)
        page.search.clear()
        page.search.send_keys("#99")
        assert page.text("output") == "none"

    def test_matches_are_visible_when_zoomed_out(self, show):
        root = chain(1000)
        leaf = next(v for v in made_of(root) if not v._op)
        leaf.label = "start"
        page = show(root)
        before = page.pixels()
        page.search.send_keys("start")
        page.settle()
        x, y = page.at("start")
        assert not np.array_equal(page.pixels()[round(y), round(x)], before[round(y), round(x)])

    def test_a_node_too_small_to_read_is_named_at_the_pointer(self, show):
        root = mlp()
        root.label = "loss"
        page = show(root)
        page.move_to(*page.at("loss")).perform()
        assert page.text("#tip").split() == f"loss + data {root.data:.4f} grad 0.0000".split()
        page.move_to(5, 5).perform()
        assert not page.driver.find_element(By.ID, "tip").is_displayed()

    def test_escape_clears_the_search_and_the_selection(self, show):
        page = show(readme())
        page.search.send_keys("n7.", Keys.ENTER)
        page.settle()
        assert page.lit() != (set(), set())
        page.press(Keys.ESCAPE)
        assert page.search.get_property("value") == page.text("output") == ""
        assert page.lit() == (set(), set())

    def test_the_keyboard_does_everything(self, show):
        x = Value(2.0, label="x")
        y = x.tanh() * Value(3.0, label="y")
        y.label = "product"
        page = show(y)
        page.press("/")
        page.press("tanh")
        page.press(Keys.ENTER)
        assert page.text("#op") == "tanh"
        page.press(Keys.ESCAPE)
        heads = []
        for key in (Keys.LEFT, Keys.LEFT, Keys.LEFT, Keys.LEFT, Keys.RIGHT, Keys.RIGHT):
            page.press(key)
            heads.append(page.text("#op"))
        assert heads == ["*", "tanh", "none: a leaf", "none: a leaf", "tanh", "*"]
        page.press(Keys.LEFT)
        page.press(Keys.DOWN if page.at("y")[1] > page.middle()[1] else Keys.UP)
        assert page.text("h1") == "y"
        before = page.scale()
        page.press("+")
        assert page.scale() == pytest.approx(before * 1.4)
        page.press("-")
        page.press("-")
        assert page.scale() == pytest.approx(before / 1.4)
        page.press("0")
        assert page.scale() == pytest.approx(before)

    def test_the_wheel_zooms_at_the_pointer(self, show):
        page = show(readme())
        x, y = page.at("n9.")
        before, others = page.scale(), page.at("n3.")
        page.wheel(x, y, -400)
        assert page.scale() > 1.3 * before
        assert page.at("n9.") == pytest.approx([x, y], abs=1.5)
        assert page.at("n3.") != pytest.approx(others, abs=20)
        page.wheel(x, y, 400)
        assert page.scale() == pytest.approx(before)
        page.wheel(x, y, 100_000)
        assert 0.1 < page.scale() < before  # zooming out is limited

    def test_dragging_pans_and_selects_nothing(self, show):
        page = show(readme())
        x, y = page.at("n9.")
        picture = page.pixels()
        page.drag((x, y), 120, -60)
        assert page.at("n9.") == pytest.approx([x + 120, y - 60])
        assert page.lit() == (set(), set())
        assert not np.array_equal(page.pixels(), picture)
        page.click("n9.")
        assert page.text("h1") == "n9."

    def test_the_buttons_zoom_and_fit(self, show):
        page = show(readme())
        zoom_out, fit, zoom_in = page.driver.find_elements(By.CSS_SELECTOR, "#zoom button")
        before = page.view()
        zoom_in.click()
        page.settle()
        assert page.scale() == pytest.approx(1.4 * before["scale"])
        zoom_out.click()
        zoom_out.click()
        page.settle()
        assert page.scale() == pytest.approx(before["scale"] / 1.4)
        fit.click()
        page.settle()
        assert page.view() == pytest.approx(before)

    def test_the_page_follows_the_system_s_dark_mode(self, show):
        page = show(readme())
        x, y = page.run("(n => [view.x + (n.x + CARD + 5) * view.scale, view.y + n.y * view.scale])(roots[0])")

        def brightness():
            return [page.pixels()[at].mean() for at in ((100, 5), (round(y), round(x)))]  # background, card

        assert min(brightness()) > 0.9
        media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        try:
            WebDriverWait(page.driver, 5).until(lambda _: max(brightness()) < 0.2)
        finally:
            page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def test_the_page_follows_the_theme_of_the_page_around_it(self, chromium, tmp_path):
        viz.graph_html(readme()).save(tmp_path / "graph.html")
        (tmp_path / "around.html").write_text('<!DOCTYPE html><iframe src="graph.html"></iframe>', encoding="utf-8")
        chromium.get((tmp_path / "around.html").as_uri())
        frame = chromium.find_element(By.TAG_NAME, "iframe")

        def is_dark():
            chromium.switch_to.frame(frame)
            dark = chromium.execute_script("return [colours.paper, getComputedStyle(document.body).backgroundColor]")
            chromium.switch_to.default_content()
            assert dark in (["#15171c", "rgb(21, 23, 28)"], ["#f6f6f3", "rgb(246, 246, 243)"])
            return dark[0] == "#15171c"

        for theme in ("dark", "light", "dark", "auto"):
            chromium.execute_script("arguments[0].contentWindow.postMessage({theme: arguments[1]}, '*')", frame, theme)
            WebDriverWait(chromium, 5).until(lambda _, dark=theme == "dark": is_dark() is dark)

    def test_5000_nodes_are_drawn_in_a_moment(self, show):
        for root in (mlp(samples=6), chain(4999)):
            page = show(root)
            assert page.run("nodes.length") > 4000
            milliseconds = page.run("(() => { const t = performance.now(); draw(); return performance.now() - t; })()")
            assert milliseconds < 1000  # it takes 15
            page.press(Keys.LEFT, Keys.LEFT)
            assert page.text("#op") == page.run("roots[0].operands[0].op")

    def test_nan_and_infinities_are_shown_as_python_writes_them(self, show):
        page = show(Value(float("inf"), label="a") * Value(float("nan"), label="b"))
        page.click("a")
        assert (page.text("#data"), page.text("#grad")) == ("inf", "0")
        page.click("b")
        assert page.text("#data") == "nan"

    def test_markup_in_a_label_is_shown_as_text(self, show):
        page = show(Value(1.0, (Value(2.0, label="x"),), NASTY, NASTY))
        page.press(Keys.LEFT)
        assert page.run("document.querySelector('h1').textContent") == NASTY
        assert page.run("document.title.startsWith(roots[0].label)")
        assert page.run("document.getElementById('nasty')") is None

    def test_a_notebook_s_frame_shows_the_page(self, chromium, tmp_path):
        frame = viz.graph_html(Value(1.5, label=NASTY))._repr_html_()
        (tmp_path / "notebook.html").write_text(f"<!DOCTYPE html><h1>My notebook</h1>{frame}", encoding="utf-8")
        chromium.get((tmp_path / "notebook.html").as_uri())
        chromium.switch_to.frame(chromium.find_element(By.TAG_NAME, "iframe"))
        page = Page(chromium)
        page.driver.find_element(By.TAG_NAME, "canvas").send_keys(Keys.LEFT)
        page.settle()
        assert page.text("#data") == "1.5"
        assert page.run("document.getElementById('nasty')") is None
        assert page.run("origin") == "null"  # isolated from the notebook around it
