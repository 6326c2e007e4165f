"""Stopwords by language, one list a file, one word a line.

The lists are those of NLTK's stopwords corpus (from Snowball and from its contributors), as they were when
the English one had its classic 179 words; Japanese is that of stopwords-iso (MIT). Entries of several words,
which no token can equal, are left out.
"""

from __future__ import annotations

import functools
from importlib import resources

from protos.collections import StopwordsLanguage


@functools.cache
def stopwords_of(language: StopwordsLanguage) -> frozenset[str]:
    text = resources.files(__package__).joinpath(f"{language.value}.txt").read_text(encoding="utf-8")
    return frozenset(text.splitlines())
