"""A replica against a dictionary: any mix of writes, rebuilds, checkpoints and crashes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from node.optimizer import runner
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
from tests.node.replica.machine import ReplicaMachine
from tests.node.replica.points import batch, contents, having, write

Model = dict[int, tuple[dict[str, Any], dict[str, list[float]]]]

ids = st.lists(st.integers(0, 12), min_size=1, max_size=6)
tags = st.integers(0, 3)
places = st.integers(0, 1000)


class Points(ReplicaMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model: Model = {}
        self.patch.setattr(runner, "REMAP_POINTS", 2)

    async def begin(self) -> None:
        await super().begin()
        await self.replica.apply_config(CreateIndex("tag", encode_index_params(IntegerIndexParams())))

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


TestReplica = pytest.mark.slow(Points.TestCase)
TestReplica.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
