"""How many candidates are scored again, by what the codes can tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from node.index import Code, Encoding, GraphParams, Quantization
from node.index.quantization import Kind
from node.segments.scoring import scoring_of
from protos.shard import QuantizationSearchParams


def graph(encoding: Encoding, quantization: Quantization | None) -> Any:
    return SimpleNamespace(encoding=encoding, params=GraphParams(quantization=quantization))


BINARY, PRODUCT = Quantization(Kind.BITS, bits=1), Quantization(Kind.PRODUCT, compression=16)


@pytest.mark.parametrize(
    ("width", "counts"), [(1536, (24, 40, 80)), (384, (24, 160, 320)), (64, (24, 960, 1920))]
)
def test_the_fewer_signs_there_are_the_more_is_scored_again(width: int, counts: tuple[int, int, int]) -> None:
    scoring = scoring_of(graph(Encoding(Code.SIGNS, width=width), BINARY), None)
    assert (scoring.count(10, 24), scoring.count(10, 4096), scoring.count(20, 4096)) == counts


def test_of_product_codes_all_that_was_kept_is_scored_again() -> None:
    scoring = scoring_of(
        graph(Encoding(Code.PRODUCT, parts=8), PRODUCT), QuantizationSearchParams(rescore=True)
    )
    assert scoring.count(10, 500) == 500


def test_oversampling_asks_for_more() -> None:
    encoding = Encoding(Code.SIGNS, width=1536)
    scoring = scoring_of(graph(encoding, BINARY), QuantizationSearchParams(oversampling=9.0))
    assert (scoring.count(10, 500), scoring.width(64, 10, 4000)) == (90, 90)


def test_what_is_ranked_beyond_what_is_wanted_asks_for_no_more() -> None:
    """Ties at the edge of the ten that are wanted are seen by four more."""
    encoding = Encoding(Code.SIGNS, width=1536)
    scoring = scoring_of(graph(encoding, BINARY), QuantizationSearchParams(oversampling=9.0), 10)
    assert (scoring.count(14, 500), scoring.width(64, 14, 4000)) == (90, 90)
    assert scoring.count(5, 500) == 45  # there are no more in this segment
    few = scoring_of(graph(Encoding(Code.SIGNS, width=1536), BINARY), None, 1)
    assert few.count(5, 500) == 19  # as many as are ranked, and those that this takes


def test_a_few_more_than_are_wanted_are_compared_whole() -> None:
    encoding, scalar = Encoding(Code.SPLIT_8BIT, width=128), Quantization(Kind.SCALAR)
    scoring, every = (scoring_of(graph(encoding, scalar), None, wanted) for wanted in (10, None))
    assert (scoring.whole(14, 100), scoring.whole(14, 20), scoring.whole(40, 100)) == (24, 20, 40)
    assert every.whole(14, 100) == 28


def test_who_ignores_the_quantization_has_all_of_a_wider_walk_scored_again() -> None:
    encoding = Encoding(Code.SIGNS, width=1536)
    scoring = scoring_of(graph(encoding, BINARY), QuantizationSearchParams(ignore=True))
    assert (scoring.width(64, 10, 4000), scoring.count(10, 128)) == (128, 128)


def test_without_a_quantization_a_few_more_than_are_wanted_are_scored_again() -> None:
    scoring = scoring_of(
        graph(Encoding(Code.INTEGER_4BIT, width=64), None), QuantizationSearchParams(ignore=True)
    )
    assert (scoring.count(10, 100), scoring.count(100, 4096)) == (24, 200)
