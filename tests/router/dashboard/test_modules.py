"""What can be said of the dashboard's files without a browser."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from router.dashboard import bundled

STATIC = bundled().root
MODULES = sorted(STATIC.rglob("*.js"))
HERE = Path(__file__).parent

# Ways to have a text read as HTML or as code.
_SINKS = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|srcdoc)\b"
)
# Addresses of other hosts; that of SVG's namespace is a name.
_ADDRESSES = re.compile(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9-]+\.[a-z]{2,}", re.IGNORECASE)


@pytest.mark.slow
def test_the_modules_do_their_work() -> None:
    """The pure modules' own tests, by node's own runner."""
    files = sorted(map(str, (HERE / "js").glob("*.test.js")))
    ran = subprocess.run(["node", "--test", *files], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


_PARSE = """
const { readFileSync } = require("node:fs");
const { SourceTextModule } = require("node:vm");
for (const identifier of process.argv.slice(1)) {
  new SourceTextModule(readFileSync(identifier, "utf8"), { identifier });
}
"""


@pytest.mark.slow
def test_every_module_is_a_program() -> None:
    command = ["node", "--no-warnings", "--experimental-vm-modules", "-e", _PARSE, "--", *map(str, MODULES)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_no_text_becomes_html_or_code() -> None:
    for module in MODULES:
        assert not _SINKS.search(module.read_text()), module


def test_nothing_of_another_host_is_named() -> None:
    for file in STATIC.rglob("*"):
        if file.is_file():
            assert not _ADDRESSES.search(file.read_text()), file


def test_every_import_leads_to_a_file() -> None:
    for module in MODULES:
        for target in re.findall(r"""(?:from|import\()\s*"(\.[^"]+)\"""", module.read_text()):
            assert (module.parent / target).is_file(), f"{module}: {target}"


def test_every_file_the_page_names_is_there() -> None:
    named = re.findall(r'(?:href|src)="dashboard/([^"]+)"', (STATIC / "index.html").read_text())
    assert len(named) >= 7
    for path in named:
        assert (STATIC / path).is_file(), path


# --- colours -----------------------------------------------------------------------------------------

TEXT, PART = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11
_PAIRS = (
    *(
        (ink, ground, TEXT)
        for ink in ("ink", "ink-2")
        for ground in ("ground", "surface", "raised", "sunken")
    ),
    *(
        (ink, ground, TEXT)
        for ink in ("accent", "bad", "good", "warn")
        for ground in ("surface", "raised", "ground")
    ),
    *(
        (f"syntax-{kind}", ground, TEXT)
        for kind in ("key", "string", "number", "word")
        for ground in ("surface", "sunken")
    ),
    *((kind, f"{kind}-soft", TEXT) for kind in ("accent", "bad", "good", "warn")),
    ("ink", "bad-soft", TEXT),
    ("ink", "warn-soft", TEXT),
    ("accent-ink", "accent", TEXT),
    ("bad-ink", "bad", TEXT),
    ("line-strong", "surface", PART),
    ("line-strong", "raised", PART),
)


@pytest.mark.parametrize("theme", [":root {", ':root[data-theme="dark"] {'])
def test_colours_differ_enough_to_be_read(theme: str) -> None:
    colours = _colours(theme)
    poor = [
        f"{ink} on {ground}: {_contrast(colours[ink], colours[ground]):.2f} < {least}"
        for ink, ground, least in _PAIRS
        if _contrast(colours[ink], colours[ground]) < least
    ]
    assert not poor


def _colours(theme: str) -> dict[str, str]:
    block = (STATIC / "css/tokens.css").read_text().split(theme, 1)[1].split("}", 1)[0]
    return dict(re.findall(r"--([\w-]+): #([0-9a-f]{6});", block))


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
