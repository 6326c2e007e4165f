"""What the README shows runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import LiveNode

ROOT = Path(__file__).resolve().parents[1]
SNIPPETS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("readme")) as running:
        yield running


def output(snippet: str, node: LiveNode) -> list[str]:
    """What it prints, asked of ``node`` instead of the usual one."""
    assert snippet.count("http://localhost:6333") == 1
    here = snippet.replace("http://localhost:6333", node.url)
    ran = subprocess.run(
        [sys.executable, "-c", here],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def snippet(words: str) -> str:
    (found,) = [each for each in SNIPPETS if words in each]
    return found


def test_no_snippet_is_left_out() -> None:
    assert len(SNIPPETS) == 2


@pytest.mark.slow
def test_twenty_lines_find_the_towns_of_norway(node: LiveNode) -> None:
    lines = output(snippet('"places"'), node)
    assert [line.split()[1] for line in lines] == ["Oslo", "Bergen"]


@pytest.mark.slow
def test_a_hybrid_search_finds_owls_by_meaning_and_by_words(node: LiveNode) -> None:
    lines = output(snippet("FusionQuery"), node)
    assert [line.split()[0] for line in lines] == ["rrf", "dbsf"]
    assert all("owl" in line for line in lines)
