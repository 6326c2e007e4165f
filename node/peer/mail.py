"""Letters between replicas: ``node.peer.calls.Mail`` over links of its own.

A letter is the format byte, the shard's id (4 bytes, big-endian), the length of the collection's uuid (1
byte), that uuid as text, and a message of ``node.replication``.

When a peer takes letters more slowly than they come, its outbox fills, and what then comes is dropped,
alone. Replication repeats what matters: a lost ``Append`` is noticed by the next one, or by a heartbeat
``retry_ms`` later, as a gap, and sent again from where the follower's log ends; a lost ``Reply`` is made up
for by the next, since each states all that is durable. Ending the link would lose whatever is in the outbox
to the same end, of all shards. The order of letters is kept, so that a heartbeat does not overtake the
entries it follows and make a gap that is none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from consensus.raft.transport import Event
from node.client.cluster import SendFailures
from node.peer import service
from node.peer.calls import Letter
from node.peer.door import Door
from node.peer.link import OUTBOX_BYTES_MAX
from node.peer.links import PeerLinks
from node.peer.security import NO_SECURITY, PeerSecurity
from protos.logger import get_logger

FORMAT = 1
MESSAGE_BYTES_MAX = OUTBOX_BYTES_MAX - (64 << 10)  # the rest is for what stands around it

_HEAD = struct.Struct(">BIB")
_log = get_logger(__name__)


class LinkMail:
    """A ``Mail``. Use on one event loop. ``accept`` is what the peer port serves."""

    def __init__(self, door: Door, *, security: PeerSecurity = NO_SECURITY) -> None:
        self._links = PeerLinks(door, security=security, service_name=service.MAIL, drops=True)
        self._letter: Letter | None = None

    def send(self, peer_id: int, collection_uuid: str, shard_id: int, message: bytes) -> None:
        if len(message) > MESSAGE_BYTES_MAX:
            _log.error("letter_too_large", peer=peer_id, shard=shard_id, bytes=len(message))
            return
        self._links.send(str(peer_id), encode_letter(collection_uuid, shard_id, message))

    def backlog(self, peer_id: int) -> int:
        return self._links.backlog(str(peer_id))

    def receive(self, letter: Letter | None) -> None:
        self._letter = letter

    # --- for ``node.peer.member`` ------------------------------------------------------------------------

    @property
    def failures(self) -> dict[int, SendFailures]:
        return self._links.failures

    def is_connected(self, peer_id: int) -> bool:
        return self._links.is_connected(peer_id)

    def start(self) -> None:
        """Let others connect."""
        self._links.attach(self._take)

    def watch(self, peers: Iterable[int]) -> None:
        """Keep links with these peers, and no others."""
        self._links.watch(frozenset(map(str, peers)))

    def review(self) -> None:
        """Let go of those who would not be let in any more."""
        self._links.review()

    async def accept(self, requests: Any, context: Any) -> None:
        await self._links.accept(requests, context)

    async def close(self) -> None:
        self._letter = None
        await self._links.close()

    def _take(self, event: Event) -> None:
        if event.data is None or self._letter is None:
            return
        peer_id = int(event.peer)
        try:
            collection_uuid, shard_id, message = decode_letter(event.data)
        except ValueError as error:
            self._links.reset(event.peer, str(error))
            return
        try:
            self._letter(peer_id, collection_uuid, shard_id, message)
        except Exception:  # noqa: BLE001 - one replica's fault must not cost the others their letters
            _log.exception("letter_failed", peer=peer_id, collection=collection_uuid, shard=shard_id)


def encode_letter(collection_uuid: str, shard_id: int, message: bytes) -> bytes:
    name = collection_uuid.encode()
    return b"".join((_HEAD.pack(FORMAT, shard_id, len(name)), name, message))


def decode_letter(data: bytes) -> tuple[str, int, bytes]:
    """Raises: ValueError."""
    if data[:1] != bytes([FORMAT]) or len(data) < _HEAD.size:
        raise ValueError(f"a letter of format {FORMAT} is expected, {data[:1]!r} with {len(data)} bytes came")
    _, shard_id, length = _HEAD.unpack_from(data)
    end = _HEAD.size + length
    return data[_HEAD.size : end].decode(), shard_id, data[end:]
