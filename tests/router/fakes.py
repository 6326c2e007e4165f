"""An in-memory node and metadata log for tests of the router: small, exact, no threads, no disk.

``FakeShard`` keeps the contract of ``protos.shard_client.ShardClient``; filters are checked point by point.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import numpy as np

from consensus.commands import Command
from consensus.state import ClusterState, CollectionState, Peer, founding_state
from consensus.transitions import Events, apply, rejection
from node.client import QuotaReport, ReplicaClient, SearchLoad
from node.filter.check import compile_check
from protos.collections import CollectionConfig, Distance
from protos.diversity import diverse
from protos.errors import (
    Forbidden,
    NotFound,
    ShardUnavailable,
    VecraftError,
    point_not_found,
    vector_name_not_found,
)
from protos.facets import FacetHit, FacetRequest, FacetValue, ordered_facets
from protos.filters import Filter, HasId
from protos.fusion import Dbsf, fuse
from protos.hardware import HardwareUsage
from protos.idf import Frequencies, FrequencyRequest
from protos.ids import PointId, id_key
from protos.json_path import delete_at, exclude, flat_values_at, include, merge, parse_path, set_at
from protos.memory import ShardMemory, Usage, VectorMemory
from protos.operations import (
    ClearPayload,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    OverwritePayload,
    PointChange,
    SetPayload,
    UpdateMode,
    UpdateResult,
    UpdateStatus,
    UpdateVectors,
    Upsert,
    VectorBatch,
)
from protos.quotas import QuotaConfig, QuotaUsage
from protos.shard import (
    Direction,
    FloatArray,
    Hits,
    PayloadSelector,
    Position,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    ShardInfo,
    ShardStatus,
    UpdateRequest,
)
from protos.shard_client import ShardClient
from protos.stages import Boosted, Diverse, Fused, Searched, Stage, StagedRequest
from tests.node.query import naive_examples


class FakeLog:
    def __init__(self, *peers: Peer) -> None:
        """The first peer is this member; the default is one that is alone."""
        members = peers or (Peer(1),)
        self.peer_id = members[0].id
        self.state: ClusterState = msgspec.structs.replace(
            founding_state(members[0]), peers={peer.id: peer for peer in members}
        )
        self._subscribers: list[Callable[[ClusterState, Events], None]] = []

    async def propose(self, command: Command) -> Events:
        after, events = apply(self.state, command)
        if after is not self.state:
            self.become(after, events)
        rejected = rejection(events)
        if rejected is not None:
            raise rejected.error
        return events

    def become(self, state: ClusterState, events: Events = ()) -> None:
        """Have another state, as if it had been agreed on."""
        self.state = state
        for subscriber in list(self._subscribers):
            subscriber(state, events)

    def subscribe(self, subscriber: Callable[[ClusterState, Events], None]) -> Callable[[], None]:
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    async def close(self) -> None: ...


class FakeNode:
    def __init__(self) -> None:
        self.shards: dict[tuple[str, int], FakeShard] = {}
        self.agreed_quotas = QuotaConfig()
        self.measured_hardware: dict[str, HardwareUsage] = {}
        self.settled: list[tuple[str, int, int]] = []  # collection, shard, config version
        self.answers_soon: Hits | asyncio.Future[Hits] | None = None
        self.asked_soon: list[tuple[str, int, SearchRequest]] = []

    def shard(self, collection: str, shard_id: int, *, answers_since: int | None = None) -> ShardClient:
        shard = self.shards.get((collection, shard_id))
        if shard is None:
            raise ShardUnavailable(f"shard {shard_id} of collection `{collection}` is not on this node")
        return shard

    def search_soon(
        self, collection: str, shard_id: int, request: SearchRequest
    ) -> Hits | asyncio.Future[Hits] | None:
        self.asked_soon.append((collection, shard_id, request))
        return self.answers_soon

    def replica(self, collection: CollectionState, shard_id: int, peer_id: int) -> ReplicaClient:
        return FakeReplica(self, collection.name, shard_id)

    async def reconcile(self, state: ClusterState) -> None:
        wanted = {(name, shard) for name, held in state.collections.items() for shard in held.shards}
        self.shards = {key: shard for key, shard in self.shards.items() if key in wanted}
        for name, shard in wanted:
            config = state.collections[name].config
            self.shards.setdefault((name, shard), FakeShard(config)).config = config

    async def settle_schema(self, collection: str, shard_id: int, config_version: int) -> UpdateResult:
        self.settled.append((collection, shard_id, config_version))
        return UpdateResult(UpdateStatus.COMPLETED, 0)

    def touch(self, collection: str) -> None: ...

    def hardware(self) -> dict[str, HardwareUsage]:
        return self.measured_hardware

    def quotas(self) -> QuotaReport:
        return QuotaReport(self.agreed_quotas, QuotaUsage(1, 2), memory_exceeded=False, disk_exceeded=False)

    def set_quotas(self, agreed: QuotaConfig | None) -> None:
        self.agreed_quotas = agreed or QuotaConfig()

    def search_load(self) -> SearchLoad:
        return SearchLoad(threads=2, busy=0, waiting=0)

    async def close(self) -> None: ...


class FakeReplica:
    """The only replica there is."""

    def __init__(self, node: FakeNode, collection: str, shard_id: int) -> None:
        self._node, self._collection, self._shard_id = node, collection, shard_id

    def open(self, session: ReadSession) -> Any:
        return _FakeSession(self._node.shard(self._collection, self._shard_id), session)

    async def settle_schema(self, config_version: int) -> UpdateResult:
        return await self._node.settle_schema(self._collection, self._shard_id, config_version)


class _FakeSession:
    def __init__(self, shard: ShardClient, session: ReadSession) -> None:
        self._shard, self._session = shard, session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shard, name)

    async def update(self, request: UpdateRequest) -> UpdateResult:
        result = await self._shard.update(request)
        if result.operation_id is not None:
            self._session.position = Position(1, result.operation_id)
        return result


class FakePoint(msgspec.Struct):
    version: int
    payload: dict[str, Any]
    vectors: dict[str, FloatArray]


class FakeShard:
    def __init__(self, config: CollectionConfig) -> None:
        self.config = config
        self.points: dict[PointId, FakePoint] = {}
        self.operations = 0
        self.requests: list[UpdateRequest] = []
        self.searches: list[SearchRequest] = []
        self.staged: list[StagedRequest] = []
        self.facets: list[FacetRequest] = []
        self.failure: VecraftError | None = None
        self.status = UpdateStatus.COMPLETED
        self.before_retrieve: Callable[[], None] = lambda: None

    # --- writes -------------------------------------------------------------------------------------

    async def update(self, request: UpdateRequest) -> UpdateResult:
        if self.failure is not None:
            raise self.failure
        self.requests.append(request)
        self._check_within(request.change)
        operation, self.operations = self.operations, self.operations + 1
        self._apply(request.change, operation)
        return UpdateResult(self.status if request.wait else UpdateStatus.ACKNOWLEDGED, operation)

    def _check_within(self, change: PointChange) -> None:
        if change.within is not None and isinstance(change, Upsert):
            for point_id in change.ids:
                if point_id in self.points and not self._matches(change.within, point_id):
                    raise Forbidden(f"Point {point_id} exists, but not for this token")

    def _apply(self, change: PointChange, version: int) -> None:
        strangers = {} if change.within is None else self._strangers(change.within)
        for point_id in strangers:
            del self.points[point_id]
        try:
            self._apply_to_all(change, version)
        finally:
            self.points |= strangers

    def _strangers(self, own: Filter) -> dict[PointId, FakePoint]:
        return {
            point_id: point for point_id, point in self.points.items() if not self._matches(own, point_id)
        }

    def _apply_to_all(self, change: PointChange, version: int) -> None:
        if isinstance(change, Upsert):
            self._upsert(change, version)
        elif isinstance(change, UpdateVectors):
            for row, point_id in enumerate(change.ids):
                self._changed(point_id, version).vectors.update(
                    self._vectors(change.vectors, row, len(change.ids))
                )
        elif isinstance(change, DeleteVectors):
            by_filter = self._matching(change.filter) if change.filter is not None else []
            for point_id in [*by_filter, *(change.ids or [])]:
                for name in change.names:
                    self._changed(point_id, version).vectors.pop(name, None)
        else:
            targets = self._matching(change.filter) if change.ids is None else change.ids
            if isinstance(change, DeletePoints):
                at = [self._is_at(point_id, change.at_versions, row) for row, point_id in enumerate(targets)]
                targets = [point_id for point_id, is_at in zip(targets, at) if is_at]
            for point_id in targets:
                self._change_payload(change, point_id, version)

    def _is_at(self, point_id: PointId, versions: list[int | None] | None, row: int) -> bool:
        point = self.points.get(point_id)
        return versions is None or versions[row] == (None if point is None else point.version)

    def _upsert(self, change: Upsert, version: int) -> None:
        for row, point_id in enumerate(change.ids):
            if not self._is_at(point_id, change.at_versions, row):
                continue
            exists = point_id in self.points
            if exists and (
                change.mode is UpdateMode.INSERT_ONLY or not self._matches(change.condition, point_id)
            ):
                continue
            if not exists and change.mode is UpdateMode.UPDATE_ONLY:
                continue
            payload = msgspec.json.decode(change.payloads[row])
            vectors = self._vectors(change.vectors, row, len(change.ids))
            self.points[point_id] = FakePoint(version, payload, vectors)

    def _change_payload(self, change: PointChange, point_id: PointId, version: int) -> None:
        if isinstance(change, DeletePoints):
            self.points.pop(point_id, None)
            return
        point = self._changed(point_id, version)
        if isinstance(change, SetPayload) and change.path is not None:
            set_at(point.payload, parse_path(change.path), msgspec.json.decode(change.payload))
        elif isinstance(change, SetPayload):
            merge(point.payload, msgspec.json.decode(change.payload))
        elif isinstance(change, OverwritePayload):
            point.payload = msgspec.json.decode(change.payload)
        elif isinstance(change, DeletePayload):
            for path in change.paths:
                delete_at(point.payload, parse_path(path))
        elif isinstance(change, ClearPayload):
            point.payload = {}

    def _changed(self, point_id: PointId, version: int) -> FakePoint:
        if point_id not in self.points:
            raise point_not_found(point_id)
        self.points[point_id].version = version
        return self.points[point_id]

    def _vectors(self, batches: tuple[VectorBatch, ...], row: int, points: int) -> dict[str, FloatArray]:
        found = {}
        for batch in batches:
            place = batch.row_of_point(points)[row]
            if place >= 0:
                found[batch.name] = self._normalised(batch.name, batch.matrix()[place])
        return found

    def _normalised(self, name: str, vector: FloatArray) -> FloatArray:
        norm = np.linalg.norm(vector)
        cosine = self.config.params.vectors[name].distance is Distance.COSINE
        return (vector / norm).astype(np.float32) if cosine and norm else vector

    # --- reads ----------------------------------------------------------------------------------------

    async def search(self, requests: list[SearchRequest]) -> list[Hits]:
        self.searches += requests
        return [self._search(request) for request in requests]

    def _search(self, request: SearchRequest) -> Hits:
        distance = self.config.params.vectors[request.using].distance
        below = distance in (Distance.EUCLID, Distance.MANHATTAN)  # is what passes a threshold, always
        ascending = below and request.examples is None
        scored = []
        for point_id in self._matching(request.filter):
            vector = self.points[point_id].vectors.get(request.using)
            if vector is not None:
                score = self._rated(request, distance, vector)
                limit = request.score_threshold
                if limit is None or (score < limit if below else score > limit):
                    scored.append((score, id_key(point_id), point_id))
        scored.sort(reverse=not ascending)
        best = scored[: request.limit]
        records = [self._record(point_id, request.projection) for _, _, point_id in best]
        return Hits(records, np.array([score for score, _, _ in best], dtype=np.float32))

    def _rated(self, request: SearchRequest, distance: Distance, vector: FloatArray) -> float:
        def similarity(example: FloatArray) -> float:
            score = _score(distance, self._normalised(request.using, example), vector)
            return {Distance.EUCLID: -(score**2), Distance.MANHATTAN: -score}.get(distance, score)

        if request.examples is not None:
            return naive_examples.score(request.examples, similarity)
        return _score(distance, self._normalised(request.using, request.vector), vector)

    async def query_staged(self, requests: list[StagedRequest]) -> list[Hits]:
        self.staged += requests
        answers = []
        for request in requests:
            found = self._run(request.stage, None)
            records = [
                msgspec.structs.replace(
                    self._record(record.id, request.projection), order_value=record.order_value
                )
                for record in found.records
            ]
            answers.append(Hits(records, found.scores))
        return answers

    def _run(self, stage: Stage, among: set[PointId] | None) -> Hits:
        """``among``: what the stages before found."""
        if isinstance(stage, Diverse):
            return self._diverse(stage, self._run(stage.candidates, among))
        lists = [self._run(earlier, None) for earlier in stage.prefetch]
        if stage.prefetch:
            among = {record.id for hits in lists for record in hits.records}
        if isinstance(stage, Fused):
            return self._fused(stage, lists)
        if isinstance(stage, Boosted):  # formulas are the node's: here any is worth the fused scores
            return self._fused(Fused(Dbsf(), stage.limit, stage.prefetch, stage.score_threshold), lists)
        inside = None if among is None else Filter(must=(HasId(tuple(among)),))
        if isinstance(stage, Searched):
            return self._search(_narrowed(stage.search, inside))
        records = self._scroll(_narrowed(stage.scroll, inside))
        return Hits(records, np.ones(len(records), dtype=np.float32))

    def _diverse(self, stage: Diverse, found: Hits) -> Hits:
        name = stage.search.using
        chosen = diverse(
            stage.search.vector,
            [self.points[record.id].vectors[name] for record in found.records],
            self.config.distance_of(name),
            diversity=stage.diversity,
            limit=stage.limit,
        )
        return Hits([found.records[place] for place in chosen], found.scores[chosen])

    def _fused(self, stage: Fused, lists: list[Hits]) -> Hits:
        ids = sorted({record.id for hits in lists for record in hits.records}, key=id_key)
        rankings = [
            (np.array([ids.index(record.id) for record in hits.records], dtype=np.int64), hits.scores)
            for hits in lists
        ]
        keys, scores = fuse(stage.by, rankings)
        found = sorted(zip(scores.tolist(), keys.tolist()), reverse=True)
        threshold = stage.score_threshold
        best = [entry for entry in found if threshold is None or entry[0] >= threshold][: stage.limit]
        records = [self._record(ids[key], Projection()) for _, key in best]
        return Hits(records, np.array([score for score, _ in best], dtype=np.float32))

    async def scroll(self, request: ScrollRequest) -> list[Record]:
        return self._scroll(request)

    def _scroll(self, request: ScrollRequest) -> list[Record]:
        ids = sorted(self._matching(request.filter), key=id_key)
        if request.order_by is not None:
            return self._ordered(ids, request)
        if request.sample_seed is not None:
            return self._sampled(ids, request, random.Random(request.sample_seed))
        if request.offset is not None:
            ids = [point_id for point_id in ids if id_key(point_id) >= id_key(request.offset)]
        return [self._record(point_id, request.projection) for point_id in ids[: request.limit]]

    def _sampled(self, ids: list[PointId], request: ScrollRequest, rng: random.Random) -> list[Record]:
        numbered = sorted((rng.random(), point_id) for point_id in ids)[: request.limit]
        return [
            msgspec.structs.replace(self._record(point_id, request.projection), order_value=number)
            for number, point_id in numbered
        ]

    def _ordered(self, ids: list[PointId], request: ScrollRequest) -> list[Record]:
        order = request.order_by
        assert order is not None
        descending = order.direction is Direction.DESC
        entries = []
        for point_id in ids:
            for value in flat_values_at(self.points[point_id].payload, parse_path(order.key)):
                start = order.start_from
                if start is None or (value <= start if descending else value >= start):
                    entries.append((value, id_key(point_id), point_id))
        entries.sort(reverse=descending)
        return [
            msgspec.structs.replace(self._record(point_id, request.projection), order_value=value)
            for value, _, point_id in entries[: request.limit]
        ]

    async def retrieve(self, ids: list[PointId], projection: Projection) -> list[Record]:
        self.before_retrieve()
        return [
            self._record(point_id, projection) for point_id in dict.fromkeys(ids) if point_id in self.points
        ]

    async def count(self, filter: Filter | None, *, exact: bool) -> int:
        return len(self._matching(filter))

    async def facet(self, request: FacetRequest) -> list[FacetHit]:
        """Of strings and integers; the real one goes by the type of the index."""
        self.facets.append(request)
        counts: Counter[FacetValue] = Counter()
        for point_id in self._matching(request.filter):
            values = flat_values_at(self.points[point_id].payload, parse_path(request.key))
            counts.update({value for value in values if type(value) in (str, int)})
        return ordered_facets(counts, request.limit)

    async def frequencies(self, requests: list[FrequencyRequest]) -> list[Frequencies]:
        """Nothing here is sparse."""
        raise vector_name_not_found(requests[0].using)

    async def memory(self) -> ShardMemory:
        usage = Usage(1, 2, 3, 4)
        return ShardMemory(vectors={"": VectorMemory(usage, usage)}, payload_index={"a": usage})

    async def info(self) -> ShardInfo:
        return ShardInfo(ShardStatus.GREEN, len(self.points), {}, 0, 1, {}, self.operations)

    def _matching(self, filter: Filter | None) -> list[PointId]:
        return [point_id for point_id in self.points if self._matches(filter, point_id)]

    def _matches(self, filter: Filter | None, point_id: PointId) -> bool:
        point = self.points[point_id]
        return filter is None or compile_check(filter)(point_id, point.payload, point.vectors.keys())

    def _record(self, point_id: PointId, projection: Projection) -> Record:
        if point_id not in self.points:
            raise NotFound(str(point_id))
        point = self.points[point_id]
        payload, wanted = None, projection.payload
        if isinstance(wanted, PayloadSelector):
            keep, paths = (
                (include, wanted.include) if wanted.include is not None else (exclude, wanted.exclude)
            )
            payload = msgspec.json.encode(keep(point.payload, [parse_path(path) for path in paths or ()]))
        elif wanted:
            payload = msgspec.json.encode(point.payload)
        vectors = None
        if projection.vectors:
            names = point.vectors if projection.vectors is True else projection.vectors
            vectors = {name: point.vectors[name] for name in names if name in point.vectors}
        return Record(point_id, point.version, payload, vectors)


_R = TypeVar("_R", SearchRequest, ScrollRequest)


def _narrowed(request: _R, inside: Filter | None) -> _R:
    if inside is None:
        return request
    return msgspec.structs.replace(
        request, filter=inside if request.filter is None else Filter(must=(inside, request.filter))
    )


def _score(distance: Distance, a: FloatArray, b: FloatArray) -> float:
    if distance is Distance.EUCLID:
        return float(np.linalg.norm(a - b))
    if distance is Distance.MANHATTAN:
        return float(np.abs(a - b).sum())
    return float(a @ b)
