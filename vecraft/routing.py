"""The composition of a router: the public face over a cluster's replicas, all of which are on other nodes.

Order: the follower, which knows the cluster when it is open; operations. May not live here, nor be imported:
the engine (FAISS, LMDB), Raft.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from node.following.follower import Follower, FollowerOptions, NoCluster
from node.following.shardless import ShardlessNode, ShardlessSnapshots
from node.peer.cluster_client import MemberCluster
from node.quotas import Quotas, measure_of
from protos.quotas import QuotaConfig
from router.collections import CollectionOperations
from router.rest.operators import Logging
from vecraft import __version__
from vecraft.applications import Applications, applications
from vecraft.belonging import check_uris, refuse_storage_of_a_node
from vecraft.configuration import Membership, RestoreFirst
from vecraft.defaults import collection_defaults
from vecraft.ending import EXIT_FAILED, CannotStart, Ending
from vecraft.settings import Settings
from vecraft.snapshots import snapshots
from vecraft.tls import peer_security


@asynccontextmanager
async def routing(
    settings: Settings, logs: Logging, membership: Membership, ending: Ending
) -> AsyncIterator[Applications]:
    """Everything but the listeners. Raises: CannotStart, ConfigurationError, Ended."""
    storage, defaults = Path(settings.storage.storage_path), collection_defaults(settings)
    refuse_storage_of_a_node(storage)
    check_uris(membership)
    async with AsyncExitStack() as stack:
        follower = await ending.unless_asked(_open_follower(settings, membership, ending))
        stack.push_async_callback(follower.close)
        log = follower.log
        node = ShardlessNode(follower.calls, _quotas(settings, storage))
        cluster = MemberCluster(log, follower.calls, failures=dict, comment=lambda _uuid, _transfer: None)
        collections = CollectionOperations(log, node, defaults, cluster=cluster)
        stack.push_async_callback(collections.close)
        collections.start()
        refusing = ShardlessSnapshots()
        made = await stack.enter_async_context(
            snapshots(settings, RestoreFirst(), log, collections, refusing, refusing, check=refusing.check)
        )
        yield applications(settings, logs, collections, log, node, made, cluster=cluster, ready=follower)


async def _open_follower(settings: Settings, membership: Membership, ending: Ending) -> Follower:
    cluster = settings.cluster
    options = FollowerOptions(
        bootstrap=membership.bootstrap,
        bootstrap_timeout_s=float(cluster.consensus.bootstrap_timeout_sec),
        version=__version__,
        connect_s=cluster.connection_timeout_ms / 1000,
        security=peer_security(settings),
    )
    try:
        return await Follower.open(options, on_fatal=lambda why: ending.fail(EXIT_FAILED, why))
    except NoCluster as error:
        raise CannotStart(str(error)) from error


def _quotas(settings: Settings, storage: Path) -> Quotas:
    """For what is shown of this process; what adds data is refused where it goes."""
    configured = msgspec.convert(msgspec.to_builtins(settings.storage.quotas), QuotaConfig)
    return Quotas(configured, measure_of(storage))
