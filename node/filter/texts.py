"""Full-text matches on fields with a text index (reference 10.2, 11), checked on decoded values.

May not live here: making tokens (``node.text``), the inverted index (``node.filter.columns``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from node.filter.predicates import OfValues
from node.text import analyzer_of
from protos.collections import TextIndexParams
from protos.filters import MatchText, TextMode


def of_values(predicate: MatchText, params: TextIndexParams) -> OfValues:
    """The predicate over the values at a path, arrays flattened. A query without tokens matches nothing."""
    analyzer = analyzer_of(params)
    query = analyzer.query(predicate.text)
    if not query:
        return lambda _: False
    wanted = frozenset(query)
    if predicate.mode is TextMode.TEXT_ANY:
        return lambda values: any(not wanted.isdisjoint(analyzer.document(text)) for text in _strings(values))
    if predicate.mode is TextMode.PHRASE and params.phrase_matching:
        return lambda values: any(_has_run(analyzer.document(text), query) for text in _strings(values))
    return lambda values: wanted.issubset(
        token for text in _strings(values) for token in analyzer.document(text)
    )


def _strings(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))


def _has_run(tokens: Sequence[str], wanted: Sequence[str]) -> bool:
    size = len(wanted)
    return any(tokens[at : at + size] == wanted for at in range(len(tokens) - size + 1))
