"""All payload indexes of a shard: the writer's ``Columns`` and the immutable ``ColumnsView``.

Lives here: creating and dropping indexes, handing each changed slot to them, finding the one for a path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from node.bits import PackedBits, Slots
from node.filter.columns import files
from node.filter.columns.base import Values
from node.filter.columns.column import Column
from node.filter.columns.draft import Draft, Payload
from node.filter.columns.files import Manifest
from node.filter.columns.groups import groups
from node.filter.columns.ordering import ordered
from node.filter.columns.sizes import IndexMemory
from node.filter.columns.tally import Tally, tally
from node.filter.columns.view import ColumnView
from protos.collections import IntegerIndexParams, Memory, PayloadIndexParams
from protos.errors import BadInput
from protos.facets import FacetValue, can_count, no_facet_index
from protos.json_path import JsonPath, Step, parse_path
from protos.shard import Direction

_CHUNK = 16_384


class ColumnsView:
    """The payload indexes of one view. ``fields`` holds the parameters by field name."""

    def __init__(self, columns: Mapping[str, ColumnView]) -> None:
        self._columns = columns
        self._by_path: dict[tuple[Step, ...], ColumnView] = {
            parse_path(field).steps: column for field, column in columns.items()
        }

    @property
    def fields(self) -> dict[str, PayloadIndexParams]:
        return {field: column.params for field, column in self._columns.items()}

    def points(self, field: str) -> int:
        """How many points have at least one indexed value."""
        return self._columns[field].points

    def memory(self) -> dict[str, IndexMemory]:
        """What each index takes, by field."""
        return {field: column.memory() for field, column in self._columns.items()}

    def column(self, path: JsonPath) -> ColumnView | None:
        return self._by_path.get(path.steps)

    def order(
        self, field: str, direction: Direction, start_from: float | None, allowed: PackedBits
    ) -> tuple[Values, Slots]:
        """All entries of ``allowed`` slots in the order of their values; see ``order_chunks``."""
        parts = list(self.order_chunks(field, direction, start_from, allowed))
        if not parts:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        values, slots = (np.concatenate(side) for side in zip(*parts, strict=True))
        return values, slots

    def order_chunks(
        self,
        field: str,
        direction: Direction,
        start_from: float | None,
        allowed: PackedBits,
        *,
        chunk: int = _CHUNK,
    ) -> Iterator[tuple[Values, Slots]]:
        """Parts of (values, slots) from ``start_from`` (inclusive), read as far as the caller needs.

        Equal values are never split between parts; ties come in any order. A slot with several values
        has an entry for each.
        Raises: BadInput if the field has no index that can order (reference 1.3, 9.2).
        """
        column = self.column(parse_path(field))
        if column is None or not _can_order(column):
            raise BadInput(
                f"No range index for `order_by` key: `{field}`. Please create one to use `order_by`."
                " Indexes of type integer (with range), float and datetime can order."
            )
        return ordered(
            column, allowed, descending=direction is Direction.DESC, start_from=start_from, chunk=chunk
        )

    def tally(self, field: str, counting: Callable[[], PackedBits | None], limit: int | None) -> Tally:
        """How many slots have each value of ``field``; see ``node.filter.columns.tally``.

        Raises: BadInput if it has no index that can tell, before ``counting`` is called.
        """
        column = self.column(parse_path(field))
        if column is None or not can_count(column.params):
            raise no_facet_index(field)
        return tally(column, counting(), limit)

    def groups(self, field: str, among: PackedBits, least: int) -> Iterator[tuple[FacetValue, Slots]]:
        """Each value of ``field`` that at least ``least`` of ``among`` have, with those slots, ascending.

        None if it has no index that tells values apart.
        """
        column = self.column(parse_path(field))
        if column is not None and can_count(column.params):
            yield from groups(column, among, least)

    def save(self, directory: Path) -> Manifest:
        """Write what is not on disk yet, durably; the manifest names every file the view needs.

        Safe in any thread, beside later changes; one save of a directory at a time.
        """
        return files.save(self._columns, directory)


def _can_order(column: ColumnView) -> bool:
    params = column.params
    return column.kind.ordered and not (isinstance(params, IntegerIndexParams) and params.range is False)


class Columns:
    """The writer's side; one thread changes it."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self._drafts: dict[str, Draft] = {}
        self._view: ColumnsView | None = None

    @classmethod
    def load(cls, directory: Path, manifest: Manifest, ceiling: Memory = Memory.PINNED) -> Columns:
        """The columns a manifest describes. Bases are mapped, and read ahead unless their placement or
        ``ceiling`` says otherwise.

        Raises: ColumnsCorrupted if a file is missing or not what was saved.
        """
        columns = cls()
        columns._columns = {
            field: Column.restored(field, view)
            for field, view in files.load(directory, manifest, ceiling).items()
        }
        return columns

    @property
    def fields(self) -> dict[str, PayloadIndexParams]:
        return {field: column.params for field, column in self._columns.items()}

    @property
    def outdated(self) -> list[str]:
        """Fields of indexes read from a former format that hold less than their kind does now."""
        return [field for field, column in self._columns.items() if column.outdated]

    def draft(self, field: str, params: PayloadIndexParams) -> Draft | None:
        """Begin an index beside the writer, which is told of ``touched`` slots from now on.

        None: there is such an index, or a draft of the field. Raises: MalformedBody if ``field`` is no path.
        """
        if self._current(field, params) is not None or field in self._drafts:
            return None
        self._drafts[field] = Draft(field, params)
        return self._drafts[field]

    def touched(self, slots: Iterable[int]) -> None:
        """Slots came, went, or have another payload."""
        for draft in self._drafts.values():
            draft.miss(slots)

    def forget(self, draft: Draft) -> None:
        if self._drafts.get(draft.field) is draft:
            del self._drafts[draft.field]

    def built(
        self,
        field: str,
        params: PayloadIndexParams,
        scan: Iterable[tuple[int, Payload]],
        payloads_at: Callable[[Sequence[int]], Sequence[Payload | None]] | None = None,
    ) -> Column:
        """An index of ``field`` over ``scan``, every live slot with its payload; ``install`` puts it to use.

        An index with the same parameters that is not outdated is returned as it is, a finished draft takes in
        what it missed, if that can be looked up; ``scan`` is not read then.
        Raises: MalformedBody if ``field`` is no path.
        """
        present = self._current(field, params)
        if present is not None:
            return present
        draft = self._drafts.pop(field, None)
        if draft is not None and draft.complete and draft.params == params and payloads_at is not None:
            missed = draft.missed()
            draft.catch_up(missed, payloads_at(missed))
            return draft.column
        draft = Draft(field, params)
        draft.fill(scan)
        return draft.column

    def _current(self, field: str, params: PayloadIndexParams) -> Column | None:
        present = self._columns.get(field)
        return present if present and present.params == params and not present.outdated else None

    def install(self, column: Column) -> None:
        """Use ``column``, which no change may have missed since it was built, for its field from now on."""
        self._columns[column.field] = column
        self._view = None

    def drop(self, field: str) -> None:
        """Forget the index, if there is one."""
        if self._columns.pop(field, None) is not None:
            self._view = None

    def put(self, slots: Sequence[int], payloads: Sequence[dict[str, Any]]) -> None:
        """Take the values of distinct slots from their payloads, new or changed."""
        for column in self._columns.values():
            column.put(slots, payloads)

    def remove(self, slots: Sequence[int]) -> None:
        """Forget slots that are no longer the current versions of points."""
        for column in self._columns.values():
            column.remove(slots)

    def rebuild(self) -> None:
        """Merge everything recent, now: for columns that were filled and are to be saved."""
        for column in self._columns.values():
            column.rebuild()

    def view(self) -> ColumnsView:
        """What the indexes hold now, unaffected by later changes."""
        views = {field: column.view() for field, column in self._columns.items()}
        if self._view is None or any(self._view._columns[field] is not view for field, view in views.items()):
            self._view = ColumnsView(views)
        return self._view

    def save(self, directory: Path) -> Manifest:
        return self.view().save(directory)
