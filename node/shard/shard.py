"""A replica of a shard on this node, through all its lives.

Lives here: opening the files, opening them again after a failure, taking a base in their place, telling the
machine of the agreement, what the replica reports of itself.
May not live here: what a life does (``life``), having the log hold the agreed schema (``settling``), when a
replica is filled or promoted (``consensus.controller``).

One task (``_run``) opens, closes and replaces the files; everything else only wakes it.

Invariants: files are dropped for a base only if nobody relies on their log: there is none that could be
opened, or this term's primary says that it is of no use (``machine.stranded``), and a transfer with a base
has begun; a base is taken once per transfer.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from consensus.commands import AbortTransfer, PromotePrimary
from consensus.ownership import moves_from
from consensus.replica_sets import IN_SYNC, transfer_to
from consensus.reports import ReplicaReport
from consensus.state import CollectionState, ShardState, Transfer, TransferMethod
from node.replica.failed import withheld
from node.replica.identity import FORMAT, Identity
from node.replica.opened import Pauses, ReplicaFiles, open_files
from node.replica.recovery import DAMAGE, Opened
from node.replication import effects as do
from node.replication import events as ev
from node.replication.messages import decode_message
from node.shard.agreement import command_of, hand_over, replica_set
from node.shard.host import Node
from node.shard.life import Life, LifeOptions
from node.shard.proposals import Proposals
from node.shard.session import Session
from node.shard.settling import Settling
from node.transfer.export import Base as ExportedBase
from node.transfer.export import export_cut
from protos.errors import ServiceError, ShardUnavailable
from protos.logger import get_logger
from protos.operations import UpdateResult
from protos.shard import Intake, ReadSession
from protos.shard_client import ShardClient
from protos.tasks import end_all

log = get_logger()

RETRY_MIN_S, RETRY_MAX_S = 0.5, 30.0  # between two tries to open files that failed
RESTORED_TRIES, RESTORED_RETRY_S = 200, 0.05  # for a restored replica to lead its shard
SETTLED_S = 1.0  # for what is logged to be applied, while writes wait
KEEP_BYTES = 128 << 20  # of the log, for replicas that were away for a while
KEEP_BYTES_FILLING = 4 << 30  # while a replica is being filled, which will need what was written meanwhile


class ReplicatedShard:
    """Implements ``node.client.ReplicaClient``. ``close`` it."""

    def __init__(
        self,
        node: Node,
        collection: CollectionState,
        shard: ShardState,
        version: int,
        *,
        after: asyncio.Task[None] | None = None,
    ) -> None:
        """``after``: what still goes on in the directory, with an earlier replica's files."""
        self._node, self._after = node, after
        self._collection, self._shard, self._version = collection, shard, version
        self.uuid, self.shard_id = collection.uuid, shard.id
        self.name = collection.name
        self._directory = node.directories.of(collection.name, shard.id)
        self._life: Life | None = None
        self._failure: str | None = None
        self._registered = False
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()  # opened, or failed, or waiting for a base
        self._based_epoch = 0  # of the transfer whose base was taken
        self._filling = False
        self._restored = ""  # the snapshot's files that are in place
        self._outdated: Life | None = None  # to be closed: a snapshot's files take its place
        self._replacing = False
        self._unreachable: frozenset[int] = frozenset()
        self._told: Life | None = None  # of ``_unreachable``
        self._proposals = Proposals(node.propose)
        self._settling = Settling(self)
        self._closed = False
        self._task = asyncio.create_task(self._run(), name=f"shard-{collection.name}-{shard.id}")

    # --- the agreement ----------------------------------------------------------------------------------

    def agreed(self, collection: CollectionState, shard: ShardState, version: int) -> None:
        """The cluster state says this of the shard. To be called with all versions, or later ones only."""
        self._registered = True
        self._collection, self._shard, self._version = collection, shard, version
        if self._life is not None and self._awaited not in ("", self._restored):
            # At once: under the term that has just begun nothing may be logged behind the old points.
            self._outdated, self._life = self._life, None
            self._settled.clear()
            self._replacing = True
        self._tell_machine()
        self._wake.set()

    @property
    def _awaited(self) -> str:
        """The snapshot's files that this replica consists of, as agreed; empty: none."""
        return self._shard.restored.get(self._node.me, "") if self._registered else ""

    def _tell_machine(self) -> None:
        life = self._life
        if life is None or not self._registered:
            return
        life.step(ev.ConfigChanged(replica_set(self._collection, self._shard, self._version)))
        self._settling.agreed(life)

    def letter(self, peer: int, message: bytes) -> None:
        life = self._life
        if life is None or not self._registered:
            return
        try:
            decoded = decode_message(message)
        except ValueError as error:
            log.warning("letter_not_understood", peer=peer, error=str(error))
            return
        life.step(ev.Received(peer, decoded))
        if life.machine.stranded:
            self._wake.set()

    def tick(self, unreachable: frozenset[int]) -> None:
        """``unreachable``: peers at whose addresses nobody answers."""
        life = self._life
        if life is None or not self._registered:
            return
        if unreachable != self._unreachable or self._told is not life:
            self._unreachable, self._told = unreachable, life
            life.step(ev.Unreachable(unreachable))
        life.step(ev.Tick())

    def report(self) -> ReplicaReport | None:
        """None: nothing can be told yet."""
        epoch = self._shard.epoch_of(self._node.me)
        if self._life is not None and self._life.failure is None:
            machine = self._life.machine
            return ReplicaReport(epoch=epoch, term=machine.term, seq=machine.durable)
        if self._filling:
            return ReplicaReport(epoch=epoch)
        if self._failure is None:
            return None
        return ReplicaReport(epoch=epoch, healthy=False, recoverable=self._node.recovery_mode is None)

    async def opened(self) -> None:
        """Return when the files were opened, or that failed, or they wait to be filled, or it is closed."""
        await self._settled.wait()

    def touch(self) -> None:
        if self._life is not None:
            self._life.files.touch()

    # --- requests ---------------------------------------------------------------------------------------

    def open(self, session: ReadSession) -> ShardClient:
        return Session(self, session, checked=True)

    def local(self, answers_since: int | None = None) -> ShardClient:
        """What this replica has, whatever its state. ``answers_since`` None: also what is not the shard's."""
        session = ReadSession(answers_since=answers_since, everything=answers_since is None)
        return Session(self, session, checked=False)

    async def take(self, intake: Intake) -> UpdateResult:
        """See ``node.moving``. Raises: as ``update``; IntakeOver."""
        return await self.life.updates.take(intake)

    async def settle_schema(self, config_version: int) -> UpdateResult:
        if self._collection.config_version < config_version:
            await self._node.barrier()
        if self._collection.config_version < config_version:
            raise ShardUnavailable(f"this node has not heard of configuration {config_version} yet")
        return await self._settling.settle(self.life)

    @property
    def collection(self) -> CollectionState:
        return self._collection

    @property
    def primary(self) -> int:
        return self._shard.primary

    async def settle(self) -> None:
        """Have the log say what the agreed state does. Raises: as ``settle_schema``."""
        await self._settling.settle(self.life)

    @property
    def life(self) -> Life:
        if self._life is None:
            reason = self._failure or "its files are not open yet"
            raise ShardUnavailable(f"the replica of shard {self.shard_id} cannot answer: {reason}")
        return self._life

    async def settled_life(self) -> Life:
        if self._replacing:
            await self._settled.wait()
        return self.life

    @property
    def files(self) -> ReplicaFiles:
        """Raises: ShardUnavailable."""
        return self.life.files

    async def copyable(self) -> ReplicaFiles:
        """The files, once all is applied that was acknowledged before the call.

        Raises: ShardUnavailable, also if this replica may lack some of it; ServiceError.
        """
        await self.opened()
        self.check_readable()
        life = self.life
        await life.until_applied(life.machine.durable)
        return life.files

    # --- ``node.backup.participant.CutShard`` -----------------------------------------------------------

    def leads_in(self) -> int | None:
        if self._life is None or self._life.failure is not None:
            return None
        machine = self._life.machine
        leased = machine.strong_read_seq(self._node.now_ms()) is not None
        return machine.term if machine.is_ready and leased else None

    async def export_held(self, into: Path, pauses: Pauses) -> ExportedBase:
        life = self.life

        async def settled() -> None:
            async with asyncio.timeout(SETTLED_S):
                await life.until_applied(life.machine.last_seq)

        try:
            background = self._node.machinery.background
            return await export_cut(life.files, into, pauses, settled=settled, background=background)
        except TimeoutError as error:
            raise ShardUnavailable("the shard is still applying what it has logged") from error

    @property
    def last_seq(self) -> int:
        """Of the last operation that was logged here; -1: nothing is open."""
        return -1 if self._life is None else self._life.machine.last_seq

    async def restored(self, name: str) -> None:
        """Return when this replica consists of a snapshot's files, and takes writes.

        Raises: ShardUnavailable, ServiceError.
        """
        for _ in range(RESTORED_TRIES):
            if self._awaited != name:
                raise ServiceError(f"shard {self.shard_id} was changed while it was being restored")
            life = self._life
            if life is not None and self._restored == name and life.machine.is_ready:
                await self._settling.settle(life)
                life.files.touch()
                return
            await asyncio.sleep(RESTORED_RETRY_S)
        raise ServiceError(f"shard {self.shard_id} is restored, but not ready: {self._failure or 'no lead'}")

    def check_readable(self) -> None:
        state = self._shard.replicas.get(self._node.me)
        if state not in IN_SYNC:
            shown = "not there" if state is None else state.value
            raise ShardUnavailable(f"the replica of shard {self.shard_id} is {shown}")

    def feeds(self, peer: int, epoch: int) -> bool:
        """Is this replica the source of that transfer?"""
        return any(
            (transfer.shard_id, transfer.source) == (self.shard_id, self._node.me)
            and (transfer.target, transfer.epoch) == (peer, epoch)
            for transfer in self._collection.transfers
        )

    # --- ``life.World`` ---------------------------------------------------------------------------------

    def now_ms(self) -> int:
        return self._node.now_ms()

    def send(self, peer: int, message: bytes) -> None:
        self._node.send(peer, self.uuid, self.shard_id, message)

    def propose(self, effect: do.Effect) -> None:
        if isinstance(effect, do.PrimaryReady):
            if self._life is not None:
                self._settling.begin(self._life)
            return
        if isinstance(effect, do.ReportFailed):
            self._node.report_soon()
            return
        command = command_of(effect, self._collection, self._shard, me=self._node.me)
        if command is not None:
            self._proposals.make(command)

    async def confirms(self, term: int) -> bool:
        await self._node.barrier()
        return self._shard.term == term

    def keep_bytes(self) -> int:
        shard = self._shard
        filling = any(transfer.target_shard_id == shard.id for transfer in self._collection.transfers)
        if filling or moves_from(self._collection, shard.id):
            return KEEP_BYTES_FILLING
        return KEEP_BYTES if len(shard.replicas) > 1 else 0

    async def reopen(self) -> Opened:
        return await open_files(
            self._directory,
            self._collection.config,
            self._node.machinery,
            config_version=self._collection.config_version,
        )

    def failed(self) -> None:
        self._node.report_soon()
        self._wake.set()

    # --- from life to life ------------------------------------------------------------------------------

    async def _run(self) -> None:
        if self._after is not None:
            await asyncio.wait({self._after})
        retry_s = RETRY_MIN_S
        while not self._closed:
            self._wake.clear()
            try:
                retry_s = await self._next_step(retry_s)
            except Exception as error:
                self._failure = repr(error)
                log.exception("shard_not_opened", collection=self.name, shard_id=self.shard_id)
            self._replacing = False
            self._settled.set()
            await self._until_woken(retry_s if self._life is None else None)

    async def _until_woken(self, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _next_step(self, retry_s: float) -> float:
        """Do what is to be done next. Returns: after how long to try again, if it has failed."""
        if self._node.recovery_mode is not None:
            return self._stay_closed(self._node.recovery_mode)
        if self._life is not None and self._life.failure is not None:
            self._failure = str(self._life.failure)
            await self._end_life(checkpoint=False)
            await self._until_woken(RETRY_MIN_S)
        outdated, self._outdated = self._outdated, None
        if outdated is not None:
            await outdated.close(checkpoint=False)
        transfer = self._transfer_with_base()
        if transfer is not None and await self._needs_base(transfer) and not await self._take_base(transfer):
            return RETRY_MAX_S
        if self._life is not None:
            return RETRY_MIN_S
        try:
            await self._open()
        except DAMAGE as error:
            if self._failure is None:
                log.exception("shard_not_opened", collection=self.name, shard_id=self.shard_id)
            self._failure = str(error) or repr(error)
            self._node.report_soon()
            return min(retry_s * 2, RETRY_MAX_S)
        self._failure = None
        return RETRY_MIN_S

    def _stay_closed(self, recovery_mode: str) -> float:
        self._failure = withheld(recovery_mode)
        self._node.report_soon()
        transfer = transfer_to(self._collection, self.shard_id, self._node.me) if self._registered else None
        if transfer is not None:
            self._proposals.make(AbortTransfer(self.name, self.uuid, transfer, self._failure))
        return RETRY_MAX_S

    async def _open(self) -> None:
        node, collection = self._node, self._collection
        background = node.machinery.background
        await background.run(self._install)
        identity = await background.run(
            node.directories.claim, self._directory, collection.uuid, self.shard_id
        )
        opened = await self.reopen()
        options = LifeOptions(self._directory, node.me, node.next_incarnation(), node.tuning)
        self._settling.opened(collection.config_version)
        self._restored = identity.restored
        if self._awaited not in ("", self._restored):  # agreed on just now
            self._outdated = Life(options, opened, identity, node.machinery, self)
            self._wake.set()
            return
        self._life = Life(options, opened, identity, node.machinery, self)
        self._tell_machine()
        if self._based_epoch:
            self._life.files.touch()  # a base of records comes without graphs

    def _install(self) -> None:
        """Put the files of a snapshot in the replica's place, if they are agreed on and not there yet."""
        files, node = self._awaited, self._node
        if files and node.directories.restored(self._directory, self.uuid) != files:
            identity = Identity(FORMAT, self.uuid, self.shard_id, self._shard.term, restored=files)
            node.ready.install(files, node.directories, self._directory, identity)

    async def _end_life(self, *, checkpoint: bool) -> None:
        outdated, self._outdated = self._outdated, None
        if outdated is not None:
            await outdated.close(checkpoint=False)
        life, self._life = self._life, None
        if life is not None:
            await life.close(checkpoint=checkpoint)

    # --- bases ------------------------------------------------------------------------------------------

    def _transfer_with_base(self) -> Transfer | None:
        if not self._registered:
            return None
        transfer = transfer_to(self._collection, self.shard_id, self._node.me)
        if transfer is None or transfer.to_shard_id is not None:
            return None
        return None if transfer.method is TransferMethod.WAL_DELTA else transfer

    async def _needs_base(self, transfer: Transfer) -> bool:
        if self._life is not None and self._life.machine.stranded:
            if transfer.epoch != self._based_epoch:
                return True
            self._proposals.make(AbortTransfer(self.name, self.uuid, transfer, "the log moved on"))
            return False
        if self._life is not None or transfer.epoch == self._based_epoch:
            return False
        if self._failure is not None:
            return True
        directories = self._node.directories
        identity = directories.identity
        return await self._node.machinery.background.run(identity, self._directory, self.uuid) is None

    async def _take_base(self, transfer: Transfer) -> bool:
        """Put the source's files in the place of what is here. False: it did not come to that."""
        node = self._node
        term = max(self._shard.term, 0 if self._life is None else self._life.machine.term)
        self._filling = True
        self._settled.set()
        try:
            base = await node.fetch_base(self.uuid, transfer)
            await self._end_life(checkpoint=False)
            identity = Identity(FORMAT, self.uuid, self.shard_id, max(term, base.term))
            install = node.directories.install
            await node.machinery.background.run(install, base.directory, self._directory, identity)
        except DAMAGE as error:
            log.warning("base_not_taken", collection=self.name, shard_id=self.shard_id, error=str(error))
            if self._transfer_with_base() == transfer:
                self._proposals.make(AbortTransfer(self.name, self.uuid, transfer, str(error) or repr(error)))
            return False
        finally:
            self._filling = False
        self._based_epoch = transfer.epoch
        self._failure = None
        return True

    # --- the end ----------------------------------------------------------------------------------------

    def heirs(self) -> list[int]:
        """The peers that could take the lead from this replica without a pause; none if it does not lead."""
        leads = self._registered and self._life is not None and self._shard.primary == self._node.me
        return self._life.machine.heirs() if leads and self._life is not None else []

    def hand_over(self, heir: int) -> PromotePrimary | None:
        """What to propose so that ``heir`` leads; it has been told what spares it waiting for leases."""
        command = hand_over(self._collection, self._shard, me=self._node.me, heir=heir)
        if command is not None and self._life is not None:
            self._life.step(ev.HandingOver(heir))
        return command

    def leave(self) -> None:
        """The process ends: nobody need wait until that is noticed."""
        if self._life is not None and self._registered:
            self._life.step(ev.Leaving())

    async def close(self, *, checkpoint: bool) -> None:
        self._closed = True
        self._settled.set()  # who waits for it to be opened need wait no more
        await end_all([self._task])
        await self._proposals.close()
        await self._settling.close()
        self._failure = "the replica is being closed"
        await self._end_life(checkpoint=checkpoint)
