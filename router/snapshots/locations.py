"""Where a snapshot that is to be recovered lies, from the text that says so (reference 13.3)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from protos.errors import BadInput, BadRequest, Forbidden
from router.snapshots.naming import check_name

_HERE = ("", "localhost")


class StoredName(Struct, frozen=True):
    """A snapshot of the same collection or shard, by its bare name."""

    name: str


class LocalFile(Struct, frozen=True):
    path: Path


class RemoteUrl(Struct, frozen=True):
    url: str


Location = StoredName | LocalFile | RemoteUrl


def parse_location(text: str, *, shard: bool) -> Location:
    """``shard``: as a shard's recovery words what it refuses. Raises: BadInput, BadRequest, NotFound."""
    try:
        parts = urlsplit(text)
        scheme = parts.scheme.lower()
        _ = parts.port
    except ValueError as error:
        raise BadInput(f"Invalid snapshot location {text!r}: {error}") from error
    if not scheme:
        check_name(text)
        return StoredName(text)
    if scheme == "file":
        return LocalFile(_path_of(parts))
    if scheme in ("http", "https"):
        if not parts.hostname:
            raise BadInput(f"Invalid snapshot location {text!r}: it names no host")
        return RemoteUrl(text)
    if shard:
        raise BadRequest(f"Invalid snapshot URL {text}: URLs with {scheme} scheme are not supported")
    raise BadRequest(f"URL {text} with scheme {scheme} is not supported")


def _path_of(parts: SplitResult) -> Path:
    path = unquote(parts.path)
    if parts.netloc not in _HERE or not path.startswith("/") or "\0" in path:
        raise BadRequest("Invalid snapshot URI, file path must be absolute or on localhost")
    return Path(path)


def checked_file(path: Path, root: Path) -> Path:
    """The file itself, behind links. Blocking. Raises: BadRequest, Forbidden."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise BadRequest(f'Snapshot file "{path}" does not exist') from error
    if not real.is_relative_to(root.resolve()):
        raise Forbidden(f"Snapshot file path must be inside the snapshots directory {root}")
    if not real.is_file():
        raise BadRequest(f'Snapshot file "{path}" does not exist')
    return real
