"""Dense vectors with graphs of the rows that share a payload value, and searching them.

A value's graph holds the rows that had the value when it was built. Payloads change afterwards, so what a
search may return is compared with it: rows that are allowed and not in the graph (strays) are scored one by
one, and a graph with too few of the allowed rows is not used at all. So these graphs change how fast an
answer is found, never which rows may be in it.

Invariant: a graph and its rows are mapped when they are first used, and kept. A view that is still read may
be of a segment whose files are gone by then: the graph is left alone, as there are other ways to its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

import numpy as np
from msgspec import Struct

from node import bits
from node.bits import PackedBits
from node.bits import Slots as Rows
from node.index import NO_ROW, HnswGraph, best_of
from node.segments import planner
from node.segments.dense import Chosen, FloatArray, Ranking, VectorsView, chosen_of
from node.segments.errors import SegmentCorrupted
from node.segments.hints import NO_HINTS, Hints
from node.segments.rows import Dense
from node.segments.schema import VectorSchema
from node.segments.values import ValueGraphParams
from protos.facets import FacetValue
from protos.logger import get_logger
from protos.shard import QuantizationSearchParams

log = get_logger()

Key = tuple[str, FacetValue]  # payload field, value


class Cover(Struct, frozen=True, eq=False):
    """The allowed rows: those ``inside`` of a graph, and the others (n,), ascending."""

    inside: Chosen
    strays: Rows


class ValueGraph:
    """The graph of one value; ``open`` maps it, nodes must have rows."""

    def __init__(self, open: Callable[[], HnswGraph]) -> None:
        self._open = open

    @cached_property
    def graph(self) -> HnswGraph:
        return self._open()

    @cached_property
    def is_there(self) -> bool:
        """Can it be mapped? One that is damaged is told to the log once; the scrub makes the shard red."""
        try:
            return self.graph.rows is not None
        except FileNotFoundError:
            return False
        except SegmentCorrupted as error:
            if error.file.exists():
                log.error("value_graph_not_opened", file=str(error.file), error=str(error))
            return False

    @cached_property
    def _span(self) -> tuple[int, int]:
        """First row, a multiple of 8, and one past the last."""
        rows = self.graph.covered_rows
        return int(rows.min()) & ~7, int(rows.max()) + 1

    @cached_property
    def _bits(self) -> PackedBits:
        """Of the span."""
        first, end = self._span
        return bits.pack(self.graph.covered_rows - np.uint32(first), bits.bytes_for(end - first))

    def cover(self, chosen: Chosen, allowed: PackedBits | None, total: int) -> Cover:
        """``allowed``: the bits that ``chosen`` was made of, with those rows only; None: it has a list."""
        if allowed is None:
            return self._cover_rows(chosen, total)
        first, end = self._span
        part = slice(first >> 3, bits.bytes_for(end))
        inside = bits.fit(allowed[part], len(self._bits)) & self._bits
        if bits.count(inside) == chosen.count:
            return Cover(chosen, _NONE)
        within, outside = np.zeros_like(allowed), allowed.copy()
        within[part] = inside
        outside[part] &= ~inside
        return Cover(Chosen(None, within, total), bits.unpack(outside))

    def _cover_rows(self, chosen: Chosen, total: int) -> Cover:
        rows = chosen.rows()
        if rows is None:
            rows = np.arange(total)
        first, end = self._span
        low, high = np.searchsorted(rows, (first, end))
        if high - low == len(rows) == self.graph.covered == end - first:
            return Cover(chosen, _NONE)  # side by side, all of them: no need to look
        inside = np.zeros(len(rows), dtype=np.bool_)
        inside[low:high] = bits.contains(self._bits, rows[low:high] - first)
        if inside.all():
            return Cover(chosen, _NONE)
        return Cover(Chosen(rows[inside], None, total), rows[~inside])


_NONE: Rows = np.empty(0, dtype=np.int64)


class ValueGraphs(Struct, frozen=True, eq=False):
    """Those of one vector name; ``wanted``: what they were made for."""

    wanted: ValueGraphParams
    graphs: Mapping[Key, ValueGraph]

    def smallest(self, keys: Iterable[Key]) -> ValueGraph | None:
        """Of those that there are."""
        found = [self.graphs[key] for key in keys if key in self.graphs and self.graphs[key].is_there]
        return found[0] if len(found) == 1 else min(found, key=lambda one: one.graph.covered, default=None)


class ValuedVectors(VectorsView):
    """``values``: beside ``graph`` if there is one of all rows."""

    __slots__ = ("values",)

    def __init__(
        self,
        schema: VectorSchema,
        rows: Dense,
        present: PackedBits | None,
        graph: HnswGraph | None,
        values: ValueGraphs,
    ) -> None:
        super().__init__(schema, rows, present, graph)
        self.values = values

    def search(
        self,
        queries: FloatArray,
        k: int,
        allowed: PackedBits | None,
        *,
        ef: int | None,
        exact: bool,
        quantization: QuantizationSearchParams | None = None,
        hints: Hints = NO_HINTS,
    ) -> Ranking:
        value = None if exact else self.values.smallest(hints.values)
        if value is not None:
            total = len(self.rows)
            chosen = chosen_of(total, self.present, allowed, hints.rows, hints.count)
            cover = value.cover(chosen, None if hints.rows is not None else chosen.mask(total), total)
            if self._pays(value.graph, cover, chosen.count, k, ef, hints):
                return self._by_value(value.graph, cover, queries, k, ef, quantization, hints)
        return super().search(queries, k, allowed, ef=ef, exact=exact, quantization=quantization, hints=hints)

    def _pays(
        self, graph: HnswGraph, cover: Cover, allowed: int, k: int, ef: int | None, hints: Hints
    ) -> bool:
        if not cover.inside.count or allowed * self.schema.row_bytes <= hints.full_scan_bytes:
            return False
        return planner.value_graph_pays(
            planner.search_width(graph.params.ef_construct if ef is None else ef, k),
            min(k, cover.inside.count),
            inside=cover.inside.count,
            nodes=graph.covered,
            strays=len(cover.strays),
            all_nodes=None if self.graph is None else self.graph.covered,
            rows_per_node=planner.node_rows(self.schema.dim, quick=graph.quick),
        )

    def _by_value(
        self,
        graph: HnswGraph,
        cover: Cover,
        queries: FloatArray,
        k: int,
        ef: int | None,
        quantization: QuantizationSearchParams | None,
        hints: Hints,
    ) -> Ranking:
        found = min(k, cover.inside.count)
        inside = self.by_graph(graph, queries, found, ef, cover.inside, quantization, hints)
        if not len(cover.strays):
            return inside
        strays = best_of(self.schema.distance, queries, self._originals, k, cover.strays)
        return _merged(inside, strays, k)


def _merged(a: Ranking, b: Ranking, k: int) -> Ranking:
    """The k best of both; missing rows have the similarity -inf and come last."""
    rows, scores = np.concatenate([a[0], b[0]], axis=1), np.concatenate([a[1], b[1]], axis=1)
    order = np.lexsort((np.where(rows == NO_ROW, np.iinfo(np.int64).max, rows), -scores), axis=1)[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
