"""Tokens as the pipeline makes them, and the same ones as Qdrant's engine makes (reference 11)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.text import analyzer_of
from node.text.stopwords import stopwords_of
from protos.collections import (
    StemmerLanguage,
    StemmingAlgorithm,
    StopwordsLanguage,
    StopwordsSet,
    TextIndexParams,
)
from tests.node.text.judge import Judge, named


def tokens(text: str, **params: Any) -> list[str]:
    return analyzer_of(TextIndexParams(**params)).document(text)


def query(text: str, **params: Any) -> list[str]:
    return analyzer_of(TextIndexParams(**params)).query(text)


ENGLISH = {
    "stopwords": StopwordsLanguage.ENGLISH,
    "stemmer": StemmingAlgorithm("snowball", StemmerLanguage.ENGLISH),
}


def test_the_steps_come_in_the_documented_order() -> None:
    assert tokens("The QUICK foxes aren't", **ENGLISH) == ["quick", "fox"]
    assert tokens("Été", ascii_folding=True, stopwords=StopwordsSet(custom=("ete",))) == []
    assert tokens("Été", ascii_folding=True, stopwords=StopwordsSet(custom=("été",))) == ["ete"]
    assert tokens("running", max_token_len=3, stemmer=ENGLISH["stemmer"]) == ["run"], "length comes last"
    assert tokens("being", stemmer=ENGLISH["stemmer"], stopwords=StopwordsSet(custom=("be",))) == ["be"]


def test_case_of_stopwords_counts_only_where_case_counts() -> None:
    custom = StopwordsSet(custom=("The",))
    assert tokens("the The", stopwords=custom) == []
    assert tokens("the The", stopwords=custom, lowercase=False) == ["the"]


def test_a_word_is_letters_and_digits_of_any_script() -> None:
    assert tokens("foo_bar x-1 naïve ½ ①x", tokenizer="word") == ["foo", "bar", "x", "1", "naïve", "½", "①x"]
    assert tokens("c++ (C#)", tokenizer="whitespace") == ["c++", "(c#)"]


def test_prefixes_are_made_of_documents_and_the_longest_of_queries() -> None:
    params: dict[str, Any] = {"tokenizer": "prefix", "min_token_len": 2, "max_token_len": 4}
    assert tokens("x wine ab", **params) == ["wi", "win", "wine", "ab"]
    assert query("x winery ab", **params) == ["wine", "ab"]
    params["stopwords"] = StopwordsLanguage.ENGLISH
    assert (tokens("the", **params), query("the", **params)) == ([], ["the"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天天气很好，我们去公园", ["今天", "天气", "很好", "我们", "去", "公园"]),
        ("日本語を勉強します", ["日本語", "を", "勉強", "し", "ます"]),
        ("東京とEnglish", ["東京", "と", "english"]),
        ("ภาษาไทยไม่มีการเว้นวรรค", ["ภาษา", "ไทย", "ไม่มี", "การ", "เว้น", "วรรค"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("इस हिन्दी वाक्य", ["इस", "हिन्दी", "वाक्य"]),
        ("Привет, мой мир!", ["привет", "мой", "мир"]),
        ("Người Naïve ｆｕｌｌ can't", ["nguoi", "naive", "full", "can", "t"]),
    ],
)
def test_multilingual_parts_words_by_the_rules_of_their_script(text: str, expected: list[str]) -> None:
    assert tokens(text, tokenizer="multilingual", lowercase=False) == expected


def test_folding_writes_latin_letters_plainly_and_leaves_other_scripts() -> None:
    folded = tokens("Ærøskøbing Straße ŁÓDŹ ﬁn x² жар", ascii_folding=True, tokenizer="whitespace")
    assert folded == ["aeroskobing", "strasse", "lodz", "fin", "x2", "жар"]


def test_the_english_stopwords_are_the_classic_ones() -> None:
    assert len(stopwords_of(StopwordsLanguage.ENGLISH)) == 179
    assert {"the", "don't", "y"} <= stopwords_of(StopwordsLanguage.ENGLISH)


@pytest.mark.parametrize("language", list(StopwordsLanguage), ids=lambda language: language.value)
def test_stopwords_are_those_of_qdrants_engine(language: StopwordsLanguage) -> None:
    judge = Judge(languages=(language.value,))
    words = stopwords_of(language)
    assert len(words) > 50
    assert [word for word in words if judge.document(word)] == []


# Where a newer Snowball stems otherwise than the engine's: the share of words that may differ.
_NEWER = {StemmerLanguage.ROMANIAN: 0.08, StemmerLanguage.RUSSIAN: 0.04}
_WITHOUT_STOPWORDS = {
    StemmerLanguage.ARMENIAN: ["գրքեր", "գրքերի", "մարդիկ", "քաղաքում"],
    StemmerLanguage.TAMIL: ["புத்தகங்கள்", "மரங்கள்", "வீட்டில்"],
}


@pytest.mark.parametrize("language", list(StemmerLanguage), ids=lambda language: language.value)
def test_stems_are_those_of_qdrants_engine(language: StemmerLanguage) -> None:
    judge = Judge(stemmer=language.value)
    analyzer = analyzer_of(
        TextIndexParams(tokenizer="whitespace", stemmer=StemmingAlgorithm("snowball", language))
    )
    words = _WITHOUT_STOPWORDS.get(language) or sorted(stopwords_of(StopwordsLanguage(language.value)))
    differing = [word for word in words if judge.document(word) != named(analyzer.document(word))]
    assert len(differing) <= _NEWER.get(language, 0.02) * len(words), differing
    assert any(analyzer.document(word) != [word.lower()] for word in words), "nothing was stemmed"


words = st.sampled_from(
    ["The", "quick", "Brown", "foxes", "can't", "jump_over", "32", "dogs", "naïve", "CAFÉ", "ŒUVRE", "Straße",
     "x²", "Привет", "ΚΕΊΜΕΝΟ", "हिन्दी", "c++", "they're"]
)  # fmt: skip
lengths = st.sampled_from([None, 2, 3, 5])


@given(
    texts=st.lists(st.lists(words, max_size=4).map(" ".join), min_size=1, max_size=4),
    tokenizer=st.sampled_from(["word", "whitespace", "prefix"]),
    languages=st.sampled_from([(), ("english",), ("german", "french")]),
    custom=st.sampled_from([(), ("Brown", "naïve")]),
    stemmer=st.sampled_from([None, "english", "french"]),
    options=st.fixed_dictionaries(
        {
            "min_token_len": lengths,
            "max_token_len": lengths,
            "lowercase": st.sampled_from([None, True, False]),
            "ascii_folding": st.sampled_from([None, True]),
        }
    ),
)
@settings(max_examples=60, deadline=None)
def test_tokens_are_those_of_qdrants_engine(
    texts: list[str],
    tokenizer: Any,
    languages: tuple[str, ...],
    custom: tuple[str, ...],
    stemmer: str | None,
    options: dict[str, Any],
) -> None:
    judge = Judge(tokenizer, languages=languages, custom=custom, stemmer=stemmer, **options)
    analyzer = analyzer_of(
        TextIndexParams(
            tokenizer=tokenizer,
            stopwords=StopwordsSet(tuple(map(StopwordsLanguage, languages)), custom),
            stemmer=None if stemmer is None else StemmingAlgorithm("snowball", StemmerLanguage(stemmer)),
            **options,
        )
    )
    for text in texts:
        assert named(analyzer.document(text)) == judge.document(text)
        assert named(analyzer.query(text)) == judge.query(text)
