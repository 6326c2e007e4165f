"""This node's replicas in a cluster, and the way to everybody else's.

Lives here: the clustered form of ``node.client.NodeClient``: which shards this node holds as the cluster
state says, letters and ticks to their machines, bases for other nodes, the end.
May not live here: what a shard does (``node.shard``), what should change (``controlling``).

Invariant: before this process is registered in the cluster state (under its own incarnation) no replica is
told of any agreement, so it leads nothing and joins nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from consensus.commands import Command, PromotePrimary
from consensus.raft_log import RaftLog
from consensus.replica_sets import primary_counts
from consensus.reports import ReplicaKey, ReplicaReport
from consensus.state import (
    LEVEL_OF_REPLICA_FILES,
    ClusterState,
    CollectionState,
    ShardState,
    Transfer,
    TransferMethod,
)
from consensus.transitions import Events
from node.backup.coordinator import Coordinator
from node.backup.participant import CutShard, Participant
from node.backup.pruning import prune
from node.backup.reading import read_backup
from node.backup.repository import Repository
from node.client import QuotaReport, ReplicaClient, SearchLoad
from node.client.backups import Backup, Pruned, Retention, Undisturbed
from node.client.snapshots import SnapshotNode
from node.cluster.copying import PointCopies
from node.cluster.knowing import known_everywhere
from node.directories import ShardDirectories
from node.engine import Engine
from node.moving.driver import MovingReplica, Reshardings
from node.peer.calls import Mail, PeerCalls
from node.peer.remote import RemoteReplica
from node.peer.shard_service import serve_shards
from node.quotas import Quotas, measure_of
from node.replica.checkpoint import remove_all
from node.replica.opened import Machinery, ReplicaFiles
from node.replication.tuning import Tuning
from node.shard.host import Base
from node.shard.life import Life
from node.shard.shard import ReplicatedShard
from node.snapshots.ready import ReadyFiles, names_of
from node.snapshots.service import Snapshots
from node.transfer.between_peers import fetch_base, serve_bases
from node.transfer.progress import Transfers, key_of
from node.transfer.sending import BaseSender
from node.transfer.wire import BaseRefused, BaseRequest
from node.transfer.workshop import Workshop
from protos.clock import Clock
from protos.collections import Memory, OptimizersConfigDiff
from protos.errors import ServiceError, ShardUnavailable, VecraftError
from protos.hardware import HardwareUsage
from protos.logger import get_logger
from protos.quotas import NO_QUOTAS, QuotaConfig
from protos.shard import SearchRequest
from protos.shard_client import ShardClient
from protos.tasks import end_all

log = get_logger()

TICK_S = 0.08  # several per heartbeat of the replicas
PROPOSE_S = 3.0  # for one try to have the cluster agree on something about a replica
HAND_OVER_S, HAND_OVER_RETRY_S = 5.0, 0.1  # for giving leads away, when the process is to end
HAND_OVERS_MAX = 2  # of one shard: a lead that comes back again comes from another that ends
FAREWELL_S = 1.5  # likewise, for those that came since
FETCH_TRIES, FETCH_RETRY_S = 20, 0.25  # the source may hear of the transfer later than this node
LIVES_BITS = 20  # openings of replicas of one process that are told apart

Key = tuple[str, int]


class ClusterNode:
    """Made, started and closed in one event loop."""

    def __init__(
        self,
        storage: Path,
        metadata: RaftLog,
        calls: PeerCalls,
        mail: Mail,
        *,
        incarnation: int,
        down_since_ms: Callable[[], Mapping[int, int]] = dict,
        tuning: Tuning | None = None,
        search_threads: int | None = None,
        builds_max: int | None = None,
        build_memory: int | None = None,
        recovery_mode: str | None = None,
        overrides: OptimizersConfigDiff | None = None,
        quotas: QuotaConfig = NO_QUOTAS,
        clock: Clock | None = None,
        hardware_reporting: bool = False,
        memory_ceiling: Memory = Memory.PINNED,
    ) -> None:
        """``incarnation`` is the process's. ``down_since_ms``: peers at whose addresses nobody answers, and
        since when. Others as for ``node.local.LocalNode``."""
        self._metadata, self._calls, self._mail = metadata, calls, mail
        self._down_since_ms = down_since_ms
        self._incarnation = incarnation
        self._lives = 0
        self.tuning = tuning or Tuning()
        self.recovery_mode = recovery_mode
        self.directories = ShardDirectories(storage)
        self._engine = Engine(
            search_threads=search_threads,
            builds_max=builds_max,
            build_memory=build_memory,
            overrides=overrides,
            quotas=Quotas(quotas, measure_of(storage)),
            clock=clock,
            hardware_reporting=hardware_reporting,
            memory_ceiling=memory_ceiling,
        )
        self._workshop = Workshop(storage, self._engine.background)
        self._sender = BaseSender(self._workshop)
        self.ready = ReadyFiles(storage, self._engine.machinery.clock)
        self.snapshots: SnapshotNode = Snapshots(self, self._workshop, self.ready)
        self._participant = Participant(self, self._workshop)
        self._backing_up = asyncio.Lock()
        self._tidying: asyncio.Task[None] | None = None
        self._transfers = Transfers(time.monotonic)
        self._copies = PointCopies(
            metadata.peer_id,
            lambda: metadata.state,
            self.replica,
            self.propose,
            partial(known_everywhere, metadata, calls),
            self._transfers,
        )
        self._reshardings = Reshardings(self, time.monotonic)
        self._shards: dict[Key, ReplicatedShard] = {}  # by collection uuid and shard id
        self._seen: dict[Key, tuple[CollectionState, ShardState]] = {}
        self._names: dict[tuple[str, int], Key] = {}
        self._dropping: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._handed_over: Counter[Key] = Counter()
        self._nudge = asyncio.Event()
        self._ticker: asyncio.Task[None] | None = None
        self._stop_following = _nothing

    async def start(self) -> None:
        """Begin to follow the metadata log; shards are opened beside that. Raises: OSError."""
        background = self._engine.background
        await background.run(self.directories.clean, self._metadata.state.collections)
        await self._workshop.clear()
        serve_shards(self._calls, self, measured=self._engine.machinery.hardware is not None)
        serve_bases(self._calls, self._sender, self._transfers, self._copyable, reads_files=self._reads_files)
        self._participant.serve(self._calls)
        self._follow(self._metadata.state, ())
        self._stop_following = self._metadata.subscribe(self._follow)
        self._mail.receive(self._letter)
        self._ticker = asyncio.create_task(self._tick())

    # --- ``node.client.NodeClient`` -----------------------------------------------------------------------

    def shard(self, collection: str, shard_id: int, *, answers_since: int | None = None) -> ShardClient:
        return self._by_name(collection, shard_id).local(answers_since)

    def search_soon(self, collection: str, shard_id: int, request: SearchRequest) -> None:
        """Whose points a replica answers for is looked at on the way."""

    def replica(self, collection: CollectionState, shard_id: int, peer_id: int) -> ReplicaClient:
        if peer_id == self.me:
            return self.hosted(collection.uuid, shard_id)
        return RemoteReplica(self._calls, peer_id, collection.uuid, shard_id)

    async def reconcile(self, state: ClusterState) -> None:
        """Return when this node's replicas of ``state`` are open, have failed, or wait to be filled."""
        wanted = {
            (collection.uuid, shard_id)
            for collection in state.collections.values()
            for shard_id, shard in collection.shards.items()
            if self.me in shard.replicas
        }
        opening = [shard.opened() for key, shard in self._shards.items() if key in wanted]
        await asyncio.gather(*opening)

    def touch(self, collection: str) -> None:
        for shard in self._shards.values():
            if shard.name == collection:
                shard.touch()

    def search_load(self) -> SearchLoad:
        return self._engine.search_load()

    def hardware(self) -> dict[str, HardwareUsage]:
        return self._engine.hardware()

    def quotas(self) -> QuotaReport:
        return self._engine.quotas.report()

    def set_quotas(self, agreed: QuotaConfig | None) -> None:
        self._engine.quotas.configure(agreed)

    async def hand_over(self, *, within_s: float = HAND_OVER_S) -> None:
        """Have other replicas lead what this node leads, as far as any can; requests go on meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while commands := self._hand_overs():
                    self._handed_over.update((each.shard.uuid, each.shard.shard_id) for each in commands)
                    await asyncio.gather(*map(self._try_to_propose, commands))
                    await asyncio.sleep(HAND_OVER_RETRY_S)

    def _hand_overs(self) -> list[PromotePrimary]:
        """To peers that lead least."""
        leads = Counter(primary_counts(self._metadata.state))
        commands = []
        for key, shard in list(self._shards.items()):
            if self._handed_over[key] >= HAND_OVERS_MAX:
                continue
            heir = min(shard.heirs(), key=lambda peer: (leads[peer], peer), default=None)
            command = None if heir is None else shard.hand_over(heir)
            if heir is not None and command is not None:
                leads[heir] += 1
                commands.append(command)
        return commands

    async def close(self) -> None:
        """Hand over what others can take on, then checkpoint and close every shard."""
        await self.hand_over(within_s=FAREWELL_S)
        for shard in self._shards.values():
            shard.leave()
        self._stop_following()
        await self._copies.close()
        await self._reshardings.close()
        self._mail.receive(None)
        if self._ticker is not None:
            await end_all([self._ticker])
        closing = (shard.close(checkpoint=True) for shard in self._shards.values())
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if error is not None:  # the others and the threads are to end all the same
                log.error("shard_not_closed", error=repr(error))
        tasks = [*self._dropping.values(), *([self._tidying] if self._tidying else [])]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.close()

    async def _try_to_propose(self, command: Command) -> None:
        with contextlib.suppress(VecraftError):
            await self.propose(command)

    # --- following the log --------------------------------------------------------------------------------

    def _follow(self, state: ClusterState, _: Events) -> None:
        own = state.peers.get(self.me)
        if own is None:
            return  # removed (or not there yet): what it holds is for an operator to decide about
        registered = own.incarnation == self._incarnation
        held: set[Key] = set()
        for collection in state.collections.values():
            for shard in collection.shards.values():
                if self.me in shard.replicas:
                    held.add((collection.uuid, shard.id))
                    self._update(collection, shard, state.version, registered=registered)
        for key in self._shards.keys() - held:
            self._drop(key)
        self._forget_transfers(state)
        if registered:
            self._copies.follow(state)
            self._reshardings.follow(state)
            if self._tidying is None:
                self._tidying = asyncio.create_task(self._tidy(state))

    async def _tidy(self, state: ClusterState) -> None:
        """Remove restored files that no replica took: ``state`` has all that an earlier process proposed."""
        try:
            await self._engine.background.run(self.ready.keep, names_of(state))
        except OSError:
            log.exception("restored_files_not_removed")

    def _update(
        self, collection: CollectionState, shard: ShardState, version: int, *, registered: bool
    ) -> None:
        key = (collection.uuid, shard.id)
        replica = self._shards.get(key)
        if replica is None:
            place = (collection.name, shard.id)
            replica = ReplicatedShard(self, collection, shard, version, after=self._dropping.get(place))
            self._shards[key] = replica
            self._names[place] = key
        seen = self._seen.get(key)
        unchanged = seen is not None and seen[0] is collection and seen[1] is shard
        if registered and not unchanged:
            self._seen[key] = (collection, shard)
            replica.agreed(collection, shard, version)

    def _drop(self, key: Key) -> None:
        shard = self._shards.pop(key)
        self._seen.pop(key, None)
        place = (shard.name, shard.shard_id)
        if self._names.get(place) == key:
            del self._names[place]
        task = asyncio.create_task(self._remove(shard, after=self._dropping.get(place)))
        self._dropping[place] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self._dropping.get(place) is done:
                del self._dropping[place]

        task.add_done_callback(forget)

    async def _remove(self, shard: ReplicatedShard, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait({after})
        await shard.close(checkpoint=False)
        if not any(uuid == shard.uuid for uuid, _ in self._shards):
            self._engine.forget(shard.uuid)
        background = self._engine.background
        try:
            trashed = await background.run(self.directories.remove, shard.name, shard.uuid, shard.shard_id)
        except OSError:
            log.exception("shard_not_removed", collection=shard.name, shard_id=shard.shard_id)
            return
        if trashed is not None:
            await background.run(remove_all, [trashed])

    def _forget_transfers(self, state: ClusterState) -> None:
        running = {
            key_of(collection.uuid, transfer)
            for collection in state.collections.values()
            for transfer in collection.transfers
        }
        self._transfers.keep(running)

    # --- letters, ticks, reports --------------------------------------------------------------------------

    def _letter(self, peer_id: int, collection_uuid: str, shard_id: int, message: bytes) -> None:
        shard = self._shards.get((collection_uuid, shard_id))
        if shard is not None:
            shard.letter(peer_id, message)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            unreachable = frozenset(self._down_since_ms())
            for shard in list(self._shards.values()):
                try:
                    shard.tick(unreachable)
                except Exception:  # the others must go on
                    log.exception("tick_failed", collection=shard.name, shard_id=shard.shard_id)

    def reports(self) -> dict[ReplicaKey, ReplicaReport]:
        """What this node tells the controller of its replicas."""
        found = ((key, shard.report()) for key, shard in self._shards.items())
        return {key: report for key, report in found if report is not None}

    @property
    def reporting(self) -> asyncio.Event:
        """Set when the controller should hear of this node at once."""
        return self._nudge

    def transfer_comment(self, collection_uuid: str, transfer: Transfer) -> str | None:
        """How far a transfer that this node sends has come."""
        if transfer.method is TransferMethod.RESHARDING_STREAM_RECORDS:
            return self._reshardings.comment(collection_uuid, transfer.shard_id, transfer.target_shard_id)
        return self._transfers.comment(key_of(collection_uuid, transfer))

    # --- ``node.moving.driver.Host`` ----------------------------------------------------------------------

    def state(self) -> ClusterState:
        return self._metadata.state

    def life(self, collection_uuid: str, shard_id: int) -> Life:
        return self.hosted(collection_uuid, shard_id).life

    async def settle(self, collection_uuid: str, shard_id: int) -> None:
        await self.hosted(collection_uuid, shard_id).settle()

    def moving_replica(self, collection: CollectionState, shard_id: int) -> MovingReplica:
        primary = collection.shards[shard_id].primary
        if primary == self.me:
            return self.hosted(collection.uuid, shard_id)
        return RemoteReplica(self._calls, primary, collection.uuid, shard_id)

    # --- for other peers ----------------------------------------------------------------------------------

    def hosted(self, collection_uuid: str, shard_id: int) -> ReplicatedShard:
        shard = self._shards.get((collection_uuid, shard_id))
        if shard is None:
            raise ShardUnavailable(f"shard {shard_id} is not on peer {self.me}")
        return shard

    def _copyable(self, peer_id: int, request: BaseRequest) -> ReplicaFiles:
        shard = self._shards.get((request.collection, request.shard_id))
        if shard is None or not shard.feeds(peer_id, request.epoch):
            raise ShardUnavailable(f"peer {self.me} knows of no transfer of this shard to peer {peer_id}")
        return shard.files

    def _reads_files(self, peer_id: int) -> bool:
        peer = self._metadata.state.peers.get(peer_id)
        return peer is not None and peer.feature_level >= LEVEL_OF_REPLICA_FILES

    def _by_name(self, collection: str, shard_id: int) -> ReplicatedShard:
        key = self._names.get((collection, shard_id))
        if key is None:
            raise ShardUnavailable(f"shard {shard_id} of collection `{collection}` is not on this node")
        return self._shards[key]

    # --- ``node.snapshots.service.Host`` ----------------------------------------------------------------

    async def copyable(self, collection: CollectionState, shard_id: int) -> ReplicaFiles:
        try:
            await self.barrier()  # or this replica might not have heard that others acknowledge without it
        except VecraftError as error:  # what is left of a cluster must be copyable, too
            log.warning("copied_without_the_cluster", collection=collection.name, reason=str(error))
        return await self._own(collection, shard_id).copyable()

    def last_seq(self, collection: CollectionState, shard_id: int) -> int:
        shard = self._shards.get((collection.uuid, shard_id))
        return -1 if shard is None else shard.last_seq

    async def settled(self, collection: CollectionState, files: Mapping[int, str]) -> None:
        for shard_id, name in files.items():
            await self._own(collection, shard_id).restored(name)

    # --- ``node.backup.participant.CutHost`` --------------------------------------------------------------

    def cut_shard(self, collection_uuid: str, shard_id: int) -> CutShard:
        return self.hosted(collection_uuid, shard_id)

    async def back_up(self, root: Path) -> str:
        """See ``node.client.backups.BackupNode``."""
        await self.barrier()
        log, repository = self._metadata, Repository(root)
        coordinator = Coordinator(self._calls, lambda: log.state, lambda: log.status().applied)
        async with self._backing_up:  # so that what is half written there is nobody's
            await self._engine.background.run(repository.clear)
            return await coordinator.back_up(repository, created_ms=time.time_ns() // 1_000_000)

    async def backups(self, root: Path) -> list[str]:
        return await self._engine.background.run(Repository(root).names)

    async def backup(self, root: Path, name: str) -> Backup:
        return await self._engine.background.run(read_backup, Repository(root), name)

    async def prune(self, root: Path, retention: Retention, undisturbed: Undisturbed) -> Pruned:
        # What a backup has brought is named by its manifest at the end only.
        async with self._backing_up, undisturbed() as spared:
            now_ms = time.time_ns() // 1_000_000
            call = partial(prune, Repository(root), retention, now_ms=now_ms, spared=spared)
            return await self._engine.background.run(call)

    def _own(self, collection: CollectionState, shard_id: int) -> ReplicatedShard:
        shard = self._shards.get((collection.uuid, shard_id))
        if shard is None:
            raise ShardUnavailable(f"shard {shard_id} of collection `{collection.name}` is not on this node")
        return shard

    # --- ``node.shard.host.Node`` -------------------------------------------------------------------------

    @property
    def me(self) -> int:
        return self._metadata.peer_id

    @property
    def machinery(self) -> Machinery:
        return self._engine.machinery

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def next_incarnation(self) -> int:
        self._lives += 1
        assert self._lives < 1 << LIVES_BITS
        return (self._incarnation << LIVES_BITS) + self._lives

    def send(self, peer: int, collection_uuid: str, shard_id: int, message: bytes) -> None:
        self._mail.send(peer, collection_uuid, shard_id, message)

    async def propose(self, command: Command) -> None:
        await self._metadata.propose(command, timeout_s=PROPOSE_S)

    async def barrier(self) -> None:
        await self._metadata.barrier(timeout_s=PROPOSE_S)

    async def fetch_base(self, collection_uuid: str, transfer: Transfer) -> Base:
        for attempt in range(FETCH_TRIES):
            try:
                received = await fetch_base(self._calls, collection_uuid, transfer, self._workshop)
            except BaseRefused as error:
                raise ServiceError(f"no base: {error}") from error
            except ShardUnavailable:
                if attempt == FETCH_TRIES - 1:
                    raise
                await asyncio.sleep(FETCH_RETRY_S)
            else:
                return Base(received.directory, received.term)
        raise AssertionError

    def report_soon(self) -> None:
        self._nudge.set()


def _nothing() -> None:
    """Stands for the end of a subscription that was not begun."""
