"""What is in the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="an archive of the code, not a checkout")
def test_nothing_is_committed_that_is_ignored() -> None:
    """Such a file, or link, replaces in every other checkout what had grown there: caches, environments."""
    listed = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("floor", ["protos", "consensus", "node", "router", "vecraft"])
def test_every_room_of_a_floor_is_told_on_the_pages_about_rooms(floor: str) -> None:
    pages = "".join((ROOT / f"docs/{page}.md").read_text() for page in ("ARCHITECTURE", "CLUSTER"))
    rooms = [
        path.stem
        for path in (ROOT / floor).iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
        if not path.name.startswith("__")
    ]
    assert rooms
    assert [room for room in rooms if not re.search(rf"[`/ ]{room}(\.py|/|`)", pages)] == []
