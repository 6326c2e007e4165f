"""Writes: what stands behind the point update endpoints of every protocol (reference 8).

A change is checked against the collection, split over its shards and sent to their primaries concurrently;
each part gets an operation id, so that a repeat under the same idempotency key changes nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consensus.state import LEVEL_OF_KEYS, CollectionState
from node.client import NodeClient
from protos.collections import CollectionParams
from protos.errors import (
    BadRequest,
    PointsMoved,
    ShardUnavailable,
    Timeout,
    VecraftError,
    operation_timed_out,
)
from protos.operations import (
    OPERATION_ID_BYTES,
    PointChange,
    UpdateResult,
    UpdateStatus,
    UpdateVectors,
    Upsert,
    WriteOrdering,
    check_shape,
)
from protos.shard import ReadSession, UpdateRequest
from router.auth.access import FULL, Access
from router.auth.needs import Need
from router.collections import CollectionOperations
from router.inference.embedding import Inference
from router.inference.replacing import fill_rows, objects_of_rows
from router.primaries import PrimaryCalls
from router.primaries.calls import WRITE_TIMEOUT_MS
from router.shards import ShardSelector, moved_parts, split_change
from router.tenants import within
from router.tokens import Positions
from router.vectors import VectorRows, params_of, shape_of

# Worst last: a write over several shards is what its worst part is.
_BY_SEVERITY = (UpdateStatus.COMPLETED, UpdateStatus.ACKNOWLEDGED, UpdateStatus.WAIT_TIMEOUT)


MOVED_PAUSE_S = 0.05  # before points are looked for again, if nothing is heard of them


class WriteOptions(Struct, frozen=True):
    """``idempotency_key`` names the request across retries; empty: every call is new.

    ``known``: positions of earlier writes that the caller named. ``written`` is filled in: where in the
    logs of its shards the write stands. ``access``: the caller's.
    """

    wait: bool = False
    ordering: WriteOrdering = WriteOrdering.WEAK
    timeout_ms: int | None = None
    idempotency_key: str = ""
    known: Positions = {}
    written: Positions = {}
    access: Access = FULL


class Draft(Struct, frozen=True):
    """A decoded request that becomes a change once the collection's vectors are known.

    ``vectors``: what ``build`` packs; objects among them are embedded first.
    """

    build: Callable[[CollectionParams], PointChange]
    shard_keys: ShardSelector | None = None
    vectors: dict[str, VectorRows] = {}


class PointOperations:
    def __init__(
        self,
        collections: CollectionOperations,
        node: NodeClient,
        inference: Inference | None = None,
        *,
        timeout_ms: int = WRITE_TIMEOUT_MS,
    ) -> None:
        """``timeout_ms``: how long writes may take that name no time of their own."""
        self._timeout_ms = timeout_ms
        self._collections = collections
        self._inference = inference or Inference()
        self._primaries = PrimaryCalls(collections.watch, node, retrying=collections.clustered)

    async def apply(self, collection: str, draft: Draft, options: WriteOptions) -> UpdateResult:
        """Apply one change.

        Raises: NotFound for an unknown collection; BadInput if a vector or shard key does not fit it;
            BadRequest if there is nothing to do; what the shards raise.
        """
        await self._embed([draft])
        return await self._apply(collection, draft, options, position=0)

    async def apply_batch(
        self, collection: str, drafts: Sequence[Draft], options: WriteOptions
    ) -> list[UpdateResult]:
        """Apply changes one after another; the first failure ends it and earlier ones stay (8.7)."""
        self._collections.resolve(collection)
        await self._embed(drafts)
        return [
            await self._apply(collection, draft, options, position=position)
            for position, draft in enumerate(drafts)
        ]

    async def _embed(self, drafts: Sequence[Draft]) -> None:
        """Vectors in place of the objects of all changes, equal ones made once. Raises: as ``Inference``."""
        objects = [each for draft in drafts for each in objects_of_rows(draft.vectors)]
        if objects:
            vectors = await self._inference.embed(objects, searching=False)
            for draft in drafts:
                fill_rows(draft.vectors, vectors)

    async def _apply(
        self, collection: str, draft: Draft, options: WriteOptions, *, position: int
    ) -> UpdateResult:
        options.access.permit(Need.WRITE_POINTS_OF_COLLECTION, collection)
        state = await self._collections.opened(collection)
        change = draft.build(state.config.params)
        _check(change, state.config.params)
        tenant = options.access.tenant(collection)
        if tenant is not None:
            self._check_all_know_tenants()
            change = within(change, tenant)
        await self._collections.admission.change(state, change, options.timeout_ms)
        parts = split_change(state, change, draft.shard_keys)
        if not parts:
            return UpdateResult(UpdateStatus.ACKNOWLEDGED)
        timeout_ms = self._timeout_ms if options.timeout_ms is None else options.timeout_ms
        outcomes = await asyncio.gather(
            *(
                self._send(state, shard_id, part, options, position=position, timeout_ms=timeout_ms)
                for shard_id, part in parts.items()
            ),
            return_exceptions=True,
        )
        return merge_results(outcomes, timeout_ms=timeout_ms)

    def _check_all_know_tenants(self) -> None:
        """A primary of an older version would leave ``within`` out of account. Raises: ShardUnavailable."""
        if self._collections.watch.state.feature_level < LEVEL_OF_KEYS:
            raise ShardUnavailable("Tokens bound to tenants can write once every peer knows of them")

    async def _send(
        self,
        state: CollectionState,
        shard_id: int,
        part: PointChange,
        options: WriteOptions,
        *,
        position: int,
        timeout_ms: int,
    ) -> UpdateResult:
        since = state.shards[shard_id].answers_since
        own_id = operation_id(_key_of(options, part), state.uuid, shard_id, position, since)
        if not own_id and self._collections.clustered:  # one id, wherever the points will have moved to
            own_id = self._primaries.new_operation_id()
        request = UpdateRequest(
            part,
            wait=options.wait,
            ordering=options.ordering,
            timeout_ms=timeout_ms,
            operation_id=own_id,
        )
        end = asyncio.get_running_loop().time() + timeout_ms / 1000
        return await self._deliver(state, shard_id, request, options, end)

    async def _deliver(
        self, state: CollectionState, shard_id: int, request: UpdateRequest, options: WriteOptions, end: float
    ) -> UpdateResult:
        """Have the shard's part done, wherever its points are by then, under the one operation id.

        Raises: as ``PrimaryCalls.update``; Timeout if they are on their way until the request's time is over.
        """
        session, loop = ReadSession(), asyncio.get_running_loop()
        asked = replace(request, answers_since=state.shards[shard_id].answers_since)
        try:
            result = await self._primaries.update(state, shard_id, asked, session)
        except PointsMoved as error:
            seconds = (options.timeout_ms or WRITE_TIMEOUT_MS) / 1000
            now = await self._later(state, end)
            if now is None or loop.time() >= end:  # an earlier attempt may have been taken
                raise operation_timed_out("Update", seconds) from error
            try:
                return await self._deliver_anew(state, now, shard_id, request, options, end)
            except ShardUnavailable as failure:
                if not error.unknown:
                    raise
                raise operation_timed_out("Update", seconds) from failure
        if session.position is not None:
            place = state.uuid, shard_id
            options.written[place] = max(session.position, options.written.get(place, session.position))
        return result

    async def _deliver_anew(
        self,
        then: CollectionState,
        now: CollectionState,
        shard_id: int,
        request: UpdateRequest,
        options: WriteOptions,
        end: float,
    ) -> UpdateResult:
        left_ms = max(int((end - asyncio.get_running_loop().time()) * 1000), 1)
        request = replace(request, timeout_ms=left_ms)
        parts = moved_parts(then, now, shard_id, request.change)
        requests = {shard: replace(request, change=part) for shard, part in parts.items()}
        if parts.keys() != {shard_id}:
            requests = {shard: _parted(part, shard) for shard, part in requests.items()}
        outcomes = await asyncio.gather(
            *(self._deliver(now, shard, part, options, end) for shard, part in requests.items()),
            return_exceptions=True,
        )
        return merge_results(outcomes, timeout_ms=left_ms)

    async def _later(self, state: CollectionState, end: float) -> CollectionState | None:
        """The collection, as soon as its points are said to be elsewhere, or a little later. None: gone."""
        watch = self._collections.watch

        def moved_on() -> bool:
            now = watch.same(state)
            return now is None or now.buckets_step != state.buckets_step

        left_s = max(end - asyncio.get_running_loop().time(), 0.0)
        await watch.until(moved_on, timeout_s=min(MOVED_PAUSE_S, left_s))
        return watch.same(state)


def _parted(request: UpdateRequest, shard_id: int) -> UpdateRequest:
    """One part of a part, under an id of its own: whether the whole was done is asked as well, since what one
    shard has done of it says nothing of the others."""
    own_id = hashlib.blake2b(request.operation_id, digest_size=OPERATION_ID_BYTES, salt=b"%d" % shard_id)
    former = [*request.former_ids, request.operation_id]
    return replace(request, operation_id=own_id.digest(), former_ids=former)


def _key_of(options: WriteOptions, part: PointChange) -> str:
    """A tenant's keys are its own: what others did under the same key is not what it asks for."""
    key = options.idempotency_key
    if not key or part.within is None:
        return key
    return f"{key}/{msgspec.json.encode(part.within).decode()}"


def operation_id(
    key: str, collection_uuid: str, shard_id: int, position: int, answers_since: int = 0
) -> bytes:
    """The id of one shard's part of the ``position``-th change of a request; empty without a key.

    ``answers_since``: a shard's part is another one when its points are others, and must not pass for done.
    """
    if not key:
        return b""
    text = f"{collection_uuid}/{shard_id}/{position}/{key}"
    if answers_since:
        text += f"/{answers_since}"
    return hashlib.blake2b(text.encode(), digest_size=OPERATION_ID_BYTES).digest()


def merge_results(
    outcomes: Sequence[UpdateResult | BaseException], *, timeout_ms: int = WRITE_TIMEOUT_MS
) -> UpdateResult:
    """One result for all shards: the largest operation id, the worst status.

    Raises: the error if all parts failed (with its own text); if only some did, an error of the first
        one's class that tells how many; Timeout tells how many in any case (reference 8.2).
    """
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if failures:
        raise _merged_failure(failures, len(outcomes), timeout_ms)
    results = [outcome for outcome in outcomes if isinstance(outcome, UpdateResult)]
    ids = [result.operation_id for result in results if result.operation_id is not None]
    worst = max((result.status for result in results), key=_BY_SEVERITY.index)
    return UpdateResult(worst, max(ids, default=None))


def _merged_failure(failures: Sequence[BaseException], total: int, timeout_ms: int) -> BaseException:
    first = failures[0]
    for failure in failures:
        if not isinstance(failure, VecraftError):
            return failure
    if isinstance(first, Timeout):
        late = sum(isinstance(failure, Timeout) for failure in failures)
        seconds = f"{timeout_ms / 1000:g}"
        return Timeout(f"Update operation timed out in {seconds} seconds on {late} out of {total} shards.")
    if isinstance(first, VecraftError) and len(failures) < total:
        what = f"{len(failures)} out of {total} shards failed to apply operation"
        return _retold(first, f"{first.prefix}{what}. First error captured: {first}")
    return first


def _retold(error: VecraftError, text: str) -> VecraftError:
    """An error of the same class and fields with another text; the original may have other readers."""
    retold = type(error).__new__(type(error), text)  # past __init__, whose arguments differ by class
    retold.__dict__.update(error.__dict__)
    retold.__cause__ = error
    return retold


def _check(change: PointChange, params: CollectionParams) -> None:
    """What must hold of any change before it is sent, whatever protocol it came by."""
    by_filter = not isinstance(change, Upsert | UpdateVectors) and change.filter is not None
    if not change.ids and not by_filter:
        raise BadRequest("Empty update request")
    if isinstance(change, Upsert | UpdateVectors):
        for batch in change.vectors:
            check_shape(batch.shape, shape_of(params_of(params, batch.name)))
