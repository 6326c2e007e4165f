"""The transition of the cluster's quotas."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import SetQuotas
from consensus.events import QuotasChanged
from consensus.state import ClusterState
from consensus.transitions.outcome import Handler, Outcome


def set_quotas(state: ClusterState, command: SetQuotas) -> Outcome:
    if state.quotas == command.config:
        return state, ()
    return replace(state, quotas=command.config), (QuotasChanged(),)


HANDLERS: dict[type, Handler] = {SetQuotas: set_quotas}
