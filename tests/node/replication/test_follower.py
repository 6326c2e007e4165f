"""What a follower does with what its primary sends."""

from __future__ import annotations

import pytest

from node.replication import effects as do
from node.replication import events as ev
from node.replication.messages import Align, Append, Detach, Entry, Grant, Reply, Status
from node.replication.terms import Starts
from tests.node.replication.shell import Shell, entries, recovered, replica_set

STARTS: Starts = ((0, -1), (1, 0), (3, 2))  # of a primary whose Noop of term 3 is at seq 2


def align(starts: Starts = STARTS, *, term: int = 3, session: int = 1, number: int = 1) -> Align:
    return Align(term, session, number, 7000 + number, starts)


def append(
    prev_seq: int,
    *new: Entry,
    prev_term: int = 3,
    committed: int = -1,
    grant: Grant | None = None,
    session: int = 1,
    number: int = 2,
) -> Append:
    return Append(3, session, number, 7000 + number, prev_term, prev_seq, committed, tuple(new), grant)


def aligned_follower() -> Shell:
    """Peer 2 has the entries 0 and 1 (term 1) of the primary 1 of term 3."""
    return Shell(me=2, found=recovered(1, 1)).hear(1, align())


def last_reply(shell: Shell) -> Reply:
    return shell.sent(Reply)[-1]


# --- alignment -------------------------------------------------------------------------------------


def test_a_log_that_is_a_part_of_the_primarys_is_aligned_at_once() -> None:
    reply = last_reply(aligned_follower())
    assert (reply.status, reply.durable, reply.session, reply.number, reply.sent_ms) == (0, 1, 1, 1, 7001)


def test_what_the_primary_lacks_is_cut_and_the_state_rebuilt_from_the_log() -> None:
    shell = Shell(me=2, found=recovered(1, 1, 2, 2)).hear(1, align())
    assert shell.of(do.CutTail) == [do.CutTail(1, 3)]
    assert shell.of(do.Rebuild) == [do.Rebuild()]
    assert (last_reply(shell).status, last_reply(shell).durable) == (Status.OK, 1)
    assert shell.machine.applied == 1


def test_a_tail_that_was_never_applied_needs_no_rebuilding() -> None:
    shell = Shell(me=2, found=recovered(1, 1), disk=False)
    shell.hear(1, Align(2, 1, 1, 0, ((0, -1), (1, 0), (2, 2)))).hear(
        1, Append(2, 1, 2, 0, 1, 1, -1, entries(2, start=2))
    )
    shell.hear(1, align())(ev.TailCut(1))
    assert not shell.of(do.Rebuild)


def test_nothing_is_confirmed_before_the_cut_is_durable() -> None:
    shell = Shell(me=2, found=recovered(1, 1, 2, 2), disk=False).hear(1, align())
    shell.hear(1, append(1, *entries(3, start=2), prev_term=1))
    assert [reply.status for reply in shell.sent(Reply)] == [Status.UNALIGNED]
    assert not shell.of(do.Persist)
    assert last_reply(shell(ev.TailCut(1))).status is Status.OK


def test_reports_of_entries_that_were_cut_confirm_nothing() -> None:
    shell = Shell(me=2, found=recovered(1, 1), disk=False)
    shell.hear(1, Align(2, 1, 1, 0, ((0, -1), (1, 0), (2, 2))))
    shell.hear(1, Append(2, 1, 2, 0, 1, 1, -1, entries(2, 2, start=2)))
    shell.hear(1, align())(ev.Persisted(3), ev.TailCut(1))
    assert last_reply(shell).durable == 1
    shell.hear(1, append(1, *entries(3, start=2), prev_term=1))
    assert shell.machine.durable == 1
    assert not shell.of(do.Apply)


def test_an_align_that_comes_again_cuts_nothing_that_came_since() -> None:
    shell = aligned_follower().hear(1, append(1, *entries(3, 3, 3, start=2), prev_term=1))
    reopened = Shell(me=2, found=recovered(1, 1, 3, 3, 3)).hear(1, align())
    for one in (shell.hear(1, align()), reopened):
        assert not one.of(do.CutTail)
        assert last_reply(one).durable == 4


def test_entries_before_an_align_are_asked_to_wait() -> None:
    shell = Shell(me=2, found=recovered(1, 1)).hear(1, append(1, *entries(3, start=2), prev_term=1))
    assert last_reply(shell).status is Status.UNALIGNED
    assert not shell.of(do.Persist)


def test_what_is_committed_is_never_cut() -> None:
    shell = Shell(me=2, found=recovered(1, 1, 2, 2, floor=3)).hear(1, align())
    assert last_reply(shell).status is Status.NEEDS_TRANSFER
    assert shell.machine.stranded
    assert not shell.of(do.CutTail)


def test_a_cut_while_rebuilding_leads_to_another_rebuilding() -> None:
    shell = Shell(me=2, found=recovered(1, 1, 2, 2), disk=False).hear(1, align())(ev.TailCut(1))
    shell.hear(1, append(1, *entries(3, 3, start=2), prev_term=1))(ev.Persisted(3))
    shell.hear(3, Align(4, 1, 1, 0, ((0, -1), (1, 0), (4, 2))))
    assert len(shell(ev.Rebuilt(3)).of(do.Apply)) == 0
    assert len(shell(ev.TailCut(1)).of(do.Rebuild)) == 2
    assert shell(ev.Rebuilt(1)).machine.applied == 1


# --- appending -------------------------------------------------------------------------------------


def test_entries_are_logged_applied_and_then_confirmed() -> None:
    shell = aligned_follower()
    shell.disk = False
    shell.clear().hear(1, append(1, *entries(3, 3, start=2), prev_term=1))
    assert [effect.entries[-1].seq for effect in shell.of(do.Persist)] == [3]
    assert [e.seq for effect in shell(ev.Persisted(3)).of(do.Apply) for e in effect.entries] == [2, 3]
    assert not shell.sent(Reply)
    reply = last_reply(shell(ev.Applied(3)))
    assert (reply.durable, reply.applied, reply.status) == (3, 3, Status.OK)


def test_entries_that_come_twice_are_logged_once() -> None:
    message = append(1, *entries(3, 3, start=2), prev_term=1)
    shell = aligned_follower().hear(1, message).hear(1, message)
    longer = append(1, *entries(3, 3, 3, start=2), prev_term=1, number=3)
    assert [[e.seq for e in p.entries] for p in shell.hear(1, longer).of(do.Persist)] == [[2, 3], [4]]


def test_entries_after_a_gap_are_not_logged() -> None:
    shell = aligned_follower().hear(1, append(4, *entries(3, start=5)))
    assert (last_reply(shell).status, last_reply(shell).last_seq) == (Status.GAP, 1)
    assert not shell.of(do.Persist)


def test_a_heartbeat_is_answered_with_what_is_durable() -> None:
    shell = aligned_follower()
    shell.disk = False
    shell.hear(1, append(1, *entries(3, start=2), prev_term=1)).hear(1, append(2, number=9))
    reply = last_reply(shell)
    assert (reply.last_seq, reply.durable, reply.number, reply.sent_ms) == (2, 1, 9, 7009)


def test_what_the_primary_says_is_committed_is_so_as_far_as_it_is_durable_here() -> None:
    shell = aligned_follower().hear(1, append(1, *entries(3, start=2), prev_term=1, committed=9))
    assert shell.machine.committed == 1
    assert shell.hear(1, append(2, committed=9, number=3)).machine.committed == 2


def test_messages_of_an_earlier_registration_are_ignored() -> None:
    shell = aligned_follower().hear(1, align(session=2)).clear()
    assert shell.hear(1, append(1, *entries(3, start=2), prev_term=1)).effects == []


def test_while_its_state_is_rebuilt_it_goes_on_logging_and_confirming() -> None:
    """A new primary takes writes no later because of it."""
    shell = Shell(me=2, found=recovered(1, 1, 2), disk=False).hear(1, align())(ev.TailCut(1))
    shell.hear(1, append(1, *entries(3, 3, start=2), prev_term=1))(ev.Persisted(3))
    assert (last_reply(shell).durable, last_reply(shell).applied) == (3, -1)
    assert not shell.of(do.Apply)
    shell(ev.Rebuilt(2))
    assert [e.seq for effect in shell.of(do.Apply) for e in effect.entries] == [3]


def test_a_detached_follower_waits_for_a_base() -> None:
    shell = aligned_follower().hear(1, Detach(3, 1, 2, 0, incarnation=1))
    assert shell.machine.stranded
    assert last_reply(shell.hear(1, align(number=3))).status is Status.NEEDS_TRANSFER


def test_a_replica_opened_since_is_not_detached() -> None:
    shell = Shell(me=2, found=recovered(1, 1), incarnation=2).hear(1, Detach(3, 1, 2, 0, incarnation=1))
    assert last_reply(shell).status is Status.UNALIGNED
    assert not shell.machine.stranded


# --- terms -----------------------------------------------------------------------------------------


def test_an_older_term_is_refused_and_told_the_newer() -> None:
    shell = aligned_follower().clear().hear(3, Append(2, 1, 1, 0, 1, 1, -1, entries(2, start=2)))
    assert (last_reply(shell).status, last_reply(shell).term) == (Status.OLD_TERM, 3)
    assert [send.peer for send in shell.of(do.Send)] == [3]
    assert not shell.of(do.Persist)


def test_an_older_term_is_refused_after_a_restart_too() -> None:
    shell = Shell(me=2, found=recovered(1, 1, 3)).hear(3, align(((0, -1), (2, 0)), term=2))
    assert last_reply(shell).status is Status.OLD_TERM


def test_a_client_is_told_who_the_primary_is() -> None:
    shell = Shell(me=2)(ev.ConfigChanged(replica_set(primary=3))).write(5)
    assert shell(ev.RepeatProposed(6, 0)).of(do.Refuse) == [
        do.Refuse(5, do.Refusal.NOT_PRIMARY, 3),
        do.Refuse(6, do.Refusal.NOT_PRIMARY, 3),
    ]


def test_an_older_version_of_the_agreement_changes_nothing() -> None:
    shell = Shell(me=2)(ev.ConfigChanged(replica_set(version=4, term=2, primary=3)))
    shell(ev.ConfigChanged(replica_set(version=3, term=2, primary=2)))
    assert shell.machine.refusal() is do.Refusal.NOT_PRIMARY


# --- the disk --------------------------------------------------------------------------------------


def test_a_broken_disk_is_reported_and_nothing_is_logged_any_more() -> None:
    shell = aligned_follower()
    shell.disk = False
    shell.hear(1, append(1, *entries(3, start=2), prev_term=1))(ev.PersistFailed("no disk"))
    assert shell.of(do.ReportFailed) == [do.ReportFailed("no disk")]
    persists = len(shell.of(do.Persist))
    assert last_reply(shell.hear(1, append(2, *entries(3, start=3)))).status is Status.FAILED
    assert len(shell.of(do.Persist)) == persists


def test_a_checkpoint_of_what_is_not_committed_is_a_bug() -> None:
    shell = aligned_follower()
    with pytest.raises(AssertionError):
        shell(ev.Checkpointed(1, 0))


# --- strong reads ----------------------------------------------------------------------------------


def leased_follower() -> Shell:
    shell = aligned_follower()
    return shell.hear(1, append(1, prev_term=1, grant=Grant(1, shell.now_ms, 500)))


def test_a_follower_reads_strongly_while_its_lease_runs() -> None:
    shell = leased_follower()
    assert shell.machine.may_serve_strong_read(shell.now_ms + 499)
    assert not shell.machine.may_serve_strong_read(shell.now_ms + 500)


def test_it_reads_no_less_than_it_has_confirmed() -> None:
    """What it has confirmed may have been acknowledged before it hears that it is committed."""
    shell = leased_follower()
    shell.disk = False
    shell.hear(1, append(1, *entries(3, start=2), prev_term=1))(ev.Persisted(2)).hear(1, append(2, number=5))
    assert shell.machine.strong_read_seq(shell.now_ms) == 2
    assert not shell.machine.may_serve_strong_read(shell.now_ms)
    assert shell(ev.Applied(2)).machine.may_serve_strong_read(shell.now_ms)


@pytest.mark.parametrize(
    "event",
    [
        ev.ConfigChanged(replica_set(version=9, term=3, in_sync=(1, 3))),
        ev.ConfigChanged(replica_set(version=9, term=4, primary=3)),
        ev.Received(3, align(term=4, starts=((0, -1), (1, 0), (4, 2)))),
        ev.PersistFailed("no disk"),
    ],
    ids=["put out", "new term", "message of a new term", "failed disk"],
)
def test_a_lease_ends_with_what_it_rests_on(event: ev.Event) -> None:
    shell = leased_follower()(event)
    assert not shell.machine.may_serve_strong_read(shell.now_ms)


def test_a_state_that_is_being_rebuilt_answers_no_strong_read() -> None:
    shell = Shell(me=2, found=recovered(1, 1, 2), disk=False).hear(1, align())(ev.TailCut(1))
    shell.hear(1, append(1, prev_term=1, grant=Grant(1, shell.now_ms, 500)))
    assert shell.machine.strong_read_seq(shell.now_ms) is None
    assert shell(ev.Rebuilt(1)).machine.may_serve_strong_read(shell.now_ms)


def test_a_transfer_that_completes_is_told_with_the_next_reply() -> None:
    found = ev.Recovered(recovered(1, 1).terms, 1, -1, complete=False)
    shell = Shell(me=2, found=found).hear(1, align())
    assert not last_reply(shell).complete
    reply = last_reply(shell(ev.BaseCompleted(1)).hear(1, append(1, prev_term=1)))
    assert (reply.complete, reply.floor) == (True, 1)


def test_who_leaves_says_so_and_takes_no_lease_any_more() -> None:
    shell = aligned_follower()
    grant = Grant(incarnation=1, clock_ms=shell.now_ms, lease_ms=500)
    shell.hear(1, append(1, prev_term=1, grant=grant))
    assert shell.machine.strong_read_seq(shell.now_ms) is not None
    assert last_reply(shell(ev.Leaving())).status is Status.LEAVING
    shell.hear(1, append(1, prev_term=1, number=3, grant=grant))
    assert shell.machine.strong_read_seq(shell.now_ms) is None
