"""What a shard still lacks of its collection's schema.

The state changes first, then each shard logs the change; a crash in between leaves the shard behind.
Comparing the two on opening closes the gap.
"""

from __future__ import annotations

from consensus.state import CollectionState
from node.replica.opened import ReplicaFiles
from node.segments import schema_of
from protos.collections import encode_index_params, encode_vector_params
from protos.operations import (
    AddVectorName,
    AnyLogOperation,
    CreateIndex,
    DropIndex,
    RemoveVectorName,
)


def missing_operations(replica: ReplicaFiles, collection: CollectionState) -> list[AnyLogOperation]:
    """The operations that make the shard's vector names and payload indexes those of the collection."""
    operations: list[AnyLogOperation] = []
    schemas, wanted = replica.schemas, collection.config.all_vectors
    operations += [RemoveVectorName(name) for name in schemas if name not in wanted]
    operations += [
        AddVectorName(name, encode_vector_params(params))
        for name, params in wanted.items()
        if schemas.get(name) != schema_of(name, params)
    ]
    fields = replica.view.columns.fields
    operations += [DropIndex(field) for field in fields if field not in collection.payload_schema]
    operations += [
        CreateIndex(field, encode_index_params(schema.effective))
        for field, schema in collection.payload_schema.items()
        if fields.get(field) != schema.effective
    ]
    return operations
