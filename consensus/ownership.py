"""What each shard holds, answers for and takes, while buckets move between shards. Pure.

Lives here: which buckets a resharding moves; what follows for one shard from where it stands.
May not live here: the stages and who ends them (``transitions.resharding``), the copying (``node.moving``).

The primary of a shard writes its ``Ownership`` into the shard's log whenever a later step says something
else, so every replica, and every view that is read, knows as of when it may answer for which points. That is
what makes the following hold, whatever is late or lost:

  O1  a bucket is answered for by its old owner up to a place in that shard's log, by its new one from a place
      in its own; both may answer only while neither takes writes of it;
  O2  no shard takes writes of a bucket before its old owner has logged, in all replicas that answer, that it
      answers for it no more;
  O3  points of a shard that it does not answer for are shown to nobody, and no write finds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from consensus.buckets import BUCKETS, owned_buckets, pack_buckets, unpack_buckets
from consensus.state import CollectionState, Move, ReshardingStage

Owners = npt.NDArray[np.uint32]


class Ownership(Struct, frozen=True, omit_defaults=True):
    """What a shard does at a step, as sets of buckets (``buckets.pack_buckets``).

    ``answers``: reads and filters see these points alone. ``takes``: writes are taken. ``receives``: copies
    come in from another shard. ``strangers``: it may hold points that it does not answer for.
    ``answers_since``: as in ``ShardState``; a reader that knows another one has to look at the state again.
    """

    step: int
    answers_since: int
    answers: bytes
    takes: bytes
    receives: bytes = b""
    strangers: bool = False

    @property
    def settled(self) -> bool:
        """Does it take writes of just the points that it answers for?"""
        return self.answers == self.takes


def ownership_of(collection: CollectionState, shard_id: int) -> Ownership | None:
    """What the shard does as of ``collection``; None: nothing has ever moved, it owns all that it holds."""
    shard = collection.shards.get(shard_id)
    if shard is None or not collection.buckets_step:
        return None
    answers = owned_buckets(collection, shard_id)
    takes = unpack_buckets(answers).copy()
    receives = np.zeros(BUCKETS, dtype=np.bool_)
    resharding = collection.resharding
    for move in resharding.moves if resharding is not None else ():
        assert resharding is not None
        if move.source == shard_id and resharding.stage is ReshardingStage.FENCED:
            takes &= ~unpack_buckets(move.buckets)
        if move.target == shard_id:
            if resharding.stage is not ReshardingStage.SWITCHED:
                receives |= unpack_buckets(move.buckets)
            elif not move.released:
                takes &= ~unpack_buckets(move.buckets)
    return Ownership(
        step=collection.buckets_step,
        answers_since=shard.answers_since,
        answers=answers,
        takes=pack_buckets(takes),
        receives=pack_buckets(receives) if receives.any() else b"",
        strangers=shard.strangers > 0,
    )


def moves_from(collection: CollectionState, shard_id: int) -> tuple[Move, ...]:
    """What a shard is to copy to others now."""
    resharding = collection.resharding
    if resharding is None or resharding.stage is ReshardingStage.SWITCHED:
        return ()
    return tuple(move for move in resharding.moves if move.source == shard_id)


# --- which buckets move ------------------------------------------------------------------------------------


def moves_up(owners: Owners, shards: Sequence[int], new: int) -> tuple[Move, ...]:
    """Give the shard ``new`` its even share, taken in turn from those that own most."""
    held = _held(owners, shards)
    taken: dict[int, list[int]] = {shard: [] for shard in shards}
    for _ in range(BUCKETS // (len(shards) + 1)):
        giver = max(shards, key=lambda shard: (len(held[shard]), -shard))
        taken[giver].append(held[giver].pop())
    return _moves((shard, new, buckets) for shard, buckets in taken.items())


def moves_down(owners: Owners, shards: Sequence[int], gone: int) -> tuple[Move, ...]:
    """Give what the shard ``gone`` owns to those that own least."""
    held = _held(owners, shards)
    rest = [shard for shard in shards if shard != gone]
    given: dict[int, list[int]] = {shard: [] for shard in rest}
    for bucket in held[gone]:
        taker = min(rest, key=lambda shard: (len(held[shard]) + len(given[shard]), shard))
        given[taker].append(bucket)
    return _moves((gone, shard, buckets) for shard, buckets in given.items())


def owners_after(owners: Owners, moves: Iterable[Move]) -> bytes:
    """The owners of all buckets when the moves are done, as in ``ShardGroup.buckets``."""
    after = owners.copy()
    for move in moves:
        after[unpack_buckets(move.buckets)] = move.target
    return after.astype("<u4").tobytes()


def _held(owners: Owners, shards: Sequence[int]) -> Mapping[int, list[int]]:
    return {shard: np.flatnonzero(owners == shard).tolist() for shard in shards}


def _moves(parts: Iterable[tuple[int, int, list[int]]]) -> tuple[Move, ...]:
    moves = []
    for source, target, buckets in parts:
        if buckets:
            mask = np.zeros(BUCKETS, dtype=np.bool_)
            mask[buckets] = True
            moves.append(Move(source, target, pack_buckets(mask)))
    return tuple(moves)
