"""Points of a collection into files: JSON lines, NumPy arrays, Parquet. `vecraft import` reads all of them.

vecraft export docs points.jsonl.gz
vecraft export docs points.parquet      (a folder of files of 100,000 points)
vecraft export docs points.numpy        (a folder of arrays)

After an interruption the same command goes on where it was. A collection that is written to meanwhile is not
seen as of one moment; a snapshot is.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from vecraft.client import Client, path_of
from vecraft.commands.jobs import TRIES, PointsBar, add_job_options
from vecraft.commands.options import add_server_options, connect
from vecraft.exchange.exporting import export_points, start_of
from vecraft.exchange.formats import format_of, sink
from vecraft.exchange.journal import Journal
from vecraft.exchange.points import Shape, shape_of
from vecraft.exits import INTERRUPTED, MISUSED, OK, CommandFailed


class _Config(Struct):
    params: dict[str, Any]


class _Info(Struct):
    config: _Config
    points_count: int | None = None


def configure(parser: argparse.ArgumentParser) -> None:
    add_server_options(parser)
    parser.add_argument("collection")
    parser.add_argument("target", type=Path, metavar="FILE", help="or folder; its ending says the format")
    add_job_options(parser)
    parser.add_argument("--filter", metavar="JSON", help="only points that match, as in a search")
    parser.add_argument("--force", action="store_true", help="replace a target that exists")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    target: Path = options.target
    form = format_of(target, options.format)
    if target.exists() and not options.force:
        raise CommandFailed(f"{target} exists; --force replaces it")
    partial = target.with_name(f"{target.name}.partial")
    wanted = None if options.filter is None else _filter(options.filter)
    with connect(options, connections=2, tries=TRIES) as client:
        shape, about = _described(client, options.collection)
        journal = Journal(
            options.resume or target.with_name(f"{target.name}.export"), _job(options, form, shape)
        )
        if options.restart:
            journal.remove()
        done = journal.load()
        if not done.detail:
            _remove(partial)
        output = sink(partial, form, shape, zipped=target.suffix == ".gz", kept=start_of(done).kept)
        end = about if wanted is None else None
        with PointsBar(options.collection, end, begun_at=done.points) as bar:
            try:
                done = export_points(
                    client,
                    options.collection,
                    output,
                    journal,
                    done=done,
                    batch=options.batch_size,
                    filter=wanted,
                    tell=lambda now: bar.tell(now.points, now.points),
                )
            except KeyboardInterrupt as stopped:
                text = f"interrupted; the same command goes on from {journal.path}"
                raise CommandFailed(text, status=INTERRUPTED) from stopped
    _remove(target)
    partial.rename(target)
    journal.remove()
    bar.conclude(options, "exported", done.points)
    return OK


def _described(client: Client, collection: str) -> tuple[Shape, int | None]:
    """The vectors of a collection, and about how many points it has."""
    found = client.get(path_of("collections", collection), _Info)
    return shape_of(found.config.params), found.points_count


def _job(options: argparse.Namespace, form: str, shape: Shape) -> dict[str, Any]:
    """What must be the same for a job to be gone on with."""
    return {
        "command": "export",
        "collection": options.collection,
        "target": str(options.target.resolve()),
        "format": form,
        "filter": options.filter,
        "vectors": {name: [kind.kind, kind.dim] for name, kind in shape.vectors.items()},
    }


def _filter(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise CommandFailed(f"--filter is no JSON object: {error}", status=MISUSED) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
