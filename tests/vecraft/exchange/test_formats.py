"""What is written is what is read, from any position, whatever a point has."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from vecraft.exchange import parquet
from vecraft.exchange.formats import FORMATS, Reading, format_of, sink, source
from vecraft.exchange.points import Batch, Point, Shape, VectorKind, shape_of
from vecraft.exits import CommandFailed

KINDS = {
    "": VectorKind("dense", 3),
    "title": VectorKind("dense", 2),
    "tokens": VectorKind("multi", 2),
    "words": VectorKind("sparse"),
}
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
IDS = st.one_of(st.integers(0, 2**64 - 1), st.uuids().map(str))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4) | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


def vectors_of(kind: VectorKind) -> st.SearchStrategy[Any]:
    if kind.kind == "sparse":
        pairs = st.dictionaries(st.integers(0, 2**32 - 1), NUMBERS, max_size=3)
        return pairs.map(lambda held: {"indices": list(held), "values": list(held.values())})
    row = st.lists(NUMBERS, min_size=kind.dim, max_size=kind.dim)
    return st.lists(row, min_size=1, max_size=2) if kind.kind == "multi" else row


@st.composite
def contents(draw: st.DrawFn) -> tuple[Shape, list[Point]]:
    names = sorted(draw(st.sets(st.sampled_from(sorted(KINDS)), min_size=1)))
    shape = Shape({name: KINDS[name] for name in names}, shard_keys=draw(st.booleans()))
    points = []
    for point_id in draw(st.lists(IDS, max_size=6, unique=True)):
        held = draw(st.sets(st.sampled_from(names)))
        found = {name: draw(vectors_of(KINDS[name])) for name in sorted(held)}
        vector = found[""] if found.keys() == {""} else found
        payload = draw(st.none() | st.dictionaries(st.text(max_size=3), JSON, max_size=2))
        key = draw(st.integers(0, 9) | st.text(max_size=3)) if shape.shard_keys else None
        points.append(Point(point_id, raw(vector), raw(payload), key))
    return shape, points


def raw(value: Any) -> Raw:
    return Raw(orjson.dumps(value))


def narrowed(value: Any) -> Any:
    """Numbers of vectors as the float32 that they are; indices as they are."""
    if isinstance(value, list):
        return [narrowed(each) for each in value]
    if isinstance(value, dict):
        return {key: each if key == "indices" else narrowed(each) for key, each in value.items()}
    return float(np.float32(value))


def told(point: Point) -> Any:
    """A point as values."""
    vector, payload = orjson.loads(bytes(point.vector)), orjson.loads(bytes(point.payload))
    return point.id, narrowed(vector), payload, point.shard_key


def written(path: Path, form: str, shape: Shape, points: list[Point], *, zipped: bool = False) -> None:
    output = sink(path, form, shape, zipped=zipped, kept={})
    for start in range(0, len(points), 2):
        output.write(points[start : start + 2])
    output.finish()


def read(path: Path, form: str, start: int = 0, size: int = 2) -> list[Batch]:
    return list(source(path, form, Reading()).batches(start, size))


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "numpy", "parquet"])
@settings(max_examples=15, deadline=None)
@given(given=contents())
def test_what_is_written_is_read_from_any_batch_on(
    form: str, given: tuple[Shape, list[Point]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shape, points = given
    path = tmp_path_factory.mktemp("exchange") / f"points.{form}"
    form, zipped = form.removesuffix(".gz"), form.endswith(".gz")
    written(path, form, shape, points, zipped=zipped)
    batches = read(path, form)
    assert [told(point) for batch in batches for point in batch.points] == [told(point) for point in points]
    assert all(len(batch.points) <= 2 for batch in batches)
    for number, batch in enumerate(batches):
        rest = [told(point) for later in read(path, form, batch.end) for point in later.points]
        assert rest == [told(point) for later in batches[number + 1 :] for point in later.points]
    if batches and not zipped:
        assert batches[-1].end == source(path, form, Reading()).end


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "numpy", "parquet"])
def test_a_sink_goes_on_from_its_last_flush_and_drops_what_came_after(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a kill: the process is gone, some of the later writes are in the files."""
    monkeypatch.setattr(parquet, "ROWS_PER_FILE", 2)
    shape = Shape(KINDS)
    vector = {"": [1, 2, 3], "tokens": [[1, 2]], "words": {"indices": [7], "values": [0.5]}}
    points = [Point(number, raw(vector), raw({"n": number})) for number in range(7)]
    path, zipped = tmp_path / f"points.{form}", form.endswith(".gz")
    form = form.removesuffix(".gz")
    killed = sink(path, form, shape, zipped=zipped, kept={})
    killed.write(points[:2])
    kept = killed.flush()
    assert kept is not None
    killed.write(points[5:])
    killed.flush()
    killed.write(points[5:6])
    killed.abandon()
    again = sink(path, form, shape, zipped=zipped, kept=kept)
    again.write(points[2:])
    again.finish()
    found = [point for batch in read(path, form) for point in batch.points]
    assert [told(point) for point in found] == [told(point) for point in points]


def test_other_programs_read_what_is_written(tmp_path: Path) -> None:
    shape = Shape({"": VectorKind("dense", 2), "words": VectorKind("sparse")})
    points = [
        Point(1, raw({"": [0.5, 1.5], "words": {"indices": [3], "values": [2.0]}}), raw({"a": 1})),
        Point("5ef1a1a4-9c3f-4a8b-8a5e-2f1f0b0e7c11", raw({}), raw(None)),
    ]
    for form in FORMATS:
        written(tmp_path / form, form, shape, points)
    assert json.loads((tmp_path / "jsonl").read_text().splitlines()[0])["payload"] == {"a": 1}
    matrix = np.load(tmp_path / "numpy/vector.npy")
    np.testing.assert_array_equal(matrix, np.array([[0.5, 1.5], [np.nan, np.nan]], np.float32))
    assert np.load(tmp_path / "numpy/ids.npy").tolist()[0] == b"1"
    rows = pq.read_table(tmp_path / "parquet").to_pylist()
    assert rows[0]["vector"] == [0.5, 1.5]
    assert rows[0]["vector.words"] == {"indices": [3], "values": [2.0]}
    assert rows[1]["vector"] is None
    assert UUID(rows[1]["id"])


def test_a_matrix_has_its_ids_and_payloads_beside_it(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(6, dtype=np.float16).reshape(3, 2))
    np.save(tmp_path / "ids.npy", np.array([7, 2**64 - 1, 9], np.uint64))
    (tmp_path / "p.jsonl").write_text('{"a": 1}\nnull\n{}\n')
    reading = Reading(ids=tmp_path / "ids.npy", payloads=tmp_path / "p.jsonl", vector_name="x")
    (batch,) = source(tmp_path / "v.npy", "numpy", reading).batches(1, 10)
    assert [point.id for point in batch.points] == [2**64 - 1, 9]
    assert orjson.loads(bytes(batch.points[0].vector)) == {"x": [2, 3]}
    assert [bytes(point.payload) for point in batch.points] == [b"null", b"{}"]
    (plain,) = source(tmp_path / "v.npy", "numpy", Reading(first_id=100)).batches(0, 10)
    assert [point.id for point in plain.points] == [100, 101, 102]


def test_columns_of_any_parquet_file_become_vectors_and_payloads(tmp_path: Path) -> None:
    table = pa.table(
        {
            "key": pa.array([3, 4], pa.int32()),
            "embedding": pa.array([[1.0, 2.0], None], pa.list_(pa.float64())),
            "city": ["Oslo", None],
            "at": pa.array([0, 1], pa.timestamp("s")),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=1)
    reading = Reading(id_column="key", vectors={"e": "embedding"})
    (batch,) = source(tmp_path / "t.parquet", "parquet", reading).batches(0, 10)
    first, second = batch.points
    assert (first.id, orjson.loads(bytes(first.vector))) == (3, {"e": [1.0, 2.0]})
    assert orjson.loads(bytes(first.payload)) == {"city": "Oslo", "at": "1970-01-01T00:00:00"}
    assert orjson.loads(bytes(second.vector)) == {}


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.jsonl", b'{"id": 1, "vector": [1]}\n{"id": 1.5, "vector": []}\n', "line at byte 25 is no point"),
        ("a.jsonl", b'{"id": 1}\n', "vector"),
        ("a.jsonl", b"\xff\n", "is no point"),
        ("a.npy", b"no array", "cannot be read as a NumPy array"),
        ("a.parquet", b"no parquet", "cannot be read as Parquet"),
        ("a.txt", b"", "give --format"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_told_in_one_line(
    name: str, content: bytes, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandFailed, match=text) as raised:
        list(source(tmp_path / name, format_of(tmp_path / name, None), Reading()).batches(0, 5))
    assert "\n" not in str(raised.value)


def test_parts_of_a_matrix_must_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((3, 2), np.float32))
    np.save(tmp_path / "ids.npy", np.arange(2))
    np.save(tmp_path / "line.npy", np.zeros(3))
    (tmp_path / "p.jsonl").write_text("{}\n")
    with pytest.raises(CommandFailed, match="must hold 3 ids"):
        source(tmp_path / "v.npy", "numpy", Reading(ids=tmp_path / "ids.npy"))
    with pytest.raises(CommandFailed, match="must hold a matrix"):
        source(tmp_path / "line.npy", "numpy", Reading())
    with pytest.raises(CommandFailed, match="fewer lines"):
        list(source(tmp_path / "v.npy", "numpy", Reading(payloads=tmp_path / "p.jsonl")).batches(0, 5))


def test_a_line_without_an_end_and_empty_lines_are_fine(tmp_path: Path) -> None:
    text = b'\n{"id": 1, "vector": [1]}\n\n{"id": 2, "vector": {}}'
    (tmp_path / "a.jsonl").write_bytes(text)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text))
    for name in ("a.jsonl", "a.jsonl.gz"):
        assert [point.id for batch in read(tmp_path / name, "jsonl") for point in batch.points] == [1, 2]


def test_large_points_make_small_batches(tmp_path: Path) -> None:
    line = orjson.dumps({"id": 1, "vector": [0.5], "payload": {"text": "x" * (3 << 20)}}) + b"\n"
    (tmp_path / "a.jsonl").write_bytes(line * 7)
    assert [len(batch.points) for batch in read(tmp_path / "a.jsonl", "jsonl", size=100)] == [3, 3, 1]


def test_a_collections_vectors_are_read_from_its_description() -> None:
    params = {
        "vectors": {
            "a": {"size": 4, "distance": "Dot"},
            "b": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
        },
        "sparse_vectors": {"s": {}},
        "sharding_method": "custom",
    }
    kinds = {"a": VectorKind("dense", 4), "b": VectorKind("multi", 2), "s": VectorKind("sparse")}
    assert shape_of(params) == Shape(kinds, shard_keys=True)
    assert shape_of({"vectors": {"size": 3, "distance": "Dot"}}) == Shape({"": VectorKind("dense", 3)})
    assert shape_of({}) == Shape({})
