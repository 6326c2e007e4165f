"""Parts of requests that tests through the server do not see."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from protos.errors import MalformedBody
from protos.shard import Record
from router.auth.access import FULL
from router.queries.requests import ReadOptions
from router.replicas.consistency import Consistency
from router.rest.admission import ACCESS
from router.rest.bodies.selectors import decode_shard_keys
from router.rest.encode import encode_records
from router.rest.params import read_options
from router.shards import KeyWithFallback


@pytest.mark.parametrize("path", ["/", "/?consistency=majority"])
def test_a_header_pins_reads_to_replicas(path: str) -> None:
    request = make_mocked_request("GET", path, headers={"x-qdrant-route-affinity": "tenant 7"})
    request[ACCESS] = FULL
    assert read_options(request).affinity == b"tenant 7"
    empty = make_mocked_request("GET", path, headers={"x-qdrant-route-affinity": ""})
    empty[ACCESS] = FULL
    consistency = Consistency.MAJORITY if "majority" in path else None
    assert read_options(empty) == ReadOptions(consistency=consistency)


@pytest.mark.parametrize(
    ("value", "selector"),
    [
        (None, None),
        ("a", ("a",)),
        (0, (0,)),
        (["a", 2**64 - 1], ("a", 2**64 - 1)),
        ({"target": "a", "fallback": 7}, KeyWithFallback("a", 7)),
    ],
)
def test_shard_keys_come_alone_in_lists_or_with_a_fallback(value: Any, selector: Any) -> None:
    assert decode_shard_keys(value) == selector


@pytest.mark.parametrize(
    "value", [True, 1.5, -1, 2**64, [[]], [None], {}, {"target": "a"}, {"target": "a", "fallback": None}]
)
def test_what_is_no_shard_key_is_refused(value: Any) -> None:
    with pytest.raises(MalformedBody):
        decode_shard_keys(value)


def test_points_show_their_shard_key_only_if_they_have_one() -> None:
    shown = encode_records([Record(1, 0, shard_key="a"), Record(2, 0)], bare=False)
    assert shown[0].shard_key == "a"
    assert type(shown[1].shard_key).__name__ == "UnsetType"
