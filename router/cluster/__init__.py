"""The cluster behind its endpoints, whatever the protocol: members, metadata keys, replica sets, readiness.

Lives here: what operators ask of a cluster. ``operations`` is the way in; ``requests`` are its questions as
values, ``planning`` turns them into commands (pure), ``status`` is what is shown of the cluster (pure);
``telemetry`` asks every member; ``readiness`` says when a node may be sent requests (pure), ``checking``
looks; ``local_shards`` is one node's replica of a shard, for debugging.
May not live here: status codes and JSON bodies (``router.rest``), Raft, peers' connections (``node``).
"""

from router.cluster.operations import ClusterOperations, ShardKeyOperations
from router.cluster.status import ClusterOptions

__all__ = ["ClusterOperations", "ClusterOptions", "ShardKeyOperations"]
