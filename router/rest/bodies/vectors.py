"""Vectors in bodies: what is checked of each before the collection is known (reference 1.3, 12, 18.5)."""

from __future__ import annotations

from typing import Any

from protos.errors import InvalidField
from router.rest.bodies.schemas import AnyVectorBody
from router.vectors import MultiValues, SparseValues, VectorValues

MULTIVECTOR_MAX = 1_048_576  # numbers in one multivector must be fewer


def is_sparse(value: Any) -> bool:
    return isinstance(value, dict) and "indices" in value and "values" in value


def check_vector(value: AnyVectorBody | VectorValues, path: str) -> None:
    """Raises: InvalidField."""
    if isinstance(value, SparseValues):
        _check_sparse(value, path)
    elif not value:
        raise InvalidField(path, "dense vector must not be empty")
    elif isinstance(value[0], list):
        _check_multi(value, path)  # type: ignore[arg-type]


def _check_sparse(value: SparseValues, path: str) -> None:
    if len(value.indices) != len(value.values):
        text = "Validation error: must be the same length as indices [{}]"
        raise InvalidField(f"{path}.values", text)
    if len(set(value.indices)) != len(value.indices):
        raise InvalidField(f"{path}.indices", "Validation error: must be unique [{}]")


def _check_multi(value: MultiValues, path: str) -> None:
    """Numbers among the lists are left to the packing of vectors, which refuses them."""
    lengths = [len(row) for row in value if isinstance(row, list)]
    total = sum(lengths)
    if 0 in lengths:
        raise InvalidField(f"{path}.data", "all vectors must be non-empty")
    if total >= MULTIVECTOR_MAX:
        text = f"Total size of all vectors ({total}) must be less than {MULTIVECTOR_MAX}"
        raise InvalidField(f"{path}.data", text)
    for length in lengths:
        if length != lengths[0]:
            text = f"all vectors must have the same dimension, found vector with dimension {length}"
            raise InvalidField(f"{path}.data", text)
