"""A browser for the dashboard's tests, and a witness of everything that it must not do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

WIDE, NARROW = (1280, 860), (360, 740)
WAIT_MS = 30_000  # for anything to appear, on a machine that does much else

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Witness:
    """What a page said on its console, which errors it had, whom it asked.

    ``expected``: parts of messages that a test brings about on purpose.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.expected: list[str] = []
        self.complaints: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._asked)

    def complain(self) -> None:
        """Fail if there was anything."""
        assert not self.complaints, "\n".join(self.complaints)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.complaints.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        inside = request.url.startswith((f"{self.url}/", "data:", f"blob:{self.url}/"))
        if not inside:
            self.complaints.append(f"asked another host: {request.url}")


@contextmanager
def browsing() -> Iterator[BrowserContext]:
    """A browser with an empty folder of its own. Only one at a time in a process."""
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium is not installed; `make tools` does that"
    with tempfile.TemporaryDirectory(prefix="vecraft-browser-") as folder, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=chromium, args=list(_ARGUMENTS), accept_downloads=True
        )
        context.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        try:
            yield context
        finally:
            context.close()


class Visit:
    """One page of the browser, at the dashboard of the node at ``url``."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page = context.new_page()
        self.witness = Witness(url)
        self.witness.watch(self.page)
        self._home = f"{url}/dashboard"
        self.size(WIDE)
        self.theme("light")

    def size(self, size: tuple[int, int]) -> None:
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def theme(self, theme: str) -> None:
        assert theme in ("light", "dark")
        self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")

    def go(self, *parts: str) -> Page:
        """Open a page by its address, as one new to the browser, and wait until it has its heading."""
        way = "/".join(quote(part, safe="") for part in parts)
        self.page.goto("about:blank")
        self.page.goto(f"{self._home}#/{way}")
        self.page.locator("h1").first.wait_for()
        return self.page

    def is_too_wide(self) -> bool:
        """Does the page scroll sideways?"""
        return bool(
            self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        )

    def close(self) -> None:
        self.page.evaluate("localStorage.clear()")
        self.page.close()


def settled(page: Page) -> None:
    """Wait until the page shows what it was asked for."""
    expect(page.locator("main .skeleton, main [aria-busy=true]")).to_have_count(0)


def picture(page: Page, path: Path) -> None:
    page.screenshot(path=path, animations="disabled", caret="hide")
