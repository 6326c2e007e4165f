"""The LMDB file under the point store: its databases, its one writing transaction, its readers.

Databases: ``ids`` (id key -> slot), ``points`` (slot, big-endian u32 -> packed record) and ``meta``
(format, number of points, the checkpoint's blob). Every value carries a checksum.

A ``Generation`` is what one checkpoint left: a fixed set of read transactions, all begun right after
that commit, so they see the same state for as long as any view uses them. A transaction must not be
used by two threads at once; each call borrows one. LMDB keeps the pages that a generation can see;
they become free when its last view is dropped, for then reference counting ends its transactions.

The map's size cannot grow while such readers live, so it is chosen generously at opening: it reserves
addresses, neither memory nor disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from struct import Struct as Layout
from typing import TypeAlias, TypeVar

import lmdb
import msgspec
from crc32c import crc32c

from node.storage import unpacking
from node.storage.records import RecordCorrupted
from protos.files import sync_directory

FORMAT = 1

_SLOT = Layout(">I")
_SLOT_CHECKED = Layout(">II")  # slot, checksum of key and slot
_CHECKSUM = Layout("<I")
_GIB = 1 << 30
_MAP_BYTES_MIN = 64 * _GIB
_GENERATIONS_MAX = 64  # that may be in use at once
_READER_BYTES = 64  # of LMDB's table, a cache line for each
_CHUNK = 512  # entries handled between two chances for other threads to run
_SCAN_BYTES = 1 << 20
_HEADS_BITS_MAX = 16  # 2 MiB

Item = TypeVar("Item")
Reader: TypeAlias = "lmdb.Transaction[bytes]"


class StoreFailed(OSError):
    """LMDB could not read or write its file."""


class StoreFull(StoreFailed):
    """The disk, or the map chosen at opening, is full; nothing of the checkpoint was stored."""


class StoreFormatUnknown(Exception):
    """The file was written by a newer program."""


class Generation:
    """The state that one checkpoint left, readable from any thread."""

    def __init__(
        self, env: lmdb.Environment, ids: lmdb._Database, points: lmdb._Database, readers: int
    ) -> None:
        self._ids, self._points = ids, points
        self._pool: SimpleQueue[Reader] = SimpleQueue()
        for _ in range(readers):
            self._pool.put(env.begin())
        self.heads = unpacking.Heads(self._room())
        """Of records that were read."""

    def slot_of(self, key: bytes) -> int:
        """Return the slot, or -1. Raises: RecordCorrupted."""
        return self.slots_of((key,))[0]

    def slots_of(self, keys: Iterable[bytes]) -> list[int]:
        reader = self._pool.get()
        try:
            get, ids = reader.get, self._ids
            return [_decode_slot(key, get(key, None, ids)) for key in keys]
        except lmdb.Error as error:
            raise _read_failure(error) from error
        finally:
            self._pool.put(reader)

    def records(self, slots: Iterable[int]) -> list[bytes | None]:
        """Return packed records, unchecked. Raises: RecordCorrupted if the file's structure is bad."""
        reader = self._pool.get()
        try:
            get, points, pack = reader.get, self._points, _SLOT.pack
            return [get(pack(slot), None, points) for slot in slots]
        except lmdb.Error as error:
            raise _read_failure(error) from error
        finally:
            self._pool.put(reader)

    def _room(self) -> int:
        """For as many heads as there are points, within bounds."""
        reader = self._pool.get()
        try:
            entries: int = reader.stat(self._points)["entries"]
        finally:
            self._pool.put(reader)
        return 1 << min(max(entries - 1, 0).bit_length(), _HEADS_BITS_MAX)

    def stored_bytes(self) -> tuple[int, int]:
        """Of the pages that hold ids, and records."""
        reader = self._pool.get()
        try:
            ids, points = reader.stat(self._ids), reader.stat(self._points)
        except lmdb.Error as error:
            raise _read_failure(error) from error
        finally:
            self._pool.put(reader)
        pages = [each["branch_pages"] + each["leaf_pages"] + each["overflow_pages"] for each in (ids, points)]
        return pages[0] * ids["psize"], pages[1] * ids["psize"]

    def ids_from(self, start: bytes, limit: int) -> list[tuple[bytes, int]]:
        """Return up to ``limit`` (key, slot) from ``start`` (inclusive) on, by key."""
        reader = self._pool.get()
        try:
            with reader.cursor(self._ids) as cursor:
                found = cursor.set_range(start)
                items = list(islice(cursor.iternext(), limit)) if found else []
        except lmdb.Error as error:
            raise _read_failure(error) from error
        finally:
            self._pool.put(reader)
        return [(key, _decode_slot(key, value)) for key, value in items]

    def records_from(self, start: int) -> list[tuple[int, bytes]]:
        """Return the next records from slot ``start`` on, about 1 MiB of them; [] at the end."""
        found: list[tuple[int, bytes]] = []
        size = 0
        reader = self._pool.get()
        try:
            with reader.cursor(self._points) as cursor:
                items = cursor.iternext() if cursor.set_range(_SLOT.pack(start)) else iter(())
                while size < _SCAN_BYTES and (item := next(items, None)) is not None:
                    found.append((_SLOT.unpack(item[0])[0], item[1]))
                    size += len(item[1]) + 64
        except lmdb.Error as error:
            raise _read_failure(error) from error
        finally:
            self._pool.put(reader)
        return found


class PointsCopy:
    """The state of the last ``store``, kept readable until it is written out or forgotten.

    ``exact``: page by page, so that two copies differ where pages were written between them, and free pages
    come along; otherwise it is compacted. No ``store`` may be under way while an exact one is made.
    """

    def __init__(
        self, env: lmdb.Environment, meta: lmdb._Database, using: threading.Lock, *, exact: bool = False
    ) -> None:
        """Raises: lmdb.Error, OSError."""
        self._env, self._using = env, using
        self._image = _Image.of(env) if exact else None
        self._txn: Reader = env.begin()
        try:
            self.blob = _unchecked(b"checkpoint", self._txn.get(b"checkpoint", None, meta))
            """That of the ``store``; None: there was none."""
            self.count = int(_unchecked(b"count", self._txn.get(b"count", None, meta)) or b"0")
        except BaseException:
            self._txn.abort()
            raise

    def write(self, path: Path) -> None:
        """Make ``path``, which must not exist, a store with this state; not synced. Blocks for long.

        Copies of one file are written one after the other. Raises: StoreFailed, also after the store was
        closed; RecordCorrupted.
        """
        try:
            with self._using:
                if self._image is not None:
                    self._image.write(Path(os.fsdecode(self._env.path())), path)
                else:
                    self._env.copy(str(path), compact=True, txn=self._txn)
        except lmdb.Error as error:
            raise _write_failure(error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the state: as long as it is kept, LMDB cannot use its pages again."""
        with contextlib.suppress(lmdb.Error):  # the store was closed, and all of its transactions with it
            self._txn.abort()


class _Image(msgspec.Struct, frozen=True):
    """The pages of a file as they are now. ``head``: the two that say which state is the last; LMDB writes
    them in place. Every other page that a transaction begun now can see stays as it is until that ends."""

    head: bytes
    size: int

    @classmethod
    def of(cls, env: lmdb.Environment) -> _Image:
        page_bytes = int(env.stat()["psize"])
        fd = os.open(env.path(), os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = os.pread(fd, 2 * page_bytes, 0)
        finally:
            os.close(fd)
        return cls(head, (int(env.info()["last_pgno"]) + 1) * page_bytes)

    def write(self, source: Path, target: Path) -> None:
        """Raises: OSError."""
        with source.open("rb", buffering=0) as reading, target.open("xb", buffering=0) as writing:
            done = 0
            while done < self.size:
                count = os.sendfile(writing.fileno(), reading.fileno(), done, self.size - done)
                if not count:
                    raise StoreFailed(errno.EIO, f"{source} ends at byte {done}, not at {self.size}")
                done += count
            os.pwrite(writing.fileno(), self.head, 0)


class PointsFile:
    """The environment. One thread at a time calls ``store``; the rest is for opening and closing."""

    def __init__(self, path: Path, readers: int, map_bytes: int | None = None) -> None:
        """Open or create the file; ``readers`` threads can read one generation at once, and a writer.

        Raises: StoreFailed, StoreFormatUnknown, RecordCorrupted (the file is cut short or damaged).
        """
        self._readers = readers + 1
        self._copying = threading.Lock()
        if not path.exists():
            _create(path)
        self._env = _open_environment(path, self._readers, map_bytes or _default_map_bytes(path))
        try:
            self._require_whole(path)
            self._meta = self._env.open_db(b"meta", create=False)
            self._require_format()
            self._ids = self._env.open_db(b"ids", create=False)
            self._points = self._env.open_db(b"points", create=False)
        except lmdb.Error as error:
            self._env.close()
            raise _write_failure(error) from error
        except BaseException:
            self._env.close()
            raise
        sync_directory(path.parent)

    def generation(self) -> Generation:
        """Raises: StoreFailed if too many generations are in use."""
        try:
            return Generation(self._env, self._ids, self._points, self._readers)
        except lmdb.Error as error:
            raise _write_failure(error) from error

    def count(self) -> int:
        return int(self._get_meta(b"count") or b"0")

    def blob(self) -> bytes | None:
        """The blob of the last ``store``."""
        return self._get_meta(b"checkpoint")

    def store(
        self,
        ids: Iterable[tuple[bytes, int]],
        records: Iterable[tuple[int, bytes | None]],
        count: int,
        blob: bytes,
    ) -> None:
        """Commit one durable transaction; on any failure, or a crash, the state before it stays.

        Ascending keys and slots are fastest. A slot of -1 removes the id, a record of None its slot.
        Raises: StoreFull, StoreFailed.
        """
        try:
            with self._env.begin(write=True) as txn:
                _write(txn, self._ids, ((key, _encode_slot(key, slot)) for key, slot in ids))
                _write(txn, self._points, ((_SLOT.pack(slot), data) for slot, data in records))
                txn.put(b"count", _checked(b"%d" % count), db=self._meta)
                txn.put(b"checkpoint", _checked(blob), db=self._meta)
        except lmdb.Error as error:
            raise _write_failure(error) from error

    @property
    def path(self) -> Path:
        return Path(os.fsdecode(self._env.path()))

    def copy(self, *, exact: bool = False) -> PointsCopy:
        """Raises: StoreFailed, RecordCorrupted."""
        try:
            return PointsCopy(self._env, self._meta, self._copying, exact=exact)
        except lmdb.Error as error:
            raise _write_failure(error) from error

    def close(self) -> None:
        """End every transaction, after a copy that is being written (LMDB reads the map for it without
        a look at who closes it); views that are still used raise afterwards."""
        with self._copying:
            self._env.close()

    def _require_whole(self, path: Path) -> None:
        """A page beyond the file's end would end the process (SIGBUS) when it is touched."""
        needed = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        size = path.stat().st_size
        if size < needed:
            raise RecordCorrupted(f"{path} has {size} bytes and should have at least {needed}")

    def _require_format(self) -> None:
        format_ = int(self._get_meta(b"format") or b"0")
        if format_ != FORMAT:
            raise StoreFormatUnknown(f"points format {format_} is not {FORMAT}, the one known here")

    def _get_meta(self, key: bytes) -> bytes | None:
        with self._env.begin() as txn:
            return _unchecked(key, txn.get(key, None, self._meta))


def in_chunks(items: Iterable[Item], size: int = _CHUNK) -> Iterator[list[Item]]:
    """Yield lists of up to ``size`` items, letting other threads run before each.

    The work on a chunk is mostly C code that never offers the interpreter lock.
    """
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
        time.sleep(0)


def _write(txn: Reader, db: lmdb._Database, items: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Put the items; delete those whose value is None."""
    with txn.cursor(db) as cursor:
        for chunk in in_chunks(items):
            cursor.putmulti([(key, value) for key, value in chunk if value is not None])
            for key, value in chunk:
                if value is None:
                    txn.delete(key, db=db)


def _checked(data: bytes) -> bytes:
    return _CHECKSUM.pack(crc32c(data)) + data


def _unchecked(key: bytes, value: bytes | None) -> bytes | None:
    """The data of what ``_checked`` made. Raises: RecordCorrupted."""
    if value is None:
        return None
    if _checked(value[4:]) != value:
        raise RecordCorrupted(f"checksum mismatch in the store's entry {key.decode()}")
    return value[4:]


def _encode_slot(key: bytes, slot: int) -> bytes | None:
    return _SLOT_CHECKED.pack(slot, crc32c(_SLOT.pack(slot), crc32c(key))) if slot >= 0 else None


def _decode_slot(key: bytes, value: bytes | None) -> int:
    if value is None:
        return -1
    if len(value) == _SLOT_CHECKED.size:
        slot: int
        slot, checksum = _SLOT_CHECKED.unpack(value)
        if crc32c(value[:4], crc32c(key)) == checksum:
            return slot
    raise RecordCorrupted(f"checksum mismatch in the slot of id key {key.hex()}")


def _open_environment(path: Path, readers: int, map_bytes: int) -> lmdb.Environment:
    readers_max = _GENERATIONS_MAX * readers
    _reserve_lock_file(_lock_path(path), readers_max)
    try:
        return lmdb.open(
            str(path), map_size=map_bytes, subdir=False, max_dbs=3, max_readers=readers_max, mode=0o644
        )
    except lmdb.Error as error:
        raise _write_failure(error) from error


def _create(path: Path) -> None:
    """Make an empty store, whole or not at all: LMDB does not sync what it begins a file with."""
    draft = path.with_name(path.name + ".new")
    _remove(draft)
    env = _open_environment(draft, 1, _GIB)
    try:
        meta = env.open_db(b"meta")
        env.open_db(b"ids")
        env.open_db(b"points")
        with env.begin(write=True) as txn:
            txn.put(b"format", _checked(b"%d" % FORMAT), db=meta)
    except lmdb.Error as error:
        raise _write_failure(error) from error
    finally:
        env.close()
    draft.rename(path)
    _remove(draft)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    _lock_path(path).unlink(missing_ok=True)


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + "-lock")


def _reserve_lock_file(path: Path, readers_max: int) -> None:
    """LMDB writes its table of readers through a map of a sparse file: on a full disk the process
    would end (SIGBUS). With the space allocated before, it is an OSError, here."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(fd, 0, 4096 + _READER_BYTES * readers_max)
    except OSError as error:
        kind = StoreFull if error.errno == errno.ENOSPC else StoreFailed
        raise kind(error.errno, f"no room for the lock file {path}") from error
    finally:
        os.close(fd)


def _default_map_bytes(path: Path) -> int:
    """Room to grow fourfold and 64 GiB at least, as far as the disk could hold it."""
    used = path.stat().st_size if path.exists() else 0
    disk = shutil.disk_usage(path.parent).total
    gibibytes = -(-min(max(_MAP_BYTES_MIN, 4 * used), max(disk, _GIB)) // _GIB)
    return gibibytes * _GIB


def _read_failure(error: lmdb.Error) -> Exception:
    if isinstance(error, (lmdb.CorruptedError, lmdb.PageNotFoundError)):
        return RecordCorrupted(f"the point store's file is damaged: {error}")
    return StoreFailed(errno.EIO, str(error))


def _write_failure(error: lmdb.Error) -> Exception:
    if isinstance(error, lmdb.MapFullError):
        return StoreFull(errno.ENOSPC, f"{error}; reopening the store makes room up to the disk's size")
    code: int = getattr(error, "code", 0) or 0
    if code == errno.ENOSPC:
        return StoreFull(errno.ENOSPC, str(error))
    if isinstance(error, (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.NotFoundError)):
        return RecordCorrupted(f"not a point store, or a damaged one: {error}")
    failure = _read_failure(error)
    return StoreFailed(code, str(error)) if code > 0 and isinstance(failure, StoreFailed) else failure


__all__ = [
    "Generation",
    "PointsCopy",
    "PointsFile",
    "RecordCorrupted",
    "StoreFailed",
    "StoreFormatUnknown",
    "StoreFull",
    "in_chunks",
]
