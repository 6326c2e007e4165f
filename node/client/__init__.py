"""The node as the floors above see it: the one door into ``node``.

Lives here: the ports. ``ShardClient`` (re-exported) is one shard, local or remote; ``NodeClient`` finds
shards and keeps them as the cluster state says.
May not live here: FAISS, LMDB, storage; nothing here may import a room of the node that does the work.
"""

from __future__ import annotations

from typing import Protocol

from consensus.state import ClusterState
from protos.operations import LogOperation, UpdateResult
from protos.shard import ShardClient, UpdateRequest

__all__ = ["NodeClient", "ShardClient", "UpdateRequest"]


class NodeClient(Protocol):
    def shard(self, collection: str, shard_id: int) -> ShardClient:
        """The shard of a collection (its real name, aliases are resolved above).

        Raises: ShardUnavailable if this node does not hold it (yet).
        """
        ...

    async def reconcile(self, state: ClusterState) -> None:
        """Create, reconfigure and drop shards until they are what ``state`` says. Idempotent."""
        ...

    async def apply_config(self, collection: str, shard_id: int, operation: LogOperation) -> UpdateResult:
        """Log and apply a change of payload indexes or vector names (durable and visible on return)."""
        ...

    def touch(self, collection: str) -> None:
        """Wake the optimizers of a collection: what an empty PATCH does (reference 7.3, grey)."""
        ...

    async def close(self) -> None:
        """Checkpoint and close every shard."""
        ...
