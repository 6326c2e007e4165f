"""Keys that are no longer good: agreed on by all nodes, so that each of them refuses their tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from consensus.commands import Command, RestoreKey, RevokeKey
from consensus.log import MetadataLog
from consensus.state import LEVEL_OF_KEYS, RevokedKey
from protos.errors import BadInput, BadRequest

KEYS_MAX: Final = 10_000  # every node holds them, and compares each token with them
ID_CHARS_MAX, NOTE_CHARS_MAX = 256, 1024


class Revocation:
    def __init__(self, log: MetadataLog, unix_s: Callable[[], float] = time.time) -> None:
        self._log, self._unix_s = log, unix_s

    def revoked(self) -> Mapping[str, RevokedKey]:
        """By id, as this node knows them now."""
        return self._log.state.revoked_keys

    async def revoke(self, key_id: str, note: str = "") -> bool:
        """Returns when it is agreed on and this node refuses the key; the others do once they hear of it.

        Raises: BadInput, BadRequest; what proposing raises.
        """
        if not key_id or len(key_id) > ID_CHARS_MAX or len(note) > NOTE_CHARS_MAX:
            raise BadInput(
                f"the id of a key has 1 to {ID_CHARS_MAX} characters, a note at most {NOTE_CHARS_MAX}"
            )
        await self._propose(RevokeKey(key_id, int(self._unix_s() * 1000), note, KEYS_MAX))
        return True

    async def restore(self, key_id: str) -> bool:
        """Raises: NotFound if it is not revoked; as ``revoke``."""
        await self._propose(RestoreKey(key_id))
        return True

    async def _propose(self, command: Command) -> None:
        if self._log.state.feature_level < LEVEL_OF_KEYS:
            raise BadRequest("Keys can be revoked once every peer runs a version that knows of it")
        await self._log.propose(command)
