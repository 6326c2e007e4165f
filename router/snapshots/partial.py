"""Partial snapshots: a shard follows one of another node by what differs between the two (reference 13.6).

Lives here: the order of steps, and that a shard follows one at a time.
May not live here: what differs (``node.snapshots``), how an archive takes a shard's place (``operations``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from consensus.state import CollectionState
from node.client.snapshots import (
    PARTIAL,
    PartialManifest,
    PartialReceiver,
    SnapshotDescription,
    SnapshotNode,
    decode_manifest,
    encode_manifest,
)
from protos.errors import BadInput, BadRequest, Forbidden, NothingChanged
from router.snapshots import planning
from router.snapshots.drafts import chunks_of
from router.snapshots.fetching import SnapshotFetcher
from router.snapshots.locations import RemoteUrl, parse_location
from router.snapshots.naming import partial_file
from router.snapshots.operations import SnapshotOperations, SnapshotPolicy
from router.snapshots.requests import RecoverOptions
from router.snapshots.store import Content
from router.snapshots.turns import planned_anew


class PartialSnapshots:
    def __init__(
        self,
        snapshots: SnapshotOperations,
        node: SnapshotNode,
        fetcher: SnapshotFetcher,
        policy: SnapshotPolicy,
        *,
        unix_s: Callable[[], float],
    ) -> None:
        self._snapshots, self._node, self._fetcher, self._policy = snapshots, node, fetcher, policy
        self._unix_s = unix_s

    async def manifest(self, name: str, shard_id: int) -> PartialManifest:
        """What this node's replica consists of. Raises: NotFound, ShardUnavailable, ServiceError."""
        collection = await self._snapshots.with_shard(name, shard_id)
        return await self._node.manifest(collection, shard_id)

    @asynccontextmanager
    async def created(self, name: str, shard_id: int, manifest: bytes) -> AsyncIterator[tuple[str, Content]]:
        """What a shard that consists of ``manifest`` (JSON) lacks: what to call it, and its bytes.

        Raises: NothingChanged; BadInput: it is no manifest of ours; as ``manifest``.
        """
        collection = await self._snapshots.with_shard(name, shard_id)
        theirs = _decoded(manifest)
        statistics = self._snapshots.statistics
        async with self._snapshots.drafts.draft() as path:
            with statistics.creating_partial(collection.name, shard_id):
                written = await self._node.write_partial(collection, shard_id, theirs, path)
            if written is None:
                raise NothingChanged(shard_id)
            file = partial_file(collection.name, shard_id, self._unix_s())
            yield file, Content(written.size, chunks=chunks_of(path))

    def require_idle(self, name: str, shard_id: int) -> None:
        """Raises: AlreadyInProgress; NotFound."""
        collection, _, _ = self._snapshots.folder(name, shard_id)
        self._snapshots.statistics.require_idle(collection, shard_id)

    async def recover(self, name: str, shard_id: int, path: Path, options: RecoverOptions) -> bool:
        """From a file that was made for this shard as it is now.

        Raises: AlreadyInProgress; BadInput: it was made for another one, or is damaged; as ``recover_from``.
        """
        collection = await self._snapshots.with_shard(name, shard_id)

        async def once() -> bool:
            async with self._node.receiving(collection, shard_id) as receiver:
                return await self._restore(collection, shard_id, receiver, path, options)

        with self._snapshots.statistics.recovering_partial(collection.name, shard_id):
            return await planned_anew(once)

    async def recover_from(self, name: str, shard_id: int, peer_url: str, api_key: str | None) -> bool:
        """Become what the shard of the same collection and number is at another node's ``peer_url``.

        Returns: False if it is that already. Raises: AlreadyInProgress; BadRequest, Forbidden: that node is
        not to be asked, or has no such thing; BadInput: the shards do not go together; NotFound,
        ShardUnavailable, ServiceError, InsufficientStorage, Timeout.
        """
        if not self._policy.urls:
            raise Forbidden("Snapshot recovery from remote URLs is disabled in the configuration")
        url = _create_url(peer_url, name, shard_id)
        collection = await self._snapshots.with_shard(name, shard_id)

        async def once() -> bool:
            async with self._node.receiving(collection, shard_id) as receiver:
                manifest = encode_manifest(receiver.manifest)
                async with self._fetcher.made_for(url, api_key, manifest) as chunks:
                    if chunks is None:
                        return False
                    async with self._snapshots.drafts.received(chunks) as path:
                        return await self._restore(collection, shard_id, receiver, path, RecoverOptions())

        with self._snapshots.statistics.recovering_partial(collection.name, shard_id):
            return await planned_anew(once)

    async def _restore(
        self,
        collection: CollectionState,
        shard_id: int,
        receiver: PartialReceiver,
        path: Path,
        options: RecoverOptions,
    ) -> bool:
        def accept(description: SnapshotDescription) -> None:
            planning.check_shard(description, PARTIAL, collection, shard_id)

        ready = self._snapshots.ready(receiver.read, path, accept)
        return await self._snapshots.restore_ready_shard(collection, shard_id, ready, options)


def _decoded(manifest: bytes) -> PartialManifest:
    """Raises: BadInput."""
    try:
        return decode_manifest(manifest)
    except ValueError as error:
        raise BadInput(f"The manifest makes no sense: {error}") from error


def _create_url(peer_url: str, name: str, shard_id: int) -> str:
    """Raises: BadInput, BadRequest."""
    if not isinstance(parse_location(peer_url, shard=True), RemoteUrl):
        raise BadRequest(f"Invalid peer URL {peer_url}: an http or https URL is expected")
    parts = urlsplit(peer_url)
    path = f"/collections/{quote(name, safe='')}/shards/{shard_id}/snapshot/partial/create"
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, "", ""))
