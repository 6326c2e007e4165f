"""The image and the compose file. Building the image takes minutes and a base: ``make image-test BASE=…``."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.rendering import ROOT
from tests.ports import free_port
from vecraft.cli import configure, parser

DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.executable).parent / "hadolint"
BUILDAH = ("buildah", "--storage-driver", "overlay")
BASE = os.environ.get("IMAGE_BASE", "")
MIB = 1 << 20
OWN_BYTES_MAX = 480 * MIB  # beside the base

needs_base = pytest.mark.skipif(not BASE, reason="takes minutes, and a base: make image-test BASE=<image>")


def test_the_recipe_is_without_fault() -> None:
    done = subprocess.run([HADOLINT, str(DOCKERFILE)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_whoever_builds_is_sent_what_the_recipe_copies_and_little_else() -> None:
    lines = DOCKERFILE.read_text().splitlines()
    copied = [words[1:-1] for line in lines if (words := line.split())[:1] == ["COPY"]]
    sources = {path for words in copied for path in words if not path.startswith(("--", "/"))}
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    assert sources == allowed
    assert all((ROOT / path).exists() for path in sources)


def test_the_packages_of_the_program_are_copied_whole() -> None:
    included = re.search(r"include = \[(.*?)\]", (ROOT / "pyproject.toml").read_text())
    assert included is not None
    for pattern in re.findall(r'"(\w+)\*"', included[1]):
        assert fnmatch.filter(DOCKERFILE.read_text().splitlines(), f"COPY {pattern} {pattern}")


def test_nodes_of_the_compose_file_are_told_of_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    names, published = list(compose["services"]), []
    for name, service in compose["services"].items():
        environ = {key: re.sub(r"\$\{.*\}", "", value) for key, value in service["environment"].items()}
        command, *arguments = service["command"]
        loaded = configure(parser().parse_args([command, *arguments]), environ)
        doubts = [warning for warning in loaded.warnings if "api_key is empty" not in warning]
        assert (doubts, loaded.settings.cluster.enabled) == ([], True)
        assert loaded.membership.uri == f"http://{name}:6335"
        assert loaded.membership.bootstrap == tuple(f"http://{each}:6335" for each in names)
        mounted = [volume.split(":")[1] for volume in service["volumes"]]
        assert {loaded.settings.storage.storage_path, loaded.settings.storage.snapshots_path} == set(mounted)
        assert {volume.split(":")[0] for volume in service["volumes"]} <= compose["volumes"].keys()
        published += [port.split(":")[0] for port in service["ports"]]
    assert len(set(published)) == len(published)


# --- built from this checkout on IMAGE_BASE, by buildah without a daemon ------------------------------


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    name = "localhost/vecraft:under-test"
    made = ["bud", "--isolation", "chroot", "--pull-never", "--layers"]
    given = ["--build-arg", f"BASE={BASE}", "--build-arg", f"REVISION={'ab' * 20}"]
    mounted = os.environ.get("IMAGE_VOLUME")
    given += ["--volume", mounted] if mounted else []
    _buildah(*made, *given, "--tag", name, str(ROOT))
    yield name
    _buildah("rmi", name)


@pytest.fixture
def container(image: str) -> Iterator[str]:
    name = _buildah("from", "--pull-never", image).strip()
    yield name
    _buildah("rm", name)


@needs_base
def test_it_says_what_it_is_and_runs_as_nobody_special(image: str) -> None:
    about = json.loads(_buildah("inspect", "--type", "image", image))["OCIv1"]["config"]
    assert about["User"] == "1000:2000"
    assert about["Entrypoint"] == ["vecraft"]
    assert set(about["Volumes"]) == {"/vecraft/storage", "/vecraft/snapshots"}
    assert about["Labels"]["org.opencontainers.image.title"] == "Vecraft"


@needs_base
def test_what_is_in_it_is_told_and_is_what_the_lock_says(container: str) -> None:
    bill = json.loads(_run(container, "cat", "/opt/vecraft/share/bom.cdx.json"))
    found = {_normal(each["name"]): each["version"] for each in bill["components"]}
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert found.pop("vecraft")
    assert found.items() <= {(_normal(name), version) for name, version in lines}
    assert not {"pytest", "mypy", "pip"} & found.keys()


@needs_base
def test_it_is_small(container: str) -> None:
    used = int(_run(container, "du", "--summarize", "--bytes", "/opt/vecraft").split()[0])
    print(f"{used / MIB:.0f} MiB beside the base")
    assert used < OWN_BYTES_MAX


@needs_base
def test_it_serves_from_its_volumes_until_it_is_told_to_stop(container: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    script = f"""
        ask() {{ python3 -c "import urllib.request as r; print(r.urlopen('{url}$1').read())"; }}
        vecraft serve &
        until ask /readyz 2>&-; do kill -0 %1 || exit 1; sleep 0.2; done
        ask /
        kill %1; wait %1; echo "status $?"
        ls /vecraft/storage
    """
    ports = [f"VECRAFT__SERVICE__HTTP_PORT={port}", f"VECRAFT__SERVICE__GRPC_PORT={free_port()}"]
    told = _run(container, "env", *ports, "bash", "-mc", script)
    assert "qdrant - vector search engine" in told
    assert "ab" * 20 in told
    assert "status 0" in told
    assert "meta" in told  # a node on its own has a log of what there is


def _normal(name: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _buildah(*arguments: str) -> str:
    done = subprocess.run([*BUILDAH, *arguments], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def _run(container: str, *command: str) -> str:
    return _buildah("run", "--isolation", "chroot", container, "--", *command)
