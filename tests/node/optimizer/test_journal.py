"""The optimizer's record of what it does."""

from __future__ import annotations

from node.optimizer.journal import ENDED_MAX, Journal
from node.optimizer.tasks import Index, SegmentStat
from protos.clock import SystemClock


class Clock(SystemClock):
    now_ms = 1_000

    def unix_ms(self) -> int:
        return self.now_ms


def test_what_runs_comes_first_and_what_ended_last_next() -> None:
    clock = Clock()
    journal = Journal(clock)
    stats = [SegmentStat("s", start=0, rows=9, live=7, vector_bytes=1, indexed=False)]
    for target in ("a", "b", "c"):
        journal.begin(target, Index(("s", "gone")), stats)
        clock.now_ms += 1_000
    journal.end("a")
    journal.end("b", error="no luck")
    journal.end("unknown")
    assert [one.id for one in journal.entries] == ["c", "b", "a"]
    running, failed, done = journal.entries
    assert (running.ended_ms, failed.error, done.error) == (None, "no luck", None)
    assert [part.points for part in done.segments] == [7, 0]
    assert done.ended_ms is not None
    assert done.ended_ms - done.started_ms == 3_000


def test_a_bounded_number_is_remembered() -> None:
    journal = Journal(Clock())
    for number in range(ENDED_MAX + 5):
        journal.begin(str(number), Index(("s",)), [])
        journal.end(str(number))
    assert len(journal.entries) == ENDED_MAX
    assert journal.entries[0].id == str(ENDED_MAX + 4)
