"""The optimizer's choices, from figures alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from node.optimizer.plan import LEVELS_MAX, is_optimized, plan
from node.optimizer.tail import GRAPH_BYTES_MIN, MERGE_RATIO, RELINKING_RATIO, SETTLED_RATIO, Quietness
from node.optimizer.tasks import (
    AUTO_SEGMENT_BYTES_PER_THREAD,
    AUTO_SEGMENT_BYTES_PER_THREAD_MAX,
    BARE_SEGMENTS_MAX,
    KIB,
    Drop,
    Fold,
    Index,
    Limits,
    Merge,
    SegmentStat,
    Task,
    Vacuum,
    limits,
)

LIMITS = Limits(
    indexing_bytes=1000, vacuum_rows_min=100, segments=2, bare_segments=0, segment_bytes_max=10_000
)
WIDE = Limits(indexing_bytes=10 << 20, segment_bytes_max=1 << 30)
SETTLED = Quietness(settled=True)


def stat(name: str, start: int, *, size: int, indexed: bool = True, **more: object) -> SegmentStat:
    fields = {"rows": 640, "live": 640, "vector_bytes": size, "indexed": indexed} | more
    return SegmentStat(id=name, start=start, **fields)  # type: ignore[arg-type]


def settings_of(**changed: object) -> Limits:
    given_settings: dict[str, object] = {
        "cores": 4,
        "buildable_bytes": None,
        "indexing_threshold_kb": None,
        "deleted_threshold": 0.2,
        "vacuum_min_vector_number": 1000,
        "default_segment_number": 0,
        "max_segment_size_kb": None,
        "max_optimization_threads": None,
    }
    return limits(**(given_settings | changed))  # type: ignore[arg-type]


def test_unset_settings_aim_at_one_graph() -> None:
    found = settings_of()
    assert found.indexing_bytes == 10_000 * KIB
    assert (found.segments, found.bare_segments) == (1, BARE_SEGMENTS_MAX)
    assert found.tasks_max == 2


def test_an_automatic_segment_is_as_large_as_can_be_rebuilt_here() -> None:
    assert settings_of().segment_bytes_max == 4 * AUTO_SEGMENT_BYTES_PER_THREAD_MAX
    assert settings_of(buildable_bytes=5 << 30).segment_bytes_max == 5 << 30
    assert settings_of(buildable_bytes=1 << 50).segment_bytes_max == 4 * AUTO_SEGMENT_BYTES_PER_THREAD_MAX
    assert settings_of(buildable_bytes=1).segment_bytes_max == 4 * AUTO_SEGMENT_BYTES_PER_THREAD


def test_given_settings_are_taken_as_they_are() -> None:
    found = settings_of(
        indexing_threshold_kb=0, default_segment_number=7, max_segment_size_kb=5, max_optimization_threads=0
    )
    assert (found.indexing_bytes, found.segments, found.segment_bytes_max) == (0, 7, 5 * KIB)
    assert found.bare_segments == 0
    assert found.tasks_max == 0


def test_one_core_still_optimizes() -> None:
    assert settings_of(cores=1).tasks_max == 1


def test_nothing_to_do_is_an_empty_plan() -> None:
    assert plan([], LIMITS) == []
    assert plan([stat("a", 0, size=500, indexed=False)], LIMITS) == []
    assert plan([stat("a", 0, size=5000), stat("b", 640, size=5000)], LIMITS) == []


def test_a_growing_segment_above_the_indexing_threshold_is_indexed() -> None:
    assert plan([stat("a", 0, size=1001, indexed=False, growing=True)], LIMITS) == [Index(("a",))]
    assert plan([stat("a", 0, size=1000, indexed=False, growing=True)], LIMITS) == []


def test_dead_rows_do_not_lift_a_tail_above_the_threshold() -> None:
    assert plan([stat("a", 0, size=2000, live=310, indexed=False, growing=True)], LIMITS) == []


def test_a_growing_segment_is_neither_vacuumed_nor_dropped_nor_merged() -> None:
    stats = [stat("a", 0, size=900, indexed=False, growing=True, live=0)]
    assert plan(stats, LIMITS) == []


def test_a_sealed_segment_above_the_threshold_gets_its_graph() -> None:
    assert plan([stat("a", 0, size=1001, indexed=False)], LIMITS) == [Index(("a",))]


def test_neighbours_without_graphs_are_indexed_in_one_build() -> None:
    stats = [stat(name, 640 * i, size=800, indexed=False) for i, name in enumerate("abc")]
    assert plan(stats, LIMITS) == [Index(("a", "b", "c"))]


def test_an_indexed_segment_separates_runs() -> None:
    stats = [
        stat("c", 1280, size=2000, indexed=False),
        stat("a", 0, size=2000, indexed=False),
        stat("b", 640, size=5000),
    ]
    assert plan(stats, LIMITS) == [Index(("a",)), Index(("c",))]


def test_joined_segments_stay_below_the_largest_size() -> None:
    stats = [stat(name, 640 * i, size=6000, indexed=False) for i, name in enumerate("ab")]
    assert plan(stats, LIMITS) == [Index(("a",)), Index(("b",))]


def test_a_threshold_of_zero_defers_indexing() -> None:
    deferred = replace(LIMITS, indexing_bytes=0)
    stats = [
        stat("a", 0, size=9000, indexed=False),
        stat("b", 640, size=9000, indexed=False, growing=True),
    ]
    assert plan(stats, deferred) == []


def test_many_deleted_rows_ask_for_a_vacuum() -> None:
    assert plan([stat("a", 0, size=5000, rows=1000, live=799)], LIMITS) == [Vacuum(("a",))]
    assert plan([stat("a", 0, size=5000, rows=1000, live=800)], LIMITS) == []


def test_few_rows_are_not_worth_a_vacuum() -> None:
    assert plan([stat("a", 0, size=5000, rows=100, live=1)], LIMITS) == []
    assert plan([stat("a", 0, size=5000, rows=101, live=1)], LIMITS) == [Vacuum(("a",))]


def test_a_segment_without_live_rows_is_dropped_whatever_its_size() -> None:
    assert plan([stat("a", 0, size=10, rows=10, live=0)], LIMITS) == [Drop(("a",))]


def test_a_segment_being_rebuilt_is_left_alone() -> None:
    stats = [stat("a", 0, size=5000, indexed=False, live=0, busy=True)]
    assert plan(stats, LIMITS) == []


def test_too_many_segments_are_merged_around_the_lightest_neighbours() -> None:
    sizes = {"a": 5000, "b": 3000, "c": 100, "d": 200, "e": 4000}
    stats = [stat(name, 640 * i, size=size) for i, (name, size) in enumerate(sizes.items())]
    assert plan(stats, LIMITS) == [Merge(("c", "d"))]


def test_segments_of_one_size_are_merged_several_at_once() -> None:
    stats = [stat(name, 640 * i, size=100) for i, name in enumerate("abcde")]
    assert plan(stats, LIMITS) == [Merge(("a", "b", "c", "d"))]


def test_a_merge_stops_at_the_wanted_number_of_segments() -> None:
    stats = [stat(name, 640 * i, size=100) for i, name in enumerate("abc")]
    assert plan(stats, LIMITS) == [Merge(("a", "b"))]


def test_segments_that_would_grow_too_large_are_not_merged() -> None:
    stats = [stat(name, 640 * i, size=6000) for i, name in enumerate("abc")]
    assert plan(stats, LIMITS) == []


def test_merging_waits_for_indexing() -> None:
    stats = [stat(name, 640 * i, size=100) for i, name in enumerate("abc")]
    stats.append(stat("d", 1920, size=2000, indexed=False))
    assert plan(stats, LIMITS) == [Index(("d",))]


def test_a_small_segment_is_not_merged_into_a_far_larger_one() -> None:
    stats = [
        stat("a", 0, size=7000),
        stat("b", 640, size=4000),
        stat("c", 1280, size=4000 // MERGE_RATIO - 1),
    ]
    assert plan(stats, LIMITS) == []
    assert plan([*stats[:2], replace(stats[2], vector_bytes=250)], LIMITS) == [Merge(("b", "c"))]


def test_a_small_segment_does_not_keep_large_ones_apart() -> None:
    sizes = {"a": 4000, "b": 10, "c": 3900}
    stats = [graph(name, 640 * i, size=size) for i, (name, size) in enumerate(sizes.items())]
    one = replace(LIMITS, segments=1)
    assert plan(stats, one) == [Merge(("a", "b", "c"))]
    bare = [stats[0], replace(stats[1], graph=False), stats[2]]
    assert plan(bare, replace(one, bare_segments=9)) == [Merge(("a", "b", "c"))]


def test_when_writes_cease_graphs_become_one_if_the_allowance_covers_the_copying() -> None:
    stats = [graph("a", 0, size=1 << 29), graph("b", 640, size=1 << 20)]
    allowed = Quietness(settled=True, allowance_bytes=1 << 29)
    assert plan(stats, WIDE) == plan(stats, WIDE, SETTLED) == []
    assert plan(stats, WIDE, allowed) == [Merge(("a", "b"))]
    assert not is_optimized(stats, WIDE, 1 << 29)
    assert is_optimized(stats, WIDE, (1 << 29) - 1)
    relinked = [replace(stats[0], relinked=True), stats[1]]
    assert plan(relinked, WIDE, allowed) == []
    assert is_optimized(relinked, WIDE, 1 << 30)


def test_segments_without_graphs_are_left_apart_until_there_are_many() -> None:
    deferred = replace(WIDE, indexing_bytes=0)
    stats = [stat(str(i), 640 * i, size=32 << 20) for i in range(BARE_SEGMENTS_MAX)]
    assert plan(stats, deferred) == []
    stats.append(replace(stats[0], id="last", start=640 * len(stats)))
    (merged,) = plan(stats, deferred)
    assert isinstance(merged, Merge)
    assert len(merged.segments) == (1 << 30) // (32 << 20)
    few = replace(deferred, segments=2, bare_segments=0)
    assert len(plan(stats[:33], few)[0].segments) == 32


def test_far_too_many_segments_are_merged_whatever_their_sizes() -> None:
    wide, ratio = replace(LIMITS, segment_bytes_max=1 << 40), MERGE_RATIO + 2
    stats = [graph(str(i), 640 * i, size=ratio**i) for i in range(LIMITS.segments + LEVELS_MAX)]
    assert plan(stats, wide) == []
    stats.append(graph("last", 640 * len(stats), size=ratio ** len(stats)))
    assert plan(stats, wide) == [Merge(("0", "1"))]


# --- the tail --------------------------------------------------------------------------------------------


def graph(name: str, start: int, *, size: int, **more: object) -> SegmentStat:
    return stat(name, start, size=size, graph=True, **more)


def tail(name: str, start: int, *, size: int, **more: object) -> SegmentStat:
    return stat(name, start, size=size, indexed=False, **more)


def test_a_tail_above_the_threshold_continues_its_neighbours_graph() -> None:
    stats = [
        graph("a", 0, size=40 << 20),
        tail("b", 640, size=9 << 20),
        tail("c", 1280, size=2 << 20, growing=True),
    ]
    assert plan(stats, WIDE) == [Fold(("a", "b", "c"))]
    assert plan(stats[:2], WIDE) == []


def test_a_small_tail_is_folded_when_it_has_settled() -> None:
    stats = [graph("a", 0, size=64 << 20), tail("b", 640, size=(64 << 20) // SETTLED_RATIO, growing=True)]
    assert plan(stats, WIDE) == []
    assert plan(stats, WIDE, SETTLED) == [Fold(("a", "b"))]


def test_a_tail_that_is_not_worth_the_copying_becomes_a_small_graph() -> None:
    stats = [
        graph("a", 0, size=(SETTLED_RATIO << 20) + 1),
        tail("b", 640, size=GRAPH_BYTES_MIN, growing=True),
    ]
    assert plan(stats, WIDE, SETTLED) == [Index(("b",))]


def test_a_tail_that_costs_nothing_is_left_unless_the_allowance_covers_the_copying() -> None:
    stats = [graph("a", 0, size=100 << 20), tail("b", 640, size=GRAPH_BYTES_MIN - 1, growing=True)]
    assert plan(stats, WIDE, SETTLED) == []
    assert plan(stats, WIDE, Quietness(settled=True, allowance_bytes=100 << 20)) == [Fold(("a", "b"))]


def test_a_shard_without_graphs_keeps_its_tail_below_the_threshold() -> None:
    settled = Quietness(settled=True, allowance_bytes=1 << 40)
    stats = [tail("a", 0, size=5 << 20), tail("b", 640, size=5 << 20, growing=True)]
    assert plan(stats, WIDE, settled) == []
    assert plan([graph("z", 1280, size=1 << 20), *stats], WIDE, settled) != []


def test_a_threshold_of_zero_defers_the_tail_too() -> None:
    stats = [graph("a", 0, size=40 << 20), tail("b", 640, size=30 << 20)]
    assert plan(stats, replace(WIDE, indexing_bytes=0), SETTLED) == []


def test_a_tail_is_folded_only_into_a_graph_whose_slots_it_continues() -> None:
    stats = [graph("a", 0, size=40 << 20), tail("b", 704, size=11 << 20)]
    assert plan(stats, WIDE, SETTLED) == [Index(("b",))]
    before = [tail("b", 0, size=11 << 20), graph("a", 640, size=40 << 20)]
    assert plan(before, WIDE) == [Fold(("b", "a"))]


def test_a_graph_is_named_by_one_fold_only() -> None:
    stats = [tail("b", 0, size=11 << 20), graph("a", 640, size=40 << 20), tail("c", 1280, size=11 << 20)]
    assert plan(stats, WIDE) == [Fold(("b", "a")), Index(("c",))]


def test_where_graphs_are_built_anew_only_a_large_tail_is_folded() -> None:
    allowed = Quietness(settled=True, allowance_bytes=1 << 40)
    stats = [
        stat("a", 0, size=RELINKING_RATIO << 20, relinked=True),
        tail("b", 640, size=1 << 20, growing=True),
    ]
    assert plan(stats, WIDE) == []
    assert plan(stats, WIDE, allowed) == [Fold(("a", "b"))]
    larger = [replace(stats[0], vector_bytes=(RELINKING_RATIO << 20) + 1), stats[1]]
    assert plan(larger, WIDE, allowed) == [Index(("b",))]
    three = [stat(name, 640 * i, size=5001, relinked=True) for i, name in enumerate("ab")]
    assert plan([*three, stat("c", 1280, size=1000)], LIMITS) == []
    assert plan([*three, stat("c", 1280, size=1251)], LIMITS) == [Merge(("b", "c"))]


def test_a_graph_with_other_parameters_is_neither_kept_nor_continued() -> None:
    stats = [graph("a", 0, size=2 << 20, indexed=False), tail("b", 640, size=1000, growing=True)]
    assert plan(stats, WIDE) == [Index(("a", "b"))]


def carry_out(stats: list[SegmentStat], task: Task) -> list[SegmentStat]:
    """What the segments look like once the task is done."""
    chosen = [stat for stat in stats if stat.id in task.segments]
    rest = [stat for stat in stats if stat.id not in task.segments]
    if isinstance(task, Drop):
        return rest
    live = sum(stat.live for stat in chosen)
    weight = sum(stat.vector_bytes for stat in chosen)
    linked = isinstance(task, Index | Fold) or any(stat.graph for stat in chosen)
    one = replace(
        chosen[0], rows=live, live=live, vector_bytes=weight, indexed=True, graph=linked, growing=False
    )
    return [*rest, one]


segments = st.lists(
    st.tuples(st.integers(0, 12_000), st.integers(1, 2000), st.floats(0, 1), st.booleans(), st.booleans()),
    max_size=12,
)


@settings(deadline=None, max_examples=100)
@given(segments, st.integers(0, 2000), st.booleans(), st.integers(0, 5000))
def test_planning_ends_and_never_names_a_segment_twice(
    drawn: list[tuple[int, int, float, bool, bool]], indexing_bytes: int, settled: bool, allowance: int
) -> None:
    bounds = replace(LIMITS, indexing_bytes=indexing_bytes)
    stats = [
        stat(str(i), i * 2048, size=size, indexed=indexed, graph=linked, rows=rows, live=int(rows * share))
        for i, (size, rows, share, indexed, linked) in enumerate(drawn)
    ]
    quietness = Quietness(settled=settled, allowance_bytes=allowance)
    for _ in range(100):
        tasks = plan(stats, bounds, quietness)
        named = [segment for task in tasks for segment in task.segments]
        assert len(named) == len(set(named))
        if not tasks:
            break
        for task in tasks:
            stats = carry_out(stats, task)
    else:
        raise AssertionError("planning never ended")
