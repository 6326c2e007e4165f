"""What is in the repository."""

from __future__ import annotations

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
