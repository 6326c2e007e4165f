"""What users read about a transfer (reference 14.3, 19)."""

from __future__ import annotations

from consensus.state import Transfer, TransferMethod
from node.transfer.progress import Stage, Transfers, key_of


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


KEY = key_of("c", Transfer(0, 1, 2, 5, TransferMethod.STREAM_RECORDS))


def test_records_are_counted_with_the_time_still_to_come() -> None:
    clock = Clock()
    transfers = Transfers(clock)
    progress = transfers.begin(KEY, TransferMethod.STREAM_RECORDS)
    progress.expect(200)
    assert transfers.comment(KEY) == "Transferring records (0/200), started 0s ago, ETA: -"
    clock.now_s += 4.9
    progress.advance(50)
    assert transfers.comment(KEY) == "Transferring records (50/200), started 4s ago, ETA: 14.70s"
    progress.advance(900)
    assert transfers.comment(KEY) == "Transferring records (200/200), started 4s ago, ETA: 0.00s"


def test_a_snapshot_tells_its_stage_and_how_long_it_has_lasted() -> None:
    clock = Clock()
    transfers = Transfers(clock)
    progress = transfers.begin(KEY, TransferMethod.SNAPSHOT)
    clock.now_s += 1.25
    assert transfers.comment(KEY) == "proxifying (1.2s)"
    progress.enter(Stage.CREATING)
    clock.now_s += 0.5
    assert transfers.comment(KEY) == "creating snapshot (0.5s)"
    progress.enter(Stage.TRANSFERRING)
    assert transfers.comment(KEY) == "transferring (0.0s)"


def test_a_target_that_asks_again_goes_on_with_the_same_transfer() -> None:
    clock = Clock()
    transfers = Transfers(clock)
    first = transfers.begin(KEY, TransferMethod.STREAM_RECORDS)
    clock.now_s += 7
    again = transfers.begin(KEY, TransferMethod.STREAM_RECORDS)
    assert again is first
    again.expect(10)
    assert transfers.comment(KEY) == "Transferring records (0/10), started 7s ago, ETA: -"
    assert transfers.begin(KEY, TransferMethod.SNAPSHOT) is not first


def test_transfers_that_ended_are_forgotten() -> None:
    transfers = Transfers(Clock())
    other = KEY._replace(epoch=6)
    transfers.begin(KEY, TransferMethod.SNAPSHOT)
    transfers.begin(other, TransferMethod.SNAPSHOT)
    transfers.keep({other})
    assert transfers.comment(KEY) is None
    assert transfers.comment(other) == "proxifying (0.0s)"
