"""What a replica knows of its shard's buckets, and what that admits. Pure.

Lives here: the replicated state of it (changed by the log alone), and the judgement of reads, writes and
copies that come in. May not live here: what a shard should do (``consensus.ownership``), the log.

Ids tell their buckets, so a write by ids is judged by those alone. A filter does not: it is carried out only
by a shard that does what the router believes (``answers_since``), and only while it takes writes of just the
points that it answers for; or a point that moves would be missed, or found twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from consensus.buckets import all_in, bucket_of, pack_buckets, unpack_buckets
from consensus.ownership import Ownership
from protos.errors import IntakeOver, PointsMoved, ShardUnavailable
from protos.filters import Filter, InBuckets, both
from protos.ids import PointId, id_key
from protos.operations import (
    AnyLogOperation,
    BeginIntake,
    PointChange,
    SetOwnership,
    UpdateVectors,
    Upsert,
)
from protos.shard import Intake


class ShardBuckets(Struct, frozen=True):
    """As the log has it. ``owned`` None: all that the shard holds is its own, as if nothing ever moved.

    ``intakes``: by shard, the session (term, number) in which copies of its points come in.
    """

    owned: Ownership | None = None
    intakes: dict[int, tuple[int, int]] = {}

    @property
    def step(self) -> int:
        return 0 if self.owned is None else self.owned.step

    @property
    def answers_since(self) -> int:
        return 0 if self.owned is None else self.owned.answers_since

    @property
    def own(self) -> Filter | None:
        """The points that are the shard's; None: all that it holds."""
        if self.owned is None or not self.owned.strangers:
            return None
        return Filter(must=(InBuckets(self.owned.answers),))


def after(buckets: ShardBuckets, operation: AnyLogOperation) -> ShardBuckets:
    """What ``buckets`` become by a logged operation."""
    match operation:
        case SetOwnership(ownership=data):
            return replace(buckets, owned=decode_ownership(data))
        case BeginIntake(source=source, term=term, number=number):
            return replace(buckets, intakes={**buckets.intakes, source: (term, number)})
    return buckets


def ownership_is_stale(buckets: ShardBuckets, operation: AnyLogOperation) -> bool:
    """Does the log know of a later step than an operation that is about to follow it?"""
    if not isinstance(operation, SetOwnership):
        return False
    return decode_ownership(operation.ownership).step <= buckets.step


def encode_ownership(ownership: Ownership) -> bytes:
    return msgspec.msgpack.encode(ownership)


_decoder = msgspec.msgpack.Decoder(Ownership)


def decode_ownership(data: bytes) -> Ownership:
    """Raises: ValueError."""
    return _decoder.decode(data)


def answers_for(buckets: ShardBuckets, wanted: bytes) -> bool:
    """Does the shard answer for all of these buckets?"""
    owned = buckets.owned
    return owned is None or not (unpack_buckets(wanted) & ~unpack_buckets(owned.answers)).any()


# --- reads -------------------------------------------------------------------------------------------------


def check_read(buckets: ShardBuckets, answers_since: int | None) -> None:
    """Raises: PointsMoved if the asker believes that the shard answers for other points than it does."""
    if answers_since is not None and answers_since != buckets.answers_since:
        raise PointsMoved(f"the shard answers since step {buckets.answers_since}, not {answers_since}")


def own_ids(buckets: ShardBuckets, ids: Sequence[PointId]) -> Sequence[PointId]:
    """Those that the shard answers for."""
    if buckets.owned is None or not buckets.owned.strangers:
        return ids
    answers = unpack_buckets(buckets.owned.answers)
    return [point_id for point_id in ids if answers[bucket_of(id_key(point_id))]]


# --- writes ------------------------------------------------------------------------------------------------


def admitted(buckets: ShardBuckets, change: PointChange, answers_since: int) -> PointChange:
    """``change`` as the shard may carry it out: of its own points. Raises: PointsMoved."""
    owned = buckets.owned
    if owned is None:
        if answers_since:
            raise PointsMoved("the shard has not begun to answer yet")
        return change
    if change.ids is not None and not all_in(map(id_key, change.ids), owned.takes):
        raise PointsMoved("the shard does not take writes of all these points")
    if isinstance(change, Upsert | UpdateVectors) or change.filter is None:
        return change
    if answers_since != owned.answers_since or not owned.settled:
        raise PointsMoved("the shard's points are about to be others")
    return replace(change, filter=both(change.filter, buckets.own))


def cleaning(buckets: ShardBuckets) -> Filter | None:
    """The points that are nobody's here; None: there is nothing to clean up, or copies are still coming."""
    if buckets.owned is None or not buckets.owned.strangers or buckets.owned.receives:
        return None
    return Filter(must=(InBuckets(pack_buckets(~unpack_buckets(buckets.owned.answers))),))


def check_cleaning(buckets: ShardBuckets, change: PointChange) -> None:
    """Raises: PointsMoved if some of the points are the shard's own by now, or come in."""
    owned = buckets.owned
    strangers = cleaning(buckets)
    if owned is None or strangers is None:
        raise PointsMoved("there is nothing to clean up")
    if own_ids(buckets, change.ids or ()):
        raise PointsMoved("these points are the shard's own")


# --- copies that come in -----------------------------------------------------------------------------------


def check_intake(buckets: ShardBuckets, intake: Intake) -> None:
    """Raises: ShardUnavailable if nothing comes in from there (yet); IntakeOver if the session is over."""
    owned = buckets.owned
    if owned is None or not owned.receives:
        raise ShardUnavailable("no copies come in here, as far as the shard's log tells")
    current = buckets.intakes.get(intake.source, (0, 0))
    begins = intake.change is None and not intake.known
    if (intake.session <= current) if begins else (intake.session != current):
        raise IntakeOver(f"copies from shard {intake.source} come in by session {current}")
    ids = [] if intake.change is None else intake.change.ids or []
    if not all_in(map(id_key, ids), owned.receives):
        raise IntakeOver("these points do not come in here")
