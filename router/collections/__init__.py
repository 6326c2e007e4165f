"""Collections and aliases: what stands behind their endpoints, whatever the protocol.

``operations`` is the way in; ``info`` is what the info endpoints show and ``reporting`` asks the shards for
it, ``measuring`` asks how much they hold (for strict mode), ``schema`` brings indexes and vector names
to the shards, ``placing`` says where new shards go, ``reconciling`` brings this node's shards to the agreed
state, ``settling`` gives the other nodes time for it, ``copying`` fills a collection from another.
"""

from router.collections.operations import CollectionOperations
from router.collections.schema import SchemaOptions

__all__ = ["CollectionOperations", "SchemaOptions"]
