"""Generate the Python code of every ``.proto`` below ``protos``: ``make protos``.

    python -m tools.generate_protos [--check]

``--check`` writes nothing and exits with 1 if what is there differs. Needs ``grpcio-tools``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# mypy: ignore-errors\n# ruff: noqa\n# fmt: off\n"

# The public API has a descriptor pool of its own (``protos.qdrant.pool``).
PUBLIC = Path("protos/qdrant")
_IN_PUBLIC_POOL = {
    "from google.protobuf import descriptor_pool as _descriptor_pool\n": (
        "from protos.qdrant.pool import PUBLIC_POOL as _public_pool\n"
    ),
    "_descriptor_pool.Default()": "_public_pool",
}


def generated() -> dict[Path, str]:
    """What each generated file should hold, by its path from the repository's root."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "protos").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        # From the root, so that the generated code imports `protos. ...` and not a bare module.
        outputs = ["-I.", f"--python_out={scratch}", f"--pyi_out={scratch}"]
        command = [sys.executable, "-m", "grpc_tools.protoc", *outputs, *sources]
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - our own arguments
        files = sorted(path for path in Path(scratch).rglob("*_pb2.py*"))
        return {path.relative_to(scratch): _finished(path, Path(scratch)) for path in files}


def _finished(path: Path, scratch: Path) -> str:
    text = path.read_text()
    if path.suffix == ".pyi":  # an enum value that Python has another use for is read by number
        text = re.sub(r"^ *None: .*\n", "", text, flags=re.MULTILINE)
    if PUBLIC in path.relative_to(scratch).parents and path.suffix == ".py":
        for theirs, ours in _IN_PUBLIC_POOL.items():
            assert theirs in text, f"protoc no longer writes {theirs!r}"
            text = text.replace(theirs, ours)
    return HEADER + text


def main(arguments: list[str]) -> int:
    files = generated()
    stale = [path for path, text in files.items() if _content(ROOT / path) != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path} is stale: run `make protos`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).write_text(files[path])
    return 0


def _content(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
