"""The edge: routing, envelope, errors, compression, CORS, limits."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import AsyncIterator

import brotli
import pytest
from structlog.testing import capture_logs

from router.rest.compression import COMPRESS_FROM_BYTES, THREAD_FROM_BYTES, negotiate, zstd
from tests.router.rest.conftest import Rest


async def test_success_is_wrapped_in_the_envelope(rest: Rest) -> None:
    answer = await rest.get("/collections")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json.keys() == {"result", "status", "time"}
    assert answer.json["status"] == "ok"
    assert 0 < answer.json["time"] < 1


async def test_an_error_carries_its_complete_text_and_no_result(rest: Rest) -> None:
    answer = await rest.get("/collections/nope")
    assert answer.status == 404
    assert answer.json.keys() == {"status", "time"}
    assert answer.error == "Not found: Collection `nope` doesn't exist!"


async def test_an_error_found_before_any_work_has_time_zero(rest: Rest) -> None:
    answer = await rest.put("/collections/c", {"vectors": {"size": 65537, "distance": "Dot"}})
    assert answer.status == 422
    assert answer.json["time"] == 0.0


async def test_an_unexpected_exception_is_a_service_error_logged_once(rest: Rest) -> None:
    with capture_logs() as logs:
        answer = await rest.get("/crash")
    assert answer.status == 500
    assert answer.error == "Service internal error: RuntimeError: boom"
    assert [entry["event"] for entry in logs] == ["request_crashed"]


async def test_an_unknown_path_is_an_empty_404(rest: Rest) -> None:
    answer = await rest.get("/locks")
    assert (answer.status, answer.body) == (404, b"")


async def test_a_wrong_method_is_405_without_envelope(rest: Rest) -> None:
    answer = await rest.call("PATCH", "/collections")
    assert (answer.status, answer.body) == (405, b"")
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("path", ["/collections/", "/collections//", "/collections"])
async def test_trailing_slashes_are_trimmed(rest: Rest, path: str) -> None:
    assert (await rest.get(path)).result == {"collections": []}


async def test_head_is_answered_like_get_without_a_body(rest: Rest) -> None:
    answer = await rest.call("HEAD", "/collections")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("name", ["with space", "schön", "a+b", "100%", "line\nbreak"])
async def test_names_in_paths_are_percent_decoded(rest: Rest, name: str) -> None:
    from urllib.parse import quote

    from yarl import URL

    path = URL(f"/collections/{quote(name, safe='')}", encoded=True)
    await rest.call("PUT", path, {"vectors": {"size": 2, "distance": "Dot"}})
    assert (await rest.get("/collections")).result == {"collections": [{"name": name}]}
    assert (await rest.call("GET", path / "exists")).result == {"exists": True}


async def test_an_encoded_slash_cannot_be_part_of_a_collection_name(rest: Rest) -> None:
    from yarl import URL

    answer = await rest.call("GET", URL("/collections/a%2Fb", encoded=True))
    assert answer.status == 422
    assert 'collection name cannot contain "/" char' in answer.error


# --- bodies in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/octet-stream"])
async def test_a_json_body_needs_its_content_type(rest: Rest, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await rest.call("POST", "/collections/c/points/scroll", data=b"{}", headers=headers)
    assert (answer.status, answer.error) == (400, "Content type error")


async def test_a_charset_parameter_and_json_suffixes_are_fine(rest: Rest) -> None:
    await rest.create()
    for content_type in ("application/json; charset=utf-8", "application/vnd.api+json"):
        headers = {"Content-Type": content_type}
        answer = await rest.call("POST", "/collections/c/points/count", data=b"{}", headers=headers)
        assert answer.result == {"count": 0}


async def test_get_and_delete_need_no_content_type(rest: Rest) -> None:
    assert (await rest.get("/collections")).status == 200
    assert (await rest.delete("/collections/c")).result is False


async def test_a_body_above_the_limit_is_refused_with_400(rest: Rest) -> None:
    headers = {"Content-Type": "application/json"}
    body = io.BytesIO(b" " * (1024 * 1024 + 1))
    answer = await rest.call("POST", "/collections/c/points/scroll", data=body, headers=headers)
    assert answer.status == 400
    assert "is too large" in answer.error


async def test_the_limit_holds_for_what_a_compressed_body_unpacks_to(rest: Rest) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    body = gzip.compress(b" " * (8 * 1024 * 1024))
    answer = await rest.call("POST", "/collections/c/points/scroll", data=body, headers=headers)
    assert answer.status == 400


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstd.compress),
    ],
)
async def test_compressed_bodies_are_decoded(rest: Rest, encoding: str, encode: object) -> None:
    await rest.create()
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    body = encode(json.dumps({"limit": 3}).encode())  # type: ignore[operator]
    answer = await rest.call("POST", "/collections/c/points/scroll", data=body, headers=headers)
    assert answer.result == {"points": [], "next_page_offset": None}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b'{"limit": "a"}', b"\xff\xfe", b"[" * 5000, b'{"limit":1} x']
)
async def test_a_body_that_is_not_the_json_expected_is_a_format_error(rest: Rest, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await rest.call("POST", "/collections/c/points/scroll", data=body, headers=headers)
    assert answer.status == 400
    assert answer.error.startswith("Format error in JSON body: ")


async def test_a_body_that_is_not_compressed_as_it_says_is_a_client_error(rest: Rest) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await rest.call("POST", "/collections/c/points/scroll", data=b"plain text", headers=headers)
    assert answer.status == 400
    assert answer.error == "Format error in JSON body: Can not decode content-encoding: gzip"


# --- compression ---------------------------------------------------------------------------------------

_DECODERS = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "br": brotli.decompress,
    "zstd": zstd.decompress,
}


@pytest.mark.parametrize("encoding", sorted(_DECODERS))
@pytest.mark.parametrize("size", [COMPRESS_FROM_BYTES, THREAD_FROM_BYTES])
async def test_large_answers_are_compressed_as_the_client_accepts(
    rest: Rest, encoding: str, size: int
) -> None:
    rest.client.session._auto_decompress = False
    answer = await rest.get(f"/large/{size}", headers={"Accept-Encoding": encoding})
    assert answer.headers["Content-Encoding"] == encoding
    assert int(answer.headers["Content-Length"]) == len(answer.body) < size
    assert _DECODERS[encoding](answer.body) == b"x" * size


async def test_small_answers_are_not_compressed(rest: Rest) -> None:
    answer = await rest.get(f"/large/{COMPRESS_FROM_BYTES - 1}", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
        ("identity", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("compress", None),
        ("gzip;q=0", None),
        ("gzip;q=nonsense", None),
        ("", None),
    ],
)
def test_the_encoding_follows_the_clients_weights(accepted: str, chosen: str | None) -> None:
    assert negotiate(accepted) == chosen


# --- CORS ----------------------------------------------------------------------------------------------


async def test_a_preflight_allows_any_origin_method_and_header(rest: Rest) -> None:
    headers = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "api-key, content-type",
    }
    answer = await rest.call("OPTIONS", "/collections/c", headers=headers)
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
    assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == "api-key, content-type"


@pytest.mark.parametrize("path", ["/collections", "/collections/nope", "/nowhere"])
async def test_every_answer_to_another_origin_allows_it(rest: Rest, path: str) -> None:
    answer = await rest.get(path, headers={"Origin": "https://example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://example.org"


async def test_answers_without_an_origin_carry_no_cors_headers(rest: Rest) -> None:
    assert "Access-Control-Allow-Origin" not in (await rest.get("/collections")).headers


async def test_a_client_that_waits_before_a_body_is_told_to_go_on(rest: Rest) -> None:
    response = await rest.client.post("/echo", data=b"x" * 10_000, expect100=True)
    assert (response.status, await response.text()) == (200, "10000")


async def test_an_expectation_that_is_not_known_fails(rest: Rest) -> None:
    assert (await rest.call("POST", "/echo", headers={"Expect": "tea"})).status == 417


async def test_a_body_that_comes_in_pieces_is_read_whole(rest: Rest) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"vectors": {"size": 2,'
        await rest.get("/collections")  # the server has seen the first of them by now
        yield b'"distance": "Dot"}}'

    headers = {"Content-Type": "application/json"}
    answer = await rest.client.put("/collections/pieces", data=pieces(), headers=headers)
    assert answer.status == 200
