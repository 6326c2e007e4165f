"""Full-text matches on a field with a text index, as the payload check does them (reference 10.2, 11)."""

from __future__ import annotations

from typing import Any

import pytest

from node.filter.check import compile_check
from protos.collections import StopwordsSet, TextIndexParams
from protos.filters import decode_filter


def found(match: dict[str, str], value: Any, **params: Any) -> bool:
    condition = {"key": "k", "match": match}
    check = compile_check(decode_filter({"must": [condition]}), {"k": TextIndexParams(**params)})
    return check(1, {"k": value}, ())


@pytest.mark.parametrize(
    ("query", "value", "expected"),
    [
        ("red wine", "Wine, red and white", True),
        ("RED", "a red one", True),
        ("red", "redwine", False),
        ("red beer", "red wine", False),
        ("red wine", ["red", "old wine"], True),
        ("red", [["red"]], False),
        ("red", 5, False),
        ("", "red", False),
        ("?!", "red", False),
    ],
)
def test_text_wants_every_token_of_the_query(query: str, value: Any, expected: bool) -> None:
    assert found({"text": query}, value) is expected


def test_text_any_wants_one_token() -> None:
    assert found({"text_any": "beer WINE"}, "red wine")
    assert not found({"text_any": "beer win"}, "red wine")
    assert not found({"text_any": " "}, "red wine")


def test_a_phrase_is_a_run_of_tokens_within_one_element() -> None:
    assert found({"phrase": "red wine"}, "good Red, wine", phrase_matching=True)
    assert not found({"phrase": "red wine"}, "wine red", phrase_matching=True)
    assert not found({"phrase": "red wine"}, ["red", "wine"], phrase_matching=True)
    assert found({"phrase": "red wine"}, "wine red")


def test_case_and_accents_count_when_asked() -> None:
    assert not found({"text": "RED"}, "red", lowercase=False)
    assert found({"text": "cafe"}, "CAFÉ", ascii_folding=True)
    assert found({"text": "Café"}, "cafe", ascii_folding=True)
    assert not found({"text": "cafe"}, "café")
    assert found({"text": "жар"}, "ЖАР", ascii_folding=True)


def test_tokens_of_other_lengths_and_stopwords_are_dropped() -> None:
    assert found({"text": "a red winery"}, "red", min_token_len=2, max_token_len=4)
    assert not found({"text": "a"}, "a", min_token_len=2)
    stopwords = StopwordsSet(custom=("The",))
    assert found({"text": "the wine"}, "wine", stopwords=stopwords)
    assert not found({"text": "the"}, "the wine", stopwords=stopwords)


def test_whitespace_keeps_punctuation() -> None:
    assert found({"text": "c++"}, "I like C++ best", tokenizer="whitespace")
    assert not found({"text": "c"}, "C++", tokenizer="whitespace")


def test_prefixes_are_found_up_to_the_longest_token() -> None:
    prefix = {"tokenizer": "prefix", "min_token_len": 2, "max_token_len": 4}
    assert found({"text": "wi"}, "red wine", **prefix)
    assert found({"text": "winery"}, "red wine", **prefix)
    assert not found({"text": "w"}, "red wine", **prefix)
    assert not found({"text": "ine"}, "red wine", **prefix)


def test_conditions_inside_nested_use_the_index_of_the_whole_path() -> None:
    condition = {
        "must": [{"nested": {"key": "a", "filter": {"must": [{"key": "k", "match": {"text": "RED"}}]}}}]
    }
    check = compile_check(decode_filter(condition), {"a[].k": TextIndexParams()})
    assert check(1, {"a": [{"k": "red wine"}]}, ())
