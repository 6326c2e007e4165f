"""BM25 on the server: the reference's numbers (16.3), and those of Qdrant's engine for texts and options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import qdrant_edge as edge
from hypothesis import given, settings
from hypothesis import strategies as st

from node.text.bm25 import Bm25, index_of

WORDS = [
    *("the", "running", "foxes", "run", "quickly", "Über", "straße", "naïve", "café", "北京大学"),
    *("don't", "hello2world", "Hello", "HELLO", "x", "ı", "ß"),
]
# Without what makes ae, oe and ue: newer Snowball takes them for umlauts in German, the engine does not.
LETTERS = "beirst éÉ-_.7"
texts = st.lists(st.sampled_from(WORDS) | st.text(LETTERS, max_size=6), max_size=12).map(" ".join)
TOKENIZERS = {
    "word": edge.TokenizerType.Word,
    "whitespace": edge.TokenizerType.Whitespace,
    "prefix": edge.TokenizerType.Prefix,
}
options = st.fixed_dictionaries(
    {},
    optional={
        "k": st.sampled_from([0, 0.5, 1.2, 3]),
        "b": st.sampled_from([0, 0.3, 1]),
        "avg_len": st.sampled_from([1, 5.5, 256]),
        "tokenizer": st.sampled_from(list(TOKENIZERS)),
        "language": st.sampled_from(["english", "german", "french", "russian", "de", "fr"]),
        "lowercase": st.booleans(),
        "ascii_folding": st.booleans(),
        "stemmer": st.just({"type": "none"}),
        "stopwords": st.just({"languages": ["german"], "custom": ["foxes"]}),
        "min_token_len": st.integers(1, 4),
        "max_token_len": st.integers(3, 8),
    },
)


def comparable(chosen: dict[str, Any]) -> dict[str, Any]:
    """Stemmers are made for lower case: of other words versions of Snowball differ."""
    return chosen if chosen.get("lowercase", True) else {**chosen, "stemmer": {"type": "none"}}


def document(text: str, **chosen: Any) -> dict[int, float]:
    indices, values = Bm25().embed(text, chosen, searching=False)
    assert indices == sorted(indices)
    return dict(zip(indices, values, strict=True))


@pytest.mark.parametrize(
    ("token", "index"),
    [
        ("hello", 613153351),
        ("world", 74040069),
        ("quick", 771291085),
        ("fox", 1621867415),
        ("a", 1009084850),
    ],
)
def test_words_have_the_numbers_that_clients_give_them(token: str, index: int) -> None:
    assert index_of(token) == index


def test_weights_are_those_of_the_reference() -> None:
    found = document("alpha beta beta gamma delta")
    assert found[index_of("alpha")] == pytest.approx(1.669730, abs=1e-6)
    assert found[index_of("beta")] == pytest.approx(1.898534, abs=1e-6)


def test_a_query_weighs_each_word_once() -> None:
    indices, values = Bm25().embed("hello world hello", {}, searching=True)
    assert (indices, values) == ([74040069, 613153351], [1.0, 1.0])


def test_a_text_without_words_is_an_empty_vector() -> None:
    for text in ("", "?!", "the and of"):
        for searching in (True, False):
            assert Bm25().embed(text, {}, searching=searching) == ([], [])


def test_an_unknown_language_has_neither_stopwords_nor_stemmer() -> None:
    assert document("the foxes", language="none").keys() == {index_of("the"), index_of("foxes")}


@pytest.mark.parametrize(
    "wrong",
    [{"k": -1}, {"b": 1.5}, {"avg_len": 0}, {"tokenizer": "bytes"}, {"stopwords": "klingon"}, {"k": "x"}],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Bm25().embed("hello", wrong, searching=True)


@settings(max_examples=300, deadline=None)
@given(text=texts, chosen=options.map(comparable))
def test_vectors_are_those_of_the_engine(text: str, chosen: dict[str, Any]) -> None:
    judge = edge.Bm25(engine_config(chosen))
    for searching, judged in ((True, judge.embed_query(text)), (False, judge.embed_document(text))):
        indices, values = Bm25().embed(text, chosen, searching=searching)
        expected = dict(zip(judged.indices, judged.values, strict=True))
        assert indices == sorted(expected)
        np.testing.assert_allclose(values, [expected[index] for index in indices], rtol=1e-6)


def engine_config(chosen: dict[str, Any]) -> edge.Bm25Config:
    config = dict(chosen)
    if "tokenizer" in config:
        config["tokenizer"] = TOKENIZERS[config["tokenizer"]]
    if "stemmer" in config:
        config["stemmer"] = edge.DisabledStemmer()
    if "stopwords" in config:
        config["stopwords"] = edge.StopwordsSet({edge.Language.German}, set(config["stopwords"]["custom"]))
    return edge.Bm25Config(**config)
