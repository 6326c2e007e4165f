from hypothesis import given
from hypothesis import strategies as st

from node.replication.terms import TermList


def list_of(terms: list[int]) -> TermList:
    log = TermList()
    for seq, term in enumerate(terms):
        log = log.extended(term, seq)
    return log


def test_an_empty_log_has_term_0_before_its_first_entry() -> None:
    assert TermList().term_at(-1) == 0
    assert TermList().last_term == 0


def test_each_entry_has_the_term_it_was_appended_with() -> None:
    log = list_of([1, 1, 3, 3, 4])
    assert [log.term_at(seq) for seq in range(-1, 5)] == [0, 1, 1, 3, 3, 4]


def test_cutting_and_appending_again_gives_the_new_terms() -> None:
    log = list_of([1, 1, 3, 3]).cut(1).extended(4, 2)
    assert log.starts == ((0, -1), (1, 0), (4, 2))


def test_trimming_forgets_whole_terms_only() -> None:
    log = list_of([1, 1, 3, 3, 4]).trimmed(3)
    assert log.starts == ((3, 2), (4, 4))
    assert log.term_at(1) is None


def test_logs_whose_common_part_is_trimmed_have_no_common_entry() -> None:
    assert list_of([1, 1]).common(1, list_of([1, 1, 2, 3]).trimmed(3).starts) is None


def test_newer_entries_of_the_primarys_own_term_are_common() -> None:
    """An ``Align`` that comes late must not cut what was appended since it was sent."""
    primary_at_start = list_of([1, 1, 2])
    follower = list_of([1, 1, 2, 2, 2])
    assert follower.common(4, primary_at_start.starts) == 4


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Two logs as the protocol can make them: each term begins where its primary's log ended."""
    logs: list[list[int]] = [[], []]
    for term in range(1, draw(st.integers(1, 6))):
        leader = draw(st.integers(0, 1))
        logs[leader] += [term] * draw(st.integers(1, 4))
        if draw(st.booleans()):  # the other is brought to a part of it that reaches into this term
            first = logs[leader].index(term)
            logs[1 - leader] = logs[leader][: draw(st.integers(first + 1, len(logs[leader])))]
    return logs[0], logs[1]


@given(histories())
def test_the_common_entry_is_the_last_one_before_the_logs_part(logs: tuple[list[int], list[int]]) -> None:
    mine, theirs = logs
    theirs = [*theirs, 99]  # the primary's Noop
    same = 0
    while same < min(len(mine), len(theirs)) and mine[same] == theirs[same]:
        same += 1
    assert list_of(mine).common(len(mine) - 1, list_of(theirs).starts) == same - 1
