"""The page of graph_html() in a browser, and a user's actions."""

import contextlib
import io
import os
import shutil

import matplotlib.image
import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver")


@contextlib.contextmanager
def browser(folder):
    """A headless Chromium whose files are in a folder."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    quiet = "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
    for argument in ["--headless", "--no-sandbox", "--disable-gpu", *quiet.split(), "--window-size=3600,900"]:
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={folder}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    preloaded = {**os.environ, "LD_PRELOAD": ""}  # the library of a sanitizer is only for Python
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER, env=preloaded))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The page as a user sees it, and a user's actions."""

    def __init__(self, driver):
        self.driver = driver
        self.canvas, self.search = (driver.find_element(By.CSS_SELECTOR, name) for name in ("canvas", "input"))
        self.settle()

    def run(self, script, *args):
        return self.driver.execute_script(f"return {script}", *args)

    def settle(self):
        """Wait until drawing is done."""
        WebDriverWait(self.driver, 10, 0.02).until(
            lambda _: self.run("canvas.width && !glide && !drawing && !sharpening")
        )

    def at(self, label):
        """The position of the middle of a node's card on the canvas."""
        script = "(n => [view.x + (n.x + (CARD + WIDTH) / 2) * view.scale, view.y + n.y * view.scale])"
        return self.run(f"{script}(items.find(item => item.label === arguments[0]))", label)

    def extent(self):
        """Left, top, right and bottom of the graph, on the canvas."""
        return self.run(
            "[Math.min(...nodes.map(entry)) * view.scale + view.x, -HEIGHT / 2 * view.scale + view.y,"
            " Math.max(...nodes.map(n => n.x + WIDTH)) * view.scale + view.x,"
            " Math.max(...nodes.map(n => n.y + HEIGHT / 2)) * view.scale + view.y]"
        )

    def view(self):
        return self.run("view")

    def scale(self):
        return self.run("view.scale")

    def middle(self):
        return [self.canvas.size["width"] / 2, self.canvas.size["height"] / 2]

    def pixels(self):
        """A screenshot."""
        return matplotlib.image.imread(io.BytesIO(self.driver.get_screenshot_as_png()))[..., :3]

    def actions(self):
        return ActionChains(self.driver, duration=50)

    def move_to(self, x, y):
        size = self.canvas.size
        return self.actions().move_to_element_with_offset(
            self.canvas, round(x - size["width"] / 2), round(y - size["height"] / 2)
        )

    def click(self, label):
        self.move_to(*self.at(label)).click().perform()
        self.settle()

    def drag(self, start, dx, dy):
        self.move_to(*start).click_and_hold().move_by_offset(dx, dy).release().perform()
        self.settle()

    def wheel(self, x, y, by):
        ActionChains(self.driver).scroll_from_origin(ScrollOrigin.from_viewport(round(x), round(y)), 0, by).perform()
        self.settle()

    def press(self, *keys):
        self.actions().send_keys(*keys).perform()
        self.settle()

    def text(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def colours(self):
        """The colour of the border of each node's card on the screen, by label."""
        picture = self.pixels()
        script = (
            "nodes.map(n => [n.label, view.x + (n.x + CARD) * view.scale, view.y + (n.y + HEIGHT / 3) * view.scale])"
        )
        return {
            label: tuple(np.round(picture[round(y), int(x)] * 255).astype(int).tolist())
            for label, x, y in self.run(script)
            if 0 <= round(y) < len(picture) and 0 <= int(x) < self.canvas.size["width"]
        }

    def lit(self):
        """The labels of the nodes that are highlighted as inputs, and as uses, of the selected one."""
        colours = self.colours()
        names = ("feeding", "fed")
        palette = [tuple(bytes.fromhex(self.run(f"colours['{name}']")[1:])) for name in names]
        return tuple({label for label, colour in colours.items() if colour == wanted} for wanted in palette)
