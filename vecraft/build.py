"""Which build this is: the commit that clients are told.

An image or a package carries it in ``vecraft/COMMIT``; a checkout asks git; anything else has the
constant, because ``GET /`` promises forty hexadecimal digits.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
UNKNOWN = "0" * 40
_SHA = re.compile(r"[0-9a-f]{40}")


def commit() -> str:
    """Forty hexadecimal digits."""
    baked = HERE / "COMMIT"
    text = baked.read_text().strip() if baked.is_file() else _ask_git()
    return text if _SHA.fullmatch(text) else UNKNOWN


def _ask_git() -> str:
    git = shutil.which("git")
    if git is None or not (HERE.parent / ".git").exists():
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command without a shell
            [git, "rev-parse", "HEAD"],
            cwd=HERE.parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
