"""Everything behind the cluster's endpoints, whatever the protocol (reference 3, 14.2, 14.7, 14.8, 14.10).

A node without cluster mode has the same operations: they raise StandaloneMode, after what the request
itself got wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol
from uuid import uuid4

from msgspec.structs import replace

from consensus.commands import Command, DrainPeer, RemovePeer, SetClusterMetadata
from consensus.events import Outdated
from consensus.log import MetadataLog
from consensus.replica_sets import shards_on
from consensus.state import ClusterState, ReplicaState, ShardKey, TransferMethod
from consensus.transitions.outcome import collection_named
from node.client.cluster import ClusterClient
from protos.errors import (
    BadInput,
    BadRequest,
    ServiceError,
    StandaloneMode,
    Timeout,
    operation_timed_out,
)
from router.background import Background
from router.cluster import resharding
from router.cluster.planning import TransferOptions, plan
from router.cluster.requests import (
    ClusterChange,
    CreateShardingKey,
    Drive,
    DriveResharding,
    DropShardingKey,
    ReplicaChange,
    StartResharding,
    check,
)
from router.cluster.status import (
    ClusterOptions,
    ClusterReport,
    ClusterStatus,
    Disabled,
    MemberInfo,
    cluster_status,
    member_infos,
)
from router.cluster.telemetry import ClusterTelemetry, OwnTelemetry, collect
from router.watch import StateWatch

META_TIMEOUT_MS = 10_000
DRIVE_S = 60.0  # nothing else than news ends the waiting for a stage, but somebody may stop waiting
TELEMETRY_TIMEOUT_MS = 60_000
OUTDATED_RETRIES_MAX = 5  # a shard's term moves on only so often while one command is agreed on
METADATA_WRITES_MAX = 64  # that nobody waits for; further ones wait for a place
METADATA_DEPTH_MAX = 64  # of a value; every member must be able to read it, wherever its stack stands


class ShardKeyOperations(Protocol):
    """Shard keys of collections; the shards of a new one are open when this returns."""

    async def create_shard_key(
        self,
        name: str,
        key: ShardKey,
        *,
        shards_number: int | None = None,
        replication_factor: int | None = None,
        placement: tuple[int, ...] | None = None,
        initial_state: ReplicaState | None = None,
        timeout_ms: int | None = None,
    ) -> object: ...

    async def delete_shard_key(
        self, name: str, key: ShardKey, *, timeout_ms: int | None = None
    ) -> object: ...


class ClusterOperations:
    """``cluster`` None: this node is on its own."""

    def __init__(
        self,
        log: MetadataLog,
        cluster: ClusterClient | None,
        shard_keys: ShardKeyOperations,
        options: ClusterOptions | None = None,
    ) -> None:
        self._log = log
        self._cluster = cluster
        self._shard_keys = shard_keys
        self._options = options or ClusterOptions()
        self._transfers = TransferOptions(
            self._options.transfer_method or TransferMethod.SNAPSHOT,
            resharding_enabled=self._options.resharding_enabled,
        )
        self._background = Background()
        self._writes = asyncio.Semaphore(METADATA_WRITES_MAX)

    def require_cluster(self) -> ClusterClient:
        """Raises: StandaloneMode."""
        if self._cluster is None:
            raise StandaloneMode
        return self._cluster

    async def close(self) -> None:
        """Wait for changes that are still being carried out."""
        await self._background.drain()

    # --- what is -----------------------------------------------------------------------------------

    def report(self) -> ClusterReport | None:
        """None: there is no cluster."""
        cluster = self._cluster
        if cluster is None:
            return None
        state = self._log.state
        comments = {
            (collection.uuid, transfer): comment
            for collection in state.collections.values()
            for transfer in resharding.shown_transfers(collection)
            if (comment := cluster.transfer_comment(collection.uuid, transfer)) is not None
        }
        return ClusterReport(
            peer_id=cluster.peer_id,
            status=cluster.status(),
            peers=state.peers,
            metadata=state.metadata,
            options=self._options,
            comments=comments,
        )

    def status(self) -> ClusterStatus:
        report = self.report()
        if report is None or self._cluster is None:
            return Disabled()
        return cluster_status(report, self._cluster.send_failures())

    async def telemetry(
        self, own: OwnTelemetry, *, level: int, timeout_ms: int | None = None
    ) -> ClusterTelemetry:
        """Every member's telemetry in one; members that do not answer are shown as such.

        ``own`` gives this member's. Raises: StandaloneMode.
        """
        cluster = self.require_cluster()
        timeout_s = (timeout_ms or TELEMETRY_TIMEOUT_MS) / 1000
        return await collect(cluster, self._log.state, own, level=level, timeout_s=timeout_s)

    # --- members -----------------------------------------------------------------------------------

    async def recover(self) -> bool:
        """Have this member catch up with all that was agreed on. Raises: StandaloneMode, Timeout."""
        await self.require_cluster().catch_up()
        return True

    async def remove_peer(self, peer_id: int, *, force: bool = False, timeout_ms: int | None = None) -> bool:
        """Take a peer out of the cluster; with ``force`` its replicas too.

        Raises: BadRequest if it is unknown, the last one, or holds replicas; StandaloneMode; Timeout.
        """
        if not force and shards_on(self._log.state, peer_id):
            raise BadRequest(f"Cannot remove peer {peer_id} as there are shards on it")
        self.require_cluster()
        await self._complete(self._remove(peer_id, force=force), "Remove peer", timeout_ms)
        return True

    async def _remove(self, peer_id: int, *, force: bool) -> None:
        """A member that removes itself hears no answer: its log ends with that very command."""
        known = peer_id in self._log.state.peers
        try:
            await self._log.propose(RemovePeer(peer_id, force))
        except (Timeout, ServiceError):
            if not known or peer_id in self._log.state.peers:
                raise

    def members(self) -> list[MemberInfo]:
        """Raises: StandaloneMode."""
        self.require_cluster()
        return member_infos(self._log.state)

    async def drain_peer(self, peer_id: int, *, draining: bool, timeout_ms: int | None = None) -> bool:
        """Have a peer's replicas moved to others, or no longer; returns when that is agreed on.

        Raises: BadRequest if the peer is unknown; StandaloneMode; Timeout.
        """
        self.require_cluster()
        await self._complete(self._drain(DrainPeer(peer_id, draining)), "Drain peer", timeout_ms)
        return True

    async def _drain(self, command: DrainPeer) -> None:
        await self._log.propose(command)

    # --- metadata keys -----------------------------------------------------------------------------

    def metadata_keys(self) -> list[str]:
        """Raises: StandaloneMode."""
        self.require_cluster()
        return sorted(self._log.state.metadata)

    def metadata(self, key: str) -> Any:
        """The JSON value of a key; None if it has none. Raises: StandaloneMode."""
        self.require_cluster()
        return self._log.state.metadata.get(key)

    async def set_metadata(self, key: str, value: Any, *, wait: bool = False) -> bool:
        """Set a key, with None remove it. Without ``wait`` it is done soon after.

        Raises: StandaloneMode; BadInput if the value cannot be kept; Timeout.
        """
        self.require_cluster()
        _check_depth(value, METADATA_DEPTH_MAX)
        await self._writes.acquire()
        timeout_s = META_TIMEOUT_MS / 1000 if wait else 0.0
        call = self._write_metadata(SetClusterMetadata(key, value))
        try:
            await self._background.finish(call, what="Set cluster metadata", timeout_s=timeout_s)
        except TimeoutError as error:
            if wait:
                raise operation_timed_out("Set cluster metadata", timeout_s) from error
        return True

    async def _write_metadata(self, command: SetClusterMetadata) -> None:
        try:
            await self._log.propose(command)
        finally:
            self._writes.release()

    # --- replica sets and shard keys ---------------------------------------------------------------

    async def change_collection(
        self, name: str, change: ClusterChange, *, timeout_ms: int | None = None
    ) -> bool:
        """Change where a collection's points are; returns when it is agreed on, not when it is done.

        Raises: InvalidField, StandaloneMode, NotFound, BadRequest (reference 14.7, 14.8), Timeout.
        """
        check(change)
        self.require_cluster()
        real = self._log.state.named(name).name
        if isinstance(change, CreateShardingKey):
            await self._shard_keys.create_shard_key(
                real,
                change.shard_key,
                shards_number=change.shards_number,
                replication_factor=change.replication_factor,
                placement=change.placement,
                initial_state=change.initial_state,
                timeout_ms=timeout_ms,
            )
        elif isinstance(change, DropShardingKey):
            await self._shard_keys.delete_shard_key(real, change.shard_key, timeout_ms=timeout_ms)
        elif isinstance(change, DriveResharding):
            await self._complete(self._come_to(real, change.drive), "Update cluster setup", timeout_ms)
        elif isinstance(change, StartResharding) and change.uuid is None:
            await self._change_replicas(real, replace(change, uuid=uuid4()), timeout_ms)
        else:
            await self._change_replicas(real, change, timeout_ms)
        return True

    async def _change_replicas(self, real: str, change: ReplicaChange, timeout_ms: int | None) -> None:
        def planned(state: ClusterState) -> Command:
            return plan(state, real, change, self._transfers)

        await self._complete(self._carry_out(planned), "Update cluster setup", timeout_ms)

    async def _come_to(self, real: str, drive: Drive) -> None:
        """Return when a resharding has come so far. Raises: BadRequest: there is none, or it was aborted."""
        begun = collection_named(self._log.state, real)
        running = resharding.running(begun)
        watch = StateWatch(self._log)

        def arrived() -> bool:
            now = collection_named(self._log.state, real, begun.uuid)
            return resharding.has_come_to(now, running, drive)

        try:
            while not await watch.until(arrived, timeout_s=DRIVE_S):
                continue
        finally:
            watch.close()

    async def _carry_out(self, planned: Callable[[ClusterState], Command]) -> None:
        """Propose what is ``planned``; plan anew when the state has moved on meanwhile."""
        for _ in range(OUTDATED_RETRIES_MAX):
            try:
                await self._log.propose(planned(self._log.state))
            except Outdated:
                continue
            return
        await self._log.propose(planned(self._log.state))

    async def _complete(self, call: Coroutine[Any, Any, None], what: str, timeout_ms: int | None) -> None:
        """Raises: Timeout, with ``call`` still running."""
        timeout_s = (timeout_ms or META_TIMEOUT_MS) / 1000
        try:
            await self._background.finish(call, what=what, timeout_s=timeout_s)
        except TimeoutError as error:
            raise operation_timed_out(what, timeout_s) from error


def _check_depth(value: Any, depth_max: int) -> None:
    """Raises: BadInput."""
    level = [value]
    for _ in range(depth_max):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return
    raise BadInput(f"the value is nested deeper than {depth_max} levels")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
