"""Graphs written by 0.2.0 (``data/graphs-0.2.0``: 500 rows of 16, every seventh dead) are still searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from node.index import Code, Encoding, GraphParams
from node.segments import SealedSegment
from tests.node.segments.make import pack, vectors

SAMPLE = Path(__file__).parent / "data" / "graphs-0.2.0"


def test_a_graph_of_the_former_format_is_read() -> None:
    segment = SealedSegment.open(SAMPLE)
    assert segment.verify() == []
    graph = segment.graph("")
    assert graph is not None
    assert (graph.params, graph.encoding) == (GraphParams(8, 60), Encoding(Code.UNIFORM_8BIT))
    live = np.ones(500, dtype=np.bool_)
    live[::7] = False
    matrix = vectors(500)
    for query in vectors(20, seed=9):
        truth = np.argsort(-np.where(live, matrix @ query, -np.inf))[:10]
        found = graph.candidates(query[np.newaxis], 60, 20)[0]
        assert len(np.intersect1d(found, truth)) >= 9
        scanned = graph.scan(query[np.newaxis], pack(live), 20)[0][0]
        assert len(np.intersect1d(scanned, truth)) == 10
