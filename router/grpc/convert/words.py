"""Enums: the wire's numbers, and the API's words for the same in JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from protos.qdrant.pool import PUBLIC_POOL
from router.grpc.errors import Unconvertible

K = TypeVar("K", bound=int)
T = TypeVar("T")

# Words that are not the value's name in snake case; None: a value that stands for nothing.
_NAMED_ALIKE: Final = ("qdrant.Distance", "qdrant.ReplicaState")  # the words are the names
_OTHERWISE: Final[Mapping[str, Mapping[str, str | None]]] = {
    "qdrant.Memory": {"MemoryUnknown": None},
    "qdrant.Datatype": {"Default": "float32"},
    "qdrant.Distance": {"UnknownDistance": None},
    "qdrant.CollectionStatus": {"UnknownCollectionStatus": None},
    "qdrant.PayloadSchemaType": {"UnknownType": None},
    "qdrant.QuantizationType": {"UnknownQuantization": None},
    "qdrant.TokenizerType": {"Unknown": None},
    "qdrant.BinaryQuantizationQueryEncoding.Setting": {
        "Scalar4Bits": "scalar4bits",
        "Scalar8Bits": "scalar8bits",
    },
}
_COMPLAINTS: Final = {
    "qdrant.TokenizerType": "unknown tokenizer type",
    "qdrant.QuantizationType": "Unknown quantization type",
}


def _words_of(enum: str) -> dict[int, str]:
    words: dict[int, str] = {}
    otherwise = _OTHERWISE.get(enum, {})
    for value in PUBLIC_POOL.FindEnumTypeByName(enum).values:
        name = value.name.removeprefix("FieldType")
        found = otherwise.get(value.name, name if enum in _NAMED_ALIKE else _snake(name))
        if found is not None:
            words[value.number] = found
    return words


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


_WORDS: dict[str, dict[int, str]] = {}
_NUMBERS: dict[str, dict[str, int]] = {}


def words(enum: str) -> Mapping[int, str]:
    """Of the enum with this full name, by number."""
    found = _WORDS.get(enum)
    if found is None:
        found = _WORDS[enum] = _words_of(enum)
    return found


def word(enum: str, number: int) -> str:
    """Raises: Unconvertible for a number that stands for nothing."""
    found = words(enum).get(number)
    if found is None:
        raise Unconvertible(_COMPLAINTS.get(enum) or f"unknown {enum.removeprefix('qdrant.')}: {number}")
    return found


def number(enum: str, wanted: str) -> int:
    """The number of a word that the API has."""
    numbers = _NUMBERS.get(enum)
    if numbers is None:
        numbers = _NUMBERS[enum] = {each: value for value, each in words(enum).items()}
    return numbers[wanted]


def known(table: Mapping[K, T], wanted: K, what: str) -> T:
    """Clients may send numbers that no value has. Raises: Unconvertible."""
    found = table.get(wanted)
    if found is None:
        raise Unconvertible(f"unknown {what}: {wanted}")
    return found
