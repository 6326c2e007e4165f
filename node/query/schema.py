"""A collection's vectors as a search needs them, read from its configuration: one class per kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from msgspec import Struct

from node.index.distances import to_client_scores
from node.query.per_view import PerView
from node.segments.encoding import compared
from node.segments.schema import VectorSchema, schema_of
from protos.collections import Distance, SparseVectorParams, VectorParams
from protos.errors import multi_conversion, sparse_conversion, vector_name_not_found, wrong_dimension
from protos.operations import VectorKind, VectorShape
from protos.shard import AnyVector, FloatArray, SparseVector

if TYPE_CHECKING:
    from node.query.view_port import View

# (n, dim) of dense vectors; of multivectors one (m, dim) each
Queries = FloatArray | list[SparseVector] | list[FloatArray]


class QueriedVector(Protocol):
    """Vectors of one name, whatever their kind."""

    @property
    def name(self) -> str: ...

    @property
    def shape(self) -> VectorShape: ...

    @property
    def descending(self) -> bool:
        """Is the larger client score the better one (reference 9.4)?"""

    def prepare(self, queries: Sequence[AnyVector]) -> Queries:
        """Raises: BadInput if one is of another kind or dimension."""

    def to_scores(self, similarities: FloatArray) -> FloatArray:
        """Internal similarities as the scores a client sees."""


class _ByDistance(Struct, frozen=True):
    """What vectors have that a metric compares."""

    schema: VectorSchema

    @property
    def name(self) -> str:
        return self.schema.name

    @property
    def shape(self) -> VectorShape:
        return self.schema.shape

    @property
    def descending(self) -> bool:
        return self.schema.distance in (Distance.COSINE, Distance.DOT)

    def to_scores(self, similarities: FloatArray) -> FloatArray:
        return to_client_scores(self.schema.distance, similarities)


class DenseVector(_ByDistance, frozen=True):
    def prepare(self, queries: Sequence[AnyVector]) -> FloatArray:
        """Stack queries to (n, dim) float32, as stored vectors are compared: normalised for Cosine."""
        if not queries:
            return _compared(np.empty((0, self.schema.dim), dtype=np.float32), self.schema)
        rows = [_checked(query, self.shape) for query in queries]
        matrix = rows[0][np.newaxis] if len(rows) == 1 else np.stack(rows)
        return _compared(matrix, self.schema)


class MultiVector(_ByDistance, frozen=True):
    """The similarity of two is MaxSim, of which a client sees what it would see of one pair's."""

    def prepare(self, queries: Sequence[AnyVector]) -> list[FloatArray]:
        """Each (m, dim) float32, as ``DenseVector``'s; a query that is one row is one sub-vector."""
        return [_compared(np.atleast_2d(_checked(query, self.shape)), self.schema) for query in queries]


class SparseNamed(Struct, frozen=True):
    """Always compared by dot product."""

    name: str

    @property
    def shape(self) -> VectorShape:
        return VectorShape(VectorKind.SPARSE, 0)

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
    found = _queried(view).get(name)
    if found is None:
        raise vector_name_not_found(name)
    return found


def _all_queried(view: View) -> dict[str, QueriedVector]:
    return {name: _queried_by(name, params) for name, params in view.config.all_vectors.items()}


def _queried_by(name: str, params: VectorParams | SparseVectorParams) -> QueriedVector:
    if isinstance(params, SparseVectorParams):
        return SparseNamed(name)
    named = DenseVector if params.multivector_config is None else MultiVector
    return named(schema_of(name, params))


_queried = PerView(_all_queried)


def pick(queries: Queries, positions: Sequence[int]) -> Queries:
    if isinstance(queries, np.ndarray):
        return queries[list(positions)]
    return [queries[i] for i in positions]  # type: ignore[return-value]  # of one kind all, as before


def _checked(query: AnyVector, shape: VectorShape) -> FloatArray:
    """One row, or several of a multivector. Raises: BadInput."""
    if isinstance(query, SparseVector):
        raise sparse_conversion()
    if not (query.ndim == 1 or (query.ndim == 2 and len(query) and shape.kind is VectorKind.MULTI)):
        raise multi_conversion()
    if query.shape[-1] != shape.dim:
        raise wrong_dimension(shape.dim, query.shape[-1])
    return query


def _compared(rows: FloatArray, schema: VectorSchema) -> FloatArray:
    return compared(rows.astype(np.float32, copy=False), schema)


def vector_names(view: View) -> tuple[str, ...]:
    return tuple(view.config.all_vectors)
