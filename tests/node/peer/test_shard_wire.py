"""Every request to a shard and every answer comes back from its bytes as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.peer import shard_wire as wire
from node.peer.shard_wire import Asked, Method
from protos.examples import BestScore, Context, Discovery, Pair, WeightedSum
from protos.facets import FacetHit, FacetRequest
from protos.filters import FieldCondition, Filter, HasId, MatchAny, MatchValue, Range
from protos.idf import Frequencies, FrequencyRequest
from protos.operations import UpdateResult, UpdateStatus, Upsert, VectorBatch, WriteOrdering
from protos.shard import (
    Hits,
    Position,
    Projection,
    ReadSession,
    Record,
    ScrollRequest,
    SearchRequest,
    SparseVector,
    UpdateRequest,
)
from tests.node.peer import shard_strategies as any_

REQUESTS: list[tuple[Method[Any, Any], st.SearchStrategy[Any]]] = [
    (wire.UPDATE, any_.updates),
    (wire.SEARCH, st.lists(any_.searches, max_size=2)),
    (wire.QUERY_STAGED, st.lists(any_.staged, max_size=2)),
    (wire.SCROLL, any_.scrolls),
    (wire.RETRIEVE, st.builds(wire.Retrieve, any_.id_lists, any_.projections)),
    (wire.COUNT, st.builds(wire.Count, any_.filters, st.booleans())),
    (wire.FACET, st.builds(FacetRequest, any_.paths, st.none() | st.integers(1, 99), any_.filters)),
    (wire.INFO, st.none()),
    (
        wire.FREQUENCIES,
        st.lists(
            st.builds(
                FrequencyRequest, st.text(max_size=5), st.lists(st.integers(0, 2**32 - 1)), any_.weighings
            ),
            max_size=3,
        ),
    ),
    (wire.SETTLE_SCHEMA, st.integers(0, 2**63)),
]
RESULTS: list[tuple[Method[Any, Any], st.SearchStrategy[Any]]] = [
    (wire.UPDATE, any_.update_results),
    (wire.SEARCH, st.lists(any_.hits, max_size=2)),
    (wire.QUERY_STAGED, st.lists(any_.hits, max_size=2)),
    (wire.SCROLL, st.lists(any_.records, max_size=3)),
    (wire.RETRIEVE, st.lists(any_.records, max_size=3)),
    (wire.COUNT, st.integers(0, 2**63)),
    (wire.FACET, st.lists(st.builds(FacetHit, any_.facet_values, st.integers(1, 9)), max_size=3)),
    (
        wire.FREQUENCIES,
        st.lists(st.builds(Frequencies, st.integers(0, 2**63), st.lists(st.integers(0, 2**63))), max_size=3),
    ),
    (wire.INFO, any_.infos),
    (wire.SETTLE_SCHEMA, any_.update_results),
]


@pytest.mark.parametrize(("method", "requests"), REQUESTS, ids=lambda value: getattr(value, "name", ""))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_request_comes_back_as_it_was(
    method: Method[Any, Any], requests: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    request, session = data.draw(requests), data.draw(any_.sessions)
    asked = method.decode_request(method.encode_request("u", 3, session, request))
    assert any_.plain(asked) == any_.plain(Asked("u", 3, session.strong, session.at_least, request))


@pytest.mark.parametrize(("method", "results"), RESULTS, ids=lambda value: getattr(value, "name", ""))
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_an_answer_comes_back_as_it_was(
    method: Method[Any, Any], results: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    result, position = data.draw(results), data.draw(any_.positions)
    answered = method.decode_answer(method.encode_answer(position, result))
    assert any_.plain(answered.result) == any_.plain(result)
    assert answered.position == position


def test_values_of_numpy_become_plain_ones() -> None:
    record = Record(id=np.uint64(2**63), version=np.int64(1), order_value=np.float64(0.5))  # type: ignore[arg-type]
    answered = wire.SCROLL.decode_answer(wire.SCROLL.encode_answer(None, [record]))
    assert any_.plain(answered.result) == any_.plain([Record(2**63, 1, order_value=0.5)])


def test_an_array_may_be_a_view_and_comes_back_writable_and_aligned() -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    for view in (matrix[:, 1], matrix[::2], np.array(7, dtype=np.float32)):
        record = Record(1, 1, vectors={"": view})
        [back] = wire.SCROLL.decode_answer(wire.SCROLL.encode_answer(None, [record])).result
        assert back.vectors is not None
        found = back.vectors[""]
        np.testing.assert_array_equal(found, view)
        assert found.shape == view.shape
        assert found.flags.writeable
        assert found.flags.aligned


# --- format 1 stays readable: these bytes are never made anew -------------------------------------

UPDATE_BYTES = (
    b"\x01\x95\xa2u1\x02\xc2\xc0\x85\xa6change\x86\xa4type\xa6Upsert\xa3ids\x92\x07\xd9$0b5a7e5e-6c1b-4"
    b"f0e-9a53-0d2a4f8f0a11\xa7vectors\x91\x94\xa1v\x01\xc4\x04\x00\x00\x80?\xc4\x04\x01\x00\x00\x00"
    b'\xa8payloads\x92\xc4\x02{}\xc4\x07{"a":1}\xa4mode\xa6upsert\xa9condition\x85\xa4type\xa6Filter'
    b"\xa4must\x91\x83\xa4type\xaeFieldCondition\xa3key\xa1a\xa6any_of\x92\x82\xa4type\xa8MatchAny\xa6v"
    b"alues\x92\x01\x02\x85\xa4type\xa5Range\xa2lt\x03\xa2gt\xc0\xa3lte\xc0\xa3gte\xcb?\xe0\x00\x00\x00"
    b"\x00\x00\x00\xa6should\xc0\xa8must_not\xc0\xaamin_should\xc0\xa4wait\xc3\xa8ordering\xa6strong"
    b"\xaatimeout_ms\xcd\x01\xf4\xacoperation_id\xc4\x02\x01\x02"
)
SEARCH_BYTES = (
    b"\x01\x95\xa2u1\x02\xc3\x82\xa4term\x03\xa3seq\t\x91\x87\xa5using\xa0\xa6vector\xc7\r\x01\x01\x02"
    b"\x00\x00\x00\x00\x00\x80?\x00\x00\x00@\xa5limit\n\xa6filter\x85\xa4type\xa6Filter\xa4must\xc0\xa6"
    b"should\xc0\xa8must_not\x91\x82\xa4type\xa5HasId\xa3ids\x91\x01\xaamin_should\xc0\xa6params\x83"
    b"\xa7hnsw_ef\xc0\xa5exact\xc2\xacindexed_only\xc2\xafscore_threshold\xcb?\xd0\x00\x00\x00\x00\x00"
    b"\x00\xaaprojection\x82\xa7payload\xc2\xa7vectors\xc2"
)
RATED_BYTES = (
    b"\x01\x95\xa2u1\x02\xc2\xc0\x94\x84\xa5using\xa0\xa6vector\xc0\xa5limit\x03\xa8examples\x83\xa4type"
    b"\xaabest_score\xa8positive\x91\xc7\r\x01\x01\x02\x00\x00\x00\x00\x00\x80?\x00\x00\x00@\xa8negative"
    b"\x91\xc7\r\x01\x01\x02\x00\x00\x00\x00\x00@@\x00\x00\x80@\x84\xa5using\xa0\xa6vector\xc0\xa5limit"
    b"\x03\xa8examples\x83\xa4type\xacweighted_sum\xa7vectors\x91\xc7\r\x01\x01\x02\x00\x00\x00\x00\x00"
    b"\x80?\x00\x00\x00@\xa7weights\x91\xcb\xbf\xe0\x00\x00\x00\x00\x00\x00\x84\xa5using\xa1w\xa6vector"
    b"\xc0\xa5limit\x03\xa8examples\x83\xa4type\xa9discovery\xa6target\xd7\x02\x03\x00\x00\x00\x00\x00\x80"
    b"?\xa7context\x91\x82\xa8positive\xd7\x02\x03\x00\x00\x00\x00\x00\x80?\xa8negative\xd7\x02\x03\x00"
    b"\x00\x00\x00\x00\x80?\x84\xa5using\xa0\xa6vector\xc0\xa5limit\x03\xa8examples\x82\xa4type\xa7context"
    b"\xa7context\x91\x82\xa8positive\xc7\r\x01\x01\x02\x00\x00\x00\x00\x00\x80?\x00\x00\x00@\xa8negative"
    b"\xc7\r\x01\x01\x02\x00\x00\x00\x00\x00@@\x00\x00\x80@"
)
SCROLL_BYTES = (
    b"\x01\x95\xa2u1\x02\xc2\xc0\x86\xa5limit\x05\xa6offset\x03\xa6filter\x85\xa4type\xa6Filter\xa4must"
    b"\xc0\xa6should\x91\x83\xa4type\xaeFieldCondition\xa3key\xa1k\xa6any_of\x91\x82\xa4type\xaaMatchVa"
    b"lue\xa5value\xa1x\xa8must_not\xc0\xaamin_should\xc0\xa8order_by\xc0\xaaprojection\x82\xa7payl"
    b"oad\xc3\xa7vectors\xc2\xabsample_seed\xc0"
)
HITS_BYTES = (
    b"\x01\x92\x82\xa4term\x03\xa3seq\t\x91\x82\xa7records\x91\x85\xa2id\x01\xa7version\x04\xa7payload"
    b'\xc4\x07{"a":1}\xa7vectors\x81\xa0\xc7\t\x01\x01\x01\x00\x00\x00\x00\x00\x00?\xaborder_value\xcb?'
    b"\xf8\x00\x00\x00\x00\x00\x00\xa6scores\xc7\t\x01\x01\x01\x00\x00\x00\x00\x00@?"
)
RESULT_BYTES = b"\x01\x92\xc0\x82\xa6status\xa9completed\xacoperation_id\x0c"

UPDATE = UpdateRequest(
    Upsert(
        ids=[7, "0b5a7e5e-6c1b-4f0e-9a53-0d2a4f8f0a11"],
        vectors=(VectorBatch("v", 1, b"\x00\x00\x80\x3f", b"\x01\x00\x00\x00"),),
        payloads=[b"{}", b'{"a":1}'],
        condition=Filter(must=(FieldCondition("a", (MatchAny((1, 2)), Range(gte=0.5, lt=3))),)),
    ),
    wait=True,
    ordering=WriteOrdering.STRONG,
    timeout_ms=500,
    operation_id=b"\x01\x02",
)
SEARCH = [
    SearchRequest(
        "",
        np.array([1, 2], dtype=np.float32),
        10,
        filter=Filter(must_not=(HasId((1,)),)),
        score_threshold=0.25,
    )
]
ROW, OTHER = np.array([1, 2], dtype=np.float32), np.array([3, 4], dtype=np.float32)
WORD = SparseVector(np.array([3], dtype=np.uint32), np.array([1], dtype=np.float32))
RATED = [
    SearchRequest("", None, 3, examples=BestScore((ROW,), (OTHER,))),
    SearchRequest("", None, 3, examples=WeightedSum((ROW,), (-0.5,))),
    SearchRequest("w", None, 3, examples=Discovery(WORD, (Pair(WORD, WORD),))),
    SearchRequest("", None, 3, examples=Context((Pair(ROW, OTHER),))),
]
SCROLL = ScrollRequest(
    5, offset=3, filter=Filter(should=(FieldCondition("k", (MatchValue("x"),)),)), projection=Projection(True)
)
HITS = [
    Hits(
        [Record(1, 4, b'{"a":1}', {"": np.array([0.5], dtype=np.float32)}, 1.5)],
        np.array([0.75], dtype=np.float32),
    )
]


def test_requests_of_format_1_are_read() -> None:
    weak = ReadSession()
    strong = ReadSession(strong=True, at_least=Position(3, 9))
    cases: list[tuple[Method[Any, Any], bytes, ReadSession, object]] = [
        (wire.UPDATE, UPDATE_BYTES, weak, UPDATE),
        (wire.SEARCH, SEARCH_BYTES, strong, SEARCH),
        (wire.SEARCH, RATED_BYTES, weak, RATED),
        (wire.SCROLL, SCROLL_BYTES, weak, SCROLL),
    ]
    for method, data, session, request in cases:
        expected = Asked("u1", 2, session.strong, session.at_least, request)
        assert any_.plain(method.decode_request(data)) == any_.plain(expected)


def test_answers_of_format_1_are_read() -> None:
    hits = wire.SEARCH.decode_answer(HITS_BYTES)
    assert hits.position == Position(3, 9)
    assert any_.plain(hits.result) == any_.plain(HITS)
    assert wire.UPDATE.decode_answer(RESULT_BYTES).result == UpdateResult(UpdateStatus.COMPLETED, 12)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x02" + UPDATE_BYTES[1:], UPDATE_BYTES[:-1], b"\x01\x93\xa1u\x00\xc2", SCROLL_BYTES],
    ids=["empty", "another format", "cut short", "too few fields", "another method"],
)
def test_what_is_no_request_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match="shard call"):
        wire.UPDATE.decode_request(data)


@pytest.mark.parametrize(
    "extension",
    [b"\xd4\x05\x00", b"\xc7\x01\x01\x09", b"\xc7\x07\x01\x01\x02\x00\x00\x00\x00\x00", b"\x01"],
    ids=["an unknown code", "too many dimensions", "too few numbers", "no extension"],
)
def test_what_is_no_array_is_told(extension: bytes) -> None:
    end = HITS_BYTES.index(b"\xa6scores") + len(b"\xa6scores")
    with pytest.raises(ValueError, match="shard call"):
        wire.SEARCH.decode_answer(HITS_BYTES[:end] + extension)
