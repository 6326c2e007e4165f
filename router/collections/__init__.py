"""Collections and aliases: what stands behind their endpoints, whatever the protocol.

``operations`` is the way in; ``info`` is what the info endpoints show, ``reconciling`` brings this node's
shards to the agreed state, ``copying`` fills a collection from another.
"""

from router.collections.operations import CollectionOperations, SchemaOptions

__all__ = ["CollectionOperations", "SchemaOptions"]
