"""BM25 as sparse vectors: a number per word, by the words' counts in one text (reference 16.3).

What needs all texts, how rare a word is, is not in it: the collection's ``idf`` modifier adds that when it is
searched. Implements ``router.inference.objects.LocalModel``.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import mmh3
import msgspec
from msgspec import Meta, Struct

from node.text.analyzer import Analyzer, analyzer_of
from protos.collections import (
    StemmerLanguage,
    StemmingAlgorithm,
    StopwordsLanguage,
    StopwordsSet,
    TextIndexParams,
)
from protos.structs import learn

Sparse = tuple[list[int], list[float]]
Length = Annotated[int, Meta(ge=0)] | None


class Bm25Options(Struct, frozen=True):
    """``language`` chooses stopwords and stemmer where those are not given; one that is unknown, neither."""

    k: Annotated[float, Meta(ge=0)] = 1.2
    b: Annotated[float, Meta(ge=0, le=1)] = 0.75
    avg_len: Annotated[float, Meta(gt=0)] = 256.0
    tokenizer: Literal["prefix", "whitespace", "word", "multilingual"] = "word"
    language: str | None = None
    lowercase: bool | None = None
    ascii_folding: bool | None = None
    stopwords: StopwordsLanguage | StopwordsSet | None = None
    stemmer: StemmingAlgorithm | None = None
    min_token_len: Length = None
    max_token_len: Length = None


class Bm25:
    """Stateless; safe in any thread."""

    def embed(self, text: str, options: Mapping[str, Any], *, searching: bool) -> Sparse:
        """Indices, ascending, and values. Raises: ValueError: the options are wrong."""
        given = msgspec.convert(options, Bm25Options)
        analyzer = analyzer_of(_params(given))
        return _query(analyzer, text) if searching else _document(analyzer, text, given)


def index_of(token: str) -> int:
    """The number of a word, for all collections the same; two words may share one."""
    return abs(mmh3.hash(token, 0, signed=True))


def _document(analyzer: Analyzer, text: str, options: Bm25Options) -> Sparse:
    tokens = analyzer.document(text)
    k, b = options.k, options.b
    norm = k * (1 - b + b * len(tokens) / options.avg_len)
    weights = {index_of(token): count * (k + 1) / (count + norm) for token, count in Counter(tokens).items()}
    return _ascending(weights)


def _query(analyzer: Analyzer, text: str) -> Sparse:
    return _ascending({index_of(token): 1.0 for token in analyzer.query(text)})


def _ascending(weights: Mapping[int, float]) -> Sparse:
    indices = sorted(weights)
    return indices, [weights[index] for index in indices]


@functools.lru_cache(maxsize=64)
def _params(options: Bm25Options) -> TextIndexParams:
    language = options.language or "english"
    stopwords, stemmer = options.stopwords, options.stemmer
    if stopwords is None:
        stopwords = _named(StopwordsLanguage, language)
    if stemmer is None and (stemming := _named(StemmerLanguage, language)) is not None:
        stemmer = StemmingAlgorithm("snowball", stemming)
    return TextIndexParams(
        tokenizer=options.tokenizer,
        min_token_len=options.min_token_len,
        max_token_len=options.max_token_len,
        lowercase=options.lowercase,
        ascii_folding=options.ascii_folding,
        stopwords=stopwords,
        stemmer=stemmer,
    )


def _named(kind: Any, language: str) -> Any:
    """None: there is none of that name."""
    try:
        return kind(language.lower())
    except ValueError:
        return None


learn(Bm25Options)
