"""Deliberately broken machines and shells: controls that the simulation must catch.

Each leaves out one rule. A rule whose absence no seed notices would be a rule without a test.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from node.replication.core import Core
from node.replication.effects import ProposeAdmission
from node.replication.events import ReplicaSet
from node.replication.follower import Follower
from node.replication.leases import FOREVER_MS
from node.replication.machine import ReplicaMachine
from node.replication.messages import Append, Grant, Status
from node.replication.primary import Phase, Primary
from node.replication.progress import Progress
from tests.sim.replication.world import World


class Variant(Struct, frozen=True):
    primary: type[Primary] = Primary
    follower: type[Follower] = Follower
    flaws: tuple[str, ...] = ()

    def world(self, seed: int) -> World:
        machine_class = type(
            "Broken", (ReplicaMachine,), {"primary_role": self.primary, "follower_role": self.follower}
        )
        return World(seed, machine_class=machine_class, flaws=self.flaws)


class NoLeaseWait(Primary):
    def _lease_wait_ms(self) -> int:
        return 0


class AcknowledgesBeforeEviction(Primary):
    def _floors(self) -> Iterator[int]:
        return (p.matched for p in self._followers.values() if p.counted and p.evicting_ms is None)


class ForgetsLeasesOfTheEvicted(Primary):
    def _depart(self, peer: int, progress: Progress) -> None:
        """Nothing."""


class ForgetsLeasesOfOlderTerms(Primary):
    """Of those put out of the set in a term that did not wait for them."""

    def _depart(self, peer: int, progress: Progress) -> None:
        until_ms, self._leases_until_ms = self._leases_until_ms, 0
        super()._depart(peer, progress)
        self._leases_until_ms = until_ms


class ReleasesWhateverLeasesRun(Primary):
    def release(self, heir: int) -> None:
        departed, until_ms = self._departed, self._leases_until_ms
        self._departed, self._leases_until_ms = {}, 0
        super().release(heir)
        self._departed, self._leases_until_ms = departed, until_ms


class TakesAnyReleaseForTrue(Primary):
    def _is_released(self) -> bool:
        return self._core.released is not None


class TakesLeasesWhenLeaving(Follower):
    def _note(self, message: Append) -> None:
        leaving, self._core.leaving = self._core.leaving, False
        super()._note(message)
        self._core.leaving = leaving

    def leave(self) -> None:
        if self._aligned:
            self._reply(Status.LEAVING)


class GoesOnInASpentTerm(Primary):
    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.phase = Phase.LEASES


class SendsBeforeItsNoopIsDurable(Primary):
    def _begin(self) -> None:
        super()._begin()
        if self.phase is Phase.LOGGING:
            self.phase = Phase.ALIGNING
            self._pump_all()


class AdmitsUncounted(Primary):
    def _admit(self, peer: int, progress: Progress) -> None:
        config: ReplicaSet | None = self._core.config
        joining = config is not None and peer in config.joining and not progress.in_sync
        near = self._core.log.last_seq - progress.matched < 10
        due = self._core.due(progress.admitting_ms, self._core.tuning.propose_retry_ms)
        if joining and self.phase is Phase.READY and progress.aligned and near and due:
            progress.admitting_ms = self._core.now_ms
            self._core.emit(ProposeAdmission(peer, self._core.term, progress.epoch))


class GrantsBeyondItsOwnLease(Primary):
    def _own_until_ms(self) -> int:
        return FOREVER_MS if self.phase is Phase.READY else -1

    def strong_read_seq(self, now_ms: int) -> int | None:
        return self._core.log.committed if now_ms < super()._own_until_ms() else None


class TrustsItsOwnLease(Primary):
    def strong_read_seq(self, now_ms: int) -> int | None:
        return self._core.log.committed if self.phase is Phase.READY else None


class CountsLeasesFromReceipt(Follower):
    def _note(self, message: Append) -> None:
        if message.grant is not None:
            grant = Grant(self._core.incarnation, self._core.now_ms, message.grant.lease_ms)
            message = replace(message, grant=grant)
        super()._note(message)


class RepliesBeforeDurable(Follower):
    def _extend(self, message: Append) -> None:
        super()._extend(message)
        core, durable = self._core, self._core.log.durable
        core.log.durable = core.log.last_seq
        self._reply(Status.OK)
        core.log.durable = durable


class ReadsWhatIsCommittedOnly(Follower):
    def strong_read_seq(self, now_ms: int) -> int | None:
        return self._core.log.committed if self._lease.runs(now_ms) else None


VARIANTS: dict[str, Variant] = {
    "no lease wait": Variant(NoLeaseWait),
    "acknowledges before eviction": Variant(AcknowledgesBeforeEviction),
    "forgets leases of the evicted": Variant(ForgetsLeasesOfTheEvicted),
    "forgets leases of older terms": Variant(ForgetsLeasesOfOlderTerms),
    "releases whatever leases run": Variant(ReleasesWhateverLeasesRun),
    "takes any release for true": Variant(TakesAnyReleaseForTrue),
    "takes leases when leaving": Variant(follower=TakesLeasesWhenLeaving),
    "goes on in a spent term": Variant(GoesOnInASpentTerm),
    "sends before its noop is durable": Variant(SendsBeforeItsNoopIsDurable),
    "admits uncounted": Variant(AdmitsUncounted),
    "grants beyond its own lease": Variant(GrantsBeyondItsOwnLease),
    "trusts its own lease": Variant(TrustsItsOwnLease),
    "counts leases from receipt": Variant(follower=CountsLeasesFromReceipt),
    "replies before durable": Variant(follower=RepliesBeforeDurable),
    "reads what is committed only": Variant(follower=ReadsWhatIsCommittedOnly),
    "no rebuilding": Variant(flaws=("no rebuilding",)),
    "checkpoints do not wait": Variant(flaws=("checkpoints do not wait",)),
    "operation ids outlive a cut": Variant(flaws=("operation ids outlive a cut",)),
    "files forget the term": Variant(flaws=("files forget the term",)),
    "files are dropped early": Variant(flaws=("files are dropped early",)),
    "commands name no epoch": Variant(flaws=("commands name no epoch",)),
}


def caught(name: str, seed: int) -> str | None:
    """What the simulation says of a variant, if it notices with this seed."""
    try:
        VARIANTS[name].world(seed).check_all()
    except AssertionError as failure:
        return str(failure)
    return None
