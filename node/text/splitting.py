"""The tokenizers: a text into words, by character classes or by the rules of its script.

``multilingual`` splits like ``word``, keeps the vowel signs of Indic scripts, takes accents off (so that
``naive`` finds ``naïve``), and parts the scripts that put no spaces between words by ICU's dictionaries.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

import regex
from icu4py.breakers import WordBreaker

# What Rust calls alphanumeric; Python's \w lacks the vowel signs that are letters to Unicode.
_WORD: Final = regex.compile(r"[\p{Alphabetic}\p{N}]+")
_ASCII_WORD: Final = re.compile(r"[0-9A-Za-z]+")
_WORD_WITH_MARKS: Final = regex.compile(r"[\p{Alphabetic}\p{N}\p{M}]+")
_UNSPACED: Final = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]", regex.VERSION1
)
# Not in Cyrillic, where й is no и.
_ACCENTS: Final = regex.compile(r"(?<=[\p{Latin}\p{Greek}\p{Hebrew}\p{Arabic}]\p{Mn}*)\p{Mn}")
_LIGATURES: Final = str.maketrans({"œ": "oe", "æ": "ae"})


def _multilingual(text: str) -> list[str]:
    if text.isascii():
        return _words(text.lower())
    decomposed = unicodedata.normalize("NFKD", text)
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", decomposed)).lower().translate(_LIGATURES)
    return [part for word in _WORD_WITH_MARKS.findall(plain) for part in _parts(word)]


def _parts(word: str) -> Iterator[str]:
    if _UNSPACED.search(word) is None:
        return iter((word,))
    # Of the root locale: its dictionaries cover all these scripts, whatever the language.
    return (part for part in WordBreaker(word, "und") if _WORD.search(part) is not None)


def _words(text: str) -> list[str]:
    words: list[str] = (_ASCII_WORD if text.isascii() else _WORD).findall(text)
    return words


TOKENIZERS: Final[dict[str, Callable[[str], list[str]]]] = {
    "word": _words,
    "prefix": _words,
    "whitespace": str.split,
    "multilingual": _multilingual,
}
