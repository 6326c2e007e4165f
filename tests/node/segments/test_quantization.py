"""Quantized segments: what ``rescore``, ``oversampling``, ``ignore`` and ``exact`` do to an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from node.index import GraphParams, Quantization, best_of, set_threads, similarities
from node.index.distances import normalize
from node.index.quantization import Kind
from node.segments import SealedSegment, VectorSchema
from node.segments.building.assemble import assemble
from node.segments.building.jobs import IndexJob, Source
from node.segments.hints import Hints
from node.segments.trace import Trace
from protos.collections import Distance
from protos.shard import QuantizationSearchParams
from tests.node.segments.make import pack, sealed

Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]

DIM, ROWS = 64, 4000
BINARY, SCALAR = Quantization(Kind.BITS), Quantization(Kind.SCALAR)
PRODUCT = Quantization(Kind.PRODUCT, compression=32)


def _rows(count: int, seed: int) -> npt.NDArray[np.float32]:
    basis = np.random.default_rng(0).normal(size=(10, DIM))
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 10)) @ basis + 0.2 * rng.normal(size=(count, DIM))
    return normalize(rows.astype(np.float32))


MATRIX, QUERIES = _rows(ROWS, 1), _rows(30, 2)
TRUTH = best_of(Distance.COSINE, QUERIES, MATRIX, 10)[0]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    set_threads(1)


def _segment(tmp_path: Path, quantization: Quantization | None) -> SealedSegment:
    source = sealed(tmp_path / "s", MATRIX, schema=VectorSchema("", DIM, Distance.COSINE))
    graphs = {"": GraphParams(8, 64, quantization)}
    assemble(IndexJob(target=str(tmp_path / "t"), graphs=graphs, source=Source(str(source.directory))))
    return SealedSegment.open(tmp_path / "t")


def _asked(segment: SealedSegment, asked: QuantizationSearchParams | None, *, exact: bool = False) -> Found:
    return segment.search("", QUERIES, 10, ef=64, exact=exact, quantization=asked)


def _recall(found: Found) -> float:
    return sum(len(np.intersect1d(a, b)) for a, b in zip(found[0], TRUTH, strict=True)) / TRUTH.size


def _are_true(found: Found) -> bool:
    pairs = zip(QUERIES, *found, strict=True)
    return all(
        np.array_equal(similarities(Distance.COSINE, query, MATRIX, rows), scores)
        for query, rows, scores in pairs
    )


@pytest.mark.parametrize("quantization", [BINARY, SCALAR, PRODUCT])
def test_rescored_similarities_are_true_and_others_the_codes(
    quantization: Quantization, tmp_path: Path
) -> None:
    segment = _segment(tmp_path, quantization)
    rescored = _asked(segment, QuantizationSearchParams(rescore=True))
    by_code = _asked(segment, QuantizationSearchParams(rescore=False))
    assert _are_true(rescored)
    assert not _are_true(by_code)
    assert (np.diff(by_code[1], axis=1) <= 0).all()
    assert _recall(rescored) >= max(0.95, _recall(by_code))


@pytest.mark.parametrize("rescore", [True, False])
def test_a_search_in_one_call_finds_what_others_find(tmp_path: Path, rescore: bool) -> None:
    """By codes alone, too; similarities have the same bits."""
    segment, asked = _segment(tmp_path, SCALAR), QuantizationSearchParams(rescore=rescore)
    plain = segment.plain_search("", 10, allowed=None, allowed_count=len(MATRIX), ef=64, quantization=asked)
    assert plain is not None
    for queries in (QUERIES, QUERIES[:1]):
        found, wanted = plain.find(queries), segment.search("", queries, 10, ef=64, quantization=asked)
        assert found is not None
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1].view(np.int32), wanted[1].view(np.int32))


def test_what_a_strict_filter_leaves_is_found_whether_or_not_codes_are_scored_again(tmp_path: Path) -> None:
    segment = _segment(tmp_path, SCALAR)
    rows = np.arange(0, len(MATRIX), 20)
    allowed = pack(np.isin(np.arange(len(MATRIX)), rows))
    asked, exactly = (
        QuantizationSearchParams(rescore=False),
        segment.search("", QUERIES, 10, allowed=allowed, exact=True),
    )
    found = segment.search("", QUERIES, 10, allowed=allowed, ef=64, quantization=asked)
    plain = segment.plain_search("", 10, allowed=allowed, allowed_count=len(rows), ef=64, quantization=asked)
    assert plain is not None
    for each in (found, plain.find(QUERIES)):
        assert each is not None
        np.testing.assert_array_equal(each[0], exactly[0])
        np.testing.assert_array_equal(each[1].view(np.int32), exactly[1].view(np.int32))


def test_the_default_of_rescore_goes_by_the_kind(tmp_path: Path) -> None:
    for number, (quantization, rescores) in enumerate(((BINARY, True), (SCALAR, False), (PRODUCT, False))):
        directory = tmp_path / str(number)
        directory.mkdir()
        assert _are_true(_asked(_segment(directory, quantization), None)) is rescores


def test_oversampling_finds_more(tmp_path: Path) -> None:
    segment = _segment(tmp_path, PRODUCT)
    few = _recall(_asked(segment, QuantizationSearchParams(rescore=False)))
    many = _recall(_asked(segment, QuantizationSearchParams(rescore=True, oversampling=20.0)))
    assert few < many
    assert many >= 0.99
    endless = _asked(segment, QuantizationSearchParams(rescore=True, oversampling=1e30))
    assert _recall(endless) == 1.0


@pytest.mark.parametrize("quantization", [BINARY, SCALAR])
def test_ties_that_are_looked_out_for_are_not_oversampled(quantization: Quantization, tmp_path: Path) -> None:
    """Four times ten that are wanted, not four times fourteen that are ranked."""
    segment, asked = _segment(tmp_path, quantization), QuantizationSearchParams(rescore=True, oversampling=4)
    plain = segment.plain_search(
        "", 14, allowed=None, allowed_count=len(MATRIX), ef=16, quantization=asked, hints=Hints(wanted=10)
    )
    assert plain is not None
    assert plain.width == 40
    hints = Hints(wanted=10, trace=Trace())
    segment.search("", QUERIES, 14, ef=16, quantization=asked, hints=hints)
    assert hints.trace is not None
    assert [(step.width, step.scored) for step in hints.trace.steps] == [(40, 40 * len(QUERIES))]


def test_codes_are_ignored_when_asked(tmp_path: Path) -> None:
    segment = _segment(tmp_path, PRODUCT)
    ignored = _asked(segment, QuantizationSearchParams(ignore=True, rescore=False))
    assert _are_true(ignored)
    assert _recall(ignored) >= 0.98
    assert _recall(_asked(segment, None, exact=True)) == 1.0


def test_without_quantization_nothing_is_given_by_code(tmp_path: Path) -> None:
    assert _are_true(_asked(_segment(tmp_path, None), QuantizationSearchParams(rescore=False)))
