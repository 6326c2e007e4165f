"""The inverted index: its candidates hold the true best, for any rows, weights, filter and codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node import bits
from node.index import sparse_build, sparse_file
from node.index.sparse import SparseIndex
from node.index.sparse_build import SparseRows, build_sparse_index
from node.index.sparse_file import SparseIndexCorrupted
from protos.collections import Datatype
from protos.ragged import offsets_of

DATATYPES = [Datatype.FLOAT32, Datatype.FLOAT16, Datatype.UINT8]
Vector = dict[int, float]

numbers = st.sampled_from([0, 1, 2, 3, 5, 8, 1000, 70_000, 2**32 - 1])
values = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0, -1.0, 2.0, 3.4e38, -3.4e38, 1e-40]), st.floats(-4, 4, width=32)
)
vectors = st.dictionaries(numbers, values, max_size=6)


def rows_of(given: list[Vector], kept: list[bool] | None = None) -> SparseRows:
    ordered = [sorted(vector.items()) for vector in given]
    offsets = offsets_of(np.array([len(vector) for vector in given], dtype=np.int64))
    indices = np.array([i for vector in ordered for i, _ in vector], dtype=np.uint32)
    data = np.array([v for vector in ordered for _, v in vector], dtype=np.float32)
    return SparseRows(offsets, indices, data, None if kept is None else np.array(kept, dtype=np.bool_))


def built(path: Path, rows: SparseRows, datatype: Datatype = Datatype.FLOAT32) -> SparseIndex:
    path.unlink(missing_ok=True)
    build_sparse_index(path, rows, datatype)
    return SparseIndex.open(path)


def query_of(query: Vector) -> tuple[np.ndarray, np.ndarray]:
    rows = rows_of([query])
    return rows.indices, rows.values


def score(query: Vector, vector: Vector) -> float:
    """As the scan has it: products summed in 64 bits."""
    total = sum(
        float(np.float32(query[i])) * float(np.float32(vector[i]))
        for i in sorted(query.keys() & vector.keys())
    )
    with np.errstate(over="ignore"):
        return float(np.float32(total))


def best(query: Vector, stored: list[Vector], admitted: list[bool], k: int) -> list[int]:
    sharing = [i for i, vector in enumerate(stored) if admitted[i] and query.keys() & vector.keys()]
    return sorted(sharing, key=lambda i: (-score(query, stored[i]), i))[:k]


@settings(max_examples=150, deadline=None)
@given(
    stored=st.lists(st.tuples(vectors, st.booleans(), st.booleans()), max_size=40),
    query=vectors,
    k=st.integers(1, 12),
    datatype=st.sampled_from(DATATYPES),
)
@example(stored=[({2: 1e-40}, True, False)], query={2: 0.5}, k=1, datatype=Datatype.FLOAT32)
@example(
    stored=[({2: 3e38}, True, True), ({2: -3e38}, True, True)],
    query={2: 3e38},
    k=1,
    datatype=Datatype.FLOAT16,
)
@example(
    stored=[({0: -3e38}, True, True), ({1: -3e38}, True, True)],
    query={0: -2.0, 1: -3e38},
    k=1,
    datatype=Datatype.FLOAT32,
)
@example(
    stored=[({1: 3e38}, True, True), ({0: 3e38}, True, True), ({1: 3e38}, True, True)],
    query={0: -2.0, 1: -3e38},
    k=2,
    datatype=Datatype.FLOAT32,
)
def test_candidates_hold_the_best(
    tmp_path_factory: pytest.TempPathFactory,
    stored: list[tuple[Vector, bool, bool]],
    query: Vector,
    k: int,
    datatype: Datatype,
) -> None:
    """The first few of all rows that are indexed, allowed and share an index with the query."""
    plain = [vector for vector, _, _ in stored]
    kept = [keep for _, keep, _ in stored]
    index = built(tmp_path_factory.getbasetemp() / "any", rows_of(plain, kept), datatype)
    allowed = [allow for _, _, allow in stored]
    packed = bits.pack_mask(np.array(allowed, dtype=np.bool_))
    for admitted, mask in (
        (kept, None),
        ([a and b for a, b in zip(kept, allowed, strict=True)], packed),
    ):
        found = index.candidates(*query_of(query), k, mask).tolist()
        assert found == sorted(set(found))
        assert set(best(query, plain, admitted, k)) <= set(found)
        assert set(found) <= set(best(query, plain, admitted, len(plain)))


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("datatype", DATATYPES)
def test_many_rows_in_several_blocks_and_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datatype: Datatype, early: bool
) -> None:
    """Zipf's indices: heavy ones may be left out of the sum; where none is, only ties come on top of k."""
    monkeypatch.setattr(sparse_build, "BLOCK_ROWS", 2048)
    monkeypatch.setattr(sparse_build, "_CHUNK_ELEMENTS", 3000)
    monkeypatch.setattr("node.index.sparse._RESCORED", 2 if early else 1_000_000)
    monkeypatch.setattr("node.index.sparse._LOOK_POSTINGS", 0)
    rng = np.random.default_rng(5)
    stored = [zipf(rng, 30) for _ in range(7001)]
    index = built(tmp_path / "index", rows_of(stored), datatype)
    admitted = (rng.random(len(stored)) < 0.3).tolist()
    packed = bits.pack_mask(np.array(admitted))
    for size, k in [(1, 10), (8, 1), (8, 10), (8, 700), (20, 10)]:
        query = zipf(rng, size)
        query = {i: value / (1 + 40 * (i < 20)) for i, value in query.items()}
        found = index.candidates(*query_of(query), k, packed)
        assert set(best(query, stored, admitted, k)) <= set(found.tolist())
        if datatype is Datatype.FLOAT32 and not early:
            assert len(found) <= k + 2


def zipf(rng: np.random.Generator, size: int) -> Vector:
    indices = np.unique(rng.zipf(1.3, size) % 5000)
    return dict(zip(indices.tolist(), (rng.random(len(indices)) + 0.1).tolist(), strict=True))


def test_frequencies_count_rows(tmp_path: Path) -> None:
    stored: list[Vector] = [{1: 1.0, 7: 0.0}, {1: -1.0}, {}, {7: 1.0, 9: 1.0}, {1: 2.0}]
    index = built(tmp_path / "index", rows_of(stored, [True, True, True, True, False]))
    wanted = np.array([0, 1, 7, 9, 2**32 - 1], dtype=np.uint32)
    assert index.count == 4
    assert index.postings(wanted).tolist() == [0, 2, 2, 1, 0]
    allowed = bits.pack_mask(np.array([True, False, True, True, True]))
    assert index.frequencies(wanted, allowed).tolist() == [0, 1, 2, 1, 0]


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    index = built(tmp_path / "index", rows_of([]))
    assert index.candidates(*query_of({1: 1.0}), 3, None).tolist() == []
    index = built(tmp_path / "rows", rows_of([{}, {}]))
    assert index.candidates(*query_of({1: 1.0}), 3, None).tolist() == []
    index = built(tmp_path / "more", rows_of([{1: 1.0}]))
    assert index.candidates(*query_of({}), 3, None).tolist() == []


@pytest.mark.parametrize(("datatype", "spared"), [(Datatype.FLOAT16, 2), (Datatype.UINT8, 3)])
def test_codes_take_less_room(tmp_path: Path, datatype: Datatype, spared: int) -> None:
    """In the file, which is what is mapped: ``spared`` bytes less per posting, beside four of its row."""
    rng = np.random.default_rng(1)
    rows = rows_of([zipf(rng, 60) for _ in range(500)])
    built(tmp_path / "plain", rows)
    built(tmp_path / "coded", rows, datatype)
    plain, coded = ((tmp_path / name).stat().st_size for name in ("plain", "coded"))
    assert plain - coded == pytest.approx(spared * len(rows.indices), abs=2 * ALIGNED)
    assert not (tmp_path / "coded.values").exists()


ALIGNED = 64  # bytes, at the end of each array


@pytest.mark.parametrize("damage", ["cut", "magic", "format", "header"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index"
    built(path, rows_of([{1: 1.0}] * 100))
    data = bytearray(path.read_bytes())
    tail = sparse_file._TAIL.size
    if damage == "cut":
        data = data[: tail - 1]
    elif damage == "magic":
        data[-1] ^= 1
    elif damage == "format":
        data[-9] ^= 1
    else:
        data[-tail - 1] = ord("!")
    path.write_bytes(data)
    with pytest.raises(SparseIndexCorrupted):
        SparseIndex.open(path)


def test_a_file_shorter_than_its_header_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    built(path, rows_of([{1: 1.0}] * 100))
    data = path.read_bytes()
    path.write_bytes(data[64:])
    with pytest.raises(SparseIndexCorrupted):
        SparseIndex.open(path)


SAMPLES = Path(__file__).parent / "data"


@pytest.mark.parametrize("datatype", DATATYPES)
def test_a_file_of_format_1_is_read(datatype: Datatype) -> None:
    """``data/sparse-1-*``: the rows of ``sample_rows``, the third one left out."""
    index = SparseIndex.open(SAMPLES / f"sparse-1-{datatype.value}.index")
    stored = sample_rows()
    kept = [row != 2 for row in range(len(stored))]
    assert (index.rows, index.count, index.datatype) == (len(stored), len(stored) - 1, datatype)
    assert index.postings(np.array([0, 1, 70_000], dtype=np.uint32)).tolist() == [
        sum(number in vector for vector, keep in zip(stored, kept, strict=True) if keep)
        for number in (0, 1, 70_000)
    ]
    for query in ({0: 1.0, 1: -2.0}, {70_000: 1.0, 5: 0.5}, {3: 1.0}):
        found = set(index.candidates(*query_of(query), 5, None).tolist())
        assert set(best(query, stored, kept, 5)) <= found


def sample_rows() -> list[Vector]:
    words = [0, 1, 5, 70_000]
    return [{word: (row * 7 + word) % 11 / 4 - 1 for word in words[row % 3 :: 2]} for row in range(40)]
