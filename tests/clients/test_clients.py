"""Clients and frameworks do what their users do, over both protocols: ingest, search, fuse, delete."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import LiveNode

HERE = Path(__file__).parent
INTERPRETER = HERE.parents[1] / ".cache/frameworks/bin/python"
# Nothing of what they run may leave this machine.
SILENT = {
    "ANONYMIZED_TELEMETRY": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "MEM0_TELEMETRY": "False",
}
TIMEOUT_S = 300

pytestmark = pytest.mark.timeout(TIMEOUT_S)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNode]:
    with LiveNode(tmp_path_factory.mktemp("clients")) as node:
        yield node


def run(command: list[str], directory: Path) -> None:
    environment = {**os.environ, **SILENT, "HOME": str(directory), "PYTHONPATH": ""}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
@pytest.mark.parametrize("library", ["qdrant_client", "langchain", "llama_index", "haystack", "mem0"])
def test_a_python_library_gets_the_answers_that_its_users_expect(
    node: LiveNode, library: str, protocol: str, tmp_path: Path
) -> None:
    script = HERE / "scripts" / f"with_{library}.py"
    run([str(INTERPRETER), str(script), node.url, str(node.grpc_port), protocol], tmp_path)


def test_the_javascript_client_works_over_rest(node: LiveNode, tmp_path: Path) -> None:
    run(["node", str(HERE / "js/rest.js"), node.url], tmp_path)


def test_the_javascript_client_works_over_grpc(node: LiveNode, tmp_path: Path) -> None:
    run(["node", str(HERE / "js/grpc.js"), f"http://127.0.0.1:{node.grpc_port}"], tmp_path)
