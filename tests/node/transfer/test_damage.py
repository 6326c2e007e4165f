"""Bases that must not be taken, and what is left of copies that were not completed."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.replica.checkpoint import DamagedFile
from node.replica.identity import read_identity
from node.replica.replica import ShardReplica
from node.transfer import files, sending
from node.transfer.receiving import receive_base
from node.transfer.wire import (
    CHUNK_BYTES,
    DATA,
    END,
    FILE,
    FORMAT,
    BaseRefused,
    FileStart,
    Form,
    Header,
    Packing,
    Unpacking,
)
from protos.errors import ServiceError, ShardUnavailable
from tests.node.replica.conftest import Shards
from tests.node.replica.points import config_of, contents, upsert, write
from tests.node.transfer.conftest import Copying, each


def files_below(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def flipped(part: bytes) -> bytes:
    return part[:-1] + bytes([part[-1] ^ 1])


def base_of(*parts: tuple[str, bytes], **header: int) -> list[bytes]:
    """A base with these files, otherwise right."""
    packing = Packing()
    total = sum(len(data) for _, data in parts)
    stream = [
        packing.header(
            Header(**({"seq": 3, "term": 1, "points": 0, "files": len(parts)} | header), total_bytes=total)
        )
    ]
    for path, data in parts:
        stream.append(packing.struct(FILE, FileStart(path, len(data))))
        stream += [packing.part(DATA, data)] if data else []
    return [*stream, packing.part(END)]


async def refused(copying: Copying, parts: list[bytes]) -> str:
    """The reason; nothing is left then."""
    with pytest.raises(BaseRefused) as refusal:
        await copying.receive(parts)
    assert copying.leftovers == []
    return str(refusal.value)


async def test_a_changed_bit_in_any_part_is_noticed(source: ShardReplica, copying: Copying) -> None:
    parts = await copying.parts(source)
    for position in range(len(parts)):
        damaged = [*parts[:position], flipped(parts[position]), *parts[position + 1 :]]
        assert "damaged" in await refused(copying, damaged)


async def test_parts_that_are_lost_doubled_or_exchanged_are_noticed(
    source: ShardReplica, copying: Copying
) -> None:
    parts = await copying.parts(source)
    for position in range(1, len(parts) - 1):
        assert "expected here" in await refused(copying, parts[:position] + parts[position + 1 :])
        assert "expected here" in await refused(copying, parts[: position + 1] + parts[position:])
        exchanged = [*parts[:position], parts[position + 1], parts[position], *parts[position + 2 :]]
        assert "expected here" in await refused(copying, exchanged)


async def test_a_stream_that_breaks_off_is_no_base(source: ShardReplica, copying: Copying) -> None:
    parts = await copying.parts(source)
    assert await refused(copying, []) == "nothing came"
    for end in range(1, len(parts)):
        assert "broke off" in await refused(copying, parts[:end])
    assert "behind its end" in await refused(copying, [*parts, b"more"])


async def test_a_base_of_a_newer_format_is_refused(copying: Copying) -> None:
    part = Packing().part(b"h", bytes([FORMAT + 1]) + b"whatever")
    assert f"has format {FORMAT + 1}, this program knows {FORMAT}" in await refused(copying, [part])
    assert "no Header" in await refused(copying, [Packing().part(b"h", bytes([FORMAT]) + b"\xc1")])
    assert "not with a header" in await refused(copying, [Packing().part(DATA, b"x")])


@pytest.mark.parametrize(
    "path",
    [
        "../points.mdb",
        "/etc/passwd",
        "segments/../../x",
        "segments/..",
        "segments/ab/../../../x",
        "segments/ab/..",
        "segments//x",
        "columns/.hidden",
        "columns/a/b",
        "wal/00000000000000000000.wal",
        "replica.json",
        "live.x\n.bits",
        "",
    ],
)
async def test_paths_that_no_base_has_are_refused(copying: Copying, path: str, tmp_path: Path) -> None:
    before = files_below(tmp_path)
    assert "no base has a file" in await refused(copying, base_of(("points.mdb", b"x"), (path, b"x")))
    assert files_below(tmp_path) == before


async def test_files_that_come_twice_or_not_at_all_are_refused(copying: Copying) -> None:
    assert "came twice" in await refused(copying, base_of(("points.mdb", b"x"), ("points.mdb", b"y")))
    assert "no points.mdb" in await refused(copying, base_of(("columns/x", b"x")))
    assert "not 3 of" in await refused(copying, base_of(("points.mdb", b"x"), files=3))


async def test_files_longer_or_shorter_than_told_are_refused(copying: Copying) -> None:
    def stream(size: int, *data: bytes) -> list[bytes]:
        packing = Packing()
        header = packing.header(Header(1, 1, 0, files=1, total_bytes=size))
        start = packing.struct(FILE, FileStart("points.mdb", size))
        return [header, start, *(packing.part(DATA, one) for one in data), packing.part(END)]

    assert "3 bytes where 2 are missing" in await refused(copying, stream(2, b"abc"))
    assert "1 bytes are missing" in await refused(copying, stream(3, b"ab"))
    assert "0 bytes where" in await refused(copying, stream(3, b"ab", b"", b"c"))


async def test_a_part_of_an_unknown_kind_is_refused(copying: Copying) -> None:
    packing = Packing()
    header = packing.header(Header(1, 1, 0))
    assert "kind b'?'" in await refused(copying, [header, packing.part(b"?")])


async def test_an_error_of_the_source_ends_the_copy(source: ShardReplica, copying: Copying) -> None:
    parts = await copying.parts(source)
    closed: list[bool] = []

    async def failing() -> AsyncIterator[bytes]:
        try:
            for part in parts[:3]:
                yield part
            raise ShardUnavailable("gone")
        finally:
            closed.append(True)

    with pytest.raises(ShardUnavailable, match="gone"):
        await receive_base(failing(), copying.workshop.place(), copying.workshop)
    assert closed == [True]
    assert copying.leftovers == []


async def test_a_cancelled_copy_leaves_nothing(source: ShardReplica, copying: Copying) -> None:
    parts = await copying.parts(source)
    for steps in range(0, len(parts), 2):
        waiting = asyncio.Event()
        closed: list[bool] = []

        async def stuck(
            steps: int = steps, waiting: asyncio.Event = waiting, closed: list[bool] = closed
        ) -> AsyncIterator[bytes]:
            try:
                for part in parts[:steps]:
                    yield part
                waiting.set()
                await asyncio.Event().wait()
            finally:
                closed.append(True)

        task = asyncio.create_task(receive_base(stuck(), copying.workshop.place(), copying.workshop))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert closed == [True]
        assert copying.leftovers == []


async def test_a_reader_that_goes_away_leaves_no_export(source: ShardReplica, copying: Copying) -> None:
    parts = copying.sender.parts(source, Form.FILES)
    await anext(parts)
    assert len(copying.leftovers) == 1
    await parts.aclose()
    assert copying.leftovers == []


async def test_exports_at_a_time_are_bounded(source: ShardReplica, copying: Copying) -> None:
    first, second, last = (copying.sender.parts(source, Form.FILES) for _ in range(3))
    await anext(first)
    await anext(second)
    third = asyncio.ensure_future(anext(last))
    assert sending.EXPORTS_MAX == 2
    await write(source, upsert([99]))
    assert not third.done()
    assert len(copying.leftovers) == 2
    await first.aclose()
    assert await third
    await second.aclose()
    await last.aclose()


async def test_a_damaged_segment_of_the_source_is_not_spread(
    source: ShardReplica, shards: Shards, copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    await source.on_writer(source.contents.applier.segments.seal_all)
    await source.checkpoint()
    (vectors,) = shards.directory.glob("segments/*/vectors.0.f32")
    data = bytearray(vectors.read_bytes())
    data[100] ^= 1
    vectors.write_bytes(data)
    with pytest.raises(ServiceError, match=r"cannot be copied.*vectors.0.f32.*checksum mismatch"):
        await copying.copy(source)
    assert copying.leftovers == []


async def test_long_files_travel_in_bounded_parts(
    source: ShardReplica, copying: Copying, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [{"text": "x" * 5000}] * 1000
    await write(source, upsert(range(1000), many))
    parts = await copying.parts(source)
    assert max(map(len, parts)) == CHUNK_BYTES + len(Packing().part(DATA))
    target = await copying.open(await copying.receive(parts))
    assert (await contents(target))[999][0] == many[0]


@pytest.mark.parametrize("checkpoint", [True, False])
async def test_a_closed_replica_cannot_be_copied(
    source: ShardReplica, shards: Shards, copying: Copying, checkpoint: bool
) -> None:
    shards._open.remove(source)
    await source.close(checkpoint=checkpoint)
    with pytest.raises(ShardUnavailable, match="being closed"):
        await copying.copy(source)
    assert copying.leftovers == []


@pytest.mark.parametrize("form", Form)
async def test_an_export_outlives_its_replica(
    source: ShardReplica, shards: Shards, copying: Copying, form: Form
) -> None:
    """Closed, opened anew, changed: whoever reads the export does not notice."""
    parts = copying.sender.parts(source, form)
    first = await anext(parts)
    shards._open.remove(source)
    await source.close()
    again = await shards.open()
    await write(again, upsert(range(50, 3000)))
    await again.checkpoint()
    received = await copying.receive([first, *[part async for part in parts]])
    assert sorted(await contents(await copying.open(received))) == list(range(50))
    assert sorted(await contents(again)) == list(range(3000))


async def test_what_a_dead_process_left_is_no_replica_and_is_cleared(
    source: ShardReplica, copying: Copying
) -> None:
    """A kill may come after any part, or before the directory is put in its place."""
    parts = await copying.parts(source)
    for end in range(1, len(parts)):
        abandoned = copying.workshop.place()
        await copying.receive(parts)  # others are not in the way
        unpacking = Unpacking()
        abandoned.mkdir(parents=True)
        target = files.FilesTarget(abandoned, unpacking.header(parts[0]))
        for part in parts[1:end]:
            target.take(*unpacking.part(part))
        target.close()
        if any(abandoned.iterdir()):
            with pytest.raises(DamagedFile, match=r"replica.json is missing"):
                read_identity(abandoned)
    await copying.receive(parts)
    assert copying.leftovers
    await copying.workshop.clear()
    assert copying.leftovers == []


async def test_a_base_without_some_of_its_files_does_not_open(
    source: ShardReplica, shards: Shards, copying: Copying
) -> None:
    received = await copying.copy(source)
    for name in (
        "live.*.bits",
        "segments/*/vectors.0.f32",
        "segments/*/present.0.bits",
        "wal/*",
        "points.mdb",
    ):
        broken = copying.workshop.place()
        shutil.copytree(received.directory, broken)
        (path,) = broken.glob(name)
        path.unlink()
        with pytest.raises(
            Exception, match=r"No such file|expected|does not cover|ends at seq|begins at seq"
        ):
            await ShardReplica.open(broken, config_of(), shards.machinery)


async def test_progress_is_told_in_points(source: ShardReplica, copying: Copying) -> None:
    told: list[tuple[int, int]] = []
    parts = await copying.parts(source)
    await receive_base(
        each(parts),
        copying.workshop.place(),
        copying.workshop,
        report=lambda *counts: told.append(counts),
    )
    assert told == sorted(told)
    assert told[-1] == (50, 50)
