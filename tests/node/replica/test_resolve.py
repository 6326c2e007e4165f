"""Changes and the log operations they become (reference 8.3-8.5)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from node.replica.resolve import Resolution, check, depends_on_points, resolve
from protos.errors import BadInput, Forbidden, NotFound
from protos.filters import Filter, HasId
from protos.ids import PointId
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
    VectorKind,
    VectorShape,
)


class Stored:
    """Points 1, 2, 3 exist; a filter matches the existing ids that its HasId names."""

    def __init__(self, *ids: PointId) -> None:
        self.ids = set(ids or (1, 2, 3))

    def exist(self, ids: Sequence[PointId]) -> list[bool]:
        return [i in self.ids for i in ids]

    def matching(self, filter: Filter) -> list[PointId]:
        return [i for i in sorted(self.ids, key=str) if i in named(filter)]

    def matching_of(self, filter: Filter, ids: Sequence[PointId]) -> set[PointId]:
        return set(self.matching(filter)) & set(ids)

    def versions(self, ids: Sequence[PointId]) -> list[int | None]:
        return [7 if i in self.ids else None for i in ids]


ONE = VectorShape(VectorKind.DENSE, 1)


def named(filter: Filter) -> tuple[PointId, ...]:
    """The ids that all conditions name."""
    assert filter.must is not None
    ids: list[tuple[PointId, ...]] = []
    for condition in filter.must:
        assert isinstance(condition, HasId | Filter)
        ids.append(named(condition) if isinstance(condition, Filter) else condition.ids)
    return tuple(i for i in ids[0] if all(i in others for others in ids))


def only(*ids: PointId) -> Filter:
    return Filter(must=(HasId(ids),))


def vectors(values: list[float], *, rows: list[int] | None = None, name: str = "") -> VectorBatch:
    data = np.array(values, dtype="<f4").tobytes()
    return VectorBatch(name, 1, data, b"" if rows is None else np.array(rows, dtype="<u4").tobytes())


def upsert(ids: list[PointId], **more: object) -> Upsert:
    payloads = [b'{"n":%d}' % position for position in range(len(ids))]
    given = {"vectors": (vectors([float(i) for i in range(len(ids))]),), "payloads": payloads} | more
    return Upsert(ids=ids, **given)  # type: ignore[arg-type]


def found(resolution: Resolution) -> dict[PointId, tuple[float | None, bytes]]:
    """{id: (its value of the first vector, payload)} of a put."""
    operation = resolution.operation
    assert isinstance(operation, PutPoints)
    rows = operation.vectors[0].row_of_point(len(operation.ids)) if operation.vectors else []
    values = [float(operation.vectors[0].matrix()[row, 0]) if row >= 0 else None for row in rows]
    return dict(zip(operation.ids, zip(values, operation.payloads, strict=True), strict=True))


def test_a_plain_upsert_passes_through_without_a_copy() -> None:
    change = upsert([7, 1])
    operation = resolve(change, Stored()).operation
    assert isinstance(operation, PutPoints)
    assert operation.vectors is change.vectors


def test_of_a_repeated_id_the_last_wins() -> None:
    resolution = resolve(upsert([7, 8, 7]), Stored())
    assert found(resolution) == {8: (1.0, b'{"n":1}'), 7: (2.0, b'{"n":2}')}


def test_the_last_of_a_repeated_id_wins_even_without_a_vector() -> None:
    change = upsert([7, 8, 7], vectors=(vectors([5.0, 6.0], rows=[0, 1]),))
    assert found(resolve(change, Stored())) == {8: (6.0, b'{"n":1}'), 7: (None, b'{"n":2}')}


def test_vector_names_that_no_kept_point_has_are_left_out() -> None:
    change = upsert([7, 8, 7], vectors=(vectors([5.0], rows=[0], name="a"),))
    operation = resolve(change, Stored()).operation
    assert isinstance(operation, PutPoints)
    assert operation.vectors == ()


def test_insert_only_skips_points_that_exist() -> None:
    resolution = resolve(upsert([1, 9], mode=UpdateMode.INSERT_ONLY, condition=only(1)), Stored())
    assert found(resolution) == {9: (1.0, b'{"n":1}')}


def test_update_only_skips_points_that_do_not_exist() -> None:
    resolution = resolve(upsert([1, 9], mode=UpdateMode.UPDATE_ONLY), Stored())
    assert found(resolution) == {1: (0.0, b'{"n":0}')}


def test_a_condition_spares_existing_points_and_lets_new_ones_in() -> None:
    resolution = resolve(upsert([1, 2, 9], condition=only(2)), Stored())
    assert list(found(resolution)) == [2, 9]


def test_a_condition_with_update_only_lets_no_new_point_in() -> None:
    change = upsert([1, 2, 9], condition=only(2), mode=UpdateMode.UPDATE_ONLY)
    assert list(found(resolve(change, Stored()))) == [2]


def test_an_upsert_that_touches_nothing_is_no_error() -> None:
    resolution = resolve(upsert([9], mode=UpdateMode.UPDATE_ONLY), Stored())
    assert resolution == Resolution(Noop())


def test_deleting_ignores_unknown_and_repeated_ids() -> None:
    assert resolve(DeletePoints(ids=[9, 2, 2, 1]), Stored()) == Resolution(RemovePoints([2, 1]))
    assert resolve(DeletePoints(ids=[9]), Stored()) == Resolution(Noop())


def test_deleting_by_filter_names_the_matching_ids() -> None:
    assert resolve(DeletePoints(filter=only(3, 9)), Stored()) == Resolution(RemovePoints([3]))


def test_updating_vectors_of_a_missing_point_keeps_what_came_before() -> None:
    change = UpdateVectors([1, 9, 2], (vectors([1.0, 2.0, 3.0]),))
    resolution = resolve(change, Stored())
    assert resolution.operation == PutVectors([1], (vectors([1.0]),))
    assert isinstance(resolution.error, NotFound)
    assert str(resolution.error) == "Not found: No point with id 9 found"


def test_repeated_ids_merge_their_vectors_by_name() -> None:
    batches = (vectors([1.0, 2.0], rows=[0, 2], name="a"), vectors([3.0], rows=[1], name="b"))
    operation = resolve(UpdateVectors([1, 1, 1], batches), Stored()).operation
    assert operation == PutVectors([1], (vectors([2.0], name="a"), vectors([3.0], name="b")))


def test_a_repeat_after_a_missing_point_does_not_count() -> None:
    change = UpdateVectors([1, 9, 1], (vectors([1.0, 2.0, 3.0]),))
    assert resolve(change, Stored()).operation == PutVectors([1], (vectors([1.0]),))


def test_a_condition_limits_whose_vectors_are_updated() -> None:
    change = UpdateVectors([1, 2], (vectors([1.0, 2.0]),), condition=only(2))
    assert resolve(change, Stored()) == Resolution(PutVectors([2], (vectors([2.0]),)))


def test_deleting_vectors_executes_both_selectors_filter_first() -> None:
    change = DeleteVectors(("a",), ids=[1, 3], filter=only(3, 2))
    assert resolve(change, Stored()).operation == RemoveVectors([2, 3, 1], ("a",))


def test_deleting_vectors_needs_a_selector() -> None:
    with pytest.raises(BadInput, match="No filter or points provided"):
        resolve(DeleteVectors(("a",)), Stored())


@pytest.mark.parametrize(
    ("change", "operation"),
    [
        (SetPayload(b'{"a":1}', "k", ids=[2, 1, 2]), MergePayload([2, 1], b'{"a":1}', "k")),
        (SetPayload(b"{}", ids=[1], filter=only(2)), MergePayload([1], b"{}")),
        (SetPayload(b"{}", filter=only(2)), MergePayload([2], b"{}")),
        (OverwritePayload(b"{}", ids=[1], filter=only(2)), ReplacePayload([1], b"{}")),
        (DeletePayload(("a",), ids=[1], filter=only(2)), DropPayloadKeys([1], ("a",))),
        (ClearPayload(ids=[1]), EmptyPayload([1])),
        (ClearPayload(filter=only(9)), Noop()),
    ],
)
def test_payload_changes_take_the_listed_points_or_else_the_filter(change: object, operation: object) -> None:
    assert resolve(change, Stored()) == Resolution(operation)  # type: ignore[arg-type]


def test_a_payload_change_stops_at_a_missing_point() -> None:
    resolution = resolve(SetPayload(b"{}", ids=[2, 9, 1]), Stored())
    assert resolution.operation == MergePayload([2], b"{}")
    assert str(resolution.error) == "Not found: No point with id 9 found"


def test_an_unknown_vector_name_is_refused() -> None:
    with pytest.raises(BadInput, match="Wrong input: Not existing vector name error: b"):
        check(upsert([1], vectors=(vectors([1.0], name="b"),)), {"a": ONE})
    with pytest.raises(BadInput, match="Not existing vector name error: b"):
        check(DeleteVectors(("b",), ids=[1]), {"a": ONE})


def test_a_vector_of_another_kind_is_refused() -> None:
    with pytest.raises(BadInput, match="Conversion between sparse and regular vectors failed"):
        check(UpdateVectors([1], (vectors([1.0]),)), {"": VectorShape(VectorKind.SPARSE, 0)})
    with pytest.raises(BadInput, match="Conversion between multi and regular vectors failed"):
        check(UpdateVectors([1], (vectors([1.0]),)), {"": VectorShape(VectorKind.MULTI, 1)})


def test_a_wrong_dimension_is_refused() -> None:
    with pytest.raises(BadInput, match="Wrong input: Vector dimension error: expected dim: 3, got 1"):
        check(UpdateVectors([1], (vectors([1.0]),)), {"": VectorShape(VectorKind.DENSE, 3)})


def test_only_changes_that_evaluate_a_filter_depend_on_one() -> None:
    assert not depends_on_points(upsert([1]))
    assert depends_on_points(upsert([1], condition=only(1)))
    assert not depends_on_points(SetPayload(b"{}", ids=[1], filter=only(1)))
    assert depends_on_points(ClearPayload(filter=only(1)))
    assert depends_on_points(DeleteVectors(("a",), ids=[1], filter=only(1)))
    assert not depends_on_points(DeletePoints(ids=[1]))


# --- points that are there for some only -------------------------------------------------------------------

OWN = only(1, 2, 7)


@pytest.mark.parametrize(
    ("change", "operation"),
    [
        (DeletePoints(ids=[1, 3], within=OWN), RemovePoints([1])),
        (DeletePoints(filter=only(2, 3), within=OWN), RemovePoints([2])),
        (DeletePoints(ids=[3], within=OWN), Noop()),
        (SetPayload(b"{}", ids=[2], filter=only(3), within=OWN), MergePayload([2], b"{}")),
        (SetPayload(b"{}", filter=only(1, 2, 3), within=OWN), MergePayload([1, 2], b"{}")),
        (OverwritePayload(b"{}", filter=only(3), within=OWN), Noop()),
        (DeletePayload(("a",), ids=[1], within=OWN), DropPayloadKeys([1], ("a",))),
        (ClearPayload(filter=only(2, 3), within=OWN), EmptyPayload([2])),
        (DeleteVectors(("",), ids=[1], filter=only(2, 3), within=OWN), RemoveVectors([2, 1], ("",))),
        (UpdateVectors([1], (vectors([5.0]),), within=OWN), PutVectors([1], (vectors([5.0]),))),
        (UpdateVectors([2], (vectors([5.0]),), condition=only(1), within=OWN), Noop()),
        (Upsert([1, 9], (), [b"{}", b"{}"], within=OWN), PutPoints([1, 9], (), [b"{}", b"{}"])),
        (
            Upsert([1, 3, 9], (), [b"1", b"3", b"9"], mode=UpdateMode.UPDATE_ONLY, within=OWN),
            PutPoints([1], (), [b"1"]),
        ),
        (
            Upsert([1, 9], (), [b"1", b"9"], mode=UpdateMode.INSERT_ONLY, within=OWN),
            PutPoints([9], (), [b"9"]),
        ),
    ],
)
def test_points_outside_are_as_if_they_were_not_there(
    change: PointChange, operation: AnyLogOperation
) -> None:
    assert depends_on_points(change)
    assert resolve(change, Stored()) == Resolution(operation)


@pytest.mark.parametrize(
    "change",
    [
        SetPayload(b"{}", ids=[1, 3], within=OWN),
        DeletePayload(("a",), ids=[1, 3], within=OWN),
        UpdateVectors([1, 3], (vectors([5.0, 6.0]),), within=OWN),
    ],
)
def test_a_point_outside_is_missing_like_one_that_does_not_exist(change: PointChange) -> None:
    resolution = resolve(change, Stored())
    assert isinstance(resolution.error, NotFound)
    assert resolution.operation.ids == [1]  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", [UpdateMode.UPSERT, UpdateMode.INSERT_ONLY])
@pytest.mark.parametrize("condition", [None, only(1)])
def test_a_point_outside_is_never_replaced_nor_passed_over_in_silence(
    mode: UpdateMode, condition: Filter | None
) -> None:
    change = Upsert([9, 3], (), [b"{}", b"{}"], mode=mode, condition=condition, within=OWN)
    with pytest.raises(Forbidden, match="Point 3 exists"):
        resolve(change, Stored())


def test_only_points_at_the_versions_named_are_written_and_removed() -> None:
    change = msgspec.structs.replace(upsert([1, 2, 3, 4]), at_versions=[7, 6, None, 7])
    resolved = resolve(change, Stored(1, 2)).operation
    assert isinstance(resolved, PutPoints)
    assert resolved.ids == [1, 3]
    assert depends_on_points(change)
    removal = DeletePoints(ids=[1, 2, 3], at_versions=[7, 6, None])
    assert resolve(removal, Stored(1, 2)).operation == RemovePoints([1])
    assert depends_on_points(removal)
    assert resolve(DeletePoints(ids=[1], at_versions=[5]), Stored(1)).operation == Noop()
