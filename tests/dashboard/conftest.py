"""One node and one browser for all tests of a worker; each test has a page of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.dashboard.data import load_hostile, load_wordnet
from tests.dashboard.driver import Visit, browsing
from tests.live import LiveNode

POINTS = 300


@pytest.fixture(scope="package")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("dashboard")) as node:
        load_wordnet(node.url, points=POINTS)
        load_hostile(node.url)
        yield node


@pytest.fixture(scope="package")
def browser() -> Iterator[BrowserContext]:
    with browsing() as context:
        yield context


@pytest.fixture
def visit(node: LiveNode, browser: BrowserContext) -> Iterator[Visit]:
    """A page at the node's dashboard; afterwards it must have complained of nothing and asked nobody else."""
    visit = Visit(browser, node.url)
    try:
        yield visit
    finally:
        visit.close()
    visit.witness.complain()
