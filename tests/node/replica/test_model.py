"""A replica against a dictionary: any mix of writes, rebuilds, checkpoints and crashes."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from node.optimizer import runner
from node.optimizer.plan import Drop, Merge, Vacuum
from node.segments.assemble import assemble
from protos.collections import IntegerIndexParams, encode_index_params
from protos.operations import (
    CreateIndex,
    DeletePoints,
    DeleteVectors,
    PointChange,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from tests.node.replica.conftest import Shards
from tests.node.replica.points import batch, contents, having, write

Model = dict[int, tuple[dict[str, Any], dict[str, list[float]]]]

ids = st.lists(st.integers(0, 12), min_size=1, max_size=6)
tags = st.integers(0, 3)
places = st.integers(0, 1000)


async def built_here(job: Any) -> Any:
    """The builder's work without its process."""
    return assemble(job)


class ReplicaMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.patch = pytest.MonkeyPatch()
        self.root = Path(tempfile.mkdtemp(prefix="replica-model-"))
        self.model: Model = {}

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run(call)

    @initialize()
    def start(self) -> None:
        self.patch.setattr(runner, "run_build", built_here)
        self.patch.setattr(runner, "REMAP_POINTS", 2)
        self.patch.setattr("node.replica.segment_set.GROWING_ROWS_MAX", 64)

        async def begin() -> None:
            self.shards = Shards(self.root)
            self.replica = await self.shards.open()
            await self.replica.apply_config(CreateIndex("tag", encode_index_params(IntegerIndexParams())))

        self.run(begin())

    def teardown(self) -> None:
        self.run(self.shards.close())
        self.loop.close()
        self.patch.undo()
        shutil.rmtree(self.root)

    # --- writes ----------------------------------------------------------------------------------------

    def put(self, chosen: list[int], tag: int, place: int) -> PointChange:
        for point in chosen:
            self.model[point] = ({"tag": tag}, {"": [float(place), 0.0, 0.0, 0.0]})
        payload = json.dumps({"tag": tag}).encode()
        return Upsert(chosen, (batch([[place, 0, 0, 0]] * len(chosen)),), [payload] * len(chosen))

    def move(self, chosen: list[int], place: int) -> PointChange:
        known = [point for point in chosen if point in self.model]
        for point in known:
            self.model[point] = (self.model[point][0], {"": [float(place), 0.0, 0.0, 0.0]})
        return UpdateVectors(known, (batch([[place, 0, 0, 0]] * len(known)),) if known else ())

    def mark(self, chosen: list[int], tag: int) -> PointChange:
        known = [point for point in chosen if point in self.model]
        for point in known:
            self.model[point] = ({**self.model[point][0], "tag": tag}, self.model[point][1])
        return SetPayload(json.dumps({"tag": tag}).encode(), ids=known)

    def strip(self, chosen: list[int]) -> PointChange:
        known = [point for point in chosen if point in self.model]
        for point in known:
            self.model[point] = (self.model[point][0], {})
        return DeleteVectors(("",), ids=known)

    def remove(self, chosen: list[int]) -> PointChange:
        for point in chosen:
            self.model.pop(point, None)
        return DeletePoints(ids=chosen)

    def remove_tagged(self, tag: int) -> PointChange:
        self.model = {point: held for point, held in self.model.items() if held[0]["tag"] != tag}
        return DeletePoints(filter=having("tag", tag))

    @rule(chosen=ids, tag=tags, place=places, data=st.data())
    def write_a_group(self, chosen: list[int], tag: int, place: int, data: st.DataObject) -> None:
        """Several changes that wait together."""
        kinds = {
            "put": lambda: self.put(chosen, tag, place),
            "move": lambda: self.move(chosen, place),
            "mark": lambda: self.mark(chosen, tag),
            "strip": lambda: self.strip(chosen),
            "remove": lambda: self.remove(chosen[:2]),
            "remove_tagged": lambda: self.remove_tagged(tag),
        }
        names = data.draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=5))
        changes = [kinds[name]() for name in names]

        async def together() -> None:
            await asyncio.gather(*(write(self.replica, change) for change in changes))

        self.run(together())

    # --- what goes on beside them ----------------------------------------------------------------------

    @rule()
    def checkpoint(self) -> None:
        self.run(self.replica.checkpoint())

    @rule()
    def crash(self) -> None:
        async def again() -> None:
            self.shards.crash()
            self.replica = await self.shards.open()

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

    # --- what always holds -----------------------------------------------------------------------------

    @invariant()
    def the_replica_equals_the_model(self) -> None:
        assert self.run(contents(self.replica)) == dict(sorted(self.model.items()))
        for tag in range(4):
            expected = sum(payload["tag"] == tag for payload, _ in self.model.values())
            assert self.run(self.replica.count(having("tag", tag), exact=True)) == expected

    @invariant()
    def live_bits_and_slots_agree_with_the_points(self) -> None:
        applier = self.replica.contents.applier
        slots = {slot for _, slot in applier.points.view().iter_ids()}
        held = {
            segment.start + row
            for segment in applier.segments.views()
            for row, live in enumerate(applier.live.of_range(segment.start, segment.rows))
            if live
        }
        assert slots == held
        ends = 0
        for segment in applier.segments.views():
            assert segment.start >= ends
            ends = segment.start + segment.rows


TestReplica = pytest.mark.slow(ReplicaMachine.TestCase)
TestReplica.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
