"""Snapshots of a collection, of one shard, or of everything: made, fetched, restored, deleted.

vecraft snapshot create docs
vecraft snapshot download docs docs-4242-2026-11-29-10-00-00.snapshot
vecraft snapshot restore docs-copy docs-4242-2026-11-29-10-00-00.snapshot

Without a collection they are of the whole storage, and restored by `vecraft --storage-snapshot FILE`. Each
node of a cluster makes and keeps its own.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from vecraft.client import Client, Readable, path_of
from vecraft.commands.options import connect, server_options, subcommand, unsigned_number
from vecraft.commands.output import bytes_text, console, note, print_json, show, table
from vecraft.exits import OK, CommandFailed

PRIORITIES = ("snapshot", "replica", "no_sync")
TIMEOUT_S = 3600.0  # of what copies all that a collection holds
_COLUMNS = ("snapshot", "made (UTC)", "size", "SHA-256")
_URLS = ("http://", "https://", "file://")


class Snapshot(Struct, frozen=True):
    name: str
    creation_time: str | None = None
    size: int = 0
    checksum: str | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    server = server_options()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _scoped(subcommand(commands, "create", _create, "make a snapshot and wait until it is there", server))
    _scoped(subcommand(commands, "list", _list, "show the snapshots that the server has", server))
    fetched = _scoped(subcommand(commands, "download", _download, "fetch a snapshot, checked", server))
    fetched.add_argument("name")
    fetched.add_argument("--output", "-o", type=Path, metavar="FILE", help="where to (NAME, here)")
    restored = subcommand(
        commands, "restore", _restore, "make a collection, or a shard, what a snapshot holds", server
    )
    restored.add_argument("collection")
    restored.add_argument("source", help="a file here, which is uploaded, or a URL that the server can read")
    restored.add_argument(
        "--shard", type=unsigned_number, metavar="N", help="only this one, of a shard's snapshot"
    )
    restored.add_argument(
        "--priority",
        choices=PRIORITIES,
        help="whose data wins where other replicas have some: the snapshot's (as a rule), or theirs",
    )
    restored.add_argument("--checksum", metavar="SHA256", help="of a URL's content, for the server to check")
    removed = _scoped(subcommand(commands, "delete", _delete, "delete a snapshot", server))
    removed.add_argument("name")
    for name, command in commands.choices.items():
        if name != "list":
            command.set_defaults(timeout=TIMEOUT_S)


def _scoped(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("collection", nargs="?", help="none: the whole storage")
    command.add_argument("--shard", type=unsigned_number, metavar="N", help="only this one")
    return command


def _folder(options: argparse.Namespace) -> str:
    """Raises: CommandFailed if a shard of no collection is meant."""
    if options.collection is None:
        if options.shard is not None:
            raise CommandFailed("--shard needs a collection")
        return "/snapshots"
    shard = () if options.shard is None else ("shards", options.shard)
    return path_of("collections", options.collection, *shard, "snapshots")


def _create(options: argparse.Namespace) -> int:
    with connect(options) as client:
        made = client.call("POST", _folder(options), Snapshot, wait=True)
    print_json(made) if options.json else print(made.name)
    return OK


def _list(options: argparse.Namespace) -> int:
    with connect(options) as client:
        found = client.get(_folder(options), list[Snapshot])
    if options.json:
        print_json(found)
    else:
        rows = [(each.name, each.creation_time, bytes_text(each.size), each.checksum) for each in found]
        show(table(_COLUMNS, rows))
    return OK


def _delete(options: argparse.Namespace) -> int:
    with connect(options) as client:
        client.call("DELETE", f"{_folder(options)}{path_of(options.name)}", bool, wait=True)
    print_json(True) if options.json else note(f"deleted {options.name}")
    return OK


def _download(options: argparse.Namespace) -> int:
    target: Path = options.output or Path(options.name)
    if target.exists():
        raise CommandFailed(f"{target} exists; name another by --output")
    folder = _folder(options)
    with connect(options) as client:
        expected = {each.name: each.checksum for each in client.get(folder, list[Snapshot])}
        digest = _fetch(client, f"{folder}{path_of(options.name)}", target, expected.get(options.name))
    print_json({"file": str(target), "checksum": digest}) if options.json else note(f"wrote {target}")
    return OK


def _fetch(client: Client, path: str, target: Path, expected: str | None) -> str:
    """Returns the SHA-256. Raises: CommandFailed if it is not as ``expected``; nothing is left then."""
    partial = target.with_name(f"{target.name}.partial")
    digest = hashlib.sha256()
    try:
        with client.download(path) as (parts, length), partial.open("wb") as file, _bar() as bar:
            task = bar.add_task(target.name, total=length)
            for part in parts:
                file.write(part)
                digest.update(part)
                bar.advance(task, len(part))
        found = digest.hexdigest()
        if expected is not None and found != expected:
            raise CommandFailed(f"what came is not what the server has: SHA-256 {found}, expected {expected}")
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
    return found


def _restore(options: argparse.Namespace) -> int:
    folder = _folder(options)
    with connect(options) as client:
        if options.source.startswith(_URLS):
            body = {"location": options.source, "priority": options.priority, "checksum": options.checksum}
            given = {name: value for name, value in body.items() if value is not None}
            client.call("PUT", f"{folder}/recover", bool, given, wait=True)
        else:
            _upload(client, f"{folder}/upload", Path(options.source), options)
    print_json(True) if options.json else note(f"restored {options.collection}")
    return OK


def _upload(client: Client, path: str, source: Path, options: argparse.Namespace) -> None:
    with source.open("rb") as file:
        checksum = options.checksum or hashlib.file_digest(file, "sha256").hexdigest()
        length = file.seek(0, 2)
        file.seek(0)
        with _bar() as bar:
            task = bar.add_task(source.name, total=length)
            told = _Told(file, lambda count: bar.advance(task, count))
            query = {"wait": True, "priority": options.priority, "checksum": checksum}
            client.upload(path, told, length, name=source.name, **query)


class _Told:
    """A file that tells how much of it is read."""

    def __init__(self, file: Readable, tell: Callable[[int], None]) -> None:
        self._file, self._tell = file, tell

    def read(self, size: int = -1, /) -> bytes:
        part = self._file.read(size)
        self._tell(len(part))
        return part


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console(sys.stderr), disable=not sys.stderr.isatty())
