"""The kinds of vectors: what every kind offers to a segment, and which class is for which kind.

The one place that chooses by kind; what a kind stores is in ``layout``, how it is searched in ``dense``,
``multi`` and ``sparse``.
"""

from __future__ import annotations

from typing import Any, Protocol

from node.bits import PackedBits, Slots
from node.index import GraphParams, HnswGraph, SparseIndex, SparseParams
from node.segments.dense import FloatArray, Ranking, VectorsView
from node.segments.hints import NO_HINTS, Hints
from node.segments.multi import MultiVectors
from node.segments.rows import Ragged, Stored
from node.segments.schema import VectorSchema
from node.segments.sparse import SparseVectors
from node.segments.value_graphs import ValuedVectors, ValueGraphs
from protos.operations import VectorKind
from protos.shard import QuantizationSearchParams


class NamedVectors(Protocol):
    """Vectors of one name in one segment, immutable."""

    @property
    def schema(self) -> VectorSchema: ...

    @property
    def rows(self) -> Stored: ...

    @property
    def present(self) -> PackedBits | None:
        """The rows that have a vector; None: all."""

    @property
    def graph(self) -> HnswGraph | None: ...

    @property
    def built(self) -> GraphParams | SparseParams | None:
        """What its index was built with; None: it has none, every search scores all rows."""

    def search(
        self,
        queries: Any,
        k: int,
        allowed: PackedBits | None,
        *,
        ef: int | None,
        exact: bool,
        quantization: QuantizationSearchParams | None = None,
        hints: Hints = NO_HINTS,
    ) -> Ranking:
        """Rows and similarities, both (nq, <= k), best first, padded with NO_ROW and -inf.

        ``queries``: of the kind, as ``node.query`` prepares them; ``allowed``: rows that may be returned.
        """

    def similarities(self, queries: Any, rows: Slots) -> FloatArray:
        """Of each query to each of ``rows`` (ascending, such as have a vector); (nq, len(rows))."""


def view_of(
    schema: VectorSchema,
    rows: Stored,
    present: PackedBits | None,
    index: HnswGraph | SparseIndex | None,
    values: ValueGraphs | None = None,
) -> NamedVectors:
    """``values``: graphs of values of payload fields, None where none were asked for; of dense vectors."""
    if schema.kind is VectorKind.SPARSE:
        assert isinstance(rows, Ragged)
        assert not isinstance(index, HnswGraph)
        return SparseVectors(schema, rows, present, index)
    assert not isinstance(index, SparseIndex)
    if schema.kind is VectorKind.MULTI:
        assert isinstance(rows, Ragged)
        return MultiVectors(schema, rows, present, index)
    assert not isinstance(rows, Ragged)
    if values is not None:
        return ValuedVectors(schema, rows, present, index, values)
    return VectorsView(schema, rows, present, index)


def is_indexed(vectors: NamedVectors) -> bool:
    """Is there an index? Also of values alone: those without a graph have too few rows to need one."""
    return vectors.built is not None or isinstance(vectors, ValuedVectors)
