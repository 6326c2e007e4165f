"""The codes of graphs take in what is searched by, not only what is stored."""

from __future__ import annotations

import numpy as np
import pytest

from node.index import Code, Quantization, choose_encoding, set_threads
from node.index.quantization import Kind
from node.segments import VectorSchema
from node.segments.building.graph_codes import choose_codes
from node.segments.encoding import compared, encoded, originals
from protos.collections import Datatype, Distance
from protos.shard import FloatArray

DIM = 128


def gaussian(rows: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(rows, DIM)).astype(np.float32)


@pytest.mark.parametrize("datatype", [Datatype.FLOAT32, Datatype.TURBO4])
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
def test_few_queries_are_beyond_the_range_of_integers(distance: Distance, datatype: Datatype) -> None:
    """Rows of turbo4 end at 2.7 deviations, beyond which every other query has a component."""
    set_threads(1)
    schema = VectorSchema("", DIM, distance, datatype=datatype)
    matrix = originals(encoded(gaussian(2000, 0), schema), schema)
    codes = choose_codes(schema, matrix, None, None).stored
    assert codes.code is Code.INTEGER_8BIT
    queries = compared(gaussian(300, 1), schema)
    levels = (queries - codes.low) / codes.step
    lost = np.square(levels - np.clip(levels, 0, 255)).sum(axis=1)
    assert (
        np.mean(lost > DIM / 6) < 0.03
    )  # twice what rounding takes from a code; then they are compared as floats


def test_a_range_that_was_asked_for_is_that_range() -> None:
    set_threads(1)
    schema = VectorSchema("", DIM, Distance.COSINE, datatype=Datatype.TURBO4)
    matrix = originals(encoded(gaussian(2000, 0), schema), schema)
    asked = Quantization(Kind.SCALAR, quantile=0.9)
    stored = choose_codes(schema, matrix, None, asked).stored
    assert stored == choose_encoding(Distance.COSINE, matrix, None, asked)
