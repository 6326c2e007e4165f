"""Snippets of the documentation run unchanged against a live node (see ``manifest.toml``).

HTTP goes over a raw socket library, Python through the qdrant-client of its time and the newest one,
TypeScript through the official JavaScript client. Every snippet has conditions that must hold after it.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import LiveNode, wait_for
from tests_cluster.cluster import clustered
from tests_cluster.view import View

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
OLD_PYTHON = REPOSITORY / ".cache/old-client/bin/python"
JS_MODULES = HERE / "js/node_modules"
JS_PRELUDE = 'import { QdrantClient } from "@qdrant/js-client-rest";\n'
JS_CLIENT = 'const client = new QdrantClient({ host: "localhost", port: 6333 });\n'
PLACEHOLDERS = {"{collection_name}": "snippets", "{from_collection_name}": "source"}
LANGUAGES = {".http": "http", ".py": "python", ".ts": "typescript"}

Entry = dict[str, Any]
MANIFEST: list[Entry] = tomllib.loads((HERE / "manifest.toml").read_text())["snippet"]
RUNNABLE = [entry for entry in MANIFEST if "needs" not in entry]


def of_language(suffix: str) -> list[Entry]:
    return [entry for entry in RUNNABLE if entry["path"].endswith(suffix)]


def named(entry: Entry) -> str:
    return str(entry["path"])


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], LiveNode]]:
    """A node to ask, by how many there are; started when it is wanted first."""
    with ExitStack() as running:
        started: dict[int, LiveNode] = {}

        def of(nodes: int) -> LiveNode:
            if nodes not in started:
                directory = tmp_path_factory.mktemp(f"snippets{nodes}")
                started[nodes] = _start(directory, nodes, running)
            return started[nodes]

        yield of


def _start(directory: Path, nodes: int, running: ExitStack) -> LiveNode:
    if nodes == 1:
        return running.enter_context(LiveNode(directory))
    cluster = running.enter_context(clustered(directory, nodes))
    running.enter_context(View(cluster)).wait_joined(nodes)
    return cluster[0]


@pytest.fixture
def node(request: pytest.FixtureRequest, servers: Callable[[int], LiveNode]) -> LiveNode:
    """The one that the test's snippet is run against."""
    return servers(request.node.callspec.params["entry"].get("nodes", 1))


@pytest.fixture
def api(node: LiveNode) -> Iterator[Api]:
    with httpx.Client(base_url=node.url, timeout=60) as http:
        api = Api(http)
        api.clear()
        yield api


class Api:
    """What the manifest's setups and conditions are made of."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def call(self, method: str, path: str, body: object = None) -> Any:
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()["result"]

    def clear(self) -> None:
        for name in self.collections():
            self.call("DELETE", f"/collections/{name}")

    def collections(self) -> list[str]:
        return [found["name"] for found in self.call("GET", "/collections")["collections"]]

    def aliases(self) -> dict[str, str]:
        found = self.call("GET", "/aliases")["aliases"]
        return {alias["alias_name"]: alias["collection_name"] for alias in found}

    def info(self, name: str) -> Any:
        return self.call("GET", f"/collections/{name}")

    def count(self, name: str, **body: object) -> int:
        return int(self.call("POST", f"/collections/{name}/points/count", {"exact": True, **body})["count"])

    def keys(self, name: str) -> list[str]:
        return [found["key"] for found in self.call("GET", f"/collections/{name}/shards")["shard_keys"]]

    def replicas(self, name: str) -> list[int]:
        """How many each shard has."""
        found = self.call("GET", f"/collections/{name}/cluster")
        shards = [shard["shard_id"] for shard in (*found["local_shards"], *found["remote_shards"])]
        return [shards.count(shard) for shard in sorted(set(shards))]

    def point(self, name: str, point_id: int | str) -> Any:
        return self.call("GET", f"/collections/{name}/points/{point_id}")

    def presume(self, setup: list[dict[str, Any]]) -> None:
        for wanted in setup:
            self._create(wanted)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = wanted["name"]
        sizes = wanted.get("vectors")
        vectors = (
            {"size": wanted["size"], "distance": "Cosine"}
            if sizes is None
            else {each: {"size": size, "distance": "Cosine"} for each, size in sizes.items()}
        )
        self.call("PUT", f"/collections/{name}", {"vectors": vectors, **wanted.get("options", {})})
        for key in wanted.get("shard_keys", []):
            self.call("PUT", f"/collections/{name}/shards", {"shard_key": key})
        points = wanted.get("points", [])
        if isinstance(points, int):
            points = [{"id": i, "vector": [i + 1.0, 1.0, 0.5]} for i in range(points)]
        if points:
            self.call("PUT", f"/collections/{name}/points?wait=true", {"points": points})
        if "alias" in wanted:
            action = {"create_alias": {"collection_name": name, "alias_name": wanted["alias"]}}
            self.call("POST", "/collections/aliases", {"actions": [action]})


def near(found: Any, wanted: Any) -> bool:
    """Equal but for the last digits of numbers, and for members of ``found`` that nobody asked about."""
    if isinstance(wanted, dict):
        return all(key in found and near(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-5)
    return bool(found == wanted)


def until(condition: Callable[[], bool]) -> bool:
    return wait_for(condition)


def check(entry: Entry, api: Api, result: Any) -> None:
    questions = ("info", "collections", "aliases", "count", "point", "keys", "replicas")
    helpers = {name: getattr(api, name) for name in questions} | {
        "near": near,
        "until": until,
        "result": result,
    }
    assert entry["expect"], "a snippet that checks nothing shows nothing"
    for condition in entry["expect"]:
        assert eval(condition, helpers), f"{condition}\nresult: {result}"


def source_of(entry: Entry, node: LiveNode, *, as_printed: bool = False) -> str:
    text: str = (HERE / "snippets" / entry["path"]).read_text()
    for printed, repaired in [] if as_printed else entry.get("fix", []):
        assert printed in text, f"nothing to fix: {printed!r}"
        text = text.replace(printed, repaired)
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return text.replace("localhost:6333", f"127.0.0.1:{node.port}").replace(
        '"localhost", port=6333', f'"127.0.0.1", port={node.port}'
    )


def send(api: Api, text: str) -> httpx.Response:
    head, _, body = text.partition("\n")
    method, path = head.split()
    if method == "GET" or not body.strip():
        return api.http.request(method, path)  # what stands under a GET is its response
    return api.http.request(method, path, content=body.encode(), headers={"Content-Type": "application/json"})


def test_every_snippet_is_in_the_manifest_and_nothing_else() -> None:
    files = {str(path.relative_to(HERE / "snippets")) for path in (HERE / "snippets").rglob("*.*")}
    assert files == {entry["path"] for entry in MANIFEST}
    assert {Path(name).suffix for name in files} == set(LANGUAGES)


@pytest.mark.parametrize("entry", of_language(".http"), ids=named)
def test_http_snippet(entry: Entry, node: LiveNode, api: Api) -> None:
    api.presume(entry.get("setup", []))
    if "fix" in entry and "as_printed" not in entry:
        refused = send(api, source_of(entry, node, as_printed=True))
        assert refused.status_code == 400, refused.text
        assert refused.json()["status"]["error"].startswith("Format error in JSON body: ")
    answer = send(api, source_of(entry, node))
    assert answer.status_code == 200, answer.text
    check(entry, api, answer.json()["result"])


PYTHON_RUNS = [
    pytest.param(entry, client, id=f"{entry['path']}-{client}")
    for entry in of_language(".py")
    for client in entry.get("clients", ["old", "new"])
]


class Interpreter:
    """A Python with one version of qdrant-client, kept running because importing it takes a second."""

    def __init__(self, python: str) -> None:
        assert Path(python).exists(), "the older client is missing: `make test` installs it"
        self._process = subprocess.Popen(
            [python, str(HERE / "run_python.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, task: object) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(task) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def close(self) -> None:
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def interpreters() -> Iterator[Callable[[str], Interpreter]]:
    """By the name of the client: "new" or "old"."""
    running: dict[str, Interpreter] = {}

    def of(client: str) -> Interpreter:
        if client not in running:
            running[client] = Interpreter(sys.executable if client == "new" else str(OLD_PYTHON))
        return running[client]

    yield of
    for interpreter in running.values():
        interpreter.close()


@pytest.mark.parametrize(("entry", "client"), PYTHON_RUNS)
def test_python_snippet(
    entry: Entry, client: str, node: LiveNode, api: Api, interpreters: Callable[[str], Interpreter]
) -> None:
    api.presume(entry.get("setup", []))
    others = {other["path"]: other for other in MANIFEST}
    parts = [
        entry.get("prelude", ""),
        *(source_of(others[path], node) for path in entry.get("includes", [])),
        entry.get("before", ""),
        source_of(entry, node),
        *([entry["epilogue"]] if "epilogue" in entry else []),
    ]
    check(entry, api, interpreters(client).run({"url": node.url, "parts": parts}))


@pytest.mark.parametrize("entry", of_language(".ts"), ids=named)
def test_typescript_snippet(entry: Entry, node: LiveNode, api: Api) -> None:
    """The snippets use no type annotations, so they are JavaScript modules as they stand."""
    assert JS_MODULES.exists(), "the JavaScript client is missing: `make test` installs it"
    api.presume(entry.get("setup", []))
    text = source_of(entry, node)
    if "import " not in text:
        text = JS_PRELUDE + JS_CLIENT + text
    text = text.replace('host: "localhost", port: 6333', f'host: "127.0.0.1", port: {node.port}')
    assert text.count("\nclient.") == 1
    text = text.replace("\nclient.", "\nconst result = await client.")
    program = f"{text}\nconsole.log(JSON.stringify(result));\n"
    command = ["node", "--input-type=module", "--eval", program]
    check(entry, api, finish(command, cwd=HERE / "js"))


def finish(command: list[str], *, cwd: Path) -> Any:
    """Run a program and return the JSON it printed last."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])
