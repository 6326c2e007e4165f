"""What each profile of values renders to, kept beside the tests so that a change of the chart shows in full.

``python -m tests.deploy.golden`` writes the files anew (``make chart``); look at the difference.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.deploy.rendering import notes, profile, profiles, rendered_text

FOLDER = Path(__file__).parent / "golden"
_GENERATED = re.compile(r"^(  (?:read-only-)?api-key: ).+$", re.MULTILINE)


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def text_of(name: str) -> str:
    """Generated keys are left out: no two renderings have the same."""
    files = rendered_text(profile(name), namespace="vectors")
    printed = "".join(f"# {line}\n" for line in notes(profile(name), namespace="vectors").splitlines())
    whole = printed + "---\n"
    whole += "".join(f"# {path}\n{text.strip()}\n---\n" for path, text in files.items() if text.strip())
    return "\n".join(line.rstrip() for line in _GENERATED.sub(r"\1GENERATED", whole).splitlines()) + "\n"


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for stale in FOLDER.glob("*.yaml"):
        stale.unlink()
    for name in profiles():
        path_of(name).write_text(text_of(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
