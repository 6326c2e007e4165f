"""What the builder process is asked to make, and what it answers. JSON on its stdin and stdout.

Every job reads finished segments and makes one new directory, ``target``. Sources stay as they are.
Packed bits in jobs count a source's own rows.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from node.index import Code, GraphParams, SparseParams
from node.segments.schema import VectorSchema
from node.segments.values import ValueGraphParams, ValueGroup

NICENESS = 10


class Source(Struct, frozen=True):
    """A finished segment's directory, its live rows as packed bits (None: all), and vector names to leave
    out: those removed since, which may have been made again meanwhile. ``order``: its rows as little-endian
    uint32, in the order in which a compaction is to lay them out; None: as they are."""

    directory: str
    live: bytes | None = None
    hidden: tuple[str, ...] = ()
    order: bytes | None = None


class BuildJob(Struct, frozen=True, tag=True, kw_only=True):
    """
    Attributes:
        target: directory to make; its name is the new segment's id, its parent exists.
        graphs: by vector name; names left out get none. The largest graph among the sources is continued if
            it has such links; a graph built anew holds no dead rows.
        value_graphs: likewise, of values of payload fields; ``groups`` tells which slots have which value.
            They are always built anew.
        sparse: likewise the inverted indexes of sparse vectors.
        threads: for the graphs. ``memory_bytes``: refuse to start if more would be needed; None: no limit.
    """

    target: str
    graphs: dict[str, GraphParams] = {}
    value_graphs: dict[str, ValueGraphParams] = {}
    groups: tuple[ValueGroup, ...] = ()
    sparse: dict[str, SparseParams] = {}
    threads: int = 1
    memory_bytes: int | None = None
    niceness: int = NICENESS


class IndexJob(BuildJob, frozen=True, tag="index", kw_only=True):
    """The same rows with other graphs. Vector files are shared with the source by hard links."""

    source: Source


class MergeJob(BuildJob, frozen=True, tag="merge", kw_only=True):
    """One segment for the slots from the first source's start to the last one's end, ascending and without
    overlap; slots between them get no vectors. ``schemas``: names to keep or to add (absent everywhere)."""

    sources: tuple[Source, ...]
    schemas: tuple[VectorSchema, ...]


class CompactJob(BuildJob, frozen=True, tag="compact", kw_only=True):
    """The live rows of the sources, each in its order, at slots from ``start`` (a multiple of 64). What comes
    of it tells where each row was (``old_slots``)."""

    sources: tuple[Source, ...]
    schemas: tuple[VectorSchema, ...]
    start: int


class GraphResult(Struct, frozen=True):
    """``continued``: of its nodes, those whose links come from a former graph."""

    name: str
    code: Code
    nodes: int
    seconds: float
    continued: int = 0


class BuildResult(Struct, frozen=True, tag="done"):
    """The finished, durable directory: open it with ``SealedSegment.open``."""

    directory: str
    start: int
    rows: int
    graphs: tuple[GraphResult, ...] = ()
    seconds: float = 0.0


class TooLarge(Struct, frozen=True, tag="too_large"):
    needed: int
    limit: int


AnyJob = IndexJob | MergeJob | CompactJob
Answer = BuildResult | TooLarge

encode = msgspec.json.encode
_jobs: msgspec.json.Decoder[AnyJob] = msgspec.json.Decoder(AnyJob)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def decode_job(data: bytes) -> AnyJob:
    return _jobs.decode(data)


def decode_answer(data: bytes) -> Answer:
    """Raises: msgspec.DecodeError."""
    return _answers.decode(data)
