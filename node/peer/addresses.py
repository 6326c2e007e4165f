"""Peer URIs, and the book of where peers are.

The book is a hint, never an authority: who is a peer says the cluster state. It is kept on disk since a
restarted member must reach the others before Raft can tell it where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from consensus.raft.files import OsFiles
from protos.errors import BadInput

_FILE = "peers.json"


def address_of(uri: str) -> str:
    """``host:port`` of a peer's URI, IPv6 hosts in brackets. Raises: BadInput."""
    parts = urlsplit(uri if "://" in uri else f"http://{uri}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput(f"{uri!r} is not the URI of a peer: {error}") from error
    if not host or port is None or parts.scheme not in ("http", "https"):
        raise BadInput(f"{uri!r} is not the URI of a peer: http://<host>:<port> is expected")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def normal_uri(uri: str) -> str:
    """The form in which URIs are kept and compared (reference 14.2). Raises: BadInput."""
    scheme = "https" if uri.startswith("https://") else "http"
    return f"{scheme}://{address_of(uri)}/"


class AddressBook:
    """Peer id → URI. What the cluster state says replaces what peers said of themselves."""

    def __init__(self, directory: Path) -> None:
        self._files = OsFiles(directory)
        self._uris = _read(self._files)

    def uri(self, peer_id: int) -> str | None:
        return self._uris.get(peer_id)

    def learn(self, uris: Mapping[int, str]) -> None:
        """Raises: OSError."""
        merged = {**self._uris, **{peer: uri for peer, uri in uris.items() if uri}}
        if merged != self._uris:
            self._uris = merged
            self._files.replace(_FILE, msgspec.json.encode(merged))


def _read(files: OsFiles) -> dict[int, str]:
    data = files.read(_FILE)
    if data is None:
        return {}
    try:
        return msgspec.json.decode(data, type=dict[int, str])
    except msgspec.MsgspecError:
        return {}  # only a hint
