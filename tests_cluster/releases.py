"""Earlier releases, to be run beside this checkout: their code as it was, with the packages of today.

``CHANGELOG.md`` names the commit of each; its files are taken out of the repository's history into
``.cache/releases``, and its C code is compiled there. ``requirements.lock`` has every package of theirs in
the version that they were locked to, so today's environment will do; ``released`` checks that it does.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.live import ROOT, Program

CACHE = ROOT / ".cache" / "releases"
_RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\].*?\bCommit ([0-9a-f]{7,40})\b", re.MULTILINE | re.DOTALL)
_BUILD = """
import sys, tomllib
from setuptools import Extension, setup
given = tomllib.load(open("pyproject.toml", "rb"))["tool"].get("setuptools", {}).get("ext-modules", [])
modules = [Extension(**{key.replace("-", "_"): value for key, value in each.items()}) for each in given]
sys.argv = ["setup.py", "-q", "build_ext", "--inplace"]
if modules:
    setup(ext_modules=modules, packages=[])
"""


def releases() -> dict[str, str]:
    """Commits by version, the oldest first."""
    found = _RELEASE.findall((ROOT / "CHANGELOG.md").read_text())
    return dict(reversed(found))


def released(version: str) -> Program:
    """Skips the test where there is no history to take it from."""
    commit = releases()[version]
    folder = CACHE / commit
    if not (folder / ".complete").exists():
        _take_out(commit, folder)
        subprocess.run([sys.executable, "-c", _BUILD], cwd=folder, check=True, capture_output=True)
        (folder / ".complete").touch()
    missing = _locked(folder) - _locked(ROOT)
    assert not missing, f"{version} needs packages of its own: {sorted(missing)}"
    return Program(root=folder)


def _take_out(commit: str, folder: Path) -> None:
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"no history to take {commit} from: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")


def _locked(root: Path) -> set[str]:
    """Packages with their versions."""
    lines = (root / "requirements.lock").read_text().splitlines()
    return {line.split()[0] for line in lines if re.match(r"[\w.-]+==", line)}
