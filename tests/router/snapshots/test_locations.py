"""Where a snapshot may be recovered from, and the texts of reference 13.3 where it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from protos.errors import BadInput, BadRequest, Forbidden, NotFound, VecraftError
from router.snapshots.locations import LocalFile, RemoteUrl, StoredName, checked_file, parse_location


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("c-1.snapshot", StoredName("c-1.snapshot")),
        ("file:///a/b.snapshot", LocalFile(Path("/a/b.snapshot"))),
        ("file://localhost/a%20b.snapshot", LocalFile(Path("/a b.snapshot"))),
        ("https://host/x?y=1", RemoteUrl("https://host/x?y=1")),
        ("HTTP://host:80/x", RemoteUrl("HTTP://host:80/x")),
    ],
)
def test_what_a_location_is(text: str, found: object) -> None:
    assert parse_location(text, shard=False) == found


ABSOLUTE = "Bad request: Invalid snapshot URI, file path must be absolute or on localhost"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("file://whatever.snapshot", BadRequest, ABSOLUTE),
        ("file:relative", BadRequest, ABSOLUTE),
        ("ftp://host/x", BadRequest, "Bad request: URL ftp://host/x with scheme ftp is not supported"),
        ("http:///x", BadInput, "names no host"),
        ("http://[::1/x", BadInput, "Invalid snapshot location"),
        ("http://host:port/", BadInput, "Invalid snapshot location"),
        ("../x.snapshot", NotFound, "not found"),
        ("a/b.snapshot", NotFound, "not found"),
        ("x.checksum", NotFound, "not found"),
    ],
)
def test_what_is_no_location(text: str, kind: type[VecraftError], message: str) -> None:
    with pytest.raises(kind) as refusal:
        parse_location(text, shard=False)
    assert message in str(refusal.value)


def test_shards_word_it_their_own_way() -> None:
    with pytest.raises(BadRequest, match="Invalid snapshot URL s3://b/x: URLs with s3 scheme are not supp"):
        parse_location("s3://b/x", shard=True)


def test_files_must_be_inside_of_the_root_behind_links_too(tmp_path: Path) -> None:
    root = tmp_path / "snapshots"
    (root / "c").mkdir(parents=True)
    inside, outside = root / "c" / "x.snapshot", tmp_path / "y.snapshot"
    inside.touch()
    outside.touch()
    (root / "link").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    assert checked_file(inside, root) == inside
    for path in (outside, root / "link", root / ".." / "y.snapshot"):
        with pytest.raises(Forbidden, match="must be inside the snapshots directory"):
            checked_file(path, root)
    for path in (root / "none", root / "c", root / "loop"):
        with pytest.raises(BadRequest, match=f'Snapshot file "{path}" does not exist'):
            checked_file(path, root)
