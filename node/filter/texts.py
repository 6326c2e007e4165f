"""Full-text matches on fields with a text index (reference 10.2, 11): tokens, and what a query asks of them.

Lives here: the token pipeline (folding, lower case, stopwords, length) and the check of decoded values.
Not here yet: stemming, the stopwords of languages, word boundaries of scripts without spaces, an inverted
index; such settings are accepted and change nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from node.filter.predicates import OfValues
from protos.collections import StopwordsSet, TextIndexParams
from protos.filters import MatchText, TextMode

_WORD = re.compile(r"[^\W_]+")


def of_values(predicate: MatchText, params: TextIndexParams) -> OfValues:
    """The predicate over the values at a path, arrays flattened. A query without tokens matches nothing."""
    analyzer = _Analyzer(params)
    query = tuple(analyzer.query(predicate.text))
    if not query:
        return lambda _: False
    wanted = frozenset(query)
    if predicate.mode is TextMode.TEXT_ANY:
        return lambda values: any(not wanted.isdisjoint(analyzer.document(text)) for text in _strings(values))
    if predicate.mode is TextMode.PHRASE and params.phrase_matching:
        return lambda values: any(
            _has_run(tuple(analyzer.document(text)), query) for text in _strings(values)
        )
    return lambda values: wanted.issubset(
        token for text in _strings(values) for token in analyzer.document(text)
    )


def _strings(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _has_run(tokens: Sequence[str], wanted: Sequence[str]) -> bool:
    size = len(wanted)
    return any(tokens[at : at + size] == wanted for at in range(len(tokens) - size + 1))


class _Analyzer:
    def __init__(self, params: TextIndexParams) -> None:
        self._split: Callable[[str], list[str]] = (
            str.split if params.tokenizer == "whitespace" else _WORD.findall
        )
        self._by_prefix = params.tokenizer == "prefix"
        self._shortest = params.min_token_len or 1
        self._longest = params.max_token_len
        self._lowercase = params.lowercase is not False
        self._folding = bool(params.ascii_folding)
        custom = params.stopwords.custom if isinstance(params.stopwords, StopwordsSet) else None
        self._stopwords = frozenset(word.lower() if self._lowercase else word for word in custom or ())

    def document(self, text: str) -> Iterator[str]:
        """The tokens a stored text is found by, in order."""
        tokens = (token for token in self._normalised(text) if token not in self._stopwords)
        if self._by_prefix:
            return (prefix for token in tokens for prefix in self._prefixes(token))
        return (token for token in tokens if self._fits(token))

    def query(self, text: str) -> Iterator[str]:
        """What a stored text must have; under ``prefix`` the longest prefix of each word."""
        tokens = self._normalised(text)
        if self._by_prefix:
            return (token[: self._longest] for token in tokens if len(token) >= self._shortest)
        return (token for token in tokens if token not in self._stopwords and self._fits(token))

    def _normalised(self, text: str) -> list[str]:
        if self._folding:
            text = "".join(map(_folded, text))
        tokens = self._split(text)
        return [token.lower() for token in tokens] if self._lowercase else tokens

    def _fits(self, token: str) -> bool:
        return self._shortest <= len(token) and (self._longest is None or len(token) <= self._longest)

    def _prefixes(self, token: str) -> Iterator[str]:
        longest = len(token) if self._longest is None else min(len(token), self._longest)
        return (token[:length] for length in range(self._shortest, longest + 1))


def _folded(character: str) -> str:
    """Its ASCII base letters, or itself if it has none."""
    decomposed = unicodedata.normalize("NFKD", character)
    base = "".join(part for part in decomposed if not unicodedata.combining(part))
    return base if base.isascii() and base else character
