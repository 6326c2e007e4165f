"""What to do after a call of a shard's primary has failed. Pure; time and chance come in as arguments.

An attempt ends in one of four ways:

| error | applied? | next |
|---|---|---|
| NotPrimary | no | ask the peer it names, at once; after ``HINTS_MAX`` of these wait as below |
| PointsMoved | no | give up: other shards are to be asked |
| TooFewReplicas | no | give up: until a replica has come back nothing changes |
| ShardUnavailable | no | wait for another primary, at most as long as the backoff says, and try again |
| Timeout | perhaps | the same: the operation id makes a repeat harmless |
| any other | no, and never will be | give up |

The time of the request is the bound of all. Once the outcome of any attempt is unknown, giving up says so,
whatever the last attempt met with: "nothing was applied" would not be true.
"""

from __future__ import annotations

from msgspec import Struct

from protos.errors import NotPrimary, PointsMoved, ShardUnavailable, Timeout, VecraftError

HINTS_MAX = 3  # followed in a row; two peers that name each other are confused
BACKOFF_MS_MIN = 20.0
BACKOFF_MS_MAX = 1_000.0
BACKOFF_FACTOR = 2.0
LAST_TRY_MS = 10.0  # left for an attempt after the last pause; less than a pause, so that there is no other


class Past(Struct, frozen=True):
    """What is remembered of a call's attempts: ``waits`` made, ``hints`` followed since the last of them."""

    waits: int = 0
    hints: int = 0
    unknown: Timeout | None = None


class Retry(Struct, frozen=True):
    """Wait until the shard has another primary, at most ``delay_ms``, then ask ``peer``.

    ``peer`` None: whoever is primary then.
    """

    past: Past
    delay_ms: float
    peer: int | None = None


class GiveUp(Struct, frozen=True):
    error: VecraftError


def next_step(
    past: Past, error: VecraftError, *, asked: int, remaining_ms: float, chance: float
) -> Retry | GiveUp:
    """The step after ``error`` from peer ``asked``.

    Args:
        remaining_ms: what is left of the request's time.
        chance: uniform in [0, 1); keeps callers that failed together from coming back together.
    """
    if not isinstance(error, ShardUnavailable | Timeout) or not error.transient:
        return GiveUp(error)
    if isinstance(error, PointsMoved):
        # The caller knows where to go on, under the same operation id.
        error.unknown = past.unknown is not None
        return GiveUp(error)
    unknown = past.unknown or (error if isinstance(error, Timeout) else None)
    if remaining_ms < BACKOFF_MS_MIN:
        return GiveUp(unknown or error)
    hint = error.primary if isinstance(error, NotPrimary) else None
    if hint is not None and hint != asked and past.hints < HINTS_MAX:
        return Retry(Past(past.waits, past.hints + 1, unknown), delay_ms=0.0, peer=hint)
    delay_ms = min(_backoff_ms(past.waits, chance), remaining_ms - LAST_TRY_MS)
    return Retry(Past(past.waits + 1, 0, unknown), delay_ms)


def _backoff_ms(waits: int, chance: float) -> float:
    """Half of it by chance."""
    longest = min(BACKOFF_MS_MIN * BACKOFF_FACTOR ** min(waits, 32), BACKOFF_MS_MAX)
    return longest * (0.5 + chance / 2)
