"""Graphs written by former versions are still searched and continued.

In ``data``: 500 rows of 16, every seventh of which is dead.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consensus.state import LEVEL_OF_REPLICA_FILES
from node.index import Code, GraphParams
from node.segments import SealedSegment
from node.segments.building import IndexJob, Source
from node.segments.building.assemble import assemble
from node.segments.manifest import FORMAT
from tests.node.segments.make import pack, vectors

SAMPLES = Path(__file__).parent / "data"
LIVE = np.arange(500) % 7 != 0


@pytest.mark.parametrize(
    ("sample", "format", "code"),
    [
        ("0.2.0", 1, Code.UNIFORM_8BIT),
        ("0.4.0", 3, Code.INTEGER_8BIT),
        ("0.5.0", 4, Code.INTEGER_8BIT),
        ("0.6.0", 5, Code.INTEGER_4BIT),
    ],
)
def test_a_graph_of_a_former_format_is_read(sample: str, format: int, code: Code) -> None:
    segment = SealedSegment.open(SAMPLES / f"graphs-{sample}")
    assert segment.manifest.format == format
    check(segment, code)


@pytest.mark.parametrize("sample", ["0.4.0", "0.5.0", "0.6.0"])
def test_a_graph_of_a_former_format_is_continued_as_one_of_this(sample: str, tmp_path: Path) -> None:
    source = Source(str(SAMPLES / f"graphs-{sample}"), live=pack(LIVE).tobytes())
    job = IndexJob(target=str(tmp_path / "now"), graphs={"": GraphParams(8, 60)}, source=source)
    (graph,) = assemble(job).graphs
    assert graph.continued == np.count_nonzero(LIVE)
    segment = SealedSegment.open(tmp_path / "now")
    assert segment.manifest.format == FORMAT
    check(segment, Code.INTEGER_8BIT)
    sizes = {
        each.directory.name: (each.directory / "graph.0.faiss").stat().st_size
        for each in (segment, SealedSegment.open(SAMPLES / "graphs-0.4.0"))
    }
    assert sizes["now"] < sizes["graphs-0.4.0"]


def test_a_format_and_the_level_from_which_peers_read_it_are_raised_together() -> None:
    """A peer of a lower level gets points instead of files: it would refuse the segments."""
    assert (FORMAT, LEVEL_OF_REPLICA_FILES) == (6, 7)


def check(segment: SealedSegment, code: Code) -> None:
    assert segment.verify() == []
    graph = segment.graph("")
    assert graph is not None
    assert (graph.params, graph.encoding.code) == (GraphParams(8, 60), code)
    matrix = vectors(500)
    for query in vectors(20, seed=9):
        truth = np.argsort(-np.where(LIVE, matrix @ query, -np.inf))[:10]
        found = graph.candidates(query[np.newaxis], 60, 20)[0]
        assert len(np.intersect1d(found, truth)) >= 9
