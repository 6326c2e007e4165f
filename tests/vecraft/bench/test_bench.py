"""The benchmark's own parts: data, truth, verdicts. The benchmarks themselves are run by hand."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import orjson
import pytest

from vecraft.bench import data, sizes
from vecraft.bench.__main__ import main
from vecraft.bench.filtered import cases
from vecraft.bench.quality import upsert_body
from vecraft.bench.report import Bar, Measurement, Report, save, show


def test_generated_rows_are_of_unit_length_and_the_same_whoever_asks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "_BLOCK", 512)
    few = np.concatenate([*data.generate(600, 16, seed=7)])
    many = np.concatenate([*data.generate(1300, 16, seed=7)])
    other = np.concatenate([*data.generate(600, 16, seed=8)])
    assert few.shape == (600, 16)
    assert few.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(few, many[:600])
    assert not np.array_equal(few, other)


def test_generated_rows_are_clustered(monkeypatch: pytest.MonkeyPatch):
    """A point's nearest neighbour is much nearer than a random point, as with real embeddings."""
    monkeypatch.setattr(data, "_BLOCK", 4096)
    rows = np.concatenate([*data.generate(4096, 64, seed=0)])
    scores = rows[:200] @ rows.T
    np.put_along_axis(scores, np.arange(200)[:, None], -1, axis=1)
    assert np.median(scores.max(axis=1)) > 0.5
    assert abs(np.median(scores)) < 0.2


def test_truth_is_the_best_rows_best_first():
    rng = np.random.default_rng(0)
    base, queries = (
        rng.standard_normal((300, 8), dtype=np.float32),
        rng.standard_normal((70, 8), dtype=np.float32),
    )
    found = data.nearest_by_dot(base, queries, 5)
    np.testing.assert_array_equal(found, np.argsort(-(queries @ base.T), axis=1)[:, :5])


def test_recall_is_the_mean_share_found():
    assert data.recall([[1, 2], [3, 9]], np.array([[2, 1], [3, 4]])) == 0.75


def test_a_folder_gives_unit_rows_with_their_payloads(tmp_path: Path):
    np.save(tmp_path / "wordnet.base.i8.npy", np.array([[3, 4], [0, -5]], dtype=np.int8))
    np.save(tmp_path / "wordnet.queries.i8.npy", np.array([[1, 0], [0, 1]], dtype=np.int8))
    with gzip.open(tmp_path / "wordnet.base.jsonl.gz", "wb") as lines:
        lines.write(b'{"a":1}\n{"b":2}\n')
    loaded = data.load_folder(tmp_path, queries_max=1)
    np.testing.assert_allclose(loaded.base, [[0.6, 0.8], [0, -1]], rtol=1e-6)
    assert (loaded.queries.tolist(), loaded.payloads) == ([[1, 0]], [b'{"a":1}', b'{"b":2}'])


def test_an_upsert_body_counts_ids_up_and_embeds_payloads():
    body = orjson.loads(upsert_body(5, np.ones((2, 2), dtype=np.float32), [b"{}", b'{"a":1}']))
    assert body == {"batch": {"ids": [5, 6], "vectors": [[1, 1], [1, 1]], "payloads": [{}, {"a": 1}]}}


def test_a_missed_bar_is_shown_saved_and_fails_the_report(tmp_path: Path):
    good = Measurement("recall", 0.99, "", Bar("least", 0.98))
    bad = Measurement("start", 3.5, "s", Bar("most", 3))
    report = Report("title", {"data": "some"}, [good, bad, Measurement("rate", 12345.0, "points/s")])
    out = io.StringIO()
    show(report, out)
    assert "3.5 s        MISSED, at most 3" in out.getvalue()
    assert "ok, at least 0.98" in out.getvalue()
    assert "12,345 points/s" in out.getvalue()
    save([report], tmp_path / "out.json")
    (saved,) = orjson.loads((tmp_path / "out.json").read_bytes())
    assert saved["met"] is False
    assert [entry["value"] for entry in saved["measurements"]] == [0.99, 3.5, 12345.0]
    assert Report("title", {}, [good]).met


def test_missing_data_is_said_and_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["overhead", "--data", str(tmp_path)]) == 2
    assert "wordnet.base.jsonl.gz" in capsys.readouterr().err


def test_filter_cases_name_the_rows_that_match_and_leave_out_what_is_too_rare():
    payloads = [
        b'{"pos":"verb","category":"verb.motion","relations":9}',
        b'{"pos":"noun","category":"noun.food","relations":2}',
        b'{"pos":"verb","category":"verb.body","relations":1}',
    ]
    found = {case.field: case.rows.tolist() for case in cases(payloads, matches_min=2)}
    assert found == {"relations": [1, 2], "pos": [0, 2]}


@pytest.mark.slow
def test_a_vector_takes_its_components_and_some_more(tmp_path: Path):
    report = sizes.measure(sizes.SizesPlan(1000, (16,), ("binary",), tmp_path))
    found = {measurement.name: measurement.value for measurement in report.measurements}
    assert found["16, binary: of it the vectors"] >= 16 * 4
    assert found["16, binary: of it graph and codes"] > 0
    assert found["16, binary: disk"] >= found["16, binary: of it the vectors"]
    assert "16, binary: private memory" in found
