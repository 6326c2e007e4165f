"""From what a client asks to what the log holds: pure, given lookups into the state before the change.

Lives here: update modes, conditions, filters and missing ids (reference 8.3-8.5), points that are not there
for whoever asks, repeated ids, the check of
vector names and dimensions that comes before a change is accepted.
May not live here: the log, sequence numbers, storage.

Invariants: a resolved operation names ids only, each at most once; resolving the same change against the
same state gives the same operation; a change that asks for nothing becomes ``Noop``, never an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from protos.errors import (
    BadInput,
    Forbidden,
    VecraftError,
    point_not_found,
    vector_name_not_found,
)
from protos.filters import Filter
from protos.ids import PointId
from protos.json_path import parse_path
from protos.operations import (
    AnyLogOperation,
    ClearPayload,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    DropPayloadKeys,
    EmptyPayload,
    MergePayload,
    Noop,
    OverwritePayload,
    PointChange,
    PutPoints,
    PutVectors,
    RemovePoints,
    RemoveVectors,
    ReplacePayload,
    SetPayload,
    UpdateMode,
    UpdateVectors,
    Upsert,
    VectorBatch,
    VectorShape,
    check_shape,
)

Positions = npt.NDArray[np.int64]


class Lookups(Protocol):
    """The state a change meets: all that was accepted before it."""

    def exist(self, ids: Sequence[PointId]) -> list[bool]: ...

    def matching(self, filter: Filter) -> list[PointId]:
        """Every point that matches, ids ascending."""
        ...

    def matching_of(self, filter: Filter, ids: Sequence[PointId]) -> set[PointId]:
        """Those of ``ids`` that exist and match."""
        ...

    def versions(self, ids: Sequence[PointId]) -> list[int | None]:
        """None: there is no such point."""
        ...


class Resolution(NamedTuple):
    """``operation`` is logged even with an ``error``: what came before a missing id stays changed."""

    operation: AnyLogOperation
    error: VecraftError | None = None


def depends_on_points(change: PointChange) -> bool:
    """Does resolving ``change`` look at points, for a filter or their versions (rather than at ids alone)?"""
    if change.within is not None:
        return True
    if isinstance(change, Upsert | DeletePoints) and change.at_versions is not None:
        return True
    match change:
        case Upsert() | UpdateVectors():
            return change.condition is not None
        case SetPayload() | OverwritePayload() | DeletePayload() | ClearPayload():
            return change.ids is None
        case DeletePoints() | DeleteVectors():
            return change.filter is not None


def check(change: PointChange, shapes: Mapping[str, VectorShape]) -> None:
    """Refuse what could not be applied.

    Raises: BadInput for a vector name that is not in ``shapes``, or a vector of another kind or dimension;
    MalformedBody for a path that breaks the grammar.
    """
    for path in _paths(change):
        parse_path(path)
    if isinstance(change, DeleteVectors):
        for name in change.names:
            if name not in shapes:
                raise vector_name_not_found(name)
    if not isinstance(change, Upsert | UpdateVectors):
        return
    for batch in change.vectors:
        expected = shapes.get(batch.name)
        if expected is None:
            raise vector_name_not_found(batch.name)
        check_shape(batch.shape, expected)


def _paths(change: PointChange) -> tuple[str, ...]:
    if isinstance(change, DeletePayload):
        return change.paths
    if isinstance(change, SetPayload) and change.path is not None:
        return (change.path,)
    return ()


def resolve(change: PointChange, lookups: Lookups) -> Resolution:
    """Resolve ``change``, which has passed ``check``."""
    if change.within is not None:
        if isinstance(change, Upsert) and change.mode is not UpdateMode.UPDATE_ONLY:
            _check_own(change.ids, change.within, lookups)
        lookups = _Within(lookups, change.within)
    match change:
        case Upsert():
            return _upsert(change, lookups)
        case DeletePoints():
            return _delete_points(change, lookups)
        case UpdateVectors():
            return _update_vectors(change, lookups)
        case DeleteVectors():
            return _delete_vectors(change, lookups)
        case _:
            return _payload(change, lookups)


class _Within:
    """The points that match a filter, as if there were no others."""

    def __init__(self, inner: Lookups, own: Filter) -> None:
        self._inner, self._own = inner, own

    def exist(self, ids: Sequence[PointId]) -> list[bool]:
        own = self._inner.matching_of(self._own, ids)
        return [point_id in own for point_id in ids]

    def matching(self, filter: Filter) -> list[PointId]:
        return self._inner.matching(Filter(must=(filter, self._own)))

    def matching_of(self, filter: Filter, ids: Sequence[PointId]) -> set[PointId]:
        return self._inner.matching_of(Filter(must=(filter, self._own)), ids)

    def versions(self, ids: Sequence[PointId]) -> list[int | None]:
        own = self._inner.matching_of(self._own, ids)
        found = zip(ids, self._inner.versions(ids), strict=True)
        return [version if point_id in own else None for point_id, version in found]


def _check_own(ids: Sequence[PointId], own: Filter, lookups: Lookups) -> None:
    """Raises: Forbidden if a point would be replaced that does not match ``own``."""
    present = [point_id for point_id, there in zip(ids, lookups.exist(ids), strict=True) if there]
    strangers = set(present) - lookups.matching_of(own, present)
    if strangers:
        strange = next(point_id for point_id in present if point_id in strangers)
        raise Forbidden(f"Point {strange} exists, but not for this token")


def _upsert(change: Upsert, lookups: Lookups) -> Resolution:
    keep = _last_of_each(change.ids)
    if change.at_versions is not None:
        keep = keep[_at_versions(change.ids, change.at_versions, lookups)[keep]]
    if change.mode is not UpdateMode.UPSERT or change.condition is not None:
        keep = _wanted(change, keep, lookups)
    if len(keep) == len(change.ids):
        return Resolution(PutPoints(change.ids, change.vectors, change.payloads))
    if len(keep) == 0:
        return Resolution(Noop())
    order = keep.tolist()
    return Resolution(
        PutPoints(
            [change.ids[i] for i in order],
            _select(change.vectors, keep, len(change.ids)),
            [change.payloads[i] for i in order],
        )
    )


def _at_versions(ids: list[PointId], versions: list[int | None], lookups: Lookups) -> npt.NDArray[np.bool_]:
    """Which of ``ids`` have the versions that they must have."""
    found = zip(lookups.versions(ids), versions, strict=True)
    return np.array([version == wanted for version, wanted in found], dtype=bool)


def _last_of_each(ids: list[PointId]) -> Positions:
    last = {point_id: position for position, point_id in enumerate(ids)}
    return np.fromiter(sorted(last.values()), dtype=np.int64, count=len(last))


def _wanted(change: Upsert, keep: Positions, lookups: Lookups) -> Positions:
    ids = [change.ids[i] for i in keep.tolist()]
    present = np.array(lookups.exist(ids), dtype=bool)
    if change.mode is UpdateMode.INSERT_ONLY:
        inserted: Positions = keep[~present]
        return inserted
    wanted = np.ones(len(ids), dtype=bool) if change.mode is UpdateMode.UPSERT else present.copy()
    if change.condition is not None:
        matching = lookups.matching_of(change.condition, ids)
        wanted &= ~present | np.array([i in matching for i in ids], dtype=bool)
    chosen: Positions = keep[wanted]
    return chosen


def _delete_points(change: DeletePoints, lookups: Lookups) -> Resolution:
    ids = lookups.matching(change.filter) if change.filter is not None else []
    if change.ids is not None:
        ids = list(dict.fromkeys([*ids, *change.ids]))
    if change.at_versions is not None:
        kept = _at_versions(ids, change.at_versions, lookups)
        ids = [point_id for point_id, keep in zip(ids, kept.tolist(), strict=True) if keep]
    found = [i for i, there in zip(ids, lookups.exist(ids), strict=True) if there]
    return Resolution(RemovePoints(found) if found else Noop())


def _update_vectors(change: UpdateVectors, lookups: Lookups) -> Resolution:
    found, error = _until_missing(change.ids, lookups)
    chosen = set(found)
    if change.condition is not None:
        chosen = lookups.matching_of(change.condition, found)
    targets = list(dict.fromkeys(i for i in found if i in chosen))
    # After the miss a repeated id would still name a chosen point: only positions before it count.
    vectors = _merge(change.vectors, change.ids, targets, positions=len(found))
    return Resolution(PutVectors(targets, vectors) if targets and vectors else Noop(), error)


def _delete_vectors(change: DeleteVectors, lookups: Lookups) -> Resolution:
    if change.ids is None and change.filter is None:
        raise BadInput("No filter or points provided")
    ids = lookups.matching(change.filter) if change.filter is not None else []
    found, error = _until_missing(change.ids or [], lookups)
    ids = list(dict.fromkeys([*ids, *found]))
    return Resolution(RemoveVectors(ids, change.names) if ids and change.names else Noop(), error)


def _payload(
    change: SetPayload | OverwritePayload | DeletePayload | ClearPayload, lookups: Lookups
) -> Resolution:
    error: VecraftError | None = None
    if change.ids is not None:
        ids, error = _until_missing(change.ids, lookups)
        ids = list(dict.fromkeys(ids))
    elif change.filter is not None:
        ids = lookups.matching(change.filter)
    else:
        raise BadInput("No filter or points provided")
    if not ids:
        return Resolution(Noop(), error)
    match change:
        case SetPayload():
            return Resolution(MergePayload(ids, change.payload, change.path), error)
        case OverwritePayload():
            return Resolution(ReplacePayload(ids, change.payload), error)
        case DeletePayload():
            return Resolution(DropPayloadKeys(ids, change.paths), error)
        case ClearPayload():
            return Resolution(EmptyPayload(ids), error)


def _until_missing(ids: list[PointId], lookups: Lookups) -> tuple[list[PointId], VecraftError | None]:
    present = lookups.exist(ids)
    if all(present):
        return ids, None
    missing = present.index(False)
    return ids[:missing], point_not_found(ids[missing])


def _select(vectors: tuple[VectorBatch, ...], keep: Positions, points: int) -> tuple[VectorBatch, ...]:
    """The batches for the points at positions ``keep``, in that order."""
    picked = (_pick(batch, batch.row_of_point(points)[keep]) for batch in vectors)
    return tuple(batch for batch in picked if batch is not None)


def _merge(
    vectors: tuple[VectorBatch, ...], ids: list[PointId], targets: list[PointId], *, positions: int
) -> tuple[VectorBatch, ...]:
    """The batches for ``targets``; of a name given twice to one point, the last row counts."""
    if targets == ids:
        return vectors
    target_of = {point_id: target for target, point_id in enumerate(targets)}
    owner = np.fromiter((target_of.get(i, -1) for i in ids[:positions]), dtype=np.int64, count=positions)
    merged = []
    for batch in vectors:
        rows = batch.row_of_point(len(ids))[:positions]
        given = (rows >= 0) & (owner >= 0)
        table = np.full(len(targets), -1, dtype=np.int64)
        np.maximum.at(table, owner[given], rows[given])
        merged.append(_pick(batch, table))
    return tuple(batch for batch in merged if batch is not None)


def _pick(batch: VectorBatch, table: Positions) -> VectorBatch | None:
    """The batch whose point i has row ``table[i]`` of ``batch``; None if no point has any."""
    owners = np.flatnonzero(table >= 0)
    return batch.select(table[owners], owners, len(table)) if len(owners) else None
