"""Vectors of every kind: strategies, changes that carry them, and what plain numpy says of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from node.index import turbo
from node.index.distances import normalize
from protos.collections import (
    CollectionConfig,
    CollectionParams,
    Datatype,
    Distance,
    MultiVectorConfig,
    OptimizersConfig,
    SparseVectorParams,
    VectorParams,
    encode_vector_params,
)
from protos.examples import BestScore, Context, Discovery, Examples, Pair, WeightedSum
from protos.operations import VectorBatch
from protos.rewriting import batch_of
from protos.shard import AnyVector, FloatArray, SparseVector

DIM = 3

SEVERAL = MultiVectorConfig("max_sim")
PARAMS: dict[str, VectorParams] = {
    "": VectorParams(DIM, Distance.DOT),
    "several": VectorParams(DIM, Distance.EUCLID, multivector_config=SEVERAL),
    "pages": VectorParams(DIM, Distance.COSINE, multivector_config=SEVERAL),
    "halves": VectorParams(DIM, Distance.COSINE, datatype=Datatype.FLOAT16),
    "bytes": VectorParams(DIM, Distance.COSINE, datatype=Datatype.UINT8),
    "small": VectorParams(DIM, Distance.EUCLID, datatype=Datatype.UINT8, multivector_config=SEVERAL),
    "coded": VectorParams(DIM, Distance.COSINE, datatype=Datatype.TURBO4),
    "turned": VectorParams(DIM, Distance.EUCLID, datatype=Datatype.TURBO4, multivector_config=SEVERAL),
}
SPARSE: dict[str, SparseVectorParams] = {"words": SparseVectorParams()}
CONFIG = CollectionConfig(
    params=CollectionParams(PARAMS, sparse_vectors=SPARSE),
    optimizer_config=OptimizersConfig(max_optimization_threads=0),
)


def words(pairs: Mapping[int, float]) -> SparseVector:
    """A sparse vector from what is at which index."""
    indices = sorted(pairs)
    values = [pairs[index] for index in indices]
    return SparseVector(np.array(indices, dtype=np.uint32), np.array(values, dtype=np.float32))


numbers = st.integers(-8, 8).map(lambda number: number * 1.5)
dense = st.lists(numbers, min_size=DIM, max_size=DIM).map(lambda row: np.array(row, dtype=np.float32))
# Indices that share their low bits are told apart only by all of them.
indices = st.sampled_from([0, 1, 5, 65_536, 65_541, 2**32 - 1])
sparse = st.dictionaries(indices, numbers, max_size=4).map(words)
multi = st.lists(dense, min_size=1, max_size=3).map(np.stack)
VECTORS: dict[str, st.SearchStrategy[AnyVector]] = {
    **{name: dense if params.multivector_config is None else multi for name, params in PARAMS.items()},
    "words": sparse,
}


def examples_of(name: str) -> st.SearchStrategy[Examples]:
    """Any scoring by examples of one vector name.

    Of ``turbo4`` only what rounding changes a little: what asks which of two is nearer may turn over where
    both are equally far, as turned vectors have other last bits.
    """
    vector = VECTORS[name]
    some = st.lists(vector, min_size=1, max_size=3).map(tuple)
    few = st.lists(vector, max_size=2).map(tuple)
    pairs = st.lists(st.builds(Pair, vector, vector), max_size=3).map(tuple)
    weighted = some.flatmap(
        lambda vectors: st.builds(
            WeightedSum, st.just(vectors), st.tuples(*(st.sampled_from((-1.0, 0.5, 1.0)) for _ in vectors))
        )
    )
    smooth = st.one_of(
        st.builds(BestScore, some, st.just(())),
        st.builds(BestScore, st.just(()), some),
        weighted,
        st.builds(Context, pairs),
    )
    if name in PARAMS and PARAMS[name].datatype is Datatype.TURBO4:
        return smooth
    return st.one_of(smooth, st.builds(BestScore, some, few), st.builds(Discovery, vector, pairs))


named = st.fixed_dictionaries({}, optional=VECTORS)
Named = dict[str, AnyVector]


def batches(points: Sequence[Mapping[str, AnyVector]]) -> tuple[VectorBatch, ...]:
    """The vectors of an operation on ``points``, each given by what it has."""
    found = []
    for name in sorted({name for point in points for name in point}):
        rows = [place for place, point in enumerate(points) if name in point]
        owners = b"" if len(rows) == len(points) else np.array(rows, dtype="<u4").tobytes()
        found.append(batch_of(name, [points[row][name] for row in rows], owners))
    return tuple(found)


def stored(name: str, vector: AnyVector) -> AnyVector:
    """What a reader sees of a vector that was written."""
    if isinstance(vector, SparseVector):
        return vector
    params = PARAMS[name]
    if params.datatype is Datatype.TURBO4:
        written = turbo.encode(np.atleast_2d(asked(name, vector)))
        return turbo.decode(written, DIM).reshape(vector.shape)
    return asked(name, vector)


def asked(name: str, vector: FloatArray) -> FloatArray:
    """What is compared of a vector to search by."""
    params = PARAMS[name]
    if params.datatype is Datatype.UINT8:
        return np.clip(np.trunc(vector), 0, 255)
    if params.distance is Distance.COSINE:
        vector = normalize(np.atleast_2d(vector)).reshape(vector.shape)
    if params.datatype is Datatype.FLOAT16:
        vector = vector.astype(np.float16).astype(np.float32)
    return vector


def score(name: str, query: AnyVector, vector: AnyVector) -> float | None:
    """The client's score of a vector as it is stored; None: no result."""
    if isinstance(query, SparseVector):
        assert isinstance(vector, SparseVector)
        weights = dict(zip(query.indices.tolist(), query.values.tolist(), strict=True))
        shared = [
            value * weights[index]
            for index, value in zip(vector.indices.tolist(), vector.values.tolist(), strict=True)
            if index in weights
        ]
        return sum(shared) if shared else None
    assert not isinstance(vector, SparseVector), name
    return _max_sim(PARAMS[name], np.atleast_2d(asked(name, query)), np.atleast_2d(vector))


def similarity(name: str, example: AnyVector, vector: AnyVector) -> float:
    """The internal one, by which examples are compared: larger is better; 0 if no index is shared."""
    found = score(name, example, vector)
    if found is None:
        return 0.0
    return -(found**2) if name in PARAMS and PARAMS[name].distance is Distance.EUCLID else found


def _max_sim(params: VectorParams, query: FloatArray, vector: FloatArray) -> float:
    """Both (n, DIM). Of one row each it is the plain score."""
    if params.distance is Distance.COSINE and params.datatype is Datatype.UINT8:
        query, vector = normalize(query), normalize(vector)
    if params.distance is Distance.EUCLID:
        table = -np.square(query[:, np.newaxis] - vector).sum(axis=2)
    else:
        table = query @ vector.T
    found = float(table.max(axis=1).sum())
    return math.sqrt(-found) if params.distance is Distance.EUCLID else found


def plain(vectors: Mapping[str, AnyVector]) -> dict[str, Any]:
    """A form that can be compared."""
    return {
        name: (vector.indices.tolist(), vector.values.tolist())
        if isinstance(vector, SparseVector)
        else vector.tolist()
        for name, vector in vectors.items()
    }


def descending(name: str) -> bool:
    """Is the larger score the better one?"""
    return name not in PARAMS or PARAMS[name].distance in (Distance.DOT, Distance.COSINE)


def encoded_params(name: str) -> bytes:
    return encode_vector_params(PARAMS[name] if name in PARAMS else SPARSE[name])


def plain_stored(vectors: Mapping[str, AnyVector]) -> dict[str, Any]:
    return plain({name: stored(name, vector) for name, vector in vectors.items()})


def examples(count: int) -> list[Named]:
    """Points with any subset of vectors, always the same ones."""
    rng = np.random.default_rng(5)

    def vector(name: str) -> AnyVector:
        if name in SPARSE:
            chosen = rng.choice(100, rng.integers(0, 6), replace=False).tolist()
            return words({index: float(rng.integers(-8, 8)) for index in chosen})
        shape = DIM if PARAMS[name].multivector_config is None else (rng.integers(1, 4), DIM)
        return rng.integers(-8, 8, shape).astype(np.float32)

    names = sorted(VECTORS)
    return [{name: vector(name) for name in names if rng.random() < 0.7} for _ in range(count)]
