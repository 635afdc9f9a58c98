"""A browser for the tests of graph_html()."""

import json
import os

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pygrad import viz
from support.pages import CHROMEDRIVER, CHROMIUM, Page


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    quiet = "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
    for argument in ["--headless", "--no-sandbox", "--disable-gpu", *quiet.split(), "--window-size=3600,900"]:
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    preloaded = {**os.environ, "LD_PRELOAD": ""}  # the library of a sanitizer is only for Python
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER, env=preloaded))
    yield driver
    driver.quit()


@pytest.fixture
def show(chromium, tmp_path):
    """A function that opens the page of a graph from a file. The page may log no error and load nothing."""
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)  # empties it
    opened = []

    def show(*args):
        opened.append(viz.graph_html(*args).save(tmp_path / f"{len(opened)}.html").as_uri())
        chromium.get(opened[-1])
        return Page(chromium)

    yield show
    assert chromium.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    requests = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert {request["request"]["url"] for request in requests} == set(opened)
