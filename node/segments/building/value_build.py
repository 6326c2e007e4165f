"""Building the graphs of values of payload fields. Runs in the builder process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from node.index import HnswGraph
from node.index.linking import build_bytes
from node.index.twins import equal_most, set_apart
from node.segments.building.graph_codes import choose_codes
from node.segments.encoding import originals
from node.segments.rows import Dense
from node.segments.schema import VectorSchema, value_graph_file, value_rows_file, value_twins_file
from node.segments.values import (
    VALUES_MAX,
    ValueGraphEntry,
    ValueGraphParams,
    ValueGraphsEntry,
    ValueGroup,
)

GraphRows = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]


class ValueBuild:
    """The graphs for one vector name: ``stored`` (rows, width), of which ``wanted`` (rows,) may be nodes.

    ``rows_of``: the rows that ascending slots have come to lie in, less those that are not there.
    """

    def __init__(
        self,
        schema: VectorSchema,
        stored: Dense,
        wanted: Flags,
        params: ValueGraphParams,
        *,
        rows_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]],
    ) -> None:
        self._schema, self._wanted, self._params = schema, wanted, params
        self._stored, self._matrix = stored, originals(stored, schema)
        self._rows_of = rows_of

    def run(
        self,
        groups: tuple[ValueGroup, ...],
        draft: Path,
        position: int,
        *,
        check_memory: Callable[[int], None],
        finish: Callable[[Path], None],
    ) -> ValueGraphsEntry:
        """Write the graphs' files to ``draft``; ``finish`` is told each of them."""
        distance, params = self._schema.distance, self._params.params
        chosen = sorted(self._chosen(groups), key=lambda one: -len(one[1]))[:VALUES_MAX]
        rows = np.flatnonzero(self._wanted).astype(np.uint32)
        codes = choose_codes(self._schema, self._matrix, rows, params.quantization)
        encoding, linked = codes.stored, codes.linked
        if chosen:
            check_memory(build_bytes(self._schema.dim, len(chosen[0][1]), params, encoding, linked))
        entries = []
        for number, (entry, wanted) in enumerate(chosen):
            nodes, twins = set_apart(self._stored, wanted, 0, equal_most(params.m))
            path = draft / value_graph_file(position, number)
            HnswGraph.build(distance, self._matrix, nodes, params, encoding, linked).save(path)
            finish(path)
            beside = {value_rows_file(position, number): nodes.astype("<u4").tobytes()}
            if twins is not None:
                beside[value_twins_file(position, number)] = twins.to_bytes()
            for name, data in beside.items():
                (draft / name).write_bytes(data)
                finish(draft / name)
            entries.append(msgspec.structs.replace(entry, has_twins=twins is not None))
        return ValueGraphsEntry(self._params, encoding, tuple(entries))

    def _chosen(self, groups: tuple[ValueGroup, ...]) -> Iterator[tuple[ValueGraphEntry, GraphRows]]:
        most = self._params.share_max * np.count_nonzero(self._wanted)
        for group in groups:
            rows = self._rows_of(np.frombuffer(group.slots, dtype="<u4").astype(np.int64))
            rows = rows[self._wanted[rows]]
            if group.field in self._params.fields and self._params.rows_min <= len(rows) <= most:
                yield ValueGraphEntry(group.field, group.value), np.sort(rows).astype(np.uint32)
