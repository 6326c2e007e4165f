"""What a primary does with what its followers, its disk and the cluster say."""

from __future__ import annotations

import pytest

from node.replication import effects as do
from node.replication import events as ev
from node.replication.messages import Align, Append, Detach, Release, Status
from node.replication.primary import NOOP_BODY
from node.replication.tuning import Tuning
from protos.operations import LogEntry, Noop, decode_entry
from tests.node.replication.shell import Shell, entries, ready_primary, recovered, replica_set

LEASE_WAIT_MS = Tuning().lease_wait_ms
EVICT_AFTER_MS = Tuning().evict_after_ms
EVICT_GONE_AFTER_MS = Tuning().evict_gone_after_ms


# --- the beginning of a term -----------------------------------------------------------------------


def test_the_first_term_of_a_shard_begins_at_once() -> None:
    shell = Shell()(ev.ConfigChanged(replica_set()))
    assert [entry.body for persist in shell.of(do.Persist) for entry in persist.entries] == [NOOP_BODY]
    assert decode_entry(NOOP_BODY) == LogEntry(Noop())


def test_a_new_primary_waits_until_older_leases_have_run_out() -> None:
    shell = Shell(found=recovered(1, 1))(ev.ConfigChanged(replica_set(term=2)))
    assert not shell.after(LEASE_WAIT_MS - 60).of(do.Persist)
    assert shell.after(100).of(do.Persist)


def test_nothing_is_sent_before_the_noop_is_durable() -> None:
    """Or a restart could not see that the term was begun, and would begin it again."""
    shell = Shell(disk=False)(ev.ConfigChanged(replica_set()))
    assert not shell.after(500).of(do.Send)
    assert {send.peer for send in shell(ev.Persisted(0)).of(do.Send)} == {2, 3}


def test_a_restarted_primary_asks_for_a_new_term_and_does_nothing_in_its_old_one() -> None:
    """It may have sent entries that it then lost."""
    shell = Shell(found=recovered(1, 1))(ev.ConfigChanged(replica_set(term=1))).after(2000)
    assert do.ProposeNewTerm(1) in shell.of(do.ProposeNewTerm)
    assert not shell.of(do.Send)
    assert shell.machine.refusal() is do.Refusal.NOT_READY


def test_files_made_anew_in_a_term_do_not_begin_it_again() -> None:
    shell = Shell(found=ev.Recovered(term=4))
    shell(ev.ConfigChanged(replica_set(version=1, term=4))).after(2000)
    assert shell.of(do.ProposeNewTerm)
    assert not shell.of(do.Persist)


def test_an_agreement_older_than_the_log_makes_nobody_primary() -> None:
    shell = Shell(found=recovered(1, 2))(ev.ConfigChanged(replica_set(term=1))).after(2000)
    assert shell.effects == []


def test_writes_are_taken_when_every_counted_follower_has_the_noop() -> None:
    shell = Shell()(ev.ConfigChanged(replica_set()))
    shell.reply(2, -1).reply(2, 0).reply(3, -1)
    assert shell.write(1).of(do.Refuse) == [do.Refuse(1, do.Refusal.NOT_READY, 1)]
    assert shell.reply(3, 0).of(do.PrimaryReady) == [do.PrimaryReady(1)]
    assert shell.machine.refusal() is None


def test_alone_in_the_set_it_is_ready_by_itself() -> None:
    shell = Shell()(ev.ConfigChanged(replica_set(in_sync=(1,))))
    assert shell.machine.is_ready
    assert shell.write(1, 2).acknowledged() == [1, 2]


def test_a_rebuilding_replica_is_not_ready_before_its_state_is_its_logs() -> None:
    shell = Shell(found=recovered(1, 1, 1), disk=False)
    shell.hear(2, Align(2, 1, 1, 0, ((0, -1), (1, 0), (2, 2))))(ev.TailCut(1))
    shell(ev.ConfigChanged(replica_set(version=5, term=3, in_sync=(1,)))).after(LEASE_WAIT_MS + 50)
    shell(ev.Persisted(2))
    assert not shell.machine.is_ready
    shell(ev.Rebuilt(1), ev.Applied(2))
    assert shell.machine.is_ready


# --- writing ---------------------------------------------------------------------------------------


def test_a_write_is_acknowledged_when_every_in_sync_replica_has_it() -> None:
    shell = ready_primary().write(7)
    assert shell.reply(2, 1).acknowledged() == []
    assert shell.reply(3, 1).of(do.Acknowledge) == [do.Acknowledge(7, 1)]


def test_its_own_disk_is_waited_for_like_the_others() -> None:
    shell = ready_primary()
    shell.disk = False
    shell.write(7).reply(2, 1).reply(3, 1)
    assert shell.acknowledged() == []
    assert shell(ev.Persisted(1)).acknowledged() == [7]


def test_a_visible_write_waits_until_in_sync_replicas_have_applied_it() -> None:
    shell = ready_primary().write(7, visible=True)
    shell.reply(2, 1).reply(3, 1, applied=0)
    assert shell.acknowledged() == []
    assert shell.reply(3, 1).acknowledged() == [7]


def test_a_strong_write_waits_until_the_cluster_confirms_the_term() -> None:
    shell = ready_primary().write(7, confirm_term=True).reply(2, 1).reply(3, 1)
    assert shell.acknowledged() == []
    asked = shell.of(do.ConfirmTerm)
    assert [effect.term for effect in asked] == [1]
    assert shell(ev.TermConfirmed(asked[0].number)).acknowledged() == [7]


def test_one_question_serves_all_strong_writes_that_wait() -> None:
    shell = ready_primary().write(1, 2, confirm_term=True).reply(2, 2).reply(3, 2)
    shell.write(3, confirm_term=True).reply(2, 3).reply(3, 3)
    number = shell.of(do.ConfirmTerm)[0].number
    assert shell(ev.TermConfirmed(number)).acknowledged() == [1, 2]
    assert shell(ev.TermConfirmed(number)).acknowledged() == [1, 2]
    assert shell(ev.TermConfirmed(number + 1)).acknowledged() == [1, 2, 3]


def test_a_repeat_is_answered_with_the_first_seq_once_that_is_committed() -> None:
    shell = ready_primary().write(7)(ev.RepeatProposed(8, 1))
    assert shell.acknowledged() == []
    shell.reply(2, 1).reply(3, 1)
    assert shell.of(do.Acknowledge) == [do.Acknowledge(7, 1), do.Acknowledge(8, 1)]
    assert shell(ev.RepeatProposed(9, 1)).acknowledged() == [7, 8, 9]


@pytest.mark.parametrize(("factor", "refused"), [(1, False), (2, True), (9, True)])
def test_too_few_replicas_in_sync_refuse_a_write_before_anything_is_logged(
    factor: int, refused: bool
) -> None:
    shell = ready_primary(in_sync=(1,), factor=factor).write(7)
    assert bool(shell.of(do.Persist)) is not refused
    assert [effect.refusal for effect in shell.of(do.Refuse)] == [do.Refusal.TOO_FEW_IN_SYNC] * refused


def test_writes_beyond_what_may_wait_are_refused() -> None:
    shell = Shell(tuning=Tuning(uncommitted_entries_max=3))(ev.ConfigChanged(replica_set()))
    shell.reply(2, -1).reply(2, 0).reply(3, -1).reply(3, 0)
    shell.write(1, 2, 3).write(4)
    assert [(effect.token, effect.refusal) for effect in shell.of(do.Refuse)] == [(4, do.Refusal.BUSY)]
    shell.reply(2, 3).reply(3, 3)
    assert shell.machine.refusal() is None


# --- sending ---------------------------------------------------------------------------------------


def test_several_messages_are_under_way_at_once_within_the_window() -> None:
    shell = Shell(tuning=Tuning(append_entries_max=2, inflight_messages_max=3))
    shell(ev.ConfigChanged(replica_set(in_sync=(1, 2)))).reply(2, -1).reply(2, 0).clear()
    shell.write(*range(1, 11))
    assert [[e.seq for e in m.entries] for m in shell.sent(Append)] == [[1, 2], [3, 4], [5, 6]]
    shell.clear()
    shell.effects.append(do.Send(2, Append(1, 1, 5, 0, 1, 6, 0)))
    assert [[e.seq for e in m.entries] for m in shell.reply(2, 4).sent(Append)[1:]] == [[7, 8], [9, 10]]


def test_a_gap_is_filled_from_where_the_follower_ends() -> None:
    shell = ready_primary(in_sync=(1, 2)).write(1).write(2).after(100)
    shell.reply(2, 0, status=Status.GAP)
    assert [e.seq for e in shell.sent(Append)[-1].entries] == [1, 2]


def test_a_late_report_of_a_gap_that_was_filled_changes_nothing() -> None:
    shell = ready_primary(in_sync=(1, 2)).write(1).after(100).reply(2, 0, status=Status.GAP)
    sent = len(shell.sent(Append))
    shell.reply(2, 0, status=Status.GAP, number=1)
    assert len(shell.sent(Append)) == sent


def test_a_follower_behind_memory_is_served_from_the_log() -> None:
    shell = Shell(found=recovered(*[1] * 10))(ev.ConfigChanged(replica_set(term=2, in_sync=(1, 2))))
    shell.after(LEASE_WAIT_MS + 50).reply(2, 3)
    read = shell.of(do.ReadLog)[-1]
    assert (read.peer, read.from_seq) == (2, 4)
    shell(ev.LogRead(2, read.session, entries(*[1] * 3, start=4)))
    assert [e.seq for e in shell.sent(Append)[-1].entries] == [4, 5, 6]
    assert shell.of(do.ReadLog)[-1].from_seq == 7


def test_a_follower_behind_the_log_is_detached_and_given_a_base() -> None:
    shell = ready_primary(in_sync=(1,), joining=(2,))
    shell(ev.Checkpointed(0, 1))
    session = shell.after(300).sent(Align, 2)[-1].session
    shell.reply(2, -1)
    shell(ev.LogRead(2, session, ())).after(100)
    assert shell.of(do.NeedsTransfer) == [do.NeedsTransfer(2)]
    assert shell.sent(Detach, 2)[-1].incarnation == 1
    shell.clear().effects.append(do.Send(2, Detach(1, session, 9, 0, 1)))
    assert not shell.reply(2, -1).sent(Append), "what it said before counts no more"
    assert shell.reply(2, -1, incarnation=2, status=Status.UNALIGNED).sent(Align, 2)


def test_an_idle_follower_hears_from_its_primary_in_time() -> None:
    shell = ready_primary().after(1000)
    assert len(shell.sent(Append, 2)) >= 1000 // Tuning().heartbeat_ms


# --- evictions -------------------------------------------------------------------------------------


def silent_follower() -> Shell:
    """Peer 3 has not answered a write for too long; peer 2 has."""
    shell = ready_primary().write(7).reply(2, 1)
    for _ in range(EVICT_AFTER_MS // 500 + 1):
        shell.after(500).reply(2, 1)
    return shell


def test_a_follower_that_keeps_writes_waiting_is_put_out_of_the_set() -> None:
    shell = silent_follower()
    assert shell.of(do.ProposeEviction) == [do.ProposeEviction(3, 1, 0)]


def test_a_proposal_acknowledges_nothing_yet() -> None:
    assert silent_follower().after(50).acknowledged() == []


def test_an_eviction_is_acted_on_when_it_was_agreed_on() -> None:
    shell = silent_follower()(ev.ConfigChanged(replica_set(version=2, in_sync=(1, 2))))
    assert shell.after(LEASE_WAIT_MS + 50).acknowledged() == [7]


def test_after_an_eviction_the_lease_of_the_evicted_is_waited_for() -> None:
    """Until then it answers strong reads, without the write."""
    shell = ready_primary().after(300).reply(2, 0).reply(3, 0).after(300)  # 3 was granted a lease just now
    shell.write(7).reply(2, 1)
    shell(ev.ConfigChanged(replica_set(version=2, in_sync=(1, 2))))
    granted_ms = shell.sent(Append, 3)[-1].sent_ms
    assert shell.sent(Append, 3)[-1].grant is not None
    assert shell.acknowledged() == []
    shell.after(granted_ms + LEASE_WAIT_MS - shell.now_ms - 50)
    assert shell.acknowledged() == []
    assert shell.after(100).acknowledged() == [7]


def test_a_follower_that_steadily_makes_progress_in_time_is_kept() -> None:
    shell = ready_primary(in_sync=(1, 2))
    for token in range(1, 20):
        shell.write(token).after(400).reply(2, token)
    assert not shell.of(do.ProposeEviction)


def test_a_primary_that_was_stopped_does_not_blame_its_followers() -> None:
    shell = ready_primary().write(1)
    shell.now_ms += 60_000
    shell(ev.Tick())
    assert not shell.of(do.ProposeEviction)
    assert shell.after(EVICT_AFTER_MS + 300).of(do.ProposeEviction)


def test_a_follower_where_nobody_answers_is_put_out_sooner() -> None:
    shell = ready_primary()(ev.Unreachable(frozenset({3}))).write(7).reply(2, 1)
    shell.after(EVICT_GONE_AFTER_MS // 2).reply(2, 1)
    assert not shell.of(do.ProposeEviction)
    shell.after(EVICT_GONE_AFTER_MS // 2 + 10)
    assert shell.of(do.ProposeEviction) == [do.ProposeEviction(3, 1, 0)]


def test_a_follower_that_is_reached_again_has_its_whole_time() -> None:
    shell = ready_primary()(ev.Unreachable(frozenset({3}))).write(7).reply(2, 1)
    shell(ev.Unreachable(frozenset()))
    shell.after(EVICT_GONE_AFTER_MS + 10).reply(2, 1)
    assert not shell.of(do.ProposeEviction)


def test_a_follower_whose_disk_failed_is_put_out_at_once() -> None:
    shell = ready_primary().after(250).reply(3, 0, status=Status.FAILED)
    assert shell.of(do.ProposeEviction) == [do.ProposeEviction(3, 1, 0)]


def test_an_evicted_follower_that_returns_is_a_new_registration() -> None:
    """Its old confirmations may be about files that are gone."""
    shell = ready_primary().after(250)
    before = shell.sent(Append, 3)[-1]
    shell(ev.ConfigChanged(replica_set(version=2, in_sync=(1, 2))))
    shell(ev.ConfigChanged(replica_set(version=3, in_sync=(1, 2), joining=(3,))))
    assert shell.sent(Align, 3)[-1].session > before.session
    shell.reply(3, 50, session=before.session)
    assert not shell.of(do.ProposeAdmission)


# --- admissions ------------------------------------------------------------------------------------


def joining_follower(**fields: object) -> Shell:
    """Peer 3 joins, and lacks the write at seq 1."""
    shell = ready_primary(in_sync=(1, 2), joining=(3,)).write(1).reply(2, 1).after(300)
    return shell.reply(3, 0, **fields)


def test_a_joining_follower_is_admitted_when_it_has_all_that_is_committed() -> None:
    shell = joining_follower()
    assert not shell.of(do.ProposeAdmission)
    assert shell.reply(3, 1).of(do.ProposeAdmission) == [do.ProposeAdmission(3, 1, 0)]


def test_commits_wait_for_a_follower_before_its_admission_is_proposed() -> None:
    """Once it is admitted it may be promoted before the primary hears of it."""
    shell = joining_follower().reply(3, 1).write(2).reply(2, 2)
    assert shell.acknowledged() == [1]
    assert shell.reply(3, 2).acknowledged() == [1, 2]


@pytest.mark.parametrize("fields", [{"complete": False}, {"floor": 5}])
def test_a_follower_that_lacks_a_part_or_could_not_be_cut_is_not_admitted(fields: dict[str, object]) -> None:
    shell = joining_follower(**fields).reply(3, 1, **fields)
    assert not shell.of(do.ProposeAdmission)


def test_a_recovering_follower_gets_entries_and_is_not_waited_for() -> None:
    shell = ready_primary(in_sync=(1, 2), recovering=(3,)).after(300).reply(3, 0)
    assert shell.write(1).sent(Append, 3)[-1].entries
    assert shell.reply(2, 1).acknowledged() == [1]
    assert not shell.reply(3, 1).of(do.ProposeAdmission)


# --- the end of a term -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["agreement", "message", "reply"])
def test_a_deposed_primary_tells_its_clients_that_the_outcome_is_unknown(how: str) -> None:
    shell = ready_primary().write(7, 8)
    if how == "agreement":
        shell(ev.ConfigChanged(replica_set(version=2, term=2, primary=2)))
    elif how == "message":
        shell.hear(2, Align(2, 1, 1, 0, ((0, -1), (1, 0), (2, 1))))
    else:
        shell.reply(2, -1, term=2, status=Status.OLD_TERM)
    assert {effect.token for effect in shell.of(do.OutcomeUnknown)} == {7, 8}
    assert shell.machine.refusal() is do.Refusal.NOT_PRIMARY
    assert shell.write(9).of(do.Refuse)[-1].refusal is do.Refusal.NOT_PRIMARY


def test_a_broken_disk_makes_a_primary_ask_to_be_replaced() -> None:
    shell = ready_primary()
    shell.disk = False
    shell.write(7).reply(2, 1).reply(3, 1)
    shell(ev.PersistFailed("no disk"))
    assert shell.of(do.OutcomeUnknown) == [do.OutcomeUnknown(7)]
    assert shell.of(do.AskReplacement) == [do.AskReplacement(1)]
    assert shell.write(8).of(do.Refuse)[-1].refusal is do.Refusal.FAILED
    assert len(shell.after(3000).of(do.AskReplacement)) >= 3


# --- strong reads ----------------------------------------------------------------------------------


def test_a_primary_reads_strongly_while_all_counted_followers_answer() -> None:
    shell = ready_primary().after(250).reply(2, 0).reply(3, 0)
    assert shell.machine.may_serve_strong_read(shell.now_ms)
    shell.after(600).reply(2, 0)
    assert shell.machine.may_serve_strong_read(shell.now_ms)
    shell.after(450)
    assert not shell.machine.may_serve_strong_read(shell.now_ms), "peer 3 may have been promoted by now"


def test_leases_end_with_the_primarys_own() -> None:
    """A deposed primary, cut off together with one follower, must not keep it answering."""
    shell = ready_primary().after(250).reply(2, 0).reply(3, 0)
    answered_ms = shell.sent(Append, 3)[-1].sent_ms
    for _ in range(8):
        shell.after(250).reply(2, 0)  # 3 answers no more
    for message in shell.sent(Append, 2):
        if message.grant is not None:
            assert message.sent_ms + message.grant.lease_ms <= answered_ms + Tuning().read_lease_ms
    assert shell.sent(Append, 2)[-1].grant is None


def test_what_is_acknowledged_but_not_applied_holds_a_strong_read_back() -> None:
    shell = ready_primary(in_sync=(1,))
    shell.disk = False
    shell.write(1)(ev.Persisted(1))
    assert shell.acknowledged() == [1]
    assert shell.machine.strong_read_seq(shell.now_ms) == 1
    assert not shell.machine.may_serve_strong_read(shell.now_ms)
    assert shell(ev.Applied(1)).machine.may_serve_strong_read(shell.now_ms)


# --- planned ends ----------------------------------------------------------------------------------


def _released(term: int = 1, holders: tuple[int, ...] = (1, 2, 3)) -> ev.Received:
    message = Release(term=term, session=1, number=9, sent_ms=0, holders=tuple((peer, 0) for peer in holders))
    return ev.Received(1, message)


def test_a_lead_that_was_handed_over_begins_at_once() -> None:
    shell = Shell(2, recovered(1, 1))(_released())
    assert shell(ev.ConfigChanged(replica_set(term=2, primary=2))).of(do.Persist)


def test_a_release_may_come_after_the_term_has_begun() -> None:
    shell = Shell(2, recovered(1, 1))(ev.ConfigChanged(replica_set(term=2, primary=2)))
    assert not shell.of(do.Persist)
    assert shell(_released()).of(do.Persist)


@pytest.mark.parametrize(
    ("released", "agreed"),
    [
        (_released(term=1), replica_set(term=3, primary=2)),  # another replica has led in between
        (_released(), replica_set(term=2, primary=2, in_sync=(1, 2))),  # one that is out holds a lease
    ],
)
def test_leases_that_the_release_does_not_speak_of_are_waited_for(
    released: ev.Received, agreed: ev.ReplicaSet
) -> None:
    shell = Shell(2, recovered(1, 1))(released, ev.ConfigChanged(agreed))
    assert not shell.after(LEASE_WAIT_MS - 60).of(do.Persist)
    assert shell.after(100).of(do.Persist)


def test_one_put_out_after_a_hand_over_is_taken_to_hold_an_older_lease() -> None:
    shell = Shell(2, recovered(1, 1))(_released(), ev.ConfigChanged(replica_set(term=2, primary=2)))
    shell.reply(1, 1).reply(3, 1).reply(1, 2).reply(3, 2).write(7)
    shell.reply(1, 3)
    shell(ev.ConfigChanged(replica_set(version=2, term=2, primary=2, in_sync=(1, 2))))
    assert shell.acknowledged() == []
    assert shell.after(LEASE_WAIT_MS + 50).acknowledged() == [7]


def test_a_primary_releases_its_term_only_when_no_other_lease_may_run() -> None:
    shell = ready_primary()
    shell.after(300).reply(3, 0)
    assert shell.after(50).sent(Append, 3)[-1].grant is not None
    shell(ev.ConfigChanged(replica_set(version=2, in_sync=(1, 2))))  # 3 may hold its lease for a while
    assert not shell(ev.HandingOver(2)).sent(Release)
    released = shell.after(LEASE_WAIT_MS + 50).reply(2, 0)(ev.HandingOver(2)).sent(Release, 2)
    assert released[-1].holders == ((1, 0), (2, 0))


def test_a_released_term_in_which_nobody_takes_over_is_followed_by_another() -> None:
    shell = ready_primary()(ev.HandingOver(2))
    assert not shell.after(EVICT_AFTER_MS - 100).of(do.ProposeNewTerm)
    assert shell.after(200).of(do.ProposeNewTerm)


def test_who_leaves_is_put_out_as_soon_as_somebody_waits_for_it_and_not_before() -> None:
    shell = ready_primary().after(300)
    shell.reply(2, 0).reply(3, 0, status=Status.LEAVING).after(300)
    assert not shell.of(do.ProposeEviction)
    assert shell.write(7).of(do.ProposeEviction) == [do.ProposeEviction(3, 1, 0)]
    shell.reply(2, 1)
    shell(ev.ConfigChanged(replica_set(version=2, in_sync=(1, 2))))
    assert shell.acknowledged() == [7]


def test_who_leaves_while_writes_wait_for_it_is_put_out_at_once() -> None:
    shell = ready_primary().write(7)
    assert shell.reply(3, 0, status=Status.LEAVING).of(do.ProposeEviction)


def test_who_leaves_and_comes_back_is_waited_for_again() -> None:
    shell = ready_primary().after(300)
    shell.reply(3, 0, status=Status.LEAVING).reply(3, 0, incarnation=2)
    assert not shell.write(7).of(do.ProposeEviction)


def test_one_that_does_not_apply_what_somebody_waits_to_see_is_put_out_when_it_falls_silent() -> None:
    shell = ready_primary().write(7, visible=True)
    shell.reply(2, 1).reply(3, 1, applied=0)
    for _ in range(EVICT_AFTER_MS // 50 + 1):
        shell.after(50).reply(2, 1)
    assert [effect.peer for effect in shell.of(do.ProposeEviction)] == [3]
