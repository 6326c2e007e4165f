"""The tar reader takes regular files and nothing else; the writer's archives are everybody's."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.snapshots.tar import ArchiveDamaged, TarWriter, members

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=150)


def written(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    writer = TarWriter(sink)
    for name, data in files.items():
        writer.add(name, len(data), (data[i : i + 7] for i in range(0, len(data), 7)))
    writer.end()
    return sink.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    return {member.name: b"".join(member.chunks()) for member in members(io.BytesIO(data))}


@given(st.dictionaries(NAMES, st.binary(max_size=1500), max_size=4))
def test_what_is_written_is_read_here_and_by_the_library(files: dict[str, bytes]) -> None:
    data = written(files)
    assert read(data) == files
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = [(info.size, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]
    assert found == [(len(content), content) for content in files.values()]


def test_what_a_reader_leaves_of_a_file_is_passed_over() -> None:
    data = written({"a": b"x" * 3000, "b": b"y"})
    assert [member.name for member in members(io.BytesIO(data))] == ["a", "b"]


@given(st.integers(0, 10_000))
def test_an_archive_that_is_cut_short_is_refused(left: int) -> None:
    data = written({"a": b"x" * 3000, "b": b"y" * 100})
    end = len(data) - 512  # the second block of the end mark is not missed
    with pytest.raises(ArchiveDamaged):
        read(data[: min(left, end - 1)])


@given(st.binary(max_size=2000))
def test_anything_else_is_refused_or_empty(data: bytes) -> None:
    with contextlib.suppress(ArchiveDamaged):
        assert read(data) == {}


def strange(change: Callable[[tarfile.TarInfo], None], format: int = tarfile.GNU_FORMAT) -> bytes:
    info = tarfile.TarInfo("shards/0/points.mdb")
    change(info)
    return info.tobuf(format) + bytes(1024)


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"x", b"g", b"S", b"K"])
def test_members_that_are_no_regular_files_are_refused(kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, "/etc/passwd"

    with pytest.raises(ArchiveDamaged, match=r"no regular file|not a tar"):
        read(strange(change))


def test_a_size_that_lies_is_refused() -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.size = 1 << 60

    with pytest.raises(ArchiveDamaged, match="cut short"):
        read(strange(change))


def test_a_long_name_without_end_is_not_read() -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 30

    with pytest.raises(ArchiveDamaged, match="are the most"):
        read(strange(change))


def test_a_writer_that_lies_about_a_size_is_told_so() -> None:
    with pytest.raises(ValueError, match="not 5 as was said"):
        TarWriter(io.BytesIO()).add("a", 5, (b"xx",))
