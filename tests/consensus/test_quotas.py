"""Quotas are agreed on like everything else."""

from __future__ import annotations

from consensus.commands import SetQuotas, decode_command, encode_command
from consensus.events import QuotasChanged
from consensus.state import FEATURE_LEVEL, LEVEL_OF_QUOTAS, decode_state, encode_state
from consensus.transitions import apply
from protos.quotas import QuotaConfig
from tests.consensus.material import cluster

CONFIG = QuotaConfig(enabled=True, max_disk_usage_percent=90)


def test_quotas_replace_those_before_and_are_stored() -> None:
    state = cluster((1, 2))
    assert state.quotas is None
    command = decode_command(encode_command(SetQuotas(CONFIG)))
    after, events = apply(state, command)
    assert (after.quotas, events, after.version) == (CONFIG, (QuotasChanged(),), state.version + 1)
    assert decode_state(encode_state(after)) == after
    assert apply(after, SetQuotas(CONFIG)) == (after, ())
    off, _ = apply(after, SetQuotas(QuotaConfig()))
    assert off.quotas == QuotaConfig()


def test_this_program_knows_of_quotas() -> None:
    assert LEVEL_OF_QUOTAS <= FEATURE_LEVEL
