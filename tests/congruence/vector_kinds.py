"""Every kind of vector: how a collection of all of them is made, points that have most of them, queries.

Numbers are such that every type holds them exactly (halves for float16, whole ones for uint8), since
qdrant-client's local mode knows float32 alone.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from msgspec import Struct
from qdrant_client import models

Json = dict[str, Any]
Vector = Any  # JSON: a list, a list of lists, {"indices", "values"}

SIZE = 8
DISTANCES = ("Cosine", "Euclid", "Dot", "Manhattan")
DATATYPES = ("float32", "float16", "uint8")
SHARE_PRESENT = 0.9
_TERMS, _TERMS_MAX = 80, 8


class Kind(Struct, frozen=True):
    """``shape``: dense, multi or sparse, whose ``datatype`` is that of the index; ``idf`` is of the last."""

    name: str
    shape: str = "dense"
    distance: str = "Dot"
    datatype: str = "float32"
    idf: bool = False


KINDS = {
    kind.name: kind
    for kind in [
        *(
            Kind(f"{distance.lower()}_{datatype}", "dense", distance, datatype)
            for distance in DISTANCES
            for datatype in DATATYPES
        ),
        *(Kind(f"multi_{distance.lower()}", "multi", distance) for distance in DISTANCES),
        *(Kind(f"multi_dot_{datatype}", "multi", "Dot", datatype) for datatype in ("float16", "uint8")),
        Kind("sparse", "sparse"),
        *(Kind(f"sparse_{datatype}", "sparse", datatype=datatype) for datatype in ("float16", "uint8")),
        Kind("sparse_idf", "sparse", idf=True),
    ]
}
# What a collection of ours may have so far; the judges are compared with each other on all of them.
SERVED = {name: kind for name, kind in KINDS.items() if not kind.idf}
LATER = {
    "later": Kind("later", "dense", "Euclid"),
    "more": Kind("more", "multi", "Cosine"),
    "small": Kind("small", "dense", "Dot", "uint8"),
    "words": Kind("words", "sparse"),
}


def make_points(ids: range, seed: int, kinds: dict[str, Kind]) -> list[Json]:
    rng = random.Random(seed)
    return [
        {
            "id": point,
            "vector": {
                kind.name: make_vector(kind, rng) for kind in kinds.values() if rng.random() < SHARE_PRESENT
            },
            "payload": {"n": rng.randint(0, 9)},
        }
        for point in ids
    ]


def make_vector(kind: Kind, rng: random.Random) -> Vector:
    if kind.shape == "sparse":
        # Few terms are in many points, as in texts.
        indices = sorted({int(_TERMS * rng.random() ** 2) for _ in range(rng.randint(1, _TERMS_MAX))})
        return {"indices": indices, "values": [round(rng.uniform(0.1, 2), 3) for _ in indices]}
    if kind.shape == "multi":
        return [_row(kind, rng) for _ in range(rng.randint(1, 4))]
    return _row(kind, rng)


def _row(kind: Kind, rng: random.Random) -> list[float]:
    if kind.datatype == "uint8":
        return [rng.randint(0, 255) for _ in range(SIZE)]
    row = np.array([rng.uniform(-1, 1) for _ in range(SIZE)], dtype=kind.datatype)
    return [float(value) for value in row]


def several_of(kind: Kind) -> models.MultiVectorConfig | None:
    several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    return several if kind.shape == "multi" else None


def dense_params(kind: Kind) -> models.VectorParams:
    return models.VectorParams(
        size=SIZE,
        distance=models.Distance(kind.distance),
        datatype=models.Datatype(kind.datatype),
        multivector_config=several_of(kind),
    )


def sparse_params(kind: Kind) -> models.SparseVectorParams:
    return models.SparseVectorParams(
        modifier=models.Modifier.IDF if kind.idf else None,
        index=models.SparseIndexParams(datatype=models.Datatype(kind.datatype)),
    )


def for_client(vector: Vector) -> Any:
    """As qdrant-client takes it."""
    return models.SparseVector(**vector) if isinstance(vector, dict) else vector


def plain(vector: Any) -> Vector:
    """As JSON, of what a client or an engine gave back."""
    if hasattr(vector, "indices"):
        return {"indices": list(vector.indices), "values": list(vector.values)}
    return vector
