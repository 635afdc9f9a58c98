"""A browser for the tests of graph_html()."""

import json

import pytest

from pygrad import viz
from support.pages import Page, browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


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
