"""Qdrant's engine as a judge of tokens: its BM25 names each token of a text by a hash."""

from __future__ import annotations

from typing import Any

import qdrant_edge as edge

_TOKENIZERS = {
    "word": edge.TokenizerType.Word,
    "whitespace": edge.TokenizerType.Whitespace,
    "prefix": edge.TokenizerType.Prefix,
}


class Judge:
    def __init__(
        self,
        tokenizer: str = "whitespace",
        *,
        languages: tuple[str, ...] = (),
        custom: tuple[str, ...] = (),
        stemmer: str | None = None,
        **options: Any,
    ) -> None:
        named = {getattr(edge.Language, language.title()) for language in languages}
        stemming = edge.DisabledStemmer()
        if stemmer is not None:
            stemming = edge.SnowballParams(language=getattr(edge.SnowballLanguage, stemmer.title()))
        config = edge.Bm25Config(
            tokenizer=_TOKENIZERS[tokenizer],
            stopwords=edge.StopwordsSet(languages=named, custom=set(custom)),
            stemmer=stemming,
            **options,
        )
        self._model = edge.Bm25(config)

    def document(self, text: str) -> set[int]:
        return set(self._model.embed_document(text).indices)

    def query(self, text: str) -> set[int]:
        return set(self._model.embed_query(text).indices)


def named(tokens: list[str]) -> set[int]:
    """The names the judge gives these tokens."""
    return {abs(_signed(_murmur3(token.encode()))) for token in tokens}


def _signed(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value


def _murmur3(data: bytes) -> int:
    """MurmurHash3, x86, 32 bits, seed 0."""
    state, whole = 0, len(data) // 4 * 4
    for at in range(0, whole, 4):
        state ^= _scrambled(int.from_bytes(data[at : at + 4], "little"))
        state = (_rotated(state, 13) * 5 + 0xE6546B64) % 2**32
    if whole < len(data):
        state ^= _scrambled(int.from_bytes(data[whole:], "little"))
    state ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state = (state ^ state >> shift) * factor % 2**32
    return state ^ state >> 16


def _scrambled(block: int) -> int:
    return _rotated(block * 0xCC9E2D51 % 2**32, 15) * 0x1B873593 % 2**32


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) % 2**32
