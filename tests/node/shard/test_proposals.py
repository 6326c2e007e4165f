"""Proposals beside everything else: bounded, and nobody's failure."""

from __future__ import annotations

import asyncio

from consensus.commands import Command, RemovePeer
from node.shard.proposals import PROPOSALS_MAX, Proposals
from protos.errors import Timeout
from tests.node.shard.group import until


class Cluster:
    """Agrees on nothing before ``may_answer`` is set; then refuses every second proposal."""

    def __init__(self) -> None:
        self.asked: list[Command] = []
        self.ended = 0
        self.may_answer = asyncio.Event()

    async def propose(self, command: Command) -> None:
        self.asked.append(command)
        turn = len(self.asked)
        try:
            await self.may_answer.wait()
        finally:
            self.ended += 1
        if turn % 2:
            raise Timeout("no agreement")


async def test_no_more_are_under_way_than_the_bound_and_a_refused_one_makes_room() -> None:
    cluster = Cluster()
    proposals = Proposals(cluster.propose)
    for peer in range(PROPOSALS_MAX + 3):
        proposals.make(RemovePeer(peer))
    await until(lambda: len(cluster.asked) == PROPOSALS_MAX)
    cluster.may_answer.set()
    await until(lambda: cluster.ended == PROPOSALS_MAX)
    proposals.make(RemovePeer(99))
    await until(lambda: RemovePeer(99) in cluster.asked)
    await proposals.close()
    assert len(cluster.asked) == PROPOSALS_MAX + 1


async def test_closing_ends_what_is_under_way() -> None:
    cluster = Cluster()
    proposals = Proposals(cluster.propose)
    proposals.make(RemovePeer(1))
    await until(lambda: len(cluster.asked) == 1)
    await proposals.close()
    assert cluster.ended == 1
