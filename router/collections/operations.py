"""Collections and aliases: what stands behind their endpoints, whatever the protocol.

Requests come decoded and checked (``protos.collections``); answers are structs with the API's names.
A change is proposed to the metadata log and then carried out on this node before the call returns,
so a collection is usable, or gone with its files, when its caller hears of it. A change that has
begun is completed even if its caller stops waiting. Others see a new collection a moment before its
shards are open on this node; ``opened`` is where their requests wait for that.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from consensus.buckets import show_shard_key
from consensus.commands import (
    AddCollection,
    ChangeAliases,
    ChangeCollection,
    Command,
    DropCollection,
    DropPayloadIndex,
    DropVectorName,
    SetPayloadIndex,
    SetVectorName,
)
from consensus.log import MetadataLog
from consensus.placement import deal_shards
from consensus.state import CollectionState, ShardKey
from consensus.transitions import Events
from node.client import NodeClient
from protos.clock import Clock, SystemClock
from protos.collections import (
    AliasAction,
    CollectionDefaults,
    CreateCollection,
    CreateFieldIndex,
    UpdateCollection,
    VectorParams,
    check_new_collection_name,
    check_vector_name,
    encode_index_params,
    encode_vector_params,
    new_config,
)
from protos.errors import ShardUnavailable, VecraftError, collection_not_found, operation_timed_out
from protos.operations import (
    AddVectorName,
    CreateIndex,
    DropIndex,
    LogOperation,
    RemoveVectorName,
    UpdateResult,
    UpdateStatus,
)
from protos.shard import ShardInfo, unreachable_shard
from router.collections.background import Background
from router.collections.copying import check_copyable, copy_points
from router.collections.info import (
    AliasDescription,
    ClusterInfo,
    CollectionInfo,
    cluster_info,
    collection_info,
    optimizations_info,
)
from router.collections.reconciling import Reconciler

T = TypeVar("T")

META_TIMEOUT_MS = 10_000
COPY_TIMEOUT_MS = 600_000  # creation from another collection, when the client sets no timeout
UPDATE_TIMEOUT_MS = 60_000
INFO_TIMEOUT_S = 10.0
OPENING_TIMEOUT_S = 10.0  # how long a request waits for the shards of a collection that is being created


class SchemaOptions(Struct, frozen=True):
    """Options of index and vector-name changes (reference 8.2)."""

    wait: bool = False
    timeout_ms: int | None = None


NO_WAIT = SchemaOptions()


class CollectionOperations:
    def __init__(
        self,
        log: MetadataLog,
        node: NodeClient,
        defaults: CollectionDefaults | None = None,
        *,
        clock: Clock | None = None,
        new_uuid: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._log = log
        self._node = node
        self._defaults = defaults or CollectionDefaults()
        self._clock = clock or SystemClock()
        self._new_uuid = new_uuid
        self._background = Background()
        self._shards = Reconciler(log, node)

    # --- look-ups ---------------------------------------------------------------------------------

    @property
    def peer_id(self) -> int:
        return self._log.peer_id

    def resolve(self, name: str) -> CollectionState:
        """The collection of this name or alias. Raises: NotFound."""
        collection = self._log.state.find(name)
        if collection is None:
            raise collection_not_found(name)
        return collection

    async def opened(self, name: str) -> CollectionState:
        """As ``resolve``, once the collection's shards are open on this node.

        Raises: NotFound, also for a collection that is deleted meanwhile; ShardUnavailable if its shards
            are not open within ``OPENING_TIMEOUT_S``.
        """
        collection = self.resolve(name)
        if self._shards.has_reached(collection):
            return collection
        try:
            async with asyncio.timeout(OPENING_TIMEOUT_S):
                while not self._shards.has_reached(collection):
                    await self._shards.advanced()
                    collection = self.resolve(name)
        except TimeoutError as error:
            raise ShardUnavailable(f"collection `{name}` is still being opened") from error
        return collection

    def exists(self, name: str) -> bool:
        """Is there a collection or alias of this name?"""
        return self._log.state.find(name) is not None

    def names(self) -> list[str]:
        """The collections' real names."""
        return sorted(self._log.state.collections)

    def aliases(self) -> list[AliasDescription]:
        return [AliasDescription(alias, name) for alias, name in sorted(self._log.state.aliases.items())]

    def aliases_of(self, name: str) -> list[AliasDescription]:
        """Raises: NotFound."""
        real = self.resolve(name).name
        return [alias for alias in self.aliases() if alias.collection_name == real]

    def shard_keys(self, name: str) -> list[ShardKey] | None:
        """A collection's shard keys; None if it is not sharded by key. Raises: NotFound."""
        collection = self.resolve(name)
        if not collection.custom_sharding:
            return None
        keys = (group.key for group in collection.groups if group.key is not None)
        return sorted(keys, key=show_shard_key)

    # --- collections --------------------------------------------------------------------------------

    async def create(self, name: str, request: CreateCollection, *, timeout_ms: int | None = None) -> bool:
        """Create a collection; with ``init_from``, filled when this returns.

        Raises: InvalidField, BadInput or BadRequest for a name that may not be used, AlreadyExists,
            NotFound for an unknown ``init_from``, Timeout (creation and copying go on).
        """
        check_new_collection_name(name)
        default_ms = META_TIMEOUT_MS if request.init_from is None else COPY_TIMEOUT_MS
        return await self._complete(
            self._create(name, request), "Create collection", timeout_ms or default_ms
        )

    async def update(self, name: str, request: UpdateCollection, *, timeout_ms: int | None = None) -> bool:
        """Lay a diff over a collection's configuration and wake its optimizers.

        Raises: NotFound, BadInput if it names an unknown vector, Timeout.
        """
        real = self.resolve(name).name
        change = self._change(ChangeCollection(real, request))
        await self._complete(change, "Update collection", timeout_ms or META_TIMEOUT_MS)
        self._node.touch(real)
        return True

    async def delete(self, name: str, *, timeout_ms: int | None = None) -> bool:
        """Delete a collection with its aliases and files; False if there is none of this real name."""
        change = self._change(DropCollection(name))
        return bool(await self._complete(change, "Delete collection", timeout_ms or META_TIMEOUT_MS))

    async def change_aliases(self, actions: Sequence[AliasAction], *, timeout_ms: int | None = None) -> bool:
        """Carry out alias actions in order; readers see all of them at once.

        Raises: NotFound, AlreadyExists for the first action that fails; those before it stay done.
        """
        change = self._log.propose(ChangeAliases(tuple(actions)))
        await self._complete(change, "Update aliases", timeout_ms or META_TIMEOUT_MS)
        return True

    # --- payload indexes, vector names ----------------------------------------------------------------

    async def create_index(
        self, name: str, request: CreateFieldIndex, options: SchemaOptions = NO_WAIT
    ) -> UpdateResult:
        """Index a payload field; an identical index is kept, another one replaced. Raises: NotFound."""
        field, schema = request.field_name, request.field_schema
        real = self.resolve(name).name
        operation = CreateIndex(field, encode_index_params(schema.effective))
        return await self._change_schema(real, SetPayloadIndex(real, field, schema), operation, options)

    async def delete_index(self, name: str, field: str, options: SchemaOptions = NO_WAIT) -> UpdateResult:
        """Drop a field's index; one that does not exist is dropped already. Raises: NotFound."""
        real = self.resolve(name).name
        return await self._change_schema(real, DropPayloadIndex(real, field), DropIndex(field), options)

    async def create_vector_name(
        self, name: str, vector: str, params: VectorParams, options: SchemaOptions = NO_WAIT
    ) -> UpdateResult:
        """Add a named vector. Raises: NotFound; BadInput if the name is taken or not allowed."""
        check_vector_name(vector)
        real = self.resolve(name).name
        operation = AddVectorName(vector, encode_vector_params(params))
        return await self._change_schema(real, SetVectorName(real, vector, params), operation, options)

    async def delete_vector_name(
        self, name: str, vector: str, options: SchemaOptions = NO_WAIT
    ) -> UpdateResult:
        """Remove a named vector from the collection and all points. Raises: NotFound; BadInput."""
        real = self.resolve(name).name
        return await self._change_schema(
            real, DropVectorName(real, vector), RemoveVectorName(vector), options
        )

    # --- info -----------------------------------------------------------------------------------------

    async def info(self, name: str) -> CollectionInfo:
        """Raises: NotFound. A shard that does not report in time makes the collection red."""
        collection = self.resolve(name)
        reports = await self._reports(collection)
        return collection_info(collection, list(reports.values()))

    async def cluster_info(self, name: str) -> ClusterInfo:
        """Where a collection's shards are. Raises: NotFound."""
        collection = self.resolve(name)
        reports = await self._reports(collection)
        points = {shard_id: report.points for shard_id, report in reports.items()}
        return cluster_info(collection, self.peer_id, points)

    async def optimizations(self, name: str, parts: str | None = None) -> dict[str, Any]:
        """Raises: NotFound; BadInput if ``parts`` (a comma list) names an unknown part."""
        reports = await self._reports(self.resolve(name))
        return optimizations_info(list(reports.values()), parts)

    async def close(self) -> None:
        """Wait for changes that are still being carried out."""
        await self._background.drain()

    # --- carrying out -----------------------------------------------------------------------------------

    async def _create(self, name: str, request: CreateCollection) -> bool:
        source = None if request.init_from is None else await self.opened(request.init_from.collection)
        peers = sorted(self._log.state.peers)
        config = new_config(request, self._defaults, peers=len(peers))
        if source is not None:
            check_copyable(source.config.vectors, config.vectors)
        count = 0 if request.sharding_method == "custom" else config.params.shard_number
        factor = config.params.replication_factor
        command = AddCollection(
            name=name,
            uuid=self._new_uuid(),
            config=config,
            shards=deal_shards(count=count, replication_factor=factor, peers=peers),
            created_ms=self._clock.unix_ms(),
            max_collections=self._defaults.max_collections,
        )
        await self._change(command)
        if source is not None:
            await self._fill(name, source)
        return True

    async def _fill(self, name: str, source: CollectionState) -> None:
        """Copy the source's points; a collection that could not be filled is dropped again."""
        try:
            await copy_points(self._node, source, self.resolve(name))
        except VecraftError:
            await self._change(DropCollection(name))
            raise

    async def _change(self, command: Command) -> Events:
        try:
            return await self._log.propose(command)
        finally:  # a refusal too: who hears that a collection exists already may use it
            await self._shards.run()

    async def _change_schema(
        self, real: str, command: Command, operation: LogOperation, options: SchemaOptions
    ) -> UpdateResult:
        """Change the state, then log the change in every shard, at its place among the writes.

        The operation is logged even if the state had it already: a crash may have come in between.
        """
        timeout_ms = UPDATE_TIMEOUT_MS if options.timeout_ms is None else options.timeout_ms
        call = self._log_everywhere(real, command, operation)
        try:
            ids = await self._background.finish(call, what="Update schema", timeout_s=timeout_ms / 1000)
        except TimeoutError:
            return UpdateResult(UpdateStatus.WAIT_TIMEOUT if options.wait else UpdateStatus.ACKNOWLEDGED)
        if not ids:
            return UpdateResult(UpdateStatus.ACKNOWLEDGED)
        return UpdateResult(UpdateStatus.COMPLETED if options.wait else UpdateStatus.ACKNOWLEDGED, max(ids))

    async def _log_everywhere(self, real: str, command: Command, operation: LogOperation) -> list[int]:
        await self._change(command)
        shards = sorted((await self.opened(real)).shards)
        results = await asyncio.gather(
            *(self._node.apply_config(real, shard_id, operation) for shard_id in shards)
        )
        return [result.operation_id for result in results if result.operation_id is not None]

    async def _complete(self, call: Coroutine[Any, Any, T], what: str, timeout_ms: int) -> T:
        """Raises: Timeout, with ``call`` still running."""
        timeout_s = timeout_ms / 1000
        try:
            return await self._background.finish(call, what=what, timeout_s=timeout_s)
        except TimeoutError as error:
            raise operation_timed_out(what, timeout_s) from error

    async def _reports(self, collection: CollectionState) -> dict[int, ShardInfo]:
        ids = sorted(collection.shards)
        reports = await asyncio.gather(*(self._report(collection.name, shard_id) for shard_id in ids))
        return dict(zip(ids, reports))

    async def _report(self, name: str, shard_id: int) -> ShardInfo:
        try:
            async with asyncio.timeout(INFO_TIMEOUT_S):
                await self.opened(name)
                return await self._node.shard(name, shard_id).info()
        except (VecraftError, TimeoutError) as error:
            return unreachable_shard(str(error) or f"shard {shard_id} did not answer")
