"""The token pipeline: split, fold, lower case, stopwords, stem, length (reference 11).

Invariant: a token of a query is found exactly in the documents whose tokens hold it; both come from the same
steps, but for the ``prefix`` tokenizer, whose documents have every prefix of a word and whose queries one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Final

import Stemmer

from node.text import splitting
from node.text.folding import folded
from node.text.stopwords import stopwords_of
from protos.collections import StemmerLanguage, StopwordsLanguage, StopwordsSet, TextIndexParams

_REMEMBERED: Final = 2**15  # words whose token is kept: most of what a language's texts are made of

# Snowball's "dutch" has become another algorithm; the one Qdrant has lives on under this name.
_ALGORITHMS: Final = {StemmerLanguage.DUTCH: "dutch_porter"}


@functools.lru_cache(maxsize=64)
def analyzer_of(params: TextIndexParams) -> Analyzer:
    """The analyzer of an index; shared, safe in any thread."""
    return Analyzer(params)


class Analyzer:
    def __init__(self, params: TextIndexParams) -> None:
        self._split = splitting.TOKENIZERS[params.tokenizer or "word"]
        self._by_prefix = params.tokenizer == "prefix"
        self._shortest = params.min_token_len or 0
        self._longest = params.max_token_len
        self._lowercase = params.lowercase is not False
        self._folding = bool(params.ascii_folding)
        self._stopwords = _stopwords(params, lowercase=self._lowercase)
        self._stem = _stemming(params)
        self._token = functools.lru_cache(_REMEMBERED)(self._without_stopwords)
        self._query_token = functools.lru_cache(_REMEMBERED)(self._normalised)

    def document(self, text: str) -> list[str]:
        """The tokens a stored text is found by, in order, repeated as they occur."""
        tokens = [token for token in map(self._token, self._split(text)) if token is not None]
        if self._by_prefix:
            return [prefix for token in tokens for prefix in self._prefixes(token)]
        return tokens

    def query(self, text: str) -> list[str]:
        """What a stored text must have; under ``prefix`` the longest prefix of each word, stopwords too."""
        if not self._by_prefix:
            return self.document(text)
        tokens = map(self._query_token, self._split(text))
        return [token[: self._longest] for token in tokens if token is not None]

    def _without_stopwords(self, word: str) -> str | None:
        return self._normalised(word, self._stopwords)

    def _normalised(self, word: str, stopwords: frozenset[str] = frozenset()) -> str | None:
        """None: no token."""
        if self._folding:
            word = folded(word)
        if self._lowercase:
            word = word.lower()
        if word in stopwords:
            return None
        if self._stem is not None:
            word = self._stem(word)
        if len(word) < self._shortest:
            return None
        if self._longest is not None and len(word) > self._longest and not self._by_prefix:
            return None
        return word or None

    def _prefixes(self, token: str) -> Iterator[str]:
        longest = len(token) if self._longest is None else min(len(token), self._longest)
        return (token[:length] for length in range(max(self._shortest, 1), longest + 1))


def _stopwords(params: TextIndexParams, *, lowercase: bool) -> frozenset[str]:
    given = params.stopwords
    if given is None:
        return frozenset()
    if isinstance(given, StopwordsLanguage):
        given = StopwordsSet(languages=(given,))
    words = frozenset(given.custom or ()).union(*map(stopwords_of, given.languages or ()))
    return frozenset(word.lower() for word in words) if lowercase else words


def _stemming(params: TextIndexParams) -> Callable[[str], str] | None:
    chosen = params.stemmer
    if chosen is None or chosen.type == "none" or chosen.language is None:
        return None
    stemmer = Stemmer.Stemmer(_ALGORITHMS.get(chosen.language, chosen.language.value))
    stemmer.maxCacheSize = 0  # its cache is not safe in threads; tokens are remembered here
    stem: Callable[[str], str] = stemmer.stemWord
    return stem
