"""The composition of a node in a cluster.

Order: member (identity, peer port, metadata log), node, operations; the shards are opened only then, beside
the listeners, so that ``/cluster`` and ``/readyz`` answer while many or large shards recover. Requests for
a collection wait for its shards. Before it stops, a node hands its shards' leads and its leadership over,
while it still takes requests. Stopping is the reverse of starting: requests end, the node closes its shards,
the log closes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import msgspec

from consensus.identity import IdentityDamaged
from consensus.raft.founding import RaftFilesMissing
from consensus.raft.journal import JournalDamaged
from consensus.raft.snapshots import SnapshotDamaged
from consensus.raft_log import RaftLog
from consensus.replicated import UnknownFormat
from consensus.reports import PeerReport
from consensus.state import ClusterState
from consensus.transitions import Events
from node.cluster.controlling import Controller
from node.cluster.node import ClusterNode
from node.cluster.reporting import Reporter, receive_reports
from node.peer.cluster_client import MemberCluster, serve_audit, serve_telemetry
from node.peer.joining import BootstrapRefused, CannotJoin
from node.peer.member import Member, MemberOptions
from protos.clock import SystemClock
from protos.errors import VecraftError
from router.cluster.checking import ReadyCheck
from router.collections import CollectionOperations
from router.departure import Departure
from router.rest.operators import Logging
from vecraft.applications import Applications, applications
from vecraft.configuration import Membership, RestoreFirst
from vecraft.defaults import collection_defaults, controller_limits, node_options
from vecraft.ending import EXIT_BOOTSTRAP_REFUSED, EXIT_METADATA_FAILED, EXIT_REMOVED, CannotStart, Ending
from vecraft.membership import member_options
from vecraft.settings import Settings
from vecraft.snapshots import snapshots

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
    settings: Settings, logs: Logging, membership: Membership, wanted: RestoreFirst, ending: Ending
) -> AsyncIterator[Applications]:
    """Everything but the listeners. Raises: CannotStart, ConfigurationError, Ended."""
    defaults = collection_defaults(settings)
    options = await member_options(settings, membership)
    async with AsyncExitStack() as stack:
        member = await ending.unless_asked(_open_member(options, ending))
        stack.push_async_callback(member.close)
        node = await _start_node(settings, member)
        stack.push_async_callback(node.close)
        await stack.enter_async_context(_controlling(settings, member, node))
        cluster = MemberCluster(
            member.log,
            member.calls,
            failures=lambda: member.send_failures,
            comment=node.transfer_comment,
        )
        collections = CollectionOperations(
            member.log,
            node,
            defaults,
            cluster=cluster,
            recovery_mode=settings.storage.recovery_mode or None,
        )
        stack.push_async_callback(collections.close)
        collections.start()
        made = await stack.enter_async_context(
            snapshots(settings, wanted, member.log, collections, node.snapshots, node)
        )
        withheld = bool(settings.storage.recovery_mode)
        ready = ReadyCheck(member.log, cluster, joins=member.joined, withheld=withheld)
        ready.start()
        stack.push_async_callback(ready.close)
        apps = applications(
            settings,
            logs,
            collections,
            member.log,
            node,
            made,
            cluster=cluster,
            ready=ready,
            hand_over=partial(_hand_over, node, member),
            serve_telemetry=partial(serve_telemetry, member.calls),
            serve_audit=partial(serve_audit, member.calls),
        )
        with _telling_of_drains(member.log, apps.departure):
            yield apps


@contextmanager
def _telling_of_drains(log: RaftLog, departure: Departure) -> Iterator[None]:
    def follow(state: ClusterState, _: Events) -> None:
        own = state.peers.get(log.peer_id)
        departure.drained(own is not None and own.draining)

    follow(log.state, ())
    stop = log.subscribe(follow)
    try:
        yield
    finally:
        stop()


@asynccontextmanager
async def _controlling(settings: Settings, member: Member, node: ClusterNode) -> AsyncIterator[None]:
    """Reports to whoever leads, and the controller for when this node does."""
    clock = SystemClock()

    def own() -> PeerReport:
        return PeerReport(clock.monotonic_ms(), member.identity.incarnation, node.reports())

    log = member.log
    controller = Controller(
        log,
        log.status,
        own,
        clock=clock,
        limits=controller_limits(settings),
        down_since_ms=member.down_since_ms,
    )
    receive_reports(member.calls, controller, clock)
    reporter = Reporter(member.calls, controller, log.status, own, peer_id=log.peer_id, urgent=node.reporting)
    controller.start()
    reporter.start()
    try:
        yield
    finally:
        await reporter.close()
        await controller.close()


async def _hand_over(node: ClusterNode, member: Member) -> None:
    """The shards first: what is proposed for them is agreed on soonest while this member leads."""
    await node.hand_over()
    await member.hand_over()


async def _open_member(options: MemberOptions, ending: Ending) -> Member:
    def failed(why: str) -> None:
        ending.fail(EXIT_METADATA_FAILED, f"the metadata log has failed: {why}")

    def removed() -> None:
        if options.rejoin:
            ending.fail(EXIT_REMOVED, "the cluster has removed this peer; it may join again as a new one")

    try:
        return await Member.open(options, on_fatal=failed, on_removed=removed)
    except BootstrapRefused as error:
        raise CannotStart(str(error), status=EXIT_BOOTSTRAP_REFUSED) from error
    except _UNUSABLE as error:
        raise CannotStart(str(error) or repr(error)) from error


async def _start_node(settings: Settings, member: Member) -> ClusterNode:
    node = ClusterNode(
        Path(settings.storage.storage_path),
        member.log,
        member.calls,
        member.mail,
        incarnation=member.identity.incarnation,
        down_since_ms=member.down_since_ms,
        **node_options(settings),
    )
    try:
        await node.start()
    except OSError as error:
        raise CannotStart(f"the shards' directories cannot be used: {error}") from error
    return node
