"""ASCII folding: letters of the Latin script into their plain forms, everything else as it is."""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Final, Literal

# Letters whose Unicode name does not tell what they are written as.
_SPECIAL: Final = {
    "ß": "ss", "ẞ": "SS", "Þ": "TH", "þ": "th", "Ð": "D", "ð": "d", "ĸ": "q", "Ŋ": "N", "ŋ": "n", "ŉ": "n",
    "ə": "a", "Ɔ": "O", "ɔ": "o", "Ɛ": "E", "ɛ": "e", "Ȝ": "Z", "ȝ": "z", "Ƿ": "W", "ƿ": "w", "Ɩ": "I",
    "Ɖ": "D", "Ƕ": "HV", "Ʉ": "U", "ʉ": "u", "ɡ": "g", "ɵ": "o",
}  # fmt: skip
# "LATIN SMALL LETTER O WITH STROKE", "LATIN CAPITAL LIGATURE OE", "LATIN SMALL LETTER DOTLESS I"
_NAME: Final = re.compile(
    r"LATIN (CAPITAL|SMALL) (?:LETTER|LIGATURE) (?:REVERSED |TURNED |OPEN |DOTLESS |INSULAR |LONG )*"
    r"([A-Z]{1,2})(?: WITH .*| DIGRAPH)?"
)
_UNFOLDED: Final = {"Ə", "Ƣ", "ƣ", "ɩ", "ɹ", "ɺ", "ɻ"}


def folded(text: str) -> str:
    return text if text.isascii() else "".join(map(_folded, text))


@functools.lru_cache(2**13)
def _folded(character: str) -> str:
    if character.isascii() or not character.isalnum() or character in _UNFOLDED:
        return character
    special = _SPECIAL.get(character)
    if special is not None:
        return special
    if unicodedata.category(character) == "Lm":
        return character
    base = _base(character, "NFKD")
    if base.isascii():
        return base or character
    base = _base(character, "NFD")
    named = _NAME.fullmatch(unicodedata.name(base, "")) if len(base) == 1 else None
    if named is None:
        return character
    return named[2] if named[1] == "CAPITAL" else named[2].lower()


def _base(character: str, form: Literal["NFD", "NFKD"]) -> str:
    return "".join(part for part in unicodedata.normalize(form, character) if not unicodedata.combining(part))
