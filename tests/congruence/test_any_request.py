"""Whatever is asked of collections, aliases, shards and the cluster is done or refused as the schemas say.

Reads and writes of points are tried in ``test_any_body``. Replies are judged by qdrant-client's models, which
are made from Qdrant's OpenAPI document.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter
from qdrant_client.http import models

from tests.congruence.bodies import Bodies
from tests.congruence.server import examples, serving
from tests.congruence.test_any_body import fill

Json = Any

# A cluster makes a collection in half a second, a node on its own in a few milliseconds.
CREATED_MAX, ASKED_MAX = 80, 60
SHARDS_MAX = 3  # numbers of shards that are made; larger ones are refused, or would take a minute
NAMES = ("c", "changed", "alias", "none", "made", "a b", "ä", "x" * 255, "x" * 256, "%00", "a%2Fb", "..%2F..")
KEYS = ("key", "another", "a b", "%2e%2e", "ä")
PARTS = ("queued", "completed, idle_segments", "nothing")
QUERY: dict[str, st.SearchStrategy[str]] = {
    "timeout": st.sampled_from(("1", "30", "+5", "0", "-1", "1.5", "", "soon", "9" * 30)),
    "wait": st.sampled_from(("true", "false", "True", "")),
    "priority": st.sampled_from(("no_sync", "snapshot", "replica", "", "other")),
    "checksum": st.sampled_from(("0" * 64, "0" * 63, "", "g" * 64)),
    "force": st.sampled_from(("true", "false", "yes")),
    "ordering": st.sampled_from(("weak", "medium", "strong", "none")),
    "with": st.sampled_from(PARTS),
    "completed_limit": st.sampled_from(("0", "3", "-1", "many")),
    "anonymize": st.sampled_from(("true", "false", "1")),
    "details_level": st.integers(0, 10).map(str) | st.sampled_from(("-1", "all", "9" * 30)),
    "per_collection": st.sampled_from(("true", "false", "")),
}


class FileState(BaseModel):
    size: int
    sum: str
    block_bytes: int = 0
    blocks: str = ""


class Manifest(BaseModel):
    """What a shard consists of, which Qdrant's OpenAPI document does not have."""

    format: int
    collection: str
    shard_id: int
    stamp: str
    origin: str
    files: dict[str, FileState]


class Followed(BaseModel):
    peer_url: str
    api_key: str | None = None


class Pruning(BaseModel):
    keep: int | None = None
    older_than_sec: int | None = None


# Method and path: the model of the body, that of the result, parameters.
SCHEMA = ("wait", "ordering", "timeout")
ROUTES: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "GET /collections": (None, models.CollectionsResponse, ()),
    "GET /collections/{name}": (None, models.CollectionInfo, ()),
    "PATCH /collections/{name}": (models.UpdateCollection, bool, ("timeout",)),
    "GET /collections/{name}/exists": (None, models.CollectionExistence, ()),
    "GET /collections/{name}/aliases": (None, models.CollectionsAliasesResponse, ()),
    "GET /collections/{name}/optimizations": (
        None,
        models.OptimizationsResponse,
        ("with", "completed_limit"),
    ),
    "GET /collections/{name}/cluster": (None, models.CollectionClusterInfo, ()),
    "POST /collections/{name}/cluster": (models.ClusterOperations, bool, ("timeout",)),
    "POST /collections/{name}/truncate_unapplied_wal": (None, bool, ("wait",)),
    "GET /collections/{name}/shards": (None, models.ShardKeysResponse, ()),
    "PUT /collections/{name}/shards": (models.CreateShardingKey, bool, ("timeout",)),
    "POST /collections/{name}/shards/delete": (models.DropShardingKey, bool, ("timeout",)),
    "PUT /collections/{name}/index": (models.CreateFieldIndex, models.UpdateResult, SCHEMA),
    "DELETE /collections/{name}/index/{key}": (None, models.UpdateResult, SCHEMA),
    "PUT /collections/{name}/vectors/{key}": (models.VectorNameConfig, models.UpdateResult, SCHEMA),
    "DELETE /collections/{name}/vectors/{key}": (None, models.UpdateResult, SCHEMA),
    "POST /collections/aliases": (models.ChangeAliasesOperation, bool, ("timeout",)),
    "GET /aliases": (None, models.CollectionsAliasesResponse, ()),
    "GET /cluster": (None, models.ClusterStatus, ()),
    "POST /cluster/recover": (None, bool, ()),
    "DELETE /cluster/peer/{number}": (None, bool, ("timeout", "force")),
    "GET /cluster/telemetry": (None, models.DistributedTelemetryData, ("details_level", "timeout")),
    "GET /telemetry": (
        None,
        models.TelemetryData,
        ("anonymize", "details_level", "per_collection", "timeout"),
    ),
    "GET /cluster/metadata/keys": (None, list[str], ()),
    "GET /cluster/metadata/keys/{key}": (None, Any, ()),
    "PUT /cluster/metadata/keys/{key}": (Any, bool, ("wait",)),
    "DELETE /cluster/metadata/keys/{key}": (None, bool, ("wait",)),
    "GET /issues": (None, Any, ()),
    "DELETE /issues": (None, bool, ()),
    "POST /collections/{name}/shards/{number}/points": (models.PointRequest, list[models.Record], ()),
    "POST /collections/{name}/shards/{number}/points/scroll": (
        models.ScrollRequest,
        models.ScrollResult,
        (),
    ),
    "POST /collections/{name}/shards/{number}/points/count": (models.CountRequest, models.CountResult, ()),
    "GET /snapshots": (None, list[models.SnapshotDescription], ()),
    "POST /snapshots": (None, models.SnapshotDescription, ("wait",)),
    "DELETE /snapshots/{key}": (None, bool, ("wait",)),
    **{
        f"{method} {base}/{path}": told
        for base in ("/collections/{name}", "/collections/{name}/shards/{number}")
        for method, path, told in (
            ("GET", "snapshots", (None, list[models.SnapshotDescription], ())),
            ("POST", "snapshots", (None, models.SnapshotDescription, ("wait",))),
            ("GET", "snapshots/{key}", (None, bool, ())),
            ("DELETE", "snapshots/{key}", (None, bool, ("wait",))),
            ("PUT", "snapshots/recover", (models.SnapshotRecover, bool, ("wait",))),
        )
    },
    "GET /collections/{name}/shards/{number}/snapshot": (None, bytes, ()),
    "GET /collections/{name}/shards/{number}/snapshot/partial/manifest": (None, Manifest, ()),
    "POST /collections/{name}/shards/{number}/snapshot/partial/create": (Manifest, bytes, ()),
    "POST /collections/{name}/shards/{number}/snapshot/partial/recover_from": (Followed, bool, ("wait",)),
    "GET /cluster/backups": (None, dict[str, list[str]], ()),
    "POST /cluster/backups/prune": (Pruning, dict[str, Any], ()),
    "POST /cluster/backups/{key}/recover": (None, bool, ()),
}
# Asked in every state of the one collection that has been created with any configuration.
INFOS = {
    path: TypeAdapter(result)
    for path, result in (
        ("", models.CollectionInfo),
        ("/cluster", models.CollectionClusterInfo),
        ("/optimizations?with=queued,completed,idle_segments", models.OptimizationsResponse),
        ("/memory", dict[str, Any]),
    )
}
# What a node of a cluster answers when it is asked for its replica of a shard, and has none.
ELSEWHERE = "is not on this node"
BUSY = {"status": "already_in_progress", "time": 0.0}  # with what came before, and was not waited for
SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serving(tmp_path_factory.mktemp("requests")) as urls,
        httpx.Client(base_url=urls[0], timeout=60) as found,
    ):
        for name in ("c", "changed"):
            fill(found, name)
        body = {"sharding_method": "custom", "shard_number": 1}
        assert found.put("/collections/keyed", json=body).status_code == 200
        action = {"create_alias": {"collection_name": "c", "alias_name": "alias"}}
        assert found.post("/collections/aliases", json={"actions": [action]}).status_code == 200
        yield found


@pytest.mark.parametrize("route", ROUTES)
def test_any_request_is_done_or_refused_as_the_schema_says(client: httpx.Client, route: str) -> None:
    (method, path), (body, result, parameters) = route.split(), ROUTES[route]
    judge = TypeAdapter(result)

    @settings(max_examples=examples(ASKED_MAX), **SETTINGS)
    @given(path=paths(path, method), query=queries(parameters), body=bodies(body))
    def check(path: str, query: dict[str, str], body: Json) -> None:
        judged(client.request(method, path, params=query, json=body), judge, (path, query, body))

    check()


UPLOADS = (
    "/collections/uploaded/snapshots/upload",
    "/collections/changed/snapshots/upload",
    "/collections/changed/shards/0/snapshots/upload",
    "/collections/changed/shards/0/snapshot/partial/recover",
)


@pytest.mark.parametrize("path", UPLOADS)
def test_any_upload_is_refused_and_changes_nothing(client: httpx.Client, path: str) -> None:
    """Bytes that are no snapshot, or nearly one, though not of what is asked for; fields of any name."""
    state = client.get("/collections").json()["result"]
    count = client.post("/collections/changed/points/count", json={}).json()["result"]
    good = client.get("/collections/c/shards/0/snapshot").content
    if "/shards/" in path:
        name = client.post("/collections/c/snapshots").json()["result"]["name"]
        good = client.get(f"/collections/c/snapshots/{name}").content
    damaged = st.builds(_changed, st.just(good), st.integers(0, len(good) - 1), st.integers(1, 255))
    cut = st.integers(0, len(good)).map(lambda size: good[:size])

    @settings(max_examples=examples(ASKED_MAX), **SETTINGS)
    @given(
        data=st.binary(max_size=2000) | damaged | cut,
        field=st.just("snapshot") | st.text(max_size=20),
        query=queries(("wait", "priority", "checksum")),
    )
    def check(data: bytes, field: str, query: dict[str, str]) -> None:
        answer = client.post(path, params=query, files={field: data})
        assert judged(answer, TypeAdapter(bool), (field, query)) is None, (field, query, data[:600])

    check()
    assert client.get("/collections").json()["result"] == state
    assert client.post("/collections/changed/points/count", json={}).json()["result"] == count


def _changed(data: bytes, at: int, by: int) -> bytes:
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


def test_a_collection_of_any_configuration_is_made_shown_changed_and_deleted(client: httpx.Client) -> None:
    made = [0]

    @settings(max_examples=examples(CREATED_MAX), **SETTINGS)
    @given(
        wanted=bodies(models.CreateCollection).map(_few_shards),
        change=bodies(models.UpdateCollection),
    )
    def check(wanted: Json, change: Json) -> None:
        url = "/collections/any"
        if judged(client.put(url, json=wanted), TypeAdapter(bool), wanted) is None:
            assert client.get(url).status_code == 404, wanted
            return
        made[0] += 1
        for path, judge in INFOS.items():
            assert judged(client.get(url + path), judge, wanted) is not None
        judged(client.patch(url, json=change), TypeAdapter(bool), (wanted, change))
        assert judged(client.get(url), INFOS[""], (wanted, change)) is not None
        assert judged(client.delete(url), TypeAdapter(bool), wanted) is True

    check()
    assert made[0] > examples(CREATED_MAX) / 4, "nearly all were refused"


def judged(answer: httpx.Response, judge: TypeAdapter[Any], asked: Json) -> Any:
    """The result, as it is; None if it was refused, and told why."""
    shown = json.dumps(asked)
    if not answer.content:  # no route, or nothing differs
        assert answer.status_code in (304, 404, 405), (answer.status_code, shown)
        return None
    if answer.headers["content-type"] == "application/octet-stream":
        return judge.validate_python(answer.content)
    found = answer.json()
    if answer.status_code == 200:
        assert found["status"] == "ok"
        judge.validate_python(found["result"])
        return found["result"]
    if answer.status_code == 202:
        assert found.keys() == {"status", "time"}
        return None
    if found == BUSY:
        return None
    assert answer.status_code < 500 or ELSEWHERE in answer.text, (found, shown)
    assert found["status"]["error"]
    assert "result" not in found
    return None


def paths(template: str, method: str) -> st.SearchStrategy[str]:
    """Mostly of what there is; what may change something leaves the collection ``c`` to readers."""
    reading = method == "GET" or "{number}/points" in template
    names = st.sampled_from(NAMES if reading else [name for name in NAMES if name not in ("c", "alias")])
    right = st.just("c" if reading else "keyed" if "/shards" in template else "changed")
    numbers = st.integers(0, 4).map(str) | st.sampled_from(("-1", "x", "9" * 25))
    drawn = {
        "{name}": right | right | names,
        "{key}": st.sampled_from(KEYS),
        "{number}": st.sampled_from(("0", "1")) | numbers,
    }
    segments = [drawn.get(segment, st.just(segment)) for segment in template.split("/")]
    return st.tuples(*segments).map("/".join)


def queries(parameters: tuple[str, ...]) -> st.SearchStrategy[dict[str, str]]:
    """Each parameter is left out more often than not: one that is wrong hides what else is."""
    drawn = st.fixed_dictionaries({name: st.none() | st.none() | QUERY[name] for name in parameters})
    return drawn.map(lambda given: {name: text for name, text in given.items() if text is not None})


def bodies(model: Any) -> st.SearchStrategy[Json]:
    return st.none() if model is None else Bodies(TypeAdapter(model).json_schema()).strategy()


def _few_shards(body: Json) -> Json:
    shards = body.get("shard_number")
    return body if not shards else {**body, "shard_number": 1 + abs(shards) % SHARDS_MAX}
