from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from node.storage.overlay import EMPTY_LAYER, Layer, add_run, stacked

Keys = st.binary(min_size=1, max_size=3)


def layer(ids: dict[bytes, int], records: dict[int, bytes | None]) -> Layer:
    return Layer(ids=Map(ids), records=Map(records), runs=add_run((), list(ids)))


@given(st.lists(st.lists(st.integers(0, 10**6), max_size=8), max_size=40))
def test_runs_are_sorted_few_and_hold_every_key_once(batches: list[list[int]]) -> None:
    runs: tuple[list[bytes], ...] = ()
    seen: set[bytes] = set()
    for batch in batches:
        new = {number.to_bytes(4, "big") for number in batch} - seen
        runs = add_run(runs, list(new))
        seen |= new
    assert sorted(key for run in runs for key in run) == sorted(seen)
    assert all(run == sorted(run) for run in runs)
    assert all(len(older) > 2 * len(newer) for older, newer in pairwise(runs))


def test_adding_a_run_leaves_the_runs_of_older_views_alone() -> None:
    before = add_run((), [b"b", b"d"])
    after = add_run(before, [b"a", b"c"])
    assert before == ([b"b", b"d"],)
    assert after == ([b"a", b"b", b"c", b"d"],)


@given(st.dictionaries(Keys, st.integers(-1, 9)), st.dictionaries(Keys, st.integers(-1, 9)))
def test_stacked_layers_read_like_the_upper_above_the_lower(
    lower: dict[bytes, int], upper: dict[bytes, int]
) -> None:
    merged = stacked(layer(lower, {1: b"x", 2: None}), layer(upper, {2: b"y"}))
    assert dict(merged.ids) == lower | upper
    assert merged.changes(b"", None) == lower | upper


def test_stacking_keeps_dropped_records_dropped() -> None:
    merged = stacked(layer({}, {1: b"x", 2: b"y"}), layer({}, {1: None}))
    assert dict(merged.records) == {1: None, 2: b"y"}
    assert not stacked(EMPTY_LAYER, EMPTY_LAYER)


@given(st.dictionaries(Keys, st.integers(0, 9), min_size=1), Keys, st.integers(1, 4))
def test_a_bounded_page_of_changes_never_skips_a_key(ids: dict[bytes, int], start: bytes, page: int) -> None:
    changed = layer(ids, {})
    until = changed.key_at(start, page)
    expected = {key: slot for key, slot in ids.items() if key >= start and (until is None or key <= until)}
    assert changed.changes(start, until) == expected
    assert len(expected) <= page
    assert until is not None or all(key < start or key in expected for key in ids)
