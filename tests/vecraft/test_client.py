"""The command line's client, against a server that answers what it is told to."""

from __future__ import annotations

import io
import json
import ssl
from pathlib import Path

import pytest
import trustme
from msgspec import Struct

from tests.ports import free_port
from tests.vecraft.commands.server import Answer, Asked, serving
from vecraft.client import BadAnswer, Client, ClientError, Endpoint, Refused, Unreachable, path_of


class Point(Struct):
    id: int


def test_the_result_is_decoded_and_parts_of_a_path_are_escaped() -> None:
    with serving(lambda _: Answer(result={"id": 3, "more": []})) as server:
        client = Client(Endpoint(url=server.url + "/", api_key="secret"))
        found = client.call("POST", path_of("collections", "a b/c"), Point, {"x": 1}, wait=True, gone=None)
        client.close()
    assert found == Point(3)
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/collections/a%20b%2Fc?wait=true")
    assert asked.headers["api-key"] == "secret"
    assert asked.headers["Content-Type"] == "application/json"
    assert json.loads(asked.body) == {"x": 1}


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (Answer(404, "Not found: it"), Refused, "Not found: it (HTTP 404)"),
        (Answer(401, raw=b"Invalid API key or JWT\n"), Refused, "Invalid API key or JWT (HTTP 401)"),
        (Answer(500, raw=b""), Refused, "refused without a reason (HTTP 500)"),
        (Answer(404, raw=b""), Refused, "the server has no GET /; it may be of another version (HTTP 404)"),
        (Answer(302, raw=b"", headers={"Location": "/x"}), Refused, "HTTP 302"),
        (Answer(raw=b"<html>"), BadAnswer, "did not answer as expected"),
        (Answer(result="text"), BadAnswer, "did not answer as expected"),
    ],
)
def test_what_is_no_good_answer_is_told_in_one_line(
    answer: Answer, error: type[ClientError], text: str
) -> None:
    with serving(lambda _: answer) as server, pytest.raises(error) as raised:
        Client(Endpoint(url=server.url)).get("/", bool)
    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nobody_at_the_url_is_told_in_one_line() -> None:
    with pytest.raises(Unreachable, match="connection refused") as raised:
        Client(Endpoint(url=f"http://127.0.0.1:{free_port()}")).get("/", bool)
    assert "object at" not in str(raised.value)


@pytest.mark.parametrize("url", ["localhost:6333", "ftp://a", "http://", "http://[::", "http://a:b"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="no URL of a server"):
        Client(Endpoint(url=url)).get("/", bool)


@pytest.mark.parametrize("status", [429, 503, 408])
def test_a_request_that_may_be_repeated_is_repeated_when_the_server_says(status: int) -> None:
    answers = [Answer(status, "later", {"Retry-After": "0"}), Answer(status, "later", {"Retry-After": "0"})]

    def answer(_: Asked) -> Answer:
        return answers.pop() if answers else Answer()

    with serving(answer) as server, Client(Endpoint(url=server.url), tries=3) as client:
        assert client.call("PUT", "/", bool, {}) is True
    assert len(server.asked) == 3


def test_others_are_not_repeated_and_patience_ends() -> None:
    with serving(lambda _: Answer(429, "later", {"Retry-After": "0"})) as server:
        for tries in (1, 2):
            with (
                Client(Endpoint(url=server.url), tries=tries) as client,
                pytest.raises(Refused, match="later"),
            ):
                client.call("PUT", "/", bool, {})
    assert len(server.asked) == 3


def test_a_server_is_believed_who_it_is_by_the_certificates_that_are_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serving(lambda _: Answer(), tls=context) as server:
        assert Client(Endpoint(url=server.url, ca_cert=tmp_path / "ca.pem")).get("/", bool)
        assert Client(Endpoint(url=server.url, verify=False)).get("/", bool)
        with pytest.raises(Unreachable, match="certificate verify failed"):
            Client(Endpoint(url=server.url)).get("/", bool)


def test_a_file_is_uploaded_as_one_field_and_downloaded_in_parts() -> None:
    content = bytes(range(256)) * 10_000

    with (
        serving(lambda asked: Answer(raw=content) if asked.method == "GET" else Answer()) as server,
        Client(Endpoint(url=server.url)) as client,
    ):
        assert client.upload("/up", io.BytesIO(content), len(content), name="a.snapshot", wait=True)
        with client.download("/down") as (parts, length):
            assert b"".join(parts) == content
            assert length == len(content)
    body = server.asked[0].body
    assert b'name="snapshot"; filename="a.snapshot"' in body
    assert body.count(content) == 1
