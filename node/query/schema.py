"""A collection's vectors as a search needs them, read from its configuration: one class per kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from msgspec import Struct

from node.index.distances import normalize, to_client_scores
from protos.collections import Distance, SparseVectorParams
from protos.errors import sparse_conversion, vector_name_not_found, wrong_dimension
from protos.operations import VectorKind, VectorShape
from protos.shard import AnyVector, FloatArray, SparseVector

if TYPE_CHECKING:
    from node.query.view_port import View

Queries = FloatArray | list[SparseVector]  # (n, dim) of dense vectors


class QueriedVector(Protocol):
    """Vectors of one name, whatever their kind."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> VectorShape: ...

    @property
    def row_bytes(self) -> int:
        """About what a stored vector takes; 0: it is not known."""

    @property
    def descending(self) -> bool:
        """Is the larger client score the better one (reference 9.4)?"""

    def prepare(self, queries: Sequence[AnyVector]) -> Queries:
        """Raises: BadInput if one is of another kind or dimension."""

    def to_scores(self, similarities: FloatArray) -> FloatArray:
        """Internal similarities as the scores a client sees."""


class DenseVector(Struct, frozen=True):
    name: str
    dim: int
    distance: Distance

    @property
    def shape(self) -> VectorShape:
        return VectorShape(VectorKind.DENSE, self.dim)

    @property
    def row_bytes(self) -> int:
        return self.dim * 4

    @property
    def descending(self) -> bool:
        return self.distance in (Distance.COSINE, Distance.DOT)

    def prepare(self, queries: Sequence[AnyVector]) -> FloatArray:
        """Stack queries to (n, dim) float32, normalised for Cosine."""
        rows = [self._checked(query) for query in queries]
        matrix = rows[0][np.newaxis] if len(rows) == 1 else np.stack(rows)
        matrix = matrix.astype(np.float32, copy=False)
        return normalize(matrix) if self.distance is Distance.COSINE else matrix

    def _checked(self, query: AnyVector) -> FloatArray:
        if isinstance(query, SparseVector):
            raise sparse_conversion()
        if query.shape != (self.dim,):
            raise wrong_dimension(self.dim, query.shape[-1] if query.ndim else 0)
        return query

    def to_scores(self, similarities: FloatArray) -> FloatArray:
        return to_client_scores(self.distance, similarities)


class SparseNamed(Struct, frozen=True):
    """Always compared by dot product."""

    name: str

    @property
    def shape(self) -> VectorShape:
        return VectorShape(VectorKind.SPARSE, 0)

    @property
    def row_bytes(self) -> int:
        return 0

    @property
    def descending(self) -> bool:
        return True

    def prepare(self, queries: Sequence[AnyVector]) -> list[SparseVector]:
        found = [query for query in queries if isinstance(query, SparseVector)]
        if len(found) != len(queries):
            raise sparse_conversion()
        return found

    def to_scores(self, similarities: FloatArray) -> FloatArray:
        return similarities


def queried_vector(view: View, name: str) -> QueriedVector:
    """Raises: BadInput if the collection has no vector of this name."""
    params = view.config.all_vectors.get(name)
    if params is None:
        raise vector_name_not_found(name)
    if isinstance(params, SparseVectorParams):
        return SparseNamed(name)
    return DenseVector(name, params.size, params.distance)


def pick(queries: Queries, positions: Sequence[int]) -> Queries:
    return [queries[i] for i in positions] if isinstance(queries, list) else queries[list(positions)]


def vector_names(view: View) -> tuple[str, ...]:
    return tuple(view.config.all_vectors)
