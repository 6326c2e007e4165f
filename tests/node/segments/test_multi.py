"""Multivectors in growing and sealed segments against MaxSim in plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from node import bits
from node.index.distances import normalize
from node.segments import GrowingSegment, SegmentView, VectorSchema, multi, seal
from node.segments.hints import Hints
from node.segments.rows import Ragged
from node.segments.trace import Trace
from protos.collections import Distance
from protos.operations import VectorKind
from protos.ragged import offsets_of
from protos.shard import FloatArray, Way

DIM = 8
ROWS = 150
START = 64


def schema(distance: Distance) -> VectorSchema:
    return VectorSchema("m", DIM, distance, VectorKind.MULTI)


def random_rows(seed: int, *, whole: bool = False) -> Ragged:
    """``ROWS`` of one to five sub-vectors; ``whole``: else every seventh has none."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, ROWS)
    if not whole:
        counts[::7] = 0
    elements = normalize(rng.normal(size=(counts.sum(), DIM)).astype(np.float32))
    return Ragged(offsets_of(counts), (elements,))


def queries(seed: int) -> list[FloatArray]:
    rng = np.random.default_rng(seed)
    return [normalize(rng.normal(size=(count, DIM)).astype(np.float32)) for count in (1, 4, 2)]


def segment(directory: Path, rows: Ragged, distance: Distance, *, sealed: bool) -> SegmentView:
    growing = GrowingSegment.create(directory, START, ROWS, [schema(distance)])
    counts = np.diff(rows.offsets)
    growing.append({"m": (rows, None if counts.all() else counts > 0)}, len(rows))
    return seal(growing) if sealed else growing.view()


def expected(distance: Distance, query: FloatArray, rows: Ragged) -> FloatArray:
    """(ROWS,), -inf for a row without a vector."""
    found = np.full(len(rows), -np.inf)
    for row in range(len(rows)):
        stored = rows[row : row + 1].parts[0]
        if len(stored):
            difference = query[:, np.newaxis].astype(np.float64) - stored
            table = {
                Distance.EUCLID: -np.square(difference).sum(axis=2),
                Distance.MANHATTAN: -np.abs(difference).sum(axis=2),
            }.get(distance, query.astype(np.float64) @ stored.T)
            found[row] = table.max(axis=1).sum()
    return found


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("sealed", [False, True], ids=["growing", "sealed"])
@pytest.mark.parametrize("whole", [False, True], ids=["some", "all"])
@pytest.mark.parametrize("block", [1, 16, 16_384])
def test_rows_are_ranked_by_max_sim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distance: Distance, sealed: bool, whole: bool, block: int
) -> None:
    monkeypatch.setattr(multi, "_BLOCK_ELEMENTS", block)
    rows = random_rows(1, whole=whole)
    view = segment(tmp_path / "segment", rows, distance, sealed=sealed)
    asked = queries(2)
    some = np.random.default_rng(3).random(ROWS) < 0.3
    for allowed in (None, some, np.zeros(ROWS, dtype=np.bool_)):
        packed = None if allowed is None else bits.pack_mask(allowed)
        slots, scores = view.search("m", asked, 12, allowed=packed)
        for query, found, similar in zip(asked, slots, scores, strict=True):
            wanted = expected(distance, query, rows)
            if allowed is not None:
                wanted[~allowed] = -np.inf
            order = np.argsort(-wanted, kind="stable")[: min(12, np.isfinite(wanted).sum())]
            assert (found - START).tolist() == order.tolist()
            np.testing.assert_allclose(similar, wanted[order], atol=1e-5)


def test_a_pair_has_the_same_score_in_any_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(4, whole=True)
    view = segment(tmp_path / "segment", rows, Distance.EUCLID, sealed=True)
    query = queries(5)[1]
    slots, scores = view.search("m", [query], ROWS)
    alone = dict(zip(slots[0].tolist(), scores[0].tolist(), strict=True))
    monkeypatch.setattr(multi, "_BLOCK_ELEMENTS", 7)
    for slot in slots[0].tolist():
        hints = Hints(rows=np.array([slot - START]))
        ((found,), (score,)) = view.search("m", [query], 3, hints=hints)
        assert (found.tolist(), score.tolist()) == ([slot], [alone[slot]])


def test_equal_scores_go_by_slot(tmp_path: Path) -> None:
    rows = random_rows(6, whole=True)
    same = Ragged(np.arange(ROWS + 1, dtype=np.int64), (np.repeat(rows.parts[0][:1], ROWS, axis=0),))
    view = segment(tmp_path / "segment", same, Distance.DOT, sealed=True)
    slots, _ = view.search("m", queries(7), 5)
    assert slots.tolist() == [list(range(START, START + 5))] * 3


def test_a_trace_tells_how_many_rows_were_scored(tmp_path: Path) -> None:
    view = segment(tmp_path / "segment", random_rows(8), Distance.DOT, sealed=True)
    trace = Trace()
    view.search("m", queries(9), 5, hints=Hints(trace=trace))
    (step,) = trace.steps
    having = ROWS - len(range(0, ROWS, 7))
    assert (step.way, step.queries, step.matching, step.scored) == (Way.ROWS, 3, having, 3 * having)


@pytest.mark.parametrize("distance", list(Distance))
def test_any_rows_are_compared_with_any_queries(tmp_path: Path, distance: Distance) -> None:
    rows = random_rows(3)
    having = np.flatnonzero(np.diff(rows.offsets))[::3]
    built = segment(tmp_path / "s", rows, distance, sealed=True)
    asked = queries(4)
    table = built.vectors("m").similarities(asked, having)
    wanted = np.stack([expected(distance, query, rows)[having] for query in asked])
    np.testing.assert_allclose(table, wanted, rtol=1e-5, atol=1e-5)
    assert built.vectors("m").similarities([], having).shape == (0, len(having))
