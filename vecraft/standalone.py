"""The composition of a node that runs alone.

Order: metadata log, shards (recovery included), operations; so when the applications are there, everything
is loaded, and a port that answers means just that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from consensus.local_log import LocalLog
from consensus.log_format import MetadataCorrupted
from node.local import LocalNode
from router.collections import CollectionOperations
from router.rest.operators import Logging
from vecraft.applications import Applications, applications
from vecraft.belonging import LOCAL_LOG, refuse_storage_of_a_cluster
from vecraft.configuration import RestoreFirst
from vecraft.defaults import collection_defaults, node_options
from vecraft.ending import CannotStart
from vecraft.settings import Settings
from vecraft.snapshots import snapshots


@asynccontextmanager
async def standalone(settings: Settings, logs: Logging, wanted: RestoreFirst) -> AsyncIterator[Applications]:
    """Everything but the listeners. Raises: CannotStart, ConfigurationError."""
    storage, defaults = Path(settings.storage.storage_path), collection_defaults(settings)
    refuse_storage_of_a_cluster(storage)
    log = _open_log(storage / LOCAL_LOG, settings.cluster.peer_id)
    node = LocalNode(storage, **node_options(settings))
    try:
        await node.reconcile(log.state)
        collections = CollectionOperations(
            log, node, defaults, recovery_mode=settings.storage.recovery_mode or None
        )
        try:
            async with snapshots(settings, wanted, log, collections, node.snapshots) as made:
                yield applications(settings, logs, collections, log, node, made)
        finally:
            await collections.close()
    finally:
        await node.close()
        await log.close()


def _open_log(directory: Path, peer_id: int | None) -> LocalLog:
    try:
        return LocalLog.open(directory, peer_id=peer_id)
    except MetadataCorrupted as error:
        raise CannotStart(str(error)) from error
