"""Vectors that are read straight into arrays are those that the decoders of whole bodies find."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from protos.errors import VecraftError
from protos.vectors import FLOAT32_MAX
from router.queries.requests import NearestVector, QueryRequest
from router.rest.bodies import queries, schemas
from router.rest.bodies.numbers import float32_list

_numbers = st.floats(-FLOAT32_MAX, FLOAT32_MAX) | st.integers(-(2**63), 2**64 - 1)
_anything = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@given(st.lists(_numbers, min_size=1))
def test_a_list_of_numbers_is_read_to_the_nearest_float32(values: list[float]) -> None:
    found = float32_list(Raw(msgspec.json.encode(values)))
    assert found is not None
    assert found.dtype == np.float32
    assert found.tolist() == np.array(values, dtype=np.float64).astype(np.float32).tolist()


@pytest.mark.parametrize("value", [FLOAT32_MAX, -FLOAT32_MAX])
@pytest.mark.parametrize("count", [1, 2, 5000])
def test_the_largest_numbers_are_float32_however_many_there_are(value: float, count: int) -> None:
    found = float32_list(Raw(msgspec.json.encode([value] * count)))
    assert found is not None
    assert found.tolist() == [value] * count
    beyond = [value] * (count - 1) + [value * 1.001]
    assert float32_list(Raw(msgspec.json.encode(beyond))) is None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "[[1, 2]]",
        "[1, [2]]",
        "[1, null]",
        '["1"]',
        "[1e39]",
        "[-1e400]",
        "[1,",
        "3",
        "null",
        "{}",
        '"["',
    ],
)
def test_what_is_no_list_of_float32_numbers_is_left_to_others(text: str) -> None:
    assert float32_list(Raw(text.encode())) is None


@given(_anything)
def test_any_query_is_what_the_decoder_of_whole_bodies_makes_of_it(query: Any) -> None:
    body = msgspec.json.encode({"query": query, "limit": 3, "params": {"hnsw_ef": 8}})
    whole = msgspec.json.Decoder(schemas.QueryBody)
    assert _outcome(lambda: queries.decode_query(body)) == _outcome(
        lambda: queries.query_request(queries.decode(body, whole), "internal")
    )


@given(st.lists(_anything, max_size=2), _anything)
def test_any_vector_of_an_old_client_is_what_the_decoder_of_whole_bodies_makes_of_it(
    others: list[Any], vector: Any
) -> None:
    searches = [{"vector": each, "limit": 3} for each in ([1.5, 2.5], *others, vector)]
    body = msgspec.json.encode({"searches": searches})
    whole = msgspec.json.Decoder(schemas.SearchBatchBody)

    def decoded() -> list[QueryRequest]:
        bodies = queries.decode(body, whole).searches
        return [queries.search_request(each, f"searches[{place}].") for place, each in enumerate(bodies)]

    assert _outcome(lambda: queries.decode_search_batch(body)) == _outcome(decoded)


def _outcome(decode: Any) -> Any:
    """What came of it, in a form that compares: arrays as the float32 numbers that they hold."""
    try:
        found = decode()
    except VecraftError as error:
        return type(error), str(error)
    return [_comparable(each) for each in (found if isinstance(found, list) else [found])]


def _comparable(request: QueryRequest) -> Any:
    query = request.query
    if isinstance(query, NearestVector) and isinstance(query.vector, list | np.ndarray):
        with np.errstate(over="ignore"):
            flat = [
                np.float32(each).tobytes() if not isinstance(each, list) else each for each in query.vector
            ]
        return request.limit, request.params, flat
    return request
