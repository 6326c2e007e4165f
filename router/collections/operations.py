"""Collections and aliases: what stands behind their endpoints, whatever the protocol.

Requests come decoded and checked (``protos.collections``); answers are structs with the API's names.
A change is proposed to the metadata log and then carried out on this node before the call returns,
so a collection is usable, or gone with its files, when its caller hears of it. A change that has
begun is completed even if its caller stops waiting. Others see a new collection a moment before its
shards are open on this node; ``opened`` is where their requests wait for that. In a cluster, others make
changes too, and ``start`` has this node follow them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from consensus.buckets import show_shard_key
from consensus.commands import (
    AddCollection,
    ChangeAliases,
    ChangeCollection,
    Command,
    DropCollection,
    DropPayloadIndex,
    DropShardKey,
    DropVectorName,
    RestoreShards,
    SetPayloadIndex,
    SetVectorName,
)
from consensus.log import MetadataLog
from consensus.state import ClusterState, CollectionState, ReplicaState, ShardKey, Transfer
from consensus.transitions import Events
from node.client import NodeClient
from node.client.cluster import ClusterClient
from protos.clock import Clock, SystemClock
from protos.collections import (
    AliasAction,
    AnyVectorParams,
    CollectionDefaults,
    CreateCollection,
    CreateFieldIndex,
    SparseVectorParams,
    UpdateCollection,
    check_new_collection_name,
    check_vector_name,
    new_config,
)
from protos.errors import (
    Locked,
    NotFound,
    ShardUnavailable,
    StandaloneMode,
    VecraftError,
    operation_timed_out,
)
from protos.operations import UpdateResult
from protos.shard import ShardInfo
from router.background import Background
from router.collections.copying import check_copyable, copy_points
from router.collections.info import (
    AliasDescription,
    ClusterInfo,
    CollectionInfo,
    cluster_info,
    collection_info,
)
from router.collections.learning import Learning, not_known_yet
from router.collections.measuring import Measuring
from router.collections.memory import CollectionMemory, collection_memory
from router.collections.optimizations import COMPLETED_LIMIT, optimizations_info
from router.collections.placing import ShardKeyPlan, first_shards, shard_key_command, shuffled_peers
from router.collections.reconciling import Reconciler
from router.collections.reporting import Reports
from router.collections.schema import NO_WAIT, SchemaChanges, SchemaOptions
from router.collections.settling import Settling
from router.primaries import PrimaryCalls
from router.replicas.readers import ShardReaders
from router.strict.admission import Admission, strict_of
from router.strict.writes import check_index_count
from router.watch import StateWatch

T = TypeVar("T")

META_TIMEOUT_MS = 10_000
COPY_TIMEOUT_MS = 600_000  # creation from another collection, when the client sets no timeout
OPENING_TIMEOUT_S = 10.0  # how long a request waits for the shards of a collection that is being created


class CollectionOperations:
    """``watch`` is the agreed state; ``clustered``: may there be other nodes? ``admission``: to collections
    with strict mode."""

    def __init__(
        self,
        log: MetadataLog,
        node: NodeClient,
        defaults: CollectionDefaults | None = None,
        *,
        cluster: ClusterClient | None = None,
        clock: Clock | None = None,
        new_uuid: Callable[[], str] = lambda: str(uuid.uuid4()),
        rng: random.Random | None = None,
        recovery_mode: str | None = None,
    ) -> None:
        """``cluster`` None: this is a node on its own, whose shards are open. ``rng`` shuffles the peers that
        get shards. ``recovery_mode``: why nothing new may be made here."""
        self._log = log
        self._node = node
        self._defaults = defaults or CollectionDefaults()
        self._cluster = cluster
        self._clock = clock or SystemClock()
        self._new_uuid = new_uuid
        self._rng = rng or secrets.SystemRandom()
        self._recovery_mode = recovery_mode
        self.watch = StateWatch(log)
        self.clustered = cluster is not None
        self._background = Background()
        reached = ClusterState() if self.clustered else log.state
        self._shards = Reconciler(self.watch, node, reached=reached)
        self._following: asyncio.Task[None] | None = None
        self._learning = Learning()
        self._reports = Reports(node, log.peer_id)
        self._readers = ShardReaders(self.watch, node)
        self._primaries = PrimaryCalls(self.watch, node, retrying=self.clustered)
        self._settling = Settling(self.watch, node, cluster)
        measuring = Measuring(self._reports, self._readers)
        self.admission = Admission(measuring.holding, measuring.selected, self._clock)
        self._schema = SchemaChanges(
            self._change, self._shards, self._primaries, self._settling, self._background
        )

    def start(self) -> None:
        """Follow changes that others make from now on, until ``close``. A node on its own need not."""
        self._following = asyncio.create_task(self._shards.follow(), name="follow the cluster state")
        if self._cluster is not None:
            self._learning.begin(self._cluster)

    async def close(self) -> None:
        """Wait for changes that are still being carried out."""
        await self._background.drain()
        await self._learning.close()
        self._shards.stop()
        if self._following is not None:
            await self._following
        self.watch.close()

    # --- for snapshots ----------------------------------------------------------------------------

    async def restore(self, command: AddCollection | RestoreShards) -> CollectionState:
        """Have shards consist of files that this node has ready. Returns: the collection as it is then; on
        this node the files are in place, or have failed. Raises: what the command is refused with, Timeout.
        """
        name = command.name if isinstance(command, AddCollection) else command.collection
        await self._change(command)
        collection = self.resolve(name)
        await self._settling.wait(META_TIMEOUT_MS)
        return collection

    def peers_in_turn(self) -> list[int]:
        """The peers that may get shards, in the order in which to ask them."""
        return shuffled_peers(self._log.state, self._rng)

    @property
    def max_collections(self) -> int | None:
        return self._defaults.max_collections

    # --- look-ups ---------------------------------------------------------------------------------

    @property
    def peer_id(self) -> int:
        return self._log.peer_id

    def resolve(self, name: str) -> CollectionState:
        """The collection of this name or alias. Raises: NotFound; ShardUnavailable if this node has just
        started and cannot tell."""
        self._require_knowledge_of(name)
        return self._log.state.named(name)

    def _require_knowledge_of(self, name: str) -> None:
        if self._is_unknown(name):
            raise not_known_yet(name)

    def _is_unknown(self, name: str) -> bool:
        """Has this node just started, so that it cannot tell whether there is a collection of this name?"""
        return not self._learning.over and self._log.state.find(name) is None

    def opened_now(self, name: str) -> CollectionState | None:
        """As ``opened``, if that need not wait; else None. Raises: NotFound."""
        if self._is_unknown(name):
            return None
        collection = self.resolve(name)
        return collection if self._shards.has_reached(collection) else None

    async def opened(self, name: str) -> CollectionState:
        """As ``resolve``, once the collection's shards are open on this node.

        Raises: NotFound, also for a collection that is deleted meanwhile; ShardUnavailable if its shards
            are not open within ``OPENING_TIMEOUT_S``.
        """
        if self._is_unknown(name):
            with contextlib.suppress(TimeoutError):
                await self._learning.wait(OPENING_TIMEOUT_S)
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
        """Is there a collection or alias of this name? Raises: ShardUnavailable, as ``resolve``."""
        self._require_knowledge_of(name)
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
        """Create a collection; with ``init_from``, filled when this returns. Other nodes know it by then.

        Raises: InvalidField, BadInput or BadRequest for a name that may not be used, AlreadyExists,
            NotFound for an unknown ``init_from``, Timeout (creation and copying go on), Locked in recovery
            mode.
        """
        check_new_collection_name(name)
        if self._recovery_mode is not None:
            raise Locked(f"no collection can be created in recovery mode: {self._recovery_mode}")
        default_ms = META_TIMEOUT_MS if request.init_from is None else COPY_TIMEOUT_MS
        budget_ms = timeout_ms or default_ms
        return await self._complete(self._create(name, request, budget_ms), "Create collection", budget_ms)

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
        budget_ms = timeout_ms or META_TIMEOUT_MS
        return await self._complete(self._change_aliases(actions, budget_ms), "Update aliases", budget_ms)

    # --- shard keys -----------------------------------------------------------------------------------

    async def create_shard_key(
        self,
        name: str,
        key: ShardKey,
        *,
        shards_number: int | None = None,
        replication_factor: int | None = None,
        placement: Sequence[int] | None = None,
        initial_state: ReplicaState | None = None,
        timeout_ms: int | None = None,
    ) -> bool:
        """Give a custom-sharded collection a key with shards of its own (reference 14.8).

        Raises: StandaloneMode, NotFound, BadRequest, Timeout (it goes on).
        """
        plan = ShardKeyPlan(
            shards_number,
            replication_factor,
            None if placement is None else tuple(placement),
            initial_state,
        )
        self._require_cluster()
        real, budget_ms = self.resolve(name).name, timeout_ms or META_TIMEOUT_MS
        return await self._complete(
            self._create_shard_key(real, key, plan, budget_ms), "Create shard key", budget_ms
        )

    async def delete_shard_key(self, name: str, key: ShardKey, *, timeout_ms: int | None = None) -> bool:
        """Drop a key with its points. Raises: StandaloneMode, NotFound, BadRequest, Timeout."""
        self._require_cluster()
        change = self._change(DropShardKey(self.resolve(name).name, key))
        await self._complete(change, "Delete shard key", timeout_ms or META_TIMEOUT_MS)
        return True

    # --- payload indexes, vector names ----------------------------------------------------------------

    async def create_index(
        self, name: str, request: CreateFieldIndex, options: SchemaOptions = NO_WAIT
    ) -> UpdateResult:
        """Index a payload field; an identical index is kept, another one replaced.

        Raises: NotFound; BadRequest if strict mode allows no more of them.
        """
        collection = self.resolve(name)
        real, strict = collection.name, strict_of(collection)
        if strict is not None:
            check_index_count(request.field_name, collection, strict)
        change = SetPayloadIndex(real, request.field_name, request.field_schema)
        return await self._schema.change(real, change, options)

    async def delete_index(self, name: str, field: str, options: SchemaOptions = NO_WAIT) -> UpdateResult:
        """Drop a field's index; one that does not exist is dropped already. Raises: NotFound."""
        real = self.resolve(name).name
        return await self._schema.change(real, DropPayloadIndex(real, field), options)

    async def create_vector_name(
        self, name: str, vector: str, params: AnyVectorParams, options: SchemaOptions = NO_WAIT
    ) -> UpdateResult:
        """Add a named vector. Raises: NotFound; BadInput if the name is taken or not allowed."""
        check_vector_name(vector)
        real = self.resolve(name).name
        if isinstance(params, SparseVectorParams):
            command = SetVectorName(real, vector, sparse=params)
        else:
            command = SetVectorName(real, vector, params)
        return await self._schema.change(real, command, options)

    async def delete_vector_name(
        self, name: str, vector: str, options: SchemaOptions = NO_WAIT
    ) -> UpdateResult:
        """Remove a named vector from the collection and all points. Raises: NotFound; BadInput."""
        real = self.resolve(name).name
        return await self._schema.change(real, DropVectorName(real, vector), options)

    # --- info -----------------------------------------------------------------------------------------

    async def info(self, name: str) -> CollectionInfo:
        """Raises: NotFound. A shard that does not report in time makes the collection red."""
        collection = self.resolve(name)
        return collection_info(collection, await self._reports_of(collection))

    async def memory(self, name: str) -> CollectionMemory:
        """What its data takes on disk and in memory. Raises: NotFound; ShardUnavailable."""
        collection = self.resolve(name)
        await self._try_to_open(collection)
        return collection_memory(await self._reports.memory(collection))

    async def cluster_info(self, name: str) -> ClusterInfo:
        """Where a collection's shards are. Raises: NotFound."""
        collection = self.resolve(name)
        await self._try_to_open(collection)
        points = await self._reports.local_points(collection)

        def comment(transfer: Transfer) -> str | None:
            cluster = self._cluster
            return None if cluster is None else cluster.transfer_comment(collection.uuid, transfer)

        return cluster_info(collection, self.peer_id, points, comment)

    async def optimizations(
        self, name: str, parts: str | None = None, completed_limit: int = COMPLETED_LIMIT
    ) -> dict[str, Any]:
        """Raises: NotFound; BadInput if ``parts`` (a comma list) names an unknown part."""
        return optimizations_info(await self._reports_of(self.resolve(name)), parts, completed_limit)

    async def truncate_unapplied_wal(self, name: str) -> bool:
        """Return when no log of the collection holds what is not applied. Nothing is cut for that: a log is
        applied when it is opened, before anything is served, and a write is in it only to be acknowledged.

        Raises: NotFound; ShardUnavailable if its shards are not open in time.
        """
        await self.opened(name)
        return True

    # --- carrying out -----------------------------------------------------------------------------------

    async def _create(self, name: str, request: CreateCollection, budget_ms: int) -> bool:
        source = None if request.init_from is None else await self.opened(request.init_from.collection)
        state = self._log.state
        config = new_config(request, self._defaults, peers=len(state.peers))
        if source is not None:
            check_copyable(source.config.params, config.params)
        command = AddCollection(
            name=name,
            uuid=self._new_uuid(),
            config=config,
            shards=first_shards(state, config, shuffled_peers(state, self._rng)),
            created_ms=self._clock.unix_ms(),
            max_collections=self._defaults.max_collections,
        )
        await self._change(command)
        await self._settling.wait(budget_ms, self._log.state.collections.get(name))
        if source is not None:
            await self._fill(name, source)
        return True

    async def _create_shard_key(self, real: str, key: ShardKey, plan: ShardKeyPlan, budget_ms: int) -> bool:
        state = self._log.state
        peers = shuffled_peers(state, self._rng)
        await self._change(shard_key_command(state, self.resolve(real), key, plan, peers))
        await self._settling.wait(budget_ms, self._log.state.collections.get(real), key)
        return True

    async def _change_aliases(self, actions: Sequence[AliasAction], budget_ms: int) -> bool:
        await self._log.propose(ChangeAliases(tuple(actions)))
        await self._settling.wait(budget_ms)
        return True

    async def _fill(self, name: str, source: CollectionState) -> None:
        """Copy the source's points; a collection that could not be filled is dropped again."""
        try:
            await copy_points(self._readers, self._primaries, source, self.resolve(name))
        except VecraftError:
            await self._change(DropCollection(name))
            raise

    async def _change(self, command: Command) -> Events:
        try:
            return await self._log.propose(command)
        finally:  # a refusal too: who hears that a collection exists already may use it
            await self._shards.run()

    async def _complete(self, call: Coroutine[Any, Any, T], what: str, timeout_ms: int) -> T:
        """Raises: Timeout, with ``call`` still running."""
        timeout_s = timeout_ms / 1000
        try:
            return await self._background.finish(call, what=what, timeout_s=timeout_s)
        except TimeoutError as error:
            raise operation_timed_out(what, timeout_s) from error

    async def _reports_of(self, collection: CollectionState) -> list[ShardInfo]:
        await self._try_to_open(collection)
        return await self._reports.of_all(collection)

    async def _try_to_open(self, collection: CollectionState) -> None:
        """Wait for the collection's shards; what is not open in time will tell so itself."""
        with contextlib.suppress(NotFound, ShardUnavailable):
            await self.opened(collection.name)

    def _require_cluster(self) -> None:
        """Raises: StandaloneMode."""
        if not self.clustered:
            raise StandaloneMode
