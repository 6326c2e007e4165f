"""``apply``: the next cluster state, and what happened, from a state and a command.

Pure and total: it never raises, looks at no clock and draws no random numbers, so every member that
applies the same commands reaches the same state. A command that breaks a rule yields ``Rejected``
and leaves the state (or, of a list of alias actions, the rest) as it was.

One module per topic; their handlers raise the error of a refused command, which only ``apply`` catches.
``edits`` holds the single changes of a replica set that keep its parts consistent, ``outcome`` look-ups.
"""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import Command
from consensus.events import Rejected, rejected
from consensus.state import ClusterState
from consensus.transitions import (
    aliases,
    collections,
    keys,
    peers,
    quotas,
    replicas,
    resharding,
    restoring,
    shard_keys,
    transfers,
)
from consensus.transitions.outcome import Events, Handler, Outcome
from protos.errors import VecraftError

__all__ = ["Events", "Outcome", "apply", "rejection"]

_HANDLERS: dict[type, Handler] = {
    **collections.HANDLERS,
    **aliases.HANDLERS,
    **keys.HANDLERS,
    **peers.HANDLERS,
    **replicas.HANDLERS,
    **restoring.HANDLERS,
    **transfers.HANDLERS,
    **shard_keys.HANDLERS,
    **quotas.HANDLERS,
    **resharding.HANDLERS,
}


def apply(state: ClusterState, command: Command) -> Outcome:
    """Return the next state and the events; the same state object if nothing changed."""
    try:
        after, events = _HANDLERS[type(command)](state, command)
    except VecraftError as error:
        return state, (rejected(error),)
    if after is not state:
        after = replace(after, version=state.version + 1)
    return after, events


def rejection(events: Events) -> Rejected | None:
    """The rejection among the events of one command, if any."""
    return next((event for event in events if isinstance(event, Rejected)), None)
