"""What state machines do to a replica beside writing: checkpoints, crashes, rebuilt segments."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from node.optimizer import runner
from node.optimizer.plan import Drop, Merge, Vacuum
from node.replica.replica import ShardReplica
from node.segments.building.assemble import assemble
from protos.collections import CollectionConfig
from tests.node.replica.conftest import Shards


async def built_here(job: Any) -> Any:
    """The builder's work without its process."""
    return assemble(job)


class ReplicaMachine(RuleBasedStateMachine):
    """Segments are small, built in this process, and rebuilt when a rule says so."""

    config: CollectionConfig | None = None
    replica: ShardReplica

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.patch = pytest.MonkeyPatch()
        self.root = Path(tempfile.mkdtemp(prefix="replica-model-"))
        self.shards = Shards(self.root)

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(call)

    @initialize()
    def start(self) -> None:
        self.patch.setattr(runner, "run_build", built_here)
        self.patch.setattr("node.replica.segment_set.GROWING_ROWS_MAX", 64)
        self.run(self.begin())

    async def begin(self) -> None:
        self.replica = await self.shards.open(self.config)

    def teardown(self) -> None:
        self.run(self.shards.close())
        self.loop.close()
        self.patch.undo()
        shutil.rmtree(self.root)

    @rule()
    def checkpoint(self) -> None:
        self.run(self.replica.checkpoint())

    @rule()
    def crash(self) -> None:
        async def again() -> None:
            self.shards.crash()
            self.replica = await self.shards.open(self.config)

        self.run(again())

    @rule()
    def seal(self) -> None:
        async def sealed() -> None:
            await self.replica.on_writer(self.replica.contents.applier.segments.seal_all)
            await self.replica.on_writer(self.replica.contents.publish)

        self.run(sealed())

    def finished(self) -> list[tuple[str, int]]:
        """(id, live rows) of each finished segment."""
        applier = self.replica.contents.applier
        segments = sorted(applier.segments.sealed.values(), key=lambda segment: segment.start)
        return [(segment.id, applier.live.count(segment.start, segment.rows)) for segment in segments]

    @precondition(lambda self: any(live for _, live in self.finished()))
    @rule()
    def compact(self) -> None:
        segment = next(name for name, live in self.finished() if live)
        self.run(self.replica._optimizer._carry_out(Vacuum((segment,))))

    @precondition(lambda self: len([live for _, live in self.finished() if live]) > 1)
    @rule()
    def merge(self) -> None:
        live = [name for name, live in self.finished() if live]
        self.run(self.replica._optimizer._carry_out(Merge(tuple(live[:2]))))

    @precondition(lambda self: any(not live for _, live in self.finished()))
    @rule()
    def drop(self) -> None:
        dead = tuple(name for name, live in self.finished() if not live)
        self.run(self.replica._optimizer._carry_out(Drop(dead)))
