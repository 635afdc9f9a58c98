"""How fast the page of graph_html() moves in a browser."""

import random

import pytest

from pygrad import nn, viz
from support import figures
from support.effort import long
from support.pages import Page, browser, needs_browser

# Each frame of the browser, for so many ms, does an action. The time of the page's own frames counts as well.
FRAMES = """
    const [action, duration, done] = arguments, act = new Function("frame", action);
    const frames = [], request = requestAnimationFrame;
    let script = 0;
    window.requestAnimationFrame = run => request(now => {
        const begin = performance.now();
        run(now);
        script += performance.now() - begin;
    });
    const frame = now => {
        frames.push(now);
        act(frames.length);
        if (now - frames[0] < duration) return requestAnimationFrame(frame);
        window.requestAnimationFrame = request;
        done([1000 * (frames.length - 1) / (now - frames[0]), script / frames.length]);
    };
    requestAnimationFrame(frame);
"""
ACTIONS = {
    "panned": "pan(12 * Math.sin(frame / 10), 8 * Math.cos(frame / 10))",
    "played": "if (frame === 1) { speed.value = 500; go(0); play(); }",
}


@long
@needs_browser
@pytest.mark.parametrize("what", ACTIONS)
def test_a_frame_of_2000_nodes_takes_little_of_its_time(what, full, tmp_path):
    model = nn.MLP(2, [16, 16, 4])
    loss = sum(out * out for _ in range(2) for out in model([random.random(), random.random()]))
    file = viz.graph_html(loss, model).save(tmp_path / "page.html")
    with browser(tmp_path / "chromium") as driver:
        driver.set_window_size(1400, 900)
        driver.get(file.as_uri())
        page = Page(driver)
        nodes = page.run("nodes.length")
        driver.set_script_timeout(60)
        rate, script = driver.execute_async_script(FRAMES, ACTIONS[what], 5000 if full else 500)
    assert 1800 < nodes < 2200
    assert script < 50  # ms; it takes 2, and a frame has 16
    figures.note(f"frames a second of graph_html's page of {nodes:,} nodes, {what}", f"{rate:.0f}")
