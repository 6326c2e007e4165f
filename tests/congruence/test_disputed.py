"""Conditions on which the judges and the reference differ; here the reference's word holds (10.2).

qdrant-client's local mode and the engine of ``qdrant-edge-py`` split texts into words and ignore case
where 1.19.0 looks for a substring, and count an array with a null in it as null.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.congruence.server import serving

VALUES: dict[int, Any] = {
    1: "red",
    2: "red wine",
    3: "Red",
    4: "wine red",
    5: "redwine",
    6: ["x", "red"],
    7: None,
    8: [None],
    9: ["a", None],
    10: [],
}


@pytest.fixture(scope="module")
def scroll(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from scrolling(tmp_path_factory.mktemp("disputed"))


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from scrolling(tmp_path_factory.mktemp("indexed"), {"field_name": "t", "field_schema": "text"})


def scrolling(directory: Path, index: Any = None) -> Iterator[Any]:
    with serving(directory) as urls, httpx.Client(base_url=f"{urls[-1]}/collections/c", timeout=30) as http:
        assert http.put("", json={"vectors": {"size": 1, "distance": "Dot"}}).status_code == 200
        points: list[Any] = [
            {"id": key, "vector": [1.0], "payload": {"t": value}} for key, value in VALUES.items()
        ]
        points.append({"id": 11, "vector": [1.0]})
        assert http.put("/points?wait=true", json={"points": points}).status_code == 200

        if index is not None:
            assert http.put("/index?wait=true", json=index).status_code == 200

        def ids(condition: Any) -> list[int]:
            answer = http.post("/points/scroll", json={"filter": {"must": [condition]}, "limit": 100})
            return [point["id"] for point in answer.json()["result"]["points"]]

        yield ids


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"text": "re"}, [1, 2, 4, 5, 6]),
        ({"text": "wine red"}, [4]),
        ({"text": "RED"}, []),
        ({"phrase": "d w"}, [2]),
        ({"text_any": "win zzz"}, [2, 4, 5]),
    ],
)
def test_text_without_a_text_index_is_a_substring(scroll: Any, match: Any, expected: list[int]) -> None:
    assert scroll({"key": "t", "match": match}) == expected


def test_a_phrase_is_all_its_tokens_where_an_index_has_no_positions(indexed: Any) -> None:
    assert indexed({"key": "t", "match": {"phrase": "RED wine"}}) == [2, 4]


def test_the_object_form_of_is_null_wants_the_value_itself_to_be_null(scroll: Any) -> None:
    assert scroll({"is_null": {"key": "t"}}) == [7]
    assert scroll({"key": "t", "is_null": True}) == [7, 8, 9]
