from __future__ import annotations

import json
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings

from node import bits
from node.filter.columns import Columns, ColumnsCorrupted, Manifest, needs_rebuild, verify
from node.filter.evaluate import evaluate
from protos.collections import (
    DatetimeIndexParams,
    FloatIndexParams,
    GeoIndexParams,
    IntegerIndexParams,
    KeywordIndexParams,
    PayloadIndexParams,
    TextIndexParams,
    UuidIndexParams,
)
from protos.errors import BadInput
from protos.filters import decode_filter
from protos.shard import Direction
from tests.node.filter.shard import Shard
from tests.node.filter.test_evaluate import indexes, run, some_filters, steps

ALL = np.full(64, 0xFF, dtype=np.uint8)


def with_values(params: PayloadIndexParams, values: list[Any]) -> Columns:
    """Slot i has the i-th value at ``k``."""
    columns = Columns()
    columns.install(columns.built("k", params, ()))
    for slot, value in enumerate(values):
        columns.put([slot], [{"k": value}])
    return columns


@pytest.mark.parametrize(
    ("params", "values", "points"),
    [
        (KeywordIndexParams(), ["a", 1, None, ["b", "c"], [], "a"], 3),
        (IntegerIndexParams(), [1, 1.0, "1", True, 2**63, [2, "x"]], 2),
        (FloatIndexParams(), [1, 1.5, "1", True, None], 2),
        (DatetimeIndexParams(), ["2020-01-01", "soon", 5], 1),
        (UuidIndexParams(), ["550e8400-e29b-41d4-a716-446655440000", "x"], 1),
        (TextIndexParams(), ["some words", 5], 1),
    ],
)
def test_points_counts_those_with_a_value_of_the_index_type(
    params: PayloadIndexParams, values: list[Any], points: int
) -> None:
    columns = with_values(params, values)
    assert columns.view().points("k") == points
    for slot in range(len(values)):
        columns.remove([slot])
    assert columns.view().points("k") == 0


def test_creating_scans_what_is_there_and_again_with_other_parameters_scans_anew() -> None:
    columns = Columns()
    scan = [(0, {"k": 1}), (1, {"k": 2}), (2, {})]
    columns.install(columns.built("k", IntegerIndexParams(), scan))
    assert columns.view().points("k") == 2
    columns.install(columns.built("k", IntegerIndexParams(), []))
    assert columns.view().points("k") == 2, "the same parameters change nothing"
    columns.install(columns.built("k", KeywordIndexParams(), scan))
    assert columns.view().points("k") == 0
    assert columns.view().fields == {"k": KeywordIndexParams()}


def test_a_dropped_index_is_gone_and_dropping_none_is_fine() -> None:
    columns = with_values(IntegerIndexParams(), [1])
    columns.drop("k")
    columns.drop("k")
    assert columns.view().fields == {}


def test_a_view_does_not_see_later_changes() -> None:
    shard = Shard()
    shard.columns.install(shard.columns.built("k", KeywordIndexParams(), ()))
    shard.put(0, {"k": "a"})
    before = shard.columns.view()
    shard.edit(0, {"k": "b"})
    for i in range(1, 200):
        shard.put(i, {"k": "a"})
    shard.columns._columns["k"].rebuild()
    column = before.column(shard.columns._columns["k"].path)
    assert column is not None
    assert column.delta.slots.tolist() == [0]
    assert before.points("k") == 1
    assert shard.columns.view() is not before


def test_views_answer_rightly_while_the_writer_goes_on() -> None:
    """Readers of older views meet growing arrays, merges and deaths; each view must stay what it was."""
    shard = Shard()
    shard.columns.install(shard.columns.built("k", KeywordIndexParams(), ()))
    shard.columns.install(shard.columns.built("n", IntegerIndexParams(), ()))
    matching = decode_filter(
        {"must": [{"key": "k", "match": {"prefix": "a"}}, {"key": "n", "range": {"gte": 0}}]}
    )
    contexts = []
    with ThreadPoolExecutor(2) as readers:
        for i in range(1500):
            shard.put(i % 400, {"k": f"a{i % 50}", "n": i})
            if i % 50 == 0:
                context = shard.context()
                contexts.append(
                    (
                        context.columns.points("k"),
                        readers.submit(lambda context=context: evaluate(matching, context)),
                    )
                )
            if i % 500 == 499:
                shard.columns._columns["k"].rebuild()
    assert all(points == selection.result().count for points, selection in contexts)


def test_an_unchanged_index_keeps_its_view() -> None:
    columns = with_values(IntegerIndexParams(), [1])
    view = columns.view()
    columns.put([5], [{"other": 1}])
    assert columns.view() is view


def test_a_long_delta_is_merged_when_a_view_is_taken() -> None:
    assert not needs_rebuild(4096, 0)
    assert needs_rebuild(4097, 0)
    assert not needs_rebuild(4097, 100_000)
    columns = with_values(IntegerIndexParams(), list(range(5000)))
    (column,) = columns.view()._columns.values()
    assert (len(column.base), len(column.delta.values)) == (0, 5000), (
        "merging happens beside writes and reads"
    )
    columns.put([5000], [{"k": 5000}])
    columns._columns["k"].finish_merge()
    (column,) = columns.view()._columns.values()
    assert (len(column.base), len(column.delta.values)) == (5000, 1)
    assert np.all(np.diff(column.base.values) > 0)


def entries(columns: Columns, direction: Direction, start: float | None, chunk: int) -> list[tuple[Any, int]]:
    parts = list(columns.view().order_chunks("k", direction, start, ALL, chunk=chunk))
    found = []
    for values, slots in parts:
        part = list(zip(values.tolist(), slots.tolist(), strict=True))
        assert not {value for value, _ in part} & {value for value, _ in found}, "equal values were split"
        found += part
    assert [value for value, _ in found] == sorted(
        (value for value, _ in found), reverse=direction is Direction.DESC
    )
    return sorted(found)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("start", [None, -1, 3, 4.5, 100])
def test_entries_come_in_order_from_the_start(direction: Direction, start: float | None, chunk: int) -> None:
    rng = random.Random(7)
    values: list[Any] = [rng.choice([rng.randrange(10), [1, 5], "x", None, [2, 2]]) for _ in range(60)]
    columns = with_values(IntegerIndexParams(), values[:40])
    columns._columns["k"].rebuild()
    for slot in range(0, 60, 3):  # some move from the base to the delta, some are new
        values[slot] = rng.randrange(10)
        columns.put([slot], [{"k": values[slot]}])
    columns.remove([1])
    values[1] = None
    expected = sorted(
        (value, slot)
        for slot, held in enumerate(
            values[:40] + [v if s % 3 == 0 else None for s, v in enumerate(values)][40:]
        )
        for value in set(held if isinstance(held, list) else [held])
        if isinstance(value, int)
        and (start is None or (value >= start if direction is Direction.ASC else value <= start))
    )
    assert entries(columns, direction, start, chunk) == expected


def test_only_allowed_slots_are_ordered() -> None:
    columns = with_values(FloatIndexParams(), [3, 1, 2])
    allowed = bits.pack(np.array([0, 2]), 8)
    values, slots = columns.view().order("k", Direction.ASC, None, allowed)
    assert (values.tolist(), slots.tolist()) == ([2.0, 3.0], [2, 0])


@pytest.mark.parametrize(
    "params", [KeywordIndexParams(), UuidIndexParams(), IntegerIndexParams(range=False), None]
)
def test_only_number_and_datetime_indexes_can_order(params: PayloadIndexParams | None) -> None:
    columns = Columns() if params is None else with_values(params, [])
    with pytest.raises(BadInput, match="No range index for `order_by` key: `k`"):
        columns.view().order("k", Direction.ASC, None, ALL)


def check_saved(
    tmp: Path, indexes: dict[str, PayloadIndexParams], steps: list[Any], filters: list[Any]
) -> None:
    shard = Shard()
    for field, params in indexes.items():
        shard.columns.install(shard.columns.built(field, params, ()))
    half = len(steps) // 2
    run(shard, steps[:half])
    manifest = shard.columns.save(tmp)
    shard.columns = Columns.load(tmp, manifest)
    run(shard, steps[half:])
    for each in filters:
        decoded = decode_filter(each)
        assert shard.matches(decoded) == shard.checked(decoded)


@given(indexes=indexes, steps=steps, filters=some_filters)
@settings(max_examples=6, deadline=None)
def test_columns_read_back_answer_and_change_like_those_saved(
    tmp_path_factory: pytest.TempPathFactory, indexes: Any, steps: list[Any], filters: list[Any]
) -> None:
    check_saved(tmp_path_factory.mktemp("columns"), indexes, steps, filters)


@pytest.mark.slow
@given(indexes=indexes, steps=steps, filters=some_filters)
@settings(max_examples=150, deadline=None)
def test_columns_read_back_always_answer_and_change_like_those_saved(
    tmp_path_factory: pytest.TempPathFactory, indexes: Any, steps: list[Any], filters: list[Any]
) -> None:
    check_saved(tmp_path_factory.mktemp("columns"), indexes, steps, filters)


def saved(tmp_path: Path) -> tuple[Columns, Manifest]:
    columns = with_values(KeywordIndexParams(), ["a", "b", "é", "a"])
    columns._columns["k"].rebuild()
    columns.put([4], [{"k": "new"}])
    return columns, columns.save(tmp_path)


def test_a_base_is_written_once(tmp_path: Path) -> None:
    columns, first = saved(tmp_path)
    columns.put([5], [{"k": "c"}])
    second = columns.save(tmp_path)
    shared = first.files & second.files
    assert {name.split("-")[0] for name in shared} == {"base"}
    assert len(second.files - first.files) == 1
    loaded = Columns.load(tmp_path, second)
    assert first.files & loaded.save(tmp_path).files == shared


def test_points_survive_and_old_manifests_stay_good_beside_new_ones(tmp_path: Path) -> None:
    columns, first = saved(tmp_path)
    columns.remove([0])
    second = columns.save(tmp_path)
    assert Columns.load(tmp_path, first).view().points("k") == 5
    assert Columns.load(tmp_path, second).view().points("k") == 4
    assert first.files | second.files == {path.name for path in tmp_path.iterdir()}


def test_damage_is_found_on_opening_or_by_verifying(tmp_path: Path) -> None:
    _, manifest = saved(tmp_path)
    verify(tmp_path, manifest)
    for name in sorted(manifest.files):
        path = tmp_path / name
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(ColumnsCorrupted, match=name):
            verify(tmp_path, manifest)
        if name.startswith("recent"):
            with pytest.raises(ColumnsCorrupted, match=name):
                Columns.load(tmp_path, manifest)
        path.unlink()
        with pytest.raises(ColumnsCorrupted, match=name):
            Columns.load(tmp_path, manifest)
        path.write_bytes(good)
    assert Columns.load(tmp_path, manifest).view().points("k") == 5


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format 3"):
        Columns.load(tmp_path, Manifest(format=3))


def test_columns_of_the_former_format_answer_and_are_brought_up_to_date(tmp_path: Path) -> None:
    """Of texts and geo points they say only which points have some."""
    with zipfile.ZipFile(Path(__file__).parent / "samples" / "columns-1.zip") as sample:
        sample.extractall(tmp_path)
    manifest = msgspec.json.decode((tmp_path / "manifest.json").read_bytes(), type=Manifest)
    payloads = json.loads((tmp_path / "payloads.json").read_text())
    shard = Shard()
    for slot, payload in enumerate(payloads):
        if shard.put(slot, payload or {}) and payload is None:
            shard.remove(slot)
    verify(tmp_path, manifest)
    shard.columns = Columns.load(tmp_path, manifest)
    assert sorted(shard.columns.outdated) == ["geo", "text"]
    check_former(shard)
    shard.put(100, {"text": "old red wine", "geo": {"lon": 1, "lat": 2}, "n": [3, None], "word": None})
    shard.edit(7, {})
    check_former(shard)
    for field in shard.columns.outdated:
        params = shard.columns.fields[field]
        shard.columns.install(shard.columns.built(field, params, shard.payloads.items()))
    assert shard.columns.outdated == []
    check_former(shard)
    written = shard.columns.save(tmp_path)
    shard.columns = Columns.load(tmp_path, written)
    check_former(shard)


def check_former(shard: Shard) -> None:
    conditions: list[Any] = [
        {"key": "word", "match": {"value": "a"}},
        {"key": "word", "match": {"except": ["a"]}},
        {"key": "n", "range": {"gte": 3, "lt": 8}},
        {"key": "f", "range": {"gt": 2}},
        {"key": "flag", "match": {"value": True}},
        {"key": "when", "range": {"lt": "2020-01-10"}},
        {"key": "id", "match": {"value": "550e8400-e29b-41d4-a716-446655440000"}},
        {"key": "geo", "geo_radius": {"center": {"lon": 40, "lat": -10}, "radius": 2e6}},
        {"key": "text", "match": {"phrase": "red wine"}},
        {"key": "text", "match": {"text": "wine 31"}},
        {"key": "n", "values_count": {"gte": 2}},
        {"is_empty": {"key": "word"}},
        {"is_null": {"key": "word"}},
        {"key": "f", "is_null": False},
    ]
    for condition in conditions:
        decoded = decode_filter({"must": [condition]})
        found = shard.matches(decoded)
        assert found == shard.checked(decoded), condition
        assert found, condition


def test_a_base_is_read_from_its_files_once_it_is_saved(tmp_path: Path) -> None:
    columns = with_values(TextIndexParams(phrase_matching=True, on_disk=True), ["red wine", "wine", "red"])
    columns._columns["k"].rebuild()
    before = columns.view()
    columns.save(tmp_path)
    base = columns._columns["k"].view().base
    assert base is before._columns["k"].base
    arrays = [base.values, base.slots, *base.extras.values()]
    assert all(isinstance(array.base, np.memmap) for array in arrays)
    assert base.cold


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"is_empty": {"key": "k"}}, [1, 2, 3]),
        ({"is_null": {"key": "k"}}, [2]),
        ({"key": "k", "is_empty": True}, [1, 2, 3]),
        ({"key": "k", "is_empty": False}, [0, 4, 5, 6]),
        ({"key": "k", "is_null": True}, [2, 4, 5]),
        ({"key": "k", "is_null": False}, [0, 1, 3, 6]),
    ],
)
@pytest.mark.parametrize("params", [IntegerIndexParams(), TextIndexParams(), GeoIndexParams()])
def test_emptiness_is_known_from_the_index(
    params: PayloadIndexParams, condition: dict[str, Any], expected: list[int]
) -> None:
    shard = Shard()
    shard.columns.install(shard.columns.built("k", params, ()))
    for slot, payload in enumerate([{"k": 1}, {}, {"k": None}, {"k": []}, {"k": [None]}, {"k": ["x", None]}]):
        shard.put(slot, payload)
    shard.put(6, {"k": {"lon": 1, "lat": 2}})
    selection = shard.select(decode_filter({"must": [condition]}))
    assert selection.exact
    assert shard.candidates(selection) == expected


def test_counts_are_known_from_the_index_but_for_arrays() -> None:
    shard = Shard()
    shard.columns.install(shard.columns.built("k", KeywordIndexParams(), ()))
    for slot, value in enumerate(["a", 1, None, ["a", "b"], []]):
        shard.put(slot, {"k": value})
    one = shard.select(decode_filter({"must": [{"key": "k", "values_count": {"gte": 1, "lt": 2}}]}))
    assert one.definite is not None
    assert bits.unpack(one.definite).tolist() == [0, 1]
    assert shard.candidates(one) == [0, 1, 3, 4]
    assert shard.matches(decode_filter({"must": [{"key": "k", "values_count": {"gte": 2}}]})) == [3]
