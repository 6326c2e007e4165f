"""Peer URIs, and the book of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.peer.addresses import AddressBook, address_of, normal_uri
from node.peer.registrar import guessed_uri
from protos.errors import BadInput


@pytest.mark.parametrize(
    ("uri", "address", "normal"),
    [
        ("http://host:6335", "host:6335", "http://host:6335/"),
        ("http://host:6335/", "host:6335", "http://host:6335/"),
        ("host:6335", "host:6335", "http://host:6335/"),
        ("https://h.example:1/", "h.example:1", "https://h.example:1/"),
        ("http://[::1]:6335", "[::1]:6335", "http://[::1]:6335/"),
    ],
)
def test_a_uri_has_one_normal_form(uri: str, address: str, normal: str) -> None:
    assert address_of(uri) == address
    assert normal_uri(uri) == normal == normal_uri(normal)


@pytest.mark.parametrize("uri", ["", "http://host", "ftp://host:1", "http://host:99999", "http://:6335"])
def test_what_is_no_uri_of_a_peer_is_bad_input(uri: str) -> None:
    with pytest.raises(BadInput, match="is not the URI of a peer"):
        address_of(uri)


@pytest.mark.parametrize(
    ("source", "uri"),
    [("ipv4:127.0.0.1:5678", "http://127.0.0.1:6335"), ("ipv6:%5B::1%5D:5678", "http://[::1]:6335")],
)
def test_a_uri_is_guessed_from_where_a_call_came(source: str, uri: str) -> None:
    assert guessed_uri(source, 6335) == uri


def test_the_book_is_kept_and_takes_corrections(tmp_path: Path) -> None:
    book = AddressBook(tmp_path)
    book.learn({1: "http://a:1/", 2: "http://b:1/"})
    book.learn({2: "http://c:1/", 1: ""})
    again = AddressBook(tmp_path)
    assert (again.uri(1), again.uri(2), again.uri(3)) == ("http://a:1/", "http://c:1/", None)


def test_a_damaged_book_is_an_empty_one(tmp_path: Path) -> None:
    AddressBook(tmp_path).learn({1: "http://a:1/"})
    (tmp_path / "peers.json").write_bytes(b"{")
    assert AddressBook(tmp_path).uri(1) is None
