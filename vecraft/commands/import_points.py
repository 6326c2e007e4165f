"""Points from files into a collection that exists: JSON lines, NumPy arrays, Parquet.

vecraft import docs points.jsonl.gz
vecraft import docs vectors.npy --ids ids.npy --payloads payloads.jsonl
vecraft import docs 'parts/' --id-column key --vector-column embedding

After an interruption the same command goes on where it was: the journal beside the source (or --resume FILE)
says where. Nothing is lost or doubled, as points that are sent again replace themselves.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from msgspec import Raw

from vecraft.client import path_of
from vecraft.commands.jobs import TRIES, PointsBar, add_job_options
from vecraft.commands.options import add_server_options, connect, positive_number, unsigned_number
from vecraft.exchange.formats import Reading, format_of, source
from vecraft.exchange.importing import import_points
from vecraft.exchange.journal import Journal
from vecraft.exits import INTERRUPTED, MISUSED, OK, CommandFailed

DEFAULT_PARALLEL = 4


def configure(parser: argparse.ArgumentParser) -> None:
    add_server_options(parser)
    parser.add_argument("collection")
    parser.add_argument(
        "source", type=Path, metavar="FILE", help="or a folder of an export, or of Parquet files"
    )
    add_job_options(parser)
    parser.add_argument(
        "--parallel",
        type=positive_number,
        default=DEFAULT_PARALLEL,
        metavar="N",
        help=f"requests at a time ({DEFAULT_PARALLEL})",
    )
    rows = parser.add_argument_group("files that hold rows (NumPy, Parquet)")
    rows.add_argument(
        "--first-id", type=unsigned_number, default=0, metavar="N", help="of rows without ids (0)"
    )
    rows.add_argument("--ids", type=Path, metavar="FILE", help="NumPy: ids of the rows, numbers or UUIDs")
    rows.add_argument("--vector-name", default="", metavar="NAME", help="NumPy: of the vectors (unnamed)")
    rows.add_argument("--payloads", type=Path, metavar="FILE", help="NumPy: JSON lines, one per row")
    rows.add_argument("--id-column", metavar="COLUMN", help="Parquet: of ids (id, else rows are numbered)")
    rows.add_argument(
        "--vector-column",
        action="append",
        default=[],
        metavar="[NAME=]COLUMN",
        help="Parquet: of vectors; repeatable (vector, vector.NAME)",
    )
    rows.add_argument(
        "--payload-column",
        metavar="COLUMN",
        help="Parquet: of JSON objects (every other column is a key of the payload)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    path: Path = options.source
    form = format_of(path, options.format)
    reading = Reading(
        ids=options.ids,
        id_column=options.id_column,
        first_id=options.first_id,
        vectors=dict(map(_named_column, options.vector_column)),
        vector_name=options.vector_name,
        payloads=options.payloads,
        payload_column=options.payload_column,
    )
    points = source(path, form, reading)
    journal = Journal(options.resume or _beside(path, options.collection), _job(options, form, reading))
    if options.restart:
        journal.remove()
    done = journal.load()
    with connect(options, connections=options.parallel, tries=TRIES) as client:
        client.get(path_of("collections", options.collection), Raw)  # refused at once if it does not exist
        with PointsBar(options.collection, points.end, begun_at=done.points) as bar:
            try:
                done = import_points(
                    points,
                    client,
                    options.collection,
                    journal,
                    batch=options.batch_size,
                    parallel=options.parallel,
                    tell=lambda now: bar.tell(now.position, now.points),
                )
            except KeyboardInterrupt as stopped:
                text = f"interrupted; the same command goes on from {journal.path}"
                raise CommandFailed(text, status=INTERRUPTED) from stopped
    bar.conclude(options, "imported", done.points)
    return OK


def _beside(path: Path, collection: str) -> Path:
    return path.with_name(f"{path.name}.{collection}.import")


def _job(options: argparse.Namespace, form: str, reading: Reading) -> dict[str, Any]:
    """What must be the same for a job to be gone on with."""
    found = options.source.stat()
    named = [f"{name}={column}" for name, column in sorted(reading.vectors.items())]
    return {
        "command": "import",
        "collection": options.collection,
        "source": str(options.source.resolve()),
        "changed_ns": found.st_mtime_ns,
        "format": form,
        "first_id": reading.first_id,
        "columns": [reading.id_column, reading.payload_column, reading.vector_name, *named],
        "ids": None if reading.ids is None else str(reading.ids.resolve()),
    }


def _named_column(text: str) -> tuple[str, str]:
    """Raises: CommandFailed."""
    name, separator, column = text.rpartition("=")
    if separator and not column:
        raise CommandFailed(f"--vector-column {text} names no column", status=MISUSED)
    return name, column
