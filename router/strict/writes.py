"""What strict mode lets writes ask, apart from what their collection holds already. Pure."""

from __future__ import annotations

import numpy as np

from consensus.state import CollectionState
from protos.collections.strict_mode import StrictModeConfig
from protos.operations import PointChange, UpdateVectors, Upsert, VectorBatch, VectorKind
from router.strict.filters import check_filter_indexed, check_filter_size
from router.strict.violations import check_limit, violated


def check_change(change: PointChange, state: CollectionState, strict: StrictModeConfig) -> None:
    """Raises: BadRequest. The condition of an upsert or of vectors is no filter here."""
    if isinstance(change, Upsert | UpdateVectors):
        name = "upsert limit" if isinstance(change, Upsert) else "update limit"
        check_limit(len(change.ids), strict.upsert_max_batchsize, name)
        for batch in change.vectors:
            _check_vectors(batch, strict)
        return
    check_filter_size(change.filter, strict)
    if strict.unindexed_filtering_update is False:
        check_filter_indexed(change.filter, state.payload_schema)


def check_index_count(field: str, state: CollectionState, strict: StrictModeConfig) -> None:
    """Raises: BadRequest if another payload index would be one too many."""
    limit = strict.max_payload_index_count
    if limit is not None and field not in state.payload_schema and len(state.payload_schema) >= limit:
        raise violated(
            f"Collection already has the maximum number of payload indices ({limit})",
            "Please delete an existing index before creating a new one.",
        )


def _check_vectors(batch: VectorBatch, strict: StrictModeConfig) -> None:
    if batch.kind is VectorKind.MULTI and strict.multivector_config:
        multi = strict.multivector_config.get(batch.name)
        most = _most(batch)
        if multi is not None and multi.max_vectors is not None and most > multi.max_vectors:
            raise violated(
                f"Multivector '{batch.name}' has a limit of {multi.max_vectors} vectors, "
                f"but {most} were provided!",
                f"Provide at most {multi.max_vectors} vectors.",
            )
    if batch.kind is VectorKind.SPARSE and strict.sparse_config:
        sparse = strict.sparse_config.get(batch.name)
        if sparse is not None and sparse.max_length is not None and _most(batch) > sparse.max_length:
            raise violated(
                f"Sparse vector '{batch.name}' has a limit of {sparse.max_length} indices",
                f"Provide at most {sparse.max_length} indices.",
            )


def _most(batch: VectorBatch) -> int:
    """The elements of the batch's longest vector."""
    return int(np.frombuffer(batch.counts, dtype="<u4").max(initial=0))
