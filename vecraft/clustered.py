"""The composition of a node in a cluster.

Order: member (identity, peer port, metadata log), node, operations; the shards are opened only then, beside
the listeners, so that ``/cluster`` and ``/readyz`` answer while many or large shards recover. Requests for
a collection wait for its shards. Stopping is the reverse: requests end, then the node hands its leads over
and closes its shards, then the member leaves its leadership and the log closes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from consensus.identity import IdentityDamaged
from consensus.raft.founding import RaftFilesMissing
from consensus.raft.journal import JournalDamaged
from consensus.raft.snapshots import SnapshotDamaged
from consensus.replicated import UnknownFormat
from node.cluster.node import ClusterNode
from node.peer.joining import BootstrapRefused, CannotJoin
from node.peer.member import Member, MemberOptions
from protos.errors import VecraftError
from router.collections import CollectionOperations
from vecraft.applications import Applications, applications
from vecraft.configuration import Membership
from vecraft.defaults import collection_defaults, node_options
from vecraft.ending import EXIT_BOOTSTRAP_REFUSED, EXIT_METADATA_FAILED, CannotStart, Ending
from vecraft.membership import member_options
from vecraft.settings import Settings

_UNUSABLE = (
    CannotJoin,
    IdentityDamaged,
    RaftFilesMissing,
    JournalDamaged,
    SnapshotDamaged,
    UnknownFormat,
    VecraftError,
    msgspec.MsgspecError,
    OSError,
)


@asynccontextmanager
async def clustered(
    settings: Settings, membership: Membership, ending: Ending
) -> AsyncIterator[Applications]:
    """Everything but the listeners. Raises: CannotStart, ConfigurationError, Ended."""
    defaults = collection_defaults(settings)
    options = await member_options(settings, membership)
    member = await ending.unless_asked(_open_member(options, ending))
    try:
        node = await _open_node(settings, member)
        try:
            collections = CollectionOperations(member.log, node, defaults)
            try:
                yield applications(settings, collections, member.log, node)
            finally:
                await collections.close()
        finally:
            await node.close()
    finally:
        await member.close()


async def _open_member(options: MemberOptions, ending: Ending) -> Member:
    def failed(why: str) -> None:
        ending.fail(EXIT_METADATA_FAILED, f"the metadata log has failed: {why}")

    try:
        return await Member.open(options, on_fatal=failed)
    except BootstrapRefused as error:
        raise CannotStart(str(error), status=EXIT_BOOTSTRAP_REFUSED) from error
    except _UNUSABLE as error:
        raise CannotStart(str(error) or repr(error)) from error


async def _open_node(settings: Settings, member: Member) -> ClusterNode:
    try:
        return await ClusterNode.open(
            Path(settings.storage.storage_path),
            member.log,
            member.calls,
            member.mail,
            incarnation=member.identity.incarnation,
            **node_options(settings),
        )
    except OSError as error:
        raise CannotStart(f"the shards' directories cannot be used: {error}") from error
